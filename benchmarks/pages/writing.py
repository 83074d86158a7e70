"""Words and letters written by a hand on a flat sheet: strokes at known places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...train.data.clutter import smooth
from ...train.data.drawing import Stroke
from ...train.data.open import open_source
from ...train.data.pen import Pen, PenSource
from ...train.data.source import LETTERS, StrokeSource
from ...train.data.strokes import Strokes

# A writer with fewer different letters than this, in either case, writes no page.
FEWEST_LETTERS = 8


class Hand(Protocol):
    """Letters of one hand, as strokes in any unit."""

    def letters(self, upper: bool) -> tuple[str, ...]:
        """Return the letters that this hand can write in this case, as capitals."""
        ...

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        """Write a letter in its own case: strokes (n, 2), x right and y down."""
        ...


@dataclass(frozen=True)
class PenHand:
    """The built-in pen, which writes every letter in both cases."""

    pen: Pen

    def letters(self, upper: bool) -> tuple[str, ...]:
        return LETTERS

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        return self.pen.sample(LETTERS.index(letter.upper()), rng, letter.isupper())


@dataclass(frozen=True)
class RealHand:
    """One writer of a strokes file, whose letters are taken as they were written."""

    own: Strokes

    def letters(self, upper: bool) -> tuple[str, ...]:
        return tuple(LETTERS[label] for label in np.unique(self.own.label[self.own.upper == upper]))

    def strokes(self, letter: str, rng: np.random.Generator) -> list[Stroke]:
        same = (self.own.label == LETTERS.index(letter.upper())) & (self.own.upper == letter.isupper())
        return self.own.letter(int(rng.choice(np.flatnonzero(same))))


def open_hands(spec: str, split: str) -> list[Hand]:
    """Open who writes: `pen`, or a `.npz` of strokes, whose writers of this split each become a hand.

    Raises LettercastError where these are no strokes, or no writer has letters enough for a page.
    """
    source = open_source(spec, split)
    if isinstance(source, PenSource):
        return [PenHand(source.pen)]
    if not isinstance(source, StrokeSource):
        raise LettercastError(f"{spec}: pages are written with pen or with an .npz of strokes; give one of them")
    hands = [RealHand(source.strokes.only(source.writers == writer)) for writer in np.unique(source.writers)]
    able: list[Hand] = [hand for hand in hands if min(len(hand.letters(True)), len(hand.letters(False))) >= FEWEST_LETTERS]
    if not able:
        raise LettercastError(
            f"{spec}: no writer in split '{split}' has {FEWEST_LETTERS} capitals and as many small letters; try another --split"
        )
    return able


# The letters of a word, each with its strokes.
Drawn: TypeAlias = list[tuple[str, list[Stroke]]]
# Lengths in pixels are those of a picture of this width; on others they are scaled.
REFERENCE_PX = 1280
# Height of small letters, and how far they hang below the line, as shares of a capital's height.
SMALL = (0.62, 0.0)
NOT_SMALL = {**dict.fromkeys("bdfhkl", (1.0, 0.0)), **dict.fromkeys("gjpqy", (0.95, 0.35)), "i": (0.85, 0.0), "t": (0.9, 0.0)}
# No letter is wider than this, as a share of its height.
WIDEST = 1.4
WORD_LETTERS = (2, 7)
# The white between two letters is measured in so many rows per height of a capital.
PROFILE_ROWS = 24
# Ink of letters that touch runs into each other by this share of a capital's height.
TOUCH_DEPTH = 0.02


@dataclass(frozen=True)
class Layout:
    """How the writing lies on the sheet.

    size is a capital's height in pixels. As shares of it: pitch from line to line, spacing between letters, word_gap
    between words, jitter of the letters' feet, climb of a line over its length. size_spread and line_spread are standard
    deviations of the logarithm of a letter's and a line's size. touching is the share of neighbours in a word whose
    ink touches; kerned letters keep their distance in ink, so that their boxes may overlap. case is `upper`, `title`,
    `lower` or `any`; cells puts each letter into a cell, without words. margin is a share of the width; most letters.
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
    most: int = 40


@dataclass(frozen=True)
class Written:
    """One letter: itself in its case, its strokes (n, 2) in pixels, and a capital's height there."""

    letter: str
    strokes: tuple[Stroke, ...]
    size: float


@dataclass(frozen=True)
class Writing:
    """Lines of words of letters on a sheet of size (width, height).

    feet are where lines of writing stand, or would on the rest of the sheet; columns are the sides of cells, if any.
    """

    size: tuple[int, int]
    lines: tuple[tuple[tuple[Written, ...], ...], ...]
    feet: tuple[float, ...]
    columns: tuple[float, ...]

    @property
    def text(self) -> str:
        """Lines parted by line breaks, words by spaces."""
        return "\n".join(" ".join("".join(one.letter for one in word) for word in line) for line in self.lines)

    @property
    def letters(self) -> list[Written]:
        """Every letter in reading order."""
        return [one for line in self.lines for word in line for one in word]


