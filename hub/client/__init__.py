"""The HTTP client of the command line. It imports nothing of the server but its errors."""
