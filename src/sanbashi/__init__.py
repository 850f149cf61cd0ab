"""Sanbashi: a container engine whose heart is the network."""
