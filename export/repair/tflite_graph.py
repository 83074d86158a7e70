"""A network as a graph of TFLite operations, each of which knows the Keras layer that it computes.

TFLite names a tensor by the scopes of TensorFlow's operations that made it. Names of Keras layers in them are ambiguous, because
TensorFlow appends numbers to them. So the layers have the names of marks, `lc7.`, while a network is converted.
"""

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.console import quiet
from ..convert import tflite
from .layers import Layer, spread_of

if TYPE_CHECKING:
    import keras

# Layers that are one layer for you, whatever they are made of: the inner layers of a recurrent one are its steps.
UNDIVIDED = ("RNN", "Bidirectional", "TimeDistributed", "Wrapper")
# Layers and operations of Keras that are activation functions: they belong to the layer before them.
ACTIVATIONS = (
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    *("Relu", "Relu6", "Sigmoid", "Silu", "HardSilu", "HardSwish", "HardSigmoid", "Tanh", "Gelu", "LeakyRelu", "Elu", "Selu"),
    *("Celu", "Softplus", "Softsign", "LogSoftmax"),
)
# Numbers of operators in TFLite's schema, and the position of the weights of those that multiply by them. BATCH_MATMUL has
# weights if its second input is constant.
CONV, DEPTHWISE, DENSE, TRANSPOSED, MATMUL, CONV_3D, TRANSPOSED_3D = 3, 4, 9, 67, 126, 132, 141
WEIGHTED = {CONV: 1, DEPTHWISE: 1, DENSE: 1, TRANSPOSED: 1, MATMUL: 1, CONV_3D: 1, TRANSPOSED_3D: 1}
# Tensor types in TFLite's schema.
FLOAT32, INT8, INT4 = 0, 9, 17
# The oldest runtimes that multiply 8-bit activations by 4-bit weights. Convolutions run on tflite-runtime 2.14; dense layers
# do not, nor on LiteRT 1.0.1, which is TFLite 2.18; they run on LiteRT 1.1.
INT4_CONV_RUNTIME, INT4_RUNTIME = b"2.11.0", b"2.19.0"
MARK = re.compile(r"(?:^|/)lc(\d+)\.[^/]*")


@dataclass(frozen=True)
class Part:
    """A layer or an operation of a Keras network.

    Attributes:
        operation: of Keras.
        networks: names of the nested networks that lead to it.
        path: its name, behind those of the layers that it is a part of.
        is_network: whether it is a network itself.
    """

    operation: Any
    networks: tuple[str, ...]
    path: tuple[str, ...]
    is_network: bool

    @property
    def kind(self) -> str:
        """The Keras class."""
        return type(self.operation).__name__

    @property
    def has_kernel(self) -> bool:
        """Whether it has weights that it multiplies channels by."""
        return any(len(weight.shape) > 1 for weight in getattr(self.operation, "weights", ()))


@dataclass
class Group:
    """The operations of a graph that are one layer, by their index."""

    name: str
    kind: str
    operators: list[int] = field(default_factory=list)


