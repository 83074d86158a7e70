"""What rounding alone does to a network: how far two right implementations of it may differ.

Deep networks multiply rounding errors by their weights. A fixed limit for the difference of probabilities is too strict for
them, and so are answers between two classes that rounding decides.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ...train.predict import classify
from ..gate import Tolerance
from .network import in_precision

if TYPE_CHECKING:
    import keras

# Rounding is measured on this many images, those on which the exported file differs most.
PROBES = 64
# Two right implementations differ by less than this many times the rounding error of one: at most 2.5 times in small networks of
# all kinds, MobileNetV2, MobileNetV3, EfficientNetB0 and DenseNet121 with LiteRT and ONNX Runtime on x86-64.
MAX_RATIO = 4.0
# Rounding never explains more than this, in probability: float32, float16.
MAX_FLOAT32, MAX_FLOAT16 = 1e-3, 2e-2


def widen(
    tolerance: Tolerance,
    network: "keras.Model",
    images: Pixels,
    original: NDArray[np.float32],
    exported: NDArray[np.float32],
    *,
    is_half: bool,
) -> Tolerance:
    """Return the tolerance of a float format with the difference and the tie that rounding explains for this network.

    images (N, H, W, C) are the check set, original and exported (N, classes) the probabilities of both models for it. The
    tolerance stays as it is if the exported file keeps it.
    """
    gaps = np.nan_to_num(np.abs(original - exported), nan=1.0).max(1)
    is_kept = (original.argmax(1) == exported.argmax(1)).all() and gaps.max() <= tolerance.max_difference
    if is_kept:
        return tolerance
    worst = np.argsort(-gaps)[:PROBES]
    error = half_error if is_half else single_error
    limit = min(MAX_RATIO * error(network, images[worst], original[worst]), MAX_FLOAT16 if is_half else MAX_FLOAT32)
    limits = {"tie": max(tolerance.tie, limit)}
    if not is_half:
        limits["max_difference"] = max(tolerance.max_difference, limit)
    return replace(tolerance, **limits)


def single_error(network: "keras.Model", images: Pixels, answers: NDArray[np.float32]) -> float:
    """Return the largest error of float32 probabilities (N, classes), against the same network in float64."""
    exact = np.asarray(in_precision(network, "float64").predict(images, verbose=0))
    return float(np.abs(exact - answers).max())


def half_error(network: "keras.Model", images: Pixels, answers: NDArray[np.float32]) -> float:
    """Return the largest difference of probabilities (N, classes) that weights rounded to float16 make."""
    half = in_precision(network, "float32")
    half.set_weights([weight.astype(np.float16).astype(np.float32) for weight in network.get_weights()])
    return float(np.abs(classify(half, images) - answers).max())
