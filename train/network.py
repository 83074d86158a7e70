"""The letter networks: Sequential, uint8 pixels in, probabilities out."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from .. import LettercastError
from ..runtime.glyph import GLYPH_PX

# A ReLU of standard normal numbers has this reciprocal standard deviation (Brock et al. 2021, arXiv:2101.08692).
RELU_GAIN = float(np.sqrt(2 / (1 - 1 / np.pi)))
TINY_VARIANCE = 1e-4
KERNEL_PX, UNPADDED = 3, 2


@dataclass(frozen=True)
class Size:
    """Filters of the 3x3 convolutions in each of three stages, and the dropout before the classifier.

    The last two convolutions have no padding, 7x7 to 5x5 to 3x3, and the classifier sees what is where.
    """

    stages: tuple[tuple[int, ...], ...]
    dropout: float


# base and nano are for devices; large is their teacher.
SIZES = {
    "large": Size(((48,), (96, 96), (128, 160, 160)), 0.3),
    "base": Size(((32,), (64, 64), (80, 96, 96)), 0.2),
    "nano": Size(((16,), (24, 32), (40, 48)), 0.0),
}


@keras.saving.register_keras_serializable("lettercast")
class StandardizedConv2D(layers.Layer):
    """A 3x3 convolution and ReLU whose filters have mean 0 and a learned norm: trains as well as with batch normalization.

    The work is on the weights alone, so a step costs a quarter less time, and what it learned is a plain convolution.
    Scaled weight standardization, Brock et al. 2021 (arXiv:2101.08692).
    """

    def __init__(self, filters: int, padding: str, **settings) -> None:
        super().__init__(**settings)
        self.filters, self.padding = filters, padding

    def build(self, input_shape) -> None:
        """Add kernel (3, 3, channels, filters), and a bias and a gain for each filter."""
        shape = (KERNEL_PX, KERNEL_PX, int(input_shape[-1]), self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="he_normal")
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer="ones")

    def call(self, inputs):
        """Convolve with the standardized filters, add the bias and cut off what is negative."""
        return ops.relu(ops.conv(inputs, self.plain_kernel(), 1, self.padding) + self.bias)

    def plain_kernel(self):
        """Return the kernel of the plain convolution that does the same."""
        mean, variance = ops.moments(self.kernel, (0, 1, 2), keepdims=True)
        fan_in = KERNEL_PX * KERNEL_PX * self.kernel.shape[2]
        return (self.kernel - mean) * ops.rsqrt(fan_in * variance + TINY_VARIANCE) * (RELU_GAIN * self.gain)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output: two pixels less a side where there is no padding."""
        cut = 0 if self.padding == "same" else KERNEL_PX - 1
        return (input_shape[0], input_shape[1] - cut, input_shape[2] - cut, self.filters)

    def get_config(self):
        """Return what makes the layer again."""
        return {**super().get_config(), "filters": self.filters, "padding": self.padding}


def build_network(size: str, classes: int, *, standardized: bool = True) -> keras.Sequential:
    """Build an untrained network that takes (N, 28, 28, 1) pixels 0..255 and gives (N, classes) probabilities.

    Stages of 3x3 convolutions with max pooling between them, and a dense classifier. The scaling to 0..1 is its
    first layer, so no caller can normalise wrongly. standardized convolutions are those that train; plain ones ship.
    """
    if size not in SIZES:
        raise LettercastError(f"unknown size '{size}': choose one of {', '.join(SIZES)}")
    plan = SIZES[size]

    def convolution(filters: int, padding: str) -> keras.Layer:
        if standardized:
            return StandardizedConv2D(filters, padding)
        return layers.Conv2D(filters, KERNEL_PX, padding=padding, activation="relu")

    stack: list[keras.Layer] = [keras.Input((GLYPH_PX, GLYPH_PX, 1), name="pixels"), layers.Rescaling(1 / 255)]
    for stage, widths in enumerate(plan.stages):
        last = stage == len(plan.stages) - 1
        unpadded = len(widths) - UNPADDED if last else len(widths)
        stack += [convolution(width, "same" if i < unpadded else "valid") for i, width in enumerate(widths)]
        stack.append(layers.Flatten() if last else layers.MaxPooling2D())
    stack += [layers.Dropout(plan.dropout), layers.Dense(classes, activation="softmax", name="probabilities")]
    return keras.Sequential(stack, name=f"letters_{size}")


def fold(network: keras.Model, size: str) -> keras.Sequential:
    """Return the network with plain convolutions in place of the standardized ones, for export and inference."""
    classes = int(network.outputs[0].shape[-1])
    plain = build_network(size, classes, standardized=False)
    for source, target in zip(network.layers, plain.layers, strict=True):
        standardized = isinstance(source, StandardizedConv2D)
        target.set_weights([source.plain_kernel(), source.bias] if standardized else source.get_weights())
    return plain


def count_multiplications(network: keras.Model) -> int:
    """Return the multiply-accumulates of one picture, in convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            places = int(np.prod(layer.output.shape[1:-1]))
            total += places * int(np.prod(layer.kernel.shape))
    return total


def soften(network: keras.Model, temperature: float) -> None:
    """Divide the logits of the network by a temperature, in the weights of its classifier."""
    classifier = network.layers[-1]
    classifier.set_weights([weight / temperature for weight in classifier.get_weights()])
