"""Strokes with a gap between them: joined where the model is surer of one letter than of two."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .page import Spot
from .ranks import median

# Shares of the typical size: a stroke is narrower or a piece smaller than this; gaps are no wider; a letter no larger.
NARROW, SMALL, GAP, WIDEST, TALLEST = 0.35, 0.65, 0.2, 1.35, 1.5
# Pieces that come this close were meant to touch and need gain no more log-probability than this by being one letter; the widest
# gap asks for that, others for something between.
TOUCHING, GAIN_TOUCHING, GAIN_APART = 0.07, -0.1, 0.4
# The letter that they make must be this sure.
LETTER_SURE = 0.75
# In a picture of gravel everything is near everything; so many pairs are tried.
MOST_PAIRS = 100
# A bare stroke may be either letter, and is surely a stroke.
BARE = ("I", "L")


def join_strokes(engine: Engine, spots: Sequence[Spot]) -> list[Spot]:
    """Join spots that are parts of one letter, in no order."""
    boxes = np.array([spot.box for spot in spots], np.int64).reshape(-1, 4)
    if len(boxes) < 2:
        return list(spots)
    size = median(boxes[:, 2:].max(1))
    pairs, gaps = near_pairs(boxes, size)
    if not len(pairs):
        return list(spots)
    unions = [union(spots[a], spots[b]) for a, b in pairs]
    alone = sorted({int(i) for pair in pairs for i in pair})
    rows = engine(np.stack([spot.picture for spot in (*(spots[i] for i in alone), *unions)])[..., None])
    sure = dict(zip(alone, certainty(rows[: len(alone)], engine.facts.labels), strict=True))
    whole = rows[len(alone) :].max(1)
    apart = np.array([np.log(sure[a]) + np.log(sure[b]) for a, b in pairs])
    gain = np.log(whole) - apart - np.interp(gaps / size, (TOUCHING, GAP), (GAIN_TOUCHING, GAIN_APART))
    taken: set[int] = set()
    joined = []
    for k in np.argsort(-gain, kind="stable"):
        a, b = int(pairs[k][0]), int(pairs[k][1])
        if gain[k] > 0 and whole[k] >= LETTER_SURE and not taken & {a, b}:
            taken |= {a, b}
            joined.append(unions[k])
    return [spot for i, spot in enumerate(spots) if i not in taken] + joined


def near_pairs(boxes: NDArray[np.int64], size: float) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return pairs (n, 2) of boxes that may be one letter, the nearest first, and the gaps (n,) between them in pixels."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    part = (boxes[:, 2:].min(1) <= NARROW * size) | (boxes[:, 2:].max(1) <= SMALL * size)
    found = []
    for a in np.flatnonzero(part):
        gap = np.maximum(low - high[a], low[a] - high).max(1)
        span = np.maximum(high, high[a]) - np.minimum(low, low[a])
        large = np.maximum(size, np.maximum(boxes[:, 2:].max(1), boxes[a, 2:].max()))
        fits = (gap <= GAP * size) & (span[:, 0] <= WIDEST * large) & (span[:, 1] <= TALLEST * size)
        # Of two parts the pair is looked at once.
        fits &= ~part | (np.arange(len(boxes)) > a)
        fits[a] = False
        found += [(int(gap[b]), int(a), int(b)) for b in np.flatnonzero(fits)]
    found = sorted(found)[:MOST_PAIRS]
    return np.array([pair[1:] for pair in found], np.intp).reshape(-1, 2), np.array([pair[0] for pair in found], np.int64)


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
