"""Split letters that touch, and join strokes of one letter, if the model is surer of the result than of what was found.

Each function asks the engine about all candidates together, and only about what can still change the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import GLYPH_SHAPE, glyph
from ..model.engine import Engine
from ..pixels import Pixels, median, percentile
from ..text.codes import best_of
from .find import Candidate
from .strokes import around


@dataclass(frozen=True)
class SplitTuning:
    """When and where a candidate is cut into letters that stand beside each other.

    Tuned on pages with touching letters of validation writers
    (`python -m lettercast.benchmarks.pages.conditions --split val --only "touching letters"`), so that single letters stay whole.
    """

    # A candidate is cut if the model is less sure of it than this, and if it is at least this wide for its height. A higher value
    # changes nothing, because each part costs `cut_cost`, so that two letters are never likelier than a surer one.
    max_confidence: float = 0.5
    min_width: float = 1.0
    # Cuts run straight down or lean by this many pixels to the side per pixel down.
    leans: tuple[float, float, float] = (0.0, -0.25, 0.25)
    # A cut crosses at most this share of the candidate's height in ink. Only this many of the cuts with the least ink are tried
    # per height of width, at least this share of the height apart.
    max_crossed_share: float = 0.7
    max_cuts_per_height: int = 8
    min_cut_distance: float = 0.08
    # The width of a letter, as a share of the candidate's height.
    min_letter_width: float = 0.2
    max_letter_width: float = 1.5
    # The confidence of each part; the second counts for candidates wider than `min_run_width`, which is too wide for two letters.
    min_part_confidence: float = 0.6
    min_part_confidence_in_run: float = 0.35
    min_run_width: float = 2.2
    # Each part costs this much log-probability.
    cut_cost: float = 0.35
    # A cut may leave scraps of a neighbour's ink behind, each less than this share of a part's.
    max_scrap_share: float = 0.08


SPLIT_TUNING = SplitTuning()


@dataclass(frozen=True)
class Cut:
    """A cut through a candidate's ink: its column at half height, and its lean in pixels to the side per pixel down."""

    column: float
    lean: float


@dataclass(frozen=True)
class Reading:
    """How the model reads one candidate: as n letters from left to right; or several candidates, see `merged`.

    images (n, 28, 28, 1) uint8 are what the network saw, probabilities (n, classes) are its outputs.
    """

    candidates: tuple[Candidate, ...]
    images: Pixels
    probabilities: NDArray[np.float32]


def merged(readings: Sequence[Reading]) -> Reading:
    """Return some readings, at least one, as a single one of all their letters."""
    candidates = tuple(one for reading in readings for one in reading.candidates)
    images = np.concatenate([reading.images for reading in readings])
    return Reading(candidates, images, np.concatenate([reading.probabilities for reading in readings]))


def may_be_split(candidate: Candidate, confidence: float) -> bool:
    """Return whether trying to cut a candidate that was read with this confidence is worth its time."""
    _, _, width, height = candidate.box
    is_free = candidate.place is None
    return is_free and confidence < SPLIT_TUNING.max_confidence and width >= SPLIT_TUNING.min_width * height


# The two ends of a part, counted from the left end of the candidate, which is 0, over its cuts, to its right end.
Span: TypeAlias = tuple[int, int]
# Rounded outputs may add up to slightly more than 1, and float32 rounds their logarithms.
ROUNDING = 0.01


@dataclass(frozen=True)
class Part:
    """A part of a candidate, as the model reads it: ink (h, w) and image (28, 28) uint8, and probabilities (classes,)."""

    ink: Pixels
    image: Pixels
    probabilities: NDArray[np.float32]
    confidence: np.float32


