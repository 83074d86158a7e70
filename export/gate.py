"""The parity gate: compare an exported model with its Keras original on the same letters, and hold it to tolerances."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of the normal distribution.
Z95 = 1.959964


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

    If two classes lie within `tie` of each other in the original they are a tie, and either of them agrees.
    """

    max_drop: float
    min_agreement: float
    max_difference: float = 1.0
    tie: float = 0.0


@dataclass(frozen=True)
class Parity:
    """How one exported model compares with its original on n letters.

    Accuracies and agreement are in percent. drop is in points, positive if the export is worse, with its 95 % confidence
    interval. difference is the largest difference of any probability.
    """

    n: int
    original_accuracy: float
    accuracy: float
    drop: float
    drop_low: float
    drop_high: float
    agreement: float
    difference: float

    def misses(self, tolerance: Tolerance) -> list[str]:
        """Return a line for each tolerance that is exceeded, with the figures; empty if the export passes."""
        checks = {
            f"accuracy drop {self.drop:.2f} points, at most {tolerance.max_drop:g} allowed": self.drop <= tolerance.max_drop,
            f"agreement {self.agreement:.2f} %, at least {tolerance.min_agreement:g} % needed": self.agreement
            >= tolerance.min_agreement,
            f"difference {self.difference:.1e}, at most {tolerance.max_difference:.0e} allowed": self.difference
            <= tolerance.max_difference,
        }
        return [message for message, passed in checks.items() if not passed]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, rounded to six digits, for the facts of the exported file."""
        return {name: float(f"{value:.6g}") for name, value in asdict(self).items()}


def compare(truth: NDArray[np.int64], original: NDArray[np.float32], exported: NDArray[np.float32], tie: float = 0.0) -> Parity:
    """Compare the probabilities (n, classes) of two models on n letters with known classes (n,).

    The confidence interval is the normal one for the mean of paired differences: a letter counts +1 if only the original is
    right, -1 if only the export is, and 0 otherwise. A NaN output is a wrong answer and a difference of 1.
    """
    rows = np.arange(len(truth))
    usable = np.isfinite(exported).all(1)
    answers = exported.argmax(1)
    agrees = usable & (original[rows, answers] >= original.max(1) - tie)
    original_right = original.argmax(1) == truth
    # If the two agree in a tie, the original's answer counts for both, so that a tie is not an accuracy drop.
    exported_right = np.where(agrees, original_right, usable & (answers == truth))
    paired = original_right.astype(float) - exported_right
    margin = Z95 * paired.std(ddof=1) / np.sqrt(len(truth)) if len(truth) > 1 else 0.0
    difference = float(np.nan_to_num(np.abs(original - exported), nan=1.0, posinf=1.0).max())
    return Parity(
        n=len(truth),
        original_accuracy=100 * float(original_right.mean()),
        accuracy=100 * float(exported_right.mean()),
        drop=100 * float(paired.mean()),
        drop_low=100 * float(paired.mean() - margin),
        drop_high=100 * float(paired.mean() + margin),
        agreement=100 * float(agrees.mean()),
        difference=difference,
    )
