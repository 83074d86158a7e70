"""lettercast's convention: pixels 0..255 in, probabilities out; layers in front of and behind a network bring it there."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.console import say
from ..runtime.pixels import Pixels
from ..train.predict import classify

if TYPE_CHECKING:
    import keras

# The ranges of pixels that a network may have been trained with, as the scale and offset that convert pixels 0..255.
PIXEL_RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
# What the facts of exported files say about the layers in front of and behind the network.
SCALED_INSIDE, LOGITS = ", scaled inside the exported files", "logits, with a softmax inside the exported files"
# A range other than 0..255 is chosen only if it divides the loss on the calibration images by at least this factor.
MIN_LOSS_RATIO = 1.2
# Outputs outside of 0..1 by more than this are logits; probabilities leave the range by rounding only.
MAX_ROUNDING = 1e-3


def to_convention(
    network: "keras.Model", calibration: Pixels, classes: NDArray[np.int64], pixels: str | None
) -> "tuple[keras.Model, dict[str, str]]":
    """Put a scaling of pixels 0..255 to the network's own range in front of it, and a softmax behind it if it gives logits.

    Returns the network, and the facts about these layers.
    """
    answers = {
        name: classify_scaled(network, calibration, *PIXEL_RANGES[name]) for name in ([pixels] if pixels else PIXEL_RANGES)
    }
    losses = {name: cross_entropy(rows, classes) for name, rows in answers.items()}
    best = min(losses, key=lambda name: losses[name])
    if pixels is None and MIN_LOSS_RATIO * losses[best] > losses["0..255"]:
        best = "0..255"
    is_logits = are_logits(answers[best])
    made = {}
    if best != "0..255":
        found = "as asked" if pixels else f"its loss is {losses[best]:.2g} so, {losses['0..255']:.2g} with 0..255"
        made["pixels"] = f"{best}{SCALED_INSIDE}"
        say(f"the model takes pixels {best} ({found}); the exported files scale pixels 0..255 themselves")
    if is_logits:
        made["outputs"] = LOGITS
        say("the model gives logits; the exported files have a softmax behind it")
    return as_exported(network, made), made


def as_exported(network: "keras.Model", made: Mapping[str, Any]) -> "keras.Model":
    """Return the network with the scaling and the softmax that the facts of its exports (`made`) name."""
    import keras

    pixels = str(made.get("pixels", "")).removesuffix(SCALED_INSIDE)
    is_logits = made.get("outputs") == LOGITS
    if not (is_logits or pixels in PIXEL_RANGES):
        return network
    inputs = keras.Input(network.inputs[0].shape[1:], name="pixels")
    outputs = network(keras.layers.Rescaling(*PIXEL_RANGES[pixels])(inputs) if pixels in PIXEL_RANGES else inputs)
    return keras.Model(inputs, keras.layers.Softmax()(outputs) if is_logits else outputs, name=network.name)


def classify_scaled(network: "keras.Model", images: Pixels, scale: float, offset: float) -> NDArray[np.float32]:
    """Return the outputs (N, classes) of a network for images (N, H, W, C) uint8 that are scaled to another range of pixels."""
    return classify(network, images.astype(np.float32) * np.float32(scale) + np.float32(offset))


def are_logits(rows: NDArray[np.float32]) -> bool:
    """Whether outputs (N, classes) are logits and not probabilities."""
    return bool((rows < -MAX_ROUNDING).any() or (rows > 1 + MAX_ROUNDING).any())


def cross_entropy(rows: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return the mean negative log-probability of the right classes (N,) for outputs (N, classes), probabilities or logits."""
    if are_logits(rows):
        rows = np.exp(rows - rows.max(1, keepdims=True))
        rows = rows / rows.sum(1, keepdims=True)
    return float(-np.log(np.clip(rows[np.arange(len(rows)), classes], 1e-12, 1)).mean())
