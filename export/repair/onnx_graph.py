"""A network in ONNX whose nodes know the Keras layers that they come from."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..convert import onnx_int8
from ..convert.onnx import convert, fold_scaling, inputs_of, sort_nodes
from .layers import Layer, spread_of

if TYPE_CHECKING:
    import keras
    import onnx

# How nodes are named while a network is converted, by the place of their layer. TensorFlow makes names unique by a number at the
# end, which a layer's own name may have as well.
SCOPE = re.compile(r"lettercast\.(\d+)/")
# What ONNX Runtime computes with integers, apart from operations that pass numbers on and those that cut them off.
LINEAR = ("Conv", "Gemm", "MatMul")
INTEGER = (*LINEAR, "Add", "Mul", "Sigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool", "Concat")
PASSING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "MaxPool", "Slice", "Identity")
CUTTING = ("Relu", "Clip")
# A softmax over few classes costs next to nothing, so it stays in float and the probabilities are not rounded.
FLOAT_ONLY = ("Softmax",)
# What computes sizes, not numbers of images.
SHAPES = ("Shape", "Gather", "ReduceProd", "Concat", "Cast")
# The name of the activation function within a layer with weights, behind the layer's.
ACTIVATION = "activation"


@dataclass(frozen=True)
class LayerGraph:
    """A float32 graph and the layers that its nodes belong to.

    Attributes:
        model: its values are named after their layers, and every node after its first result.
        owner: the name of the layer of each node, by the name of the node.
        layers: those that can be quantized, in the order of execution.
        weights: the node that uses a matrix of weights or filters, by the name of these; the first node if several do.
    """

    model: "onnx.ModelProto"
    owner: Mapping[str, str]
    layers: tuple[Layer, ...]
    weights: "Mapping[str, onnx.NodeProto]"


@dataclass
class _Part:
    """A Keras layer within a network: its unique name, the layer, and the place of the layer that made its input."""

    name: str
    layer: Any
    source: int | None = None


def open_graph(network: "keras.Model") -> LayerGraph:
    """Convert a network to float32 ONNX, and find the layer of each node; raises ValueError if ONNX cannot hold it."""
    with _scopes(network) as parts:
        model = fold_scaling(convert(network))
    sort_nodes(model.graph)
    owner = _rename(model.graph, parts, _owners(model.graph, parts))
    weights = onnx_int8.rounded_layers(model.graph)
    return LayerGraph(model, owner, _describe(model, owner, weights, {part.name: part for part in parts}), weights)


@contextmanager
def _scopes(network: "keras.Model") -> Iterator[list[_Part]]:
    """Trace each layer within a scope of its own."""
    import tensorflow as tf

    parts: list[_Part] = []
    try:
        for name, layer in _unique(list(_layers(network, ""))):
            place, call, part = len(parts), layer.call, _Part(name, layer)

            def traced(*args: Any, call: Any = call, place: int = place, part: _Part = part, **settings: Any) -> Any:
                found = SCOPE.match(str(getattr(args[0], "name", ""))) if args else None
                part.source = int(found[1]) if found and part.source is None else part.source
                # With a slash at the end it is the same scope each time, wherever the call is.
                with tf.name_scope(f"lettercast.{place}/"):
                    return call(*args, **settings)

            layer.call = traced
            parts.append(part)
        yield parts
    finally:
        for part in parts:
            del part.layer.call


def _layers(network: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield operations and layers with their paths, those within layers and nested networks, too, but not networks."""
    import keras

    is_network = isinstance(network, keras.Model)
    inner = getattr(network, "operations", None) if is_network else None
    for layer in inner if inner is not None else network._flatten_layers(include_self=False, recursive=False):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not isinstance(layer, keras.Model):
            yield f"{path}{layer.name}", layer
        if isinstance(layer, keras.Layer):
            yield from _layers(layer, f"{path}{layer.name}/")


