"""Writing files whole or not at all, and reading those that come with the package."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import cast

from .. import LettercastError


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
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


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
