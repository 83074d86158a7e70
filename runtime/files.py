"""Writing files whole or not at all, and reading those that come with the package."""

import os
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import LettercastError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A file that nobody wrote to for so long, under a hidden name, was left by a process that was killed, wherever it ran.
LEFT_BEHIND_S = 3600.0
PARTIAL = re.compile(r"\..+\.\d+\.partial(\.\w+)?")


def packaged(name: str) -> Path:
    """Return a file or folder that comes with the runtime, whether it is installed or lies within a zip.

    Within a zip it is a zipfile.Path, which can all that reading takes of a Path, and cannot be written.
    """
    return cast(Path, files(__spec__.parent).joinpath(name))


def make_folder(path: Path) -> None:
    """Make a folder, with those above it; raises LettercastError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be made'}; choose another folder") from error


def partial_name(path: Path) -> Path:
    """Return the hidden name that a file has while it is written; each process has its own, as two may write at once."""
    clear_left_behind(path.parent)
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@cache
def clear_left_behind(folder: Path) -> None:
    """Remove what killed processes left in a folder, once: a device that loses its power daily would fill its disk."""
    for left in folder.glob(".*.partial*"):
        # Somebody else may clear it away too, or it may be somebody else's.
        with suppress(OSError):
            if PARTIAL.fullmatch(left.name) and time.time() - left.stat().st_mtime > LEFT_BEHIND_S:
                left.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file to write, and rename it in the end, so that `path` is never half-written.

    The file ends as `path` does, for writers that go by the ending. Raises LettercastError where the folder cannot be
    written or the disk is full.
    """
    temporary = partial_name(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or error}; make room, or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; makes its folder. Raises LettercastError as `replacing` does."""
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def unpacked_bytes(archive: zipfile.ZipFile) -> int:
    """Return how much a zip archive says it unpacks to; no more is ever read of it."""
    return sum(entry.file_size for entry in archive.infolist())


def load_npz(path: Path, max_bytes: int) -> "dict[str, NDArray[Any]]":
    """Return the arrays by their names.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file, damaged, holds anything but plain arrays, or more than `max_bytes` when unpacked.
    """
    # What a device lacks is told without NumPy.
    import numpy as np

    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                size = unpacked_bytes(archive)
            if size > max_bytes:
                raise ValueError(f"unpacks to {size / 1e6:.0f} MB, {max_bytes / 1e6:.0f} MB are the limit")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged archive raises what its damage leads to, a lying one MemoryError
        raise ValueError(str(error) or type(error).__name__) from error
