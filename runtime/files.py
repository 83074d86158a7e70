"""Writing files completely or not at all, and reading texts, arrays and the files of the package."""

import codecs
import os
import re
import time
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import LettercastError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An unfinished file that nobody wrote to for this long was left by a process that was killed, here or on another machine.
MIN_STALE_S = 3600.0
PARTIAL = re.compile(r"\..+\.\d+\.partial(\.\w+)?")


def packaged(name: str) -> Path:
    """Return a file or folder that comes with the runtime, whether it is installed or inside a zip.

    Inside a zip it is a zipfile.Path, which has the methods of Path for reading, but not those for writing.
    """
    return cast(Path, files(__spec__.parent).joinpath(name))


def make_folder(path: Path) -> None:
    """Make a folder and its parents; raises LettercastError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be made'}; choose another folder") from error


@contextmanager
def locked(folder: Path, other: str | None = None) -> Iterator[None]:
    """Create a folder and lock it for this process; the lock ends with the process, even after kill -9.

    If another process holds the lock, wait for it; or, if `other` says what that process is, raise LettercastError.
    """
    make_folder(folder)
    with ExitStack() as holding:
        if fcntl:
            held = os.open(folder, os.O_RDONLY)
            holding.callback(os.close, held)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | (fcntl.LOCK_NB if other else 0))
            except BlockingIOError as error:
                raise LettercastError(f"{folder}: {other} writes there now; wait for it, or choose another --out") from error
            except OSError:
                # Some network drives cannot lock: there, too, nothing stops a second process.
                pass
        yield


def partial_name(path: Path) -> Path:
    """Return the hidden name of a file while it is written; each process has its own, because two may write at once."""
    remove_stale_files(path.parent)
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@cache
def remove_stale_files(folder: Path) -> None:
    """Remove unfinished files of killed processes from a folder, once; else a device that often loses power fills its disk."""
    for stale in folder.glob(".*.partial*"):
        # Another process may remove it at the same time, or it may belong to another user.
        with suppress(OSError):
            if PARTIAL.fullmatch(stale.name) and time.time() - stale.stat().st_mtime > MIN_STALE_S:
                stale.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write, and rename it at the end, so that `path` is never half written.

    The temporary file has the suffix of `path`, because some writers go by it. Raises LettercastError if the folder cannot be
    written or the disk is full.
    """
    temporary = partial_name(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or error}; make room, or choose another folder") from error
    finally:
        # What cannot be removed was mostly never written, as on a read-only disk, and the reason above counts.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file completely or not at all, and make its folder; raises LettercastError like `replacing`."""
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


# The longest first: the mark of UTF-16 is the start of the mark of UTF-32.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Read a text in UTF-8 or, as Windows saves it, with a byte-order mark or in UTF-16; line ends become `\\n`.

    Raises LettercastError if the file cannot be read, or is in another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; give a text file") from error
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        # No text has NUL characters: UTF-16 without its mark has them in every other byte, on the side of the high bytes.
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LettercastError(f"{path}: line {line} is not {encoding.upper()} text; save the file as UTF-8") from error
    if any(unicodedata.category(char) == "Cc" and not char.isspace() for char in text):
        raise LettercastError(f"{path}: not a text file; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unpacked_bytes(archive: zipfile.ZipFile) -> int:
    """Return the unpacked size that a zip archive claims; zipfile never reads more than that."""
    return sum(entry.file_size for entry in archive.infolist())


def load_npz(path: Path, max_bytes: int) -> "dict[str, NDArray[Any]]":
    """Load the arrays of an `.npz` file by name.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not an `.npz`, is damaged, contains pickled objects, or unpacks to more than `max_bytes`.
    """
    # Imported here, so that the doctor can report a missing NumPy.
    import numpy as np

    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                size = unpacked_bytes(archive)
            if size > max_bytes:
                raise ValueError(f"unpacks to {size / 1e6:.0f} MB, the limit is {max_bytes / 1e6:.0f} MB")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged archive raises all kinds of errors, MemoryError among them
        raise ValueError(str(error) or type(error).__name__) from error
