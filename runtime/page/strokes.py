"""Connected strokes of a page: removes dust, frames and edges, and groups the strokes that make one letter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from ..text import Box


@dataclass(frozen=True)
class PiecesTuning:
    """Which connected strokes may be parts of letters.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`) and on frames
    without letters (`python -m lettercast.benchmarks.pages.blank`). Sizes are longer sides of boxes; shares without a note are
    shares of the typical letter's size on the page.
    """

    # Shorter outlines are dust.
    min_outline_px: int = 8
    # Smaller pieces are dust; smaller candidates are specks and no letters.
    min_piece_share: float = 0.05
    min_letter_share: float = 0.25
    # No stroke is more times as long as it is thick.
    max_elongation: float = 28
    # A straight bar is at most this wide, as a share of its length. If more than this share of the pieces of a ruled page are
    # bars, they are remains of the rules.
    max_bar_width: float = 0.2
    max_bars_share: float = 0.5
    # There a shorter bar is at most this wide.
    max_scrap_width: float = 0.3
    # A bar on a ruled page that is thinner than this share of its strokes is a remnant of a rule. Strokes around holes look up to
    # twice as thick as they are.
    min_bar_thickness: float = 0.2
    # A frame is larger than this and encloses more pieces than this, itself included. Only pieces of a minimum size count.
    min_frame_share: float = 2.5
    max_enclosed: int = 4
    min_enclosed_px: int = 6
    # A piece at the image's edge that spans more than this share of the image is a frame or a shadow.
    max_span: float = 0.6
    # The zone along the image's sides where the edge of the paper or its frame lies, as a share of each side.
    edge_zone: float = 0.02
    # The share of a piece's outline in that zone: an edge has more, and a letter that fills the image has less than the second.
    max_edge_share: float = 0.8
    max_letter_edge_share: float = 0.3
    # Pieces there of this size are strokes of letters, if they are at most this share of all others; more are remains of an edge.
    edge_letter_size: tuple[float, float] = (0.4, 1.3)
    max_edge_letters: float = 0.2
    # Another piece of at least the smaller size lies this far beside them, and this far above or below.
    max_edge_distance: float = 1.5
    max_edge_offset: float = 0.5


PIECES_TUNING = PiecesTuning()
# A page has far fewer strokes. An image of grass or gravel has more, and must not stop the camera.
MAX_PIECES = 1500
# Only this many of the largest pieces are checked for frames when the typical size is measured.
MAX_FRAMES = 8


def no_boxes() -> NDArray[np.int64]:
    """Return (0, 4) boxes."""
    return np.zeros((0, 4), np.int64)


@dataclass(frozen=True)
class Pieces:
    """Connected strokes of a page: N outlines (n, 1, 2) int32, and their boxes (N, 4) int64 of x, y, width, height.

    Of the whole page, holes are the outlines of what its strokes enclose, all_boxes (M, 4) int64 the boxes of all strokes, and
    dust the outlines of what is too small for a stroke.
    """

    outlines: tuple[NDArray[Any], ...]
    boxes: NDArray[np.int64]
    holes: tuple[NDArray[Any], ...] = ()
    all_boxes: NDArray[np.int64] = field(default_factory=no_boxes)
    dust: tuple[NDArray[Any], ...] = ()

    @cached_property
    def typical_size(self) -> float:
        """The typical letter's size in pixels (longer side of its box): pieces up to this size have half of all outline.

        Frames do not count; 0 if there are no pieces.
        """
        if not self.outlines:
            return 0.0
        sizes = self.boxes[:, 2:].max(1)
        # The edge of a sheet may be longer than the outlines of all letters on it together.
        order = np.argsort(sizes, kind="stable")
        frames = enclosing(self, order[-MAX_FRAMES:], PIECES_TUNING.min_enclosed_px)
        if len(frames):
            order = order[~np.isin(order, frames)]
        outline = np.cumsum(np.array(list(map(len, self.outlines)))[order])
        return float(sizes[order][np.searchsorted(outline, outline[-1] / 2)])

    def without(self, indices: Sequence[int]) -> "Pieces":
        """Return all pieces but these, of the same page."""
        kept = np.ones(len(self.boxes), bool)
        kept[list(indices)] = False
        return self.take(np.flatnonzero(kept)) if len(indices) else self

    def take(self, indices: NDArray[np.intp]) -> "Pieces":
        """Return the pieces with these indices, of the same page."""
        return Pieces(tuple(self.outlines[i] for i in indices.tolist()), self.boxes[indices], (), self.all_boxes, self.dust)


def find_pieces(mask: Pixels, *, is_sheet: bool = False) -> Pieces:
    """Find the connected strokes of a mask (H, W), without dust and without what lies along the image's edge.

    If the image is a sheet that was cut out, what lies along its edge is the sheet's rim and no letter.
    """
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return Pieces((), no_boxes())
    is_hole = (tree[0, :, 3] >= 0).tolist()
    outer: list[NDArray[Any]] = []
    dust: list[NDArray[Any]] = []
    holes: list[NDArray[Any]] = []
    least = PIECES_TUNING.min_outline_px
    for outline, hole in zip(outlines, is_hole, strict=True):
        (holes if hole else outer if len(outline) >= least else dust).append(outline)
    if len(outer) > MAX_PIECES:
        outer = sorted(outer, key=len, reverse=True)
        outer, dust = outer[:MAX_PIECES], dust + outer[MAX_PIECES:]
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in map(cv2.boundingRect, outer)]
    whole = np.array(boxes, np.int64).reshape(-1, 4)
    at_edge = _touch_edge(whole, mask.shape).tolist()
    kept = [i for i, touches in enumerate(at_edge) if not (touches and _is_edge(outer[i], boxes[i], mask.shape))]
    if 0 < len(kept) < len(outer) and not is_sheet:
        kept = sorted(kept + _letters_at_edge(outer, boxes, kept))
    if not kept:
        # A letter may fill the image and run out of it.
        most = PIECES_TUNING.max_letter_edge_share
        kept = [i for i, outline in enumerate(outer) if _share_along_edge(outline, mask.shape) < most]
    return Pieces(tuple(outer[i] for i in kept), whole[kept], tuple(holes), whole, tuple(dust))


def without_dust(pieces: Pieces, size: float) -> Pieces:
    """Remove pieces smaller than any dot, and scraps of rules; size is the typical letter's, in pixels."""
    longer, shorter = pieces.boxes[:, 2:].max(1, initial=0), pieces.boxes[:, 2:].min(1, initial=1 << 30)
    is_large = longer >= PIECES_TUNING.min_piece_share * size
    return pieces.take(np.flatnonzero(is_large & (longer <= PIECES_TUNING.max_elongation * shorter)))


def without_scraps(pieces: Pieces) -> Pieces:
    """Remove remnants of the rules of a ruled page: bars much thinner than strokes, or all bars if most pieces are bars."""
    large = np.flatnonzero(pieces.boxes[:, 2:].max(1, initial=0) >= PIECES_TUNING.min_enclosed_px).tolist()
    if not large:
        return pieces
    thickness = np.array([thickness_of(pieces.outlines[i]) for i in large])
    # As with sizes, the longer outlines tell, because scraps may be many.
    order = np.argsort(thickness, kind="stable")
    outline = np.cumsum(np.array([len(pieces.outlines[i]) for i in large])[order])
    least = PIECES_TUNING.min_bar_thickness * float(thickness[order][np.searchsorted(outline, outline[-1] / 2)])
    scraps = [i for i, thick in zip(large, thickness.tolist(), strict=True) if thick < least and is_bar(pieces.outlines[i])]
    if are_bars(pieces, large):
        # Short remnants are wider for their length.
        scraps += [i for i in large if is_bar(pieces.outlines[i], PIECES_TUNING.max_scrap_width)]
    return pieces.without(scraps)


def are_bars(pieces: Pieces, which: Sequence[int]) -> bool:
    """Return whether more than PIECES_TUNING.max_bars_share of some pieces are bars."""
    others, most = 0, (1 - PIECES_TUNING.max_bars_share) * len(which)
    unsure = []
    for i in which:
        # What encloses more than the widest bar from corner to corner of its box is none, and this takes a tenth of the time.
        _, _, width, height = pieces.boxes[i].tolist()
        if cv2.contourArea(pieces.outlines[i]) > PIECES_TUNING.max_bar_width * (width * width + height * height):
            others += 1
        else:
            unsure.append(i)
    for i in unsure:
        # So many others that bars cannot be most.
        if others >= most:
            break
        others += not is_bar(pieces.outlines[i])
    return others < most


def thickness_of(outline: NDArray[Any]) -> float:
    """Return how thick a stroke with this outline (n, 1, 2) is on average, in pixels."""
    return 1 + 2 * cv2.contourArea(outline) / max(1.0, cv2.arcLength(outline, closed=True))


def is_bar(outline: NDArray[Any], max_width: float = PIECES_TUNING.max_bar_width) -> bool:
    """Return whether an outline (n, 1, 2) is a straight stroke: the smallest rectangle around it is narrow."""
    _, (a, b), _ = cv2.minAreaRect(outline)
    return min(a, b) <= max_width * max(a, b)


def without_frames(pieces: Pieces, size: float) -> Pieces:
    """Remove what encloses letters, as the edge of the paper or a drawn box; size is the typical letter's, in pixels."""
    large = np.flatnonzero(pieces.boxes[:, 2:].max(1, initial=0) > PIECES_TUNING.min_frame_share * size)
    frames = enclosing(pieces, large, PIECES_TUNING.min_letter_share * size)
    return pieces.without(frames.tolist())


def enclosing(pieces: Pieces, which: NDArray[np.intp], min_size: float) -> NDArray[np.intp]:
    """Return the pieces of `which` whose boxes contain too many other pieces, counted from `min_size` pixels, for one letter."""
    counted = pieces.boxes[pieces.boxes[:, 2:].max(1, initial=0) >= min_size]
    low, high = counted[:, :2], counted[:, :2] + counted[:, 2:]
    outer = pieces.boxes[which][:, None]
    inside = (low >= outer[..., :2]).all(2) & (high <= outer[..., :2] + outer[..., 2:]).all(2)
    return which[inside.sum(1) > PIECES_TUNING.max_enclosed]


def _letters_at_edge(outlines: Sequence[NDArray[Any]], boxes: Sequence[Box], kept: Sequence[int]) -> list[int]:
    """Return which outlines along the image's edge are strokes of letters: as large as those that were kept, and beside one.

    The stem of an I or a P at the left of the image runs along its edge, too.
    """
    (low, high), away, off = PIECES_TUNING.edge_letter_size, PIECES_TUNING.max_edge_distance, PIECES_TUNING.max_edge_offset
    others = np.array([boxes[i] for i in kept], np.int64)
    size = Pieces(tuple(outlines[i] for i in kept), others).typical_size
    others = others[others[:, 2:].max(1) >= low * size]
    found = []
    for i in set(range(len(boxes))).difference(kept):
        x, y, w, h = boxes[i]
        gap = np.maximum(others[:, 0] - x - w, x - others[:, 0] - others[:, 2])
        level = np.abs(others[:, 1] + others[:, 3] / 2 - y - h / 2)
        if low * size <= max(w, h) <= high * size and ((gap <= away * size) & (level <= off * size)).any():
            found.append(i)
    return found if len(found) <= PIECES_TUNING.max_edge_letters * len(kept) else []


def _is_edge(outline: NDArray[Any], box: Box, shape: tuple[int, ...]) -> bool:
    """Return whether an outline with this box runs along the image's edge, as a frame, the end of the paper or a finger does."""
    spans = box[2] > PIECES_TUNING.max_span * shape[1] or box[3] > PIECES_TUNING.max_span * shape[0]
    along = _share_along_edge(outline, shape)
    return bool(along > PIECES_TUNING.max_edge_share or (spans and along))


def _touch_edge(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) reach into the zone along the image's sides."""
    zone_x, zone_y = PIECES_TUNING.edge_zone * shape[1], PIECES_TUNING.edge_zone * shape[0]
    left, top, width, height = boxes.T
    return (left < zone_x) | (top < zone_y) | (left + width >= shape[1] - zone_x) | (top + height >= shape[0] - zone_y)


def _share_along_edge(outline: NDArray[Any], shape: tuple[int, ...]) -> float:
    """Return the share 0..1 of an outline's points that lie in the zone along the image's sides."""
    height, width = shape
    zone_x, zone_y = PIECES_TUNING.edge_zone * width, PIECES_TUNING.edge_zone * height
    x, y = outline[:, 0, 0], outline[:, 0, 1]
    return float(((x < zone_x) | (x >= width - zone_x) | (y < zone_y) | (y >= height - zone_y)).mean())


@dataclass(frozen=True)
class GroupsTuning:
    """Which connected strokes make one letter by their places alone.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`). Shares without a
    note are shares of the typical letter's size on the page.
    """

    # A dot's size; and how far it lies above its stem and beside it, as shares of the stem's height.
    max_dot_share: float = 0.55
    max_dot_gap: float = 0.55
    max_dot_offset: float = 0.35
    # If neither of two pieces above each other is smaller than this, they are letters of two lines.
    max_part_share: float = 0.65
    # The gap between two pieces above each other.
    max_part_gap: float = 0.12
    # A flat stroke above or below the rest of its letter: its height as a share of the rest's, and the gap.
    max_bar_height: float = 0.3
    max_bar_gap: float = 0.3
    # Two pieces whose boxes share at least this much of the smaller box are one letter, unless one is taller than a letter and
    # the other, with at least this height and width, and at most this share of its height, may be a letter beside its tail.
    min_overlap: float = 0.3
    min_beside: tuple[float, float] = (0.45, 0.3)
    max_beside_share: float = 0.75
    # The size of a letter of several pieces.
    max_joined_height: float = 1.4
    max_joined_width: float = 1.3
    # Pieces that come this close were meant to touch.
    max_broken_gap: float = 0.05


GROUPS_TUNING = GroupsTuning()
# Outlines with more points are sampled to compare their distances.
OUTLINE_POINTS = 150
# An image of gravel has so many pieces that only this many are compared with all others at once, to limit memory.
BATCH_PIECES = 256


def join_pieces(pieces: Pieces, size: float) -> list[list[int]]:
    """Group the pieces that make one letter (dots with stems, broken strokes), as indices into them."""
    # Plain integers, because NumPy is ten times slower with single numbers.
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in pieces.boxes.tolist()]
    group_of = list(range(len(boxes)))
    groups: dict[int, list[int]] = {piece: [piece] for piece in group_of}
    pairs = near_pieces(pieces.boxes)
    likely = pairs[may_belong(pieces.boxes[pairs[:, 0]], pieces.boxes[pairs[:, 1]], size)].tolist()
    stems = stems_of_dots(boxes, likely, size)
    for a, b in likely:
        one, other = group_of[a], group_of[b]
        if one == other:
            continue
        # The quick questions come first, because most pairs are letters beside each other.
        belong = stems.get(a) == b or stems.get(b) == a or are_parts(boxes[a], boxes[b], size)
        if not belong and not may_touch(boxes[a], boxes[b], size):
            continue
        if not is_one_letter([boxes[i] for i in groups[one] + groups[other]], size):
            continue
        if belong or is_broken(pieces.outlines[a], pieces.outlines[b], size):
            for piece in groups[other]:
                group_of[piece] = one
            groups[one] += groups.pop(other)
    return list(groups.values())


def stems_of_dots(boxes: Sequence[Box], pairs: Sequence[Sequence[int]], size: float) -> dict[int, int]:
    """Return the stem of each dot among pairs of boxes, as indices: of several, the one that it stands most nearly above."""
    found: dict[int, tuple[float, int]] = {}
    for a, b in pairs:
        dot, stem = (a, b) if boxes[a][1] < boxes[b][1] else (b, a)
        if is_dot_of(boxes[dot], boxes[stem], size):
            (x, _, w, _), (left, _, width, _) = boxes[dot], boxes[stem]
            off = abs(x + w / 2 - left - width / 2)
            found[dot] = min(found.get(dot, (off, stem)), (off, stem))
    return {dot: stem for dot, (_, stem) in found.items()}


def is_one_letter(boxes: Sequence[Box], size: float) -> bool:
    """Return whether pieces together are no larger than a letter, or hardly larger than the largest of them."""
    _, _, width, height = around(boxes)
    widest, tallest = max(w for _, _, w, _ in boxes), max(h for _, _, _, h in boxes)
    is_narrow = width <= GROUPS_TUNING.max_joined_width * max(size, widest)
    return is_narrow and height <= GROUPS_TUNING.max_joined_height * max(size, tallest)


def near_pieces(boxes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the pairs (k, 2) of boxes (N, 4) that are close enough to be parts of one letter, the lower index first."""
    a, b = near_boxes(boxes, boxes, GROUPS_TUNING.max_dot_gap * boxes[:, 2:].max(1, initial=0))
    a, b = a[a < b], b[a < b]
    order = np.lexsort((b, a))
    return np.column_stack([a[order], b[order]])


