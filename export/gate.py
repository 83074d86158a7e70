"""The parity gate: compare an exported model with its Keras original on the same images, and hold it to tolerances.

The gate is a non-inferiority test: it asks whether the check set proves that the export loses no more accuracy than allowed.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of the normal distribution, and the level of the intervals in percent.
Z95, LEVEL = 1.959963984540054, 95.0
# The verdicts of the gate, see Parity.
PROVEN, UNPROVEN, MISSED = "proven", "unproven", "missed"
# The figures that `lettercast benchmark --json` holds, too.
SHARED_FIGURES = (
    *("n", "original_accuracy", "accuracy", "drop", "drop_low", "drop_high", "agreement", "agreement_low", "agreement_high"),
    *("difference", "original_calibration_error", "calibration_error", "calibration_change_low", "calibration_change_high"),
    *("original_rejected", "rejected", "rejected_change_low", "rejected_change_high"),
)
# The calibration error has no simple distribution, so the images are drawn again this often, with replacement.
RESAMPLES, RESAMPLING_SEED = 1000, 7
# A measured drop that is closer to the tolerance than this share equals it, but for rounding.
MIN_SLACK = 1e-9
# Messages round numbers of images and points up to this many digits, and show at most so many of a figure beside its limit.
DIGITS, MAX_DIGITS = 3, 9


@dataclass(frozen=True)
class ImageSet:
    """A set of labelled images: the name of its data, the split (train, val, test or all), and how many images are taken."""

    name: str
    split: str
    n: int

    def describe(self, unit: str) -> str:
        """Return the set in words; unit is what the images show, `letters` or `images`."""
        split = {"all": "all of it", "train": "the training split", "val": "the validation split"}
        return f"{self.n:,} {unit} of {self.name} ({split.get(self.split, f'the {self.split} split')})"


@dataclass(frozen=True)
class Inspection:
    """What an exported file says about its quantization and its runtime.

    max_pixel is the largest pixel that the quantized input can hold, None if the input is not quantized. has_coarse_depthwise
    is true if depthwise weights share one scale. lowest_runtime is the oldest version of the runtime that opens the file.
    saturating names the weights whose products overflow on some processors.
    """

    max_pixel: float | None = None
    has_coarse_depthwise: bool = False
    lowest_runtime: str = ""
    saturating: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tolerance:
    """What a format may lose: accuracy in points, agreement in percent, difference of probabilities 0..1.

    If two classes lie within `tie` of each other in the original they are a tie, and either of them agrees. A required
    agreement must be reached even if the accuracy drop is proven; it is one that you set yourself.
    """

    max_drop: float
    min_agreement: float
    max_difference: float = 1.0
    tie: float = 0.0
    agreement_is_required: bool = False

    def limited(self, max_drop: float | None, min_agreement: float | None) -> "Tolerance":
        """Return the tolerance with limits that are given instead of its own; an agreement that is given is required."""
        given = {"max_drop": max_drop, "min_agreement": min_agreement}
        limits = {name: value for name, value in given.items() if value is not None}
        return replace(self, **limits, agreement_is_required=min_agreement is not None)


@dataclass(frozen=True)
class Parity:
    """How one exported model compares with its original on n images.

    Accuracies, agreement, calibration errors and rejected shares are in percent. drop is in points, positive if the export is
    worse, with its 95 % confidence interval. difference is the largest difference of any probability. lost counts the images
    that only the original classifies right, won those that only the export does.

    Every other 95 % interval is only reported: agreement_low and _high are Wilson's interval of the agreement,
    rejected_change_low and _high Tango's interval of the change of the rejected share in points (export minus original), and
    calibration_change_low and _high the bootstrap interval of the change of the expected calibration error in points, over
    1000 resamples of the images, the same for both models. level is the confidence of the drop's interval in percent: it is above
    95 if the images judge more than one candidate, see `export.repair.proof`.

    The verdict for a tolerance is one of three:

    - proven: every limit holds, and the accuracy drop is proven. It is proven if the upper end of its interval is within
      max_drop, or if a format with a limit for the difference keeps it and gives the same answer on every image: then the two
      models are equal, which no number of images needs to confirm.
    - missed: a limit is exceeded. The limits are max_drop for the measured drop, max_difference, and min_agreement.
    - unproven: every limit holds, but the images are too few to exclude a drop beyond max_drop.

    The agreement stands in for a drop that is not yet proven: answers that change are a risk, even if as many become right as
    become wrong. So min_agreement is a limit only while the drop is unproven, or if the tolerance requires it.
    """

    n: int
    original_accuracy: float
    accuracy: float
    drop: float
    drop_low: float
    drop_high: float
    agreement: float
    difference: float
    lost: int = 0
    won: int = 0
    original_calibration_error: float = 0.0
    calibration_error: float = 0.0
    original_rejected: float = 0.0
    rejected: float = 0.0
    agreement_low: float = 0.0
    agreement_high: float = 100.0
    calibration_change_low: float = 0.0
    calibration_change_high: float = 0.0
    rejected_change_low: float = 0.0
    rejected_change_high: float = 0.0
    level: float = LEVEL

    def proves(self, tolerance: Tolerance) -> bool:
        """Whether the accuracy drop is proven to be within the tolerance, by its interval or because the models are equal."""
        is_equal = self.agreement == 100 and self.difference <= tolerance.max_difference < 1 and tolerance.max_drop >= 0
        return is_equal or self.drop_high <= tolerance.max_drop

    def misses(self, tolerance: Tolerance) -> list[str]:
        """Return a line for each limit that is exceeded, with the figures; empty if the export passes."""
        drop, max_drop = told_apart(self.drop, tolerance.max_drop, "f")
        agreement, min_agreement = told_apart(self.agreement, tolerance.min_agreement, "f")
        difference, max_difference = told_apart(self.difference, tolerance.max_difference, "e")
        checks = {
            f"accuracy drop {drop} points, at most {max_drop} allowed": self.drop <= tolerance.max_drop,
            f"agreement {agreement} %, at least {min_agreement} % needed": self.agreement >= tolerance.min_agreement
            or (self.proves(tolerance) and not tolerance.agreement_is_required),
            f"difference {difference}, at most {max_difference} allowed": self.difference <= tolerance.max_difference,
        }
        return [message for message, passed in checks.items() if not passed]

    def verdict(self, tolerance: Tolerance) -> str:
        """Return PROVEN, UNPROVEN or MISSED."""
        if self.misses(tolerance):
            return MISSED
        return PROVEN if self.proves(tolerance) else UNPROVEN

    def needed(self, tolerance: Tolerance) -> int | None:
        """Return how many images would prove an unproven drop if lost and won stay the same shares of them.

        None if the verdict is another one, or if no number of images would prove it because the measured drop is max_drop.
        """
        if self.verdict(tolerance) != UNPROVEN:
            return None
        return images_needed(self.lost, self.won, self.n, tolerance.max_drop / 100, normal_quantile(self.level))

    def shortfall(self, tolerance: Tolerance) -> str:
        """Return what the images can prove of an unproven drop, and how many would prove enough, as text."""
        images = f"{self.n:,} image{'s' if self.n > 1 else ''}"
        needed = self.needed(tolerance)
        known = f"{images} can rule out a drop of more than {round_up(self.drop_high):g} points"
        if needed is None:
            return f"{known}; the measured {self.drop:.2f} points leave no room to prove {tolerance.max_drop:g}"
        return f"{known}; about {round_up(needed):,.0f} images would prove {tolerance.max_drop:g}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of the benchmark's JSON, rounded to six digits."""
        return {name: float(f"{getattr(self, name):.6g}") for name in SHARED_FIGURES}

    def to_facts(self, tolerance: Tolerance) -> dict[str, Any]:
        """Return all figures, rounded to six digits, with the verdict and the tolerance, for the facts of the exported file."""
        figures = {name: float(f"{value:.6g}") for name, value in asdict(self).items() if (name, value) != ("level", LEVEL)}
        judged = {"verdict": self.verdict(tolerance), "needed": self.needed(tolerance)}
        return {**figures, **judged, "tolerance": asdict(tolerance)}


