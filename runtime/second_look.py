"""A second look at doubtful letters: turned a little and widened, as a person tilts the head."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .glyph import glyph
from .pixels import Pixels

# The likeliest class of a doubtful letter is less probable than this; what is less probable than that is no letter.
SURE, LEAST = 0.85, 0.2
# In a picture of gravel everything is doubtful; so many letters get a second look.
MOST_LOOKS = 60
TURN_RAD, WIDEN = 0.16, 1.4
VIEWS = (
    ((math.cos(TURN_RAD), -math.sin(TURN_RAD)), (math.sin(TURN_RAD), math.cos(TURN_RAD))),
    ((math.cos(TURN_RAD), math.sin(TURN_RAD)), (-math.sin(TURN_RAD), math.cos(TURN_RAD))),
    ((WIDEN, 0.0), (0.0, 1.0)),
)


def look_again(engine: Engine, inks: list[Pixels], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities (n, classes) with those of doubtful letters averaged over several views of their ink.

    Args:
        inks: the (h, w) uint8 ink of each letter.
        probabilities: (n, classes) of the letters as they stand.
    """
    best = probabilities.max(1, initial=0)
    doubtful = np.flatnonzero((best < SURE) & (best >= LEAST))[:MOST_LOOKS]
    if not len(doubtful):
        return probabilities
    views = np.stack([glyph(seen_from(inks[i], view)) for i in doubtful for view in VIEWS])[..., None]
    seen = engine(views).reshape(len(doubtful), len(VIEWS), -1)
    settled = probabilities.copy()
    settled[doubtful] = (probabilities[doubtful] + seen.sum(1)) / (1 + len(VIEWS))
    return settled


def seen_from(ink: Pixels, view: tuple[tuple[float, float], tuple[float, float]]) -> Pixels:
    """Return ink (h, w) uint8 moved by a 2x2 matrix about its middle, on a canvas that holds all of it."""
    height, width = ink.shape
    (a, b), (c, d) = view
    wide, high = math.ceil(abs(a) * width + abs(b) * height), math.ceil(abs(c) * width + abs(d) * height)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[a, b, (wide - 1) / 2 - a * x - b * y], [c, d, (high - 1) / 2 - c * x - d * y]])
    return cv2.warpAffine(ink, matrix, (wide, high))
