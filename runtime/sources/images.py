"""Images from files: what their header says, and their pixels, upright and with 8 bits."""

import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from ... import LettercastError
from ..console import quiet
from ..pixels import Pixels

PREFIX_BYTES = 512
# AVIF and HEIC store the size within this many bytes, before the compressed image.
BOXES_BYTES = 65536
UPRIGHT, ORIENTATION_TAG, WIDTH_TAG, HEIGHT_TAG = 1, 274, 256, 257
# What a page of a TIFF is: bit 0 stands for a smaller copy of another page, bit 2 for its transparency.
PAGE_KIND_TAG, SMALL_COPY_OR_MASK = 254, 5


@dataclass(frozen=True)
class Header:
    """The kind of an image, its size in pixels as stored, and the EXIF orientation (1 to 8) that is still to be applied."""

    kind: str
    width: int
    height: int
    orientation: int = UPRIGHT
    # In a JPEG, the offset of its frame: an end marker before it belongs to a thumbnail.
    start: int = 0


def read_header(file: BinaryIO) -> Header | None:
    """Read the kind and the size of an image without decoding it; None if the file is no known kind of image.

    Raises EOFError if the file breaks off within its header, ValueError if the header is damaged.
    """
    prefix = file.read(PREFIX_BYTES)
    for pattern, read in READERS:
        if pattern.match(prefix):
            try:
                return read(file)
            except struct.error as error:
                raise EOFError(str(error)) from error
    return None


def _unpack(file: BinaryIO, layout: str, at: int | None = None) -> tuple[Any, ...]:
    """Unpack the bytes at an offset, or the next bytes; a short read raises struct.error."""
    if at is not None:
        file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _png(file: BinaryIO) -> Header:
    width, height = _unpack(file, ">II", 16)
    return Header("PNG", width, height, _png_orientation(file))


def _png_orientation(file: BinaryIO) -> int:
    """Walk the chunks: EXIF may come before or after the pixels.

    OpenCV allocates as much memory as a chunk claims to need, gigabytes if one byte is wrong; so a chunk must fit the file.
    """
    size = file.seek(0, os.SEEK_END)
    at, name, orientation = 8, b"", UPRIGHT
    while name != b"IEND":
        length, name = _unpack(file, ">I4s", at)
        at += length + 12
        if at > size:
            raise EOFError("a chunk is longer than the file")
        if name == b"eXIf":
            orientation = _exif_orientation(file.read(length))
    return orientation


def _jpeg(file: BinaryIO) -> Header:
    file.seek(2)
    orientation = UPRIGHT
    while True:
        (marker,) = _unpack(file, ">H")
        # Any number of FF bytes may precede a marker.
        while marker == 0xFFFF:
            marker = 0xFF00 | _unpack(file, "B")[0]
        if marker < 0xFF01:
            raise ValueError("no marker where there must be one")
        if marker == 0xFF01 or 0xFFD0 <= marker <= 0xFFD8:
            continue
        (length,) = _unpack(file, ">H")
        body = file.tell()
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            _, height, width = _unpack(file, ">BHH")
            return Header("JPEG", width, height, orientation, body)
        if marker == 0xFFE1 and file.read(6) == b"Exif\0\0":
            orientation = _exif_orientation(file.read(max(0, length - 8)))
        file.seek(body + length - 2)


