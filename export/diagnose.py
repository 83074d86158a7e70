"""Why an export misses the gate: known breaks, each tried against the export's own answers and the file itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .gate import Inspection
from .original import PIXEL_RANGES, Original, classify_scaled, flat_layers

if TYPE_CHECKING:
    import keras

# An explanation holds where with it the answers agree as often as this, in percent, and by so many points more than without.
EXPLAINED, GAINED = 97.0, 5.0
# Scales that are far off: a converter that forgets the scaling, or does it twice.
SCALES = {"by 255 too large": (255.0, 0.0), "by 255 too small": (1 / 255, 0.0), "as -1..1": PIXEL_RANGES["-1..1"]}
# The input of a quantized graph reaches at least this pixel, or bright ink is cut off.
BRIGHTEST = 250
# Each filter of a depthwise layer has its own range; one scale for filters whose ranges differ more than this loses the small.
RANGES_DIFFER = 8.0


def diagnose(original: Original, answers: NDArray[np.float32], found: Inspection, *, is_float: bool = False) -> str:
    """Return the likeliest cause of an export's answers (N, classes) that differ from the original's, in one sentence.

    is_float tells of a format in which nothing is quantized.
    """
    for cause in causes(original, answers, found):
        return cause
    if is_float:
        return "the converter computes one of its layers otherwise; take a format of the other converter (tflite-*, onnx-*)"
    return "quantization costs this network too much; try tflite-int16x8 or a float format, or more varied --calibrate letters"


def causes(original: Original, answers: NDArray[np.float32], found: Inspection) -> Iterator[str]:
    """Yield what explains the answers, the surest first."""
    if not np.isfinite(answers).all():
        yield "answers that are no numbers: an overflow, as float16 ends at 65504; take a float32 or an int8 format"
        return
    if found.brightest is not None and found.brightest < BRIGHTEST:
        yield f"its input ends at pixel {found.brightest:.0f} of 255: it was calibrated on pictures of another scale"
    plain = agreement(original.probabilities, answers)
    order = best_order(original.probabilities, answers)
    if (order != np.arange(len(order))).any():
        reordered = np.empty_like(answers)
        reordered[:, order] = answers
        if explains(agreement(original.probabilities, reordered), plain):
            labels = original.facts.labels
            moved = [f"{labels[j]} for {labels[i]}" for i, j in enumerate(np.argsort(order)) if i != j]
            yield f"the labels are swapped: it says {', '.join(moved[:3])}{', ...' if len(moved) > 3 else ''}"
    for name, (scale, offset) in SCALES.items():
        wrong = classify_scaled(original.network, original.pictures, scale, offset)
        closer = np.abs(wrong - answers).mean() < 0.1 * np.abs(original.probabilities - answers).mean()
        if closer:
            yield f"it takes pixels {name}: the scaling in front of the network was left out or done twice"
    if found.has_coarse_depthwise and depthwise_spread(original.network) > RANGES_DIFFER:
        yield "depthwise filters of very different ranges share one scale; take tflite-int8, which has one a channel"


def explains(with_it: float, without: float) -> bool:
    """Tell whether an explanation makes the answers agree."""
    return with_it >= EXPLAINED and with_it >= without + GAINED


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of equal answers in percent."""
    return 100 * float((one.argmax(1) == other.argmax(1)).mean())


def best_order(original: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return, for each class of the answers, the class of the original that it mostly stands for."""
    # The mean answer by the original's class: its largest entry says where a class went.
    mean = np.stack([original[answers.argmax(1) == j].sum(0) for j in range(answers.shape[1])])
    order = mean.argmax(1)
    return order if len(set(order.tolist())) == len(order) else np.arange(len(order))


def depthwise_spread(network: "keras.Model") -> float:
    """Return by what factor the ranges of a depthwise layer's filters differ, in the layer where it is largest; 1 without one."""
    spreads = [1.0]
    for layer in flat_layers(network):
        if type(layer).__name__ in ("DepthwiseConv2D", "SeparableConv2D"):
            kernel = np.abs(np.asarray(layer.get_weights()[0])).reshape(-1, *layer.get_weights()[0].shape[2:]).max(0).ravel()
            spreads.append(float(np.percentile(kernel, 95) / max(1e-9, np.percentile(kernel, 25))))
    return max(spreads)
