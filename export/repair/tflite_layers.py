"""Quantization of a TFLite file layer by layer, with ai-edge-quantizer (aeq)."""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.console import quiet
from ...runtime.model.engine import dequantize
from ...runtime.pixels import Pixels
from ..convert import tflite
from ..convert.network import unrolled
from .layers import MAX_RATIO_DB, powers_of, ratio_of
from .narrow import narrow_weights, with_narrow
from .recipe import DYNAMIC, FLOAT, INT4, INT8, INT16, PRECISIONS, WEIGHTS, Recipe
from .tflite_graph import CONV, DENSE, DEPTHWISE, FLOAT32, Graph, convert, find_versions, operator_kinds, read, write

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]

# Formats whose files take float32 pixels; all others take uint8.
FLOAT_INPUT = ("tflite-dynamic", "tflite-int16x8")
# Weights of fewer numbers stay in float where activations do, because scales and zero points would weigh as much.
MIN_WEIGHTS = 256
# The images with the smallest and the largest values do not widen the range of a tensor, to this percentage of all images each.
# Fashion images at 64x64, agreement of int8 files at 0, 2 and 5 %: MobileNetV3Small 98.9, 99.3, 99.2; a squeeze-excite net 98.8,
# 99.2, 99.3; a small ViT 97.1, 97.8, 98.3. The middle one spares classes that are rare.
EXTREME_PERCENT = 2
# Older runtimes take one scale for all outputs of a Dense layer with activations in float, and would not see that there are more.
DYNAMIC_DENSE = "dynamic dense"
# What aeq is told about a layer's operations, by their precision. Later rules replace earlier ones where aeq has both.
SETTINGS: Mapping[str, list[dict[str, Any]]] = {
    INT4: [{"bits": 8}, *({"operation": name, "weight_bits": 4, "bits": 8} for name in ("CONV_2D", "FULLY_CONNECTED"))],
    INT8: [{"bits": 8}],
    INT16: [{"bits": 16}],
    DYNAMIC: [{}],
    DYNAMIC_DENSE: [{"granularity": "TENSORWISE"}],
    WEIGHTS: [{"is_widened": True}],
}
# ADD and SUB, which take 16-bit numbers for such with scales that are powers of two unless their options say otherwise.
POWER_SCALES = (0, 41)
CAST = 53


def open_tflite(network: "keras.Model", calibration: Pixels) -> "TfliteQuantizer":
    """Convert a network to TFLite, and calibrate it once on images (N, H, W, C) uint8.

    Raises ValueError if it has branches or loops.
    """
    with quiet():
        network = unrolled(network)
        tflite.refuse_loops(network)
        return TfliteQuantizer(convert(network), calibration)


