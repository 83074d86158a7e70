"""Equal networks that quantize better, because the channels of their activations have similar ranges.

A quantized file gives each filter a scale of its own, but all channels of an activation share one. If one channel is 600 times
as large as the others, they are rounded to nothing. The range of a channel can change without the network: multiply the filter
that makes it, and divide the weights that take it. Sources: Nagel et al. 2019, Data-Free Quantization through Weight Equalization
and Bias Correction; Xiao et al. 2023, SmoothQuant, for the balance between activations and weights.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from .fold import folded, graph_of

if TYPE_CHECKING:
    import keras

# Images that a network answers at a time.
BATCH = 25
# How much of a difference between channels the activations give up, and not the weights; the least rounding noise decides.
SHARES = (0.25, 0.5, 0.75, 1.0)
# Channels stay as they are unless the rounding noise falls below this share of what it was.
MIN_GAIN = 0.9
# No range counts as smaller than this share of the range that a tenth of the channels stay below, because other images may go
# further than those of the calibration.
LOW_PERCENTILE, MIN_RANGE = 10, 0.25
# A clip such as that of ReLU6 counts as out of reach if activations stay below it by this factor on the calibration set.
HEADROOM = 1.5
# The largest integer of weights, and the steps of activations, in 8 bits.
MAX_WEIGHT, STEPS = 127, 255
# Factors are at most 2 to this power, so that no weight leaves the range of float32.
MAX_POWER = 24
# Nothing is divided by less.
TINY = 1e-30
# Layers whose output is multiplied by a positive factor, channel by channel, if their input is.
HOMOGENEOUS = (
    *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout"),
    *("ActivityRegularization", "LeakyReLU", "PReLU", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D"),
    *("Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "MaxPooling1D", "MaxPooling2D"),
    *("MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("GlobalMaxPooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
)
SUMS, PRODUCTS = ("Add", "Subtract", "Average", "Maximum", "Minimum"), ("Multiply", "Divide", "TrueDivide")

Vector = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Call:
    """One call of a layer or an operation: its arguments, and the numbers of the tensors that it takes and gives."""

    layer: Any
    arguments: tuple[Any, ...]
    settings: dict[str, Any]
    taken: tuple[int, ...]
    given: tuple[int, ...]


@dataclass
class Range:
    """What the calibration images show of one tensor: its shape without the batch, and figures of each channel (C,)."""

    shape: tuple[int, ...]
    low: Vector
    high: Vector
    squares: Vector
    count: int

    @property
    def power(self) -> Vector:
        """The mean square of each channel."""
        return self.squares / max(1, self.count)

    @property
    def span(self) -> Vector:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class Weights:
    """Weights that multiply channels: their place in `get_weights()`, and a view (groups, inputs, outputs, taps) of them."""

    place: int
    view: Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Ends:
    """How a layer takes and gives channels that have factors.

    Attributes:
        takes: the weights that multiply each input; none for an input that must stay as it is.
        gives: the weights that make the output, None if the output must stay as it is.
        offsets, means: places of weights that have the factors of the output, such as a bias, and of the input.
    """

    takes: tuple[tuple[Weights, ...], ...]
    gives: Weights | None
    offsets: tuple[int, ...] = ()
    means: tuple[int, ...] = ()


@dataclass(frozen=True)
class Taker:
    """Weights (groups, inputs, outputs, taps) that take a tensor."""

    tensor: int
    weights: NDArray[Any]


@dataclass(frozen=True)
class Groups:
    """Groups of channels that have one factor: of each tensor's channels, and of each group if it is fixed, and its limit."""

    of: list[Numbers]
    ranges: list[Range]
    is_fixed: NDArray[np.bool_]
    limits: Vector


