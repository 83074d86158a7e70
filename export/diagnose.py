"""Why an export misses the gate: known faults, each tested on the export's outputs and on the file itself."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .convention import classify_scaled
from .convert.network import flat_layers
from .gate import Inspection
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
# Formats that do not share the fault of the key's family, the most useful first.
FLOAT32, INTEGERS = ("tflite-float32", "onnx-float32"), ("tflite-int8", "onnx-int8")
LESS_QUANTIZED = {
    "tflite": ("tflite-int16x8", "tflite-float16", "tflite-float32"),
    "onnx": ("onnx-float16", "onnx-float32", "tflite-int16x8"),
}

# What replaces a quantized file by another one of the same format.
REPAIR = "--repair"


@dataclass(frozen=True)
class Cause:
    """Why an export differs from its original, in one sentence.

    instead are the formats that may do better, the best first; helps is what may help this one.
    """

    text: str
    instead: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def advise(self, passed: Collection[str], tried: Collection[str], used: Collection[str] = ()) -> str:
        """Return the cause with what may help and was not used, and a format to take instead.

        That is one that passed in this run, or else one that it did not try.
        """
        if helps := [one for one in self.helps if one not in used]:
            return replace(self, text=f"{self.text}; {' or '.join(helps)} may help", helps=()).advise(passed, tried)
        if not self.instead:
            return self.text
        for formats, advice in ((passed, "take {}, which passed"), (set(self.instead) - set(tried), "try {}")):
            if usable := [name for name in self.instead if name in formats]:
                return f"{self.text}; {advice.format(usable[0])}"
        return f"{self.text}; of {', '.join(dict.fromkeys(self.instead))} none passed"


def diagnose(original: Original, answers: NDArray[np.float32], found: Inspection, format: str) -> Cause:
    """Return the likeliest cause why the outputs (N, classes) of an export in a format differ from the original's."""
    for cause in causes(original, answers, found):
        return cause
    family, _, kind = format.partition("-")
    if "float" in kind:
        other = "onnx" if family == "tflite" else "tflite"
        if kind == "float16":
            return Cause("half precision costs this network too much", (f"{family}-float32", f"{other}-float32"))
        return Cause("the converter computes one of its layers differently, more than rounding explains", (f"{other}-float32",))
    instead = tuple(name for name in LESS_QUANTIZED.get(family, ()) if name != format)
    helps = ("more varied --calibrate images",) * ("int" in kind) + (REPAIR,) * (format != "tflite-mobile")
    return Cause("quantization costs this network too much", instead, helps)


def causes(original: Original, answers: NDArray[np.float32], found: Inspection) -> Iterator[Cause]:
    """Yield what explains the outputs, the most certain cause first."""
    if not np.isfinite(answers).all():
        yield Cause("its outputs are NaN, from an overflow: float16 ends at 65504", (*FLOAT32, *INTEGERS))
        return
    if found.max_pixel is not None and found.max_pixel < MIN_MAX_PIXEL:
        yield Cause(f"its input ends at pixel {found.max_pixel:.0f} of 255: it was calibrated on images of another scale")
    plain = agreement(original.probabilities, answers)
    order = best_order(original.probabilities, answers)
    if (order != np.arange(len(order))).any():
        reordered = np.empty_like(answers)
        reordered[:, order] = answers
        if explains(agreement(original.probabilities, reordered), plain):
            labels = original.facts.labels
            moved = [f"{labels[j]} for {labels[i]}" for i, j in enumerate(np.argsort(order)) if i != j]
            yield Cause(f"the labels are swapped: it answers {', '.join(moved[:3])}{', ...' if len(moved) > 3 else ''}")
    for name, (scale, offset) in SCALES.items():
        if reproduces(classify_scaled(original.network, original.images, scale, offset), answers, original.probabilities):
            yield Cause(f"it takes pixels {name}: the scaling in front of the network was omitted or done twice")
    if found.has_coarse_depthwise and depthwise_spread(original.network) > MAX_SPREAD:
        yield Cause("depthwise filters of very different ranges share one scale", INTEGERS)
    if found.saturating:
        yield Cause("processors without VNNI add two int8 products in 16 bits, which these weights exceed", ("tflite-int8",))


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
