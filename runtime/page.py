"""Letters on a photographed page: where they are."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .ink import find_ink, ink_levels, pixel_noise, to_gray
from .pixels import Pixels
from .rules import without_rules

# Photographs are brought to this size, where letters are mostly far larger than the network's 28 pixels, and where they are
# smaller than this to the other.
LONGEST_SIDE_PX, SMALL_LETTER_PX, FINEST_SIDE_PX = 1024, 36, 1600
SMALLEST_OUTLINE_PX, SMALLEST_PX = 8, 10
# A page has far fewer strokes; a picture of grass or gravel has more, and must not stop the camera.
MOST_PIECES = 1500
# Shares of the typical letter's size on the page.
DUST_SHARE, SPECK_SHARE, DOT_SHARE, DOT_GAP_SHARE, JOIN_GAP_SHARE = 0.05, 0.25, 0.55, 0.55, 0.12
# A dot stands beside its stem by at most this share of the stem's height.
DOT_OFFSET_SHARE = 0.35
# Of two pieces above each other one is smaller than this, or they are letters of two lines.
PART_SHARE = 0.65
# A flat stroke above or below the rest of its letter, as shares of the rest's height and of the typical size.
BAR_SHARE, BAR_GAP_SHARE = 0.3, 0.3
# Ink that is weaker than this through and through is a smear, a fold or the edge of a shadow: pencil is stronger, in this
# share of its pixels at least.
FAINTEST, CORE_SHARE = 32, 0.1
# Paper with more noise than this, in levels of ink, is smoothed, and with much more is smoothed more: the noise would join
# strokes and tear them.
GRAINY, COARSE = 4.0, 9.0
LEAST_BLUR_PX, MOST_BLUR_PX = 1.1, 1.8
# Writing is stronger than the least ink that is told from paper by this factor; grain, folds and wood are not.
STANDS_OUT = 2.2
# Two pieces whose boxes share this much of the smaller one are one letter.
OVERLAP_SHARE = 0.3
# Pieces above each other are one letter only up to this many typical sizes.
TALLEST_JOINED, WIDEST_JOINED = 1.4, 1.3
# Pieces that come this close, as a share of the typical size, were meant to touch.
BROKEN_SHARE = 0.05
OUTLINE_POINTS = 150
# What is flatter than this is a dash or a scrap of a rule, not a letter.
FLATTEST = 0.15
# No stroke is this many times as long as it is thick, no letter this many times as large as the typical one.
THINNEST, LARGEST = 28, 8
# A frame is this many times as large as a letter, and encloses more pieces than this, itself included.
FRAME_SIZE, MOST_ENCLOSED = 2.5, 4
# What spans more of the page than this is a frame or a shadow.
FRAME_SHARE = 0.6
# What lies within this share of the picture's sides is the edge of the paper or its frame.
EDGE_SHARE = 0.02


@dataclass(frozen=True)
class Spot:
    """One letter's place: box (x, y, width, height) in pixels of the image, and its ink (h, w) uint8.

    corner is where the ink's left and top lie on the page at the size at which it was searched.
    """

    box: tuple[int, int, int, int]
    ink: Pixels
    corner: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Pieces:
    """Connected strokes of a page: outlines (n, 1, 2) int32 each, and boxes (N, 4) int64 of x, y, width, height."""

    outlines: tuple[NDArray[Any], ...]
    boxes: NDArray[np.int64]


@dataclass(frozen=True)
class Strokes:
    """The strokes of a photograph, `scale` times its size: ink (H, W) uint8, and a mask (H, W) uint8 of 0 and 255."""

    ink: Pixels
    mask: Pixels
    scale: float


def find_strokes(image: Pixels, longest: int = LONGEST_SIDE_PX) -> Strokes:
    """Tell strokes from paper, shadows, grain and rules.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8; ink dark on light or light on dark.
        longest: pixels of the longer side at which the page is searched, where it has as many.
    """
    gray = to_gray(image)
    scale = min(1.0, longest / max(gray.shape))
    if scale < 1:
        # Averaging is slow, and needed only where whole pixels would be passed over.
        way = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        gray = cv2.resize(gray, (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))), interpolation=way)
    ink = find_ink(gray)
    noise = pixel_noise(ink)
    if noise > GRAINY:
        ink = cv2.GaussianBlur(ink, (0, 0), LEAST_BLUR_PX if noise < COARSE else MOST_BLUR_PX)
    levels = ink_levels(ink)
    if levels.stroke < STANDS_OUT:
        return Strokes(ink, np.zeros_like(ink), scale)
    return Strokes(*without_rules(ink, levels.threshold), scale)


def find_spots(image: Pixels) -> list[Spot]:
    """Find what may be letters on a page, in no order; takes images as find_strokes does."""
    strokes = find_strokes(image)
    pieces = find_pieces(strokes.mask)
    size = typical_size(pieces)
    if strokes.scale < 1 and size < SMALL_LETTER_PX:
        strokes = find_strokes(image, FINEST_SIDE_PX)
        pieces = find_pieces(strokes.mask)
        size = typical_size(pieces)
    pieces = without_frames(without_dust(pieces, size), size)
    groups = join_pieces(pieces, size)
    letters = [group for group in groups if is_letter_sized(_bounds(pieces.boxes[group]), size)]
    spots = [_cut(group, strokes, pieces) for group in letters]
    return [spot for spot in spots if np.count_nonzero(spot.ink >= FAINTEST) >= CORE_SHARE * np.count_nonzero(spot.ink)]


def find_pieces(mask: Pixels) -> Pieces:
    """Find the connected strokes of a mask (H, W), leaving out dust and what lies along the picture's edge."""
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return Pieces((), np.zeros((0, 4), np.int64))
    outer = [o for o, node in zip(outlines, tree[0], strict=True) if node[3] < 0 and len(o) >= SMALLEST_OUTLINE_PX]
    if len(outer) > MOST_PIECES:
        outer = sorted(outer, key=len, reverse=True)[:MOST_PIECES]
    boxes = np.array([cv2.boundingRect(outline) for outline in outer], np.int64).reshape(-1, 4)
    kept = [i for i, outline in enumerate(outer) if not _is_edge(outline, boxes[i], mask.shape)]
    return Pieces(tuple(outer[i] for i in kept), boxes[kept])


