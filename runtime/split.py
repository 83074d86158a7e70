"""Letters that touch: parted where the model is surer of the parts than of the whole."""

from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .glyph import glyph
from .page import Spot
from .pixels import Pixels

# A spot may be several letters where the model is less sure than this, and it is this wide for its height; where the model
# takes it for no letter at all, a narrower one may be.
DOUBTFUL, WIDE, WIDE_IF_UNKNOWN = 0.75, 1.1, 1.0
# Cuts run straight down or lean, by this many pixels across a pixel down.
LEANS = (0.0, -0.25, 0.25)
# A cut crosses at most this share of the spot's height in ink; so many of the lightest are tried for each height of width,
# this far apart.
CROSSED_SHARE, CUTS_A_HEIGHT, APART_SHARE = 0.7, 8, 0.08
# A letter is at least and at most this wide, as shares of the spot's height.
NARROWEST, WIDEST = 0.2, 1.5
# Each part must be read with this certainty, in what is too wide for two letters with that; and each cut costs so much
# log-probability.
PART_SURE, PART_SURE_IN_RUN, RUN, CUT_COST = 0.6, 0.35, 2.2, 0.35
# Ink of the neighbour that a cut leaves behind is less than this share of a part's.
SCRAP_SHARE = 0.08


@dataclass(frozen=True)
class Cut:
    """A cut through a spot's ink: its column at half height, and its lean in pixels across a pixel down."""

    column: float
    lean: float


@dataclass(frozen=True)
class Reading:
    """What the model makes of one spot: its n letters from left to right, the pictures (n, 28, 28, 1) uint8 that it saw, and
    their probabilities (n, classes).
    """

    spots: tuple[Spot, ...]
    pictures: Pixels
    probabilities: NDArray[np.float32]


def may_be_several(spot: Spot, sure: float, reject_below: float) -> bool:
    """Tell whether a spot that was read with this certainty is worth cutting."""
    _, _, width, height = spot.box
    return sure < DOUBTFUL and width >= (WIDE_IF_UNKNOWN if sure < reject_below else WIDE) * height


def part(engine: Engine, spot: Spot, sure: float) -> Reading | None:
    """Cut a spot into letters; None where its parts, read with their certainties, are no likelier than the whole."""
    cuts = find_cuts(spot.ink)
    if not cuts:
        return None
    ends = [None, *cuts, None]
    height = spot.ink.shape[0]
    middles = [0.0, *(cut.column for cut in cuts), float(spot.ink.shape[1])]
    spans = [
        (i, j)
        for i in range(len(ends))
        for j in range(i + 1, len(ends))
        if NARROWEST * height <= middles[j] - middles[i] <= WIDEST * height
    ]
    inks = {span: between(spot.ink, ends[span[0]], ends[span[1]]) for span in spans}
    spans = [span for span in spans if inks[span].any()]
    if not spans:
        return None
    pictures = dict(zip(spans, (glyph(inks[span]) for span in spans), strict=True))
    rows = dict(zip(spans, engine(np.stack(list(pictures.values()))[..., None]), strict=True))
    least = PART_SURE_IN_RUN if spot.ink.shape[1] > RUN * height else PART_SURE
    path = best_path(len(ends), {span: float(row.max()) for span, row in rows.items() if row.max() >= least})
    chosen = list(pairwise(path))
    if len(chosen) < 2 or sum(np.log(rows[span].max()) - CUT_COST for span in chosen) <= np.log(max(sure, 1e-6)):
        return None
    spots = tuple(replace(spot, box=part_box(spot, inks[span]), ink=inks[span]) for span in chosen)
    return Reading(spots, np.stack([pictures[span] for span in chosen])[..., None], np.stack([rows[span] for span in chosen]))


def find_cuts(ink: Pixels) -> list[Cut]:
    """Find where little ink is crossed from top to bottom of a spot (h, w) uint8; returns the cuts from left to right."""
    mask = (ink > ink.max() // 3).astype(np.uint8)
    height, width = mask.shape
    candidates: list[tuple[float, Cut]] = []
    for lean in LEANS:
        upright = mask
        if lean:
            shear = np.array([[1, -lean, lean * (height - 1) / 2], [0, 1, 0]], np.float64)
            upright = cv2.warpAffine(mask, shear, (width, height), flags=cv2.INTER_NEAREST)
        crossed = cv2.blur(upright.sum(0, dtype=np.float32)[None], (3, 1))[0]
        inner = crossed[1:-1]
        lowest = np.flatnonzero((inner <= crossed[:-2]) & (inner <= crossed[2:]) & (inner <= CROSSED_SHARE * height)) + 1
        candidates += [(float(crossed[x]) + abs(lean), Cut(float(x), lean)) for x in lowest]
    kept: list[Cut] = []
    edge = NARROWEST / 2 * height
    for _, cut in sorted(candidates, key=lambda candidate: candidate[0]):
        apart = all(abs(cut.column - other.column) >= APART_SHARE * height for other in kept)
        if apart and edge <= cut.column <= width - edge:
            kept.append(cut)
        if len(kept) >= CUTS_A_HEIGHT * max(2.0, width / height):
            break
    return sorted(kept, key=lambda cut: cut.column)


def between(ink: Pixels, left: Cut | None, right: Cut | None) -> Pixels:
    """Return the ink (h, w) uint8 between two cuts, 0 elsewhere; None is the spot's own end."""
    height, width = ink.shape
    y, x = np.mgrid[0:height, 0:width]
    down = y - (height - 1) / 2
    inside = np.ones(ink.shape, bool)
    if left:
        inside &= x > left.column + left.lean * down
    if right:
        inside &= x <= right.column + right.lean * down
    own = np.where(inside, ink, 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((own > 0).astype(np.uint8), connectivity=8)
    if count <= 2:
        return own
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.where((areas >= SCRAP_SHARE * areas.sum())[labels], own, 0).astype(np.uint8)


def best_path(count: int, sure: dict[tuple[int, int], float]) -> list[int]:
    """Return the ends of the letters whose joint probability is highest, from end 0 to end `count - 1`; [] where none is."""
    best: list[tuple[float, list[int]] | None] = [(0.0, [0])] + [None] * (count - 1)
    for j in range(1, count):
        for i in range(j):
            before, certainty = best[i], sure.get((i, j), 0.0)
            if before is None or not certainty:
                continue
            score = before[0] + float(np.log(certainty)) - CUT_COST
            known = best[j]
            if known is None or score > known[0]:
                best[j] = (score, [*before[1], j])
    end = best[-1]
    return end[1] if end else []


def part_box(spot: Spot, ink: Pixels) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) in the image of a part's ink, which has the shape of the spot's own."""
    x, y, w, h = cv2.boundingRect((ink > 0).astype(np.uint8))
    across, down = spot.box[2] / ink.shape[1], spot.box[3] / ink.shape[0]
    return (
        spot.box[0] + round(x * across),
        spot.box[1] + round(y * down),
        max(1, round(w * across)),
        max(1, round(h * down)),
    )
