"""Pure: a DHCP client: bytes to messages, and what to do next."""
