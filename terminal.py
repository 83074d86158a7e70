"""What a person at a terminal sees beside the results: that work goes on, and tables that fit."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr that work goes on; yields a function that says what is being done."""
    from rich.console import Console
    from rich.markup import escape

    # Names of the user's may hold what rich takes for markup.
    with Console(stderr=True).status(escape(what)) as status:
        yield lambda said: status.update(escape(said))


def show(table: object) -> None:
    """Print a rich table on stdout."""
    from rich.console import Console

    Console(width=table_width(), markup=False, highlight=False).print(table)


def table_width() -> int:
    """Return the columns of the terminal, or as many as every table needs where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
