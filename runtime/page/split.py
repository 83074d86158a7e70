"""Split letters that touch, and join strokes of one letter, if the model is surer of the result than of what was found."""

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
from ..text.codes import best_of
from .find import Candidate
from .strokes import around


@dataclass(frozen=True)
class SplitTuning:
    """When and where a candidate is cut into letters that stand beside each other.

    Tuned on pages with touching letters of validation writers
    (`python -m lettercast.benchmarks.pages.conditions --split val --only "touching letters"`), so that single letters stay whole.
    """

    # A candidate is cut if the model is less sure of it than this, and if it is at least this wide for its height.
    max_confidence: float = 0.75
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


def split_candidate(engine: Engine, candidate: Candidate, confidence: float) -> Reading | None:
    """Cut a candidate into letters; None if these are no likelier, by their confidences, than the whole is by its own."""
    tuning = SPLIT_TUNING
    cuts = find_cuts(candidate.ink)
    if not cuts:
        return None
    ends = [None, *cuts, None]
    height, width = candidate.ink.shape
    columns = [0.0, *(cut.column for cut in cuts), float(width)]
    spans = [
        (i, j)
        for i in range(len(ends))
        for j in range(i + 1, len(ends))
        if tuning.min_letter_width * height <= columns[j] - columns[i] <= tuning.max_letter_width * height
    ]
    inks = {span: ink_between(candidate.ink, ends[span[0]], ends[span[1]]) for span in spans}
    spans = [span for span in spans if inks[span].any()]
    if not spans:
        return None
    images = dict(zip(spans, (glyph(inks[span]) for span in spans), strict=True))
    seen = engine(np.stack(list(images.values()))[..., None])
    rows = dict(zip(spans, seen, strict=True))
    sure: dict[tuple[int, int], np.float32] = dict(zip(spans, best_of(seen, engine.facts.labels), strict=True))
    is_run = width > tuning.min_run_width * height
    least = tuning.min_part_confidence_in_run if is_run else tuning.min_part_confidence
    path = best_path(len(ends), {span: float(value) for span, value in sure.items() if value >= least})
    chosen = list(pairwise(path))
    if len(chosen) < 2:
        return None
    if sum(np.log(sure[span]) - tuning.cut_cost for span in chosen) <= np.log(max(confidence, 1e-6)):
        return None
    parts = tuple(replace(candidate, box=part_box(candidate, inks[span]), ink=inks[span]) for span in chosen)
    return Reading(parts, np.stack([images[span] for span in chosen])[..., None], np.stack([rows[span] for span in chosen]))


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
    edge = tuning.min_letter_width / 2 * height
    for _, cut in sorted(possible, key=lambda one: one[0]):
        is_apart = all(abs(cut.column - other.column) >= tuning.min_cut_distance * height for other in chosen)
        if is_apart and edge <= cut.column <= width - edge:
            chosen.append(cut)
        if len(chosen) >= tuning.max_cuts_per_height * max(2.0, width / height):
            break
    return sorted(chosen, key=lambda cut: cut.column)


def ink_between(ink: Pixels, left: Cut | None, right: Cut | None) -> Pixels:
    """Return the ink (h, w) uint8 between two cuts, with 0 elsewhere; None stands for the candidate's own end."""
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
    return np.where((areas >= SPLIT_TUNING.max_scrap_share * areas.sum())[labels], own, 0).astype(np.uint8)


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
    rows = engine(np.stack([one.glyph_image for one in (*(candidates[i] for i in singles), *unions)])[..., None])
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
    min_whole_confidence: float = 0.99
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
        parts = [
            split_across(engine, one, both) if both and id(one) not in tried else [one]
            for one, both in zip(whole, least.tolist(), strict=True)
        ]
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


def split_across(engine: Engine, candidate: Candidate, least: float = STACKED_TUNING.min_both_confidence) -> list[Candidate]:
    """Return the two letters above each other that a candidate consists of, or the candidate itself.

    least is the product of confidences that the two letters must have. A part that is several letters beside each other has the
    mean confidence of these.
    """
    tuning = STACKED_TUNING
    # Every bare stroke is two bare strokes above each other, so for the parts I and L do not count as one class.
    if certainty(engine(candidate.glyph_image[None, ..., None]), engine.facts.labels)[0] >= tuning.min_whole_confidence:
        return [candidate]
    turned = np.ascontiguousarray(candidate.ink.T)
    height = turned.shape[1]
    share = tuning.min_part_height
    cuts = [cut for cut in find_cuts(turned) if share * height <= cut.column <= (1 - share) * height]
    if not cuts:
        return [candidate]
    halves = [np.ascontiguousarray(ink_between(turned, *ends).T) for cut in cuts for ends in ((None, cut), (cut, None))]
    sure = best_of(engine(np.stack([glyph(ink) for ink in halves])[..., None]), engine.facts.labels)
    parts = [replace(candidate, box=part_box(candidate, ink), ink=ink) for ink in halves]
    both = sure.reshape(-1, 2).prod(1)
    if both.max() < tuning.min_both_confidence and least < tuning.min_both_confidence:
        # A part may be several letters beside each other.
        for k in np.argsort(-both)[: tuning.max_cuts_beside].tolist():
            both[k] = np.prod([confidence_of(engine, parts[i], float(sure[i])) for i in (2 * k, 2 * k + 1)])
    best = int(both.argmax())
    return [candidate] if both[best] < least else parts[2 * best : 2 * best + 2]


def confidence_of(engine: Engine, candidate: Candidate, confidence: float) -> float:
    """Return the confidence of a candidate, or the mean of its letters' if it is likelier to be several beside each other."""
    split = split_candidate(engine, candidate, confidence) if may_be_split(candidate, confidence) else None
    return float(np.exp(np.log(best_of(split.probabilities, engine.facts.labels)).mean())) if split else confidence
