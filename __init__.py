"""Handwritten letters on small devices: train, export with proof, read from a camera."""

__version__ = "0.1.0"

# How the command ends: MISSED is a gate or floor that was missed, UNUSABLE what the user gave.
DONE, MISSED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


class LettercastError(Exception):
    """The user's input cannot be used; the message is one line: what, where and how to mend it."""
