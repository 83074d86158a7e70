"""A large file from the web, whole and unharmed: a download that goes on where it broke off."""

import hashlib
import http.client
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from .. import LettercastError, __version__
from ..runtime.files import make_folder, write_bytes

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