def compare(
    truth: NDArray[np.int64],
    original: NDArray[np.float32],
    exported: NDArray[np.float32],
    tie: float = 0.0,
    reject_below: float = 0.0,
    *,
    level: float = LEVEL,
) -> Parity:
    """Compare the probabilities (n, classes) of two models on n images with known classes (n,).

    level is the confidence of the drop's interval in percent. An answer is rejected if its probability is less than
    reject_below. A NaN output is a wrong answer, a rejected one, and a difference of 1.
    """
    rows = np.arange(len(truth))
    usable = np.isfinite(exported).all(1)
    answers = exported.argmax(1)
    agrees = usable & (original[rows, answers] >= original.max(1) - tie)
    original_right = original.argmax(1) == truth
    # If the two agree in a tie, the original's answer counts for both, so that a tie is not an accuracy drop.
    exported_right = np.where(agrees, original_right, usable & (answers == truth))
    lost, won = int((original_right & ~exported_right).sum()), int((exported_right & ~original_right).sum())
    low, high = drop_interval(lost, won, len(truth), normal_quantile(level))
    agreement_low, agreement_high = wilson_interval(int(agrees.sum()), len(truth))
    confidence = [_confidence(probabilities) for probabilities in (original, exported)]
    (original_error, error), (change_low, change_high) = _calibration_errors(
        confidence, [original.argmax(1) == truth, usable & (answers == truth)]
    )
    before, after = (top < reject_below for top in confidence)
    after |= ~usable
    rejected_low, rejected_high = drop_interval(int((after & ~before).sum()), int((before & ~after).sum()), len(truth))
    return Parity(
        n=len(truth),
        original_accuracy=100 * float(original_right.mean()),
        accuracy=100 * float(exported_right.mean()),
        drop=100 * (lost - won) / len(truth),
        drop_low=100 * low,
        drop_high=100 * high,
        agreement=100 * float(agrees.mean()),
        difference=float(np.nan_to_num(np.abs(original - exported), nan=1.0, posinf=1.0).max()),
        lost=lost,
        won=won,
        original_calibration_error=100 * original_error,
        calibration_error=100 * error,
        original_rejected=100 * float(before.mean()),
        rejected=100 * float(after.mean()),
        agreement_low=100 * agreement_low,
        agreement_high=100 * agreement_high,
        calibration_change_low=100 * change_low,
        calibration_change_high=100 * change_high,
        rejected_change_low=100 * rejected_low,
        rejected_change_high=100 * rejected_high,
        level=level,
    )


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of count among n, as shares 0..1."""
    # scipy.stats takes a second to import.
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _confidence(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest probability of each image (n,), 0 if one of them is NaN or infinite."""
    usable = np.asarray(np.isfinite(probabilities).all(1))
    return np.where(usable, np.clip(np.where(usable[:, None], probabilities, 0), 0, 1).max(1), 0).astype(np.float64)