def _unique(found: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield each layer once. Its name is its own, or its path if another has the same or it is within a layer."""
    import keras

    layers = {id(layer): (path, layer) for path, layer in reversed(found)}
    ordered = [layers.pop(id(layer)) for _, layer in found if id(layer) in layers]
    names = [layer.name for _, layer in ordered]
    kept = {path for path, layer in ordered if isinstance(layer, keras.Layer)}
    for path, layer in ordered:
        is_within = path.rpartition("/")[0] in kept
        yield (path if is_within or names.count(layer.name) > 1 else layer.name), layer


def _owners(graph: "onnx.GraphProto", parts: list[_Part]) -> list[int | None]:
    """Return the place of the layer of each node, None if none is known."""
    values = {value.name for value in graph.initializer}
    made: dict[str, int | None] = {}
    owners: list[int | None] = []
    for node in graph.node:
        constants = [name for name in node.input if name in values]
        # The weights of a convolution are named after it, unless a normalization was folded into them. The result of an operation
        # may be named after one that followed and is gone.
        names = [*constants[:1], node.name, *node.output, *constants[1:]] if node.op_type in LINEAR else [node.name, *node.output]
        found = next((int(match[1]) for name in names if (match := SCOPE.search(name))), None)
        if found is not None and node.op_type in LINEAR and constants:
            seen = set()
            while type(parts[found].layer).__name__ == "BatchNormalization" and found not in seen:
                seen.add(found)
                source = parts[found].source
                found = found if source is None else source
        if found is None:
            found = _common([place for name in node.input if (place := made.get(name)) is not None], parts)
        owners.append(found)
        made |= dict.fromkeys(node.output, found)
    return owners


def _common(places: list[int], parts: list[_Part]) -> int | None:
    """Return the place of the layer that holds several, else the first of them: an attention's products have no names."""
    paths = [parts[place].name.split("/") for place in places]
    shared = [names[0] for names in zip(*paths, strict=False) if len(set(names)) == 1]
    holder = next((place for place, part in enumerate(parts) if shared and part.name == "/".join(shared)), None)
    return holder if holder is not None else next(iter(places), None)


def _rename(graph: "onnx.GraphProto", parts: list[_Part], owners: list[int | None]) -> dict[str, str]:
    """Name nodes and values after their layers; return the layer of each node."""
    layers = _layer_names(graph, parts, owners)
    fixed = {value.name for value in (*graph.input, *graph.output)}
    values = {value.name for value in graph.initializer}
    renamed = {name: name for name in fixed}
    taken = set(fixed)

    def rename(old: str, name: str) -> None:
        if not old or old in renamed:
            return
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name}.{count}"
        taken.add(unique)
        renamed[old] = unique

    owner: dict[str, str] = {}
    for node, name in zip(graph.node, layers, strict=True):
        for place, value in enumerate(node.input):
            if value in values:
                rename(value, f"{name}.{'weights' if node.op_type in LINEAR and place == 1 else 'constant'}")
        for value in node.output:
            rename(value, name)
        node.input[:] = [renamed.get(value, value) for value in node.input]
        node.output[:] = [renamed.get(value, value) for value in node.output]
        node.name = node.output[0]
        owner[node.name] = name
    for value in graph.initializer:
        value.name = renamed.get(value.name, value.name)
    del graph.value_info[:]
    return owner


def _layer_names(graph: "onnx.GraphProto", parts: list[_Part], owners: list[int | None]) -> list[str]:
    """Return the name of the layer of each node, the activation function of a layer with weights apart."""
    values, answers = {value.name for value in graph.initializer}, {value.name for value in graph.output}
    owned: dict[int | None, list[onnx.NodeProto]] = defaultdict(list)
    for node, place in zip(graph.node, owners, strict=True):
        owned[place].append(node)
    cores = {place: {id(node) for node in _core(nodes, values)} for place, nodes in owned.items()}
    users = Counter(name for node in graph.node for name in inputs_of(node))
    made: dict[str, str] = {}
    names = []
    for node, place in zip(graph.node, owners, strict=True):
        name = node.op_type if place is None else parts[place].name
        rest = [one.op_type for one in owned[place] if id(one) not in cores[place]]
        first = node.input[0] if node.input else ""
        if place is not None and cores[place] and id(node) not in cores[place] and set(rest) - {*PASSING, *FLOAT_ONLY, *SHAPES}:
            name = f"{name}/{ACTIVATION}"
        elif node.op_type in CUTTING and len(owned[place]) == 1 and first in made and users[first] == 1 and first not in answers:
            # A relu belongs to the layer whose only result it cuts off.
            name = made[first]
        names.append(name)
        made |= dict.fromkeys(node.output, name)
    return names


