"""Who writes the generated pages: the built-in pen, or real writers of a strokes file."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .. import LettercastError
from ..train.data import open_source
from ..train.hand import Stroke
from ..train.pen import Pen, PenSource
from ..train.source import LETTERS, StrokeSource
from ..train.strokes import Strokes

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
