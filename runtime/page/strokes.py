"""Connected strokes of a page: what may belong to letters, and what is dust, frame or edge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from ..text import Box

# Outlines shorter than this are dust.
SMALLEST_OUTLINE_PX = 8
# A page has far fewer strokes; a picture of grass or gravel has more, and must not stop the camera.
MOST_PIECES = 1500
# Dust and specks, as shares of the typical letter's size on the page.
DUST_SHARE, SPECK_SHARE = 0.05, 0.25
# No stroke is this many times as long as it is thick, no letter this many times as large as the typical one.
THINNEST, LARGEST = 28, 8
# A bar is narrower than this share of its length; on a ruled page with a larger share of them they are no writing.
BAR_WIDTH, MOST_BARS = 0.2, 0.5
# A frame is this many times as large as a letter, and encloses more pieces than this, itself included; of so many of the
# largest pieces each may be one, and what is smaller than this is not counted.
FRAME_SIZE, MOST_ENCLOSED, MOST_FRAMES, SMALLEST_ENCLOSED_PX = 2.5, 4, 8, 6
# What spans more of the page than this is a frame or a shadow.
FRAME_SHARE = 0.6
# What lies within this share of the picture's sides is the edge of the paper or its frame.
EDGE_SHARE = 0.02
# An edge runs along the picture's sides with this share of its outline; a letter that fills the picture with less than that.
MOST_ALONG_EDGE, LETTER_ALONG_EDGE = 0.8, 0.3


@dataclass(frozen=True)
class Pieces:
    """Connected strokes of a page: outlines (n, 1, 2) int32 each, and boxes (N, 4) int64 of x, y, width, height."""

    outlines: tuple[NDArray[Any], ...]
    boxes: NDArray[np.int64]

    def take(self, kept: NDArray[np.intp]) -> "Pieces":
        """Return some of the pieces, by index."""
        return Pieces(tuple(self.outlines[i] for i in kept), self.boxes[kept])


def find_pieces(mask: Pixels) -> Pieces:
    """Find the connected strokes of a mask (H, W), leaving out dust and what lies along the picture's edge."""
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return Pieces((), np.zeros((0, 4), np.int64))
    outer = [o for o, node in zip(outlines, tree[0], strict=True) if node[3] < 0 and len(o) >= SMALLEST_OUTLINE_PX]
    if len(outer) > MOST_PIECES:
        outer = sorted(outer, key=len, reverse=True)[:MOST_PIECES]
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in map(cv2.boundingRect, outer)]
    kept = [i for i, outline in enumerate(outer) if not _is_edge(outline, boxes[i], mask.shape)]
    if not kept:
        # A letter may fill the picture and run out of it.
        kept = [i for i, outline in enumerate(outer) if _share_along_edge(outline, mask.shape) < LETTER_ALONG_EDGE]
    return Pieces(tuple(outer[i] for i in kept), np.array([boxes[i] for i in kept], np.int64).reshape(-1, 4))


def typical_size(pieces: Pieces) -> float:
    """Return the size in pixels (longer side of the box) at which half of all outline lies on smaller pieces, without frames."""
    if not pieces.outlines:
        return 0.0
    sizes = pieces.boxes[:, 2:].max(1)
    # The edge of a sheet is longer than all letters on it together.
    order = np.argsort(sizes, kind="stable")
    frames = enclosing(pieces, order[-MOST_FRAMES:], SMALLEST_ENCLOSED_PX)
    if len(frames):
        order = order[~np.isin(order, frames)]
    outline = np.cumsum([len(pieces.outlines[i]) for i in order])
    return float(sizes[order][np.searchsorted(outline, outline[-1] / 2)])


def without_dust(pieces: Pieces, size: float) -> Pieces:
    """Leave out what is smaller than any dot, and scraps of rules; size is the typical letter's, in pixels."""
    longer, shorter = pieces.boxes[:, 2:].max(1, initial=0), pieces.boxes[:, 2:].min(1, initial=1 << 30)
    kept = np.flatnonzero((longer >= DUST_SHARE * size) & (longer <= THINNEST * shorter) & (longer <= LARGEST * size))
    return pieces.take(kept)


def without_scraps(pieces: Pieces) -> Pieces:
    """Leave out bars where most of a ruled page are bars: what is left of its rules."""
    large = [i for i, box in enumerate(pieces.boxes) if box[2:].max() >= SMALLEST_ENCLOSED_PX]
    bars = [i for i in large if is_bar(pieces.outlines[i])]
    return pieces.take(np.setdiff1d(np.arange(len(pieces.boxes)), bars)) if len(bars) > MOST_BARS * len(large) else pieces


def is_bar(outline: NDArray[Any]) -> bool:
    """Tell a straight stroke from what has parts, by the narrowest rectangle around its outline (n, 1, 2)."""
    _, (a, b), _ = cv2.minAreaRect(outline)
    return min(a, b) <= BAR_WIDTH * max(a, b)


def without_frames(pieces: Pieces, size: float) -> Pieces:
    """Leave out what encloses letters: the edge of the paper on a desk, a drawn box; size is the typical letter's, in pixels."""
    large = np.flatnonzero(pieces.boxes[:, 2:].max(1, initial=0) > FRAME_SIZE * size)
    frames = enclosing(pieces, large, SPECK_SHARE * size)
    return pieces.take(np.setdiff1d(np.arange(len(pieces.boxes)), frames)) if len(frames) else pieces


def enclosing(pieces: Pieces, which: NDArray[np.intp], least: float) -> NDArray[np.intp]:
    """Return those of some pieces that hold more than a letter's parts in their boxes, counting from `least` pixels."""
    counted = pieces.boxes[pieces.boxes[:, 2:].max(1, initial=0) >= least]
    low, high = counted[:, :2], counted[:, :2] + counted[:, 2:]
    outer = pieces.boxes[which][:, None]
    inside = (low >= outer[..., :2]).all(2) & (high <= outer[..., :2] + outer[..., 2:]).all(2)
    return which[inside.sum(1) > MOST_ENCLOSED]


def _is_edge(outline: NDArray[Any], box: Box, shape: tuple[int, ...]) -> bool:
    """Tell whether an outline with this box runs along the picture's edge: a frame, the end of the paper, a finger."""
    if not _touches_edge(box, shape):
        return False
    spans = box[2] > FRAME_SHARE * shape[1] or box[3] > FRAME_SHARE * shape[0]
    along = _share_along_edge(outline, shape)
    return bool(along > MOST_ALONG_EDGE or (spans and along))


def _touches_edge(box: Box, shape: tuple[int, ...]) -> bool:
    """Tell whether a box reaches into the zone along the picture's sides."""
    zone_x, zone_y = EDGE_SHARE * shape[1], EDGE_SHARE * shape[0]
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    return left < zone_x or top < zone_y or right >= shape[1] - zone_x or bottom >= shape[0] - zone_y


def _share_along_edge(outline: NDArray[Any], shape: tuple[int, ...]) -> float:
    """Return the share 0..1 of an outline's points that lie along the picture's edge."""
    height, width = shape
    zone_x, zone_y = EDGE_SHARE * width, EDGE_SHARE * height
    x, y = outline[:, 0, 0], outline[:, 0, 1]
    return float(((x < zone_x) | (x >= width - zone_x) | (y < zone_y) | (y >= height - zone_y)).mean())


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
