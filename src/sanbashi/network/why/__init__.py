"""Pure: why one does or does not reach another, stage by stage."""
