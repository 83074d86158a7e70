"""Strokes with a gap between them: joined where the model is surer of one letter than of two."""

from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .groups import around
from .page import Spot
from .ranks import median

# Indices of spots that may be one letter, and the gap between them in pixels.
Near: TypeAlias = tuple[tuple[int, ...], int]
# Shares of the typical size: a stroke is narrower or a piece smaller than this; gaps are no wider; a letter no larger.
NARROW, SMALL, GAP, WIDEST, TALLEST = 0.35, 0.65, 0.2, 1.35, 1.5
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
        fits = (gap <= GAP * size) & (span[:, 0] <= WIDEST * large) & (span[:, 1] <= TALLEST * size)
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
            if len(members) == 3 and members not in found and max(width / WIDEST, height / TALLEST) <= size:
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
