"""Reading pictures: whatever OpenCV decodes, upright, in eight bits, and nothing that is too large for the memory."""

import os
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from .. import LettercastError
from .header import Header, read_header
from .pixels import Pixels
from .quiet import quiet

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# An A4 page at 600 dpi has 35 million; 100 million take 300 MB of memory.
MAX_PIXELS = 100_000_000
JPEG_END = b"\xff\xd9"
# By EXIF orientation: transpose, then turn top to bottom, then left to right.
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# What white may be in whole numbers wider than 16 bits and in floats.
WHITES = (255, 2**16 - 1, 2**32 - 1)


def read_image(path: Path) -> Pixels:
    """Read a picture upright: (H, W) or (H, W, C) uint8, colours as BGR or BGRA; of several pages or frames the first.

    Sixteen bits are brought to eight by one scale for all pictures, so that blank paper stays blank.
    Raises LettercastError where the file is missing, empty, damaged, not a picture, or has more than MAX_PIXELS, which
    its header tells.
    """
    try:
        with path.open("rb") as file:
            header = known_header(path, file)
            file.seek(0)
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise LettercastError(f"{path}: {reason}; give a picture, e.g. page.jpg") from error
    try:
        with quiet():
            # Any other mode drops transparency; this one leaves the orientation to us.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None and header.kind in UNREAD:
        raise LettercastError(f"{path}: {header.kind} is not read here; convert it: {UNREAD[header.kind]}")
    if image is None:
        raise LettercastError(f"{path}: damaged, or no {header.kind} that this OpenCV reads; copy it again, or save it as PNG")
    # Older OpenCV fills up with grey what a JPEG lacks: half a page would be read in silence.
    if header.kind == "JPEG" and data.rfind(JPEG_END) < header.start:
        raise LettercastError(f"{path}: the picture breaks off; copy it again")
    if header.kind == "TIFF":
        image = divide_alpha(image)
    return upright(to_uint8(image), header.orientation)


def known_header(path: Path, file: BinaryIO) -> Header:
    """Return the header of a picture that may be decoded; raises LettercastError for all else."""
    try:
        header = read_header(file)
    except (EOFError, ValueError) as error:
        raise LettercastError(f"{path}: the picture breaks off or is damaged; copy it again") from error
    if header is None:
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            raise LettercastError(f"{path}: the file is empty; take or copy the picture again")
        raise LettercastError(f"{path}: not a picture that can be read; give one of {', '.join(IMAGE_SUFFIXES)}")
    if header.width * header.height > MAX_PIXELS:
        raise LettercastError(
            f"{path}: {header.width} x {header.height} pixels, {MAX_PIXELS // 10**6} million at most; make it smaller"
        )
    return header


def to_uint8(image: Pixels) -> Pixels:
    """Bring pixels of any depth to uint8 by a scale that hangs on the depth, not on the picture.

    Floats are 0 to 1; where the largest is above, they and whole numbers beyond 16 bits are taken for 0 to 255,
    65535 or 4294967295. What is not a number is black.
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
    """Undo what the TIFF reader does to the colours of transparent pixels: it multiplies them by alpha."""
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        return image
    alpha = np.maximum(image[:, :, 3:], 1).astype(np.uint16)
    colours = np.minimum(image[:, :, :3].astype(np.uint16) * 255 // alpha, 255)
    return np.dstack([colours.astype(np.uint8), image[:, :, 3]])


def upright(image: Pixels, orientation: int) -> Pixels:
    """Turn and mirror pixels as an EXIF orientation from 1 to 8 asks."""
    transposed, top_down, mirrored = TURNS.get(orientation, (False, False, False))
    if transposed:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if top_down else 1, :: -1 if mirrored else 1])


# Phones' own kinds, and how to convert them on Debian or Raspberry Pi OS.
UNREAD = {
    "HEIC": "heif-convert photo.heic photo.jpg (apt install libheif-examples), or let the phone save JPEG",
    "AVIF": "heif-convert photo.avif photo.jpg (apt install libheif-examples)",
    "GIF": "save it as PNG",
}
