"""The command `review`: it shows the doubtful letters of an archive."""

import argparse
from pathlib import Path
from typing import Any

from .. import DONE
from ..runtime.arguments import positive
from .parser import add_command
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast review letters.parquet    write letters.parquet/review.html
  lettercast review letters.parquet --letter E --number 500 --out e.html
                                       the least sure of what was read as E
"""


def add(commands: Any) -> None:
    """Add the subcommand `review` to the parser."""
    command = add_command(
        commands,
        "review",
        help="show the doubtful letters of an archive",
        description="Write an HTML page with the least sure letters of an archive that `lettercast read --out` wrote.",
        examples=EXAMPLES,
    )
    command.add_argument("archive", type=Path, metavar="DIR", help="the folder of `lettercast read --out`")
    command.add_argument("--number", type=positive, metavar="N", default=100, help="show N letters (default: %(default)s)")
    command.add_argument(
        "--per-page", type=positive, metavar="N", default=5, help="show at most N letters of one page (default: %(default)s)"
    )
    command.add_argument("--letter", metavar="L", default="", help="show only what was read as L; ? stands for non-letters")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="the page to write (default: review.html in DIR); it is replaced if it exists"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page, and print what is on it."""
    with importing():
        from ..bulk.doubts import review
    path, doubts = review(options.archive, options.out, count=options.number, a_page=options.per_page, letter=options.letter)
    pages = len({(doubt.path, doubt.page) for doubt in doubts})
    shares = f"{doubts[0].confidence:.0%} to {doubts[-1].confidence:.0%}"
    print(f"wrote {path}: {len(doubts):,} letters of {pages:,} pages, of which the model was {shares} sure")
    return DONE
