"""Preprocessing: the ink of a letter becomes the 28x28 image that every network reads."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels

GLYPH_PX = 28
# Height, width and channels of the networks' input.
GLYPH_SHAPE = (GLYPH_PX, GLYPH_PX, 1)
BORDER_PX = 2
# Ink below this share of the letter's strongest ink is the halo of a blurred edge. The networks are trained with this value and
# the next, so changing them means training again.
EDGE_SHARE = 0.35
# Shrinking weakens strokes of one pixel, so the result is amplified; a larger gain would amplify noise.
MAX_GAIN = 4.0


def glyph(ink: Pixels) -> Pixels:
    """Fit the ink of one letter into the image that the network reads.

    The letter's bounding box keeps its aspect ratio, its longer side becomes 24 pixels, and it is centred on 28x28 with white
    ink on black, as in EMNIST. The strongest ink becomes 255, so that faint pencil and black marker look alike.

    Args:
        ink: (H, W) uint8, 0 on bare paper, larger for stronger ink.

    Returns:
        (28, 28) uint8; all zero if there is no ink.
    """
    image = np.zeros((GLYPH_PX, GLYPH_PX), np.uint8)
    peak = peak_of(ink) if ink.size else 0
    if peak == 0:
        return image
    # The strongest ink lies in it.
    x, y, w, h = box_of(ink, peak)
    scale = (GLYPH_PX - 2 * BORDER_PX) / max(w, h)
    width, height = max(1, round(w * scale)), max(1, round(h * scale))
    crop = ink[y : y + h, x : x + w]
    shrink = scale < 1
    fitted = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR_EXACT)
    gain = min(MAX_GAIN * 255 / peak, 255 / max(1, peak_of(fitted)))
    left, top = (GLYPH_PX - width) // 2, (GLYPH_PX - height) // 2
    image[top : top + height, left : left + width] = cv2.convertScaleAbs(fitted, alpha=gain)
    return image


def halved(images: Pixels) -> NDArray[np.float32]:
    """Average blocks of four pixels of images (n, 28, 28) or (n, 28, 28, 1) uint8; returns (n, 196) float32, 0..255."""
    fine = images.reshape(-1, GLYPH_PX, GLYPH_PX).astype(np.float32)
    # A sum of four slices, because a mean over two axes takes NumPy five times as long.
    blocks = fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]
    return blocks.reshape(len(fine), -1) * np.float32(0.25)


def ink_box(ink: Pixels) -> tuple[int, int, int, int] | None:
    """Return the box (x, y, width, height) of the ink in pixels, or None if there is no ink."""
    peak = peak_of(ink) if ink.size else 0
    return box_of(ink, peak) if peak else None


def box_of(ink: Pixels, peak: int) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) of ink (h, w) uint8 of which the strongest is `peak`, without the halo of its edge."""
    x, y, w, h = cv2.boundingRect(at_least(ink, max(1.0, EDGE_SHARE * peak)))
    return x, y, w, h


def peak_of(ink: Pixels) -> int:
    """Return the strongest ink of (h, w) uint8; for small images np.max takes twice as long."""
    return int(cv2.norm(ink, cv2.NORM_INF))


def at_least(ink: Pixels, level: float) -> Pixels:
    """Return a mask (H, W) uint8: 255 if the ink is at least the level, else 0."""
    return cv2.threshold(ink, math.ceil(level) - 1, 255, cv2.THRESH_BINARY)[1]
