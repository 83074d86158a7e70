"""Preprocessings that image classifiers are trained with, by name: in NumPy, and as layers in front of a network.

A name is a base and what else was done to the images, such as `0..1`, `caffe`, `-1..1 bgr` or `0..255 inverted transposed`.
The bases are a range `A..B` to which 0..255 is mapped, `caffe`, `torch`, `mnist`, `standardized`, and `mean M std S` with
numbers of your own, one for all channels or one for each: (x - M) / S.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.pixels import Pixels

# Ranges to which pixels 0..255 are mapped that a model is tried with before anything else.
PLAIN = ("0..255", "0..1", "-1..1")
STANDARDIZED, CAFFE, TORCH, MNIST, MEAN, STD = "standardized", "caffe", "torch", "mnist", "mean", "std"
# Mean and standard deviation, one or one per channel, in pixels 0..255. caffe and torch are modes of
# keras.applications.imagenet_utils: caffe subtracts the mean of ImageNet from BGR channels, torch normalizes RGB channels as
# torchvision does. mnist are the numbers of PyTorch's example for MNIST.
DATA_SETS = {
    CAFFE: ((103.939, 116.779, 123.68), (1.0,)),
    TORCH: ((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)),
    MNIST: ((0.1307 * 255,), (0.3081 * 255,)),
}
# Less usual ranges: x / 255 - 0.5, signed bytes, and the pixels of scikit-learn's digits.
OTHER_RANGES = ("-0.5..0.5", "-128..127", "0..16")
BGR, RGB, INVERTED, TRANSPOSED = "bgr", "rgb", "inverted", "transposed"
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})", re.ASCII)
NAMES = f"{', '.join((*PLAIN, CAFFE, TORCH, MNIST, STANDARDIZED))}, any range A..B, or 'mean M std S'"
MODIFIERS = f"{BGR}, {INVERTED} and {TRANSPOSED}"


@dataclass(frozen=True)
class Preprocessing:
    """What makes a network's input of an upright RGB or grey image of pixels 0..255.

    Rows and columns are swapped, then pixels are inverted to 255 - x, then channels are reversed, and then the base follows:
    (x - mean) / std by channel, or for `standardized` by image, as tf.image.per_image_standardization does.
    """

    base: str
    is_reversed: bool = False
    is_inverted: bool = False
    is_transposed: bool = False

    @property
    def name(self) -> str:
        """The name as --pixels takes it."""
        order = RGB if self.base == CAFFE else BGR
        words = {order: self.is_reversed, INVERTED: self.is_inverted, TRANSPOSED: self.is_transposed}
        return " ".join([self.base, *(word for word, is_done in words.items() if is_done)])

    @property
    def modifiers(self) -> int:
        """How many things beside the base are done."""
        return self.is_reversed + self.is_inverted + self.is_transposed

    @property
    def is_usual(self) -> bool:
        """Whether the base is one that many models are trained with."""
        return self.base in (*PLAIN, *DATA_SETS, STANDARDIZED)

    def is_part_of(self, other: "Preprocessing") -> bool:
        """Whether the other one does the same, and more."""
        flags = [(one.is_reversed, one.is_inverted, one.is_transposed) for one in (self, other)]
        return self != other and self.base == other.base and all(a <= b for a, b in zip(*flags, strict=True))

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self.base == PLAIN[0] and not self.modifiers

    @cached_property
    def linear(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, each of one value or one per channel, in pixels 0..255; 0 and 1 for `standardized`."""
        if self.base == STANDARDIZED:
            return np.zeros(1), np.ones(1)
        if self.base in DATA_SETS:
            mean, std = DATA_SETS[self.base]
            # The mean of each colour belongs to that colour. torch's numbers keep their order, as with images of OpenCV.
            return np.array(mean[::-1] if self.base == CAFFE and self.is_reversed else mean), np.array(std)
        if found := RANGE.fullmatch(self.base):
            low, high = map(float, found.groups())
            std = 255 / (high - low)
            return np.array([-low * std]), np.array([std])
        words = self.base.split()
        numbers = [np.array([float(number) for number in word.split(",")]) for word in words[1::2]]
        return numbers[0], numbers[1] if len(numbers) > 1 else np.ones(1)

    @property
    def swaps_channels(self) -> bool:
        """Whether the network gets BGR."""
        return self.is_reversed != (self.base == CAFFE)

    def misfit(self, shape: tuple[int, int, int]) -> str:
        """Return why images (H, W, C) cannot be preprocessed so, "" if they can."""
        height, width, channels = shape
        if channels != 3 and (self.swaps_channels or self.is_reversed or max(map(len, self.linear)) > 1):
            return "is for RGB images, and the model takes grey ones"
        return "needs square images" if self.is_transposed and height != width else ""

    def apply(self, images: Pixels) -> NDArray[np.float32]:
        """Return a network's input (N, H, W, C) float32 for images (N, H, W, C) uint8."""
        made = images.swapaxes(1, 2) if self.is_transposed else images
        made = made[..., ::-1] if self.swaps_channels else made
        scale, offset = self._factors()
        made = made.astype(np.float32) * scale.astype(np.float32) + offset.astype(np.float32)
        if self.base == STANDARDIZED:
            made = made - made.mean((1, 2, 3), keepdims=True)
            made = made / np.maximum(made.std((1, 2, 3), keepdims=True), math.prod(made.shape[1:]) ** -0.5)
        return made

    def layers(self, inputs: Any) -> Any:
        """Return the same as a Keras tensor, for a Keras tensor of images (N, H, W, C) of pixels 0..255."""
        import keras

        made = keras.layers.Permute((2, 1, 3))(inputs) if self.is_transposed else inputs
        scale, offset = self._factors()
        channels = inputs.shape[-1]
        if self.swaps_channels or max(len(scale), len(offset)) > 1:
            # One convolution of 1 x 1 is one operation in every format, and quantization gives each channel its own scale.
            convolution = keras.layers.Conv2D(channels, 1, name="preprocessing")
            made = convolution(made)
            order = np.eye(channels)[:, ::-1] if self.swaps_channels else np.eye(channels)
            convolution.set_weights([(order * scale)[None, None], np.broadcast_to(offset, channels)])
        elif (scale, offset) != (1, 0):
            made = keras.layers.Rescaling(float(scale[0]), float(offset[0]))(made)
        return standardized(made) if self.base == STANDARDIZED else made

    def _factors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and offset of pixels, each of one value or one per channel, with the inversion in them."""
        mean, std = self.linear
        return (-1 / std, (255 - mean) / std) if self.is_inverted else (1 / std, -mean / std)


def standardized(images: Any) -> Any:
    """Return a Keras tensor of images less their mean, divided by their standard deviation, which is at least 1 / sqrt(values).

    The reciprocal of the root takes the place of a division, because TFLite has it in integers.
    """
    from keras import ops

    axes = (1, 2, 3)
    difference = images - ops.mean(images, axes, keepdims=True)
    variance = ops.mean(difference * difference, axes, keepdims=True)
    return difference * ops.rsqrt(ops.maximum(variance, 1 / math.prod(images.shape[1:])))


def find_preprocessing(name: str) -> Preprocessing:
    """Return the preprocessing of a name; raises LettercastError if there is none."""
    words = name.lower().split()
    count = (4 if words[2:3] == [STD] else 2) if words[:1] == [MEAN] else 1
    base, others = _base(words[:count]), words[count:]
    is_known = base and {*others} <= {BGR, RGB, INVERTED, TRANSPOSED} and not {BGR, RGB} <= {*others}
    if not is_known or len(set(others)) != len(others):
        raise LettercastError(f"--pixels '{name}': is unknown; choose from {NAMES}, and add {MODIFIERS} if they apply")
    is_reversed = (RGB if base == CAFFE else BGR) in others
    return Preprocessing(base, is_reversed, INVERTED in others, TRANSPOSED in others)


def _base(words: list[str]) -> str:
    """Return the base that these words name, in its usual spelling; "" if they name none."""
    text = " ".join(words)
    if len(words) == 4 and words[2] != STD:
        return ""
    if text in (*DATA_SETS, STANDARDIZED):
        return text
    if found := RANGE.fullmatch(text):
        low, high = map(float, found.groups())
        return f"{low:g}..{high:g}" if low < high else ""
    if words[:1] != [MEAN] or len(words) not in (2, 4):
        return ""
    try:
        mean, std = ([float(number) for number in text.split(",")] for text in (words[1], (words[3:] or ["1"])[0]))
    except ValueError:
        return ""
    is_usable = all(len(numbers) in (1, 3) and np.isfinite(numbers).all() for numbers in (mean, std)) and min(std) > 0
    return from_statistics(mean, std) if is_usable else ""


def from_statistics(mean: Any, std: Any) -> str:
    """Return the base that subtracts a mean and divides by a standard deviation, each of one value or one per channel."""
    mean, std = (",".join(f"{number:.6g}" for number in numbers) for numbers in (mean, std))
    return f"{MEAN} {mean}" if std == "1" else f"{MEAN} {mean} {STD} {std}"


def known(images: Pixels) -> Iterator[Preprocessing]:
    """Yield every known preprocessing of images (N, H, W, C) uint8, the simplest first.

    Those with a mean and a standard deviation take them from the images, which are a sample of the training set.
    """
    shape = images.shape[1:]
    named = (*PLAIN, CAFFE, TORCH, STANDARDIZED, *OTHER_RANGES) if shape[2] > 1 else (*PLAIN, STANDARDIZED, MNIST, *OTHER_RANGES)
    measured = [((images.mean(),), (images.std(),)), ((images.mean(),), (255.0,)), ((images.mean(),), (1.0,))]
    by_channel = images.mean((0, 1, 2)), images.std((0, 1, 2))
    if np.ptp(by_channel[0]):
        measured.insert(1, by_channel)
    bases = (*named, *(from_statistics(mean, std) for mean, std in measured if min(std) > 0))
    every = [
        Preprocessing(base, *done)
        for base in bases
        for done in product((False, True), repeat=3)
        # Numbers that are measured depend on the images as they are.
        if base in named or not any(done)
    ]
    yield from (one for one in sorted(every, key=lambda one: one.modifiers) if not one.misfit((shape[0], shape[1], shape[2])))
