"""Join strokes of one letter, if the model is surer of the letter than of its strokes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..model.engine import Engine
from ..pixels import median
from ..text.codes import best_of
from .find import Candidate
from .split import certainty, classify
from .strokes import around


@dataclass(frozen=True)
class JoinTuning:
    """When candidates are joined because they are strokes of one letter.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`). Lengths are shares of
    the median size of the page's candidates.
    """

    # A stroke is narrower, or smaller, than these.
    max_stroke_width: float = 0.35
    max_stroke_size: float = 0.65
    # The gap between the strokes of a letter, and the letter's size.
    max_gap: float = 0.2
    max_letter_width: float = 1.35
    max_letter_height: float = 1.5
    # The log-probability that joining must gain: the first up to the touching gap, the second at the largest gap, and
    # something between for gaps between.
    touching_gap: float = 0.07
    min_gain_touching: float = -0.1
    min_gain_apart: float = 0.4
    # The confidence of the joined letter.
    min_confidence: float = 0.75


JOIN_TUNING = JoinTuning()
# Indices of candidates that may be one letter, and the gap between them in pixels.
Near: TypeAlias = tuple[tuple[int, ...], int]
# In an image of gravel everything is near everything, so the number of tries is limited.
MAX_PAIRS, MAX_TRIPLES = 100, 30


def join_strokes(engine: Engine, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Join candidates that are strokes of one letter; returns all candidates in no order."""
    boxes = np.array([one.box for one in candidates], np.int64).reshape(-1, 4)
    if len(boxes) < 2:
        return list(candidates)
    size = median(boxes[:, 2:].max(1))
    near = near_pairs(boxes, size)
    near += near_triples(boxes, size, near)
    if not near:
        return list(candidates)
    unions = [reduce(union, (candidates[i] for i in members)) for members, _ in near]
    singles = sorted({i for members, _ in near for i in members})
    rows = classify(engine, [one.glyph_image for one in (*(candidates[i] for i in singles), *unions)])
    confidence = dict(zip(singles, certainty(rows[: len(singles)], engine.facts.labels), strict=True))
    whole = best_of(rows[len(singles) :], engine.facts.labels)
    apart = np.array([sum(np.log(confidence[i]) for i in members) for members, _ in near])
    gaps = np.array([gap for _, gap in near])
    tuning = JOIN_TUNING
    limits = (tuning.min_gain_touching, tuning.min_gain_apart)
    gain = np.log(whole) - apart - np.interp(gaps / size, (tuning.touching_gap, tuning.max_gap), limits)
    used: set[int] = set()
    joined = []
    for k in np.argsort(-gain, kind="stable"):
        members = near[k][0]
        if gain[k] > 0 and whole[k] >= tuning.min_confidence and used.isdisjoint(members):
            used.update(members)
            joined.append(unions[k])
    return [one for i, one in enumerate(candidates) if i not in used] + joined


def near_pairs(boxes: NDArray[np.int64], size: float) -> list[Near]:
    """Return pairs of boxes (N, 4) that may be one letter, with the gaps between them in pixels, the nearest first."""
    tuning = JOIN_TUNING
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    is_stroke = is_stroke_sized(boxes, size)
    found = []
    for a in np.flatnonzero(is_stroke):
        gap = np.maximum(low - high[a], low[a] - high).max(1)
        span = np.maximum(high, high[a]) - np.minimum(low, low[a])
        large = np.maximum(size, np.maximum(boxes[:, 2:].max(1), boxes[a, 2:].max()))
        is_narrow, is_low = span[:, 0] <= tuning.max_letter_width * large, span[:, 1] <= tuning.max_letter_height * size
        fits = (gap <= tuning.max_gap * size) & is_narrow & is_low
        # A pair of two strokes is listed once.
        fits &= ~is_stroke | (np.arange(len(boxes)) > a)
        fits[a] = False
        found += [((int(a), int(b)), int(gap[b])) for b in np.flatnonzero(fits)]
    return sorted(found, key=lambda near: (near[1], near[0]))[:MAX_PAIRS]


def near_triples(boxes: NDArray[np.int64], size: float, pairs: Sequence[Near]) -> list[Near]:
    """Return triples of strokes that two pairs link, with the wider of their gaps, as an F whose bars do not touch its stem."""
    tuning = JOIN_TUNING
    is_stroke = is_stroke_sized(boxes, size)
    linked = [(set(members), gap) for members, gap in pairs if is_stroke[list(members)].all()]
    found: dict[tuple[int, ...], int] = {}
    for k, (one, gap) in enumerate(linked):
        for other, wider in linked[k + 1 :]:
            members = tuple(sorted(one | other))
            _, _, width, height = around([boxes[i] for i in members])
            fits = max(width / tuning.max_letter_width, height / tuning.max_letter_height) <= size
            if len(members) == 3 and members not in found and fits:
                found[members] = max(gap, wider)
    return sorted(found.items(), key=lambda near: (near[1], near[0]))[:MAX_TRIPLES]


def is_stroke_sized(boxes: NDArray[np.int64], size: float) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are narrower or smaller than letters."""
    is_narrow = boxes[:, 2:].min(1) <= JOIN_TUNING.max_stroke_width * size
    return is_narrow | (boxes[:, 2:].max(1) <= JOIN_TUNING.max_stroke_size * size)


def union(a: Candidate, b: Candidate) -> Candidate:
    """Return one candidate with the ink of two."""
    left, top = min(a.corner[0], b.corner[0]), min(a.corner[1], b.corner[1])
    right = max(one.corner[0] + one.ink.shape[1] for one in (a, b))
    bottom = max(one.corner[1] + one.ink.shape[0] for one in (a, b))
    ink = np.zeros((bottom - top, right - left), np.uint8)
    for one in (a, b):
        x, y = one.corner[0] - left, one.corner[1] - top
        place = ink[y : y + one.ink.shape[0], x : x + one.ink.shape[1]]
        np.maximum(place, one.ink, out=place)
    x, y = min(a.box[0], b.box[0]), min(a.box[1], b.box[1])
    w, h = (max(a.box[i] + a.box[i + 2], b.box[i] + b.box[i + 2]) - (x, y)[i] for i in (0, 1))
    return Candidate((x, y, w, h), ink, (left, top), max(a.strength, b.strength))
