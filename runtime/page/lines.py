"""Order a page's letters into lines, and split its lines into words.

The distance between the letters of a word differs from hand to hand and is unknown. So every distance between letters and
between words, and also the case of one word per line, is tried against all gaps of the page; each counts by how well it
explains these gaps (Bayes).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from ..pixels import percentile
from ..text import Box


@dataclass(frozen=True)
class OrderTuning:
    """Which letters stand on one line.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # A letter lies at most this far above or below the last letters of its line, as a share of their height; this many letters
    # show where the line is.
    max_offset: float = 0.6
    last_letters: int = 3
    # Two parts of one line that are not above each other differ at most this much in height, as a share of the letters' height.
    max_part_offset: float = 0.45
    # Only letters at most this many heights apart show the tilt of a page.
    max_neighbour_distance: float = 3.0


ORDER_TUNING = OrderTuning()


@dataclass
class _Row:
    """The letters of one line: indices, and the left, the middle height (without the page's tilt) and the size of each.

    end_level and end_size are the middle height and the size of the last letters.
    """

    letters: list[int] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    end_level: float = 0.0
    end_size: float = 0.0

    def add(self, letter: int, box: Box, level: float) -> None:
        self.letters.append(letter)
        self.left.append(box[0])
        self.level.append(level)
        self.size.append(_size(box))
        last = ORDER_TUNING.last_letters
        self.end_level, self.end_size = fmean(self.level[-last:]), median(self.size[-last:])

    def height(self) -> float:
        return median(self.size)

    def offset(self, box: Box, level: float) -> float:
        """Return how far a box lies above or below the end of the line, as a share of the letters' height."""
        return abs(level - self.end_level) / max(_size(box), self.end_size)


def order_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Sort boxes (x, y, width, height) into lines, the top line first; returns the indices of each line from the left."""
    slope = tilt(boxes)
    rows: list[_Row] = []
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i][0] + boxes[i][2] / 2):
        x, y, w, h = boxes[i]
        level = y + h / 2 - slope * (x + w / 2)
        fits = [(row.offset(boxes[i], level), k) for k, row in enumerate(rows)]
        nearest, k = min(fits, default=(np.inf, 0))
        if nearest > ORDER_TUNING.max_offset:
            rows.append(_Row())
            k = len(rows) - 1
        rows[k].add(i, boxes[i], level)
    rows = sorted(_joined(rows), key=lambda row: fmean(row.level))
    return [[i for _, i in sorted(zip(row.left, row.letters, strict=True))] for row in rows]


def tilt(boxes: Sequence[Box]) -> float:
    """Return how many pixels lines fall per pixel to the right: the median over boxes and their next neighbours to the right."""
    slopes = []
    ordered = sorted(boxes)
    for k, (x, y, w, h) in enumerate(ordered):
        size = _size((x, y, w, h))
        for ox, oy, ow, oh in ordered[k + 1 :]:
            across, down = ox + ow / 2 - x - w / 2, oy + oh / 2 - y - h / 2
            if across > ORDER_TUNING.max_neighbour_distance * size:
                break
            if across > w / 2 and abs(down) <= ORDER_TUNING.max_offset * max(size, _size((ox, oy, ow, oh))):
                slopes.append(down / across)
                break
    return median(slopes) if slopes else 0.0


def _joined(rows: list[_Row]) -> list[_Row]:
    """Join rows that are parts of one line: at the same height and beside each other."""
    whole: list[_Row] = []
    for row in sorted(rows, key=lambda row: fmean(row.level)):
        for other in whole[-2:]:
            offset = abs(fmean(row.level) - fmean(other.level))
            is_level = offset <= ORDER_TUNING.max_part_offset * max(row.height(), other.height())
            is_beside = max(row.left) < min(other.left) or min(row.left) > max(other.left)
            if is_level and is_beside:
                for name in ("letters", "left", "level", "size"):
                    getattr(other, name).extend(getattr(row, name))
                break
        else:
            whole.append(row)
    return whole


def _size(box: Box) -> float:
    return max(box[3], 0.5 * box[2])


@dataclass(frozen=True)
class SpacingTuning:
    """How far apart letters and words stand. All lengths are shares of the letters' height.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`, column "gaps").
    """

    # The letters' height is this percentile of a line's heights, drawn towards the page's as if this many more letters had it.
    height_percentile: int = 70
    page_letters: int = 5
    # A letter that is lower than wide counts as high as this share of its width.
    min_height_share: float = 0.7
    # The letters of a word stand about this far apart: median, standard deviation of the logarithm, and the chance of any
    # other distance.
    letters_apart: float = 0.15
    letters_spread: float = 0.3
    letters_anyhow: float = 0.13
    # Words stand about this many times as far apart as the letters' distance and width together, with this standard deviation
    # of the logarithm.
    words_factor: float = 2.3
    letter_width: float = 0.6
    words_spread: float = 0.7
    # Words stand further apart than letters by at least this, and by at least this share of the letters' distance.
    min_words_margin: float = 0.37
    min_words_margin_share: float = 0.45
    # Gaps deviate from their mean: standard deviation, and what each unit of the mean adds to it.
    letter_gap_spread: tuple[float, float] = (0.04, 0.27)
    word_gap_spread: tuple[float, float] = (0.105, 0.072)
    # The density of gaps of any width, as beside a blot.
    any_gap: float = 0.003
    # The share of gaps that are spaces, and the share of pages without spaces.
    spaces: float = 0.15
    no_spaces: float = 0.3
    # Gaps are measured from ink to ink and, second, largely from middle to middle, as they are even in the cells of a form.
    middle_shares: tuple[float, float] = (0.0, 0.7)


SPACING_TUNING = SpacingTuning()
# The distances between letters and between words that are tried; logarithms are taken of no less than MIN_DISTANCE.
BETWEEN_LETTERS, BETWEEN_WORDS, MIN_DISTANCE = np.linspace(-0.1, 2.4, 26), np.linspace(0.4, 5.0, 24), 0.02


def split_words(lines: Sequence[Sequence[Box]]) -> list[list[slice]]:
    """Split the lines of a page into words; takes the boxes of each line and returns the slice of each word's letters."""
    if not any(len(line) > 1 for line in lines):
        return [[slice(0, len(line))] for line in lines]
    spaces = np.split(space_chances(lines), np.cumsum([max(0, len(line) - 1) for line in lines])[:-1])
    # A gap is a space if that is likelier than not.
    ends = [[0, *(np.flatnonzero(chance > 0.5) + 1).tolist(), len(line)] for line, chance in zip(lines, spaces, strict=True)]
    return [[slice(a, b) for a, b in pairwise(line)] for line in ends]


