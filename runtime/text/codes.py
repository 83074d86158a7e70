"""Digits beside letters: the group that a character stands in settles what its shape leaves open, such as O and 0.

This is for models that read both, such as letters-digits. In a group of digits a ring is a 0, among letters it is an O. A group
of both, such as a number plate, is read character by character, and what the network is sure of stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .context import LABELS

DIGITS = tuple("0123456789")
# Digits, each with the letters that it looks like in somebody's handwriting; 6 and 9 look like a small b and g.
LOOK_ALIKE = {"0": "O", "1": "IL", "2": "Z", "5": "S", "6": "BG", "9": "G"}


@dataclass(frozen=True)
class Alphabet:
    """The places of letters (26,) in the order A to Z, and of digits (10,) or (0,), among a model's labels."""

    letters: NDArray[np.intp]
    digits: NDArray[np.intp]


def alphabet_of(labels: Sequence[str]) -> Alphabet | None:
    """Return where letters and digits stand among labels; None unless these are A to Z, or A to Z and 0 to 9, in any order."""
    places = {name: i for i, name in enumerate(labels)}
    digits = DIGITS if len(labels) > len(LABELS) else ()
    if places.keys() != {*LABELS, *digits}:
        return None
    return Alphabet(np.array([places[name] for name in LABELS], np.intp), np.array([places[name] for name in digits], np.intp))


def best_of(rows: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
    """Return the highest probability (n,) of each row (n, classes), with a digit and a letter that looks like it as one class."""
    best: NDArray[np.float32] = rows.max(1)
    for digit, letter in look_alikes(tuple(labels)):
        best = np.maximum(best, rows[:, digit] + rows[:, letter])
    return best


@lru_cache(maxsize=4)
def look_alikes(labels: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the places of each digit and letter among labels that look alike."""
    pairs = [(digit, letter) for digit, letters in LOOK_ALIKE.items() for letter in letters]
    return tuple((labels.index(digit), labels.index(letter)) for digit, letter in pairs if {digit, letter} <= {*labels})


@dataclass(frozen=True)
class KindTuning:
    """How digits and letters follow each other.

    Chosen by hand between a few values on generated pages of words and of codes of the pen's validation letters
    (`python -m lettercast.benchmarks.pages.conditions --split val --only codes`), read by a network that was trained for minutes.
    """

    # The chances that a group is of letters, of digits, or of both.
    letters: float = 0.35
    digits: float = 0.25
    both: float = 0.4
    # In a group of both, the chance that a digit follows a digit, and a letter a letter.
    same: float = 0.6
    # No single shape tells digits from letters with more certainty than this.
    max_certainty: float = 0.998


KIND_TUNING = KindTuning()


def settle_kinds(
    rows: NDArray[np.float32], words: Sequence[slice], alphabet: Alphabet, known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Weight digits against letters by the other characters of their group.

    A character alone stays as the network saw it.

    Args:
        rows: (n, classes) probabilities of the characters of a line.
        words: the groups of the line.
        alphabet: where digits and letters stand.
        known: (n,) False for non-letters, which say nothing about their group.

    Returns:
        (n, classes), rows that add up to 1.
    """
    settled = rows.copy()
    limits = 1 - KIND_TUNING.max_certainty, KIND_TUNING.max_certainty
    for word in words:
        own = rows[word]
        if len(own) < 2 or not len(alphabet.digits):
            continue
        # The likeliest digit against the likeliest letter, because there are more letters than digits to be unlikely.
        best, other = own[:, alphabet.digits].max(1), own[:, alphabet.letters].max(1)
        shape = best / np.maximum(best + other, np.finfo(np.float32).tiny)
        digit = np.where(known[word], np.clip(shape, *limits), 0.5).astype(np.float64)
        chance = np.clip(digit_chances(digit), 1e-6, 1 - 1e-6)
        # What the others say is the odds with them, divided by the odds of the shape alone.
        odds = chance / (1 - chance) * (1 - digit) / digit
        weights = np.ones(own.shape)
        weights[:, alphabet.digits] = odds[:, None]
        weighted = own * weights
        settled[word] = weighted / np.maximum(weighted.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    return settled


def digit_chances(digit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance (n,) that each character of a group is a digit, given the chances (n,) of the shapes alone.

    The states are: in a group of letters, in a group of digits, and a letter or a digit in a group of both. The forward-backward
    algorithm sums over all their sequences.
    """
    tuning, same = KIND_TUNING, KIND_TUNING.same
    start = np.array([tuning.letters, tuning.digits, tuning.both / 2, tuning.both / 2])
    moves = np.eye(4)
    moves[2:, 2:] = [[same, 1 - same], [1 - same, same]]
    shapes = np.stack([1 - digit, digit, 1 - digit, digit], 1)
    ahead, behind = np.empty_like(shapes), np.ones_like(shapes)
    state = start
    for i, shape in enumerate(shapes):
        state = (state if i == 0 else state @ moves) * shape
        state = state / state.sum()
        ahead[i] = state
    for i in range(len(shapes) - 2, -1, -1):
        behind[i] = moves @ (shapes[i + 1] * behind[i + 1])
        behind[i] /= behind[i].sum()
    both = ahead * behind
    chances: NDArray[np.float64] = both[:, [1, 3]].sum(1) / both.sum(1)
    return chances
