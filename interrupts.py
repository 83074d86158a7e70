"""Interrupts before there is anything to put in order: the process ends at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from . import INTERRUPTED

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
