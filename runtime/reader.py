"""The reader: an image in, lines of letters out.

from lettercast.runtime import Reader
page = Reader().read(cv2.imread("page.jpg"))
print(page.text)
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from .arguments import find_model
from .files import packaged
from .glyph import GLYPH_SHAPE, glyph
from .model.engine import Engine, open_engine
from .model.facts import PHOTOS
from .page.find import Spot, find_spots
from .page.lines import first_letters, order_lines, part_words
from .page.split import Reading, certainty, join_strokes, may_be_several, part, part_stacked
from .pixels import Pixels, percentile
from .text import UNKNOWN, Box, Letter, Line, Page, Word
from .text.context import LABELS, Evidence, load_case, settle_case, settle_heights
from .text.words import find_word, load_words

# The likeliest class of a doubtful letter is less probable than this; what is less probable than that is no letter.
SURE, LEAST = 0.85, 0.2
# In a picture of gravel everything is doubtful; so many letters get a second look.
MOST_LOOKS = 60
TURN_RAD, WIDEN = 0.16, 1.4
VIEWS = (
    ((math.cos(TURN_RAD), -math.sin(TURN_RAD)), (math.sin(TURN_RAD), math.cos(TURN_RAD))),
    ((math.cos(TURN_RAD), math.sin(TURN_RAD)), (-math.sin(TURN_RAD), math.cos(TURN_RAD))),
    ((WIDEN, 0.0), (0.0, 1.0)),
)


def look_again(engine: Engine, inks: list[Pixels], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities (n, classes) with those of doubtful letters averaged over several views of their ink.

    Args:
        inks: the (h, w) uint8 ink of each letter.
        probabilities: (n, classes) of the letters as they stand.
    """
    best = probabilities.max(1, initial=0)
    doubtful = np.flatnonzero((best < SURE) & (best >= LEAST))[:MOST_LOOKS]
    if not len(doubtful):
        return probabilities
    views = np.stack([glyph(seen_from(inks[i], view)) for i in doubtful for view in VIEWS])[..., None]
    seen = engine(views).reshape(len(doubtful), len(VIEWS), -1)
    settled = probabilities.copy()
    settled[doubtful] = (probabilities[doubtful] + seen.sum(1)) / (1 + len(VIEWS))
    return settled


def seen_from(ink: Pixels, view: tuple[tuple[float, float], tuple[float, float]]) -> Pixels:
    """Return ink (h, w) uint8 moved by a 2x2 matrix about its middle, on a canvas that holds all of it."""
    height, width = ink.shape
    (a, b), (c, d) = view
    wide, high = math.ceil(abs(a) * width + abs(b) * height), math.ceil(abs(c) * width + abs(d) * height)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[a, b, (wide - 1) / 2 - a * x - b * y], [c, d, (high - 1) / 2 - c * x - d * y]])
    return cv2.warpAffine(ink, matrix, (wide, high))


# Neighbours are this near, in sizes of the piece, and not more than so many times larger or smaller.
NEAR, ALIKE = 4.0, 2.0
# A letter far from all others must be this sure: dust is sometimes taken for an I. Among n scraps on the page the chance that
# one looks like a letter grows; what is left to certainty is divided by the root of n.
ALONE = 0.7
# Letters that are fewer than this share of the page's scraps are alone in a sea of them, though they be neighbours.
SEA_SHARE = 0.1
# One page is written with one pen or with several, but never with ink this many times fainter.
FAINT_SHARE = 0.3
# Of a picture of gravel so many pieces are looked at with all others at once.
AT_ONCE = 256


