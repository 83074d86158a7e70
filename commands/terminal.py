"""Interrupts before there is anything to put in order: the process ends at once."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import INTERRUPTED


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


STDERR = 2


def leave(stream: int = STDERR) -> None:
    """End the process as an interrupt does, with one line on a stream given by its number."""
    os.write(stream, b"lettercast: interrupted\n")
    os._exit(INTERRUPTED)


def leave_at_once(stream: int = STDERR) -> bool:
    """Have interrupts end the process until `heed`; False where they are ignored, as in a shell's background jobs."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return False
    signal.signal(signal.SIGINT, lambda *_: leave(stream))
    return True


def heed() -> None:
    """Have interrupts raise KeyboardInterrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def importing() -> Iterator[None]:
    """Have an interrupt end the process while heavy packages are imported, and raise KeyboardInterrupt afterwards.

    Compiled modules swallow the exception, or make an ImportError of it that blames what is installed.
    """
    # What is imported may be kept quiet meanwhile, and the stream led elsewhere.
    stream = os.dup(STDERR)
    is_heeded = leave_at_once(stream)
    try:
        yield
    finally:
        if is_heeded:
            heed()
        os.close(stream)


def import_keras() -> None:
    """Import Keras and its backend without what they say of drivers and instruction sets."""
    from ..runtime.console import quiet

    # TensorFlow decides when it is first imported how much it talks.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing(), quiet():
        import keras  # noqa: F401  # pyright: ignore[reportUnusedImport]
