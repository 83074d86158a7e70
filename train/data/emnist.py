"""EMNIST Letters: its download, which continues where it broke off, and copies of it in other files."""

import hashlib
import http.client
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ... import LettercastError, __version__
from ...runtime.arguments import find_model
from ...runtime.console import say_once
from ...runtime.files import make_folder, write_bytes
from ...runtime.glyph import glyph
from ...runtime.model.engine import open_engine
from ...runtime.pixels import Pixels
from .idx import open_idx_folder
from .source import ImageSource

CHUNK_BYTES = 1 << 16
# A server that sends nothing for this long counts as gone.
TIMEOUT_S = 30.0
# A broken connection is made again at once, as long as each one brings some bytes.
MAX_CONNECTIONS = 5


class BrokenOffError(Exception):
    """The connection could not be made, or ended before the file did."""


def download(url: str, path: Path, md5: str, instead: str, timeout_s: float = TIMEOUT_S) -> None:
    """Download a file, unless it is there already and undamaged.

    The bytes are collected beside `path` in a file ending in `.partial`, which stays if the download breaks off or is
    interrupted; the next call asks only for the rest. `path` itself is never half-written.

    Args:
        url: http or https.
        path: where the file goes; its folder is created.
        md5: of the file, in hex.
        instead: what the user can do if the download fails, as the end of a message.
        timeout_s: how long the server may send nothing, in seconds.

    Raises:
        LettercastError: no connection, a refusal, too many breaks, a full disk, or an unexpected file.
    """
    if path.is_file() and checksum(path, "md5") == md5:
        return
    make_folder(path.parent)
    partial = path.with_name(f"{path.name}.partial")
    try:
        # The last call may have been killed after the last byte.
        if not (partial.is_file() and checksum(partial, "md5") == md5):
            fetch(url, partial, timeout_s)
        mark_of(partial).unlink(missing_ok=True)
        if checksum(partial, "md5") != md5:
            partial.unlink()
            raise LettercastError(f"{url}: the download was not the expected file (MD5) and was removed; try again, or {instead}")
        partial.replace(path)
    except BrokenOffError as error:
        kept = f", {megabytes(partial)} MB are kept: run it again to continue" if size_of(partial) else "; try again"
        raise LettercastError(f"{url}: {error}{kept}, or {instead}") from error
    except OSError as error:
        raise LettercastError(f"{path.parent}: {error.strerror or 'cannot be written'}; make room there, or {instead}") from error


def checksum(path: Path, algorithm: str) -> str:
    """Return the hex digest of a file by `md5` or `sha256`; here they only detect damage."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def fetch(url: str, partial: Path, timeout_s: float) -> None:
    """Complete a partial file over at most MAX_CONNECTIONS connections; raises BrokenOffError."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for connection in range(1, MAX_CONNECTIONS + 1):
            before = size_of(partial)
            try:
                fetch_rest(url, partial, timeout_s, progress)
            except BrokenOffError:
                if connection == MAX_CONNECTIONS or size_of(partial) <= before:
                    raise
            else:
                return


