"""The likeliest labels of a letter, with their probabilities."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# The alternatives of a letter: at most this many, each at least this probable.
MAX_ALTERNATIVES, MIN_PROBABILITY = 3, 0.01
# Probabilities are float32.
LEAST_PROBABILITY = float(np.float32(MIN_PROBABILITY))
# A label and its probability.
Guess: TypeAlias = tuple[str, float]


def guesses_of(rows: NDArray[np.float32], labels: Sequence[str]) -> list[list[Guess]]:
    """Return the labels that each row (n, classes) of probabilities makes likeliest: one, and MAX_ALTERNATIVES."""
    order = np.argsort(-rows, axis=1, kind="stable")[:, : MAX_ALTERNATIVES + 1]
    places: list[list[int]] = order.tolist()
    values: list[list[float]] = np.take_along_axis(rows, order, 1).tolist()
    return [[(labels[i], value) for i, value in zip(*own, strict=True)] for own in zip(places, values, strict=True)]


def likely(guesses: Sequence[Guess]) -> tuple[Guess, ...]:
    """Return the guesses that are likely enough to be named."""
    return tuple(guess for guess in guesses if guess[1] >= LEAST_PROBABILITY)