def in_company(
    boxes: Sequence[Box], strengths: NDArray[np.int64], sure: NDArray[np.float32], reject_below: float
) -> NDArray[np.bool_]:
    """Tell which pieces of a page are writing: letters that stand alone or among letters, and scraps among letters.

    Args:
        boxes: (x, y, width, height) of all that was found on a page, in pixels.
        strengths: (n,) ink of each, 0..255.
        sure: (n,) probability of the likeliest letter, 0..1.
        reject_below: the probability below which the model claims no letter.

    Returns:
        (n,) True where no more neighbours of like size are unknown than known, each counted with itself. A letter without
        neighbours must be surer, and the more so the more scraps there are. What is far fainter than the page's letters is
        none: grain of wood, a smear.
    """
    known = sure >= reject_below
    if not known.any():
        return known
    # A model without a threshold was never measured on what is no letter: all its answers count.
    scrap_count = int((~known).sum())
    alone = max(reject_below, 1 - (1 - ALONE) / (1 + scrap_count) ** 0.5) if reject_below else 0.0
    all_alone = bool(known.sum() < SEA_SHARE * scrap_count)
    faint = strengths < FAINT_SHARE * percentile(strengths[known], 80)
    known &= ~faint
    box = np.array(boxes, np.float32).reshape(-1, 4)
    middle, size = box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(1)
    kept = np.zeros(len(known), bool)
    for start in range(0, len(box), AT_ONCE):
        own = np.s_[start : start + AT_ONCE]
        apart = np.hypot(*(middle[own, None] - middle[None]).transpose(2, 0, 1))
        ratio = size[None] / size[own, None]
        near = (apart <= NEAR * size[own, None]) & (ratio <= ALIKE) & (ratio >= 1 / ALIKE)
        letters, scraps = near[:, known].sum(1), near[:, ~known].sum(1)
        kept[own] = (letters >= scraps) & ((letters > 1) & (not all_alone) | (sure[own] >= alone))
    return kept & ~faint


DEFAULT_MODEL = packaged("models/letters-base-int8.tflite")
# Second guesses: so many at most, and none that is less likely than this.
ALTERNATIVES, LEAST_PROBABLE = 3, 0.01
# Of more spots than this a smaller share than that are letters: a picture of gravel, where no spot is tried for parts.
MANY_SPOTS, FEWEST_LETTERS = 150, 0.3
# Of an image: grey, BGR, BGRA.
CHANNELS = (1, 3, 4)


