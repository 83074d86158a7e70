"""Choosing on one half of the check images and proving on the other, because images that choose a file prove nothing about it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ..gate import LEVEL, Parity, compare

HALVING_SEED = 7
# A search asks the proof half at most so often, because each look makes the next proof harder.
MAX_LOOKS = 4
Classify = Callable[[Pixels], NDArray[np.float32]]


def halves(truth: NDArray[np.int64], seed: int = HALVING_SEED) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split check images into the half that chooses and the half that proves, by their classes (n,); returns sorted indices.

    Each class, and all images together, are split evenly to within one image.
    """
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    # A stable sort leaves the images of a class in random order.
    order = shuffled[np.argsort(truth[shuffled], kind="stable")]
    return np.sort(order[::2]), np.sort(order[1::2])


def level_of(looks: int) -> float:
    """Return the confidence level in percent for the last of some looks at the same images; 95 for 0, which is no choice."""
    return 100 - (100 - LEVEL) / 2**looks


class Prover:
    """The half of the check images that proves. It counts how many files it judged, because each look may prove by chance.

    Look k has the two-sided confidence level 100 - 5 / 2**k percent, so the upper end of its interval is too low with a
    probability of at most 2.5 % / 2**k. All looks together are wrong with a probability of at most 2.5 % (Bonferroni's
    inequality), the same as one look at 95 %, however many there are and whatever follows from their results.

    Attributes:
        images: (n, H, W, C) uint8; never choose by them.
        truth: their classes (n,).
        original: the probabilities of the original (n, classes).
        reject_below: the probability below which an answer is rejected.
        looks: how many files were judged.
    """

    def __init__(
        self, images: Pixels, truth: NDArray[np.int64], original: NDArray[np.float32], reject_below: float = 0.0
    ) -> None:
        self.images, self.truth, self.original, self.reject_below = images, truth, original, reject_below
        self.looks = 0

    @property
    def level(self) -> float:
        """Confidence level of the next look in percent: 97.5 for the first, 98.75 for the second."""
        return level_of(self.looks + 1)

    def look(self, classify: Classify, tie: float = 0.0) -> Parity:
        """Judge a file, given the function that returns its probabilities of (n, H, W, C) uint8 images; tie as in `compare`."""
        level = self.level
        self.looks += 1
        return compare(self.truth, self.original, classify(self.images), tie, self.reject_below, level=level)
