"""Layers of a network as a format computes them, and what a quantizer of a format can do with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ...runtime.pixels import Pixels
from .recipe import Recipe


@dataclass(frozen=True)
class Layer:
    """One layer of a quantized file: an operation with what is fused into it, and the activation functions behind it.

    Attributes:
        name: of the Keras layer, unique in its network; of a layer in a nested network, the innermost.
        kind: the Keras class, such as `Conv2D`.
        weights: how many numbers its weights have; 0 for operations without weights.
        multiplications: multiply-accumulates for one image, 0 if it has no weights.
        followers: names of the layers that take its output. A layer in float leaves its output in float only if its followers
            do not round it, see `float_group`.
    """

    name: str
    kind: str
    weights: int
    multiplications: int = 0
    followers: tuple[str, ...] = ()


class Quantizer(Protocol):
    """A network that is converted and calibrated once, and then quantized as often as a search wants.

    Attributes:
        layers: in the order of execution.
        precisions: those that it can give to a layer.
    """

    layers: tuple[Layer, ...]
    precisions: tuple[str, ...]

    def build(self, recipe: Recipe) -> bytes:
        """Return the content of the file that a recipe makes, the same to the bit each time.

        Raises ValueError if it cannot: a layer that the network lacks, or a precision that a layer cannot have.
        """
        ...

    def errors(self, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output, if it alone is quantized and its input is exact.

        images are (N, H, W, C) uint8.
        """
        ...


def float_group(layers: tuple[Layer, ...], name: str) -> tuple[str, ...]:
    """Return the layers that must be in float so that the output of a layer is never rounded: itself and its followers."""
    (layer,) = (layer for layer in layers if layer.name == name)
    return (name, *layer.followers)
