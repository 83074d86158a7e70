"""Files as pages: an image is one page, a TIFF or a PDF may have many."""

import os
import stat
from dataclasses import dataclass
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from .. import LettercastError
from ..runtime.console import first_line
from ..runtime.pixels import Pixels
from ..runtime.sources.images import MAX_PIXELS, decode_image, known_header, read_image, tiff_pages
from .files import is_pdf

PDF_DPI, PDF_UNITS_PER_INCH = 200.0, 72.0
PDF_MARK, TIFF_MARKS, MARK_BYTES = b"%PDF-", (b"II*\0", b"MM\0*"), 5
# Of a TIFF or PDF; a damaged one may claim any number.
MAX_PAGES = 20_000
# In a TIFF, the place of the offset of its first page.
FIRST_PAGE = slice(4, 8)
INSTALL_PDF = "PDFs need pypdfium2, which is not installed: pip install 'lettercast[bulk]'"


@dataclass(frozen=True)
class FileFacts:
    """The size of a file in bytes, and when it was last changed, in nanoseconds since 1970 (UTC)."""

    size_bytes: int
    modified_ns: int


def file_facts(path: Path) -> FileFacts:
    """Return the facts of a file; raises LettercastError if there is none, or if it is a folder, a pipe or a device."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise LettercastError(f"{path}: {getattr(error, 'strerror', None) or 'no such name'}") from error
    if stat.S_ISDIR(status.st_mode):
        can_list = os.access(path, os.R_OK | os.X_OK)
        raise LettercastError(f"{path}: " + ("a folder; name it as a source" if can_list else "a folder that cannot be read"))
    if not stat.S_ISREG(status.st_mode):
        raise LettercastError(f"{path}: a pipe or a device, which may never end")
    return FileFacts(status.st_size, status.st_mtime_ns)


class ImageFile:
    """An image file, which is one page."""

    pages = 1

    def __init__(self, path: Path) -> None:
        self._path = path

    def page(self, number: int) -> tuple[Pixels, float | None]:
        """Return the pixels of a page, counted from 1, and its dots per inch if they were chosen here."""
        return read_image(self._path), None

    def close(self) -> None:
        """Close the file."""


class TiffFile:
    """A TIFF of several pages, each of which is decoded as if it were the first."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        try:
            # Changes stay in memory, and only what is read is loaded.
            self._data = mmap(file.fileno(), 0, access=ACCESS_COPY)
            self._offsets = tiff_pages(cast(BinaryIO, self._data), MAX_PAGES)
        except (EOFError, ValueError, OSError) as error:
            raise LettercastError(f"{path}: damaged, because {first_line(error)}; copy it again") from error
        self.pages = max(1, len(self._offsets))

    def page(self, number: int) -> tuple[Pixels, float | None]:
        """Return the pixels of a page, counted from 1."""
        if self._offsets:
            self._data[FIRST_PAGE] = self._offsets[number - 1]
        self._data.seek(0)
        header = known_header(self._path, cast(BinaryIO, self._data))
        return decode_image(self._path, header, self._data), None

    def close(self) -> None:
        """Release the file, as soon as no pixels refer to it."""
        del self._data


class PdfFile:
    """A PDF, whose pages are drawn with PDF_DPI, or with fewer dots if a page is huge."""

    def __init__(self, path: Path) -> None:
        try:
            import pypdfium2
        except ImportError as error:
            raise LettercastError(f"{path}: {INSTALL_PDF}") from error
        self._path, self._error = path, pypdfium2.PdfiumError
        try:
            self._document: Any = pypdfium2.PdfDocument(path)
        except (pypdfium2.PdfiumError, OSError, ValueError) as error:
            is_locked = "password" in str(error).lower()
            reason = "needs a password; save it without one" if is_locked else "damaged, or not a PDF; copy it again"
            raise LettercastError(f"{path}: {reason}") from error
        self.pages = len(self._document)
        if not 0 < self.pages <= MAX_PAGES:
            raise LettercastError(f"{path}: it has {self.pages:,} pages, and 1 to {MAX_PAGES:,} are read; split it")

    def page(self, number: int) -> tuple[Pixels, float | None]:
        """Return the pixels (H, W, 3) of a page, counted from 1, and its dots per inch."""
        try:
            page = self._document[number - 1]
            width, height = (max(side, 1.0) / PDF_UNITS_PER_INCH for side in page.get_size())
            # Sides are rounded up.
            dpi = min(PDF_DPI, 0.99 * (MAX_PIXELS / (width * height)) ** 0.5)
            bitmap = page.render(scale=dpi / PDF_UNITS_PER_INCH, prefer_bgrx=False)
            image = np.ascontiguousarray(bitmap.to_numpy()[:, :, :3]).copy()
            bitmap.close()
            page.close()
        except (self._error, ValueError, OSError) as error:
            raise LettercastError(f"{self._path}: page {number} is damaged ({first_line(error)})") from error
        return image, dpi

    def close(self) -> None:
        """Close the file."""
        self._document.close()


Document = ImageFile | TiffFile | PdfFile


def open_document(path: Path) -> Document:
    """Open a file that holds one or more pages, by its first bytes, or by its name if they are no page's.

    Raises LettercastError if it cannot be opened, or if the list of its pages is damaged.
    """
    try:
        with path.open("rb") as file:
            mark = file.read(MARK_BYTES)
            if mark[:4] in TIFF_MARKS:
                return TiffFile(path, file)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}") from error
    is_empty = not mark
    return PdfFile(path) if not is_empty and (mark == PDF_MARK or is_pdf(str(path))) else ImageFile(path)
