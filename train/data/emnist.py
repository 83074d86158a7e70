"""A large file from the web, whole and unharmed: a download that goes on where it broke off."""

import gzip
import hashlib
import http.client
import io
import math
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ... import LettercastError, __version__
from ...runtime.files import make_folder, write_bytes
from ...runtime.glyph import GLYPH_PX
from .source import LETTERS, ImageSource

CHUNK_BYTES = 1 << 16
# A server that says nothing for so long has gone.
TIMEOUT_S = 30.0
# A connection that breaks is taken up again at once, as long as each one brings some bytes.
CONNECTIONS = 5


class BrokenOffError(Exception):
    """The connection could not be made, or ended before the file did."""


def download(url: str, path: Path, md5: str, instead: str, timeout_s: float = TIMEOUT_S) -> None:
    """Download a file, unless it is there already and unharmed.

    The bytes gather beside `path` under the name with `.partial`, which stays when the download breaks off or is
    interrupted; the next call asks only for the rest. `path` itself is never half-written.

    Args:
        url: http or https.
        path: where the file goes; its folder is made.
        md5: of the file, in hex.
        instead: what the user can do where this cannot work, as the end of a message.
        timeout_s: how long the server may say nothing, in seconds.

    Raises:
        LettercastError: no connection, a refusal, too many breaks, a full disk, or another file than was expected.
    """
    if path.is_file() and checksum(path, "md5") == md5:
        return
    make_folder(path.parent)
    partial = path.with_name(f"{path.name}.partial")
    try:
        # All of it may have come before the last call was killed.
        if not (partial.is_file() and checksum(partial, "md5") == md5):
            fetch(url, partial, timeout_s)
        mark_of(partial).unlink(missing_ok=True)
        if checksum(partial, "md5") != md5:
            partial.unlink()
            raise LettercastError(f"{url}: what came was not the file expected (MD5) and was removed; try again, or {instead}")
        partial.replace(path)
    except BrokenOffError as error:
        kept = f", {megabytes(partial)} MB are kept: run it again to go on" if size_of(partial) else "; try again"
        raise LettercastError(f"{url}: {error}{kept}, or {instead}") from error
    except OSError as error:
        raise LettercastError(f"{path.parent}: {error.strerror or 'cannot be written'}; make room there, or {instead}") from error


