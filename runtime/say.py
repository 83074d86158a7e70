"""What a person is told beside the results."""

import sys


def say(message: object) -> None:
    """Tell a person something on stderr, in one line."""
    print(f"lettercast: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
