"""One training run a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import LettercastError
from ..runtime.files import make_folder

try:
    import fcntl
except ImportError:
    # Windows has none; there nobody is kept out.
    fcntl = None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder and hold it for this process; it is let go of however the process ends, kill -9 included.

    Raises LettercastError where another process holds it.
    """
    make_folder(folder)
    if fcntl is None:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LettercastError(f"{folder}: another training run writes there now; wait for it, or choose another --out") from error
    finally:
        os.close(held)
