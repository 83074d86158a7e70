"""The parity gate: an exported model against the Keras model that it came from, on the same letters."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Inspection:
    """What was read from a file.

    brightest is the pixel at which its quantized input ends, None where that is not quantized; has_coarse_depthwise tells
    whether depthwise weights of one scale are in it; lowest_runtime is a runtime and its oldest version that opens it.
    """

    brightest: float | None = None
    has_coarse_depthwise: bool = False
    lowest_runtime: str = ""


# Two-sided 95 % of the normal distribution.
Z95 = 1.959964


@dataclass(frozen=True)
class Tolerance:
    """What a format may cost: accuracy in points, agreement in percent, difference of probabilities.

    Two classes whose probabilities lie within `tie` of each other in the original are a tie; taking either agrees.
    """

    max_drop: float
    min_agreement: float
    max_difference: float = 1.0
    tie: float = 0.0


@dataclass(frozen=True)
class Parity:
    """How one exported model compares with its original on n letters.

    Accuracies and agreement in percent; drop in points, positive where the export is worse, with its 95 %
    confidence interval; difference is the largest of any probability.
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
        """Say which tolerances are exceeded, with the figures; empty where the export passes."""
        checks = {
            f"accuracy drop {self.drop:.2f} points, at most {tolerance.max_drop:g} allowed": self.drop <= tolerance.max_drop,
            f"agreement {self.agreement:.2f} %, at least {tolerance.min_agreement:g} % needed": self.agreement
            >= tolerance.min_agreement,
            f"difference {self.difference:.1e}, at most {tolerance.max_difference:.0e} allowed": self.difference
            <= tolerance.max_difference,
        }
        return [said for said, passed in checks.items() if not passed]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, to six digits, as they stand in the facts of the exported file."""
        return {name: float(f"{value:.6g}") for name, value in asdict(self).items()}


def compare(truth: NDArray[np.int64], original: NDArray[np.float32], exported: NDArray[np.float32], tie: float = 0.0) -> Parity:
    """Compare the probabilities (n, classes) of two models on n letters with known classes (n,).

    The confidence interval is the normal one for the mean of paired differences: each letter counts +1 where
    only the original is right, -1 where only the export is, else 0. A result that is not a number is a
    wrong answer and a difference of 1.
    """
    rows = np.arange(len(truth))
    usable = np.isfinite(exported).all(1)
    answers = exported.argmax(1)
    agrees = usable & (original[rows, answers] >= original.max(1) - tie)
    original_right = original.argmax(1) == truth
    # Where the two agree in a tie the original's answer counts for both, so that a tie is no drop either.
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