def _webp(file: BinaryIO) -> Header:
    (name,) = _unpack(file, "4s", 12)
    if name == b"VP8X":
        low_w, high_w, low_h, high_h = _unpack(file, "<HBHB", 24)
        return Header("WebP", (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1, _webp_orientation(file))
    if name == b"VP8L":
        (bits,) = _unpack(file, "<I", 21)
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = _unpack(file, "<HH", 26)
    return Header("WebP", width & 0x3FFF, height & 0x3FFF)


def _webp_orientation(file: BinaryIO) -> int:
    file.seek(12)
    while len(start := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", start)
        if name == b"EXIF":
            return _exif_orientation(file.read(length))
        file.seek(length + length % 2, 1)
    return UPRIGHT


def _tiff(file: BinaryIO) -> Header:
    tags = _tiff_tags(file)
    if not {WIDTH_TAG, HEIGHT_TAG} <= tags.keys():
        raise ValueError("no size")
    # OpenCV always applies the orientation of a TIFF itself.
    return Header("TIFF", tags[WIDTH_TAG], tags[HEIGHT_TAG])


def _tiff_tags(file: BinaryIO) -> dict[int, int]:
    """Return the tags of a TIFF's first page that hold one whole number."""
    file.seek(0)
    order = "<" if file.read(4)[:2] == b"II" else ">"
    return _directory(file, order, *_unpack(file, f"{order}I"))[0]


def _directory(file: BinaryIO, order: str, at: int) -> tuple[dict[int, int], int]:
    """Return the tags of a TIFF's page at an offset that hold one whole number, and the offset behind them."""
    (count,) = _unpack(file, f"{order}H", at)
    tags = {}
    for _ in range(count):
        tag, kind, number, value = _unpack(file, f"{order}HHI4s")
        if number == 1 and kind in (3, 4):
            tags[tag] = struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else struct.unpack(f"{order}I", value)[0]
    return tags, at + 2 + 12 * count


def tiff_pages(file: BinaryIO, max_pages: int) -> list[bytes]:
    """Return the four bytes of each page's offset, as the header of a TIFF holds that of the first; thumbnails are left out.

    Raises EOFError if the file breaks off, ValueError if its pages go in a circle or are more than max_pages.
    """
    file.seek(0)
    order = "<" if file.read(4)[:2] == b"II" else ">"
    offset, seen, pages = file.read(4), set[bytes](), list[bytes]()
    while any(offset):
        if offset in seen or len(pages) == max_pages:
            raise ValueError("its pages go in a circle" if offset in seen else f"it has more than {max_pages:,} pages")
        seen.add(offset)
        try:
            tags, end = _directory(file, order, *struct.unpack(f"{order}I", offset))
            file.seek(end)
        except (struct.error, ValueError) as error:
            # A mapped file refuses a place behind its end.
            raise EOFError("the list of pages breaks off") from error
        following = file.read(4)
        if not pages or not tags.get(PAGE_KIND_TAG, 0) & SMALL_COPY_OR_MASK:
            pages.append(offset)
        # Some scanners leave out the last four bytes.
        offset = following if len(following) == 4 else b""
    return pages


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, which has the layout of a TIFF; upright if the data is damaged."""
    try:
        orientation = _tiff_tags(BytesIO(exif.removeprefix(b"Exif\0\0"))).get(ORIENTATION_TAG, UPRIGHT)
    except struct.error:
        return UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def _bmp(file: BinaryIO) -> Header:
    (size,) = _unpack(file, "<I", 14)
    width, height = _unpack(file, "<HH") if size == 12 else _unpack(file, "<ii")
    return Header("BMP", abs(width), abs(height))


def _gif(file: BinaryIO) -> Header:
    return Header("GIF", *_unpack(file, "<HH", 6))


def _pnm(file: BinaryIO) -> Header:
    file.seek(0)
    numbers = re.findall(rb"\d+(?=\s)", re.sub(rb"#[^\n]*", b"", file.read(PREFIX_BYTES)[2:]))
    if len(numbers) < 2:
        raise EOFError("no size")
    return Header("PNM", int(numbers[0]), int(numbers[1]))


def _boxes(file: BinaryIO) -> Header:
    """Read AVIF and HEIC: images in boxes, each with an `ispe` that holds a size; the largest is the whole image."""
    file.seek(0)
    data = file.read(BOXES_BYTES)
    kind = "AVIF" if re.search(rb"avif|avis", data[:64]) else "HEIC"
    sizes = [struct.unpack(">II", found) for found in re.findall(rb"ispe\0{4}(.{8})", data, re.DOTALL)]
    return Header(kind, *max(sizes, default=(0, 0), key=lambda size: size[0] * size[1]))


READERS: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO], Header]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), _webp),
    (re.compile(rb"II\*\0|MM\0\*"), _tiff),
    (re.compile(rb"BM.{12}[\x0c-\x7c]\0\0\0", re.DOTALL), _bmp),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"P[1-6]\s"), _pnm),
    (re.compile(rb".{4}ftyp(avif|avis|heic|heix|heim|heis|hevc|hevm|mif1|msf1)", re.DOTALL), _boxes),
)


# Every OpenCV reads these. Windows saves JPEGs from browsers as .jfif.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff")
# Some OpenCVs read some of these.
OTHER_SUFFIXES = (".gif", ".avif", ".heic", ".heif", ".hif", ".pgm", ".ppm", ".pbm", ".pnm")
# A scan of A4 at 600 dpi has 35 million pixels; 100 million take 300 MB of memory.
MAX_PIXELS = 100_000_000
JPEG_END = b"\xff\xd9"
# By EXIF orientation: transpose, then flip top to bottom, then flip left to right.
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# The possible values of white in integers of more than 16 bits and in floats.
WHITES = (255, 2**16 - 1, 2**32 - 1)


def read_image(path: Path) -> Pixels:
    """Read an image upright: (H, W) or (H, W, C) uint8, grey, BGR or BGRA; of several pages or frames the first.

    Every image of 16 bits is divided by the same number, so that blank paper stays blank. Raises LettercastError if the file is
    missing, empty, damaged or not an image, or if its header claims more than MAX_PIXELS.
    """
    try:
        with path.open("rb") as file:
            header = known_header(path, file)
            file.seek(0)
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise LettercastError(f"{path}: {reason}; give an image, e.g. page.jpg") from error
    return decode_image(path, header, data)


def decode_image(path: Path, header: Header, data: bytes | mmap) -> Pixels:
    """Decode the content of an image file as read_image does; header is that of `known_header`, and errors name the path."""
    try:
        with quiet():
            # Every other mode drops transparency; this one does not apply the orientation, which happens below.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None and header.kind in UNSUPPORTED:
        raise LettercastError(f"{path}: lettercast cannot read {header.kind}; convert it: {UNSUPPORTED[header.kind]}")
    if image is None:
        raise LettercastError(f"{path}: damaged, or a {header.kind} that OpenCV cannot read; copy it again, or save it as PNG")
    # Older versions of OpenCV fill the missing part of a JPEG with grey; half a page would be read without a warning.
    if header.kind == "JPEG" and data.rfind(JPEG_END) < header.start:
        raise LettercastError(f"{path}: the image breaks off; copy it again")
    if header.kind == "TIFF":
        image = divide_alpha(image)
    return upright(to_uint8(image), header.orientation)


def known_header(path: Path, file: BinaryIO) -> Header:
    """Read the header of an image and check it; raises LettercastError if the image must not be decoded."""
    try:
        header = read_header(file)
    except (EOFError, ValueError) as error:
        raise LettercastError(f"{path}: the image breaks off or is damaged; copy it again") from error
    if header is None:
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            raise LettercastError(f"{path}: the file is empty; take or copy the image again")
        raise LettercastError(f"{path}: not an image that lettercast can read; give one of {', '.join(IMAGE_SUFFIXES)}")
    if header.width * header.height > MAX_PIXELS:
        raise LettercastError(
            f"{path}: {header.width} x {header.height} pixels, at most {MAX_PIXELS // 10**6} million are read; make it smaller"
        )
    return header


def is_image(path: Path) -> bool:
    """Tell whether a file is an image, by its suffix or its first bytes; reading one that is damaged says what is wrong."""
    if path.suffix.lower() in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            return read_header(file) is not None
    except (OSError, EOFError, ValueError):
        return True


def count_endings(paths: Iterable[Path]) -> str:
    """Return how many files have which ending, the most frequent first, such as `12 .heic files and 1 .txt file`."""
    endings = Counter(path.suffix.lower() for path in paths)
    words = [f"{count} {ending + ' ' if ending else ''}file{'s' if count > 1 else ''}" for ending, count in endings.most_common()]
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1] if words else ""


def to_uint8(image: Pixels) -> Pixels:
    """Scale pixels of any depth to uint8, by a factor that depends on the depth and not on the content.

    White is 1 in floats, and 65535 in 16 bits. If the largest float is above 1, and in integers of more than 16 bits, white is
    the first of 255, 65535 and 4294967295 that no pixel exceeds. NaN and infinity become black.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return (image // 257).astype(np.uint8)
    values = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0)
    whites = (1, *WHITES) if image.dtype.kind == "f" else WHITES
    white = next((white for white in whites if values.max() <= white), values.max())
    return np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)


def divide_alpha(image: Pixels) -> Pixels:
    """Undo what OpenCV's TIFF reader does to transparent pixels: it multiplies their colours by alpha."""
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        return image
    alpha = np.maximum(image[:, :, 3:], 1).astype(np.uint16)
    colours = np.minimum(image[:, :, :3].astype(np.uint16) * 255 // alpha, 255)
    return np.dstack([colours.astype(np.uint8), image[:, :, 3]])


def upright(image: Pixels, orientation: int) -> Pixels:
    """Rotate and mirror pixels as an EXIF orientation from 1 to 8 says."""
    transposed, top_down, mirrored = TURNS.get(orientation, (False, False, False))
    if transposed:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if top_down else 1, :: -1 if mirrored else 1])


# Image formats of phones, and how to convert them on Debian or Raspberry Pi OS.
UNSUPPORTED = {
    "HEIC": "heif-convert photo.heic photo.jpg (apt install libheif-examples), or let the phone save JPEG",
    "AVIF": "heif-convert photo.avif photo.jpg (apt install libheif-examples)",
    "GIF": "save it as PNG",
}