def typical_size(pieces: Pieces) -> float:
    """Return the size in pixels (longer side of the box) at which half of all outline lies on smaller pieces."""
    if not pieces.outlines:
        return 0.0
    sizes = pieces.boxes[:, 2:].max(1)
    order = np.argsort(sizes)
    outline = np.cumsum([len(pieces.outlines[i]) for i in order])
    return float(sizes[order][np.searchsorted(outline, outline[-1] / 2)])


def without_dust(pieces: Pieces, size: float) -> Pieces:
    """Leave out what is smaller than any dot, and scraps of rules; size is the typical letter's, in pixels."""
    longer, shorter = pieces.boxes[:, 2:].max(1, initial=0), pieces.boxes[:, 2:].min(1, initial=1 << 30)
    kept = np.flatnonzero((longer >= DUST_SHARE * size) & (longer <= THINNEST * shorter) & (longer <= LARGEST * size))
    return Pieces(tuple(pieces.outlines[i] for i in kept), pieces.boxes[kept])


def without_frames(pieces: Pieces, size: float) -> Pieces:
    """Leave out what encloses letters: the edge of the paper on a desk, a drawn box; size is the typical letter's, in pixels."""
    boxes = pieces.boxes
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    letters = boxes[:, 2:].max(1, initial=0) >= SPECK_SHARE * size
    frames = [
        i
        for i in np.flatnonzero(boxes[:, 2:].max(1, initial=0) > FRAME_SIZE * size)
        if (letters & (low >= low[i]).all(1) & (high <= high[i]).all(1)).sum() > MOST_ENCLOSED
    ]
    kept = np.setdiff1d(np.arange(len(boxes)), frames)
    return Pieces(tuple(pieces.outlines[i] for i in kept), boxes[kept])