class TfliteQuantizer:
    """A network in TFLite that recipes quantize; see `Quantizer`.

    Operations that have no kernel for a precision stay in float: in INT16 for example HARD_SWISH, in DYNAMIC and WEIGHTS all
    without weights. Depthwise convolutions in DYNAMIC widen their weights as in WEIGHTS, because no runtime has a fast kernel
    that quantizes what they take: MobileNetV2 would take 4.8 instead of 1.25 times as long as in INT8 (AMD EPYC with VNNI), and
    lose more answers.
    Pixels are uint8 0..255, in formats with a float32 input float32. Probabilities are uint8 if the last layer is in INT8 or
    INT4, else float32.
    """

    precisions = PRECISIONS

    def __init__(self, graph: Graph, calibration: Pixels) -> None:
        self._graph = graph
        self.layers = graph.describe()
        self._versions: dict[Any, tuple[dict[int, int], bytes]] = {}
        self._minima, self._maxima = _ranges(graph, calibration)
        self._calibration = calibration
        self._narrow: dict[int, Any] | None = None

    def build(self, recipe: Recipe) -> bytes:
        """Return the content of the file that a recipe makes, the same to the bit each time.

        Raises ValueError if it cannot: a layer that the network lacks, or a precision that a layer cannot have.
        """
        return self._finish(self._quantized(recipe))

    def errors(self, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output, if it alone is quantized and its input is exact.

        images are (N, H, W, C) uint8. A layer that TFLite computes in float in either case has no noise.
        """
        graph = self._graph
        tree, copies, precisions, ranges = _with_copies(graph, self._scales({}))
        quantized = quantize(tree, precisions, ranges, is_float_input=True)
        pairs = [(group.name, one, copies[one]) for group in graph.groups for one in graph.outputs(group)]
        return self._compare(quantized, pairs, images, exact=quantized)

    def accumulated(self, recipe: Recipe, images: Pixels) -> Mapping[str, float]:
        """Return the signal-to-noise ratio in dB of each layer's output in the file of a recipe, against the original's.

        images are (N, H, W, C) uint8.
        """
        graph = self._graph
        pairs = [(group.name, one, one) for group in graph.groups for one in graph.outputs(group)]
        return self._compare(self._quantized(recipe), pairs, images, exact=graph.tree)

    def _compare(self, tree: Any, pairs: list[tuple[str, int, int]], images: Pixels, *, exact: Any) -> dict[str, float]:
        """Return the lowest ratio of each layer; pairs are its name, an exact tensor and the same one rounded."""
        answers = {int(one) for one in self._graph.subgraph.outputs}
        noises = [Noise(is_answer=one in answers) for _, one, _ in pairs]
        signals = Model(exact, [one for _, one, _ in pairs])
        rounded = Model(tree, [one for _, _, one in pairs])
        for image in images:
            for noise, signal, value in zip(noises, signals(image), rounded(image), strict=True):
                noise.add(signal, value)
        ratios: dict[str, float] = {}
        for (name, _, _), noise in zip(pairs, noises, strict=True):
            ratios[name] = min(ratios.get(name, MAX_RATIO_DB), noise.ratio())
        return ratios

    def _check(self, recipe: Recipe) -> None:
        names = {layer.name for layer in self.layers}
        for name in recipe.layers:
            if name in names:
                continue
            if name in self._graph.hosts:
                raise ValueError(f"layer '{name}' is computed in '{self._graph.hosts[name]}': name that one")
            raise ValueError(f"the network has no layer '{name}'")

    def _quantized(self, recipe: Recipe) -> Any:
        self._check(recipe)
        graph = self._graph
        precisions = {index: recipe.precision_of(group.name) for group in graph.groups for index in group.operators}
        tree = copy.copy(graph.tree)
        if INT4 in precisions.values():
            # 4 bits are too few to round each weight by itself.
            if self._narrow is None:
                self._narrow = narrow_weights(graph, self._calibration, Model)
            tree = with_narrow(tree, {index: one for index, one in self._narrow.items() if precisions[index] == INT4})
        is_float_input = recipe.format in FLOAT_INPUT
        return quantize(tree, precisions, self._scales(precisions), is_float_input=is_float_input)

    def _scales(self, precisions: Mapping[int, str]) -> dict[int, tuple[float, float]]:
        """Return the range of each tensor that is not constant: all of it, or without extremes if it is rounded to 8 bits."""
        graph, low, high = self._graph, np.sort(self._minima, 0), np.sort(self._maxima, 0)
        coarse = [op for index, op in enumerate(graph.subgraph.operators) if precisions.get(index, INT8) in (INT8, INT4)]
        touched = {int(one) for operator in coarse for one in (*operator.inputs, *operator.outputs)}
        left_out = len(low) * EXTREME_PERCENT // 100

        def span(index: int) -> tuple[float, float]:
            skipped = left_out if index in touched else 0
            return float(low[skipped, index]), float(high[-1 - skipped, index])

        return {index: span(index) for index in range(low.shape[1]) if np.isfinite(low[0, index])}

    def _finish(self, tree: Any) -> bytes:
        """Return the content of a file with names that a reader knows and with the oldest runtime that has its operators."""
        for tensor in tree.subgraphs[0].tensors:
            tensor.name = _original_name(tensor.name, self._graph.names)
        kinds = operator_kinds(tree)
        if kinds not in self._versions:
            self._versions[kinds] = find_versions(tree)
        versions, runtime = self._versions[kinds]
        for code in tree.operatorCodes:
            code.version = versions.get(code.builtinCode, code.version)
        for entry in tree.metadata or []:
            if entry.name == tflite.RUNTIME_KEY:
                tree.buffers[entry.buffer].data = np.frombuffer(runtime, np.uint8)
        return write(tree)


def _original_name(name: bytes, names: list[bytes]) -> bytes:
    index, _, rest = name.removeprefix(b"t").partition(b"_")
    return names[int(index)].partition(b";")[0] + (b"_" + rest if rest else b"")


def quantize(tree: Any, precisions: Mapping[int, str], ranges: Mapping[int, tuple[float, float]], *, is_float_input: bool) -> Any:
    """Return a model (ModelT) whose operations have these precisions, by their index.

    Args:
        tree: in float32, with tensors named `t0`, `t1` and so on by their index.
        precisions: of PRECISIONS. An operation that cannot have its precision stays in float.
        ranges: the smallest and largest value of each tensor that is not constant.
        is_float_input: whether the image is not uint8.
    """
    from ai_edge_quantizer import quantizer

    graph = tree.subgraphs[0]
    codes = [tree.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators]
    precisions = {**precisions, **dict.fromkeys(_before_casts(graph, codes), FLOAT)}
    rules = _rules(graph, codes, precisions, is_float_input)
    model = write(tree)
    if not rules:
        return read(model)
    statistics = {}
    for index, (low, high) in ranges.items():
        shape = (1,) * len(graph.tensors[index].shape)
        statistics[f"t{index}"] = {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
    with quiet():
        worker = quantizer.Quantizer(model, rules)
        result = worker.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    quantized = read(bytes(result.quantized_model))
    for operator in quantized.subgraphs[0].operators:
        if quantized.operatorCodes[operator.opcodeIndex].builtinCode in POWER_SCALES:
            operator.builtinOptions.potScaleInt16 = False
        if quantized.operatorCodes[operator.opcodeIndex].builtinCode == DENSE:
            operator.builtinOptions.asymmetricQuantizeInputs = True
        _quantize_unused(quantized, operator)
    return quantized


def _before_casts(graph: Any, codes: list[int]) -> set[int]:
    """Return the operations whose results become integers such as the places in a table: rounding would choose other ones."""
    found: set[int] = set()
    needed: set[int] = set()
    for index, operator in reversed(list(enumerate(graph.operators))):
        is_cast = codes[index] == CAST and graph.tensors[operator.outputs[0]].type != FLOAT32
        if is_cast or any(int(one) in needed for one in operator.outputs):
            found.add(index)
            needed |= {int(one) for one in operator.inputs}
    return found


def _quantize_unused(tree: Any, operator: Any) -> None:
    """Give all outputs of an operation the type of the first that is quantized, if nothing takes them: aeq leaves them in float.

    XNNPACK refuses to split an integer tensor into parts of different types.
    """
    graph = tree.subgraphs[0]
    outputs = [graph.tensors[one] for one in operator.outputs]
    quantized = [tensor for tensor in outputs if tensor.type != FLOAT32]
    if len(outputs) == 1 or not quantized or len(quantized) == len(outputs):
        return
    taken = {int(one) for other in graph.operators for one in other.inputs} | {int(one) for one in graph.outputs}
    for index, tensor in zip(operator.outputs, outputs, strict=True):
        if tensor.type == FLOAT32 and int(index) not in taken:
            tensor.type, tensor.quantization = quantized[0].type, quantized[0].quantization


def _rules(graph: Any, codes: list[int], precisions: Mapping[int, str], is_float_input: bool) -> list[dict[str, Any]]:
    """Return a recipe of aeq: which operations, by the name of their first result, are quantized how."""
    members: dict[str, list[int]] = {}
    for index, operator in enumerate(graph.operators):
        precision = precisions[index]
        if precision in (DYNAMIC, WEIGHTS) and codes[index] in (CONV, DENSE, DEPTHWISE):
            if np.prod(graph.tensors[operator.inputs[1]].shape) < MIN_WEIGHTS:
                continue
            if precision == DYNAMIC:
                precision = {DENSE: DYNAMIC_DENSE, DEPTHWISE: WEIGHTS}.get(codes[index], DYNAMIC)
        if precision != FLOAT:
            members.setdefault(precision, []).append(int(operator.outputs[0]))
    rules = []
    for precision, outputs in members.items():
        pattern = f"^(?:{'|'.join(f't{one}' for one in outputs)});"
        rules += [_rule(pattern, **settings) for settings in SETTINGS[precision]]
    if not is_float_input:
        rules.append(_rule(".*", "INPUT", bits=8, dtype="UINT"))
    last = {int(operator.outputs[0]): precisions[index] for index, operator in enumerate(graph.operators)}
    if all(last.get(int(one)) in (INT8, INT4) for one in graph.outputs):
        rules.append(_rule(".*", "OUTPUT", bits=8, dtype="UINT"))
    return rules


def _rule(
    pattern: str,
    operation: str = "*",
    *,
    weight_bits: int = 8,
    bits: int | None = None,
    is_widened: bool = False,
    granularity: str = "CHANNELWISE",
    dtype: str = "INT",
) -> dict[str, Any]:
    """Return a rule of aeq for operations that match a pattern: bits are those of activations, None if they are in float."""
    weights = {"num_bits": weight_bits, "symmetric": True, "granularity": granularity, "dtype": "INT"}
    config: dict[str, Any] = {
        "weight_tensor_config": weights,
        "compute_precision": "FLOAT" if is_widened else "INTEGER",
        "explicit_dequantize": is_widened,
    }
    if bits is not None:
        config["activation_tensor_config"] = {
            "num_bits": bits,
            "symmetric": bits == 16,
            "granularity": "TENSORWISE",
            "dtype": dtype,
        }
    return {"regex": pattern, "operation": operation, "algorithm_key": "min_max_uniform_quantize", "op_config": config}


class Model:
    """A model that gives chosen tensors for an image, in float."""

    def __init__(self, tree: Any, tensors: list[int]) -> None:
        """Open a model (ModelT). tensors are indices of `t0`, `t1` and so on, which other tensors may stand between."""
        from ai_edge_litert.interpreter import Interpreter

        changed, graph = copy.copy(tree), copy.copy(tree.subgraphs[0])
        index = {tensor.name: index for index, tensor in enumerate(graph.tensors)}
        # As outputs their values stay in memory.
        graph.outputs = [index[b"t%d" % one] for one in dict.fromkeys(tensors)]
        changed.subgraphs, changed.signatureDefs = [graph], None
        self._interpreter = Interpreter(model_content=write(changed), num_threads=1)
        self._interpreter.allocate_tensors()
        (self._source,) = self._interpreter.get_input_details()
        details = self._interpreter.get_output_details()
        by_tensor = dict(zip(dict.fromkeys(tensors), details, strict=True))
        self._targets = [by_tensor[one] for one in tensors]

    def __call__(self, image: NDArray[np.uint8]) -> Iterator[Floats]:
        self._interpreter.set_tensor(self._source["index"], image[None].astype(self._source["dtype"]))
        self._interpreter.invoke()
        for target in self._targets:
            yield dequantize(self._interpreter.get_tensor(target["index"]), target)


class Noise:
    """The power of a layer's output and of what rounding adds to it, image by image."""

    def __init__(self, *, is_answer: bool) -> None:
        self._is_answer = is_answer
        self._signal: Any = 0.0
        self._noise: Any = 0.0

    def add(self, exact: Floats, rounded: Floats) -> None:
        """Take the output of one image, exact and rounded, of the same shape."""
        signal, noise = powers_of(exact, rounded, is_answer=self._is_answer)
        self._signal, self._noise = self._signal + signal, self._noise + noise

    def ratio(self) -> float:
        """Return the signal-to-noise ratio in dB."""
        return ratio_of(self._signal, self._noise)


def _with_copies(graph: Graph, ranges: Mapping[int, tuple[float, float]]) -> tuple[Any, dict[int, int], dict[int, str], Any]:
    """Return a model in which a second copy of each layer takes what the first copies of the layers before it give.

    Returns the model, the second copy of each tensor, the precision of each operation, which is INT8 for second copies, and the
    range of each tensor.
    """
    tree, subgraph = copy.copy(graph.tree), copy.copy(graph.subgraph)
    tensors, buffers, operators = list(subgraph.tensors), list(tree.buffers), list(subgraph.operators)
    ranges, precisions, copies = dict(ranges), dict.fromkeys(range(len(operators)), FLOAT), {}

    def copied(index: int) -> int:
        tensor = copy.copy(tensors[index])
        tensor.name = b"t%d" % len(tensors)
        if graph.is_constant(index):
            # Weights of a layer in float and weights in integers cannot share one place.
            tensor.buffer = len(buffers)
            buffers.append(copy.copy(buffers[tensors[index].buffer]))
        elif index in ranges:
            ranges[len(tensors)] = ranges[index]
        tensors.append(tensor)
        return len(tensors) - 1

    for group in graph.groups:
        made = {int(one) for index in group.operators for one in subgraph.operators[index].outputs}
        for index in group.operators:
            operator = copy.copy(subgraph.operators[index])
            operator.outputs = [copies.setdefault(int(one), copied(int(one))) for one in operator.outputs]
            operator.inputs = [
                copies[one] if one in made else copied(one) if one >= 0 and _is_float_constant(graph, one) else one
                for one in map(int, operator.inputs)
            ]
            precisions[len(operators)] = INT8
            operators.append(operator)
    subgraph.tensors, subgraph.operators, tree.buffers = tensors, operators, buffers
    # aeq leaves tensors as they are that nothing takes, and gives a wrong one to the last operation if it takes an output.
    taken = {int(one) for operator in operators for one in operator.inputs}
    subgraph.outputs = [*subgraph.outputs, *(one for one in copies.values() if one not in taken)]
    tree.subgraphs, tree.signatureDefs = [subgraph], []
    return tree, copies, precisions, ranges


def _is_float_constant(graph: Graph, tensor: int) -> bool:
    return graph.is_constant(tensor) and graph.subgraph.tensors[tensor].type == FLOAT32


def _ranges(graph: Graph, images: Pixels) -> tuple[Floats, Floats]:
    """Return the smallest and largest value of each tensor (images, tensors), NaN of constants."""
    subgraph = graph.subgraph
    changing = [int(one) for operator in subgraph.operators for one in operator.outputs if subgraph.tensors[one].type == FLOAT32]
    shape = len(images), len(subgraph.tensors)
    low, high = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    low[:, subgraph.inputs], high[:, subgraph.inputs] = 0, 255

    model = Model(graph.tree, changing)
    for number, image in enumerate(images):
        for index, value in zip(changing, model(image), strict=True):
            low[number, index], high[number, index] = value.min(), value.max()
    return low, high
