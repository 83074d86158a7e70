"""Capital or small letters: the shapes and heights of all letters on a page settle what one shape leaves open.

A bare stroke is a capital I or a small l, and a small d with a short stem looks like an O or an a; a reader who sees that
the line is in capitals chooses the capital. A small network estimates, for every letter that an image might show, the
chance that it is the capital.
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
# The chance of what counts as impossible; single precision still distinguishes it from 0, and 1 minus it from 1.
MIN_CHANCE = 1e-6
FEW_IMAGES = 32


@dataclass(frozen=True)
class CaseTuning:
    """How the case of a page, of a line and of a letter depend on each other.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # The chances that a line is in capitals, in small letters, or in both, before any letter is seen.
    style_priors: tuple[float, float, float] = (0.45, 0.45, 0.1)
    # The chance that a line has the style of its page; a heading may differ.
    same_style: float = 0.8
    # No single shape indicates a case with more certainty than this.
    max_certainty: float = 0.97
    # The chance that a word in small letters begins with a capital.
    first_capital: float = 0.3


CASE_TUNING = CaseTuning()


@dataclass(frozen=True)
class CaseNet:
    """Two dense layers: weights (196, H) and (H, 26), biases (H,) and (26,), float32."""

    weights: tuple[NDArray[np.float32], NDArray[np.float32]]
    biases: tuple[NDArray[np.float32], NDArray[np.float32]]

    def capital(self, images: Pixels) -> NDArray[np.float32]:
        """Return the chance (n, 26) that an image shows the capital, if it shows this letter; takes (n, 28, 28, 1) uint8."""
        chances = np.empty((len(images), self.weights[1].shape[1]), np.float32)
        # A few at a time: OpenBLAS shares larger products among all cores, and waits for these much longer than it computes.
        for start in range(0, len(images), FEW_IMAGES):
            own = np.s_[start : start + FEW_IMAGES]
            hidden = np.maximum(case_input(images[own]) @ self.weights[0] + self.biases[0], 0)
            chances[own] = 1 / (1 + np.exp(-(hidden @ self.weights[1] + self.biases[1])))
        return chances


def case_input(images: Pixels) -> NDArray[np.float32]:
    """Return the network's input (n, 196) float32 in 0..1 for images (n, 28, 28, 1) uint8."""
    return halved(images) * np.float32(1 / 255)


@lru_cache(maxsize=1)
def load_case(path: Path = CASE_FILE) -> CaseNet:
    """Load the network that comes with lettercast."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        first, first_bias, second, second_bias = (archive[f"arr_{i}"].astype(np.float32) for i in range(4))
    return CaseNet((first, second), (first_bias, second_bias))


@dataclass(frozen=True)
class Evidence:
    """The letters of one line: n rows of evidence.

    probabilities (n, 26) are those of the network, capital (n, 26) the chance of the capital for each class, and first (n,)
    is True for the first letter of a word.
    """

    probabilities: NDArray[np.float32]
    capital: NDArray[np.float32]
    first: NDArray[np.bool_]


def settle_case(lines: Sequence[Evidence]) -> list[NDArray[np.float32]]:
    """Weight each line's probabilities by the case of the line and of the page; returns (n, 26) per line."""
    tuning, prior = CASE_TUNING, np.array(CASE_TUNING.style_priors)
    # All lines at once, because NumPy takes little longer for many letters than for few.
    probabilities, capital = (np.concatenate([getattr(line, name) for line in lines]) for name in ("probabilities", "capital"))
    first, counts = np.concatenate([line.first for line in lines]), [len(line.first) for line in lines]
    ends = np.cumsum(counts)[:-1]
    styles = log_styles(probabilities, capital, first, ends)
    page = posterior(np.sum(styles, 0), prior)
    chances = posterior(styles, tuning.same_style * page + (1 - tuning.same_style) * prior)
    capitals, small, mixed = np.repeat(chances, counts, 0).T
    upper = (capitals + mixed / 2 + np.where(first, tuning.first_capital * small, 0))[:, None]
    # Neither a shape nor a line can make a letter impossible.
    capital, upper = np.clip(capital, MIN_CHANCE, 1 - MIN_CHANCE), np.clip(upper, MIN_CHANCE, 1 - MIN_CHANCE)
    weighted = probabilities * (upper * capital + (1 - upper) * (1 - capital))
    settled = (weighted / np.maximum(weighted.sum(1, keepdims=True), MIN_CHANCE)).astype(np.float32)
    return np.split(settled, ends)


