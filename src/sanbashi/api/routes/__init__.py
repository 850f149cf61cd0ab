"""The routes of the API, a noun a file."""
