"""A Keras network that rounds as its quantized file does, in float, so that its weights can be trained with that rounding.

Weights are rounded symmetrically per output channel, the results of operations asymmetrically to 8 bits per tensor, at the places
where TFLite and ONNX store them. Gradients pass through the rounding as if it was not there. Source: Jacob et al. 2018,
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference.

Only `keras.ops` computes here, so that every backend of Keras can train it.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from ...runtime.pixels import Pixels

# The largest integer of a weight with 8 bits, with 8 bits in signed ONNX files (see `onnx_int8.MAX_WEIGHT`), and with 4 bits.
INT8, SIGNED_ONNX, INT4 = 127, 64, 7
# Activations have the integers 0 to 255.
MAX_ACTIVATION = 255
# Of weights or activations that are all zero.
MIN_SCALE = 1e-9
# Of weights, by which they change: biases may all be zero.
MIN_STEP = 1e-5
# The images with the smallest and the largest values do not widen the range of a tensor, to this percentage of all images each;
# see `tflite_layers`.
EXTREME_PERCENT = 2
# Images that are calibrated on at a time.
BATCH = 100
# Layers and operations whose results are numbers that they got, or nothing but them, so that no format rounds again.
PASSING = (
    *("ActivityRegularization", "AlphaDropout", "Cast", "Concatenate", "Cropping1D", "Cropping2D", "Dropout", "ExpandDims"),
    *("Flatten", "GaussianDropout", "GaussianNoise", "GetItem", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Identity"),
    *("MaxPooling1D", "MaxPooling2D", "Permute", "RepeatVector", "Reshape", "SpatialDropout1D", "SpatialDropout2D", "Squeeze"),
    *("StopGradient", "Transpose", "UpSampling1D", "ZeroPadding1D", "ZeroPadding2D"),
)
# Layers that multiply with weights, by how their kernels end: with the channels of the output, with the inputs and a multiplier
# for each, or with the outputs and the inputs.
PLAIN = ("Conv1D", "Conv2D", "Conv3D", "Dense")
DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
WEIGHTED = (*PLAIN, *DEPTHWISE, *TRANSPOSED, *SEPARABLE, "EinsumDense")
# Formats fuse these activation functions into the operation before them, if it is one of these or multiplies with weights.
FUSED, FUSING = ("relu", "relu6"), ("Add", "Subtract", "Multiply")


@dataclass(frozen=True)
class Levels:
    """The largest integer that the weights of a layer have, by its name; `others` for all other layers. None means float."""

    others: int | None = INT8
    layers: Mapping[str, int | None] = field(default_factory=dict)

    def of(self, layer: str) -> int | None:
        """Return the largest integer of a layer's weights, None if they are not rounded."""
        return self.layers.get(layer, self.others)


def rounded_weights(weights: Any, axes: Sequence[int] | None, levels: int) -> Any:
    """Return weights rounded to multiples of a scale, with which the largest of each channel is `levels`.

    axes are those of the weights of one channel, None if all weights share one scale. The gradient is that of the weights.
    """
    largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
    scale = ops.maximum(largest / levels, MIN_SCALE)
    return weights + ops.stop_gradient(ops.round(weights / scale) * scale - weights)


def rounded_results(values: Any, low: Any, scale: Any) -> Any:
    """Return activations rounded to `low` plus 0 to 255 times `scale`; those beyond are cut off, and have no gradient."""
    inside = ops.clip(values, low, low + MAX_ACTIVATION * scale)
    return inside + ops.stop_gradient(ops.round((inside - low) / scale) * scale + low - inside)


def weight_step(weights: NDArray[np.float32], axes: Sequence[int] | None) -> NDArray[np.float32]:
    """Return the distance of neighbours among weights that are rounded to 8 bits, in a shape that multiplies with them.

    axes are those of the weights of one channel, None if all share one scale.
    """
    largest = np.abs(weights).max(axis=axes if axes is None else tuple(axes), keepdims=True)
    return np.maximum(largest / INT8, MIN_STEP).astype(np.float32)


