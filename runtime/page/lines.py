"""Gaps between words: which of a page's gaps are too wide to lie between the letters of a word.

How far apart letters stand differs from hand to hand and is not known: every distance of letters, and of words, is tried
against all gaps of the page, also that there is one word a line, and each counts by how well it explains what is there (Bayes).
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

# A letter belongs to a line whose last letters it lies beside, within this share of their height.
LINE_SHARE = 0.6
# So many letters tell where a line has come to.
LAST_LETTERS = 3
# Pieces of a line that lie this close in height, as a share of it, and not above each other are one line.
SAME_LINE_SHARE = 0.45
# Boxes beside each other, at most so many heights apart, tell how a page is tilted.
NEIGHBOUR_HEIGHTS = 3.0


@dataclass
class _Row:
    """Letters of one line: indices, and the left, middle height (tilt taken away) and size of each.

    here and tall are the middle height and the size of the last letters: where the line has come to.
    """

    letters: list[int] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    here: float = 0.0
    tall: float = 0.0

    def add(self, letter: int, box: Box, level: float) -> None:
        self.letters.append(letter)
        self.left.append(box[0])
        self.level.append(level)
        self.size.append(_size(box))
        self.here, self.tall = fmean(self.level[-LAST_LETTERS:]), median(self.size[-LAST_LETTERS:])

    def height(self) -> float:
        return median(self.size)

    def reach(self, box: Box, level: float) -> float:
        """Return how far a box lies from where the line has come to, as a share of the letters' height."""
        return abs(level - self.here) / max(_size(box), self.tall)


def order_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Sort boxes (x, y, width, height) into lines, the top line first; returns the indices of each line from the left."""
    slope = tilt(boxes)
    rows: list[_Row] = []
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i][0] + boxes[i][2] / 2):
        x, y, w, h = boxes[i]
        level = y + h / 2 - slope * (x + w / 2)
        fits = [(row.reach(boxes[i], level), k) for k, row in enumerate(rows)]
        nearest, k = min(fits, default=(LINE_SHARE + 1, 0))
        if nearest > LINE_SHARE:
            rows.append(_Row())
            k = len(rows) - 1
        rows[k].add(i, boxes[i], level)
    rows = sorted(_joined(rows), key=lambda row: fmean(row.level))
    return [[i for _, i in sorted(zip(row.left, row.letters, strict=True))] for row in rows]


def tilt(boxes: Sequence[Box]) -> float:
    """Return the pixels that lines fall a pixel across: the median over boxes and their next neighbours to the right."""
    slopes = []
    ordered = sorted(boxes)
    for k, (x, y, w, h) in enumerate(ordered):
        size = _size((x, y, w, h))
        for ox, oy, ow, oh in ordered[k + 1 :]:
            across, down = ox + ow / 2 - x - w / 2, oy + oh / 2 - y - h / 2
            if across > NEIGHBOUR_HEIGHTS * size:
                break
            if across > w / 2 and abs(down) <= LINE_SHARE * max(size, _size((ox, oy, ow, oh))):
                slopes.append(down / across)
                break
    return median(slopes) if slopes else 0.0


def _joined(rows: list[_Row]) -> list[_Row]:
    """Join rows that are pieces of one line: at one height, and none above the other."""
    whole: list[_Row] = []
    for row in sorted(rows, key=lambda row: fmean(row.level)):
        for other in whole[-2:]:
            near = abs(fmean(row.level) - fmean(other.level)) <= SAME_LINE_SHARE * max(row.height(), other.height())
            beside = max(row.left) < min(other.left) or min(row.left) > max(other.left)
            if near and beside:
                for name in ("letters", "left", "level", "size"):
                    getattr(other, name).extend(getattr(row, name))
                break
        else:
            whole.append(row)
    return whole


def _size(box: Box) -> float:
    return max(box[3], 0.5 * box[2])


# All lengths are shares of the letters' height: this percentile of a line, leant to that of the page as if so many more
# letters stood there. A letter lower than wide is higher than its box: so much of its width at least.
HEIGHT_PERCENTILE, PAGE_LETTERS, WIDTH_SHARE = 70, 5, 0.7
# Distances of letters and of words that are tried; logarithms are taken of no less than this.
BETWEEN_LETTERS, BETWEEN_WORDS, NARROWEST = np.linspace(-0.1, 2.4, 26), np.linspace(0.4, 5.0, 24), 0.02
# Letters of a word stand about this far apart (median, standard deviation of the logarithm), or anyhow with a chance.
LETTERS_APART, LETTERS_SPREAD, LETTERS_ANYHOW = 0.15, 0.3, 0.13
# Words stand this far apart (the same), but farther where letters do, and never nearer than letters by less than this.
WORDS_APART, WORDS_SPREAD, WORDS_FACTOR, LETTER_WIDTH = 1.35, 0.7, 2.3, 0.6
LEAST_APART, LEAST_APART_FACTOR = 0.37, 0.45
# Gaps differ from their mean: standard deviation, and what is added to it for each unit of the mean.
LETTER_GAPS, WORD_GAPS = (0.04, 0.27), (0.105, 0.072)
# The density of gaps of any width, such as beside a blot.
ANY_GAP = 0.003
# The share of gaps that are spaces, and of pages that have none.
SPACES, NO_SPACES = 0.15, 0.3
# Gaps are measured from ink to ink, or largely from middle to middle, as they are kept even in cells of a form.
MIDDLE_SHARES = (0.0, 0.7)
# A gap is a space where that is likelier than not.
LEAST_SURE = 0.5


def part_words(lines: Sequence[Sequence[Box]]) -> list[list[slice]]:
    """Part the letters of a page's lines into words; takes the boxes of each line, returns the slice of each word's letters."""
    if not any(len(line) > 1 for line in lines):
        return [[slice(0, len(line))] for line in lines]
    spaces = np.split(space_chances(lines), np.cumsum([max(0, len(line) - 1) for line in lines])[:-1])
    ends = [
        [0, *(np.flatnonzero(chance > LEAST_SURE) + 1).tolist(), len(line)] for line, chance in zip(lines, spaces, strict=True)
    ]
    return [[slice(a, b) for a, b in pairwise(line)] for line in ends]


def space_chances(lines: Sequence[Sequence[Box]]) -> NDArray[np.float64]:
    """Return the chance that each gap is a space, line after line; a page with one gap at least."""
    letter_prior, word_prior = priors()
    chances, spaced, unspaced = [], [], []
    for gaps in measure_gaps(lines):
        letter = density(gaps, BETWEEN_LETTERS, *LETTER_GAPS)
        word = SPACES * density(gaps, BETWEEN_WORDS, *WORD_GAPS)[:, None]
        both = (1 - SPACES) * letter[:, :, None] + word
        chances.append((word / both).reshape(len(gaps), -1))
        spaced.append(np.log(both).sum(0) + word_prior)
        # All gaps lie between letters: the chance of each to be a space is 0.
        unspaced.append(np.log(letter).sum(0) + letter_prior)
    highest = max(np.max(spaced), np.max(unspaced))
    shares = np.exp(spaced - highest)
    total = shares.sum() + np.exp(unspaced - highest).sum()
    return np.sum([chance @ share.ravel() for chance, share in zip(chances, shares, strict=True)], 0) / total


def measure_gaps(lines: Sequence[Sequence[Box]]) -> list[NDArray[np.float64]]:
    """Return the page's gaps (n,) in heights of letters, line after line, measured in each way of MIDDLE_SHARES."""
    boxes = [np.array(line, float).reshape(-1, 4) for line in lines if line]
    sizes = [np.maximum(box[:, 3], WIDTH_SHARE * box[:, 2]) for box in boxes]
    page = np.log(percentile(np.concatenate(sizes), HEIGHT_PERCENTILE))
    widths, between, apart = [], [], []
    for box, size in zip(boxes, sizes, strict=True):
        own = np.log(percentile(size, HEIGHT_PERCENTILE))
        height = np.exp((len(box) * own + PAGE_LETTERS * page) / (len(box) + PAGE_LETTERS))
        left, right = box[:, 0] / height, (box[:, 0] + box[:, 2]) / height
        widths.append(right - left)
        between.append(left[1:] - np.maximum.accumulate(right)[:-1])
        apart.append(np.diff(left + right) / 2)
    gaps, middles = np.concatenate(between), np.concatenate(apart) - np.concatenate(widths).mean()
    return [(1 - share) * gaps + share * middles for share in MIDDLE_SHARES]


