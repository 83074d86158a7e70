"""Ink of a picture that shows one letter: specks and scraps of rules at its edge are not part of it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .glyph import at_least
from .ink import find_ink, ink_levels
from .pixels import Pixels

# A dot of i is rarely smaller than this share of the letter's ink; dust is.
SPECK_SHARE = 0.025
# Ink of a neighbour or a rule that the crop cut through, at most this share of all ink.
SCRAP_SHARE = 0.3
# A rule runs along this much of a side, and is at most this thick, as shares of the picture's side.
RULE_LENGTH, RULE_THICKNESS = 0.6, 0.12


def letter_ink(image: Pixels) -> Pixels:
    """Return the ink of the one letter in a picture.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8, dark on light or light on dark.

    Returns:
        (H, W) uint8 ink, 0 off the letter.
    """
    ink = find_ink(image)
    mask = at_least(ink, ink_levels(ink).threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 1:
        return np.zeros_like(ink)
    keep = np.zeros(count, np.uint8)
    keep[1:] = _is_letter(stats[1:], ink.shape) * 255
    if not keep.any():
        return np.zeros_like(ink)
    # One pixel more than the mask: the soft edge of the strokes belongs to them.
    grown = cv2.dilate(keep[np.asarray(labels, np.intp)], np.ones((3, 3), np.uint8))
    return cv2.bitwise_and(ink, grown)


def _is_letter(stats: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which components (OpenCV's stats, one a row) belong to the letter."""
    height, width = shape[:2]
    x, y, w, h, area = stats.T
    total = area.sum()
    cut = (x == 0) | (y == 0) | (x + w == width) | (y + h == height)
    rule = ((w > RULE_LENGTH * width) & (h <= max(2, RULE_THICKNESS * height))) | (
        (h > RULE_LENGTH * height) & (w <= max(2, RULE_THICKNESS * width))
    )
    scrap = cut & ((area < SCRAP_SHARE * total) | rule)
    kept = ~scrap & (area >= SPECK_SHARE * total)
    # A picture that is cut close touches its edges everywhere: then the edge tells nothing.
    return kept if kept.any() else area == area.max()
