"""What a picture's first bytes say: its kind, its size and how it was held, at no cost of decoding."""

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

PREFIX_BYTES = 512
# The boxes of AVIF and HEIC that tell the size come before the picture itself.
BOXES_BYTES = 65536
UPRIGHT, ORIENTATION_TAG, WIDTH_TAG, HEIGHT_TAG = 1, 274, 256, 257


@dataclass(frozen=True)
class Header:
    """The kind of a picture, its size in pixels as stored, and the EXIF orientation (1 to 8) that is still to be heeded."""

    kind: str
    width: int
    height: int
    orientation: int = UPRIGHT
    # Of a JPEG, the byte where its frame begins: an end before it is that of a thumbnail.
    start: int = 0


def read_header(file: BinaryIO) -> Header | None:
    """Read what kind of picture a file is and how large; None where it is none that is known here.

    Raises EOFError where the file breaks off within its header, ValueError where that makes no sense.
    """
    prefix = file.read(PREFIX_BYTES)
    for pattern, read in READERS:
        if pattern.match(prefix):
            try:
                return read(file)
            except struct.error as error:
                raise EOFError(str(error)) from error
    return None


def _take(file: BinaryIO, layout: str, at: int | None = None) -> tuple[Any, ...]:
    """Unpack the next bytes, or those at a place; a short read is a struct.error."""
    if at is not None:
        file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _png(file: BinaryIO) -> Header:
    width, height = _take(file, ">II", 16)
    return Header("PNG", width, height, _png_orientation(file))


def _png_orientation(file: BinaryIO) -> int:
    """Walk the chunks: EXIF may stand before the pixels or after them.

    Whatever length a chunk claims, OpenCV makes room for it, gigabytes where a byte is wrong; so it must fit the file.
    """
    size = file.seek(0, os.SEEK_END)
    at, name, orientation = 8, b"", UPRIGHT
    while name != b"IEND":
        length, name = _take(file, ">I4s", at)
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
        (marker,) = _take(file, ">H")
        # Any number of FF may stand before a marker.
        while marker == 0xFFFF:
            marker = 0xFF00 | _take(file, "B")[0]
        if marker < 0xFF01:
            raise ValueError("no marker where one must be")
        if marker == 0xFF01 or 0xFFD0 <= marker <= 0xFFD8:
            continue
        (length,) = _take(file, ">H")
        body = file.tell()
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            _, height, width = _take(file, ">BHH")
            return Header("JPEG", width, height, orientation, body)
        if marker == 0xFFE1 and file.read(6) == b"Exif\0\0":
            orientation = _exif_orientation(file.read(max(0, length - 8)))
        file.seek(body + length - 2)


def _webp(file: BinaryIO) -> Header:
    (name,) = _take(file, "4s", 12)
    if name == b"VP8X":
        low_w, high_w, low_h, high_h = _take(file, "<HBHB", 24)
        return Header("WebP", (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1, _webp_orientation(file))
    if name == b"VP8L":
        (bits,) = _take(file, "<I", 21)
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = _take(file, "<HH", 26)
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
    # OpenCV heeds the orientation of TIFF itself, whatever it is asked for.
    return Header("TIFF", tags[WIDTH_TAG], tags[HEIGHT_TAG])


def _tiff_tags(file: BinaryIO) -> dict[int, int]:
    """Return the tags of a TIFF's first page whose values are single whole numbers."""
    file.seek(0)
    order = "<" if file.read(4)[:2] == b"II" else ">"
    (count,) = _take(file, f"{order}H", *_take(file, f"{order}I"))
    tags = {}
    for _ in range(count):
        tag, kind, number, value = _take(file, f"{order}HHI4s")
        if number == 1 and kind in (3, 4):
            tags[tag] = struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else struct.unpack(f"{order}I", value)[0]
    return tags


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF asks for; EXIF is a TIFF without a picture, and not worth refusing a photo for."""
    try:
        orientation = _tiff_tags(BytesIO(exif.removeprefix(b"Exif\0\0"))).get(ORIENTATION_TAG, UPRIGHT)
    except struct.error:
        return UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def _bmp(file: BinaryIO) -> Header:
    (size,) = _take(file, "<I", 14)
    width, height = _take(file, "<HH") if size == 12 else _take(file, "<ii")
    return Header("BMP", abs(width), abs(height))


def _gif(file: BinaryIO) -> Header:
    return Header("GIF", *_take(file, "<HH", 6))


def _pnm(file: BinaryIO) -> Header:
    file.seek(0)
    numbers = re.findall(rb"\d+(?=\s)", re.sub(rb"#[^\n]*", b"", file.read(PREFIX_BYTES)[2:]))
    if len(numbers) < 2:
        raise EOFError("no size")
    return Header("PNM", int(numbers[0]), int(numbers[1]))


def _boxes(file: BinaryIO) -> Header:
    """AVIF and HEIC: pictures in boxes, each part with an `ispe` that tells its size; the whole is the largest."""
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