def density(gaps: NDArray[np.float64], means: NDArray[np.float64], least: float, growth: float) -> NDArray[np.float64]:
    """Return (n, means) the density of gaps around each mean, which spread the more the wider they are."""
    return normal(gaps[:, None], means, least + growth * np.maximum(means, 0)) + ANY_GAP


@lru_cache(maxsize=1)
def priors() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-chance of each distance of letters on a page without spaces (L,), and with words so far apart (L, W)."""
    letters = np.maximum(BETWEEN_LETTERS, NARROWEST)[:, None]
    usual = normal(np.log(letters), np.log(LETTERS_APART), LETTERS_SPREAD) / letters
    letter = (1 - LETTERS_ANYHOW) * usual + LETTERS_ANYHOW / np.ptp(BETWEEN_LETTERS)
    letter /= letter.sum()
    middle = np.maximum(WORDS_APART, WORDS_FACTOR * (letters + LETTER_WIDTH))
    nearest = BETWEEN_LETTERS[:, None] + np.maximum(LEAST_APART, LEAST_APART_FACTOR * letters)
    word = normal(np.log(BETWEEN_WORDS), np.log(middle), WORDS_SPREAD) / BETWEEN_WORDS * (nearest < BETWEEN_WORDS)
    word /= word.sum(1, keepdims=True)
    never = np.finfo(float).tiny
    return np.log(NO_SPACES * letter[:, 0]), np.log((1 - NO_SPACES) * letter * word + never)


def normal(
    value: NDArray[np.float64], mean: NDArray[np.float64] | float, spread: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the normal distribution's density."""
    return np.exp(-0.5 * ((value - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))


def first_letters(words: Sequence[slice]) -> NDArray[np.bool_]:
    """Return (n,) True where a letter of a line of these words is the first of its word."""
    first = np.zeros(words[-1].stop, bool)
    first[[word.start for word in words]] = True
    return first
