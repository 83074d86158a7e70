"""Order a page's letters into lines, and split its lines into words.

The distance between the letters of a word differs from hand to hand and is unknown. So every distance between letters and
between words, and also the case of one word per line, is tried against all gaps of the page; each counts by how well it
explains these gaps (Bayes).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, pairwise
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..pixels import percentile
from ..text import Box


@dataclass(frozen=True)
class OrderTuning:
    """Which letters stand on one line.

    Tuned on the boxes of letters on pages of validation writers, in the conditions of
    `python -m lettercast.benchmarks.pages.conditions`.
    """

    # A letter lies at most this far above or below where its line leads, as a share of the letters' height. This many letters
    # show where that is, and a slope: the more heights they span in comparison to `stiffness`, the more of their slope counts.
    max_offset: float = 0.65
    last_letters: int = 3
    stiffness: float = 2.0
    # Lines slope on for at most this many heights beyond their letters.
    max_reach: float = 4.0
    # If a letter fits several lines, each costs the offset and this share of the distance to its letters.
    distance_cost: float = 0.02
    # A letter this many times as tall as its line hangs from it by its tail or, which costs this offset, stands out above it.
    min_tall: float = 1.3
    standing_cost: float = 0.1
    # Letters of one line overlap by at most this share of the narrower one's width.
    max_overlap: float = 0.35
    # A letter without a line lies at most this far above or below a line that has room for it.
    max_alone_offset: float = 0.8
    # Two parts of one line differ at most this much in height, as a share of the letters' height.
    max_part_offset: float = 0.45
    # Only letters at most this many heights apart show the tilt of a page.
    max_neighbour_distance: float = 3.0


ORDER_TUNING = OrderTuning()


class _Placed(NamedTuple):
    """A letter: its middle (level without the page's tilt), size, box, and index."""

    x: float
    level: float
    size: float
    box: Box
    letter: int


class _Course(NamedTuple):
    """Where a line leads: through (x, level) with a slope; size is that of its letters."""

    x: float
    level: float
    slope: float
    size: float

    def offset(self, one: _Placed) -> float:
        """Return how far a letter lies above or below the line, as a share of the letters' height.

        A tall letter lies on the line if its head or its foot does.
        """
        # Without calls as far as possible, because each letter of a page is compared with each of its lines.
        x, level, slope, size = self
        tuning, across, reach, height = ORDER_TUNING, one.x - x, ORDER_TUNING.max_reach * size, one.box[3]
        if not -reach <= across <= reach:
            across = reach if across > 0 else -reach
        off = one.level - level - slope * across
        if height <= tuning.min_tall * size:
            return abs(off) / (one.size if one.size > size else size)
        more = (height - size) / 2
        return min(abs(off) / height, abs(off - more) / size, abs(off + more) / size + tuning.standing_cost)

    def cost(self, one: _Placed, max_offset: float) -> float:
        """Return how badly a letter fits the line; infinite beyond an offset."""
        offset = self.offset(one)
        return offset + ORDER_TUNING.distance_cost * abs(one.x - self.x) / self.size if offset <= max_offset else math.inf


def extent_of(one: _Placed) -> tuple[float, float]:
    """Return the levels between which a line leads that a letter may belong to, more or less."""
    extent = one.size + one.box[3]
    return one.level - extent, one.level + extent


def _course(letters: Sequence[_Placed]) -> _Course:
    """Return where a line leads by some of its letters; tall ones count only if there are no others."""
    sizes, half = sorted([one.size for one in letters]), len(letters) // 2
    # As statistics.median does in ten times as long.
    size = sizes[half] if len(sizes) % 2 else (sizes[half - 1] + sizes[half]) / 2
    letters = [one for one in letters if one.size <= ORDER_TUNING.min_tall * size] if len(letters) > 1 else letters
    x, level = sum([one.x for one in letters]) / len(letters), sum([one.level for one in letters]) / len(letters)
    # Ridge regression, because few letters show a slope badly.
    rise, run = 0.0, (ORDER_TUNING.stiffness * size) ** 2
    for one in letters:
        rise += (one.x - x) * (one.level - level)
        run += (one.x - x) ** 2
    return _Course(x, level, rise / run, size)


def _overlap(a: Box, b: Box) -> bool:
    """Return whether one box is above or below another, so that they cannot be letters of one line."""
    (left, _, width, _), (other_left, _, other_width, _) = a, b
    narrow = width if width < other_width else other_width
    right, other_right = left + width, other_left + other_width
    shared = (right if right < other_right else other_right) - (left if left > other_left else other_left)
    return shared > ORDER_TUNING.max_overlap * narrow


NOWHERE = _Course(0.0, 0.0, 0.0, 1.0)


@dataclass
class _Row:
    """The letters of one line from the left, and where its end leads."""

    letters: list[_Placed] = field(default_factory=list)
    end: _Course = NOWHERE
    # A letter whose extent lies outside these levels does not fit its end.
    low: float = 0.0
    high: float = 0.0

    @property
    def level(self) -> float:
        return fmean([one.level for one in self.letters])

    def add(self, one: _Placed) -> None:
        """Add the next letter to the right."""
        self.letters.append(one)
        end = self.end = _course(self.letters[-ORDER_TUNING.last_letters :])
        reach = end.size + abs(end.slope) * ORDER_TUNING.max_reach * end.size
        self.low, self.high = end.level - reach, end.level + reach

    def near(self, one: _Placed) -> _Course:
        """Return the line's course near a letter."""
        return _course(sorted(self.letters, key=lambda other: abs(other.x - one.x))[: ORDER_TUNING.last_letters])

    def has_room(self, one: _Placed) -> bool:
        """Return whether none of its letters is above or below another letter."""
        return not any(_overlap(one.box, other.box) for other in self.letters)

    def stray(self) -> list[_Placed]:
        """Return the letters that have a neighbour of their line above or below them; or the only one."""
        pairs = [pair for pair in pairwise(self.letters) if _overlap(pair[0].box, pair[1].box)]
        return [one for pair in pairs for one in pair] if len(self.letters) > 1 else self.letters


def order_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Sort boxes (x, y, width, height) into lines, the top line first; returns the indices of each line from the left."""
    slope = tilt(boxes)
    placed = [
        _Placed(x + w / 2, y + h / 2 - slope * (x + w / 2), _size((x, y, w, h)), (x, y, w, h), i)
        for i, (x, y, w, h) in enumerate(boxes)
    ]
    rows = _rows(sorted(placed))
    rows = sorted(_joined(_settled(rows)), key=lambda row: row.level)
    return [[i for _, i in sorted((one.x, one.letter) for one in row.letters)] for row in rows]


def _rows(letters: Sequence[_Placed]) -> list[_Row]:
    """Put letters, from the left, into the rows where they fit best."""
    rows: list[_Row] = []
    for one in letters:
        # Most rows are far away, and to see that takes a fifth of the time of a cost.
        top, foot = extent_of(one)
        costs = [row.end.cost(one, ORDER_TUNING.max_offset) if top <= row.high and foot >= row.low else math.inf for row in rows]
        least = min(costs, default=math.inf)
        if least == math.inf:
            rows.append(_Row())
        rows[costs.index(least) if least < math.inf else -1].add(one)
    return rows


def _settled(rows: list[_Row]) -> list[_Row]:
    """Move letters that stand above or below others of their line, or alone, to a line that has room for them."""
    moves: dict[int, int] = {}
    for k, row in enumerate(rows):
        for one in row.stray():
            most = ORDER_TUNING.max_offset if len(row.letters) > 1 else ORDER_TUNING.max_alone_offset
            costs = [
                other.near(one).cost(one, most) if j != k and len(other.letters) > 1 and other.has_room(one) else math.inf
                for j, other in enumerate(rows)
            ]
            if min(costs) < math.inf:
                moves[one.letter] = costs.index(min(costs))
    if not moves:
        return rows
    settled = [_Row() for _ in rows]
    for one, k in sorted((one, moves.get(one.letter, k)) for k, row in enumerate(rows) for one in row.letters):
        settled[k].add(one)
    return [row for row in settled if row.letters]


def tilt(boxes: Sequence[Box]) -> float:
    """Return how many pixels lines fall per pixel to the right: the median over boxes and their next neighbours to the right.

    In words of capitals and small letters the middles fall from the first letter to the second; there the feet agree better.
    """
    slopes: list[tuple[float, float]] = []
    ordered, max_offset = sorted(boxes), ORDER_TUNING.max_offset
    others = [(x + w / 2, y + h / 2, y + h, _size((x, y, w, h))) for x, y, w, h in ordered]
    for k, (x, y, w, h) in enumerate(ordered):
        size, half_width, half_height = others[k][3], w / 2, h / 2
        farthest = ORDER_TUNING.max_neighbour_distance * size
        for middle, level, foot, other_size in islice(others, k + 1, None):
            across = middle - x - half_width
            if across > farthest:
                break
            if across <= half_width:
                continue
            down = level - y - half_height
            if abs(down) <= max_offset * (other_size if other_size > size else size):
                slopes.append((down / across, (foot - y - h) / across))
                break
    if not slopes:
        return 0.0
    by_middles, by_feet = zip(*slopes, strict=True)
    return median(min(by_middles, by_feet, key=_disagreement))


def _disagreement(slopes: Sequence[float]) -> tuple[float, float]:
    """Return the median deviation of slopes from their median, and the size of that."""
    usual = median(slopes)
    return median(abs(slope - usual) for slope in slopes), abs(usual)


def _joined(rows: list[_Row]) -> list[_Row]:
    """Join rows that are parts of one line: at the same height and with room for each other."""
    whole: list[_Row] = []
    for row in sorted(rows, key=lambda row: row.level):
        for k in range(max(0, len(whole) - 2), len(whole)):
            if _are_one(row, whole[k]):
                both = sorted(row.letters + whole[k].letters)
                whole[k] = _Row(both, _course(both[-ORDER_TUNING.last_letters :]))
                break
        else:
            whole.append(row)
    return whole


def _are_one(a: _Row, b: _Row) -> bool:
    """Return whether two rows are parts of one line."""
    offset = abs(a.level - b.level) / max(median(one.size for one in row.letters) for row in (a, b))
    if a.letters[-1].x < b.letters[0].x or b.letters[-1].x < a.letters[0].x:
        return offset <= ORDER_TUNING.max_part_offset
    if offset > ORDER_TUNING.max_alone_offset:
        return False
    few, many = sorted((a, b), key=lambda row: len(row.letters))
    offset = fmean(many.near(one).offset(one) for one in few.letters)
    return offset <= ORDER_TUNING.max_part_offset and all(map(many.has_room, few.letters))


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
