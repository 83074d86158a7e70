"""Pieces that make one letter: dots with stems, bars with the rest, strokes that nearly touch."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .pieces import SPECK_SHARE, Pieces
from .text import Box

# Shares of the typical letter's size on the page, or of the stem's height.
DOT_SHARE, DOT_GAP_SHARE, JOIN_GAP_SHARE = 0.55, 0.55, 0.12
# A dot stands beside its stem by at most this share of the stem's height.
DOT_OFFSET_SHARE = 0.35
# Of two pieces above each other one is smaller than this, or they are letters of two lines.
PART_SHARE = 0.65
# A flat stroke above or below the rest of its letter, as shares of the rest's height and of the typical size.
BAR_SHARE, BAR_GAP_SHARE = 0.3, 0.3
# Two pieces whose boxes share this much of the smaller one are one letter.
OVERLAP_SHARE = 0.3
# Pieces above each other are one letter only up to this many typical sizes.
TALLEST_JOINED, WIDEST_JOINED = 1.4, 1.3
# Pieces that come this close, as a share of the typical size, were meant to touch.
BROKEN_SHARE = 0.05
OUTLINE_POINTS = 150
# Of a picture of gravel so many pieces are looked at with all others at once.
AT_ONCE = 256


def join_pieces(pieces: Pieces, size: float) -> list[list[int]]:
    """Group the pieces that make one letter (dots with stems, broken strokes), as indices into them."""
    # Plain integers: of numbers one by one NumPy's are ten times slower.
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in pieces.boxes.tolist()]
    group_of = list(range(len(boxes)))
    groups: dict[int, list[int]] = {piece: [piece] for piece in group_of}
    for a, b in near_pieces(pieces.boxes):
        one, other = group_of[a], group_of[b]
        if one == other or not is_one_letter([boxes[i] for i in groups[one] + groups[other]], size):
            continue
        if belong_together(boxes[a], boxes[b], size) or is_broken(pieces.outlines[a], pieces.outlines[b], size):
            for piece in groups[other]:
                group_of[piece] = one
            groups[one] += groups.pop(other)
    return list(groups.values())


def is_one_letter(boxes: Sequence[Box], size: float) -> bool:
    """Tell whether pieces are together no larger than a letter, or hardly larger than the largest of them."""
    _, _, width, height = around(boxes)
    widest, tallest = max(w for _, _, w, _ in boxes), max(h for _, _, _, h in boxes)
    return width <= WIDEST_JOINED * max(size, widest) and height <= TALLEST_JOINED * max(size, tallest)


def near_pieces(boxes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of boxes (N, 4) that lie close enough to be of one letter, the lower index first."""
    found: list[tuple[int, int]] = []
    low, high, size = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 2:].max(1, initial=0)
    for start in range(0, len(boxes), AT_ONCE):
        own = np.s_[start : start + AT_ONCE]
        across, down = (np.maximum(low[None, :, k] - high[own, None, k], low[own, None, k] - high[None, :, k]) for k in (0, 1))
        gap = np.maximum(across, down)
        a, b = np.nonzero(gap <= DOT_GAP_SHARE * np.maximum(size[own, None], size[None]))
        found += [(i + start, j) for i, j in zip(a.tolist(), b.tolist(), strict=True) if i + start < j]
    return found


def belong_together(a: Box, b: Box, size: float) -> bool:
    """Tell whether two boxes (x, y, w, h) in pixels are pieces of one letter; size is the typical letter's."""
    shared_x = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    shared_y = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    small = min(a[2] * a[3], b[2] * b[3])
    if shared_x > 0 and shared_y > 0 and shared_x * shared_y >= OVERLAP_SHARE * small:
        return True
    gap = -shared_y
    above, below = (a, b) if a[1] < b[1] else (b, a)
    height = max(a[1] + a[3], b[1] + b[3]) - min(a[1], b[1])
    is_part = min(max(a[2:]), max(b[2:])) <= PART_SHARE * size and height <= TALLEST_JOINED * size
    if is_part and shared_x >= 0.5 * min(a[2], b[2]) and gap <= JOIN_GAP_SHARE * size:
        return True
    bar, rest = (a, b) if a[3] < b[3] else (b, a)
    is_bar = bar[3] <= BAR_SHARE * rest[3] and bar[2] >= 0.5 * rest[2]
    if is_bar and shared_x >= 0.5 * min(a[2], b[2]) and gap <= BAR_GAP_SHARE * size and height <= TALLEST_JOINED * size:
        return True
    is_dot = max(above[2:]) <= DOT_SHARE * min(below[3], size) and below[3] >= SPECK_SHARE * size
    offset = max(0, -shared_x)
    return bool(is_dot and offset <= DOT_OFFSET_SHARE * below[3] and 0 < gap <= DOT_GAP_SHARE * below[3])


def is_broken(a: NDArray[Any], b: NDArray[Any], size: float) -> bool:
    """Tell whether two outlines (n, 1, 2) nearly touch: one letter, with the pen lifted between; size is the typical letter's."""
    gap = BROKEN_SHARE * size
    (ax, ay, aw, ah), (bx, by, bw, bh) = cv2.boundingRect(a), cv2.boundingRect(b)
    if min(max(aw, ah), max(bw, bh)) > PART_SHARE * size and min(aw, bw) > SPECK_SHARE * size:
        return False
    if max(bx - ax - aw, ax - bx - bw, by - ay - ah, ay - by - bh) > gap:
        return False
    if max(ax + aw, bx + bw) - min(ax, bx) > WIDEST_JOINED * size or max(ay + ah, by + bh) - min(ay, by) > TALLEST_JOINED * size:
        return False
    # A sparse outline misses the nearest points by a pixel or two at most.
    sparse_a, sparse_b = a[:: max(1, len(a) // OUTLINE_POINTS), 0], b[:: max(1, len(b) // OUTLINE_POINTS), 0]
    apart = np.hypot(*(sparse_a[:, None] - sparse_b[None]).T)
    return bool(apart.min() <= gap)


def around(boxes: Sequence[Box]) -> Box:
    """Return the box (x, y, width, height) around boxes."""
    if len(boxes) == 1:
        return boxes[0]
    left, top = min(x for x, _, _, _ in boxes), min(y for _, y, _, _ in boxes)
    return left, top, max(x + w for x, _, w, _ in boxes) - left, max(y + h for _, y, _, h in boxes) - top
