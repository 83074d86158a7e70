"""Letters that touch: parted where the model is surer of the parts than of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import glyph
from ..model.engine import Engine
from ..pixels import Pixels, median, percentile
from .find import Spot
from .strokes import around

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


# Indices of spots that may be one letter, and the gap between them in pixels.
Near: TypeAlias = tuple[tuple[int, ...], int]
# Shares of the typical size: a stroke is narrower or a piece smaller than this; gaps are no wider; a letter no larger.
NARROW, SMALL, GAP, WIDEST_JOINED_LETTER, TALLEST = 0.35, 0.65, 0.2, 1.35, 1.5
# Pieces that come this close were meant to touch and need gain no more log-probability than this by being one letter; the widest
# gap asks for that, others for something between.
TOUCHING, GAIN_TOUCHING, GAIN_APART = 0.07, -0.1, 0.4
# The letter that they make must be this sure.
LETTER_SURE = 0.75
# In a picture of gravel everything is near everything; so many pairs are tried, and so many threes.
MOST_PAIRS, MOST_THREES = 100, 30
# A bare stroke may be either letter, and is surely a stroke.
BARE = ("I", "L")


def join_strokes(engine: Engine, spots: Sequence[Spot]) -> list[Spot]:
    """Join spots that are parts of one letter, in no order."""
    boxes = np.array([spot.box for spot in spots], np.int64).reshape(-1, 4)
    if len(boxes) < 2:
        return list(spots)
    size = median(boxes[:, 2:].max(1))
    near = near_pairs(boxes, size)
    near += near_threes(boxes, size, near)
    if not near:
        return list(spots)
    unions = [reduce(union, (spots[i] for i in members)) for members, _ in near]
    alone = sorted({i for members, _ in near for i in members})
    rows = engine(np.stack([spot.picture for spot in (*(spots[i] for i in alone), *unions)])[..., None])
    sure = dict(zip(alone, certainty(rows[: len(alone)], engine.facts.labels), strict=True))
    whole = rows[len(alone) :].max(1)
    apart = np.array([sum(np.log(sure[i]) for i in members) for members, _ in near])
    gaps = np.array([gap for _, gap in near])
    gain = np.log(whole) - apart - np.interp(gaps / size, (TOUCHING, GAP), (GAIN_TOUCHING, GAIN_APART))
    taken: set[int] = set()
    joined = []
    for k in np.argsort(-gain, kind="stable"):
        members = near[k][0]
        if gain[k] > 0 and whole[k] >= LETTER_SURE and taken.isdisjoint(members):
            taken.update(members)
            joined.append(unions[k])
    return [spot for i, spot in enumerate(spots) if i not in taken] + joined


def near_pairs(boxes: NDArray[np.int64], size: float) -> list[Near]:
    """Return pairs of boxes (N, 4) that may be one letter, with the gaps between them in pixels, the nearest first."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    part = is_part(boxes, size)
    found = []
    for a in np.flatnonzero(part):
        gap = np.maximum(low - high[a], low[a] - high).max(1)
        span = np.maximum(high, high[a]) - np.minimum(low, low[a])
        large = np.maximum(size, np.maximum(boxes[:, 2:].max(1), boxes[a, 2:].max()))
        fits = (gap <= GAP * size) & (span[:, 0] <= WIDEST_JOINED_LETTER * large) & (span[:, 1] <= TALLEST * size)
        # Of two parts the pair is looked at once.
        fits &= ~part | (np.arange(len(boxes)) > a)
        fits[a] = False
        found += [((int(a), int(b)), int(gap[b])) for b in np.flatnonzero(fits)]
    return sorted(found, key=lambda near: (near[1], near[0]))[:MOST_PAIRS]


def near_threes(boxes: NDArray[np.int64], size: float, pairs: Sequence[Near]) -> list[Near]:
    """Return threes of parts that pairs chain together, with the wider of their gaps: an F whose bars touch no stem."""
    part = is_part(boxes, size)
    chained = [(set(members), gap) for members, gap in pairs if part[list(members)].all()]
    found: dict[tuple[int, ...], int] = {}
    for k, (one, gap) in enumerate(chained):
        for other, wider in chained[k + 1 :]:
            members = tuple(sorted(one | other))
            _, _, width, height = around([boxes[i] for i in members])
            if len(members) == 3 and members not in found and max(width / WIDEST_JOINED_LETTER, height / TALLEST) <= size:
                found[members] = max(gap, wider)
    return sorted(found.items(), key=lambda near: (near[1], near[0]))[:MOST_THREES]


