"""Effects: the only folder that changes the kernel."""
