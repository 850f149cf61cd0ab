"""Pure: what a container is, which moves it may make, and its OCI specification."""