def is_part(boxes: NDArray[np.int64], size: float) -> NDArray[np.bool_]:
    """Tell which boxes (N, 4) are narrower or smaller than letters are."""
    return (boxes[:, 2:].min(1) <= NARROW * size) | (boxes[:, 2:].max(1) <= SMALL * size)


def union(a: Spot, b: Spot) -> Spot:
    """Return one spot with the ink of two."""
    left, top = min(a.corner[0], b.corner[0]), min(a.corner[1], b.corner[1])
    right = max(spot.corner[0] + spot.ink.shape[1] for spot in (a, b))
    bottom = max(spot.corner[1] + spot.ink.shape[0] for spot in (a, b))
    ink = np.zeros((bottom - top, right - left), np.uint8)
    for spot in (a, b):
        x, y = spot.corner[0] - left, spot.corner[1] - top
        place = ink[y : y + spot.ink.shape[0], x : x + spot.ink.shape[1]]
        np.maximum(place, spot.ink, out=place)
    x, y = min(a.box[0], b.box[0]), min(a.box[1], b.box[1])
    w, h = (max(a.box[i] + a.box[i + 2], b.box[i] + b.box[i + 2]) - (x, y)[i] for i in (0, 1))
    return Spot((x, y, w, h), ink, (left, top), max(a.strength, b.strength))


def certainty(rows: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
    """Return how sure the model is of each letter (n,), bare strokes counted as one class."""
    best = rows.max(1)
    bare = [labels.index(name) for name in BARE if name in labels]
    return np.maximum(best, rows[:, bare].sum(1)) if bare else best


# What is this many times as high as most letters are, and has no neighbour nearly as high, may be letters of two lines.
TALL, MOST_PERCENTILE, FEWEST_LETTERS = 1.55, 75, 5
# A neighbour is this near, in heights of the spot, and at least this share as high.
NEAR, AS_HIGH = 1.5, 0.75
# Both together must be letters with this certainty; what is one letter with this certainty is one, however tall.
BOTH_SURE, SURELY_ONE = 0.6, 0.99
# Each takes at least this share of the height.
LEAST_SHARE = 0.3


def part_stacked(engine: Engine, spots: Sequence[Spot]) -> list[Spot]:
    """Part spots that are letters of two lines, in no order."""
    tall = find_tall(spots)
    if not tall.any():
        return list(spots)
    return [
        part for spot, is_tall in zip(spots, tall, strict=True) for part in (part_across(engine, spot) if is_tall else [spot])
    ]


def find_tall(spots: Sequence[Spot]) -> NDArray[np.bool_]:
    """Tell which spots (n,) tower over all that stands beside them."""
    boxes = np.array([spot.box for spot in spots], np.int64).reshape(-1, 4)
    tall = np.zeros(len(boxes), bool)
    if len(boxes) < FEWEST_LETTERS:
        return tall
    for i in np.flatnonzero(boxes[:, 3] >= TALL * percentile(boxes[:, 3], MOST_PERCENTILE)):
        x, y, w, h = boxes[i]
        gap = np.maximum(boxes[:, 0] - x - w, x - boxes[:, 0] - boxes[:, 2])
        level = (boxes[:, 1] < y + h) & (y < boxes[:, 1] + boxes[:, 3])
        tall[i] = not (level & (gap > 0) & (gap < NEAR * h) & (boxes[:, 3] >= AS_HIGH * h)).any()
    return tall


def part_across(engine: Engine, spot: Spot) -> list[Spot]:
    """Return the letters above each other that a spot is, or the spot."""
    turned = np.ascontiguousarray(spot.ink.T)
    height = turned.shape[1]
    cuts = [cut for cut in find_cuts(turned) if LEAST_SHARE * height <= cut.column <= (1 - LEAST_SHARE) * height]
    if not cuts:
        return [spot]
    halves = [np.ascontiguousarray(between(turned, *ends).T) for cut in cuts for ends in ((None, cut), (cut, None))]
    rows = engine(np.stack([glyph(ink) for ink in (spot.ink, *halves)])[..., None])
    # A bare stroke is two bare strokes, too: there I and L do not count as one.
    both = rows[1:].max(1).reshape(-1, 2).prod(1)
    best = int(both.argmax())
    if both[best] < BOTH_SURE or certainty(rows[:1], engine.facts.labels)[0] >= SURELY_ONE:
        return [spot]
    return [replace(spot, box=part_box(spot, ink), ink=ink) for ink in halves[2 * best : 2 * best + 2]]
