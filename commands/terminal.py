"""The terminal: tables that fit it, and Ctrl-C while heavy packages are imported."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .. import INTERRUPTED

STDERR = 2


def show(table: object, stream: TextIO | None = None) -> None:
    """Print a rich table on a stream, by default stdout."""
    from rich.console import Console

    from ..runtime.console import table_width

    Console(file=stream, width=table_width(stream), markup=False, highlight=False).print(table)


def leave(stream: int = STDERR) -> None:
    """End the process with the exit code of an interrupt, after one line on the stream with this number."""
    os.write(stream, b"lettercast: interrupted\n")
    os._exit(INTERRUPTED)


def leave_at_once(stream: int = STDERR) -> bool:
    """Let Ctrl-C end the process at once until `heed` is called; False if it is ignored, as in a background job of a shell."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return False
    signal.signal(signal.SIGINT, lambda *_: leave(stream))
    return True


def heed() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the process while heavy packages are imported, and raise KeyboardInterrupt afterwards.

    Compiled modules swallow the exception, or turn it into an ImportError that blames the installation.
    """
    # The streams may be redirected meanwhile to keep the packages quiet.
    stream = os.dup(STDERR)
    is_heeded = leave_at_once(stream)
    try:
        yield
    finally:
        if is_heeded:
            heed()
        os.close(stream)


def import_keras() -> None:
    """Import Keras and its backend without their messages about drivers and instruction sets."""
    from ..runtime.console import quiet

    # TensorFlow reads this when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing(), quiet():
        import keras  # noqa: F401  # pyright: ignore[reportUnusedImport]
    # It warns of every further network that it compiles.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
