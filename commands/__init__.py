"""The command line: one file per command. Each parses its words, calls the Python API, and prints the result."""
