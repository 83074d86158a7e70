"""Letters of two lines that touch: parted across where the model is sure of both."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .glyph import glyph
from .join import certainty
from .page import Spot
from .ranks import percentile
from .split import between, find_cuts, part_box

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