class Reader:
    """Read letters with one model.

    Args:
        model: the name of a model that comes with lettercast (`letters-base`, the default, or `letters-nano`), the path of
            a `.tflite` or `.onnx` file, or an engine that is open already.
        threads: threads of the engine.
        words: a UTF-8 text file with one word per line, or the words themselves. The reader looks for them in what it
            reads, see `Word.listed`.

    Raises:
        LettercastError: there is no such model, no engine for it is installed, or it does not read letters.

    Example:
        page = Reader("letters-nano").read("page.jpg")
        print(page.text)
    """

    def __init__(
        self, model: str | Path | Engine | None = None, threads: int = 1, words: str | Path | Iterable[str] | None = None
    ) -> None:
        # Not always through Path: a model within a zip is none, though it reads like one.
        path = find_model(model) if isinstance(model, str) or type(model) is type(Path()) else model or DEFAULT_MODEL
        self.engine = path if isinstance(path, Engine) else open_engine(path, threads)
        if self.engine.facts.takes == PHOTOS:
            said = "is made for apps, which show it one letter at a time; to read pages take its tflite-int8"
            raise LettercastError(f"{self.engine.facts.name}-{self.engine.facts.format.partition('-')[2]}: {said}")
        if self.engine.facts.input_shape != GLYPH_SHAPE:
            taken = self.engine.facts.input_shape
            raise LettercastError(
                f"{self.engine.facts.name}: takes {taken} pictures, letters are {GLYPH_SHAPE}; take another model"
            )
        self.words = None if words is None else load_words(words, self.engine.facts.labels)

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
        start = time.perf_counter()
        spots = self.find(image)
        found = time.perf_counter()
        lines = self.compose(self.recognize(spots))
        done = time.perf_counter()
        return Page((image.shape[1], image.shape[0]), lines, 1000 * (found - start), 1000 * (done - found))

    def find(self, image: Pixels) -> list[Spot]:
        """Find what may be letters, in no order; takes images as `read` does."""
        check_image(image)
        return part_stacked(self.engine, join_strokes(self.engine, find_spots(image)))

    def recognize(self, spots: Sequence[Spot]) -> list[Reading]:
        """Classify spots, one reading each, each by itself: a spot's reading does not hang on the others."""
        pictures = np.stack([spot.picture for spot in spots])[..., None] if spots else np.zeros((0, *GLYPH_SHAPE), np.uint8)
        rows = look_again(self.engine, [spot.ink for spot in spots], self.engine(pictures))
        least = self.engine.facts.reject_below
        is_gravel = len(spots) > MANY_SPOTS and (certainty(rows, self.engine.facts.labels) >= least).mean() < FEWEST_LETTERS
        readings = []
        for i, spot in enumerate(spots):
            sure = float(rows[i].max())
            parts = part(self.engine, spot, sure) if not is_gravel and may_be_several(spot, sure, least) else None
            readings.append(parts or Reading((spot,), pictures[i : i + 1], rows[i : i + 1]))
        return readings

    def compose(self, readings: Sequence[Reading]) -> tuple[Line, ...]:
        """Make lines of all readings of a page; what keeps no company of letters is left out, context settles doubt."""
        spots = [spot for reading in readings for spot in reading.spots]
        if not spots:
            return ()
        boxes, strengths = [spot.box for spot in spots], np.array([spot.strength for spot in spots])
        rows = np.concatenate([reading.probabilities for reading in readings])
        sure = certainty(rows, self.engine.facts.labels)
        kept = np.flatnonzero(in_company(boxes, strengths, sure, self.engine.facts.reject_below))
        order = [kept[line] for line in order_lines([boxes[i] for i in kept])]
        places = [[boxes[i] for i in line] for line in order]
        words = part_words(places)
        pictures = np.concatenate([reading.pictures for reading in readings])
        seen = [rows[line] for line in order]
        settled = self._settle(seen, [pictures[line] for line in order], places, words)
        # What the model knows by itself context does not put in doubt: it only chooses.
        least = self.engine.facts.reject_below
        known = [np.maximum(before.max(1), after.max(1)) >= least for before, after in zip(seen, settled, strict=True)]
        return tuple(
            Line(tuple(self._word(row[word], place[word], sure[word]) for word in parts))
            for row, place, sure, parts in zip(settled, places, known, words, strict=True)
        )

    def _settle(
        self, rows: list[NDArray[np.float32]], pictures: list[Pixels], boxes: list[list[Box]], words: list[list[slice]]
    ) -> list[NDArray[np.float32]]:
        """Return the probabilities (n, classes) of each line, weighed by what the page says of case and heights."""
        if self.engine.facts.labels != LABELS or not rows:
            return rows
        capital = load_case().capital(np.concatenate(pictures))
        shares = np.split(capital, np.cumsum([len(row) for row in rows])[:-1])
        firsts = [first_letters(parts) for parts in words]
        rows = settle_case([Evidence(*line) for line in zip(rows, shares, firsts, strict=True)])
        return [settle_heights(*line) for line in zip(rows, boxes, firsts, strict=True)]

    def _word(self, rows: NDArray[np.float32], boxes: Sequence[Box], known: NDArray[np.bool_]) -> Word:
        letters = tuple(map(self._letter, rows, boxes, known))
        if self.words is None:
            return Word(letters)
        found = find_word(self.words, rows, known)
        return Word(letters, found.word, found.probability)

    def _letter(self, probabilities: NDArray[np.float32], box: Box, known: bool) -> Letter:
        labels = self.engine.facts.labels
        best, *rest = np.argsort(-probabilities, kind="stable")[: ALTERNATIVES + 1]
        guesses = (rest if known else [best, *rest])[:ALTERNATIVES]
        others = tuple((labels[i], float(probabilities[i])) for i in guesses if probabilities[i] >= LEAST_PROBABLE)
        return Letter(labels[best] if known else UNKNOWN, float(probabilities[best]), box, others)


def check_image(image: Pixels) -> None:
    """Raise TypeError or ValueError, with what is wanted, where something is no image."""
    if not isinstance(image, np.ndarray):
        hint = "cv2.imread returns None where there is no picture that it can read: " if image is None else ""
        raise TypeError(f"{hint}an image is a NumPy array (H, W) or (H, W, 3) BGR uint8, not {type(image).__name__}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in CHANNELS or image.size == 0:
        raise ValueError(f"an image is (H, W), (H, W, 3) BGR or (H, W, 4) BGRA uint8, not {image.shape} {image.dtype}")
