"""Split letters that touch beside each other, if the model is surer of the parts than of the whole.

Each function asks the engine about all candidates together, and only about what can still change the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import GLYPH_SHAPE, glyph
from ..model.engine import Engine
from ..pixels import Pixels
from ..text.codes import best_of
from .find import Candidate


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
# A bare stroke may be any of these, and is certainly a stroke.
BARE_STROKES = ("I", "L", "1")


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


def certainty(rows: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
    """Return how sure the model is that each is a letter (n,): its highest probability, with I and L counted as one class.

    So are a digit and the letter that it looks like.
    """
    best = best_of(rows, labels)
    bare = [labels.index(name) for name in BARE_STROKES if name in labels]
    return np.maximum(best, rows[:, bare].sum(1)) if bare else best


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
