"""Pure: what the network should be."""
