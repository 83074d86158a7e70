"""One training run a folder."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    with ExitStack() as holding:
        if fcntl:
            held = os.open(folder, os.O_RDONLY)
            holding.callback(os.close, held)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LettercastError(
                    f"{folder}: another training run writes there now; wait for it, or choose another --out"
                ) from error
            except OSError:
                # Some network drives cannot; there, too, nobody is kept out.
                pass
        yield
