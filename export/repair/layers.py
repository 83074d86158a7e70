"""Layers of a network as a format computes them, and what a quantizer of a format can do with them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from .recipe import Recipe

# The signal-to-noise ratio of an output that is exact, which has no noise.
MAX_RATIO_DB = 120.0


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
        spread: how many times as large as those of the median filter the weights of the largest one are, see `spread_of`.
    """

    name: str
    kind: str
    weights: int
    multiplications: int = 0
    followers: tuple[str, ...] = ()
    spread: float = 1.0


class Quantizer(Protocol):
    """A network that is converted and calibrated once, and then quantized as often as a search wants.

    Attributes:
        layers: in the order of execution.
        precisions: those that it can give to a layer.
    """

    @property
    def layers(self) -> tuple[Layer, ...]: ...

    @property
    def precisions(self) -> tuple[str, ...]: ...

    def build(self, recipe: Recipe) -> bytes:
        """Return the content of the file that a recipe makes, the same to the bit each time.

        Raises ValueError if it cannot: a layer that the network lacks, or a precision that a layer cannot have.
        """
        ...

    def errors(self, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output, if it alone is quantized and its input is exact.

        images are (N, H, W, C) uint8. The ratio is that of `signal_to_noise`.
        """
        ...

    def accumulated(self, recipe: Recipe, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output in the file of a recipe, against the original's.

        images are (N, H, W, C) uint8. The ratio is that of `signal_to_noise`. Layers whose output the file does not have are
        left out.
        """
        ...


def signal_to_noise(exact: NDArray[Any], rounded: NDArray[Any], *, is_answer: bool = False) -> float:
    """Return the signal-to-noise ratio in dB, 0 to 120, of a layer's output (N, ..., channels) against the exact one.

    Each channel counts the same: the noise of a channel is divided by its own signal and is at most all of it, and these shares
    are averaged. One channel with large numbers, which sets the scale of all, would hide otherwise that the others are erased.
    Channels that are always 0 have no signal and are left out. If the output is the model's answer, its channels are taken
    together, because classes that no image belongs to have none.
    """
    return ratio_of(*powers_of(exact, rounded, is_answer=is_answer))


def powers_of(exact: NDArray[Any], rounded: NDArray[Any], *, is_answer: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the power of the signal and of the noise of each channel, as `signal_to_noise` takes them apart."""
    channels = 1 if is_answer or exact.ndim < 2 else exact.shape[-1]
    signal = np.asarray(exact, np.float64).reshape(-1, channels)
    noise = np.asarray(rounded, np.float64).reshape(-1, channels) - signal
    return np.square(signal).sum(0), np.square(noise).sum(0)


def ratio_of(power: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    """Return the signal-to-noise ratio in dB, 0 to 120, from the power of the signal and of the noise of each channel (n,)."""
    shares = np.minimum(noise[power > 0] / power[power > 0], 1.0)
    # Without any signal every number is noise.
    share = float(np.nan_to_num(shares, nan=1.0).mean()) if len(shares) else float(noise.any())
    return min(MAX_RATIO_DB, abs(10 * float(np.log10(share)))) if share > 0 else MAX_RATIO_DB


def spread_of(weights: NDArray[Any], axis: int) -> float:
    """Return the largest weight of the largest filter divided by that of the median filter; filters are along this axis.

    Filters of zeros do not count.
    """
    largest = np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)).max(1)
    used = largest[largest > 0]
    # With the lower median one of two filters stands out, too.
    return float(used.max() / np.sort(used)[(len(used) - 1) // 2]) if len(used) else 1.0


def float_group(layers: tuple[Layer, ...], name: str) -> tuple[str, ...]:
    """Return the layers that must be in float so that the output of a layer is never rounded: itself and its followers.

    A follower without weights and with one input, such as pooling or padding, passes the numbers on, so that its own followers
    belong to them too.
    """
    by_name = {layer.name: layer for layer in layers}
    inputs = Counter(follower for layer in layers for follower in layer.followers)
    group, ahead = {name: None}, list(by_name[name].followers)
    while ahead:
        follower = ahead.pop(0)
        if follower in group:
            continue
        group[follower] = None
        if follower in by_name and not by_name[follower].weights and inputs[follower] == 1:
            ahead += by_name[follower].followers
    return tuple(group)


def float_groups(layers: tuple[Layer, ...], names: Iterable[str]) -> tuple[str, ...]:
    """Return the layers that must be in float so that the outputs of several layers are never rounded, each once."""
    return tuple(dict.fromkeys(one for name in names for one in float_group(layers, name)))
