"""The letters that a verb measures on."""

import argparse

from ..values import SPLIT_CHOICES


def add_letters(verb: argparse.ArgumentParser) -> None:
    """Add the letters that a verb measures on."""
    verb.add_argument("--data", default="pen", metavar="D", help="as for train (default: %(default)s)")
    verb.add_argument("--split", choices=SPLIT_CHOICES, help="default: test where the data has it, else all")
