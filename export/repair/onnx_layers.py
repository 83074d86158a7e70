"""Quantization of an ONNX file layer by layer, in the form that ONNX Runtime's own quantizer writes (QDQ)."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ..convert import onnx_int8
from ..convert.network import unrolled
from ..convert.onnx import inputs_of, sort_nodes
from ..convert.onnx_int8 import MAX_UNSIGNED_WEIGHT, MAX_WEIGHT, UNSIGNED_ZERO, Rounded, as_unsigned
from .layers import ratio_of
from .onnx_graph import CUTTING, INTEGER, LINEAR, PASSING, LayerGraph, open_graph
from .recipe import DYNAMIC, FLOAT, INT8, WEIGHTS, Recipe

if TYPE_CHECKING:
    import keras
    import onnx

# The largest integer of an activation, and the smallest range that gets a scale.
MAX_ACTIVATION, MIN_RANGE = 255, 1e-8
# Images that run at once.
BATCH = 20
# The largest integer of a bias.
MAX_BIAS = 2**31 - 1
# Operations through which ONNX Runtime looks for the rounding of a layer's result.
SEEN_THROUGH = (*CUTTING, *PASSING, "Add")
# In front of the names of values that an extra copy of the original computes. No layer's name has a space, or a colon as other
# names have here.
EXACT = "exact "


def open_onnx(network: "keras.Model", calibration: Pixels) -> "OnnxQuantizer":
    """Convert a network to ONNX, and calibrate it once on images (N, H, W, C) uint8; raises ValueError if ONNX cannot hold it."""
    return OnnxQuantizer(open_graph(unrolled(network)), calibration)


class OnnxQuantizer:
    """A network in ONNX that recipes quantize; see `Quantizer`. Pixels and probabilities are float32."""

    precisions = (INT8, DYNAMIC, WEIGHTS, FLOAT)

    def __init__(self, graph: LayerGraph, calibration: Pixels) -> None:
        self._graph, self._calibration = graph, calibration
        self.layers = graph.layers
        self._ranges = value_ranges(graph.model, calibration)
        self._rounded: dict[int, dict[str, Rounded]] = {}

    def build(self, recipe: Recipe) -> bytes:
        """Return the content of the file that a recipe makes, the same to the bit each time.

        Raises ValueError if it cannot: a layer that the network lacks, or a precision that a layer cannot have.
        """
        return self._written(recipe).model().SerializeToString(deterministic=True)

    def errors(self, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output, if it alone is quantized and its input is exact."""
        return self._compare(self._written(Recipe("onnx-int8", ""), is_alone=True), images)

    def accumulated(self, recipe: Recipe, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output in the file of a recipe, against the original's."""
        return self._compare(self._written(recipe), images)

    def _written(self, recipe: Recipe, *, is_alone: bool = False) -> "_Writer":
        names = {layer.name for layer in self.layers}
        for name in recipe.layers:
            if name not in names:
                raise ValueError(f"the network has no layer '{name}' that ONNX can quantize")
        if unknown := {recipe.precision, *recipe.layers.values()} - set(self.precisions):
            raise ValueError(f"no ONNX layer can be {min(unknown)}; choose one of {', '.join(self.precisions)}")
        return _Writer(self._graph, self._ranges, recipe, self._round, is_alone=is_alone)

    def _round(self, largest: int) -> dict[str, Rounded]:
        """Return the weights of all layers as integers of -largest to largest."""
        if largest not in self._rounded:
            model, weights = self._graph.model, self._graph.weights
            self._rounded[largest] = onnx_int8.round_layers(model, weights, self._moments, largest)
        return self._rounded[largest]

    @cached_property
    def _moments(self) -> dict[str, NDArray[np.float64]]:
        return onnx_int8.input_moments(self._graph.model, self._graph.weights, self._calibration)

    def _compare(self, writer: "_Writer", images: Pixels) -> dict[str, float]:
        """Return the signal-to-noise ratio of the layers' outputs against those of the original."""
        results = writer.results()
        pairs = [name for value, exact in results.values() for name in (value, exact)]
        session = onnx_int8.open_session(writer.model(pairs).SerializeToString())
        source, answers = writer.graph.model.graph.input[0].name, {value.name for value in writer.graph.model.graph.output}
        axes = {exact: writer.channel_axis(exact.removeprefix(EXACT)) for _, exact in results.values()}
        sums: dict[str, tuple[Any, Any]] = {}
        for start in range(0, len(images), BATCH):
            found = dict(zip(pairs, session.run(pairs, {source: images[start : start + BATCH].astype(np.float32)}), strict=True))
            for layer, (value, exact) in results.items():
                is_answer = exact.removeprefix(EXACT) in answers
                axis = None if is_answer else axes[exact]
                true, seen = (by_channel(found[name], axis) for name in (exact, value))
                power, noise = sums.get(layer, (0.0, 0.0))
                sums[layer] = power + np.square(true).sum(0), noise + np.square(seen - true).sum(0)
        return {layer: ratio_of(power, noise) for layer, (power, noise) in sums.items()}


def by_channel(values: NDArray[np.float32], axis: int | None) -> NDArray[np.float64]:
    """Return values as (numbers, channels), given the axis of the channels; None takes all together, as it does one number."""
    if axis is None or values.ndim < 2:
        return values.reshape(-1, 1).astype(np.float64)
    last = np.moveaxis(values, axis if values.ndim > 3 else -1, -1)
    return last.reshape(-1, last.shape[-1]).astype(np.float64)


def value_ranges(model: "onnx.ModelProto", calibration: Pixels) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest number of each value that can be rounded, on images (N, H, W, C) uint8."""
    import onnx
    from onnxruntime.quantization.calibrate import create_calibrator

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float32.onnx"
        onnx.save(model, path)
        kinds = [*INTEGER, *PASSING, *CUTTING]
        calibrator = create_calibrator(path, kinds, augmented_model_path=str(Path(folder) / "watched.onnx"))
        calibrator.collect_data(onnx_int8.reader(model, calibration, BATCH))
        found = calibrator.compute_data()
    return {name: (float(np.min(data.range_value[0])), float(np.max(data.range_value[1]))) for name, data in found.items()}


def _is_plain(node: "onnx.NodeProto") -> bool:
    """Whether a node multiplies its input as it is, and adds its bias as it is."""
    facts = onnx_int8.attributes(node)
    return (facts.get("transA", 0), facts.get("alpha", 1.0), facts.get("beta", 1.0)) == (0, 1.0, 1.0)


class _Writer:
    """Writes the graph of one recipe.

    A layer in INT8 takes rounded values. Its result is rounded if another layer takes it as integers, or if the layer is a
    convolution, because its integer kernel gives nothing else. Everything else stays as it is.

    is_alone gives each layer the exact values that the original computes, so that the errors of layers do not add up.
    """

    def __init__(
        self,
        graph: LayerGraph,
        ranges: Mapping[str, tuple[float, float]],
        recipe: Recipe,
        rounded: Callable[[int], Mapping[str, Rounded]],
        *,
        is_alone: bool,
    ) -> None:
        self.graph, self.ranges, self.recipe, self.rounded, self.is_alone = graph, ranges, recipe, rounded, is_alone
        self.source = graph.model.graph
        self.constants = {value.name: value for value in self.source.initializer}
        self.answers = {value.name for value in self.source.output}
        self.made = {name: node for node in self.source.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.source.node:
            for name in inputs_of(node):
                self.users[name].append(node)
        # One scale for all biases of a dense layer would be coarse, so they are added in float.
        biases = {node.name for node in onnx_int8.dense_biases(graph.model)}
        self.integer = {node.name for node in self.source.node if node.name not in biases and self._is_integer(node)}
        # Where each rounded value has its scale from, and the values that a relu cuts off, by the relu whose work rounding does.
        self.scaled: dict[str, str] = {}
        self.cut: dict[str, str] = {}
        self._plan()
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.names: dict[Any, str] = {}
        for node in self.source.node:
            if node.name not in self.cut:
                self._write(node)

    def model(self, results: Sequence[str] = ()) -> "onnx.ModelProto":
        """Return the graph; with the names of values as further results, it computes those of the original as well."""
        import onnx

        model = onnx.ModelProto()
        model.ir_version, graph = self.graph.model.ir_version, model.graph
        model.opset_import.extend(self.graph.model.opset_import)
        graph.name = self.source.name
        graph.input.extend(self.source.input)
        graph.output.extend(self.source.output)
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.initializers.values())
        onnx_int8.separate_squares(graph)
        if results:
            inputs = {value.name for value in graph.input}
            for node in self.source.node:
                exact = graph.node.add()
                exact.CopyFrom(node)
                exact.name = EXACT + node.name
                exact.input[:] = [name if name in inputs or not name else EXACT + name for name in node.input]
                exact.output[:] = [EXACT + name for name in node.output]
            for value in self.source.initializer:
                graph.initializer.add().CopyFrom(value)
                graph.initializer[-1].name = EXACT + value.name
            graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in results if name not in self.answers)
            sort_nodes(graph)
        return model

    def results(self) -> dict[str, tuple[str, str]]:
        """Return the names of each layer's result and of the exact one, by the layer's name."""
        described, found = {layer.name for layer in self.graph.layers}, {}
        for node in self.source.node:
            layer, value = self.graph.owner[node.name], node.output[0]
            leaves = value in self.answers or any(self.graph.owner[user.name] != layer for user in self.users[value])
            if layer in described and leaves and value not in self.cut.values():
                is_rounded = value in self.scaled and self._is_made_rounded(value)
                found[layer] = (self._pair(value, value) if is_rounded else value, EXACT + value)
        return found

    def channel_axis(self, value: str) -> int:
        """Return the axis of the channels of a result with more than three axes: 1, or where the last transposition moved it."""
        node = self.made.get(value)
        while node is not None and node.op_type not in (*LINEAR, "Transpose"):
            value = next((name for name in node.input if name in self.made), "")
            node = self.made.get(value)
        order = list(onnx_int8.attributes(node).get("perm", ())) if node is not None and node.op_type == "Transpose" else []
        return order.index(1) if 1 in order else 1

    def _is_integer(self, node: "onnx.NodeProto") -> bool:
        """Whether a recipe computes a node with integers, and there are such for its constants."""
        if node.op_type not in INTEGER or self.recipe.precision_of(self.graph.owner[node.name]) != INT8:
            return False
        if node.op_type in ("Conv", "Gemm"):
            has_constants = node.input[1] in self.graph.weights and all(name in self.constants for name in node.input[1:] if name)
            return has_constants and _is_plain(node)
        if node.op_type == "MatMul":
            has_weights = node.input[1] in self.graph.weights
            return has_weights or not any(name in self.constants for name in node.input)
        # Squares stay in float, see `onnx_int8.separate_squares`.
        is_square = len(set(node.input)) < len(node.input)
        return not is_square and all(name in self.ranges or name in self.constants for name in (*node.input, *node.output))

    def _plan(self) -> None:
        """Decide which values are rounded."""
        whole = {}
        for node in self.source.node:
            first, result = node.input[0] if node.input else "", node.output[0]
            if node.op_type in PASSING and first in self.scaled:
                self.scaled[result] = self.scaled[first]
            elif node.op_type in CUTTING and first in self.scaled and result in self.ranges:
                self.scaled[result] = result
                origin = self.made.get(first)
                if len(self.users[first]) == 1 and first not in self.answers and origin and origin.name in self.integer:
                    # The smallest and the largest integer cut off the same.
                    whole[node.name] = first
                    del self.scaled[first]
            elif node.name in self.integer:
                for name in (*(node.input[:1] if node.op_type in ("Conv", "Gemm") else node.input), result):
                    if name not in self.constants and name in self.ranges:
                        self.scaled.setdefault(name, name)
        for node in reversed(self.source.node):
            result = node.output[0]
            kernel = self.made[whole[node.name]] if node.name in whole else node
            is_made_so = kernel.op_type == "Conv" and kernel.name in self.integer
            is_taken = any(self._takes_rounded(user) for user in self.users[result])
            if result in self.scaled and (result in self.answers or not (is_made_so or is_taken)):
                del self.scaled[result]
                whole.pop(node.name, None)
        # What rounding the answers or nothing does not cut off, a relu does.
        self.cut = whole

    def _takes_rounded(self, node: "onnx.NodeProto") -> bool:
        """Whether a node takes rounded values, if there are such."""
        is_passing = node.op_type in (*PASSING, *CUTTING) and node.output[0] in self.scaled
        return node.name in self.integer or is_passing

    def _is_made_rounded(self, value: str) -> bool:
        """Whether the integer kernel that makes a value rounds it."""
        node = self.made.get(value)
        return node is not None and (self._takes_rounded(node) or node.name in self.cut)

    def _write(self, node: "onnx.NodeProto") -> None:
        """Write a node in the precision of its layer."""
        import onnx

        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for relu, value in self.cut.items():
            if value == node.output[0]:
                copy.output[0] = copy.name = relu
        precision = self.recipe.precision_of(self.graph.owner[node.name])
        is_weighted = node.op_type in LINEAR and len(node.input) > 1 and node.input[1] in self.graph.weights
        if is_weighted and precision == DYNAMIC and self._write_dynamic(node, copy.output[0]):
            return
        for place, name in enumerate(node.input):
            if name in self.constants:
                is_float = node.name not in self.integer
                if is_weighted and place == 1 and precision in (INT8, WEIGHTS):
                    is_signed = precision == INT8 and not self.recipe.unsigned_weights
                    copy.input[place] = self._weights(name, is_signed=is_signed)
                elif is_float:
                    self.initializers[name] = self.constants[name]
                elif is_weighted:
                    copy.input[place] = self._bias(name, node)
                else:
                    copy.input[place] = self._operand(name)
            elif name:
                copy.input[place] = self._taken(name, node)
        if node.op_type in LINEAR and node.name not in self.integer:
            copy.input[0] = self._guarded(node, copy.input[0])
        self.nodes.append(copy)

    def _taken(self, name: str, node: "onnx.NodeProto") -> str:
        """Return the name of the value that a node takes: rounded or not, the exact one or the file's own."""
        origin = self.made.get(name)
        raw = name
        if self.is_alone and origin is not None and self.graph.owner[origin.name] != self.graph.owner[node.name]:
            raw = EXACT + name
        if name in self.scaled and (self._takes_rounded(node) or self._is_made_rounded(name)):
            return self._pair(raw, name)
        return raw

    def _pair(self, value: str, name: str) -> str:
        """Return the name of a value after it was rounded with the scale of another."""
        if ("pair", value) not in self.names:
            low, high = self.ranges[self.scaled[name]]
            scale, zero = self._scale(low, high)
            self._add("QuantizeLinear", [value, scale, zero], f"{value}:int")
            self.names["pair", value] = self._add("DequantizeLinear", [f"{value}:int", scale, zero], f"{value}:rounded")
        return self.names["pair", value]

    def _scale(self, low: float, high: float) -> tuple[str, str]:
        """Return the names of the scale and the zero point of values from low to high, which include 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32(max(high - low, MIN_RANGE) / MAX_ACTIVATION)
        return self._constant(scale), self._constant(np.uint8(np.clip(np.rint(-low / scale), 0, MAX_ACTIVATION)))

    def _weights(self, name: str, *, is_signed: bool) -> str:
        """Return the name of a layer's weights, which are stored as integers."""
        key = ("weights", name, is_signed)
        if key not in self.names:
            found = self.rounded(MAX_WEIGHT if is_signed else MAX_UNSIGNED_WEIGHT)[name]
            integers = found.integers if is_signed else as_unsigned(found.integers)
            zeros = np.full(len(found.scales), 0 if is_signed else UNSIGNED_ZERO, integers.dtype)
            inputs = [self._named(f"{name}:int", integers), self._constant(found.scales), self._constant(zeros)]
            self.names[key] = self._add("DequantizeLinear", inputs, f"{name}:rounded", axis=found.axis)
        return self.names[key]

    def _bias(self, name: str, node: "onnx.NodeProto") -> str:
        """Return the name of a bias, which is stored as 32-bit integers with the scale of the products."""
        from onnx.numpy_helper import to_array

        low, high = self.ranges[self.scaled[node.input[0]]]
        scale = max(max(high, 0.0) - min(low, 0.0), MIN_RANGE) / MAX_ACTIVATION
        weights = self.rounded(MAX_UNSIGNED_WEIGHT if self.recipe.unsigned_weights else MAX_WEIGHT)[node.input[1]]
        scales = (np.float32(scale) * weights.scales).astype(np.float32)
        bias = np.broadcast_to(to_array(self.constants[name]).ravel().astype(np.float64), scales.shape)
        integers = np.clip(np.rint(bias / scales), -MAX_BIAS, MAX_BIAS).astype(np.int32)
        # Two layers may share a bias, and their scales differ.
        value = f"{node.output[0]}:bias"
        inputs = [self._named(f"{value}:int", integers), self._constant(scales), self._constant(np.zeros(len(scales), np.int32))]
        return self._add("DequantizeLinear", inputs, value, axis=0)

    def _operand(self, name: str) -> str:
        """Return the name of a constant that is added or multiplied, which is stored as uint8 with one scale."""
        from onnx.numpy_helper import to_array

        if ("operand", name) not in self.names:
            values = to_array(self.constants[name]).astype(np.float64)
            low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
            scale, zero = self._scale(low, high)
            step = to_array(self.initializers[scale])
            integers = np.clip(np.rint(values / step) + to_array(self.initializers[zero]), 0, MAX_ACTIVATION).astype(np.uint8)
            inputs = [self._named(f"{name}:int", integers), scale, zero]
            self.names["operand", name] = self._add("DequantizeLinear", inputs, f"{name}:rounded")
        return self.names["operand", name]

    def _guarded(self, node: "onnx.NodeProto", value: str) -> str:
        """Return the name of a value that a layer in float takes, behind an operation that changes nothing if it is rounded.

        ONNX Runtime 1.21 and later take float weights between two rounded values for an oversight, and round them when they open
        the file, with one scale for all filters. They do so only if the layer takes the rounded value itself.
        """
        if not (self._passes_rounded(node.input[0]) and self._leads_to_rounded(node.output[0])):
            return value
        if ("guard", value) not in self.names:
            limits = [self._named(name, np.float32(limit)) for name, limit in onnx_int8.NO_LIMITS.items()]
            self.names["guard", value] = self._add("Clip", [value, *limits], f"{value}:float")
        return self.names["guard", value]

    def _passes_rounded(self, name: str) -> bool:
        """Whether a value is a rounded one that was only moved."""
        node = self.made.get(name)
        if name in self.scaled or node is None or node.op_type not in PASSING:
            return name in self.scaled
        return self._passes_rounded(node.input[0])

    def _leads_to_rounded(self, name: str) -> bool:
        """Whether a value is rounded, at once or after operations that ONNX Runtime looks through."""
        following = (user for user in self.users[name] if user.op_type in SEEN_THROUGH)
        return name in self.scaled or any(self._leads_to_rounded(user.output[0]) for user in following)

    def _write_dynamic(self, node: "onnx.NodeProto", value: str) -> bool:
        """Write a layer whose inputs get their scale at run time; returns whether there is an operation for it."""
        from onnx.numpy_helper import to_array

        facts, name, is_filter = onnx_int8.attributes(node), node.input[1], node.op_type == "Conv"
        bias = node.input[2] if len(node.input) > 2 else ""
        if not _is_plain(node) or (bias and bias not in self.constants):
            return False
        source = self._taken(node.input[0], node)
        taken, scale, zero = (f"{source}:{part}" for part in ("dynamic", "dynamic scale", "dynamic zero"))
        if ("dynamic", source) not in self.names:
            self.names["dynamic", source] = self._add("DynamicQuantizeLinear", [source], taken, scale, zero)
        found = self.rounded(MAX_UNSIGNED_WEIGHT)[name]
        integers = as_unsigned(found.integers)
        integers = integers.T if facts.get("transB", 0) else integers
        # The channels of filters are the second axis of their results.
        shape = (-1, *[1] * (found.integers.ndim - 2)) if is_filter else (-1,)
        inputs = [taken, self._named(f"{name}:uint8", integers), zero, self._constant(np.uint8(UNSIGNED_ZERO))]
        self._add("ConvInteger" if is_filter else "MatMulInteger", inputs, f"{value}:sums", **(facts if is_filter else {}))
        self._add("Cast", [f"{value}:sums"], f"{value}:cast", to=1)
        self._add("Mul", [scale, self._constant(found.scales.reshape(shape))], f"{value}:step")
        self._add("Mul", [f"{value}:cast", f"{value}:step"], f"{value}:product" if bias else value)
        if bias:
            terms = to_array(self.constants[bias])
            self._add("Add", [f"{value}:product", self._constant(terms.reshape(shape) if is_filter else terms)], value)
        return True

    def _constant(self, value: Any) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.names:
            self.names[key] = self._named(f"constant:{len(self.initializers)}", array)
        return self.names[key]

    def _named(self, name: str, array: Any) -> str:
        from onnx.numpy_helper import from_array

        self.initializers[name] = from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)
        return name

    def _add(self, operation: str, inputs: list[str], *outputs: str, **settings: Any) -> str:
        import onnx

        self.nodes.append(onnx.helper.make_node(operation, inputs, list(outputs), **settings))
        return outputs[0]