def checksum(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file by `md5` or `sha256`; they find damage here, and no more is asked of them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def fetch(url: str, partial: Path, timeout_s: float) -> None:
    """Bring a partial file to its end over as many connections as CONNECTIONS; raises BrokenOffError."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for connection in range(1, CONNECTIONS + 1):
            before = size_of(partial)
            try:
                fetch_rest(url, partial, timeout_s, progress)
            except BrokenOffError:
                if connection == CONNECTIONS or size_of(partial) <= before:
                    raise
            else:
                return


def fetch_rest(url: str, partial: Path, timeout_s: float, progress: Progress) -> None:
    """Add what a partial file lacks over one connection, or begin anew where the server has only the whole, or another file."""
    response, start = ask(url, partial, timeout_s)
    with response:
        if start == 0:
            write_bytes(mark_of(partial), version_of(response).encode())
        # None where the server does not tell; then only the checksum can.
        promised = response.length
        task = progress.add_task(url.rpartition("/")[2], completed=start, total=None if promised is None else start + promised)
        came = 0
        with partial.open("ab" if start else "wb") as file:
            while chunk := read_some(response, CHUNK_BYTES if promised is None else min(CHUNK_BYTES, promised - came)):
                came += file.write(chunk)
                progress.advance(task, len(chunk))
        progress.remove_task(task)
    if promised is not None and came < promised:
        raise BrokenOffError("the connection broke off")


def ask(url: str, partial: Path, timeout_s: float) -> tuple[http.client.HTTPResponse, int]:
    """Ask for what a partial file lacks; return the answer and the byte that it starts at: 0 where it is the whole file."""
    start = size_of(partial)
    headers = {"User-Agent": f"lettercast/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
        mark = mark_of(partial)
        version = mark.read_text(errors="replace").strip() if mark.is_file() else ""
        if version.isascii() and version.isprintable() and version:
            headers["If-Range"] = version
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            partial.unlink()
            return ask(url, partial, timeout_s)
        raise BrokenOffError(f"the server refuses it ({error.code} {error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(f"no connection ({getattr(error, 'reason', error)})") from error
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return response, 0
    if not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        response.close()
        partial.unlink(missing_ok=True)
        raise BrokenOffError("the server sent another part than was asked for")
    return response, start


def read_some(response: http.client.HTTPResponse, most: int) -> bytes:
    """Read the bytes that have come, but no more than so many, and none at the end; raises BrokenOffError."""
    try:
        return response.read1(most)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(f"the connection broke off ({error})") from error


def mark_of(partial: Path) -> Path:
    """Return the file that keeps which version of the file on the server a partial one is of."""
    return partial.with_suffix(".version")


def version_of(response: http.client.HTTPResponse) -> str:
    """Return what If-Range takes: a strong ETag or else the date; empty where the server gives neither."""
    etag = response.headers.get("ETag") or ""
    return etag if etag.startswith('"') else response.headers.get("Last-Modified") or ""


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def megabytes(path: Path) -> int:
    """Return the whole megabytes of a file."""
    return size_of(path) // 1_000_000


# The first four bytes: two zeros, 8 for unsigned bytes, and the number of axes.
BYTES_MAGIC = 0x00000800
# Deflate packs no better than this, so a file cannot hold more.
DEFLATE_RATIO = 1032
PIECE_BYTES = 1 << 20


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes with so many axes; a name that ends in `.gz` is unpacked.

    Memory goes by what the file holds, not by what its header promises.

    Raises:
        LettercastError: the file is missing, damaged, of another kind, or longer or shorter than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = read_shape(file, axes)
            # One more than promised: that is how a longer file, and a damaged end, come to light.
            data = read_at_most(file, min(math.prod(shape), most_bytes(path)) + 1)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; download it again") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LettercastError(f"{path}: not an idx file that can be read ({error}); download it again") from error
    if len(data) != math.prod(shape):
        less = "less" if len(data) < math.prod(shape) else "more"
        raise LettercastError(f"{path}: holds {less} than the {math.prod(shape)} bytes that it promises; download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_shape(file: io.BufferedIOBase, axes: int) -> tuple[int, ...]:
    """Read the header: the magic number, then the length of each axis, all 32 bits, the high byte first."""
    header = np.frombuffer(file.read(4 * (1 + axes)), np.uint8)
    if len(header) < 4 * (1 + axes):
        raise ValueError("too short for its header")
    magic, *shape = (int(number) for number in header.view(">u4"))
    if magic != BYTES_MAGIC + axes:
        raise ValueError(f"starts with {magic:08x}, not {BYTES_MAGIC + axes:08x}")
    return tuple(shape)


def read_at_most(file: io.BufferedIOBase, most: int) -> bytearray:
    """Read to the end, but no more than so many bytes."""
    data = bytearray()
    while piece := file.read(min(PIECE_BYTES, most - len(data))):
        data += piece
    return data


def most_bytes(path: Path) -> int:
    """Return the bytes that a file of this size can hold at most."""
    return path.stat().st_size * (DEFLATE_RATIO if path.suffix == ".gz" else 1)


NAME = "emnist"
# The end of the training letters, as the data set's authors hold them out: as many as there are in test.
VALIDATION = 20_800
# Of a smaller set at most this part, which is what 20,800 are of the whole one.
VALIDATION_PART = 6
# Which files each split is in, and what there is of each.
PARTS = {"train": "train", "val": "train", "test": "test"}
KINDS = ("images-idx3", "labels-idx1")


@dataclass(frozen=True)
class Member:
    """A file of the archive: what it must be."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Archive:
    """A zip on the web and those of its files, below `gzip/`, that are taken from it."""

    url: str
    md5: str
    members: dict[str, Member]


EMNIST = Archive(
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "58c8d27c78d21e728a6bc7b3cc06412e",
    {
        "emnist-letters-train-images-idx3-ubyte.gz": Member(
            "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f", 30_804_864
        ),
        "emnist-letters-train-labels-idx1-ubyte.gz": Member(
            "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c", 79_283
        ),
        "emnist-letters-test-images-idx3-ubyte.gz": Member(
            "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d", 5_039_157
        ),
        "emnist-letters-test-labels-idx1-ubyte.gz": Member(
            "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb", 144
        ),
    },
)


def open_emnist(split: str, folder: Path | None = None, archive: Archive = EMNIST) -> ImageSource:
    """Open EMNIST Letters, downloaded at the first use.

    Args:
        split: train, val, test or all.
        folder: where the files are kept; by default in the user's cache.
        archive: where they come from.

    Raises:
        LettercastError: they cannot be downloaded.
    """
    folder = folder or platformdirs.user_cache_path("lettercast") / NAME
    fetch_members(folder, archive)
    return open_emnist_folder(folder, split)


def fetch_members(folder: Path, archive: Archive) -> None:
    """Download the archive and take its members, unless all of them are in the folder and unharmed."""
    if all(is_whole(folder / name, member) for name, member in archive.members.items()):
        return
    path = folder / archive.url.rpartition("/")[2]
    instead = f"download {archive.url} by hand, unpack it and give the folder: --data gzip/"
    download(archive.url, path, archive.md5, instead)
    for name, member in archive.members.items():
        data = read_member(path, name, member)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            path.unlink()
            raise LettercastError(f"{archive.url}: its {name} is not the file expected (SHA-256), all was removed; {instead}")
        write_bytes(folder / name, data)
    path.unlink()


def is_whole(path: Path, member: Member) -> bool:
    """Tell whether a file is there and what it must be."""
    return path.is_file() and path.stat().st_size == member.size and checksum(path, "sha256") == member.sha256


def read_member(archive: Path, name: str, member: Member) -> bytes:
    """Read a member of a zip, and no more of it than it should have; nothing where it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(f"gzip/{name}") as file:
            return file.read(member.size + 1)
    except (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


def emnist_splits(folder: Path) -> list[str]:
    """Return the splits that a folder holds idx files of; none where it is no folder of EMNIST Letters."""
    return [split for split, part in PARTS.items() if any(idx_file(folder, part, kind).is_file() for kind in KINDS)]


def idx_file(folder: Path, part: str, kind: str) -> Path:
    """Return the file of the images or labels of train or test: plain where it is there, else packed."""
    plain = folder / f"emnist-letters-{part}-{kind}-ubyte"
    return plain if plain.is_file() else plain.with_name(f"{plain.name}.gz")


def open_emnist_folder(folder: Path, split: str, validation: int = VALIDATION) -> ImageSource:
    """Open a folder of EMNIST Letters' idx files, plain or as `.gz`.

    Args:
        split: train, val, test, or all that there is.
        validation: letters at the end of train that are val, at most a sixth of it.

    Raises:
        LettercastError: files of the split are missing or cannot be read.
    """
    splits = emnist_splits(folder)
    if split not in (*splits, "all"):
        raise LettercastError(f"{folder}: has no split '{split}'; it has {', '.join(splits)}")
    parts = dict.fromkeys(PARTS[name] for name in splits) if split == "all" else [PARTS[split]]
    loaded = [load_part(folder, part) for part in parts]
    images = np.concatenate([images for images, _ in loaded])
    labels = np.concatenate([labels for _, labels in loaded])
    first_held_out = len(labels) - min(validation, len(labels) // VALIDATION_PART)
    keep = {"train": slice(first_held_out), "val": slice(first_held_out, None)}.get(split, slice(None))
    return ImageSource(NAME, split, list(images[keep]), labels[keep], LETTERS)


def load_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load train or test: ink (N, 28, 28) uint8 and labels (N,) from 0 for A."""
    images_file, labels_file = (idx_file(folder, part, kind) for kind in KINDS)
    labels = read_idx(labels_file, 1)
    images = read_idx(images_file, 3)
    if images.shape != (len(labels), GLYPH_PX, GLYPH_PX):
        raise LettercastError(
            f"{images_file}: holds {images.shape}, not the {len(labels)} pictures of 28x28 that {labels_file.name} labels"
        )
    if len(labels) and not (labels.min() >= 1 and labels.max() <= len(LETTERS)):
        raise LettercastError(f"{labels_file}: labels go from {labels.min()} to {labels.max()}, not from 1 (A) to 26 (Z)")
    # White ink on black already, but columns first: x and y change places.
    return np.ascontiguousarray(images.transpose(0, 2, 1)), labels.astype(np.int64) - 1
