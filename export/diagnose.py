"""Why an export misses the gate: known faults, each tested on the export's outputs and on the file itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .convention import classify_scaled
from .gate import Inspection
from .inference import flat_layers
from .original import Original

if TYPE_CHECKING:
    import keras

# An explanation holds if undoing the fault brings the agreement to this percentage, and raises it by this many points.
MIN_AGREEMENT, MIN_GAIN = 97.0, 5.0
# A wrong range of pixels holds if the outputs under it differ by no more than this share of what other explanations leave.
MAX_REMAINDER = 0.1
# Ranges of pixels that a converter gives if it omits the scaling, or scales twice.
SCALES = {"by 255 too large": (255.0, 0.0), "by 255 too small": (1 / 255, 0.0), "as -1..1": (1 / 127.5, -1.0)}
# The input of a quantized graph must reach this pixel, otherwise it clips bright ink.
MIN_MAX_PIXEL = 250
# Each filter of a depthwise layer has its own range. If they differ by more than this factor, one scale loses the small.
MAX_SPREAD = 8.0


def diagnose(original: Original, answers: NDArray[np.float32], found: Inspection, *, is_float: bool = False) -> str:
    """Return in one sentence the likeliest cause why an export's outputs (N, classes) differ from the original's.

    is_float is true for a format without quantization.
    """
    for cause in causes(original, answers, found):
        return cause
    if is_float:
        return "the converter computes one of its layers differently; take a format of the other converter (tflite-*, onnx-*)"
    return "quantization costs this network too much; try tflite-int16x8, a float format, or more varied --calibrate images"


def causes(original: Original, answers: NDArray[np.float32], found: Inspection) -> Iterator[str]:
    """Yield what explains the outputs, the most certain cause first."""
    if not np.isfinite(answers).all():
        yield "its outputs are NaN, from an overflow: float16 ends at 65504; take a float32 or an int8 format"
        return
    if found.max_pixel is not None and found.max_pixel < MIN_MAX_PIXEL:
        yield f"its input ends at pixel {found.max_pixel:.0f} of 255: it was calibrated on images of another scale"
    plain = agreement(original.probabilities, answers)
    order = best_order(original.probabilities, answers)
    if (order != np.arange(len(order))).any():
        reordered = np.empty_like(answers)
        reordered[:, order] = answers
        if explains(agreement(original.probabilities, reordered), plain):
            labels = original.facts.labels
            moved = [f"{labels[j]} for {labels[i]}" for i, j in enumerate(np.argsort(order)) if i != j]
            yield f"the labels are swapped: it answers {', '.join(moved[:3])}{', ...' if len(moved) > 3 else ''}"
    for name, (scale, offset) in SCALES.items():
        if reproduces(classify_scaled(original.network, original.images, scale, offset), answers, original.probabilities):
            yield f"it takes pixels {name}: the scaling in front of the network was omitted or done twice"
    if found.has_coarse_depthwise and depthwise_spread(original.network) > MAX_SPREAD:
        yield "depthwise filters of very different ranges share one scale; take tflite-int8, which has one scale per channel"


def explains(with_it: float, without: float) -> bool:
    """Whether the agreement in percent, with a fault undone, proves that fault."""
    return with_it >= MIN_AGREEMENT and with_it >= without + MIN_GAIN


def reproduces(wrong: NDArray[np.float32], answers: NDArray[np.float32], original: NDArray[np.float32]) -> bool:
    """Whether outputs under a fault explain what is left of an export's outputs, all (N, classes).

    They must come much closer to them than the original's, and than one answer to all images: a network that quantization ruins
    hardly tells images apart, as with an input near zero.
    """
    constant = answers.mean(0)
    others = (np.abs(other - answers).mean() for other in (original, constant))
    return bool(np.abs(wrong - answers).mean() < MAX_REMAINDER * min(others))


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of equal answers in percent."""
    return 100 * float((one.argmax(1) == other.argmax(1)).mean())


def best_order(original: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return, for each class of the export, the class of the original that it mostly stands for; the identity if unclear."""
    # The original's mean probabilities over the images that the export gives one class: the largest names that class.
    mean = np.stack([original[answers.argmax(1) == j].sum(0) for j in range(answers.shape[1])])
    order = mean.argmax(1)
    return order if len(set(order.tolist())) == len(order) else np.arange(len(order))


def depthwise_spread(network: "keras.Model") -> float:
    """Return the factor by which the ranges of depthwise filters differ, the largest of all layers; 1 without such layers."""
    spreads = [1.0]
    for layer in flat_layers(network):
        if type(layer).__name__ in ("DepthwiseConv2D", "SeparableConv2D"):
            kernel = np.abs(np.asarray(layer.get_weights()[0])).reshape(-1, *layer.get_weights()[0].shape[2:]).max(0).ravel()
            spreads.append(float(np.percentile(kernel, 95) / max(1e-9, np.percentile(kernel, 25))))
    return max(spreads)
