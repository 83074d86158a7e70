"""Connected strokes of a page: what may belong to letters, and what is dust, frame or edge."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels
from .text import Box

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