def _calibration_errors(
    confidence: Sequence[NDArray[np.float64]], right: Sequence[NDArray[np.bool_]]
) -> tuple[list[float], tuple[float, float]]:
    """Return the expected calibration errors 0..1 of the original and the export, and the 95 % interval of their change.

    Both models answer the same resamples of the images (a paired bootstrap). Chance gaps make every calibration error too
    large, which biases the percentile interval to one side and the basic interval to the other; this one spans both. In
    simulations it holds the true change in 90 to 100 % of cases. Source: Davison and Hinkley 1997, Bootstrap Methods and
    their Application, chapter 5.
    """
    # scikit-learn, which it imports, takes a second.
    from ..train.evaluation import BINS

    n = len(right[0])
    # The error of a bin is the sum of confidence minus correctness over its images.
    gaps = [one - was_right for one, was_right in zip(confidence, right, strict=True)]
    places = [np.minimum((one * BINS).astype(int), BINS - 1) for one in confidence]

    def errors(times: NDArray[np.int64]) -> list[float]:
        sums = (np.bincount(place, times * gap, BINS) for place, gap in zip(places, gaps, strict=True))
        return [float(np.abs(one).sum() / n) for one in sums]

    rng = np.random.default_rng(RESAMPLING_SEED)
    resampled = [errors(np.bincount(rng.integers(n, size=n), minlength=n)) for _ in range(RESAMPLES)]
    ends = np.percentile(np.diff(resampled), (2.5, 97.5))
    measured = errors(np.ones(n, np.int64))
    mirrored = 2 * (measured[1] - measured[0]) - ends
    return measured, (float(min(*ends, *mirrored)), float(max(*ends, *mirrored)))


