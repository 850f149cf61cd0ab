"""Pure: one network driver a file, joined in one table."""