def log_styles(
    probabilities: NDArray[np.float32], capital: NDArray[np.float32], first: NDArray[np.bool_], ends: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the log-likelihoods (L, 3) of L lines in capitals, in small letters, and in both.

    The letters of all lines follow each other, with evidence as in Evidence; ends (L - 1,) are where lines end but the last.
    """
    upper = (probabilities * capital).sum(1) / np.maximum(probabilities.sum(1), MIN_CHANCE)
    upper = np.clip(upper, 1 - CASE_TUNING.max_certainty, CASE_TUNING.max_certainty)
    # The first letter of a word may be a capital in either style, so it indicates neither.
    upper = np.where(first, 0.5, upper)
    capitals, small = (np.split(np.log(chance), ends) for chance in (upper, 1 - upper))
    return np.array([(a.sum(), b.sum(), len(a) * np.log(0.5)) for a, b in zip(capitals, small, strict=True)])


def posterior(log_likelihood: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each style (..., 3) by Bayes' rule."""
    joint = prior * np.exp(log_likelihood - log_likelihood.max(-1, keepdims=True))
    return joint / joint.sum(-1, keepdims=True)


@dataclass(frozen=True)
class HeightTuning:
    """How high letters are on a line of small letters.

    The heights of small letters, as shares of a capital's, are copybook proportions, because public data of single letters
    has no sizes. The others were tuned on pages of validation writers with small letters
    (`python -m lettercast.benchmarks.pages.conditions --split val --only "small letters"`).
    """

    x_height: float = 0.62
    ascender_height: float = 1.0
    descender_height: float = 0.95
    t_height: float = 0.9
    i_height: float = 0.85
    # Heights deviate by this standard deviation of their logarithm; a letter has any other height with this chance.
    spread: float = 0.2
    any_height: float = 0.1
    # In a line with fewer letters, heights indicate nothing.
    min_letters: int = 3


HEIGHT_TUNING = HeightTuning()


@lru_cache(maxsize=1)
def log_heights(tuning: HeightTuning) -> NDArray[np.float64]:
    """Return the logarithm of each small letter's height (26,), as a share of a capital's."""
    heights = {
        **dict.fromkeys("BDFHKL", tuning.ascender_height),
        **dict.fromkeys("GJPQY", tuning.descender_height),
        "T": tuning.t_height,
        "I": tuning.i_height,
    }
    return np.log([heights.get(label, tuning.x_height) for label in LABELS])


def settle_heights(probabilities: NDArray[np.float32], boxes: Sequence[Box], first: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weight the letters of one line by their heights, if these indicate small letters rather than capitals.

    Args:
        probabilities: (n, 26) of the letters, A to Z.
        boxes: their (x, y, width, height) in pixels.
        first: (n,) True if the letter is the first of its word.

    Returns:
        (n, 26), rows that add up to 1.
    """
    if len(boxes) < HEIGHT_TUNING.min_letters:
        return probabilities
    heights = np.log([height for _, _, _, height in boxes])
    as_capitals = fit(heights - median(heights))
    expected = log_heights(HEIGHT_TUNING)
    # The height of a capital on this line, by the letters that were read; first letters may be capitals themselves.
    sizes = heights - expected[probabilities.argmax(1)]
    size = median(sizes if first.all() else sizes[~first])
    as_small = fit(heights[:, None] - size - expected)
    capital = np.where(first, CASE_TUNING.first_capital, 0)[:, None]
    as_small = capital * fit(heights - size)[:, None] + (1 - capital) * as_small
    likelihoods = (
        np.log(as_capitals).sum(),
        np.log(np.maximum((probabilities * as_small).sum(1) / np.maximum(probabilities.sum(1), MIN_CHANCE), MIN_CHANCE)).sum(),
    )
    small = np.exp(likelihoods[1] - np.logaddexp(*likelihoods))
    weighted = probabilities * (1 - small + small * as_small)
    return (weighted / np.maximum(weighted.sum(1, keepdims=True), MIN_CHANCE)).astype(np.float32)


def fit(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how well heights fit, 0..1, by the deviation of their logarithms from the expected ones."""
    any_height = HEIGHT_TUNING.any_height
    return (1 - any_height) * np.exp(-0.5 * (deviation / HEIGHT_TUNING.spread) ** 2) + any_height


@dataclass(frozen=True)
class Shapes:
    """The n letters of a line that were read, to tell in which case they are written.

    labels (n,) are indices of the labels, -1 for a non-letter; capital (n, 26) is the chance of the capital for each class, boxes
    are (x, y, width, height) in pixels, and first (n,) is True for the first letter of a word.
    """

    labels: NDArray[np.intp]
    capital: NDArray[np.float32]
    boxes: Sequence[Box]
    first: NDArray[np.bool_]


@dataclass(frozen=True)
class WrittenTuning:
    """How the case in which a letter is written depends on its line, beyond CaseTuning and HeightTuning.

    Tuned on pages of validation writers in capitals, in title case, in small letters and in both cases at random.
    """

    # The chances that a line is in capitals, in small letters, in small letters with a capital for each word, or in both cases.
    style_priors: tuple[float, float, float, float] = (0.45, 0.225, 0.225, 0.1)
    # The chance that a letter has the other case than its line's style says, and the first one of a word in small letters.
    other_case: float = 0.04
    first_capital: float = 0.1
    # The heights of a capital on the lines of a page deviate by this standard deviation of their logarithm.
    line_spread: float = 0.2


WRITTEN_TUNING = WrittenTuning()
MIN_HEIGHT_PX = 1


def find_small(lines: Sequence[Shapes]) -> list[NDArray[np.bool_]]:
    """Return for the letters of each line whether they are small letters: (n,) True, else capitals.

    Shape and height of a letter count, and whether its line is in capitals, in small letters, or in both; lines of one page are
    probably alike in that and in size.
    """
    prior, same = np.array(WRITTEN_TUNING.style_priors), CASE_TUNING.same_style
    known = [line for line in lines if (line.labels >= 0).any()]
    if not known:
        return [np.zeros(len(line.labels), bool) for line in lines]
    together = Shapes(
        np.concatenate([line.labels for line in known]),
        np.concatenate([line.capital for line in known]),
        [box for line in known for box in line.boxes],
        np.concatenate([line.first for line in known]),
    )
    styles, page_size, _ = weigh_case(together, prior, None)
    mixed = same * styles + (1 - same) * prior
    return [weigh_case(line, mixed, page_size)[2] < 0.5 for line in lines]


def weigh_case(
    line: Shapes, prior: NDArray[np.float64], page_size: float | None
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Return the chances of the four styles (4,), the logarithm of a capital's height, and the chance of each capital (n,).

    Args:
        line: its letters.
        prior: (4,) chances of the styles.
        page_size: the logarithm of a capital's height on the page, or None.
    """
    tuning = WRITTEN_TUNING
    rows, known = np.arange(len(line.labels)), line.labels >= 0
    labels = np.maximum(line.labels, 0)
    shape = np.clip(line.capital[rows, labels], 1 - CASE_TUNING.max_certainty, CASE_TUNING.max_certainty).astype(np.float64)
    shape = np.where(known, shape, 0.5)
    heights = np.log([max(MIN_HEIGHT_PX, height) for *_, height in line.boxes])
    small_heights = heights - log_heights(HEIGHT_TUNING)[labels]
    # The height of a capital is that of one of the letters, if it is a capital or if it is small.
    sizes = np.unique(np.concatenate([heights[known], small_heights[known]]).round(2))
    if not len(sizes):
        sizes = np.zeros(1)
    as_capital = shape * np.where(known, fit(heights - sizes[:, None]), 1)
    as_small = (1 - shape) * np.where(known, fit(small_heights - sizes[:, None]), 1)
    other = tuning.other_case
    # The chance of a capital by (style, 1, letter).
    first = [np.where(line.first, chance, other) for chance in (tuning.first_capital, 1 - other)]
    upper = np.stack([np.full(len(rows), 1 - other), *first, np.full(len(rows), 0.5)])[:, None]
    capital, small = upper * as_capital, (1 - upper) * as_small
    log = np.log(np.maximum(capital + small, MIN_CHANCE)).sum(2) + np.log(prior)[:, None]
    if page_size is not None:
        log = log - 0.5 * ((sizes - page_size) / tuning.line_spread) ** 2
    share = np.exp(log - log.max())
    share /= share.sum()
    chance = (share[:, :, None] * capital / np.maximum(capital + small, MIN_CHANCE)).sum((0, 1))
    return share.sum(1), float(sizes[share.sum(0).argmax()]), chance