def normal_quantile(level: float) -> float:
    """Return how many standard deviations a two-sided interval of a confidence level in percent reaches to each side."""
    return Z95 if level == LEVEL else NormalDist().inv_cdf(0.5 + level / 200)


def drop_interval(lost: int, won: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval of an accuracy drop of (lost - won) / n, as shares -1..1; by default the 95 % one.

    It is the score interval for a difference of paired proportions: all drops that a score test of that level does not reject.
    Unlike the normal interval of the paired differences it keeps its width if no image differs: 0 of 9 leave +-30 points.
    Source: Tango 1998, Statistics in Medicine 17:891.
    """
    # Swapping the models negates the interval.
    return -_upper_end(won, lost, n, z), _upper_end(lost, won, n, z)


def _upper_end(lost: int, won: int, n: int, z: float) -> float:
    """Return the upper end of the interval: the drop whose score is -z."""
    from scipy.optimize import brentq

    drop = (lost - won) / n
    if lost == n:
        return 1.0

    def excess(delta: float) -> float:
        return math.sqrt(n) * (delta - drop) - z * math.sqrt(_variance(lost / n, won / n, delta))

    # At the drop itself both terms may be 0, which is not the end that is sought.
    return float(brentq(excess, drop + 1e-12, 1.0))


def _variance(lost: float, won: float, delta: float) -> float:
    """Return the variance of one paired difference if the true drop is delta and a share lost and a share won was observed.

    The likelihood is highest, under the restriction that the drop is delta, at the root of a quadratic equation for the
    share that only the export classifies right (Tango 1998).
    """
    if delta < 0:
        # The same from the other model's side, so that the constant term below is never positive.
        return _variance(won, lost, -delta)
    linear, constant = (2 - lost + won) * delta - lost - won, -won * delta * (1 - delta)
    root = math.sqrt(linear**2 - 8 * constant)
    # Of the two forms of the positive root, the one that subtracts no nearly equal numbers.
    share = (root - linear) / 4 if linear <= 0 else -2 * constant / (linear + root)
    return max(0.0, 2 * share + delta * (1 - delta))


def images_needed(lost: int, won: int, n: int, max_drop: float, z: float = Z95) -> int | None:
    """Return how many images prove a drop of at most max_drop (a share) if lost and won keep their shares of n images.

    None if the measured drop is max_drop or more, which no number of images proves.
    """
    slack = max_drop - (lost - won) / n
    return math.ceil(z**2 * _variance(lost / n, won / n, max_drop) / slack**2) if slack > MIN_SLACK else None


def told_apart(value: float, limit: float, notation: str) -> tuple[str, str]:
    """Return a figure and its limit as text, with as many digits as tell them apart; notation is `f` or `e`, as in formats."""
    digits = 2 if notation == "f" else 1
    while digits < MAX_DIGITS and value != limit and f"{value:.{digits}{notation}}" == f"{limit:.{digits}{notation}}":
        digits += 1
    figure, bound = f"{value:.{digits}{notation}}", f"{limit:.{digits}{notation}}"
    # A limit that was not measured is a short number.
    return figure, f"{limit:g}" if float(bound) == limit else bound


def round_up(value: float) -> float:
    """Round a number up to three digits, for messages."""
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - DIGITS + 1) if value else 1.0
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.12g}")
