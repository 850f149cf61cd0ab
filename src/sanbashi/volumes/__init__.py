"""Pure: volumes and their commands."""
