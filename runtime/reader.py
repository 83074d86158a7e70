"""The reader: takes an image and returns lines of letters.

from lettercast.runtime import Reader
page = Reader().read(cv2.imread("page.jpg"))
print(page.text)
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from .arguments import CASES, UPPER, WRITTEN, find_model
from .files import packaged
from .glyph import GLYPH_SHAPE, glyph
from .hand.apply import with_hand
from .hand.file import Hand
from .model.engine import Engine, open_engine, remembering
from .model.facts import LETTERS, PHOTOS
from .page.find import Candidate, find_candidates
from .page.join import join_strokes
from .page.lines import first_letters, order_lines, split_words
from .page.split import Reading, certainty, classify, may_be_split, merged, split_candidates
from .page.stacked import split_stacked
from .pixels import Pixels, check_image, keep_memory, percentile
from .text import UNKNOWN, Box, Letter, Line, Page, Word
from .text.codes import Alphabet, alphabet_of, best_of, settle_kinds
from .text.context import LABELS, Evidence, Shapes, find_small, load_case, settle_case, settle_heights
from .text.guesses import MAX_ALTERNATIVES, Guess, guesses_of, likely
from .text.language import Language, load_language, weigh_word
from .text.words import find_word, load_words

# Two rows of a 2x2 matrix.
View: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class LookTuning:
    """Which letters get a second look, and how they are turned for it.

    Chosen on letters of validation writers, as seen by the simulated camera of train/data/drawing.py.
    """

    # A doubtful letter is one of which the model's certainty lies in this range; below it, it is a non-letter.
    min_confidence: float = 0.2
    max_confidence: float = 0.85
    # The letter is turned by this angle to the left and to the right, and widened by this factor.
    turn_rad: float = 0.16
    widen: float = 1.4

    @property
    def views(self) -> tuple[View, View, View]:
        """The 2x2 matrices of the views."""
        cos, sin = math.cos(self.turn_rad), math.sin(self.turn_rad)
        return ((cos, -sin), (sin, cos)), ((cos, sin), (-sin, cos)), ((self.widen, 0.0), (0.0, 1.0))


LOOK_TUNING = LookTuning()
# In an image of gravel everything is doubtful, so the number of second looks is limited.
MAX_LOOKS = 60


def look_again(engine: Engine, inks: list[Pixels], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities (n, classes), averaged over several views of their ink for doubtful letters.

    Args:
        inks: the (h, w) uint8 ink of each letter.
        probabilities: (n, classes) of the letters without turning.
    """
    # A bare stroke is an I or an L from every side, and the line decides which.
    best = certainty(probabilities, engine.facts.labels)
    doubtful = np.flatnonzero((best < LOOK_TUNING.max_confidence) & (best >= LOOK_TUNING.min_confidence))[:MAX_LOOKS]
    if not len(doubtful):
        return probabilities
    views = LOOK_TUNING.views
    seen = classify(engine, [glyph(seen_from(inks[i], view)) for i in doubtful for view in views])
    seen = seen.reshape(len(doubtful), len(views), -1)
    settled = probabilities.copy()
    settled[doubtful] = (probabilities[doubtful] + seen.sum(1)) / (1 + len(views))
    return settled


def seen_from(ink: Pixels, view: View) -> Pixels:
    """Return ink (h, w) uint8 transformed by a 2x2 matrix about its middle, on a canvas that holds all of it."""
    height, width = ink.shape
    (a, b), (c, d) = view
    wide, high = math.ceil(abs(a) * width + abs(b) * height), math.ceil(abs(c) * width + abs(d) * height)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[a, b, (wide - 1) / 2 - a * x - b * y], [c, d, (high - 1) / 2 - c * x - d * y]])
    return cv2.warpAffine(ink, matrix, (wide, high))


