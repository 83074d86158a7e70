"""Cut letters of two lines that touch, if the model is sure of both parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.engine import Engine
from ..pixels import percentile
from ..text.codes import best_of
from .find import Candidate
from .split import beyond_cut, certainty, classify, find_cuts, ink_between, may_be_split, part_box, split_candidates


@dataclass(frozen=True)
class StackedTuning:
    """When a candidate is cut into letters of two lines that touch.

    Tuned on pages with crowded lines of validation writers
    (`python -m lettercast.benchmarks.pages.conditions --split val --only "crowded lines"`), so that single letters stay whole.
    """

    # A tall candidate is at least this many times as high as this percentile of the page's candidates.
    min_height: float = 1.6
    height_percentile: int = 75
    # With fewer candidates one may simply be large.
    min_candidates: int = 5
    # Nothing beside a tall candidate is at least this share as high.
    min_neighbour_height: float = 0.75
    # Unless its head and its foot lie where those of lower letters near it do, up to these shares of the letters' height: the
    # tail of one letter ends elsewhere. Heads of small letters lie lower. Near is up to this many heights away.
    max_foot_offset: float = 0.3
    max_head_offset: tuple[float, float] = (0.3, 0.5)
    max_distance: float = 3.0
    # The product of both letters' confidences, the second if head and foot lie in two lines; and the confidence of one letter
    # that is never cut, however tall.
    min_both_confidence: float = 0.6
    min_both_in_lines: float = 0.35
    min_whole_confidence: float = 0.98
    # The share of the height of each letter.
    min_part_height: float = 0.3
    # If no two parts are letters, the parts of this many cuts may be several letters each.
    max_cuts_beside: int = 3
    # Candidates are cut into letters of at most this many lines.
    max_lines: int = 3


STACKED_TUNING = StackedTuning()


def split_stacked(engine: Engine, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Split candidates that are letters of several lines; returns all candidates in no order."""
    whole, tried = list(candidates), set[int]()
    for _ in range(STACKED_TUNING.max_lines - 1):
        least = find_tall(whole)
        tall = [i for i in np.flatnonzero(least).tolist() if id(whole[i]) not in tried]
        cut = dict(zip(tall, split_across(engine, [whole[i] for i in tall], least[tall].tolist()), strict=True))
        parts = [cut.get(i, [one]) for i, one in enumerate(whole)]
        if sum(map(len, parts)) == len(whole):
            break
        tried = {id(few[0]) for few in parts if len(few) == 1}
        whole = [one for few in parts for one in few]
    return whole


def find_tall(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """Return the least confidence (n,) with which each candidate may be two letters above each other.

    It is 0 for a candidate that may not: one that is not much higher than most, or has another as high beside it.
    """
    tuning = STACKED_TUNING
    boxes = np.array([one.box for one in candidates], np.int64).reshape(-1, 4)
    least = np.zeros(len(boxes))
    if len(boxes) < tuning.min_candidates:
        return least
    size = percentile(boxes[:, 3], tuning.height_percentile)
    for i in np.flatnonzero(boxes[:, 3] >= tuning.min_height * size):
        x, y, w, h = boxes[i]
        gap = np.maximum(boxes[:, 0] - x - w, x - boxes[:, 0] - boxes[:, 2])
        is_low, is_near = boxes[:, 3] < tuning.min_neighbour_height * h, gap <= tuning.max_distance * size
        is_level = (boxes[:, 1] < y + h) & (y < boxes[:, 1] + boxes[:, 3])
        beside = is_low & is_near & (boxes[:, 3] >= tuning.min_part_height * size) & (np.arange(len(boxes)) != i)
        lower = y - boxes[beside, 1]
        has_head = ((lower >= -tuning.max_head_offset[0] * size) & (lower <= tuning.max_head_offset[1] * size)).any()
        has_foot = (np.abs(boxes[beside, 1] + boxes[beside, 3] - y - h) <= tuning.max_foot_offset * size).any()
        if has_head and has_foot:
            least[i] = tuning.min_both_in_lines
        elif not (is_level & (gap > 0) & ~is_low).any():
            least[i] = tuning.min_both_confidence
    return least


def split_across(engine: Engine, candidates: Sequence[Candidate], least: Sequence[float]) -> list[list[Candidate]]:
    """Return for each candidate the two letters above each other that it consists of, or the candidate itself.

    least holds for each the product of confidences that the two letters must have. A part that is several letters beside each
    other has the mean confidence of these.
    """
    tuning, labels = STACKED_TUNING, engine.facts.labels
    if not candidates:
        return []
    # Every bare stroke is two bare strokes above each other, so for the parts I and L do not count as one class.
    sure = certainty(classify(engine, [one.glyph_image for one in candidates]), labels)
    halves = [halves_of(one) if s < tuning.min_whole_confidence else [] for one, s in zip(candidates, sure, strict=True)]
    flat = [half for one in halves for half in one]
    rows = classify(engine, [half.glyph_image for half in flat])
    confidences = np.split(best_of(rows, labels), np.cumsum([len(one) for one in halves])[:-1])
    products = [one.reshape(-1, 2).prod(1) for one in confidences]
    # A half may be several letters beside each other. Of each candidate only the likeliest cuts are tried with these.
    beside = [
        (k, cut)
        for k, (both, limit) in enumerate(zip(products, least, strict=True))
        if len(both) and both.max() < tuning.min_both_confidence and limit < tuning.min_both_confidence
        for cut in np.argsort(-both)[: tuning.max_cuts_beside].tolist()
    ]
    means = mean_confidences(
        engine,
        [half for k, cut in beside for half in halves[k][2 * cut : 2 * cut + 2]],
        [float(one) for k, cut in beside for one in confidences[k][2 * cut : 2 * cut + 2]],
    )
    for (k, cut), (upper, lower) in zip(beside, zip(means[::2], means[1::2], strict=True), strict=True):
        products[k][cut] = upper * lower
    return [
        one[2 * both.argmax() : 2 * both.argmax() + 2] if len(both) and both.max() >= limit else [candidate]
        for candidate, one, both, limit in zip(candidates, halves, products, least, strict=True)
    ]


def halves_of(candidate: Candidate) -> list[Candidate]:
    """Return the upper and the lower part of a candidate for each cut across it, one after the other."""
    turned = np.ascontiguousarray(candidate.ink.T)
    height = turned.shape[1]
    share = STACKED_TUNING.min_part_height
    cuts = [cut for cut in find_cuts(turned) if share * height <= cut.column <= (1 - share) * height]
    masks = [beyond_cut(turned.shape, cut) for cut in cuts]
    inks = [np.ascontiguousarray(ink_between(turned, *ends).T) for mask in masks for ends in ((None, mask), (mask, None))]
    return [replace(candidate, box=part_box(candidate, ink), ink=ink) for ink in inks]


def mean_confidences(engine: Engine, candidates: Sequence[Candidate], confidences: Sequence[float]) -> list[float]:
    """Return the confidence of each candidate, or the mean of its letters' if it is likelier to be several beside each other."""
    wide = [i for i, one in enumerate(zip(candidates, confidences, strict=True)) if may_be_split(*one)]
    means = list(confidences)
    for i, split in zip(wide, split_candidates(engine, [candidates[i] for i in wide], [means[i] for i in wide]), strict=True):
        if split:
            means[i] = float(np.exp(np.log(best_of(split.probabilities, engine.facts.labels)).mean()))
    return means