def may_belong(a: NDArray[np.int64], b: NDArray[np.int64], size: float) -> NDArray[np.bool_]:
    """Return which boxes (k, 4) may be parts of one letter with others (k, 4), by what is quick to see.

    Letters beside each other are not above each other, do not touch, and none is a dot.
    """
    across, down = np.moveaxis(np.maximum(b[:, :2] - a[:, :2] - a[:, 2:], a[:, :2] - b[:, :2] - b[:, 2:]), 1, 0)
    is_dot = np.minimum(a[:, 2:].max(1, initial=0), b[:, 2:].max(1, initial=0)) <= GROUPS_TUNING.max_dot_share * size
    may: NDArray[np.bool_] = (across < 0) | (np.maximum(across, down) <= GROUPS_TUNING.max_broken_gap * size) | is_dot
    return may


def near_boxes(
    boxes: NDArray[np.int64], others: NDArray[np.int64], reach: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices (k,) of boxes (N, 4) and of others (M, 4) that are near each other, as pairs.

    reach (M,) is how far from each of the others a box is near; of boxes among the others it counts as well.
    """
    if not len(boxes) or not len(others):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    # Only what is level with a box, as far as the others reach, is compared with it.
    order = np.argsort(others[:, 1], kind="stable")
    tops, far = others[order, 1], reach.max()
    first = np.searchsorted(tops, boxes[:, 1] - others[:, 3].max() - far)
    count = np.searchsorted(tops, boxes[:, 1] + boxes[:, 3] + far, side="right") - first
    found = []
    for start in range(0, len(boxes), BATCH_PIECES):
        own = np.s_[start : start + BATCH_PIECES]
        a = np.repeat(np.arange(len(boxes))[own], count[own])
        b = order[np.arange(len(a)) + np.repeat(first[own] + count[own] - np.cumsum(count[own]), count[own])]
        across, down = (
            np.maximum(others[b, k] - (boxes[:, k] + boxes[:, k + 2])[a], boxes[a, k] - (others[:, k] + others[:, k + 2])[b])
            for k in (0, 1)
        )
        gap = np.maximum(across, down)
        near = gap <= (np.maximum(reach[a], reach[b]) if others is boxes else reach[b])
        found.append((a[near], b[near]))
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def belong_together(a: Box, b: Box, size: float) -> bool:
    """Return whether two boxes (x, y, w, h) in pixels are parts of one letter; size is the typical letter's."""
    above, below = (a, b) if a[1] < b[1] else (b, a)
    return are_parts(a, b, size) or is_dot_of(above, below, size)


def are_parts(a: Box, b: Box, size: float) -> bool:
    """Return whether two boxes (x, y, w, h) are parts of one letter that are no dot and stem; size is the typical letter's."""
    tuning = GROUPS_TUNING
    shared_x = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    shared_y = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    small = min(a[2] * a[3], b[2] * b[3])
    if shared_x > 0 and shared_y > 0 and shared_x * shared_y >= tuning.min_overlap * small and not is_beside_tail(a, b, size):
        return True
    gap = -shared_y
    height = max(a[1] + a[3], b[1] + b[3]) - min(a[1], b[1])
    is_part = min(max(a[2:]), max(b[2:])) <= tuning.max_part_share * size and height <= tuning.max_joined_height * size
    if is_part and shared_x >= 0.5 * min(a[2], b[2]) and gap <= tuning.max_part_gap * size:
        return True
    bar, rest = (a, b) if a[3] < b[3] else (b, a)
    is_bar = bar[3] <= tuning.max_bar_height * rest[3] and bar[2] >= 0.5 * rest[2]
    is_low = gap <= tuning.max_bar_gap * size and height <= tuning.max_joined_height * size
    return is_bar and shared_x >= 0.5 * min(a[2], b[2]) and is_low


def is_dot_of(above: Box, below: Box, size: float) -> bool:
    """Return whether a box (x, y, w, h) may be the dot of the one below it; size is the typical letter's."""
    tuning = GROUPS_TUNING
    gap = max(above[1], below[1]) - min(above[1] + above[3], below[1] + below[3])
    offset = max(0, max(above[0], below[0]) - min(above[0] + above[2], below[0] + below[2]))
    is_dot = max(above[2:]) <= tuning.max_dot_share * min(below[3], size) and below[3] >= PIECES_TUNING.min_letter_share * size
    return bool(is_dot and offset <= tuning.max_dot_offset * below[3] and 0 < gap <= tuning.max_dot_gap * below[3])


def is_beside_tail(a: Box, b: Box, size: float) -> bool:
    """Return whether one box may be a letter beside the tail of the other; size is the typical letter's."""
    tuning = GROUPS_TUNING
    letter, tall = (a, b) if a[3] < b[3] else (b, a)
    is_tall = tall[3] > tuning.max_joined_height * size and letter[3] <= tuning.max_beside_share * tall[3]
    height, width = tuning.min_beside
    return is_tall and letter[3] >= height * size and min(a[2], b[2]) >= width * size


def may_touch(a: Box, b: Box, size: float) -> bool:
    """Return whether outlines with these boxes may be one broken letter; size is the typical letter's."""
    tuning = GROUPS_TUNING
    gap = tuning.max_broken_gap * size
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    if min(max(aw, ah), max(bw, bh)) > tuning.max_part_share * size and min(aw, bw) > PIECES_TUNING.min_letter_share * size:
        return False
    if max(bx - ax - aw, ax - bx - bw, by - ay - ah, ay - by - bh) > gap:
        return False
    width, height = max(ax + aw, bx + bw) - min(ax, bx), max(ay + ah, by + bh) - min(ay, by)
    return width <= tuning.max_joined_width * size and height <= tuning.max_joined_height * size


def is_broken(a: NDArray[Any], b: NDArray[Any], size: float) -> bool:
    """Return whether two outlines (n, 1, 2) nearly touch, so that they are one broken letter; size is the typical letter's."""
    # Sampled outlines miss the nearest points by a pixel or two at most.
    sparse_a, sparse_b = a[:: max(1, len(a) // OUTLINE_POINTS), 0], b[:: max(1, len(b) // OUTLINE_POINTS), 0]
    apart = np.hypot(*(sparse_a[:, None] - sparse_b[None]).T)
    return bool(apart.min() <= GROUPS_TUNING.max_broken_gap * size)


def stands_alone(pieces: Pieces, boxes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which boxes (n, 4), around these counts (n,) of pieces each, have no other stroke of the page in or beside them."""
    every = pieces.all_boxes
    if pieces.dust:
        # An outline returns to its first point, so that it is no farther away than half of its length.
        first, half = (
            np.array([outline[0, 0] for outline in pieces.dust]),
            np.array([[len(outline) // 2] for outline in pieces.dust]),
        )
        every = np.concatenate([every, np.hstack([first - half, 2 * half + 1, 2 * half + 1])])
    own, _ = near_boxes(boxes, every, np.ones(len(every), np.int64))
    return np.bincount(own, minlength=len(boxes)) == counts


def around(boxes: Sequence[Box]) -> Box:
    """Return the smallest box (x, y, width, height) around all boxes."""
    if len(boxes) == 1:
        return boxes[0]
    left, top = min([x for x, _, _, _ in boxes]), min([y for _, y, _, _ in boxes])
    return left, top, max([x + w for x, _, w, _ in boxes]) - left, max([y + h for _, y, _, h in boxes]) - top