@dataclass(frozen=True)
class NeighbourTuning:
    """When a letter is kept or rejected by its neighbours on the page.

    Tuned on frames without letters (`python -m lettercast.benchmarks.pages.blank`) and on pages of validation writers
    (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # Neighbours lie within this distance, in sizes of the candidate, and are at most this many times larger or smaller.
    max_distance: float = 4.0
    max_size_ratio: float = 2.0
    # A letter far from all others needs this confidence, because the model sometimes takes dust for an I. The more non-letters
    # a page has, the likelier one of them looks like a letter: what is missing to 1 is divided by the root of their number.
    min_alone_confidence: float = 0.7
    # If the letters of a page are fewer than this share of its non-letters, they all count as far from others.
    min_letter_share: float = 0.1
    # A page may be written with several pens, but fainter ink than this share of its letters' ink is no writing.
    min_strength_share: float = 0.3


NEIGHBOUR_TUNING = NeighbourTuning()
# Only this many candidates are compared with all others at once, because a processor's cache holds no more.
BATCH_CANDIDATES = 64


def keep_by_neighbours(
    boxes: Sequence[Box], strengths: NDArray[np.int64], confidence: NDArray[np.float32], reject_below: float
) -> NDArray[np.bool_]:
    """Return which candidates of a page are writing, judged by their neighbours.

    A candidate stays if at least as many of its neighbours of similar size, itself included, are letters as are non-letters. A
    letter without neighbours needs a higher confidence, and the more so the more non-letters there are. Candidates that
    are much fainter than the page's letters, such as grain of wood or a smear, never stay.

    Args:
        boxes: (x, y, width, height) of all candidates of a page, in pixels.
        strengths: (n,) ink of each, 0..255.
        confidence: (n,) probability of the likeliest letter, 0..1.
        reject_below: the confidence below which the model takes a candidate for a non-letter.

    Returns:
        (n,) True for writing.
    """
    tuning = NEIGHBOUR_TUNING
    known = confidence >= reject_below
    if not known.any():
        return known
    unknown_count = int((~known).sum())
    # A model without a threshold was never measured on non-letters, so all its outputs count.
    alone = max(reject_below, 1 - (1 - tuning.min_alone_confidence) / (1 + unknown_count) ** 0.5) if reject_below else 0.0
    all_alone = bool(known.sum() < tuning.min_letter_share * unknown_count)
    faint = strengths < tuning.min_strength_share * percentile(strengths[known], 80)
    known &= ~faint
    box = np.array(boxes, np.float32).reshape(-1, 4)
    middle, size = box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(1)
    is_writing = np.zeros(len(known), bool)
    # Squares of distances, because roots take longer than all the rest.
    reach, most, least = (tuning.max_distance * size) ** 2, tuning.max_size_ratio * size, size / tuning.max_size_ratio
    for start in range(0, len(box), BATCH_CANDIDATES):
        own = np.s_[start : start + BATCH_CANDIDATES]
        across, down = (middle[own, k, None] - middle[:, k] for k in (0, 1))
        near = (across * across + down * down <= reach[own, None]) & (size <= most[own, None]) & (size >= least[own, None])
        near_letters = np.count_nonzero(near & known, 1)
        letters, others = near_letters, np.count_nonzero(near, 1) - near_letters
        is_writing[own] = (letters >= others) & ((letters > 1) & (not all_alone) | (confidence[own] >= alone))
    return is_writing & ~faint


@dataclass(frozen=True)
class PlaceTuning:
    """When something in a box of a form is no letter. Tuned like FormTuning."""

    # What the model takes for a non-letter is a remnant of print if it is smaller than this share of the other letters.
    min_size_share: float = 0.5
    # Fainter ink than this share of the letters' is none.
    min_strength_share: float = 0.3


PLACE_TUNING = PlaceTuning()


def keep_in_places(boxes: Sequence[Box], strengths: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which candidates (n,) in the boxes of a form are writing: letters, and non-letters of their size and ink."""
    size = np.array(boxes, float).reshape(-1, 4)[:, 2:].max(1)
    usual = percentile(size[known] if known.any() else size, 50)
    strong = percentile(strengths[known] if known.any() else strengths, 80)
    is_large = size >= PLACE_TUNING.min_size_share * usual
    kept: NDArray[np.bool_] = (known | is_large) & (strengths >= PLACE_TUNING.min_strength_share * strong)
    return kept


