"""Reading pictures from disk, and writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from .. import LettercastError
from .pixels import Pixels
from .quiet import quiet

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def read_image(path: Path) -> Pixels:
    """Read a picture as it is: (H, W) or (H, W, C) uint8, colours as BGR or BGRA.

    Raises LettercastError where the file is missing, empty or not a picture.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:
        raise LettercastError(
            f"{path}: {getattr(error, 'strerror', None) or 'cannot be read'}; give a picture, e.g. page.jpg"
        ) from error
    if data.size == 0:
        raise LettercastError(f"{path}: the file is empty; take or copy the picture again")
    try:
        with quiet():
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            if image is not None and not (image.ndim == 3 and image.shape[2] == 4):
                # A camera's note of how it was held is heeded only in this mode, which would drop transparency.
                image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None:
        raise LettercastError(f"{path}: not a picture that can be read; give one of {', '.join(IMAGE_SUFFIXES)}")
    if image.dtype == np.uint8:
        return np.asarray(image)
    return np.asarray(cv2.normalize(image, image, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))


def make_folder(path: Path) -> None:
    """Make a folder, with those above it; raises LettercastError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be made'}; choose another folder") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file to write, and rename it in the end, so that `path` is never half-written.

    The file ends as `path` does, for writers that go by the ending. Raises LettercastError where the folder cannot be
    written or the disk is full.
    """
    # Each process has a name of its own: two may write the same file at once.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
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
