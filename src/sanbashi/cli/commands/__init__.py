"""The commands of the CLI, a noun a file."""
