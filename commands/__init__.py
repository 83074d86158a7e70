"""The verbs of the command: each one's words, and what it does; heavy imports inside the function."""