def is_letter_sized(box: tuple[int, int, int, int], size: float) -> bool:
    """Tell a letter's box (x, y, width, height) from a speck's and a dash's; size is the typical letter's."""
    _, _, width, height = box
    return max(width, height) >= max(SMALLEST_PX, SPECK_SHARE * size) and height >= FLATTEST * width


def join_pieces(pieces: Pieces, size: float) -> list[list[int]]:
    """Group the pieces that make one letter (dots with stems, broken strokes), as indices into them."""
    boxes = pieces.boxes
    group_of = list(range(len(boxes)))
    groups: dict[int, list[int]] = {piece: [piece] for piece in group_of}
    for a in range(len(boxes)):
        for b in near_pieces(boxes, a):
            one, other = group_of[a], group_of[b]
            if one == other or not is_one_letter(boxes, groups[one] + groups[other], size):
                continue
            if belong_together(boxes[a], boxes[b], size) or is_broken(pieces.outlines[a], pieces.outlines[b], size):
                for piece in groups[other]:
                    group_of[piece] = one
                groups[one] += groups.pop(other)
    return list(groups.values())


def is_one_letter(boxes: NDArray[np.int64], group: list[int], size: float) -> bool:
    """Tell whether a group of pieces is no larger than a letter, or hardly larger than its largest piece."""
    _, _, width, height = _bounds(boxes[group])
    widest, tallest = boxes[group, 2].max(), boxes[group, 3].max()
    return width <= WIDEST_JOINED * max(size, widest) and height <= TALLEST_JOINED * max(size, tallest)


def near_pieces(boxes: NDArray[np.int64], a: int) -> NDArray[np.intp]:
    """Return the pieces after piece `a` that lie close enough to it to be of one letter."""
    corner = boxes[a + 1 :, :2] - boxes[a, :2]
    gap = np.maximum(corner - boxes[a, 2:], -corner - boxes[a + 1 :, 2:]).max(1)
    return a + 1 + np.flatnonzero(gap <= DOT_GAP_SHARE * np.maximum(boxes[a, 2:].max(), boxes[a + 1 :, 2:].max(1)))


def belong_together(a: NDArray[np.int64], b: NDArray[np.int64], size: float) -> bool:
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


def _is_edge(outline: NDArray[Any], box: NDArray[np.int64], shape: tuple[int, ...]) -> bool:
    """Tell whether an outline with this box runs along the picture's edge: a frame, the end of the paper, a finger."""
    height, width = shape
    zone_x, zone_y = EDGE_SHARE * width, EDGE_SHARE * height
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if left >= zone_x and top >= zone_y and right < width - zone_x and bottom < height - zone_y:
        return False
    x, y = outline[:, 0, 0], outline[:, 0, 1]
    near = (x < zone_x) | (x >= width - zone_x) | (y < zone_y) | (y >= height - zone_y)
    spans = np.ptp(x) > FRAME_SHARE * width or np.ptp(y) > FRAME_SHARE * height
    return bool(near.mean() > 0.8 or (spans and near.any()))


def _bounds(boxes: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) around boxes (N, 4)."""
    left, top = boxes[:, :2].min(0)
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(0)
    return int(left), int(top), int(right - left), int(bottom - top)


def _cut(group: list[int], strokes: Strokes, pieces: Pieces) -> Spot:
    """Cut the ink of one group of pieces out of the page, without its neighbours' ink."""
    x, y, w, h = _bounds(pieces.boxes[group])
    # One pixel more than the mask: the soft edge of the strokes belongs to them.
    left, top = max(0, x - 1), max(0, y - 1)
    window = np.s_[top : y + h + 1, left : x + w + 1]
    mask, scale = strokes.mask[window], strokes.scale
    own = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(own, [pieces.outlines[i] for i in group], -1, 255, cv2.FILLED, offset=(-left, -top))
    own = cv2.dilate(cv2.bitwise_and(own, mask), np.ones((3, 3), np.uint8))
    box = (round(x / scale), round(y / scale), round(w / scale), round(h / scale))
    return Spot(box, cv2.bitwise_and(strokes.ink[window], own), (left, top))