@dataclass
class Graph:
    """A float32 TFLite model whose tensors are named `t0`, `t1` and so on, by their index.

    Attributes:
        tree: the unpacked model (ModelT), with one subgraph.
        names: those that the converter gave the tensors.
        codes: the operator of each operation.
        groups: the layers, in the order of execution.
        hosts: the layer in which another Keras layer is computed, such as the convolution that a normalization is folded into.
    """

    tree: Any
    names: list[bytes]
    codes: list[int]
    groups: list[Group]
    hosts: dict[str, str]

    @property
    def subgraph(self) -> Any:
        """The operations and tensors."""
        return self.tree.subgraphs[0]

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor is stored in the file."""
        return tensor >= 0 and self.tree.buffers[self.subgraph.tensors[tensor].buffer].data is not None

    def constant(self, tensor: int) -> NDArray[np.float32]:
        """Return the float32 values of a tensor that is stored in the file."""
        data = self.tree.buffers[self.subgraph.tensors[tensor].buffer].data
        return np.frombuffer(bytes(data), np.float32).reshape(self.subgraph.tensors[tensor].shape)

    def inputs(self, operator: int) -> list[int]:
        """Return the tensors that an operation takes from other operations or from the image."""
        return [int(one) for one in self.subgraph.operators[operator].inputs if one >= 0 and not self.is_constant(one)]

    def outputs(self, group: Group) -> list[int]:
        """Return the float tensors of a layer that other layers take, or that are the answer."""
        inside = {int(one) for operator in group.operators for one in self.subgraph.operators[operator].outputs}
        others = [op for index, op in enumerate(self.subgraph.operators) if index not in set(group.operators)]
        taken = {int(one) for op in others for one in op.inputs} | {int(one) for one in self.subgraph.outputs}
        return sorted(one for one in inside & taken if self.subgraph.tensors[one].type == FLOAT32)

    def describe(self) -> tuple[Layer, ...]:
        """Return the layers as they are shown."""
        layer_of = {op: group.name for group in self.groups for op in group.operators}
        takers: dict[int, list[str]] = {}
        for index, operator in enumerate(self.subgraph.operators):
            for tensor in operator.inputs:
                takers.setdefault(int(tensor), []).append(layer_of[index])
        layers = []
        for group in self.groups:
            constants = {
                int(one) for index in group.operators for one in self.subgraph.operators[index].inputs if self.is_constant(one)
            }
            floats = [tensor for one in constants if (tensor := self.subgraph.tensors[one]).type == FLOAT32]
            followers = dict.fromkeys(name for one in self.outputs(group) for name in takers.get(one, ()) if name != group.name)
            # A single number is a part of the operation, such as the epsilon of a normalization.
            weights = sum(_size(tensor) for tensor in floats if _size(tensor) > 1)
            work = sum(self._multiplications(index) for index in group.operators)
            spread = max(map(self._spread, group.operators))
            layers.append(Layer(group.name, group.kind, weights, work, tuple(followers), spread))
        return tuple(layers)

    def _spread(self, operator: int) -> float:
        op, code = self.subgraph.operators[operator], self.codes[operator]
        if code not in (CONV, DEPTHWISE, DENSE, TRANSPOSED) or not self.is_constant(op.inputs[1]):
            return 1.0
        tensor = self.subgraph.tensors[op.inputs[1]]
        if tensor.type != FLOAT32:
            return 1.0
        values = np.frombuffer(np.asarray(self.tree.buffers[tensor.buffer].data, np.uint8).tobytes(), np.float32)
        return spread_of(values.reshape(tensor.shape), -1 if code == DEPTHWISE else 0)

    def _multiplications(self, operator: int) -> int:
        op, code = self.subgraph.operators[operator], self.codes[operator]
        if code not in WEIGHTED or not self.is_constant(op.inputs[WEIGHTED[code]]):
            return 0
        weights, target = self.subgraph.tensors[op.inputs[WEIGHTED[code]]], self.subgraph.tensors[op.outputs[0]]
        if code == TRANSPOSED:
            target = self.subgraph.tensors[op.inputs[2]]
        channels = weights.shape[-1] if code in (DEPTHWISE, TRANSPOSED, MATMUL) else weights.shape[0]
        return _size(weights) * _size(target) // int(channels)


def read(model: bytes) -> Any:
    """Unpack a TFLite model (ModelT), with all buffers inside, whether they lie in the flatbuffer or behind it."""
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    for buffer in tree.buffers:
        # What aeq writes behind the flatbuffer, older runtimes do not find.
        if buffer.offset > 1:
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return tree


def write(tree: Any) -> bytes:
    """Pack a model (ModelT)."""
    import flatbuffers

    builder = tflite.aligned(flatbuffers.Builder)(1 << 20)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator_kinds(tree: Any) -> frozenset[Any]:
    """Return the operators of a model (ModelT) with the types of their tensors, on which their versions depend."""
    tensors = tree.subgraphs[0].tensors

    def kind(index: int) -> tuple[int, bool]:
        scale = None if tensors[index].quantization is None else tensors[index].quantization.scale
        return (-1, False) if index < 0 else (int(tensors[index].type), scale is not None and len(scale) > 1)

    return frozenset(
        (tree.operatorCodes[operator.opcodeIndex].builtinCode, *map(kind, operator.inputs), kind(operator.outputs[0]))
        for operator in tree.subgraphs[0].operators
    )


def find_versions(tree: Any) -> tuple[dict[int, int], bytes]:
    """Return the version that each operator of a model (ModelT) must have, and the oldest runtime that has all of them.

    aeq leaves both as they are in float, so that an old runtime would open a file that it does not understand. TensorFlow knows
    them when it writes a file, so it writes this one once more, from which only the versions are taken.
    """
    from tensorflow.lite.python import convert as tensorflow

    changed, subgraph = copy.copy(tree), copy.copy(tree.subgraphs[0])
    subgraph.tensors, changed.buffers = list(subgraph.tensors), list(tree.buffers)
    codes = [code.builtinCode for code in tree.operatorCodes]
    narrow: set[int] = set()
    for index, tensor in enumerate(subgraph.tensors):
        if tensor.type == INT4:
            # TensorFlow aborts at it.
            narrow.add(index)
            wide = copy.copy(tensor)
            wide.type = INT8
            subgraph.tensors[index] = wide
    for operator in subgraph.operators:
        if codes[operator.opcodeIndex] not in WEIGHTED:
            continue
        # TensorFlow would store weights without zeros otherwise.
        index = int(operator.inputs[WEIGHTED[codes[operator.opcodeIndex]]])
        tensor = subgraph.tensors[index]
        data = changed.buffers[tensor.buffer].data
        if data is not None:
            full = copy.copy(changed.buffers[tensor.buffer])
            full.data = np.ones(_size(tensor) if tensor.type == INT8 else len(data), np.uint8)
            changed.buffers[tensor.buffer] = full
    changed.subgraphs = [subgraph]
    with quiet():
        written = read(tensorflow.mlir_sparsify(write(changed)))
    versions: dict[int, int] = {}
    for code in written.operatorCodes:
        versions[code.builtinCode] = max(code.version, versions.get(code.builtinCode, 1))
    entries = [entry for entry in written.metadata or [] if entry.name == tflite.RUNTIME_KEY]
    runtime = bytes(written.buffers[entries[0].buffer].data) if entries else b"1.5.0"
    users = {codes[operator.opcodeIndex] for operator in subgraph.operators for one in operator.inputs if int(one) in narrow}
    if users:
        runtime = max(INT4_CONV_RUNTIME if users == {CONV} else INT4_RUNTIME, runtime, key=tflite.parse_version)
    return versions, runtime


def convert(network: "keras.Model") -> Graph:
    """Convert a network to a graph; raises ValueError if it has branches or loops."""
    with _marked(network) as parts:
        model = tflite.float32(network, np.empty(0, np.uint8))
    tree = read(model)
    if len(tree.subgraphs) != 1:
        raise ValueError("TFLite's integers have no branches or loops")
    subgraph = tree.subgraphs[0]
    names = [tensor.name for tensor in subgraph.tensors]
    for index, tensor in enumerate(subgraph.tensors):
        tensor.name = b"t%d" % index
    codes = [tree.operatorCodes[operator.opcodeIndex].builtinCode for operator in subgraph.operators]
    graph = Graph(tree, names, codes, [], {})
    _find_groups(graph, parts, _last(network, parts))
    # The marks say nothing to a reader of the file.
    graph.names = [
        MARK.sub(lambda found: f"/{'/'.join(parts[int(found[1])].path)}", name.decode()).lstrip("/").encode() for name in names
    ]
    return graph


@contextmanager
def _marked(network: "keras.Model") -> Iterator[list[Part]]:
    """Give all layers and operations of a network the names of marks, `lc` and their index in the list, for a while."""
    import keras
    import tensorflow as tf

    parts = list(_parts(network))

    def scoped(call: Callable[..., Any], mark: str) -> Callable[..., Any]:
        def call_in_scope(*args: Any, **settings: Any) -> Any:
            with tf.name_scope(mark):
                return call(*args, **settings)

        return call_in_scope

    layers = [part.operation for part in parts if isinstance(part.operation, keras.layers.Layer)]
    names = [layer.name for layer in layers]
    try:
        for index, part in enumerate(parts):
            if isinstance(part.operation, keras.layers.Layer):
                part.operation.name = f"lc{index}."
            else:
                part.operation.call = scoped(part.operation.call, f"lc{index}.")
        yield parts
    finally:
        for layer, name in zip(layers, names, strict=True):
            layer.name = name
        for part in parts:
            part.operation.__dict__.pop("call", None) if not isinstance(part.operation, keras.layers.Layer) else None


def _parts(
    layer: Any, networks: tuple[str, ...] = (), path: tuple[str, ...] = (), seen: set[int] | None = None
) -> Iterator[Part]:
    """Yield a layer and everything in it, once each."""
    import keras

    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    is_network = isinstance(layer, keras.Model)
    yield Part(layer, networks, (*path, layer.name), is_network)
    if {base.__name__ for base in type(layer).__mro__} & set(UNDIVIDED):
        return
    inner: list[Any] = []
    if is_network and isinstance(layer, keras.Sequential) and layer._functional is not None:
        inner = list(layer._functional._operations)
    elif is_network and hasattr(layer, "_operations"):
        inner = list(layer._operations)
    elif isinstance(layer, keras.layers.Layer):
        inner = list(layer._flatten_layers(recursive=False, include_self=False))
    networks, path = ((*networks, layer.name), ()) if is_network else (networks, (*path, layer.name))
    for one in inner:
        yield from _parts(one, networks, path, seen)


def _unique_names(parts: list[Part]) -> dict[int, str]:
    """Return a name for each part: its own, behind those of the layers that it is in, and of its networks where it must be."""
    names: dict[int, str] = {}
    short = ["/".join(part.path) for part in parts]
    # The outermost network is the file itself.
    long = ["/".join((*part.networks[1:], *part.path)) for part in parts]
    taken: Counter[str] = Counter()
    count = Counter(name for name, part in zip(short, parts, strict=True) if not part.is_network)
    for index, part in enumerate(parts):
        name = short[index] if count[short[index]] < 2 or part.is_network else long[index]
        taken[name] += 1
        names[index] = name if taken[name] == 1 else f"{name}_{taken[name]}"
    return names


def _last(network: "keras.Model", parts: list[Part]) -> int | None:
    """Return the part that gives the answer, None if a network of your own class hides it."""
    import keras

    operation: Any = network
    while isinstance(operation, keras.Model):
        if isinstance(operation, keras.Sequential):
            operation = operation._functional
        if not getattr(operation, "_operations", None):
            return None
        operation = operation.outputs[0]._keras_history.operation
    return next((index for index, part in enumerate(parts) if part.operation is operation), None)


def _find_groups(graph: Graph, parts: list[Part], last: int | None) -> None:
    """Fill in which operations are which layer, and which layers are computed in others.

    last is the part that gives the answer, whose tensor is named by the signature.
    """
    names = _unique_names(parts)
    owners: list[tuple[str, str]] = []
    answers = {int(one) for one in graph.subgraph.outputs}
    producer = {int(one): index for index, op in enumerate(graph.subgraph.operators) for one in op.outputs}
    for index, operator in enumerate(graph.subgraph.operators):
        found = _innermost(graph.names[operator.outputs[0]].decode())
        if not found and graph.codes[index] in WEIGHTED:
            found = [
                one for place in operator.inputs if graph.is_constant(place) for one in _innermost(graph.names[place].decode())
            ]
        if not found and last is not None and {int(one) for one in operator.outputs} & answers:
            found = [(last, "")]
        fused = sorted({part for part, _ in found if not parts[part].is_network})
        if fused:
            kernels = [part for part in fused if parts[part].has_kernel] if graph.codes[index] in WEIGHTED else []
            main = (kernels or fused)[0]
            owner = names[main], parts[main].kind
            graph.hosts |= {names[part]: names[main] for part in fused if part != main}
        elif found and found[0][1]:
            # A network of your own class adds or multiplies between its layers.
            part, rest = found[0]
            first = rest.strip("/").partition("/")[0]
            owner = f"{names[part]}/{first}", first
        else:
            # The converter's own, such as a transposition in front of the layer that needs it.
            before = [producer[one] for one in graph.inputs(index) if one in producer]
            owner = owners[before[0]] if before else ("", "")
        owners.append(owner)
    _join_first(owners)
    _join_activations(graph, owners)
    groups: dict[str, Group] = {}
    for index, (name, kind) in enumerate(owners):
        groups.setdefault(name, Group(name, kind)).operators.append(index)
    graph.groups = list(groups.values())
    graph.hosts = {name: host for name, host in graph.hosts.items() if name not in groups}


def _innermost(name: str) -> list[tuple[int, str]]:
    """Return the innermost mark of each name that fusing joined in a tensor's name, and what follows it."""
    found = []
    for path in name.split(";"):
        marks = list(MARK.finditer(path))
        if marks:
            found.append((int(marks[-1][1]), path[marks[-1].end() :]))
    return found


