"""Who writes the generated pages, and how: words and letters as strokes at known places of a flat sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...train.data.clutter import smooth, write_digit
from ...train.data.drawing import Stroke
from ...train.data.open import open_source
from ...train.data.pen import Pen, PenSource
from ...train.data.source import LETTERS, StrokeSource
from ...train.data.strokes import Strokes

# Only writers with at least this many different letters, in each case, write pages.
MIN_LETTERS = 8
# Lengths in pixels refer to an image of this width; on other images they are scaled.
REFERENCE_PX = 1280
# What codes look like: A stands for a capital, 9 for a digit.
CODES = ("AA99", "9AA", "A9", "A99", "99A", "A999A", "99", "999", "9999", "99999", "AA", "AAA", "AAAAA")
UNCLEAR = "IOQ"
# The letters of a word, each with its strokes.
Drawn: TypeAlias = list[tuple[str, list[Stroke]]]


@dataclass(frozen=True)
class LetterShapes:
    """The proportions of letters, in heights of a capital. The values were chosen by hand.

    small is the height of small letters and how far they hang below the line; other_small lists those that differ. No letter is
    wider than max_width times its height. Invented words have word_letters letters. The gap between two letters is measured in
    profile_rows rows per capital, and the ink of touching letters overlaps by touch_depth. Letters of `tailed` may have a long
    tail, which begins at this share of their height.
    """

    small: tuple[float, float] = (0.62, 0.0)
    other_small: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {
            **dict.fromkeys("bdfhkl", (1.0, 0.0)),
            **dict.fromkeys("gjpqy", (0.95, 0.35)),
            "i": (0.85, 0.0),
            "t": (0.9, 0.0),
        }
    )
    max_width: float = 1.4
    word_letters: tuple[int, int] = (2, 7)
    profile_rows: int = 24
    touch_depth: float = 0.02
    tailed: str = "FJPYgjpqy"
    tail_start: float = 0.55


SHAPES = LetterShapes()


class Hand(Protocol):
    """Handwriting: the letters of one writer, as strokes in any unit."""

    def letters(self, upper: bool) -> tuple[str, ...]:
        """Return the letters that this hand has in a case, as capitals."""
        ...

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        """Write a digit, or a letter in the case of its name: strokes (n, 2), x to the right and y down."""
        ...


@dataclass(frozen=True)
class PenHand:
    """The built-in pen; it has every letter in both cases."""

    pen: Pen

    def letters(self, upper: bool) -> tuple[str, ...]:
        return LETTERS

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        if letter.isdigit():
            return write_digit(letter, rng)
        return self.pen.sample(LETTERS.index(letter.upper()), rng, letter.isupper())


@dataclass(frozen=True)
class RealHand:
    """One writer of a strokes file with these classes; the letters stay as they were written.

    Digits that the writer lacks are those of the built-in pen.
    """

    own: Strokes
    classes: tuple[str, ...] = LETTERS

    def letters(self, upper: bool) -> tuple[str, ...]:
        names = (self.classes[label] for label in np.unique(self.own.label[self.own.upper == upper]))
        return tuple(name for name in names if name in LETTERS)

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        name, is_digit = letter.upper(), letter.isdigit()
        same = self.own.label == (self.classes.index(name) if name in self.classes else -1)
        if not is_digit:
            same &= self.own.upper == letter.isupper()
        elif not same.any():
            return write_digit(letter, rng)
        return self.own.letter(int(rng.choice(np.flatnonzero(same))))


def open_hands(spec: str, split: str) -> list[Hand]:
    """Open the hands of `pen`, or of the writers in one split of an `.npz` of strokes.

    Raises LettercastError if the file has no strokes, or no writer has enough letters for a page.
    """
    source = open_source(spec, split)
    if isinstance(source, PenSource):
        return [PenHand(source.pen)]
    if not isinstance(source, StrokeSource):
        raise LettercastError(f"{spec}: only pen or an .npz of strokes can write pages; name one of them")
    hands = [RealHand(source.strokes.only(source.writers == w), source.classes) for w in np.unique(source.writers)]
    able: list[Hand] = [hand for hand in hands if min(len(hand.letters(True)), len(hand.letters(False))) >= MIN_LETTERS]
    if not able:
        raise LettercastError(
            f"{spec}: no writer in split '{split}' has {MIN_LETTERS} capitals and as many small letters; try another --split"
        )
    return able


@dataclass(frozen=True)
class Layout:
    """The layout of the writing on the sheet.

    size is the height of a capital in pixels. In heights of a capital: pitch from line to line, spacing between letters,
    word_gap between words, jitter of the letters' feet, and climb of a line over its length. size_spread and line_spread are
    standard deviations of the logarithm of a letter's and a line's size. touching is the share of neighbours in a word whose
    ink touches. kerned measures the spacing between ink instead of boxes, so that boxes may overlap. case is `upper`, `title`,
    `lower`, `any`, or `codes` for capitals and digits. cells puts each letter into a cell, without words. margin is a share of
    the image's width. A page of invented words has max_letters letters. tail is how much further down the tails of letters such
    as J and g reach. odd is the share of letters that are odd_size times as tall as their neighbours or, just as often, as low.
    """

    size: float = 72
    pitch: float = 2.2
    spacing: float = 0.35
    word_gap: float = 1.3
    jitter: float = 0.04
    climb: float = 0.1
    size_spread: float = 0.05
    line_spread: float = 0.0
    touching: float = 0.0
    kerned: bool = False
    case: str = "upper"
    cells: bool = False
    margin: float = 0.08
    max_letters: int = 40
    tail: float = 0.0
    odd: float = 0.0
    odd_size: float = 2.0


@dataclass(frozen=True)
class Written:
    """One letter in its case, its strokes (n, 2) in pixels, and the height of a capital there in pixels."""

    letter: str
    strokes: tuple[Stroke, ...]
    size: float


@dataclass(frozen=True)
class FormBox:
    """The room for one letter of a form: its row and column from 0, and its left, top, right and bottom in pixels."""

    row: int
    column: int
    sides: tuple[float, float, float, float]

    @property
    def corners(self) -> NDArray[np.float64]:
        """(4, 2) x and y, from the left top corner with the clock."""
        left, top, right, bottom = self.sides
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


@dataclass(frozen=True)
class Writing:
    """Lines of words of letters on a sheet of size (width, height) in pixels.

    feet are the y of every line of writing, down to the end of the sheet; columns are the x of the sides of cells, if any. On a
    form each line is a row of its boxes.
    """

    size: tuple[int, int]
    lines: tuple[tuple[tuple[Written, ...], ...], ...]
    feet: tuple[float, ...]
    columns: tuple[float, ...]
    boxes: tuple[FormBox, ...] = ()

    @property
    def text(self) -> str:
        """The text, with line breaks between lines and spaces between words."""
        return "\n".join(" ".join("".join(one.letter for one in word) for word in line) for line in self.lines if line)

    @property
    def letters(self) -> list[Written]:
        """All letters in reading order."""
        return [one for line in self.lines for word in line for one in word]


def write_page(hand: Hand, layout: Layout, size: tuple[int, int], rng: np.random.Generator, text: Sequence[str] = ()) -> Writing:
    """Write as much of a text as fits on a page.

    Args:
        hand: the hand that writes.
        layout: the layout of the page.
        size: (width, height) of the sheet in pixels.
        rng: decides words, shapes and places independently, so that another layout has the same letters at other places.
        text: lines of words; characters other than letters and digits are left out. By default random words.
    """
    for_words, for_shapes, for_places = rng.spawn(3)
    lines = [line.split() for line in text] or [invent_words(hand, layout.case, layout.max_letters, for_words)]
    drawn = [[[(c, shape(hand, c, for_shapes)) for c in word if c.isascii() and c.isalnum()] for word in line] for line in lines]
    if layout.tail:
        drawn = [[[(c, with_tail(c, strokes, layout.tail)) for c, strokes in word] for word in line] for line in drawn]
    unit, (width, height) = layout.size * size[0] / REFERENCE_PX, size
    margin, pitch = layout.margin * width, layout.pitch * unit
    bottom = height - margin / 2
    columns: tuple[float, ...] = ()
    if layout.cells:
        columns = tuple(np.arange(margin, width - margin / 2, (1 + layout.spacing) * unit * SHAPES.max_width).tolist())
        drawn = [[[one] for word in line for one in word] for line in drawn]
    pen = _Placer(layout, unit, columns or (margin, width - margin), for_places)
    rows, feet, foot = [], [], max(margin, pitch - unit) + unit - pitch
    for scale, row in (row for line in drawn for row in pen.rows(line)):
        foot += pitch * max(scale, unit) / unit
        if foot > bottom:
            break
        feet.append(foot)
        rows.append(pen.at(row, foot))
    rest = np.arange(foot + pitch, bottom, pitch)
    return Writing(size, tuple(rows), (*feet, *rest.tolist()), columns)


def invent_words(hand: Hand, case: str, max_letters: int, rng: np.random.Generator) -> list[str]:
    """Invent words of random letters that the hand has, `max_letters` letters in all; case as in Layout."""
    if case == "codes":
        return invent_codes(hand, max_letters, rng)
    small, large = hand.letters(False), hand.letters(True)
    words, count = [], 0
    while count < max_letters:
        length = min(max_letters - count, int(rng.integers(SHAPES.word_letters[0], SHAPES.word_letters[1] + 1)))
        draws, cases = rng.random(length), rng.random(length)
        word = ""
        for i in range(length):
            upper = {"upper": True, "title": i == 0, "lower": False, "any": cases[i] < 0.5}[case]
            letters = large if upper else small
            letter = letters[int(draws[i] * len(letters))]
            word += letter if upper else letter.lower()
        words.append(word)
        count += length
    return words


def invent_codes(hand: Hand, max_letters: int, rng: np.random.Generator) -> list[str]:
    """Invent number plates, postal codes, numbers and words in capitals, at most `max_letters` characters in all."""
    large = hand.letters(True)
    # Whoever gives out codes leaves out letters that look like digits, because nobody could tell them apart.
    clear = [letter for letter in large if letter not in UNCLEAR] or large
    words, count = [], 0
    while count < max_letters:
        pattern = CODES[int(rng.integers(len(CODES)))][: max_letters - count]
        names = large if pattern.isalpha() else clear
        words.append("".join(str(rng.choice(names)) if one == "A" else str(rng.integers(10)) for one in pattern))
        count += len(pattern)
    return words


def shape(hand: Hand, letter: str, rng: np.random.Generator) -> list[Stroke]:
    """Write one letter at x >= 0 on the line y = 0, in heights of a capital; small letters are smaller or hang below the line.

    Digits are as high as capitals.
    """
    strokes = hand.strokes(letter, rng)
    low, high = np.min([s.min(0) for s in strokes], 0), np.max([s.max(0) for s in strokes], 0)
    height, hang = (1.0, 0.0) if letter.isupper() or letter.isdigit() else SHAPES.other_small.get(letter, SHAPES.small)
    scale = height / max(float(high[1] - low[1]), float(high[0] - low[0]) / SHAPES.max_width, 1e-6)
    foot = np.array([low[0], high[1] - hang / scale], np.float32)
    return [smooth((s - foot) * np.float32(scale)) if len(s) > 2 else (s - foot) * np.float32(scale) for s in strokes]


def with_tail(letter: str, strokes: list[Stroke], tail: float) -> list[Stroke]:
    """Stretch the lower part of a letter that may have a tail by `tail` heights of a capital; others stay as they are."""
    if letter not in SHAPES.tailed:
        return strokes
    top, foot = min(float(s[:, 1].min()) for s in strokes), max(float(s[:, 1].max()) for s in strokes)
    start = top + SHAPES.tail_start * (foot - top)
    factor = tail / max(foot - start, 1e-6)
    # Single precision, as all strokes have.
    return [np.column_stack([s[:, 0], s[:, 1] + factor * np.maximum(0, s[:, 1] - start)]).astype(np.float32) for s in strokes]


@dataclass(frozen=True)
class _Placer:
    """Places words into rows; stops are the x of the left and right margin, or of the sides of cells."""

    layout: Layout
    unit: float
    stops: tuple[float, ...]
    rng: np.random.Generator

    def rows(self, words: list[Drawn]) -> list[tuple[float, list[list[Written]]]]:
        """Break words into rows between the stops, each with its height of a capital; all letters stand on y = 0."""
        rows: list[tuple[float, list[list[Written]]]] = []
        scale, x = self.unit, np.inf
        for word in (piece for whole in words for piece in self._pieces(whole)):
            ready = self._word(word, scale)
            if not rows or (len(rows[-1][1]) >= len(self.stops) - 1 if self.layout.cells else x + _right(ready) > self.stops[-1]):
                scale = self.unit * float(np.exp(self.layout.line_spread * self.rng.normal()))
                rows.append((scale, []))
                x = self.stops[0]
                ready = self._word(word, scale)
            if self.layout.cells:
                column = len(rows[-1][1])
                x = (self.stops[column] + self.stops[column + 1] - _right(ready)) / 2
            rows[-1][1].append([_moved(one, x, 0) for one in ready])
            x += _right(ready) + self.layout.word_gap * scale * float(np.exp(0.1 * self.rng.normal()))
        return rows

    def at(self, row: list[list[Written]], foot: float) -> tuple[tuple[Written, ...], ...]:
        """Move a row to its foot, rising or falling; letters in cells become one word."""
        climb = self.layout.climb * self.unit * self.rng.normal() / (self.stops[-1] - self.stops[0])
        drop = -self.unit * self.layout.spacing / 2 if self.layout.cells else 0.0
        moved = [tuple(_moved(one, 0, foot + drop - climb * one.strokes[0][0, 0]) for one in word) for word in row]
        return (tuple(one for word in moved for one in word),) if self.layout.cells else tuple(moved)

    def _pieces(self, word: Drawn) -> list[Drawn]:
        """Break a word if it is wider than a row."""
        room = self.stops[-1] - self.stops[0]
        fitting = max(1, sum(_right([one]) <= room for one in self._word(word, self.unit)))
        return [word] if fitting >= len(word) else [word[:fitting], *self._pieces(word[fitting:])]

    def _word(self, word: Drawn, scale: float) -> list[Written]:
        placed: list[Written] = []
        for letter, strokes in word:
            size = scale * float(np.exp(self.layout.size_spread * self.rng.normal()))
            # Only pages that have odd letters draw for them, so that all others stay the same.
            if self.layout.odd and self.rng.random() < self.layout.odd:
                size *= self.layout.odd_size if self.rng.random() < 0.5 else 1 / self.layout.odd_size
            foot = self.layout.jitter * scale * self.rng.normal()
            new = Written(letter, tuple(s * np.float32(size) + np.array([0, foot], np.float32) for s in strokes), size)
            touches = self.rng.random() < self.layout.touching
            gap = self.layout.spacing * scale * float(np.exp(0.2 * self.rng.normal()))
            if placed:
                own = _profiles(placed[-1], scale)[1], _profiles(new, scale)[0]
                ink_gap = np.max(own[0] - own[1]) if touches or self.layout.kerned else _right(placed)
                # If the letters have no row in common, their boxes stand side by side.
                start = ink_gap if np.isfinite(ink_gap) else _right(placed)
                new = _moved(new, start + (-SHAPES.touch_depth * scale if touches else gap), 0)
            placed.append(new)
        return placed


def _right(word: list[Written]) -> float:
    return max((float(s[:, 0].max()) for one in word for s in one.strokes), default=0.0)


def _moved(one: Written, x: float, y: float) -> Written:
    return Written(one.letter, tuple(s + np.array([x, y], np.float32) for s in one.strokes), one.size)


def _profiles(one: Written, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left and right end of a letter's ink, in rows from 1.5 capitals above the foot to 0.5 below; inf without ink."""
    left, right = np.full(2 * SHAPES.profile_rows, np.inf), np.full(2 * SHAPES.profile_rows, -np.inf)
    for stroke in one.strokes:
        steps = np.linspace(0, 1, 8)[:, None, None]
        points = (stroke[:-1] + steps * (stroke[1:] - stroke[:-1])).reshape(-1, 2) if len(stroke) > 1 else stroke
        rows = np.clip(((points[:, 1] / scale + 1.5) * SHAPES.profile_rows).astype(int), 0, 2 * SHAPES.profile_rows - 1)
        np.minimum.at(left, rows, points[:, 0])
        np.maximum.at(right, rows, points[:, 0])
    return left, right
