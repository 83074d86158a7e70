"""Capitals or small letters: what all shapes of a page say together settles what one shape leaves open.

A bare stroke is a capital I or a small l, a small d with a short stem is an O or an a; a reader who sees that the line is
in capitals takes the capital. A small network says how likely a picture is a capital for every letter that it might be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import packaged
from ..glyph import halved
from ..pixels import Pixels, median
from . import Box

CASE_FILE = packaged("models/letters-case.npz")
LABELS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# A line is in capitals, in small letters or in both; before anything is seen, with these chances.
STYLE_PRIORS = np.array([0.45, 0.45, 0.1])
# A line keeps to the style of its page with this chance; a heading does not.
SAME_STYLE = 0.8
# No shape speaks for a case with more than this certainty.
SUREST = 0.97
# What is taken for impossible has this chance all the same, which single precision still tells from 0 and from 1.
NEVER = 1e-6
# In small letters a word may begin with a capital or not.
FIRST_CAPITAL = 0.3


@dataclass(frozen=True)
class CaseNet:
    """Two dense layers: weights (196, H) and (H, 26), biases (H,) and (26,), float32."""

    weights: tuple[NDArray[np.float32], NDArray[np.float32]]
    biases: tuple[NDArray[np.float32], NDArray[np.float32]]

    def capital(self, pictures: Pixels) -> NDArray[np.float32]:
        """Return (n, 26) float32: were picture i this letter, the chance that it is the capital; takes (n, 28, 28, 1) uint8."""
        hidden = np.maximum(case_input(pictures) @ self.weights[0] + self.biases[0], 0)
        logits = hidden @ self.weights[1] + self.biases[1]
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


def case_input(pictures: Pixels) -> NDArray[np.float32]:
    """Return (n, 196) float32 0..1 of pictures (n, 28, 28, 1) uint8, as the network takes them."""
    return halved(pictures) * np.float32(1 / 255)


@lru_cache(maxsize=1)
def load_case(path: Path = CASE_FILE) -> CaseNet:
    """Open the network that comes with lettercast."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        first, first_bias, second, second_bias = (archive[f"arr_{i}"].astype(np.float32) for i in range(4))
    return CaseNet((first, second), (first_bias, second_bias))


@dataclass(frozen=True)
class Evidence:
    """One line's letters: probabilities (n, 26), chances of the capital by class (n, 26), first letters of words (n,)."""

    probabilities: NDArray[np.float32]
    capital: NDArray[np.float32]
    first: NDArray[np.bool_]

    @property
    def log_styles(self) -> NDArray[np.float64]:
        """(3,) log-likelihood of the line in capitals, in small letters, in both."""
        upper = (self.probabilities * self.capital).sum(1) / np.maximum(self.probabilities.sum(1), NEVER)
        upper = np.clip(upper, 1 - SUREST, SUREST)
        # A word's first letter is a capital in either style, so it tells neither.
        upper = np.where(self.first, 0.5, upper)
        return np.array([np.log(upper).sum(), np.log(1 - upper).sum(), len(upper) * np.log(0.5)])


def settle_case(lines: Sequence[Evidence]) -> list[NDArray[np.float32]]:
    """Weigh each line's probabilities by the case that its line and its page are written in; returns (n, 26) a line."""
    styles = [line.log_styles for line in lines]
    page = posterior(np.sum(styles, 0), STYLE_PRIORS)
    settled = []
    for line, likelihood in zip(lines, styles, strict=True):
        capitals, small, mixed = posterior(likelihood, SAME_STYLE * page + (1 - SAME_STYLE) * STYLE_PRIORS)
        upper = (capitals + mixed / 2 + np.where(line.first, FIRST_CAPITAL * small, 0))[:, None]
        # No shape and no line is so sure that a letter could become impossible.
        capital, upper = np.clip(line.capital, NEVER, 1 - NEVER), np.clip(upper, NEVER, 1 - NEVER)
        weighted = line.probabilities * (upper * capital + (1 - upper) * (1 - capital))
        settled.append((weighted / np.maximum(weighted.sum(1, keepdims=True), NEVER)).astype(np.float32))
    return settled


def posterior(log_likelihood: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each style (3,) by Bayes' rule."""
    joint = prior * np.exp(log_likelihood - log_likelihood.max())
    return joint / joint.sum()


# Heights of small letters as a share of a capital's: copybook proportions, as single letters of public data tell no sizes.
SMALL_HEIGHTS = {**dict.fromkeys("BDFHKL", 1.0), **dict.fromkeys("GJPQY", 0.95), "T": 0.9, "I": 0.85}
X_HEIGHT = 0.62
LOG_HEIGHTS = np.log([SMALL_HEIGHTS.get(label, X_HEIGHT) for label in LABELS])
# Hands differ by this much (standard deviation of the logarithm), and a letter may have any height with some chance.
HEIGHT_SPREAD, ANY_HEIGHT = 0.2, 0.1
# With fewer letters than this in a line their heights say nothing.
FEWEST_LETTERS = 3


def settle_heights(probabilities: NDArray[np.float32], boxes: Sequence[Box], first: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weigh the letters of one line by their heights, as far as these speak for small letters rather than capitals.

    Args:
        probabilities: (n, 26) of the letters, A to Z.
        boxes: their (x, y, width, height) in pixels.
        first: (n,) True where a letter is the first of its word.

    Returns:
        (n, 26), rows that add up to 1.
    """
    if len(boxes) < FEWEST_LETTERS:
        return probabilities
    heights = np.log([height for _, _, _, height in boxes])
    as_capitals = fit(heights - median(heights))
    # A capital's height on this line, by the letters that they are read as; first letters may be capitals themselves.
    sizes = heights - LOG_HEIGHTS[probabilities.argmax(1)]
    size = median(sizes if first.all() else sizes[~first])
    as_small = fit(heights[:, None] - size - LOG_HEIGHTS)
    capital = np.where(first, FIRST_CAPITAL, 0)[:, None]
    as_small = capital * fit(heights - size)[:, None] + (1 - capital) * as_small
    likelihoods = (
        np.log(as_capitals).sum(),
        np.log(np.maximum((probabilities * as_small).sum(1) / np.maximum(probabilities.sum(1), NEVER), NEVER)).sum(),
    )
    small = np.exp(likelihoods[1] - np.logaddexp(*likelihoods))
    weighed = probabilities * (1 - small + small * as_small)
    return (weighed / np.maximum(weighed.sum(1, keepdims=True), NEVER)).astype(np.float32)


def fit(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0..1 how well heights fit that deviate so much, in logarithms, from what is expected."""
    return (1 - ANY_HEIGHT) * np.exp(-0.5 * (deviation / HEIGHT_SPREAD) ** 2) + ANY_HEIGHT
