"""The letter networks: Keras Sequential, uint8 pixels in, probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from .. import LettercastError
from ..runtime.glyph import GLYPH_SHAPE

KERNEL_PX = 3
# The last convolutions have no padding, 7x7 to 5x5 to 3x3, so that the classifier sees what is where.
UNPADDED = 2
CLASSIFIER = "probabilities"


@dataclass(frozen=True)
class Size:
    """Filters of the 3x3 convolutions in each stage, and the dropout before the classifier."""

    stages: tuple[tuple[int, ...], ...]
    dropout: float


# base and nano are for devices; large is their teacher.
SIZES = {
    "large": Size(((48,), (96, 96), (128, 160, 160)), 0.3),
    "base": Size(((16,), (24, 32), (64, 88, 96)), 0.1),
    "nano": Size(((8,), (16, 28), (36, 40)), 0.0),
}


def build_network(size: str, classes: int, momentum: float = 0.99) -> keras.Sequential:
    """Build an untrained network from (N, 28, 28, 1) pixels 0..255 to (N, classes) probabilities.

    It has stages of 3x3 convolutions with max pooling between them, and a dense classifier. Its first layer scales pixels to
    0..1, so that no caller can normalise them wrongly. momentum is that of the batch normalization's running means: lower for
    runs of few steps. Raises LettercastError if the size is unknown.
    """
    if size not in SIZES:
        raise LettercastError(f"unknown size '{size}': choose one of {', '.join(SIZES)}")
    plan = SIZES[size]
    stack: list[keras.Layer] = [keras.Input(GLYPH_SHAPE, name="pixels"), layers.Rescaling(1 / 255)]
    for stage, widths in enumerate(plan.stages):
        last = stage == len(plan.stages) - 1
        unpadded = len(widths) - UNPADDED if last else len(widths)
        for i, width in enumerate(widths):
            padding = "same" if i < unpadded else "valid"
            stack.append(layers.Conv2D(width, KERNEL_PX, padding=padding, use_bias=False))
            stack += [layers.BatchNormalization(momentum=momentum), layers.ReLU()]
        stack.append(layers.Flatten() if last else layers.MaxPooling2D())
    stack += [layers.Dropout(plan.dropout), layers.Dense(classes, activation="softmax", name=CLASSIFIER)]
    return keras.Sequential(stack, name=f"letters_{size}")


def fold(network: keras.Sequential) -> keras.Sequential:
    """Return the network with each batch normalization folded into the convolution before it, for export and inference."""
    stack: list[keras.Layer] = []
    weights: list[list[np.ndarray]] = []
    for layer in network.layers:
        before: Any = stack[-1] if stack else None
        if isinstance(layer, layers.BatchNormalization) and _can_fold(before, layer):
            (kernel,) = weights.pop()
            gamma, beta, mean, variance = layer.get_weights()
            gain = gamma / np.sqrt(variance + layer.epsilon)
            stack[-1] = layers.Conv2D.from_config({**before.get_config(), "use_bias": True})
            weights.append([kernel * gain, beta - mean * gain])
        else:
            stack.append(type(layer).from_config(layer.get_config()))
            weights.append(layer.get_weights())
    return _assembled(network, stack, weights)


def _can_fold(before: Any, norm: layers.BatchNormalization) -> bool:
    """Return whether a batch normalization only scales and shifts the filters of the convolution right before it."""
    is_plain = isinstance(before, layers.Conv2D) and not before.use_bias and before.activation is keras.activations.linear
    return is_plain and norm.scale and norm.center and norm.axis in (-1, 3)


def with_classes(network: keras.Sequential, labels: Sequence[str], classes: Sequence[str]) -> keras.Sequential:
    """Return a copy of a trained network for other classes; it keeps what it knows of classes that it has already.

    labels are its present classes. Raises LettercastError if it is not Sequential or does not end in a dense layer.
    """
    if not isinstance(network, keras.Sequential) or not isinstance(network.layers[-1], layers.Dense):
        raise LettercastError(f"{network.name}: training continues only from a Sequential network that ends in a Dense layer")
    if (taken := tuple(network.inputs[0].shape[1:])) != GLYPH_SHAPE:
        raise LettercastError(
            f"{network.name}: takes {taken} images, but letters are {GLYPH_SHAPE}; train from scratch with --size"
        )
    stack = [type(layer).from_config(layer.get_config()) for layer in network.layers[:-1]]
    name = None if any(layer.name == CLASSIFIER for layer in stack) else CLASSIFIER
    classifier = layers.Dense(len(classes), activation="softmax", use_bias=network.layers[-1].use_bias, name=name)
    copy = _assembled(network, [*stack, classifier], [layer.get_weights() for layer in network.layers[:-1]])
    both = [(labels.index(name), i) for i, name in enumerate(classes) if name in labels]
    fresh = classifier.get_weights()
    for own, weight in zip(fresh, network.layers[-1].get_weights(), strict=True):
        own[..., [i for _, i in both]] = weight[..., [i for i, _ in both]]
    classifier.set_weights(fresh)
    return copy


def _assembled(network: keras.Sequential, stack: list[keras.Layer], weights: list[list[np.ndarray]]) -> keras.Sequential:
    """Build a network of layers with the input and name of another; the last layers may come without weights."""
    shape = tuple(network.inputs[0].shape[1:])
    made = keras.Sequential([keras.Input(shape, name="pixels"), *stack], name=network.name)
    for layer, values in zip(made.layers, weights, strict=False):
        layer.set_weights(values)
    return made


def count_multiplications(network: keras.Model) -> int:
    """Return the multiply-accumulates for one image, in convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            places = int(np.prod(layer.output.shape[1:-1]))
            total += places * int(np.prod(layer.kernel.shape))
    return total


def soften(network: keras.Model, temperature: float) -> None:
    """Divide the network's logits by a temperature, through the weights of its classifier."""
    classifier = network.layers[-1]
    classifier.set_weights([weight / temperature for weight in classifier.get_weights()])