def space_chances(lines: Sequence[Sequence[Box]]) -> NDArray[np.float64]:
    """Return the chance that each gap is a space, line after line; the page must have at least one gap."""
    tuning = SPACING_TUNING
    letter_prior, word_prior = priors(tuning)
    chances, spaced, unspaced = [], [], []
    for gaps in measure_gaps(lines):
        letter = density(gaps, BETWEEN_LETTERS, *tuning.letter_gap_spread)
        word = tuning.spaces * density(gaps, BETWEEN_WORDS, *tuning.word_gap_spread)[:, None]
        both = (1 - tuning.spaces) * letter[:, :, None] + word
        chances.append((word / both).reshape(len(gaps), -1))
        spaced.append(np.log(both).sum(0) + word_prior)
        # If all gaps lie between letters, none of them is a space.
        unspaced.append(np.log(letter).sum(0) + letter_prior)
    highest = max(np.max(spaced), np.max(unspaced))
    shares = np.exp(spaced - highest)
    total = shares.sum() + np.exp(unspaced - highest).sum()
    return np.sum([chance @ share.ravel() for chance, share in zip(chances, shares, strict=True)], 0) / total


def measure_gaps(lines: Sequence[Sequence[Box]]) -> list[NDArray[np.float64]]:
    """Return the page's gaps (n,) in heights of letters, line after line, for each of the `middle_shares`."""
    tuning = SPACING_TUNING
    boxes = [np.array(line, float).reshape(-1, 4) for line in lines if line]
    sizes = [np.maximum(box[:, 3], tuning.min_height_share * box[:, 2]) for box in boxes]
    page = np.log(percentile(np.concatenate(sizes), tuning.height_percentile))
    widths, between, apart = [], [], []
    for box, size in zip(boxes, sizes, strict=True):
        own = np.log(percentile(size, tuning.height_percentile))
        height = np.exp((len(box) * own + tuning.page_letters * page) / (len(box) + tuning.page_letters))
        left, right = box[:, 0] / height, (box[:, 0] + box[:, 2]) / height
        widths.append(right - left)
        between.append(left[1:] - np.maximum.accumulate(right)[:-1])
        apart.append(np.diff(left + right) / 2)
    gaps, middles = np.concatenate(between), np.concatenate(apart) - np.concatenate(widths).mean()
    return [(1 - share) * gaps + share * middles for share in tuning.middle_shares]


def density(gaps: NDArray[np.float64], means: NDArray[np.float64], spread: float, growth: float) -> NDArray[np.float64]:
    """Return the density (n, means) of gaps (n,) around each mean; it is wider for wider gaps."""
    return normal(gaps[:, None], means, spread + growth * np.maximum(means, 0)) + SPACING_TUNING.any_gap


@lru_cache(maxsize=1)
def priors(tuning: SpacingTuning) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the prior log-chances of the L distances between letters on a page without spaces (L,) and with them (L, W).

    W is the number of distances between words.
    """
    letters = np.maximum(BETWEEN_LETTERS, MIN_DISTANCE)[:, None]
    usual = normal(np.log(letters), np.log(tuning.letters_apart), tuning.letters_spread) / letters
    letter = (1 - tuning.letters_anyhow) * usual + tuning.letters_anyhow / np.ptp(BETWEEN_LETTERS)
    letter /= letter.sum()
    middle = tuning.words_factor * (letters + tuning.letter_width)
    margin = np.maximum(tuning.min_words_margin, tuning.min_words_margin_share * letters)
    nearest = BETWEEN_LETTERS[:, None] + margin
    word = normal(np.log(BETWEEN_WORDS), np.log(middle), tuning.words_spread) / BETWEEN_WORDS * (nearest < BETWEEN_WORDS)
    word /= word.sum(1, keepdims=True)
    tiny = np.finfo(float).tiny
    return np.log(tuning.no_spaces * letter[:, 0]), np.log((1 - tuning.no_spaces) * letter * word + tiny)


def normal(
    value: NDArray[np.float64], mean: NDArray[np.float64] | float, spread: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the density of the normal distribution."""
    return np.exp(-0.5 * ((value - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))


def first_letters(words: Sequence[slice]) -> NDArray[np.bool_]:
    """Return which letters (n,) of a line of these words are the first of their word."""
    first = np.zeros(words[-1].stop, bool)
    first[[word.start for word in words]] = True
    return first
