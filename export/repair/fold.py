"""Batch normalizations folded into the layers before them, as converters do it, but in Keras and under the same names."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

# Layers that a normalization of their channels folds into.
FOLDING = (
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "Dense",
)
# Layers that pass on what they get at inference.
PASSING = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "ActivityRegularization",
)


def folded(network: "keras.Model") -> "keras.Model":
    """Return an equal network in which the layer before a batch normalization does its work wherever that is exact.

    Answers at inference differ by rounding only. Layers keep their names and their order, in nested networks, too; the
    normalizations that were folded are gone. They stay behind an activation function, a layer that is used twice or whose output
    others take as well, and if they normalize another axis than the channels. No weight is shared with the given network, except
    that layers which cannot be made again from their configuration are the same objects in both.
    """
    import keras

    hosts = _hosts(network)
    norms: dict[int, list[Any]] = {}
    for norm, host in hosts.values():
        norms.setdefault(id(host), []).append(norm)
    made: dict[int, tuple[Any, Any]] = {}

    def copy(layer: Any) -> Any:
        if id(layer) not in made:
            made[id(layer)] = layer, _copy(layer, copy, is_host=id(layer) in norms, is_gone=lambda part: id(part) in hosts)
        return made[id(layer)][1]

    result = copy(network)
    for layer, new in made.values():
        if new is not layer and isinstance(layer, keras.layers.Layer) and graph_of(layer) is None and id(layer) not in hosts:
            if id(layer) in norms:
                new.set_weights(folded_weights(layer, norms[id(layer)]))
            else:
                _copy_state(layer, new)
    return result


def folded_weights(layer: "keras.layers.Layer", norms: "list[keras.layers.BatchNormalization]") -> list[NDArray[np.float32]]:
    """Return the weights of a layer with a bias that does the work of the batch normalizations behind it, too.

    The arithmetic is in float64, so that the weights are rounded once.
    """
    import keras

    def exact(variable: Any) -> Any:
        return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)

    kernels = [exact(value) for value in layer.get_weights()]
    shift: Any = kernels.pop() if layer.use_bias else 0.0
    gain: Any = np.ones(())
    for norm in norms:
        scale = (exact(norm.gamma) if norm.scale else 1) / np.sqrt(exact(norm.moving_variance) + norm.epsilon)
        gain = gain * scale
        shift = (shift - exact(norm.moving_mean)) * scale + (exact(norm.beta) if norm.center else 0)
    kind = type(layer).__name__
    if kind.startswith("Depthwise"):
        # (…, inputs, multiplier): the channels of the output are both.
        kernels[0] = kernels[0] * gain.reshape(kernels[0].shape[-2:])
    elif kind.endswith("Transpose"):
        kernels[0] = kernels[0] * gain[:, None]
    else:
        # The second kernel of a separable convolution makes its output.
        kernels[-1] = kernels[-1] * gain
    return [np.asarray(one, np.float32) for one in (*kernels, shift)]


def graph_of(layer: Any) -> list[Any] | None:
    """Return the layers of a Sequential or the nodes of a functional network in their order; None of code of its own."""
    import keras

    if isinstance(layer, keras.Sequential):
        return list(layer.layers) if type(layer).call is keras.Sequential.call else None
    if not isinstance(layer, keras.Model) or type(layer).call.__qualname__ != "Functional.call":
        return None
    depths: dict[int, list[Any]] = layer._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth] if not node.is_input]


def _graphs(network: Any) -> "Iterator[tuple[Any, list[Any]]]":
    """Yield a network and the networks in it, each once, with their layers or nodes."""
    waiting, seen = [network], set[int]()
    while waiting:
        layer = waiting.pop()
        parts = graph_of(layer)
        if id(layer) in seen or parts is None:
            continue
        seen.add(id(layer))
        yield layer, parts
        waiting += [getattr(part, "operation", part) for part in parts]


def _hosts(network: Any) -> dict[int, tuple[Any, Any]]:
    """Return each normalization that folds with the layer that it folds into, in the order of execution, by its identity."""
    import keras

    uses: Counter[int] = Counter()
    for _, parts in _graphs(network):
        for part in parts:
            layer = getattr(part, "operation", part)
            uses[id(layer)] += 1
            if graph_of(layer) is None and isinstance(layer, keras.layers.Layer):
                # A wrapper may hold a layer that the network uses, too.
                uses.update(id(inner) for inner in layer._flatten_layers(include_self=False))
    found: dict[int, tuple[Any, Any]] = {}

    def consider(norm: Any, before: "Callable[[Any], Any | None]") -> None:
        """Note a normalization that folds; `before` returns the layer whose output only this one takes."""
        if type(norm) is not keras.layers.BatchNormalization or uses[id(norm)] != 1:
            return
        host = before(norm)
        while host is not None and (type(host).__name__ in PASSING or id(host) in found):
            host = before(host)
        if host is not None and uses[id(host)] == 1 and _can_fold(host, norm):
            found[id(norm)] = norm, host

    for graph, parts in _graphs(network):
        if isinstance(graph, keras.Sequential):
            order = {id(layer): place for place, layer in enumerate(parts)}
            for layer in parts:
                consider(layer, lambda one, parts=parts, order=order: parts[order[id(one)] - 1] if order[id(one)] else None)
            continue
        takers = Counter(id(tensor) for node in parts for tensor in node.input_tensors)
        takers.update(id(tensor) for tensor in graph.outputs)
        nodes = {id(node.operation): node for node in parts}

        def before(one: Any, takers: Any = takers, nodes: Any = nodes) -> Any | None:
            (tensor, *others) = nodes[id(one)].input_tensors
            origin = tensor._keras_history.operation
            return origin if not others and takers[id(tensor)] == 1 and id(origin) in nodes else None

        for node in parts:
            if not node.arguments.kwargs.get("training"):
                consider(node.operation, before)
    return found


def _can_fold(layer: Any, norm: Any) -> bool:
    """Whether a batch normalization only scales and shifts the channels of the layer right before it."""
    import keras

    kinds = [getattr(keras.layers, name) for name in FOLDING]
    is_plain = type(layer) in kinds and layer.activation is keras.activations.linear and layer.built and norm.built
    if not is_plain or getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        return False
    rank = norm.input_spec.ndim
    channels = 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
    return norm.axis % rank == channels


def _copy(layer: Any, copy: Callable[[Any], Any], *, is_host: bool, is_gone: Callable[[Any], bool]) -> Any:
    """Return a layer, operation or network made again from its configuration, its parts by `copy`; without weights."""
    import keras

    if graph_of(layer) is None:
        try:
            config = layer.get_config()
            return type(layer).from_config({**config, "use_bias": True} if is_host else config)
        except Exception:  # code of a user's own, which may raise anything
            return layer
    if isinstance(layer, keras.Sequential):
        return keras.Sequential(
            [_input(layer.inputs[0]), *(copy(part) for part in layer.layers if not is_gone(part))], name=layer.name
        )

    gone = {id(copy(node.operation)) for node in graph_of(layer) or () if is_gone(node.operation)}
    return keras.models.clone_model(
        layer,
        keras.tree.map_structure(_input, layer.input),
        clone_function=copy,
        call_function=lambda one, *args, **settings: args[0] if id(one) in gone else one(*args, **settings),
    )


def _input(tensor: Any) -> Any:
    """Return an input like that of a network, with the name of its layer."""
    import keras

    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)


def _copy_state(layer: Any, new: Any) -> None:
    """Give a copy of a layer, and the layers in it, all that the layer learned, as Keras saves it."""
    import keras

    for old, part in zip(layer._flatten_layers(), new._flatten_layers(), strict=True):
        state: dict[str, Any] = {}
        old.save_own_variables(state)
        # As copies: JAX, which never changes an array, would share them, and its training deletes those of before.
        part.load_own_variables({name: np.array(keras.ops.convert_to_numpy(value)) for name, value in state.items()})
