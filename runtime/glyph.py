"""The one preprocessing: ink of a letter to the 28x28 picture that every network sees."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels

GLYPH_PX = 28
# Height, width and channels of what the networks take.
GLYPH_SHAPE = (GLYPH_PX, GLYPH_PX, 1)
BORDER_PX = 2
# Ink below this share of the letter's own strongest ink is halo of a blurred edge, not letter.
EDGE_SHARE = 0.35
# Pen heads of one pixel keep their peak only partly when shrunk; beyond this gain it is noise that grows.
MAX_GAIN = 4.0


def glyph(ink: Pixels) -> Pixels:
    """Fit the ink of one letter into the picture that the network reads.

    The letter's bounding box keeps its aspect, its longer side spans 24 pixels, and it stands centred
    on 28x28 with white ink on black, as EMNIST has it. The strongest ink becomes 255, so faint pencil
    and black marker look alike.

    Args:
        ink: (H, W) uint8, 0 where the paper is bare, rising with the strength of the ink.

    Returns:
        (28, 28) uint8; all zero where there is no ink.
    """
    box = ink_box(ink)
    picture = np.zeros((GLYPH_PX, GLYPH_PX), np.uint8)
    if box is None:
        return picture
    x, y, w, h = box
    scale = (GLYPH_PX - 2 * BORDER_PX) / max(w, h)
    width, height = max(1, round(w * scale)), max(1, round(h * scale))
    crop = ink[y : y + h, x : x + w]
    shrink = scale < 1
    fitted = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR_EXACT)
    gain = min(MAX_GAIN * 255 / peak_of(crop), 255 / max(1, peak_of(fitted)))
    left, top = (GLYPH_PX - width) // 2, (GLYPH_PX - height) // 2
    picture[top : top + height, left : left + width] = cv2.convertScaleAbs(fitted, alpha=gain)
    return picture


def halved(pictures: Pixels) -> NDArray[np.float32]:
    """Return (n, 196) float32 of pictures (n, 28, 28) or (n, 28, 28, 1) uint8: blocks of four pixels, averaged, 0..255."""
    fine = pictures.reshape(-1, GLYPH_PX, GLYPH_PX).astype(np.float32)
    # Four slices, as a mean over two axes takes NumPy five times as long.
    blocks = fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]
    return blocks.reshape(len(fine), -1) * np.float32(0.25)


def ink_box(ink: Pixels) -> tuple[int, int, int, int] | None:
    """Return the (x, y, width, height) in pixels that bounds the ink, or None where there is none."""
    peak = peak_of(ink) if ink.size else 0
    if peak == 0:
        return None
    core = at_least(ink, max(1.0, EDGE_SHARE * peak))
    x, y, w, h = cv2.boundingRect(core)
    return x, y, w, h


def peak_of(ink: Pixels) -> int:
    """Return the strongest ink of (h, w) uint8; of a picture so small NumPy's own maximum takes twice as long."""
    return int(cv2.norm(ink, cv2.NORM_INF))


def at_least(ink: Pixels, level: float) -> Pixels:
    """Return a mask (H, W) uint8, 255 where the ink reaches the level and 0 elsewhere."""
    return cv2.threshold(ink, math.ceil(level) - 1, 255, cv2.THRESH_BINARY)[1]
