"""What a probability is worth: calibration by temperature, and the threshold below which nothing is claimed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 15
# Of real letters this share keeps its name; what is surer than none of the rest is unknown.
KEPT_SHARE = 0.98
TEMPERATURES = (0.2, 5.0)
# Probabilities as small as this are noise of the arithmetic.
SMALLEST = 1e-12


@dataclass(frozen=True)
class Reliability:
    """How often answers of each confidence are right: bins of equal width over 0..1.

    count, confidence and accuracy (bins,): letters, their mean confidence and the share of right ones; NaN where empty.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error 0..1: the mean gap of confidence and accuracy, weighted by count (Guo et al. 2017)."""
        filled = self.count > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float((self.count[filled] * gaps).sum() / max(1, self.count.sum()))


def reliability(probabilities: NDArray[np.float32], truth: NDArray[np.int64], bins: int = BINS) -> Reliability:
    """Sort answers, probabilities (N, classes) and truth (N,), into bins of confidence."""
    sure, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == truth
    place = np.minimum((sure * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            count.astype(np.int64),
            np.bincount(place, sure, bins) / count,
            np.bincount(place, right, bins) / count,
        )


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits behind probabilities (N, classes) by a temperature: above 1 softens, below 1 sharpens."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def best_temperature(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the temperature with the smallest cross-entropy on letters of known truth (N,)."""
    rows = np.arange(len(truth))

    def cross_entropy(log_temperature: float) -> float:
        right = tempered(probabilities, float(np.exp(log_temperature)))[rows, truth]
        return float(-np.log(np.maximum(right, SMALLEST)).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(low, high), method="bounded").x))


def rejection_threshold(probabilities: NDArray[np.float32], kept: float = KEPT_SHARE) -> float:
    """Return the confidence that this share of real letters, probabilities (N, classes), reaches."""
    return float(np.quantile(probabilities.max(1), 1 - kept))


def rejected_share(probabilities: NDArray[np.float32], threshold: float) -> float:
    """Return the share of pictures, probabilities (N, classes), whose likeliest class stays below the threshold."""
    return float((probabilities.max(1) < threshold).mean())
