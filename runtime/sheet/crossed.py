"""Tell letters that were crossed out from others: by their shape, by the other copies of the same letter, and by a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..model.engine import Engine
from ..pixels import Pixels
from .cut import LETTER, Cut

# Strokes are what has this share of a letter's strongest ink.
STROKE_SHARE = 0.45
# Smaller holes are noise, in pixels; more of them count as this many.
MIN_HOLE_PX, MAX_HOLES = 4.0, 5
# What a letter counts as like the other copies if there are none.
USUAL_LIKENESS, LIKENESS_BLUR_PX = 0.7, 1.5
MIN_PROBABILITY = 1e-3


@dataclass(frozen=True)
class CrossedModel:
    """A logistic regression on `features_of`; a score above min_score means crossed out.

    Fitted by `python -m lettercast.benchmarks.crossed` to letters of training writers. min_score leaves out 0.3 % of the letters
    of validation writers that are not crossed out: a letter that is left out is missed less than a wrong one that is learned.
    """

    weights: tuple[float, ...]
    intercept: float
    min_score: float


# With the probabilities of a model, and with shapes alone.
WITH_MODEL = CrossedModel((1.84, 0.33, -2.74, 1.89, 0.14, 3.79, -0.84, -5.8), -0.34, 2.12)
ALONE = CrossedModel((2.49, 0.66, -3.84, 1.93, 0.38, 4.54), -4.03, 1.34)


def find_crossed(cuts: Sequence[Cut], engine: Engine | None = None) -> list[bool]:
    """Return which cuts of one sheet are letters that were crossed out; a model of letters helps if it knows all their labels."""
    places = [i for i, cut in enumerate(cuts) if cut.state == LETTER]
    letters = [cuts[i] for i in places]
    crossed = [False] * len(cuts)
    if not letters:
        return crossed
    seen = probabilities_of(letters, engine) if engine else None
    model = ALONE if seen is None else WITH_MODEL
    scores = features_of(letters, seen) @ np.array(model.weights) + model.intercept
    for i, score in zip(places, scores.tolist(), strict=True):
        crossed[i] = score > model.min_score
    return crossed


def probabilities_of(letters: Sequence[Cut], engine: Engine) -> NDArray[np.float64] | None:
    """Return a model's probabilities of each letter's own label and of its likeliest one, (n, 2); None if it lacks a label."""
    if not letters:
        return None
    names = engine.facts.labels
    own = [label if label in names else label.upper() for label in (cut.box.label for cut in letters)]
    images = np.stack([cut.glyph_image for cut in letters])
    if engine.facts.input_shape != images.shape[1:] or not set(own) <= set(names):
        return None
    rows = engine(images)
    return np.column_stack([rows[np.arange(len(rows)), [names.index(label) for label in own]], rows.max(1)]).astype(float)


def features_of(letters: Sequence[Cut], seen: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return what tells crossed letters from others, (n, 6), or (n, 8) with the probabilities (n, 2) of a model.

    In this order: the logarithm of the letter's area of ink to that of the other copies; its holes beyond theirs; how much it
    looks like the most similar copy; its ink for its size and pen; its holes; the logarithm of its outline's length to theirs;
    the logarithm of its own label's probability; the largest probability.
    """
    shapes = np.array([_shape(cut.ink) for cut in letters])
    area, outline, holes = shapes.T
    pen = float(np.median(2 * area / outline))
    diagonal = np.array([np.hypot(*cut.ink.shape) for cut in letters])
    looks = np.array([_look(cut.glyph_image[..., 0]) for cut in letters])
    labels = np.array([cut.box.label for cut in letters])
    rows = np.zeros((len(letters), 6))
    for i in range(len(letters)):
        others = np.flatnonzero(labels == labels[i])
        others = others[others != i]
        rows[i, 2:5] = USUAL_LIKENESS, area[i] / (pen * diagonal[i]), min(MAX_HOLES, holes[i])
        if len(others):
            rows[i, 0] = np.log(area[i] / np.median(area[others]))
            rows[i, 1] = min(MAX_HOLES - 1, holes[i] - holes[others].min())
            rows[i, 2] = (looks[others] @ looks[i]).max()
            rows[i, 5] = np.log(outline[i] / np.median(outline[others]))
    return rows if seen is None else np.column_stack([rows, np.log(seen[:, 0] + MIN_PROBABILITY), seen[:, 1]])


def _shape(ink: Pixels) -> tuple[float, float, float]:
    """Return the area of the strokes in ink (h, w) uint8, the length of their outlines, and how many holes they have."""
    strokes = cv2.copyMakeBorder(at_least(ink, STROKE_SHARE * float(ink.max())), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    outlines, tree = cv2.findContours(strokes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(one, True) for one in outlines)
    holes = sum(row[3] >= 0 and cv2.contourArea(one) >= MIN_HOLE_PX for one, row in zip(outlines, tree[0], strict=True))
    return float(cv2.countNonZero(strokes)), max(1.0, length), float(holes)


def _look(image: Pixels) -> NDArray[np.float32]:
    """Return a letter (28, 28) uint8 as a vector of length 1, a little blurred, whose products are correlations."""
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), LIKENESS_BLUR_PX).ravel()
    soft = soft - soft.mean()
    return (soft / max(1e-6, float(np.linalg.norm(soft)))).astype(np.float32)
