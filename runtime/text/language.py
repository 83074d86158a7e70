"""Word sense: which letters follow each other in a language settles what the shapes leave open, such as I or L in LEARNLNG.

A language knows how likely each letter follows the three before it, and no words. What is no word of it, such as a name or a
code, has a chance of its own, so that it stays as it was seen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, log1p
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..files import load_npz, packaged
from .context import LABELS

FOLDER, FILE_NAME = "models", "letters-{}.npz"
SHIPPED = re.compile(r"letters-([a-z]{2})\.npz")
# Letters count from 1; 0 stands for what is before and after a word.
SYMBOLS, ORDER = len(LABELS) + 1, 4
CONTEXTS = SYMBOLS ** (ORDER - 1)
# A file holds steps of the counts of all strings of four letters: 0 was never seen, n was seen about 2 ** (n - 1) times.
MAX_STEP, MAX_FILE_BYTES = 40, 2 * SYMBOLS**ORDER
# Log-probabilities are stored in this many steps per unit.
LOG_STEPS = 16


@dataclass(frozen=True)
class LanguageTuning:
    """How much a language weighs.

    Tuned on generated pages of validation writers, with English words that the language was not fitted to, names and random
    letters (`python -m lettercast.benchmarks.pages.language FILE en`).
    """

    # The chance that a word is of the language; in other words, each letter is any of the alphabet.
    share: float = 0.4
    # The logarithms of the network's probabilities count this much, because it is surer than it is right.
    shape_weight: float = 0.85
    # The scores of whole strings count this much, so that letters that the language changed are right as often as they claim.
    string_weight: float = 0.7
    # No letter has a lower probability than this; alternatives less likely than the best by this factor (log) are ignored.
    min_probability: float = 0.001
    max_log_distance: float = 5.0
    # Only this many alternatives of a letter, and only this many strings, are followed.
    max_alternatives: int = 5
    beam: int = 12
    # What is taken off the count of each string of letters for those that were never seen (absolute discounting).
    discount: float = 0.75


LANGUAGE_TUNING = LanguageTuning()


@dataclass(frozen=True)
class Language:
    """A language: costs (27^4,) bytes are minus the log-probabilities, in 1/16, of a letter after the three before it."""

    name: str
    costs: bytes


def known_languages() -> list[str]:
    """Return the names of the languages that come with lettercast."""
    found = (SHIPPED.fullmatch(path.name) for path in packaged(FOLDER).iterdir())
    return sorted(match[1] for match in found if match)


def find_language(name: str | Path) -> Path:
    """Return the file of a language, given the name of one that comes with lettercast or the path of another.

    Raises LettercastError if there is none.
    """
    names = known_languages()
    if str(name) in names:
        return packaged(f"{FOLDER}/{FILE_NAME.format(name)}")
    path = Path(name)
    if not path.is_file():
        choices = ", ".join([*names, "or the path of a file that python -m lettercast.train.fit_language wrote"])
        raise LettercastError(f"'{name}': no such language; give {choices}")
    return path


@lru_cache(maxsize=4)
def load_language(name: str | Path) -> Language:
    """Load a language, by the name of one that comes with lettercast or the path of another.

    Raises LettercastError if there is none, or if the file is none of a language.
    """
    path = find_language(name)
    try:
        steps: NDArray[np.uint8] = load_npz(path, MAX_FILE_BYTES)["steps"]
    except (OSError, ValueError, KeyError):
        steps = np.zeros(0, np.uint8)
    if steps.shape != (SYMBOLS**ORDER,) or steps.dtype != np.uint8 or steps.max() > MAX_STEP or not steps.any():
        raise LettercastError(f"{path}: not a language; give a file that python -m lettercast.train.fit_language wrote")
    matched = SHIPPED.fullmatch(path.name)
    return Language(matched[1] if matched else path.stem, costs_of(steps))


def costs_of(steps: NDArray[np.uint8]) -> bytes:
    """Return a language's costs for the steps of its counts (27^4,), smoothed by interpolated absolute discounting.

    Source: Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling".
    """
    counts = np.where(steps > 0, np.exp2(steps.astype(np.float32) - 1), 0).astype(np.float32)
    shorter = [counts.reshape(-1, SYMBOLS)]
    for _ in range(ORDER - 1):
        # What follows fewer letters is what follows them after any letter before.
        shorter.append(shorter[-1].reshape(SYMBOLS, -1, SYMBOLS).sum(0))
    probabilities = np.full((1, SYMBOLS), 1 / SYMBOLS, np.float32)
    for known in reversed(shorter):
        total = known.sum(1, keepdims=True)
        left = np.minimum(LANGUAGE_TUNING.discount, known)
        share = np.where(total > 0, left.sum(1, keepdims=True), 1) / np.maximum(total, 1)
        lower = np.tile(probabilities, (len(known) // len(probabilities), 1))
        probabilities = (known - left) / np.maximum(total, 1) + share * lower
    costs = np.clip(np.round(-LOG_STEPS * np.log(np.maximum(probabilities, 1e-7))), 0, 255)
    return costs.astype(np.uint8).tobytes()


def weigh_word(language: Language, probabilities: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the probabilities of a word's letters, weighed over the whole word.

    A word of the language and any other string have a chance each, so by Bayes' rule the language counts only as far as the
    letters form a word of it. Words of one letter, and what the model takes for non-letters, stay as they are.

    Args:
        language: the language.
        probabilities: (n, 26) of the letters, A to Z.
        known: (n,) False if the model takes it for a non-letter, which may be any letter of the word.

    Returns:
        (n, 26); a row of a known letter adds up to 1.
    """
    if len(probabilities) < 2 or not known.any():
        return probabilities
    choices = choices_of(probabilities, known)
    if all(len(own) == 1 for own in choices):
        return probabilities
    strings, shares = follow(language, choices)
    weighed = np.where(known[:, None], 0, probabilities).astype(np.float32)
    for i in np.flatnonzero(known):
        np.add.at(weighed[i], [string[i] for string in strings], shares)
    return weighed