def in_written_case(lines: tuple[Line, ...], images: Sequence[Pixels]) -> tuple[Line, ...]:
    """Return lines of capitals with small letters where they were written; images (n, 28, 28, 1) are those of each line."""
    shapes = [
        Shapes(
            np.array([LABELS.index(one.letter) if one.letter in LABELS else -1 for one in line.letters]),
            load_case().capital(own),
            [one.box for one in line.letters],
            np.array([not i for word in line.words for i, _ in enumerate(word.letters)]),
        )
        for line, own in zip(lines, images, strict=True)
    ]
    written = []
    for line, small in zip(lines, find_small(shapes), strict=True):
        letters = iter([one.in_small() if is_small else one for one, is_small in zip(line.letters, small, strict=True)])
        written.append(Line(tuple(replace(word, letters=tuple(islice(letters, len(word.letters)))) for word in line.words)))
    return tuple(written)


def letters_in(rows: NDArray[np.float32], places: Alphabet) -> NDArray[np.float32]:
    """Return the probabilities (n, 26) of A to Z in rows (n, classes), as if there were no digits."""
    own = rows[:, places.letters]
    return own / np.maximum(own.sum(1, keepdims=True), np.finfo(np.float32).tiny) if len(places.digits) else own


def with_letters(
    rows: NDArray[np.float32], chosen: NDArray[np.intp], letters: NDArray[np.float32], places: Alphabet
) -> NDArray[np.float32]:
    """Return rows (n, classes) with the probabilities (k, 26) of A to Z for the k chosen rows; digits keep their own."""
    changed = rows.copy()
    share = rows[chosen][:, places.letters].sum(1, keepdims=True) if len(places.digits) else np.float32(1)
    changed[chosen[:, None], places.letters] = share * letters
    return changed


DEFAULT_MODEL = packaged("models/letters-base-int8.tflite")


@dataclass(frozen=True)
class GravelTuning:
    """When a page is an image of gravel or the like, in which trying to split every candidate would take a second.

    Tuned on frames without letters (`python -m lettercast.benchmarks.pages.blank`).
    """

    # If fewer than this share of more than this many candidates are letters, the image is texture, not text.
    max_candidates: int = 150
    min_letter_share: float = 0.3


GRAVEL_TUNING = GravelTuning()