def fetch_rest(url: str, partial: Path, timeout_s: float, progress: Progress) -> None:
    """Append the rest to a partial file over one connection; start again if the server sends the whole, or another file."""
    response, start = ask(url, partial, timeout_s)
    with response:
        if start == 0:
            write_bytes(mark_of(partial), version_of(response).encode())
        # None if the server does not say; then only the checksum can tell whether the file is complete.
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
    """Ask for the rest of a partial file; return the response and the byte at which it starts: 0 if it is the whole file."""
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
        raise BrokenOffError(f"the server refused it ({error.code} {error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(f"no connection ({getattr(error, 'reason', error)})") from error
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return response, 0
    if not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        response.close()
        partial.unlink(missing_ok=True)
        raise BrokenOffError("the server sent another part than requested")
    return response, start


def read_some(response: http.client.HTTPResponse, most: int) -> bytes:
    """Read the bytes that have arrived, at most `most`; empty at the end. Raises BrokenOffError."""
    try:
        return response.read1(most)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(f"the connection broke off ({error})") from error


def mark_of(partial: Path) -> Path:
    """Return the file that records which version on the server a partial file belongs to."""
    return partial.with_suffix(".version")


def version_of(response: http.client.HTTPResponse) -> str:
    """Return the value for If-Range: a strong ETag, else the date; empty if the server gives neither."""
    etag = response.headers.get("ETag") or ""
    return etag if etag.startswith('"') else response.headers.get("Last-Modified") or ""


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def megabytes(path: Path) -> int:
    """Return the size of a file in whole megabytes."""
    return size_of(path) // 1_000_000


NAME = "emnist"


@dataclass(frozen=True)
class Member:
    """What a file of the archive must be: its SHA-256 in hex, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Archive:
    """A zip on the web, its MD5, and the files below `gzip/` that are extracted."""

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
    """Open EMNIST Letters; the first use downloads it.

    Args:
        split: train, val, test or all.
        folder: where the files are kept; by default the user's cache.
        archive: where they come from.

    Raises:
        LettercastError: the files cannot be downloaded.
    """
    folder = folder or platformdirs.user_cache_path("lettercast") / NAME
    fetch_members(folder, archive)
    return replace(open_idx_folder(folder, split), name=NAME)


def fetch_members(folder: Path, archive: Archive) -> None:
    """Download the archive and extract its members, unless all of them are in the folder and undamaged."""
    if all(is_whole(folder / name, member) for name, member in archive.members.items()):
        return
    path = folder / archive.url.rpartition("/")[2]
    instead = f"download {archive.url} by hand, unpack it and give the folder: --data gzip/"
    download(archive.url, path, archive.md5, instead)
    for name, member in archive.members.items():
        data = read_member(path, name, member)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            path.unlink()
            raise LettercastError(f"{archive.url}: its {name} is not the expected file (SHA-256); all was removed; {instead}")
        write_bytes(folder / name, data)
    path.unlink()


def is_whole(path: Path, member: Member) -> bool:
    """Return whether a file exists and is what it must be."""
    return path.is_file() and path.stat().st_size == member.size and checksum(path, "sha256") == member.sha256


def read_member(archive: Path, name: str, member: Member) -> bytes:
    """Read a member of a zip, at most one byte more than it should have; empty if it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(f"gzip/{name}") as file:
            return file.read(member.size + 1)
    except (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


# Letters that are read to find out how they are stored; of fewer than the first number no way is certain.
MIN_SAMPLE, MAX_SAMPLE = 20, 200
# letters-nano reads 99 % of 200 capitals of NIST upright and 30 % on their side: some letters look the same.
MIN_READ, MIN_GAIN = 0.5, 0.3


def sample_places(count: int) -> NDArray[np.int64]:
    """Return at most MAX_SAMPLE places, spread evenly over `count` letters."""
    return np.linspace(0, max(0, count - 1), min(MAX_SAMPLE, count)).astype(np.int64)


def stored_way(where: str, inks: Sequence[Pixels] | Pixels, labels: NDArray[np.int64]) -> tuple[bool, int]:
    """Return whether letters lie on their side, and which label A has, as they are stored in copies of EMNIST: True, 1.

    letters-nano reads a sample in every way. The answer is False, 0 unless another way is clearly right; then a line on stderr
    says so.

    Args:
        where: the file or folder, for the message.
        inks: the sample, each (H, W) uint8 ink.
        labels: (N,) 0 for A, or 1 for A.
    """
    if len(inks) < MIN_SAMPLE:
        return False, 0
    engine = open_engine(find_model("letters-nano"))
    right = {}
    for is_sideways in (False, True):
        drawn = np.stack([glyph(np.ascontiguousarray(ink.T if is_sideways else ink)) for ink in inks])
        read = engine(drawn[..., None]).argmax(1)
        for first in (0, 1) if labels.min() >= 1 else (0,):
            right[is_sideways, first] = float((read == labels - first).mean())
    best = max(right, key=lambda way: right[way])
    if right[best] < MIN_READ or right[best] < right[False, 0] + MIN_GAIN:
        return False, 0
    is_sideways, first = best
    what = " and ".join(["its letters lie on their side"] * is_sideways + ["its labels count from 1"] * first)
    taken = "upright" if is_sideways else "from 0"
    proof = f"letters-nano then reads {100 * right[best]:.0f} % of {len(inks)}, and {100 * right[False, 0]:.0f} % as they are"
    say_once(f"{where}: {what}, as in EMNIST; they are taken {taken} ({proof})")
    return best
