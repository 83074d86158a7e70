"""The letter networks: Sequential, uint8 pixels in, probabilities out."""

from dataclasses import dataclass

import keras
from keras import layers

from .. import LettercastError
from ..runtime.glyph import GLYPH_PX


@dataclass(frozen=True)
class Size:
    """Filters of the two 3x3 convolutions in each of three stages, and the dropout before the classifier."""

    stages: tuple[tuple[int, int], ...]
    dropout: float


SIZES = {
    "base": Size(((24, 32), (56, 64), (112, 112)), 0.2),
    "nano": Size(((8, 12), (16, 24), (32, 32)), 0.0),
}


def build_network(size: str, classes: int, momentum: float = 0.99) -> keras.Sequential:
    """Build an untrained network that takes (N, 28, 28, 1) pixels 0..255 and gives (N, classes) probabilities.

    Two 3x3 convolutions with batch normalization, then max pooling, three times, and a dense classifier on
    the global average. The scaling to 0..1 is its first layer, so no caller can normalise wrongly.
    momentum is that of the batch normalization's running means: lower for runs of few steps.
    """
    if size not in SIZES:
        raise LettercastError(f"unknown size '{size}': choose one of {', '.join(SIZES)}")
    plan = SIZES[size]
    stack: list[keras.Layer] = [keras.Input((GLYPH_PX, GLYPH_PX, 1), name="pixels"), layers.Rescaling(1 / 255)]
    for stage, widths in enumerate(plan.stages):
        for width in widths:
            stack += [
                layers.Conv2D(width, 3, padding="same", use_bias=False),
                layers.BatchNormalization(momentum=momentum),
                layers.ReLU(),
            ]
        stack.append(layers.MaxPooling2D() if stage < len(plan.stages) - 1 else layers.GlobalAveragePooling2D())
    stack += [layers.Dropout(plan.dropout), layers.Dense(classes, activation="softmax", name="probabilities")]
    return keras.Sequential(stack, name=f"letters_{size}")