class Channels:
    """The channels of all tensors in one row, and which of them have the same factor, or the factor 1."""

    def __init__(self, ranges: list[Range]):
        self.starts = np.cumsum([0, *(len(one.low) for one in ranges)])
        self.pairs: list[NDArray[np.int64]] = []
        self.is_fixed = np.zeros(self.starts[-1], bool)

    def of(self, tensor: int) -> Numbers:
        """Return where the channels of a tensor are in the row."""
        return np.arange(self.starts[tensor], self.starts[tensor + 1])

    def join(self, one: Numbers, other: Numbers) -> None:
        """Give channels the same factors, one by one."""
        self.pairs.append(np.stack(np.broadcast_arrays(one, other)).reshape(2, -1))

    def fix(self, tensors: Iterable[int]) -> None:
        """Give all channels of tensors the factor 1."""
        for tensor in tensors:
            self.is_fixed[self.of(tensor)] = True

    def groups(self) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the group of each channel, all channels of which have one factor, and whether the group has the factor 1."""
        groups = _components(np.concatenate([np.empty((2, 0), np.int64), *self.pairs], 1), self.starts[-1])
        is_fixed = np.zeros(groups.max(initial=0) + 1, bool)
        is_fixed[groups[self.is_fixed]] = True
        return groups, is_fixed


def equalized(network: "keras.Model", calibration: Pixels) -> "keras.Model":
    """Return an equal network in which the channels of an activation have similar ranges, where that makes rounding finer.

    Its batch normalizations are folded, see `folded`. Beyond that only weights change, so layers keep their names and
    connections. All factors are powers of two, with which float32 computes the same results to the bit. A channel behind a clip
    such as ReLU6 changes only if the calibration images stay far below the clip. No weight is shared with the given network,
    which is returned as it is if no rounding becomes finer.

    Args:
        network: pixels 0..255 in.
        calibration: (N, H, W, C) uint8 training images, which tell the range of each channel.
    """
    plain = folded(network)
    calls, ranges = observe(plain, calibration)
    factors = balance(calls, ranges)
    if all((one == 1).all() for one in factors):
        return network
    for call in calls:
        taken, given = [factors[number] for number in call.taken], [factors[number] for number in call.given]
        # Layers whose channels must stay as they are have factors of 1 all around.
        if any((one != 1).any() for one in (*taken, *given)) and (found := ends(call)):
            call.layer.set_weights(rescaled(call.layer.get_weights(), found, taken, given[0]))
    return plain


def rescaled(weights: list[NDArray[Any]], layer: Ends, taken: list[Vector], given: Vector) -> list[NDArray[Any]]:
    """Return weights of a layer that takes and gives channels with factors."""
    weights = [one.astype(np.float64) for one in weights]
    for factors, takers in zip(taken, layer.takes, strict=True):
        for one in takers:
            view = one.view(weights[one.place])
            view /= factors.reshape(*view.shape[:2], 1, 1)
    if layer.gives:
        view = layer.gives.view(weights[layer.gives.place])
        view *= given.reshape(len(view), 1, view.shape[2], 1)
    for places, factors in ((layer.offsets, given), (layer.means, taken[0])):
        for place in places:
            weights[place] *= factors
    return [one.astype(np.float32) for one in weights]


def run(network: "keras.Model", images: Any, call: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> Any:
    """Run a network on images, and let `call(layer, arguments, settings)` compute each of its innermost layers."""

    def operation(layer: Any) -> Any:
        if graph_of(layer) is None:
            return lambda *arguments, **settings: call(layer, arguments, settings)
        # A Sequential holds a functional network.
        functional = getattr(layer, "_functional", None) or layer
        return lambda *arguments, **_: functional._run_through_graph(arguments[0], operation)

    return operation(network)(images)


def observe(network: "keras.Model", images: Pixels) -> tuple[list[Call], list[Range]]:
    """Return the calls of a network in their order, and the range of each tensor on images; tensor 0 is the images."""
    import keras

    calls: list[Call] = []
    ranges: list[Range] = []
    for start in range(0, len(images), BATCH):
        # Tensors are kept until the end of a batch, so that no two have one identity.
        seen: dict[int, tuple[int, Any]] = {}

        def number(tensor: Any, seen: dict[int, tuple[int, Any]] = seen) -> int:
            if id(tensor) not in seen:
                seen[id(tensor)] = len(seen), tensor
                _widen(ranges, len(seen) - 1, keras.ops.convert_to_numpy(tensor))
            return seen[id(tensor)][0]

        def call(layer: Any, arguments: tuple[Any, ...], settings: dict[str, Any], start: int = start) -> Any:
            result = layer(*arguments, **settings)
            taken = tuple(number(one) for one in _tensors((arguments, settings)))
            given = tuple(number(one) for one in _tensors(result))
            if start == 0:
                calls.append(Call(layer, arguments, settings, taken, given))
            return result

        batch = keras.ops.convert_to_tensor(images[start : start + BATCH].astype(np.float32))
        number(batch)
        run(network, batch, call)
    return calls, ranges


def _tensors(value: Any) -> list[Any]:
    """Return all tensors in what a layer takes or gives."""
    import keras

    return [one for one in keras.tree.flatten(value) if keras.ops.is_tensor(one)]


def _widen(ranges: list[Range], place: int, values: NDArray[Any]) -> None:
    """Add to the range of a tensor what one batch shows of it."""
    rows = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float32)
    low, high, squares = rows.min(0), rows.max(0), np.einsum("nc,nc->c", rows, rows).astype(np.float64)
    if place == len(ranges):
        ranges.append(Range(values.shape[1:], low, high, squares, len(rows)))
        return
    one = ranges[place]
    one.low, one.high = np.minimum(one.low, low), np.maximum(one.high, high)
    one.squares, one.count = one.squares + squares, one.count + len(rows)


def ends(call: Call) -> Ends | None:
    """Return how a call takes and gives channels with factors, None if it is no layer with weights that can change for them."""
    found = _weights_of(call)
    # A clip is heeded where the ranges are known.
    return found if found is None or bound(getattr(call.layer, "activation", None)) else replace(found, gives=None)


def _weights_of(call: Call) -> Ends | None:
    """Return the weights with which a call takes and makes channels, without a look at its activation function."""
    import keras

    layers, layer, kind = keras.layers, call.layer, type(call.layer)
    if getattr(layer, "data_format", "channels_last") != "channels_last" or getattr(layer, "lora_enabled", False):
        return None
    places = {id(weight): place for place, weight in enumerate(getattr(layer, "weights", ()))}

    def weights(weight: Any, view: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
        return Weights(places[id(weight)], view)

    def offset(weight: Any) -> tuple[int, ...]:
        return () if weight is None else (places[id(weight)],)

    if kind in (layers.Conv1D, layers.Conv2D, layers.Conv3D):
        count, groups = layer.filters // layer.groups, layer.groups
        kernel = weights(layer.kernel, lambda one: one.reshape(-1, one.shape[-2], groups, count).transpose(2, 1, 3, 0))
        found = Ends(((kernel,),), kernel, offset(layer.bias))
    elif kind in (layers.DepthwiseConv1D, layers.DepthwiseConv2D):
        kernel = weights(layer.kernel, _depthwise)
        found = Ends(((kernel,),), kernel, offset(layer.bias))
    elif kind in (layers.SeparableConv1D, layers.SeparableConv2D):
        first, last = weights(layer.depthwise_kernel, _depthwise), weights(layer.pointwise_kernel, _matrix)
        found = Ends(((first,),), last, offset(layer.bias))
    elif kind in (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose):
        kernel = weights(layer.kernel, lambda one: one.reshape(1, -1, *one.shape[-2:]).transpose(0, 3, 2, 1))
        found = Ends(((kernel,),), kernel, offset(layer.bias))
    elif kind is layers.Dense:
        kernel = weights(layer.kernel, _matrix)
        found = Ends(((kernel,),), kernel, offset(layer.bias))
    elif kind is layers.BatchNormalization and layer.gamma is not None and layer.axis in (-1, layer.input_spec.ndim - 1):
        gamma = weights(layer.gamma, _each)
        found = Ends(((gamma,),), gamma, offset(layer.beta), offset(layer.moving_mean))
    elif kind is layers.LayerNormalization and layer.gamma is not None and list(np.ravel(layer.axis)) == [-1]:
        found = Ends(((),), weights(layer.gamma, _each), offset(layer.beta))
    elif kind is layers.MultiHeadAttention and len(call.taken) == len(call.arguments) in (2, 3):
        found = _attention(layer, len(call.taken), weights, offset)
    else:
        return None
    return found


def _attention(layer: Any, inputs: int, weights: Callable[..., Weights], offset: Callable[[Any], tuple[int, ...]]) -> Ends | None:
    """Return how an attention takes its query, its value and perhaps its key, and gives the result."""
    query, value, key, last = layer._query_dense, layer._value_dense, layer._key_dense, layer._output_dense
    if getattr(layer, "_gate_dense", None) is not None or last.kernel.shape.rank != 3:
        return None
    first = [weights(one.kernel, lambda kernel: kernel.reshape(1, len(kernel), -1, 1)) for one in (query, value, key)]
    takes = (first[:1], first[1:2], first[2:]) if inputs == 3 else (first[:1], first[1:])
    gives = weights(last.kernel, lambda kernel: kernel.reshape(1, -1, kernel.shape[-1], 1))
    return Ends(tuple(map(tuple, takes)), gives, offset(last.bias))


def _depthwise(kernel: NDArray[Any]) -> NDArray[Any]:
    return kernel.reshape(-1, *kernel.shape[-2:]).transpose(1, 2, 0)[:, None]


def _matrix(kernel: NDArray[Any]) -> NDArray[Any]:
    return kernel.reshape(1, *kernel.shape[-2:], 1)


def _each(gamma: NDArray[Any]) -> NDArray[Any]:
    return gamma.reshape(-1, 1, 1, 1)


def bound(activation: Any) -> float | None:
    """Return up to which value f(s x) is s f(x) for every positive s, inf if everywhere; None if it is not.

    activation is a function of Keras, a layer, or an operation between layers.
    """
    import keras

    kind = type(activation)
    if activation is None or activation in (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu):
        return np.inf
    if activation is keras.activations.relu6:
        return 6.0
    if kind is keras.layers.Activation:
        return bound(activation.activation)
    if kind is keras.layers.ReLU:
        is_shifted, top = activation.threshold, activation.max_value
        return None if is_shifted else np.inf if top is None else float(top)
    if kind.__name__ in HOMOGENEOUS and kind is getattr(keras.layers, kind.__name__, None):
        is_last = getattr(activation, "data_format", None) in (None, "channels_last")
        return np.inf if is_last and getattr(activation, "interpolation", "nearest") in ("nearest", "bilinear") else None
    # An operation, such as keras.ops.relu(x).
    return {"Relu": np.inf, "Relu6": 6.0}.get(kind.__name__) if _is_operation(activation) else None


def _is_operation(layer: Any) -> bool:
    return type(layer).__module__.startswith("keras.src.ops.")


def join(call: Call, ranges: list[Range], channels: Channels) -> None:
    """Join the channels that one call without weights takes with those that it gives; fix them if it is no multiple."""
    import keras

    layer, name = call.layer, type(call.layer).__name__
    is_known = _is_operation(layer) or type(layer) is getattr(keras.layers, name, None)
    shapes, taken = [ranges[number].shape for number in call.taken], [channels.of(number) for number in call.taken]
    if len(call.given) != 1 or not is_known or not taken:
        channels.fix((*call.taken, *call.given))
        return
    given, shape = channels.of(call.given[0]), ranges[call.given[0]].shape
    constants = len(keras.tree.flatten(call.arguments)) - len(taken)
    joined: set[int] = set()
    if len(taken) == 1 and bound(layer) and len(taken[0]) == len(given):
        channels.join(taken[0], given)
        joined = {*call.taken, *call.given}
    elif name in ("Flatten", "Reshape") and getattr(layer, "data_format", "channels_last") == "channels_last":
        places = np.broadcast_to(taken[0], shapes[0]).reshape(-1, len(given))
        # Each channel of the output may hold several channels of the input, which have the same factor then.
        channels.join(places, given)
        joined = {*call.taken, *call.given}
    elif name in SUMS and not constants:
        for one in taken:
            channels.join(one, given)
        joined = {*call.taken, *call.given}
    elif name == "Concatenate" and (is_layer := isinstance(layer, keras.layers.Layer)):
        if layer.axis in (-1, len(shape)) and is_layer:
            channels.join(np.concatenate(taken), given)
        else:
            for one in taken:
                channels.join(one, given)
        joined = {*call.taken, *call.given}
    elif name in PRODUCTS and len(taken) + constants == 2:
        # The factors of a product are those of one of the two: the one that is no constant and no gate.
        main = 0 if len(taken) == 1 or name != "Multiply" else int(np.argmax([np.prod(one) for one in shapes]))
        if shapes[main] == shape and (len(taken) == 2 or name == "Multiply" or keras.ops.is_tensor(call.arguments[0])):
            channels.join(taken[main], given)
            joined = {call.taken[main], *call.given}
    elif name == "Rescaling" and not np.any(layer.offset):
        channels.join(taken[0], given)
        joined = {*call.taken, *call.given}
    channels.fix({*call.taken, *call.given} - joined)


def balance(calls: list[Call], ranges: list[Range]) -> list[Vector]:
    """Return the factors of the channels of each tensor."""
    channels, takers = Channels(ranges), list[Taker]()
    tops = np.full(len(channels.is_fixed), np.inf)
    times = Counter(id(call.layer) for call in calls)
    users = Counter(number for call in calls for number in call.taken)
    given = {number for call in calls for number in call.given}
    # The images, constants, and results.
    channels.fix(number for number in range(len(ranges)) if number not in given or not users[number])
    # An activation function is fused into the layer before it, whose output is not rounded then.
    fused = set[int]()
    for call in calls:
        found = ends(call)
        top = bound(getattr(call.layer, "activation", None) if found else call.layer)
        if times[id(call.layer)] > 1:
            channels.fix((*call.taken, *call.given))
        elif found is None:
            join(call, ranges, channels)
            if top and len(call.taken) == 1 and users[call.taken[0]] == 1:
                fused.add(call.taken[0])
        else:
            weights = call.layer.get_weights()
            for number, takes in zip(call.taken, found.takes, strict=True):
                takers += [Taker(number, one.view(weights[one.place].astype(np.float64))) for one in takes]
            channels.fix([*(n for n, takes in zip(call.taken, found.takes, strict=True) if not takes)])
            channels.fix([] if found.gives else call.given)
        if top and np.isfinite(top):
            (number,) = call.given
            places, high = channels.of(number), np.maximum(ranges[number].high, TINY)
            tops[places] = top / (HEADROOM * high)
            channels.is_fixed[places[tops[places] < 1]] = True
    groups, is_fixed = channels.groups()
    limits = np.full(len(is_fixed), np.inf)
    np.minimum.at(limits, groups, tops)
    parts = Groups([groups[channels.of(number)] for number in range(len(ranges))], ranges, is_fixed, limits)
    factors = np.ones(len(is_fixed))
    for tensors in _families(parts):
        inside = [taker for taker in takers if taker.tensor in tensors]
        rounded = [number for number in tensors if number not in fused]
        if inside and rounded:
            # Families have no groups in common.
            factors *= _best(inside, rounded, parts)
    return [factors[one] for one in parts.of]


def _families(groups: Groups) -> list[list[int]]:
    """Return lists of tensors that share groups of channels whose factors are free."""
    free, count = [one[~groups.is_fixed[one]] for one in groups.of], len(groups.is_fixed)
    edges = [np.stack([one, np.full_like(one, count + number)]) for number, one in enumerate(free)]
    labels = _components(np.concatenate(edges, 1), count + len(free))[count:]
    families: dict[int, list[int]] = {}
    for number, label in enumerate(labels):
        families.setdefault(int(label), []).append(number)
    return list(families.values())


def _components(pairs: NDArray[np.int64], count: int) -> Numbers:
    """Return the number of the connected component of each of `count` things that pairs (2, n) connect."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(pairs.shape[1], bool), pairs), (count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _best(takers: list[Taker], rounded: list[int], groups: Groups) -> Vector:
    """Return the factor of each group of channels with which the takers of a family of tensors get the least rounding noise."""
    ones = np.ones(len(groups.is_fixed))
    reach, weight, is_free = np.zeros(len(ones)), np.zeros(len(ones)), np.zeros(len(ones), bool)
    for number in rounded:
        span = groups.ranges[number].span
        np.maximum.at(reach, groups.of[number], span / max(float(span.max()), TINY))
        is_free[groups.of[number]] = True
    for taker in takers:
        peaks = np.abs(taker.weights).max(3)
        shares = (peaks / np.maximum(peaks.max(1, keepdims=True), TINY)).max(2)
        np.maximum.at(weight, groups.of[taker.tensor], shares.ravel())
    is_free &= ~groups.is_fixed
    is_used = is_free & (reach > 0) & (weight > 0)
    if not is_used.any():
        return ones
    # Channels without activations or weights get factors, too, or their other half would set the scale for all.
    reach = np.maximum(reach, MIN_RANGE * np.percentile(reach[is_used], LOW_PERCENTILE))
    weight = np.maximum(weight, weight[is_used].min())
    options = [ones]
    for share in SHARES:
        factors = ones.copy()
        factors[is_free] = weight[is_free] ** (1 - share) / reach[is_free] ** share
        # The largest range stays, so that channels which must stay as they are fit in.
        factors[is_free] *= reach[is_free].max() / (reach * factors)[is_free].max()
        powers = np.minimum(np.rint(np.log2(factors)), np.floor(np.log2(groups.limits)))
        options.append(np.where(is_free, 2.0 ** np.clip(powers, -MAX_POWER, MAX_POWER), 1))
    noises = [
        np.concatenate([_noise(taker, one[groups.of[taker.tensor]], groups.ranges[taker.tensor]) for taker in takers])
        for one in options
    ]
    gains = [float(np.log(one / noises[0]).mean()) for one in noises]
    place = int(np.argmin(gains))
    return options[place] if gains[place] < np.log(MIN_GAIN) else options[0]


def _noise(taker: Taker, factors: Vector, seen: Range) -> Vector:
    """Return the variance that rounding gives each output of a taker whose input has factors."""
    step = (max(float((factors * seen.high).max()), 0) - min(float((factors * seen.low).min()), 0)) / STEPS
    factors = factors.reshape(*taker.weights.shape[:2], 1, 1)
    scaled = taker.weights / factors
    steps = np.abs(scaled).max((1, 3)) / MAX_WEIGHT
    power = seen.power.reshape(factors.shape) * factors**2
    of_weights = steps**2 * power.sum((1, 3)) * scaled.shape[3]
    return ((step**2 * (scaled**2).sum((1, 3)) + of_weights) / 12 + TINY).ravel()