@dataclass(frozen=True)
class Splitting:
    """A candidate that may be several letters: where it may be cut, and what is known of its parts.

    confidence is that of the whole; beyond holds a mask (h, w) uint8 of 0 and 255 for each cut, see `beyond_cut`; spans are the
    parts that are as wide as letters; parts are those of them that were read, None for a part without ink.
    """

    candidate: Candidate
    confidence: float
    beyond: tuple[Pixels, ...]
    spans: tuple[Span, ...]
    parts: dict[Span, Part | None]

    @property
    def last(self) -> int:
        """The right end."""
        return len(self.beyond) + 1

    @property
    def score(self) -> float:
        """The log-probability that letters must exceed."""
        return float(np.log(max(self.confidence, 1e-6)))

    @property
    def sure(self) -> dict[Span, Part]:
        """The parts that may be letters."""
        height, width = self.candidate.ink.shape
        is_run = width > SPLIT_TUNING.min_run_width * height
        least = SPLIT_TUNING.min_part_confidence_in_run if is_run else SPLIT_TUNING.min_part_confidence
        return {span: part for span, part in self.parts.items() if part and part.confidence >= least}

    def ink_in(self, span: Span) -> Pixels:
        """Return the ink (h, w) uint8 of a part."""
        masks = (None, *self.beyond, None)
        return ink_between(self.candidate.ink, masks[span[0]], masks[span[1]])

    def open_spans(self) -> list[Span]:
        """Return the unread parts of letters that are likelier than the whole, if the model is sure of all unread ones."""
        sure, cost = self.sure, SPLIT_TUNING.cut_cost
        known = {span: math.log(sure[span].confidence) if span in sure else -math.inf for span in self.parts}
        gains = {span: known.get(span, ROUNDING) - cost for span in self.spans}
        # The best score of letters from the left end to each end, and from each end to the right end.
        before, after = [-math.inf] * (self.last + 1), [-math.inf] * (self.last + 1)
        before[0] = after[-1] = 0.0
        for (i, j), gain in gains.items():
            before[j] = max(before[j], before[i] + gain)
        for (i, j), gain in reversed(gains.items()):
            after[i] = max(after[i], gain + after[j])
        least = self.score - ROUNDING
        return [(i, j) for (i, j), gain in gains.items() if (i, j) not in self.parts and before[i] + gain + after[j] > least]


def split_candidates(engine: Engine, candidates: Sequence[Candidate], confidences: Sequence[float]) -> list[Reading | None]:
    """Cut candidates, read with these confidences, into letters; None where these are no likelier than the whole.

    The engine is asked three times: about parts that begin at the left end of a candidate, then about those that end at its right
    end, then about those between. Each answer leaves fewer parts that can belong to letters.
    """
    tried = [possible_parts(*one) for one in zip(candidates, confidences, strict=True)]
    read_parts(engine, [(one, span) for one in tried for span in one.open_spans() if span[0] == 0])
    read_parts(engine, [(one, span) for one in tried for span in one.open_spans() if span[1] == one.last])
    read_parts(engine, [(one, span) for one in tried for span in one.open_spans()])
    return [likeliest_letters(one) for one in tried]


def possible_parts(candidate: Candidate, confidence: float) -> Splitting:
    """Find where a candidate may be cut, and which of its parts are as wide as letters."""
    cuts = find_cuts(candidate.ink)
    height, width = candidate.ink.shape
    columns = np.array([0.0, *(cut.column for cut in cuts), float(width)])
    widths = columns[None] - columns[:, None]
    fits = (widths >= SPLIT_TUNING.min_letter_width * height) & (widths <= SPLIT_TUNING.max_letter_width * height)
    # In the order of their left ends, as the sums of `open_spans` need them.
    spans = [(int(i), int(j)) for i, j in np.argwhere(np.triu(fits, 1))] if cuts else []
    return Splitting(candidate, confidence, tuple(beyond_cut(candidate.ink.shape, cut) for cut in cuts), tuple(spans), {})


def read_parts(engine: Engine, asked: Sequence[tuple[Splitting, Span]]) -> None:
    """Read these parts of candidates with one call of the engine, and add them to what is known."""
    inks = [one.ink_in(span) for one, span in asked]
    images = [glyph(ink) for ink in inks]
    inked = [k for k, ink in enumerate(inks) if ink.any()]
    rows = classify(engine, [images[k] for k in inked])
    for one, span in asked:
        one.parts[span] = None
    for k, row, confidence in zip(inked, rows, best_of(rows, engine.facts.labels), strict=True):
        one, span = asked[k]
        one.parts[span] = Part(inks[k], images[k], row, confidence)


def likeliest_letters(tried: Splitting) -> Reading | None:
    """Return the letters that a candidate was cut into; None if they are no likelier than the whole."""
    sure = tried.sure
    path = best_path(tried.last + 1, {span: float(part.confidence) for span, part in sure.items()})
    chosen = [sure[span] for span in pairwise(path)]
    if len(chosen) < 2 or float(sum(np.log(part.confidence) - SPLIT_TUNING.cut_cost for part in chosen)) <= tried.score:
        return None
    parts = tuple(replace(tried.candidate, box=part_box(tried.candidate, part.ink), ink=part.ink) for part in chosen)
    images, rows = np.stack([part.image for part in chosen]), np.stack([part.probabilities for part in chosen])
    return Reading(parts, images[..., None], rows)