def _join_first(owners: list[tuple[str, str]]) -> None:
    """Give operations in front of all layers to the first layer."""
    first = next((owner for owner in owners if owner[0]), ("network", "Model"))
    for index, owner in enumerate(owners):
        if not owner[0]:
            owners[index] = first


def _join_activations(graph: Graph, owners: list[tuple[str, str]]) -> None:
    """Give an activation function to the layer before it, unless others take that layer's output as well."""
    operators = graph.subgraph.operators
    producer = {int(one): index for index, op in enumerate(operators) for one in op.outputs}
    answers = {int(one) for one in graph.subgraph.outputs}
    renamed: dict[str, tuple[str, str]] = {}
    for name, kind in dict.fromkeys(owners):
        if kind not in ACTIVATIONS:
            continue
        own = [index for index, owner in enumerate(owners) if owner[0] == name]
        made = {int(one) for index in own for one in operators[index].outputs}
        sources = {one for index in own for one in graph.inputs(index)} - made
        if len(sources) != 1 or (source := sources.pop()) not in producer or source in answers:
            continue
        takers = {index for index, op in enumerate(operators) if source in op.inputs}
        if takers <= set(own):
            host = owners[producer[source]]
            renamed[name] = renamed.get(host[0], host)
    for name, host in renamed.items():
        graph.hosts[name] = host[0]
        graph.hosts |= {part: host[0] for part, old in graph.hosts.items() if old == name}
    owners[:] = [renamed.get(owner[0], owner) for owner in owners]


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.shape)) if tensor.shape is not None else 1