class Reader:
    """Read letters with one model.

    Args:
        model: the name of a model that comes with lettercast (`letters-base`, the default, `letters-nano` or
            `letters-digits`), the path of a `.tflite` or `.onnx` file, or an engine that is open already.
        threads: threads of the engine.
        words: a UTF-8 text file with one word per line, or the words themselves. The reader looks for them in what it
            reads, see `Word.listed`.
        language: the name of a language that comes with lettercast, such as `en`, or the path of a fitted one. It weighs the
            alternatives of each letter over its word, see `Letter.seen`.
        case: `upper`, so that all letters are given as capitals, or `written`, so that they are given as they were written.
        hand: the name of a hand that was learned with `lettercast hand`, or the path of its file.

    Raises:
        LettercastError: there is no such model, language or hand, no engine for the model is installed, or it does not read
            letters.

    Example:
        page = Reader("letters-nano").read("page.jpg")
        print(page.text)
    """

    def __init__(
        self,
        model: str | Path | Engine | None = None,
        threads: int = 1,
        words: str | Path | Iterable[str] | None = None,
        language: str | Path | None = None,
        case: str = UPPER,
        *,
        hand: Hand | str | Path | None = None,
    ) -> None:
        keep_memory()
        # A model inside a zip file is neither a str nor a Path but reads like one, so it stays as it is.
        path = find_model(model) if isinstance(model, str | Path) else model or DEFAULT_MODEL
        engine = path if isinstance(path, Engine) else open_engine(path, threads)
        self.engine = engine if hand is None else with_hand(engine, hand)
        facts = self.engine.facts
        if facts.takes != LETTERS:
            problem = "classifies whole images and reads no pages; use `lettercast classify`"
            if facts.takes == PHOTOS:
                problem = "takes one letter at a time; use `lettercast classify`, or the tflite-int8 export to read pages"
            raise LettercastError(f"{facts.name} ({facts.format}): {problem}")
        if facts.input_shape != GLYPH_SHAPE:
            raise LettercastError(
                f"{facts.name}: reads images of shape {facts.input_shape}, but letters have {GLYPH_SHAPE}; use another model"
            )
        self.words = None if words is None else load_words(words, facts.labels)
        self.alphabet: Alphabet | None = alphabet_of(facts.labels)
        if language is not None and not self.alphabet:
            raise LettercastError(f"{facts.name}: reads other labels than A to Z, which no language knows; leave --language out")
        self.language = None if language is None else load_language(language)
        if case not in CASES:
            raise LettercastError(f"case {case}: no such case; use {' or '.join(CASES)}")
        if case == WRITTEN and not self.alphabet:
            raise LettercastError(f"{facts.name}: reads other labels than A to Z, which have no case; leave --case out")
        self.case = case

    def read(self, image: Pixels | str | Path) -> Page:
        """Read one image.

        Args:
            image: the path of an image file, or pixels as OpenCV has them: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8.

        Raises:
            LettercastError: the file cannot be read as an image.
            TypeError, ValueError: the pixels are not an image.
        """
        if isinstance(image, str | Path):
            from .sources.images import read_image

            image = read_image(Path(image))
        return self.make_page(image, self.recognize)

    def make_page(self, image: Pixels, recognize: Callable[[Sequence[Candidate], Engine], list[Reading]]) -> Page:
        """Read one image like `read`, with another function that recognizes its candidates; it takes what `recognize` takes."""
        start = time.perf_counter()
        # Finding letters takes reading some of them.
        engine = remembering(self.engine)
        candidates = self.find(image, engine)
        found = time.perf_counter()
        readings = recognize(candidates, engine)
        lines, outside = self.compose(readings), self.compose_outside(readings)
        done = time.perf_counter()
        size, count = (image.shape[1], image.shape[0]), sum(len(reading.candidates) for reading in readings)
        left_out = count - sum(len(line.letters) for line in (*lines, *outside))
        return Page(size, lines, 1000 * (found - start), 1000 * (done - found), outside, left_out)

    def find(self, image: Pixels, engine: Engine | None = None) -> list[Candidate]:
        """Find what may be letters, in no order; takes images as `read` does, and optionally an engine for the same model."""
        check_image(image)
        found = find_candidates(image)
        # Whatever stands in a box of a form is one letter.
        placed = [one for one in found if one.place]
        free = [one for one in found if not one.place] if placed else found
        engine = engine or self.engine
        return placed + split_stacked(engine, join_strokes(engine, free))

    def recognize(self, candidates: Sequence[Candidate], engine: Engine | None = None) -> list[Reading]:
        """Classify candidates, optionally with an engine for the same model.

        Returns one reading each, which does not depend on the other candidates.
        """
        engine, labels = engine or self.engine, self.engine.facts.labels
        images = np.array([one.glyph_image for one in candidates], np.uint8).reshape(-1, *GLYPH_SHAPE)
        rows = look_again(engine, [one.ink for one in candidates], engine(images))
        sure = best_of(rows, labels).tolist()
        is_gravel = len(candidates) > GRAVEL_TUNING.max_candidates and (
            (certainty(rows, labels) >= self.engine.facts.reject_below).mean() < GRAVEL_TUNING.min_letter_share
        )
        wide = [] if is_gravel else [i for i, one in enumerate(candidates) if may_be_split(one, sure[i])]
        splits = dict(zip(wide, split_candidates(engine, [candidates[i] for i in wide], [sure[i] for i in wide]), strict=True))
        return [
            splits.get(i) or Reading((candidate,), images[i : i + 1], rows[i : i + 1]) for i, candidate in enumerate(candidates)
        ]

    def compose(self, readings: Sequence[Reading]) -> tuple[Line, ...]:
        """Make lines of all readings of a page: reject candidates by their neighbours, and let context settle doubts.

        If there is a form, its rows are the lines.
        """
        if any(one.place for reading in readings for one in reading.candidates):
            return self._compose_form(merged([reading for reading in readings if reading.candidates[0].place]))
        if any(one.is_outside for reading in readings for one in reading.candidates):
            # Nothing is filled in.
            return ()
        return self._compose_free(merged(readings)) if readings else ()

    def compose_outside(self, readings: Sequence[Reading]) -> tuple[Line, ...]:
        """Make lines of what stands outside the boxes of a form; there are none without a form."""
        outside = [reading for reading in readings if reading.candidates[0].is_outside]
        return self._compose_free(merged(outside)) if outside else ()

    def _compose_form(self, reading: Reading) -> tuple[Line, ...]:
        """Make a line of each row of a form, with a space for empty boxes between letters."""
        candidates = reading.candidates
        known = certainty(reading.probabilities, self.engine.facts.labels) >= self.engine.facts.reject_below
        strengths = np.array([one.strength for one in candidates])
        kept = np.flatnonzero(keep_in_places([one.box for one in candidates], strengths, known))
        places = {int(i): candidates[i].place for i in kept}
        order: list[list[int]] = []
        words: list[list[slice]] = []
        for row in sorted({place.row for place in places.values() if place}):
            own = sorted((place.column, i) for i, place in places.items() if place and place.row == row)
            starts = [0, *(k + 1 for k, (a, b) in enumerate(pairwise(own)) if b[0] > a[0] + 1), len(own)]
            order.append([i for _, i in own])
            words.append([slice(a, b) for a, b in pairwise(starts)])
        return self._lines(reading, [np.array(line, int) for line in order], words)

    def _compose_free(self, reading: Reading) -> tuple[Line, ...]:
        candidates = reading.candidates
        boxes, strengths = [one.box for one in candidates], np.array([one.strength for one in candidates])
        confidence = certainty(reading.probabilities, self.engine.facts.labels)
        kept = np.flatnonzero(keep_by_neighbours(boxes, strengths, confidence, self.engine.facts.reject_below))
        order = [kept[line] for line in order_lines([boxes[i] for i in kept])]
        return self._lines(reading, order, split_words([[boxes[i] for i in line] for line in order]))

    def _lines(self, reading: Reading, order: Sequence[NDArray[np.intp]], words: list[list[slice]]) -> tuple[Line, ...]:
        """Make lines of these candidates of a reading, split into these words."""
        candidates = reading.candidates
        boxes = [[candidates[i].box for i in line] for line in order]
        images = [reading.images[line] for line in order]
        seen = [reading.probabilities[line] for line in order]
        settled = self._settle(seen, images, boxes, words)
        # Context only chooses between letters: if the model alone is sure that something is a letter, it stays one.
        known = [self._is_known(before) | self._is_known(after) for before, after in zip(seen, settled, strict=True)]
        lines = tuple(
            Line(tuple(self._word(row[word], [candidates[i] for i in line[word]], is_known[word]) for word in parts))
            for row, line, is_known, parts in zip(settled, order, known, words, strict=True)
        )
        return in_written_case(lines, images) if self.case == WRITTEN else lines

    def _is_known(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which rows (n, classes) are letters or digits for the model, not non-letters."""
        facts = self.engine.facts
        known: NDArray[np.bool_] = best_of(rows, facts.labels) >= facts.reject_below
        return known

    def _settle(
        self, rows: list[NDArray[np.float32]], images: list[Pixels], boxes: list[list[Box]], words: list[list[slice]]
    ) -> list[NDArray[np.float32]]:
        """Return the probabilities (n, classes) of each line, weighted by the groups, the case and the heights of the page."""
        if not self.alphabet or not rows:
            return rows
        places = self.alphabet
        rows = [settle_kinds(row, parts, places, self._is_known(row)) for row, parts in zip(rows, words, strict=True)]
        # Digits have no case and no height of their own.
        has_digits = len(places.digits) > 0
        letters = [np.flatnonzero(~np.isin(one.argmax(1), places.digits)) if has_digits else np.arange(len(one)) for one in rows]
        capital = load_case().capital(np.concatenate(images))
        shares = np.split(capital, np.cumsum([len(row) for row in rows])[:-1])
        firsts = [first_letters(parts)[own] for parts, own in zip(words, letters, strict=True)]
        seen = [letters_in(row[own], places) for row, own in zip(rows, letters, strict=True)]
        shares = [share[own] for share, own in zip(shares, letters, strict=True)]
        settled = settle_case([Evidence(*line) for line in zip(seen, shares, firsts, strict=True)])
        own_boxes = [[line[i] for i in own] for line, own in zip(boxes, letters, strict=True)]
        settled = [settle_heights(*line) for line in zip(settled, own_boxes, firsts, strict=True)]
        return [with_letters(row, own, one, places) for row, own, one in zip(rows, letters, settled, strict=True)]

    def _word(self, rows: NDArray[np.float32], candidates: Sequence[Candidate], known: NDArray[np.bool_]) -> Word:
        weighed = rows if self.language is None else self._by_language(self.language, rows, known)
        letters = self._letters(rows, weighed, candidates, known)
        # The list of words knows better what follows what, so it takes the letters as they were seen.
        if self.words is None:
            return Word(letters)
        found = find_word(self.words, rows, known)
        return Word(letters, found.word, found.probability)

    def _by_language(self, language: Language, rows: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return a word's probabilities (n, classes), weighed by a language; groups with digits are of none."""
        places = self.alphabet
        if not places or np.isin(rows[known].argmax(1), places.digits).any():
            return rows
        return with_letters(rows, np.arange(len(rows)), weigh_word(language, letters_in(rows, places), known), places)

    def _letters(
        self,
        seen: NDArray[np.float32],
        weighed: NDArray[np.float32],
        candidates: Sequence[Candidate],
        known: NDArray[np.bool_],
    ) -> tuple[Letter, ...]:
        """Return the letters of a word by their probabilities (n, classes) as they were seen, and weighed by a language."""
        labels = self.engine.facts.labels
        before = guesses_of(seen, labels)
        if weighed is seen:
            return tuple(map(letter_of, candidates, before, known.tolist()))
        # What the language does not change stays exactly as it was seen.
        is_changed = known & (seen.argmax(1) != weighed.argmax(1))
        after = guesses_of(np.where(is_changed[:, None], weighed, seen), labels)
        seen_before = [likely(one) if changed else () for one, changed in zip(before, is_changed.tolist(), strict=True)]
        return tuple(map(letter_of, candidates, after, known.tolist(), seen_before))


def letter_of(candidate: Candidate, guesses: Sequence[Guess], known: bool, seen: tuple[Guess, ...] = ()) -> Letter:
    """Return a letter by its likeliest labels; seen are those before a language changed them."""
    (best, confidence), *rest = guesses
    others = likely((rest if known else guesses)[:MAX_ALTERNATIVES])
    place = candidate.place
    counted = (place.row + 1, place.column + 1) if place else (None, None)
    return Letter(best if known else UNKNOWN, confidence, candidate.box, others, *counted, seen=seen)