def classify(engine: Engine, images: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return the probabilities (n, classes) of images (28, 28) uint8 of letters."""
    return engine(np.array(images, np.uint8).reshape(-1, *GLYPH_SHAPE))


def find_cuts(ink: Pixels) -> list[Cut]:
    """Find where a cut from top to bottom crosses little of the ink (h, w) uint8; returns the cuts from left to right."""
    tuning = SPLIT_TUNING
    mask = (ink > ink.max() // 3).astype(np.uint8)
    height, width = mask.shape
    possible: list[tuple[float, Cut]] = []
    for lean in tuning.leans:
        upright = mask
        if lean:
            shear = np.array([[1, -lean, lean * (height - 1) / 2], [0, 1, 0]], np.float64)
            upright = cv2.warpAffine(mask, shear, (width, height), flags=cv2.INTER_NEAREST)
        crossed = cv2.blur(upright.sum(0, dtype=np.float32)[None], (3, 1))[0]
        inner = crossed[1:-1]
        is_low = (inner <= crossed[:-2]) & (inner <= crossed[2:]) & (inner <= tuning.max_crossed_share * height)
        possible += [(float(crossed[x]) + abs(lean), Cut(float(x), lean)) for x in np.flatnonzero(is_low) + 1]
    chosen: list[Cut] = []
    edge, columns = tuning.min_letter_width / 2 * height, np.arange(width)
    is_free = (columns >= edge) & (columns <= width - edge)
    for _, cut in sorted(possible, key=lambda one: one[0]):
        if is_free[int(cut.column)]:
            chosen.append(cut)
            is_free &= np.abs(columns - cut.column) >= tuning.min_cut_distance * height
        if len(chosen) >= tuning.max_cuts_per_height * max(2.0, width / height):
            break
    return sorted(chosen, key=lambda cut: cut.column)


def beyond_cut(shape: tuple[int, int], cut: Cut) -> Pixels:
    """Return a mask (h, w) uint8 of this shape: 255 to the right of a cut, 0 on it and to its left."""
    height, width = shape
    down = np.arange(height) - (height - 1) / 2
    return np.where(np.arange(width) > (cut.column + cut.lean * down)[:, None], np.uint8(255), np.uint8(0))


def ink_between(ink: Pixels, left: Pixels | None, right: Pixels | None) -> Pixels:
    """Return the ink (h, w) uint8 between two cuts, with 0 elsewhere, without the scraps that they leave behind.

    left and right are masks of what lies beyond the cuts; None stands for the candidate's own end.
    """
    own = ink.copy() if left is None else cv2.bitwise_and(ink, left)
    if right is not None:
        own[right > 0] = 0
    x, y, w, h = cv2.boundingRect(own)
    inked = own[y : y + h, x : x + w]
    if not inked.size:
        return own
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
    if count > 2:
        # The first component is the paper.
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        inked[(areas < SPLIT_TUNING.max_scrap_share * areas.sum())[labels]] = 0
    return own


def best_path(count: int, confidences: dict[tuple[int, int], float]) -> list[int]:
    """Return the ends of the letters with the highest joint probability.

    Args:
        count: of the ends; the path runs from end 0 to end `count - 1`.
        confidences: of the letter between each pair of ends.

    Returns:
        The ends on the path; empty if none leads through.
    """
    best: list[tuple[float, list[int]] | None] = [(0.0, [0])] + [None] * (count - 1)
    for j in range(1, count):
        for i in range(j):
            before, confidence = best[i], confidences.get((i, j), 0.0)
            if before is None or not confidence:
                continue
            score = before[0] + float(np.log(confidence)) - SPLIT_TUNING.cut_cost
            known = best[j]
            if known is None or score > known[0]:
                best[j] = (score, [*before[1], j])
    end = best[-1]
    return end[1] if end else []


def part_box(candidate: Candidate, ink: Pixels) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) in the image of a part's ink, which has the shape of the candidate's own."""
    x, y, w, h = cv2.boundingRect((ink > 0).astype(np.uint8))
    across, down = candidate.box[2] / ink.shape[1], candidate.box[3] / ink.shape[0]
    return (
        candidate.box[0] + round(x * across),
        candidate.box[1] + round(y * down),
        max(1, round(w * across)),
        max(1, round(h * down)),
    )


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
# A bare stroke may be any of these, and is certainly a stroke.
BARE_STROKES = ("I", "L", "1")


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


def certainty(rows: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
    """Return how sure the model is that each is a letter (n,): its highest probability, with I and L counted as one class.

    So are a digit and the letter that it looks like.
    """
    best = best_of(rows, labels)
    bare = [labels.index(name) for name in BARE_STROKES if name in labels]
    return np.maximum(best, rows[:, bare].sum(1)) if bare else best


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
