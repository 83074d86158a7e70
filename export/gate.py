"""The parity gate: compare an exported model with its Keras original on the same images, and hold it to tolerances.

The gate is a non-inferiority test: it asks whether the check set proves that the export loses no more accuracy than allowed.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of the normal distribution.
Z95 = 1.959963984540054
# The verdicts of the gate, see Parity.
PROVEN, UNPROVEN, MISSED = "proven", "unproven", "missed"
# The figures that `lettercast benchmark --json` holds, too.
SHARED_FIGURES = ("n", "original_accuracy", "accuracy", "drop", "drop_low", "drop_high", "agreement", "difference")
# A measured drop that is closer to the tolerance than this share equals it, but for rounding.
MIN_SLACK = 1e-9
# Messages round numbers of images and points up to this many digits.
DIGITS = 3


@dataclass(frozen=True)
class Inspection:
    """What an exported file says about its quantization and its runtime.

    max_pixel is the largest pixel that the quantized input can hold, None if the input is not quantized. has_coarse_depthwise
    is true if depthwise weights share one scale. lowest_runtime is the oldest version of the runtime that opens the file.
    """

    max_pixel: float | None = None
    has_coarse_depthwise: bool = False
    lowest_runtime: str = ""


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


@dataclass(frozen=True)
class Parity:
    """How one exported model compares with its original on n images.

    Accuracies, agreement, calibration errors and rejected shares are in percent. drop is in points, positive if the export is
    worse, with its 95 % confidence interval. difference is the largest difference of any probability. lost counts the images
    that only the original classifies right, won those that only the export does.

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

    def proves(self, tolerance: Tolerance) -> bool:
        """Whether the accuracy drop is proven to be within the tolerance, by its interval or because the models are equal."""
        is_equal = self.agreement == 100 and self.difference <= tolerance.max_difference < 1 and tolerance.max_drop >= 0
        return is_equal or self.drop_high <= tolerance.max_drop

    def misses(self, tolerance: Tolerance) -> list[str]:
        """Return a line for each limit that is exceeded, with the figures; empty if the export passes."""
        checks = {
            f"accuracy drop {self.drop:.2f} points, at most {tolerance.max_drop:g} allowed": self.drop <= tolerance.max_drop,
            f"agreement {self.agreement:.2f} %, at least {tolerance.min_agreement:g} % needed": self.agreement
            >= tolerance.min_agreement
            or (self.proves(tolerance) and not tolerance.agreement_is_required),
            f"difference {self.difference:.1e}, at most {tolerance.max_difference:.0e} allowed": self.difference
            <= tolerance.max_difference,
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
        return images_needed(self.lost, self.won, self.n, tolerance.max_drop / 100)

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
        figures = {name: float(f"{value:.6g}") for name, value in asdict(self).items()}
        judged = {"verdict": self.verdict(tolerance), "needed": self.needed(tolerance)}
        return {**figures, **judged, "tolerance": asdict(tolerance)}


def compare(
    truth: NDArray[np.int64],
    original: NDArray[np.float32],
    exported: NDArray[np.float32],
    tie: float = 0.0,
    reject_below: float = 0.0,
) -> Parity:
    """Compare the probabilities (n, classes) of two models on n images with known classes (n,).

    An answer is rejected if its probability is less than reject_below. A NaN output is a wrong answer, a rejected one, and a
    difference of 1.
    """
    rows = np.arange(len(truth))
    usable = np.isfinite(exported).all(1)
    answers = exported.argmax(1)
    agrees = usable & (original[rows, answers] >= original.max(1) - tie)
    original_right = original.argmax(1) == truth
    # If the two agree in a tie, the original's answer counts for both, so that a tie is not an accuracy drop.
    exported_right = np.where(agrees, original_right, usable & (answers == truth))
    lost, won = int((original_right & ~exported_right).sum()), int((exported_right & ~original_right).sum())
    low, high = drop_interval(lost, won, len(truth))
    original_error, original_rejected = _confidence(original, truth, reject_below)
    error, rejected = _confidence(exported, truth, reject_below)
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
        original_calibration_error=original_error,
        calibration_error=error,
        original_rejected=original_rejected,
        rejected=rejected,
    )


def _confidence(probabilities: NDArray[np.float32], truth: NDArray[np.int64], reject_below: float) -> tuple[float, float]:
    """Return the expected calibration error and the share of rejected images, both in percent."""
    # scikit-learn, which it imports, takes a second.
    from ..train.evaluation import reliability

    usable = np.asarray(np.isfinite(probabilities).all(1))
    known = np.where(usable[:, None], np.clip(probabilities, 0, 1), 0)
    rejected = ~usable | (known.max(1) < reject_below)
    return 100 * reliability(known, truth).error, 100 * float(rejected.mean())


def drop_interval(lost: int, won: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy drop of (lost - won) / n, as shares -1..1.

    It is the score interval for a difference of paired proportions: all drops that a score test does not reject at 5 %.
    Unlike the normal interval of the paired differences it keeps its width if no image differs: 0 of 9 leave +-30 points.
    Source: Tango 1998, Statistics in Medicine 17:891.
    """
    # Swapping the models negates the interval.
    return -_upper_end(won, lost, n), _upper_end(lost, won, n)


def _upper_end(lost: int, won: int, n: int) -> float:
    """Return the upper end of the interval: the drop whose score is -Z95."""
    from scipy.optimize import brentq

    drop = (lost - won) / n
    if lost == n:
        return 1.0

    def excess(delta: float) -> float:
        return math.sqrt(n) * (delta - drop) - Z95 * math.sqrt(_variance(lost / n, won / n, delta))

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


def images_needed(lost: int, won: int, n: int, max_drop: float) -> int | None:
    """Return how many images prove a drop of at most max_drop (a share) if lost and won keep their shares of n images.

    None if the measured drop is max_drop or more, which no number of images proves.
    """
    slack = max_drop - (lost - won) / n
    return math.ceil(Z95**2 * _variance(lost / n, won / n, max_drop) / slack**2) if slack > MIN_SLACK else None


def round_up(value: float) -> float:
    """Round a number up to three digits, for messages."""
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - DIGITS + 1) if value else 1.0
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.12g}")