def choices_of(probabilities: NDArray[np.float32], known: NDArray[np.bool_]) -> list[list[tuple[int, float]]]:
    """Return the alternatives of each letter, with what the shape says for them: its log-probability, weighted."""
    tuning = LANGUAGE_TUNING
    shape = tuning.shape_weight * np.log(np.maximum(probabilities, tuning.min_probability))
    # The shape of a non-letter says nothing.
    shape[~known] = 0
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, : tuning.max_alternatives].tolist()
    rows = shape.tolist()
    return [
        [(i, row[i]) for i in own if row[i] >= row[own[0]] - tuning.max_log_distance] for own, row in zip(best, rows, strict=True)
    ]


def follow(language: Language, choices: Sequence[Sequence[tuple[int, float]]]) -> tuple[list[tuple[int, ...]], list[float]]:
    """Return the likeliest strings of letters, from a beam search, and their shares of all of them."""
    tuning, costs = LANGUAGE_TUNING, language.costs
    of_language, other, any_letter = log(tuning.share), log1p(-tuning.share), -log(len(LABELS))
    # The score, what the shapes say, the cost in the language, the three letters before, and the letters.
    beam: list[tuple[float, float, int, int, tuple[int, ...]]] = [(0.0, 0.0, 0, 0, ())]
    for place, letters in enumerate((*choices, None)):
        prior = other + any_letter * min(place + 1, len(choices))
        longer = []
        for _, seen, cost, context, string in beam:
            first = context * SYMBOLS
            for letter, shape in letters if letters is not None else ((-1, 0.0),):
                shapes, paid = seen + shape, cost + costs[first + letter + 1]
                likely = of_language - paid / LOG_STEPS
                high, low = (likely, prior) if likely > prior else (prior, likely)
                score = shapes + high + log1p(exp(low - high))
                longer.append((score, shapes, paid, (first + letter + 1) % CONTEXTS, (*string, letter)))
        longer.sort(reverse=True)
        beam = longer[: tuning.beam]
    shares = [exp(tuning.string_weight * (one[0] - beam[0][0])) for one in beam]
    total = sum(shares)
    return [one[4][:-1] for one in beam], [share / total for share in shares]