def write_page(hand: Hand, layout: Layout, size: tuple[int, int], rng: np.random.Generator, text: Sequence[str] = ()) -> Writing:
    """Write a page, as much of the text as there is room for.

    Args:
        hand: who writes.
        layout: how.
        size: (width, height) of the sheet in pixels.
        rng: decides words, shapes and places, each apart: another layout has the same letters at other places.
        text: lines of words; characters that are no letters are left out. Without it, words by chance.
    """
    for_words, for_shapes, for_places = rng.spawn(3)
    lines = [line.split() for line in text] or [invent_words(hand, layout.case, layout.most, for_words)]
    drawn = [[[(c, shape(hand, c, for_shapes)) for c in word if c.isascii() and c.isalpha()] for word in line] for line in lines]
    unit, (width, height) = layout.size * size[0] / REFERENCE_PX, size
    margin, pitch = layout.margin * width, layout.pitch * unit
    bottom = height - margin / 2
    columns: tuple[float, ...] = ()
    if layout.cells:
        columns = tuple(np.arange(margin, width - margin / 2, (1 + layout.spacing) * unit * WIDEST).tolist())
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


def invent_words(hand: Hand, case: str, most: int, rng: np.random.Generator) -> list[str]:
    """Invent words of letters that the hand can write, all equally likely, `most` letters in all; case as in Layout."""
    small, large = hand.letters(False), hand.letters(True)
    words, count = [], 0
    while count < most:
        length = min(most - count, int(rng.integers(WORD_LETTERS[0], WORD_LETTERS[1] + 1)))
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


def shape(hand: Hand, letter: str, rng: np.random.Generator) -> list[Stroke]:
    """Write one letter: a capital is 1 high and stands on y = 0, x begins at 0; small letters are smaller, or hang."""
    strokes = hand.strokes(letter, rng)
    low, high = np.min([s.min(0) for s in strokes], 0), np.max([s.max(0) for s in strokes], 0)
    height, hang = (1.0, 0.0) if letter.isupper() else NOT_SMALL.get(letter, SMALL)
    scale = height / max(float(high[1] - low[1]), float(high[0] - low[0]) / WIDEST, 1e-6)
    foot = np.array([low[0], high[1] - hang / scale], np.float32)
    return [smooth((s - foot) * np.float32(scale)) if len(s) > 2 else (s - foot) * np.float32(scale) for s in strokes]


@dataclass(frozen=True)
class _Placer:
    """Sets drawn words into rows; stops are the left and right margin, or the sides of cells."""

    layout: Layout
    unit: float
    stops: tuple[float, ...]
    rng: np.random.Generator

    def rows(self, words: list[Drawn]) -> list[tuple[float, list[list[Written]]]]:
        """Break words into rows that fit between the stops, each with a capital's height in it; the feet stand on y = 0."""
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
        """Let a row stand at its foot, climbing or falling; letters in cells are one word."""
        climb = self.layout.climb * self.unit * self.rng.normal() / (self.stops[-1] - self.stops[0])
        drop = -self.unit * self.layout.spacing / 2 if self.layout.cells else 0.0
        moved = [tuple(_moved(one, 0, foot + drop - climb * one.strokes[0][0, 0]) for one in word) for word in row]
        return (tuple(one for word in moved for one in word),) if self.layout.cells else tuple(moved)

    def _pieces(self, word: Drawn) -> list[Drawn]:
        """Break a word that is wider than a row."""
        room = self.stops[-1] - self.stops[0]
        fitting = max(1, sum(_right([one]) <= room for one in self._word(word, self.unit)))
        return [word] if fitting >= len(word) else [word[:fitting], *self._pieces(word[fitting:])]

    def _word(self, word: Drawn, scale: float) -> list[Written]:
        placed: list[Written] = []
        for letter, strokes in word:
            size = scale * float(np.exp(self.layout.size_spread * self.rng.normal()))
            foot = self.layout.jitter * scale * self.rng.normal()
            new = Written(letter, tuple(s * np.float32(size) + np.array([0, foot], np.float32) for s in strokes), size)
            touches = self.rng.random() < self.layout.touching
            gap = self.layout.spacing * scale * float(np.exp(0.2 * self.rng.normal()))
            if placed:
                own = _profiles(placed[-1], scale)[1], _profiles(new, scale)[0]
                ink_gap = np.max(own[0] - own[1]) if touches or self.layout.kerned else _right(placed)
                # Letters without a row in common stand side by side.
                start = ink_gap if np.isfinite(ink_gap) else _right(placed)
                new = _moved(new, start + (-TOUCH_DEPTH * scale if touches else gap), 0)
            placed.append(new)
        return placed


def _right(word: list[Written]) -> float:
    return max((float(s[:, 0].max()) for one in word for s in one.strokes), default=0.0)


def _moved(one: Written, x: float, y: float) -> Written:
    return Written(one.letter, tuple(s + np.array([x, y], np.float32) for s in one.strokes), one.size)


def _profiles(one: Written, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left and right end of a letter's ink in rows from 1.5 capitals above the foot to 0.5 below; inf where none."""
    left, right = np.full(2 * PROFILE_ROWS, np.inf), np.full(2 * PROFILE_ROWS, -np.inf)
    for stroke in one.strokes:
        steps = np.linspace(0, 1, 8)[:, None, None]
        points = (stroke[:-1] + steps * (stroke[1:] - stroke[:-1])).reshape(-1, 2) if len(stroke) > 1 else stroke
        rows = np.clip(((points[:, 1] / scale + 1.5) * PROFILE_ROWS).astype(int), 0, 2 * PROFILE_ROWS - 1)
        np.minimum.at(left, rows, points[:, 0])
        np.maximum.at(right, rows, points[:, 0])
    return left, right
