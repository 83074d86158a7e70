"""What a letter alone cannot tell: which letter it is by its height among those of its line.

In small letters an l towers over an i, and an h over an n; capitals are all as high as each other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .case import FIRST_CAPITAL, LABELS, NEVER
from .ranks import median
from .text import Box

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