def _core(nodes: "list[onnx.NodeProto]", values: set[str]) -> "list[onnx.NodeProto]":
    """Return the nodes of a layer that multiply with weights, add biases, cut off or reshape; [] if it has no weights."""
    weighted = [node for node in nodes if node.op_type in LINEAR and any(name in values for name in node.input)]
    if not weighted:
        return []
    core, ends = [], set()
    for node in nodes:
        is_bias = node.op_type == "Add" and any(name in values for name in node.input)
        follows = bool(ends & set(node.input)) and (is_bias or node.op_type in (*PASSING, *CUTTING))
        if node in weighted or follows or (not ends and node.op_type in PASSING):
            core.append(node)
            ends |= set(node.output) if node in weighted or follows else set()
    return core


def _describe(
    model: "onnx.ModelProto", owner: Mapping[str, str], weights: "Mapping[str, onnx.NodeProto]", parts: Mapping[str, _Part]
) -> tuple[Layer, ...]:
    """Describe the layers that can be quantized."""
    import onnx

    graph = model.graph
    sizes = {value.name: int(np.prod(value.dims)) for value in graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: [one.dim_value or 1 for one in value.type.tensor_type.shape.dim] for value in inferred.value_info}
    shapes |= {value.name: [one.dim_value or 1 for one in value.type.tensor_type.shape.dim] for value in graph.output}
    quantized = {owner[node.name] for node in graph.node if node.op_type in INTEGER}
    names = [name for name in dict.fromkeys(owner[node.name] for node in graph.node) if name in quantized]
    followers = _followers(graph, owner, quantized)
    constants: dict[str, set[str]] = defaultdict(set)
    multiplications: dict[str, int] = defaultdict(int)
    for node in graph.node:
        constants[owner[node.name]] |= {name for name in node.input if sizes.get(name, 0) > 1}
        if node.op_type in LINEAR and node.input[1] in sizes:
            made, channels = shapes.get(node.output[0], [1]), _channels(graph, node)
            multiplications[owner[node.name]] += int(np.prod(made)) // max(1, channels) * sizes[node.input[1]]
    arrays = {value.name: value for value in graph.initializer if value.name in weights}
    spreads: dict[str, float] = defaultdict(lambda: 1.0)
    for name, node in weights.items():
        spread = spread_of(onnx.numpy_helper.to_array(arrays[name]), onnx_int8.channel_axis(node))
        spreads[owner[node.name]] = max(spreads[owner[node.name]], spread)
    is_weighted = {owner[node.name] for node in weights.values()}
    return tuple(
        Layer(
            name,
            type(parts[name].layer).__name__ if name in parts else "Activation",
            sum(sizes[one] for one in constants[name]) if name in is_weighted else 0,
            multiplications[name],
            tuple(followers[name]),
            spreads[name],
        )
        for name in names
    )


def _channels(graph: "onnx.GraphProto", node: "onnx.NodeProto") -> int:
    """Return the number of output channels of a layer with weights."""
    (dims,) = (value.dims for value in graph.initializer if value.name == node.input[1])
    return int(dims[onnx_int8.channel_axis(node)])


def _followers(graph: "onnx.GraphProto", owner: Mapping[str, str], quantized: set[str]) -> dict[str, list[str]]:
    """Return the layers that take the output of each, through operations that are no part of a quantized layer."""
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in inputs_of(node):
            users[name].append(node)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    reached: dict[str, dict[str, None]] = {}
    for node in reversed(graph.node):
        ahead: dict[str, None] = {}
        for name in node.output:
            for user in users[name]:
                layer = owner[user.name]
                ahead |= {layer: None} if layer in quantized and layer != owner[node.name] else reached[user.name]
        reached[node.name] = ahead
        found[owner[node.name]] = {**ahead, **found[owner[node.name]]}
    return {name: [one for one in ahead if one != name] for name, ahead in found.items()}