def steps_between(low: float, high: float) -> tuple[float, float]:
    """Return the lowest of 256 numbers between two, and the distance of neighbours; 0 is one of them, as padding needs it."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / MAX_ACTIVATION, MIN_SCALE)
    return round(low / scale) * scale, scale


class Simulated(keras.Model):
    """A network that answers as a quantized file does, with the weights of a network that does not round.

    What it trains are changes of these weights, counted in steps: the distance of two neighbours among weights of 8 bits. One
    learning rate then suits channels of all sizes, which folding batch normalizations makes very different. It computes as at
    inference even while it trains: without dropout, and with the statistics that batch normalizations have.
    """

    def __init__(self, plain: keras.Model, levels: Levels, kept: Collection[int] = ()) -> None:
        """Build it for a network whose batch normalizations are folded. Call `calibrate` before you use it.

        kept are the identities of variables that do not change.
        """
        super().__init__()
        self.plain, self.levels = plain, levels
        weighted = [part for part in plain._flatten_layers() if type(part).__name__ in WEIGHTED]
        kernels = {id(kernel): axes for part in weighted for kernel, axes in _kernels(part)}
        # By the identity of a variable: how many steps it is changed, and how large a step is.
        self.changes: dict[int, tuple[Any, NDArray[np.float32]]] = {}
        for place, one in enumerate(one for one in plain.trainable_variables if id(one) not in kept):
            change = self.add_weight(shape=one.shape, initializer="zeros", name=f"change_{place}")
            self.changes[id(one)] = change, weight_step(np.asarray(ops.convert_to_numpy(one)), kernels.get(id(one)))
        plain.trainable = False
        count = len(self.observed(np.zeros((1, *plain.inputs[0].shape[1:]), np.uint8)))
        # The lowest number and the distance of neighbours, for each tensor that is rounded.
        self.steps = self.add_weight(shape=(count, 2), initializer="ones", trainable=False, name="steps")
        self.built = True

    def call(self, inputs: Any) -> Any:
        steps = ops.convert_to_tensor(self.steps)
        places = itertools.count()

        def rounded(tensor: Any) -> Any:
            place = next(places)
            return rounded_results(tensor, steps[place, 0], steps[place, 1])

        return _Walk(rounded, self.levels, self.value).through(self.plain, ops.cast(inputs, "float32"))

    def value(self, variable: Any) -> Any:
        """Return a variable of the other network with its change, as a tensor."""
        change, step = self.changes.get(id(variable), (None, None))
        value = ops.convert_to_tensor(variable)
        return value if change is None else value + ops.multiply(change, step)

    def trained_weights(self) -> list[NDArray[np.float32]]:
        """Return the weights of the other network with their changes, as its `set_weights` takes them."""
        return [np.array(ops.convert_to_numpy(self.value(variable))) for variable in self.plain.weights]

    def calibrate(self, images: Pixels) -> None:
        """Set the ranges of activations to their values on images (N, H, W, C) uint8, as files have them.

        Raises FloatingPointError if one is infinite or NaN.
        """
        ranges = np.concatenate([self.observed(images[start : start + BATCH]) for start in range(0, len(images), BATCH)], 1)
        if not np.isfinite(ranges).all():
            raise FloatingPointError("an activation is infinite or NaN")
        ranges, skipped = np.sort(ranges, 1), len(images) * EXTREME_PERCENT // 100
        lows, highs = ranges[:, skipped, 0], ranges[:, -1 - skipped, 1]
        self.steps.assign([steps_between(float(low), float(high)) for low, high in zip(lows, highs, strict=True)])

    def observed(self, images: Pixels) -> NDArray[np.float32]:
        """Return the smallest and largest value (tensors, N, 2) of each tensor that is rounded, on N images, without rounding."""
        seen: list[Any] = []

        def see(tensor: Any) -> Any:
            # A tensor that does not depend on the image, such as places in a sequence, may have no row for each.
            rows = ops.reshape(tensor, (len(images) if tensor.shape[:1] == (len(images),) else 1, -1))
            ends = ops.stack([ops.min(rows, 1), ops.max(rows, 1)], 1)
            seen.append(ops.broadcast_to(ends, (len(images), 2)))
            return tensor

        _Walk(see, Levels(None), self.value).through(self.plain, ops.convert_to_tensor(images, "float32"))
        return np.asarray(ops.convert_to_numpy(ops.stack(seen)))


def call_rounded(layer: Any, args: Any, settings: Any, levels: Levels, value: Callable[[Any], Any]) -> Any:
    """Return what a layer answers with rounded weights, without the activation function of a layer that multiplies itself.

    `value` returns the value of a variable.
    """
    inner = [part for part in layer._flatten_layers() if type(part).__name__ in WEIGHTED]
    # All variables, because a scope within the one of a backend does not see what that one holds.
    values = {id(one): (one, value(one)) for one in layer.variables}
    for part in inner:
        level = levels.of(part.name if part.name in levels.layers else layer.name)
        if level is not None:
            for kernel, axes in _kernels(part):
                values[id(kernel)] = kernel, rounded_weights(values[id(kernel)][1], axes, level)
    function = layer.activation if layer in inner else None
    if function:
        layer.activation = keras.activations.linear
    try:
        with keras.StatelessScope(state_mapping=list(values.values())):
            return layer(*args, **settings)
    finally:
        if function:
            layer.activation = function


def _kernels(layer: Any) -> Iterator[tuple[Any, tuple[int, ...] | None]]:
    """Yield the kernels of a layer that multiplies with weights, and the axes of the weights of one channel."""
    kind = type(layer).__name__
    if kind in SEPARABLE:
        first, second = layer.depthwise_kernel, layer.pointwise_kernel
        yield first, tuple(range(len(first.shape) - 2))
        yield second, tuple(range(len(second.shape) - 1))
        return
    rank = len(layer.kernel.shape)
    axes = {"EinsumDense": None, **dict.fromkeys(DEPTHWISE, tuple(range(rank - 2)))}
    axes |= dict.fromkeys(TRANSPOSED, (*range(rank - 2), rank - 1))
    yield layer.kernel, axes.get(kind, tuple(range(rank - 1)))


class _Walk:
    """Goes through a network, and rounds each tensor when an operation takes it.

    A result that nothing takes stays as it is: a softmax at the end is not rounded in ONNX, and in TFLite to 1/256 whatever the
    weights are.
    """

    def __init__(self, rounded: Callable[[Any], Any], levels: Levels, value: Callable[[Any], Any]) -> None:
        self.rounded, self.levels, self.value = rounded, levels, value
        # By identity: a tensor, and what it is rounded to. Tensors that a ReLU may be fused into are in `open`.
        self.results: dict[int, tuple[Any, Any | None]] = {}
        self.open: set[int] = set()

    def through(self, network: Any, source: Any) -> Any:
        """Return the result of a network."""
        self.results[id(source)] = source, None
        return self.call(network, source)

    def call(self, operation: Any, *args: Any, **settings: Any) -> Any:
        """Return the result of a layer, an operation or a network."""
        if isinstance(operation, keras.Sequential) and type(operation).call is keras.Sequential.call:
            for layer in operation.layers:
                args = (self.call(layer, *args),)
            return args[0]
        if isinstance(operation, keras.Model) and type(operation).call.__qualname__ == "Functional.call":
            return operation._run_through_graph(keras.tree.flatten(args), call_fn=self.call)
        kind = type(operation).__name__
        if kind in PASSING:
            # What it gets is rounded, and so is its result.
            settings.pop("training", None)
            return operation(*self.taken(args), **self.taken(settings))
        function = getattr(operation, "activation", None)
        if _is_relu(operation) and id(args[0]) in self.open:
            return self.given(operation(*args, **settings))
        if not isinstance(operation, layers.Layer):
            return self.given(operation(*self.taken(args), **self.taken(settings)), is_open=kind in FUSING)
        result = self.layer(operation, self.taken(args), self.taken(settings))
        self.given(result, is_open=kind in FUSING or kind in WEIGHTED)
        if kind in WEIGHTED and function is not None and function is not keras.activations.linear:
            is_fused = getattr(function, "__name__", "") in FUSED
            result = self.given(function(result if is_fused else self.taken(result)))
        return result

    def layer(self, layer: Any, args: Any, settings: Any) -> Any:
        """Return what a layer answers at inference with rounded weights."""
        if "training" in getattr(layer, "_call_context_args", ()):
            settings = {**settings, "training": False}
        return call_rounded(layer, args, settings, self.levels, self.value) if layer.variables else layer(*args, **settings)

    def given(self, result: Any, *, is_open: bool = False) -> Any:
        """Note results, which are rounded when they are taken."""
        for tensor in keras.tree.flatten(result):
            self.results[id(tensor)] = tensor, None
            if is_open:
                self.open.add(id(tensor))
        return result

    def taken(self, values: Any) -> Any:
        """Return arguments with results rounded."""

        def one(value: Any) -> Any:
            tensor, rounded = self.results.get(id(value), (None, None))
            if tensor is None:
                return value
            if rounded is None:
                rounded = self.rounded(tensor)
                self.results[id(value)] = tensor, rounded
            return rounded

        return keras.tree.map_structure(one, values)


def _is_relu(operation: Any) -> bool:
    """Whether an operation is a ReLU without a slope, of any maximum."""
    if isinstance(operation, layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    if isinstance(operation, layers.Activation):
        return getattr(operation.activation, "__name__", "") in FUSED
    return type(operation).__name__.lower() in FUSED
