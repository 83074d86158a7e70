"""Quantization of ONNX graphs to integers that every processor computes alike.

x86 processors without VNNI multiply uint8 activations by int8 weights with the instruction VPMADDUBSW. It adds two neighbouring
products in 16 bits and cuts off what is beyond 32767, while other processors add in 32 bits. Weights of -64 to 64 keep every such
sum within 2 * 255 * 64 = 32640, whichever weights are neighbours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.model.engine import SCALES_OF_BATCH
from ...runtime.pixels import Pixels
from ..gate import Inspection

if TYPE_CHECKING:
    import onnx

# Two products with the largest activation, 255, must not exceed 32767, which leaves 128 for the sum of two weights.
MAX_PAIR = 32767 // 255
MAX_WEIGHT = MAX_PAIR // 2
# Products of uint8 with uint8 are added in 32 bits everywhere, so filters that are stored so take all eight bits.
MAX_UNSIGNED_WEIGHT = 127
# The zero point of weights that are stored as uint8.
UNSIGNED_ZERO = 128
# The axis of the output channels in the weights of a layer, and the input that holds these weights.
LAYERS = {
    **{"Conv": (0, 1), "Gemm": (1, 1), "MatMul": (-1, 1), "ConvInteger": (0, 1), "MatMulInteger": (-1, 1)},
    **{"QLinearConv": (0, 3), "QLinearMatMul": (-1, 3), "QGemm": (1, 3), "MatMulIntegerToFloat": (-1, 1)},
}
# Looking up rows multiplies nothing.
HARMLESS = ("Gather", "GatherElements", "GatherND")
# Rounding looks at about this many patches of a layer's input, from images in batches of this size; the result changes little
# with more. Layers of more inputs than this are rounded to the nearest, because the matrix of their moments becomes too large.
PATCHES, BATCH, MAX_INPUTS = 16_000, 20, 2304
# The share of the mean moment that is added to each input's own, so that rare inputs do not decide. Source: GPTQ.
DAMPING = 0.01
SEED = 7
# Probabilities that differ by more from those of exact arithmetic are another function's; answers closer than this are tied.
MAX_DIFFERENCE = 0.02
# Limits that cut off no number, as the inputs of a Clip.
NO_LIMITS = {"float32:lowest": -float(np.finfo(np.float32).max), "float32:highest": float(np.finfo(np.float32).max)}
# The weights of a channel of zeros, or nearly zeros, get a scale that keeps their bias within 32 bits.
MIN_SCALE = 1e-9

Weights = NDArray[np.float64]


def static(graph: "onnx.ModelProto", calibration: Pixels, source: Path, target: Path) -> None:
    """Quantize to per-channel int8 weights and uint8 activations with static scales (QDQ); input and output stay float32.

    Args:
        graph: the float32 graph; its weights are changed.
        calibration: (N, H, W, C) uint8 training images; their activations set the scales, and decide how weights are rounded.
        source, target: files for the float32 and the quantized graph.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    scales = round_weights(graph, calibration)
    onnx.save(graph, source)
    # A softmax over few classes costs next to nothing, so it stays in float and the probabilities are not rounded. Nor is the
    # bias of a dense layer: it would be rounded with one scale, and OpenCV 4 turns n quantized biases into n x n results.
    in_float = [node.name for node in graph.graph.node if node.op_type == "Softmax"]
    in_float += [node.name for node in dense_biases(graph)]
    # ONNX Runtime before 1.15 does not open files in which an operation takes the same rounded value twice, as squares do.
    in_float += [node.name for node in graph.graph.node if len(set(node.input)) < len(node.input)]
    quantize_static(
        source,
        target,
        reader(graph, calibration, 1),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # For weights that have no scales here.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=in_float,
        extra_options={"TensorQuantOverrides": scales},
    )
    quantized = onnx.load(target)
    separate_squares(quantized.graph)
    onnx.save(quantized, target)


def separate_squares(graph: "onnx.GraphProto") -> None:
    """Put an operation that changes nothing between a rounded value and one that takes it twice; changes the graph.

    ONNX Runtime before 1.15 does not open the file otherwise.
    """
    import onnx
    from onnx.numpy_helper import from_array

    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    nodes: list[onnx.NodeProto] = []
    freed: dict[str, str] = {}
    for node in graph.node:
        twice = {name for name in node.input if name in rounded and list(node.input).count(name) > 1}
        for name in twice:
            if name not in freed:
                freed[name] = f"{name}:free"
                nodes.append(onnx.helper.make_node("Clip", [name, *NO_LIMITS], [freed[name]], freed[name]))
        node.input[:] = [freed[name] if name in twice else name for name in node.input]
        nodes.append(node)
    if freed:
        missing = NO_LIMITS.keys() - {value.name for value in graph.initializer}
        graph.initializer.extend(from_array(np.array(NO_LIMITS[name], np.float32), name) for name in NO_LIMITS if name in missing)
        copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copied)


def dynamic(graph: "onnx.ModelProto", source: Path, target: Path) -> None:
    """Quantize to per-channel 8-bit weights; activations are quantized to uint8 at run time.

    Args:
        graph: the float32 graph.
        source, target: files for the float32 and the quantized graph.
    """
    import onnx
    from onnx.numpy_helper import from_array, to_array
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx.save(graph, source)
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, reduce_range=True)
    quantized = onnx.load(target)
    weights = {value.name: to_array(value) for value in graph.graph.initializer}
    values = {value.name: value for value in quantized.graph.initializer}
    # The quantizer gives all filters of a convolution one scale, although it is asked for one per channel.
    for name in {node.input[1] for node in quantized.graph.node if node.op_type == "ConvInteger"}:
        plain = name.removesuffix("_quantized")
        if plain not in weights or f"{plain}_scale" not in values:
            continue
        filters = weights[plain]
        scales = channel_scales(filters.reshape(len(filters), -1), MAX_UNSIGNED_WEIGHT)
        shape = (-1, *[1] * (filters.ndim - 1))
        values[name].CopyFrom(from_array(np.rint(filters / scales.reshape(shape)).astype(np.int8), name))
        # It multiplies the output, whose channels are the second axis.
        scale = scales.reshape(shape[:-1]).astype(np.float32)
        values[f"{plain}_scale"].CopyFrom(from_array(scale, f"{plain}_scale"))
    store_unsigned(quantized.graph)
    onnx.save(quantized, target)


def as_unsigned(integers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return int8 integers as uint8 with the zero point UNSIGNED_ZERO."""
    return (integers.astype(np.int16) + UNSIGNED_ZERO).astype(np.uint8)


def reader(graph: "onnx.ModelProto", calibration: Pixels, size: int) -> Any:
    """Return calibration images (N, H, W, C) uint8 as ONNX Runtime's calibration takes them, in batches of a size."""
    from onnxruntime.quantization import CalibrationDataReader

    class Images(CalibrationDataReader):
        def __init__(self, name: str):
            starts = range(0, len(calibration), size)
            self.batches = iter([{name: calibration[i : i + size].astype(np.float32)} for i in starts])

        def get_next(self):
            return next(self.batches, None)

    return Images(graph.graph.input[0].name)


def open_session(model: bytes, settings: Mapping[str, str] | None = None) -> Any:
    """Open the content of a file in ONNX Runtime, without its warnings; settings are entries of the session's configuration."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    for name, value in (settings or {}).items():
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def store_unsigned(graph: "onnx.GraphProto") -> None:
    """Store the int8 filters of dynamic convolutions as uint8 with a zero point that is 128 higher; changes the graph.

    Results stay the same to the bit. ONNX Runtime opens ConvInteger with int8 filters from 1.24 on, and runs it three times as
    slowly as with uint8 ones (an AMD EPYC with AVX-512 VNNI, one thread).
    """
    from onnx.numpy_helper import from_array, to_array

    values = {value.name: value for value in graph.initializer}
    names = {name for node in graph.node if node.op_type == "ConvInteger" for name in (node.input[1], *node.input[3:])}
    for name in names & values.keys():
        integers = to_array(values[name])
        if integers.dtype == np.int8:
            values[name].CopyFrom(from_array(as_unsigned(integers), name))


def dense_biases(graph: "onnx.ModelProto") -> list["onnx.NodeProto"]:
    """Return the nodes that add a constant to a product of matrices."""
    constants = {value.name for value in graph.graph.initializer}
    products = {node.output[0] for node in graph.graph.node if node.op_type == "MatMul"}
    nodes = [node for node in graph.graph.node if node.op_type == "Add"]
    return [node for node in nodes if constants & set(node.input) and products & set(node.input)]


def channel_scales(rows: NDArray[Any], largest: int = MAX_WEIGHT) -> NDArray[np.float64]:
    """Return the scale of each channel, given its weights (..., channels, inputs): the largest weight becomes `largest`."""
    return np.maximum(np.abs(rows).max(-1).astype(np.float64) / largest, MIN_SCALE)


@dataclass(frozen=True)
class Rounded:
    """Weights as integers times a scale per channel.

    integers have the shape of the weights and are within -127 to 127, or fewer bits; scales (channels,) belong to their axis.
    """

    integers: NDArray[np.int8]
    scales: NDArray[np.float32]
    axis: int


def round_weights(graph: "onnx.ModelProto", calibration: Pixels) -> dict[str, list[dict[str, Any]]]:
    """Round the weights of convolutions and dense layers to multiples of a scale per channel; return the scales for ORT.

    Each weight is rounded so that the errors of a channel cancel out on the inputs that the layer gets from the calibration
    images, which halves the error of its results or better. Changes the graph.
    """
    from onnx.numpy_helper import from_array

    values = {value.name: value for value in graph.graph.initializer}
    layers = rounded_layers(graph.graph)
    overrides = {}
    for name, rounded in round_layers(graph, layers, input_moments(graph, layers, calibration)).items():
        shape = [1] * rounded.integers.ndim
        shape[rounded.axis] = -1
        values[name].CopyFrom(from_array(rounded.integers * rounded.scales.reshape(shape), name))
        overrides[name] = [{"scale": scale, "zero_point": np.int8(0)} for scale in rounded.scales]
        overrides[name][0]["axis"] = rounded.axis
    return overrides


def rounded_layers(graph: "onnx.GraphProto") -> "dict[str, onnx.NodeProto]":
    """Return the convolutions and dense layers of a graph by the name of their constant weights.

    Of a layer that is used twice it is the first node; it is rounded for that node's input.
    """
    ranks = {value.name: len(value.dims) for value in graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in set(node.input) & ranks.keys():
            users.setdefault(name, []).append(node)
    layers = {}
    for name, nodes in users.items():
        expected = {"Conv": (3, 4, 5), "Gemm": (2,), "MatMul": (2,)}.get(nodes[0].op_type, ())
        if ranks[name] in expected and all((node.op_type, node.input[1]) == (nodes[0].op_type, name) for node in nodes):
            layers[name] = nodes[0]
    return layers


def round_layers(
    graph: "onnx.ModelProto",
    layers: "Mapping[str, onnx.NodeProto]",
    moments: Mapping[str, Weights],
    largest: int = MAX_WEIGHT,
) -> dict[str, Rounded]:
    """Round the weights of layers to integers of -largest to largest, with the moments of their inputs, see `input_moments`.

    Layers without moments are rounded to the nearest.
    """
    from onnx.numpy_helper import to_array

    values = {value.name: value for value in graph.graph.initializer}
    found = {}
    for name, node in layers.items():
        weights, axis = to_array(values[name]).astype(np.float64), channel_axis(node)
        rows = np.moveaxis(weights, axis, 0)
        shape, groups = rows.shape, int(attributes(node).get("group", 1))
        rows = rows.reshape(groups, len(rows) // groups, -1)
        scales = channel_scales(rows, largest)
        integers = round_to_cancel(rows, scales, moments[name], largest) if name in moments else np.rint(rows / scales[..., None])
        integers = np.ascontiguousarray(np.moveaxis(integers.reshape(shape), 0, axis), np.int8)
        found[name] = Rounded(integers, scales.ravel().astype(np.float32), axis % weights.ndim)
    return found


def channel_axis(node: "onnx.NodeProto") -> int:
    """Return the axis of the output channels in the weights of a layer."""
    return 0 if attributes(node).get("transB", 0) else LAYERS[node.op_type][0]


def attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    """Return the attributes of a node by name."""
    from onnx.helper import get_attribute_value

    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}


def round_to_cancel(rows: Weights, scales: NDArray[np.float64], moments: Weights, largest: int = MAX_WEIGHT) -> Weights:
    """Round weights (groups, channels, inputs) to integers of -largest to largest times scales (groups, channels).

    moments (groups, inputs, inputs) are the means of the products of two inputs. The inputs are rounded one by one, and the
    weights not yet rounded take up the error. Source: Frantar et al. 2023, GPTQ, algorithm 1.
    """
    rest, integers = rows.copy(), np.zeros_like(rows)
    size = moments.shape[-1]
    mean = np.trace(moments, axis1=1, axis2=2) / size
    damped = moments + (DAMPING * mean + (mean == 0))[:, None, None] * np.eye(size)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    for i in range(size):
        integers[..., i] = np.clip(np.rint(rest[..., i] / scales), -largest, largest)
        error = (rest[..., i] - integers[..., i] * scales) / upper[:, None, i, i]
        rest[..., i + 1 :] -= error[..., None] * upper[:, None, i, i + 1 :]
    return integers


def input_moments(
    graph: "onnx.ModelProto", layers: "Mapping[str, onnx.NodeProto]", calibration: Pixels
) -> dict[str, NDArray[np.float64]]:
    """Return the mean products (groups, inputs, inputs) of what the layers multiply with their weights, by the weights' name.

    Layers with too many inputs are left out.
    """
    import onnx

    shapes = {value.name: tuple(value.dims) for value in graph.graph.initializer}
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    results = {value.name for value in (*graph.graph.output, *graph.graph.input)}
    for name in {node.input[0] for node in layers.values()} - results:
        watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = open_session(watched.SerializeToString())
    source, names = graph.graph.input[0].name, [value.name for value in session.get_outputs()]
    sums: dict[str, NDArray[np.float64]] = {}
    counts = dict.fromkeys(layers, 0)
    rng = np.random.default_rng(SEED)
    for start in range(0, len(calibration), BATCH):
        images = calibration[start : start + BATCH].astype(np.float32)
        seen = dict(zip(names, session.run(names, {source: images}), strict=True)) | {source: images}
        most = -(-PATCHES * len(images) // len(calibration))
        for name, node in layers.items():
            groups = int(attributes(node).get("group", 1))
            inputs = int(np.prod(shapes[name])) // shapes[name][channel_axis(node)]
            if inputs > MAX_INPUTS or node.input[0] not in seen:
                continue
            patches = layer_inputs(node, shapes[name], seen[node.input[0]], most, rng)
            patches = patches.reshape(len(patches), groups, inputs).transpose(1, 0, 2)
            sums[name] = sums.get(name, 0) + (patches.swapaxes(1, 2) @ patches).astype(np.float64)
            counts[name] += patches.shape[1]
    return {name: total / max(1, counts[name]) for name, total in sums.items()}


def layer_inputs(
    node: "onnx.NodeProto", shape: tuple[int, ...], values: NDArray[np.float32], most: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return at most about `most` of the vectors (n, inputs of all groups) that a layer multiplies with weights of a shape.

    values are the layer's input; of a convolution (N, C, ...), patches at random places are cut out.
    """
    if node.op_type != "Conv":
        rows = (values.T if attributes(node).get("transA", 0) else values).reshape(-1, values.shape[-1])
        return rows[rng.permutation(len(rows))[:most]]
    facts, spatial = attributes(node), len(shape) - 2
    steps, gaps = facts.get("strides", [1] * spatial), facts.get("dilations", [1] * spatial)
    spans = [(side - 1) * gap + 1 for side, gap in zip(shape[2:], gaps, strict=True)]
    pads = facts.get("pads", [0] * (2 * spatial))
    if facts.get("auto_pad", b"").startswith(b"SAME"):
        pads = [span // 2 for span in spans] * 2
    around = [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, around), spans, tuple(range(2, 2 + spatial)))
    windows = windows[(..., *[np.s_[::gap] for gap in gaps])]
    counts = [(side + step - 1) // step for side, step in zip(windows.shape[2 : 2 + spatial], steps, strict=True)]
    count = int(min(most, len(values) * np.prod(counts)))
    places = [rng.integers(0, one, count) * step for one, step in zip(counts, steps, strict=True)]
    # (n, C, sides of the kernel), in the order of the weights.
    patches = windows[(rng.integers(0, len(values), count), slice(None), *places)]
    return patches.reshape(count, -1)


def saturating(graph: "onnx.GraphProto") -> list[str]:
    """Return the names of the weights with which a sum of two products can exceed 16 bits on x86 processors without VNNI.

    The bound takes every activation for 255 and any two weights of one output channel for neighbours, because the order in which
    an engine multiplies them is its own. It holds for every image and every engine that uses VPMADDUBSW.
    """
    return list(_saturating(graph))


def _saturating(graph: "onnx.GraphProto") -> Iterator[str]:
    from onnx.numpy_helper import to_array

    values = {value.name: to_array(value) for value in graph.initializer}
    constants = (node for node in graph.node if node.op_type == "Constant" and "value" in attributes(node))
    values |= {node.output[0]: to_array(attributes(node)["value"]) for node in constants}
    # Integers, by the name of their dequantized tensor.
    dequantized = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" or node.op_type in HARMLESS:
            continue
        for i, name in enumerate(node.input):
            origin = dequantized.get(name)
            integers = values.get(origin.input[0] if origin else name)
            if integers is not None and integers.dtype == np.int8 and integers.ndim > 1:
                axis = channel_axis(node) if node.op_type in LAYERS and i == LAYERS[node.op_type][1] else None
                if can_overflow(integers, axis):
                    yield origin.input[0] if origin else name
            elif integers is None and origin is not None and "MatMul" in node.op_type and i == 1:
                # Activations on both sides: they reach -128 or 127 if they are signed.
                zero_point = values.get(origin.input[2]) if len(origin.input) > 2 else None
                if zero_point is not None and zero_point.dtype == np.int8:
                    yield name


def can_overflow(integers: NDArray[np.int8], axis: int | None) -> bool:
    """Tell whether two int8 weights of one sign add up to more than MAX_PAIR, in a channel along axis, or anywhere if None."""
    rows = integers.reshape(1, -1) if axis is None else np.moveaxis(integers, axis, 0).reshape(integers.shape[axis], -1)
    rows = rows.astype(np.int64)
    # Two zeros, so that a lone weight has a neighbour.
    ordered = np.sort(np.concatenate([rows, np.zeros((len(rows), 2), np.int64)], 1), 1)
    return bool((ordered[:, -2:].sum(1) > MAX_PAIR).any() or (ordered[:, :2].sum(1) < -MAX_PAIR).any())


def exact_answers(model: bytes, images: Pixels) -> NDArray[np.float32]:
    """Return the probabilities (N, classes) that a quantized model gives images (N, H, W, C) uint8 if no sum can overflow.

    ONNX Runtime takes slower instructions for it on processors whose fast ones cut sums off, and the same ones elsewhere.
    """
    session = open_session(model, {"session.x64quantprecision": "1"})
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    size = 1 if SCALES_OF_BATCH in model else BATCH
    batches = (images[i : i + size].astype(np.float32) for i in range(0, len(images), size))
    return np.concatenate([np.asarray(session.run([target.name], {source.name: batch})[0], np.float32) for batch in batches])


def unlike(answers: NDArray[np.float32], exact: NDArray[np.float32]) -> str:
    """Return how probabilities (N, classes) differ from those of exact arithmetic, "" if they are alike.

    They are alike if no probability differs by more than MAX_DIFFERENCE, and every answer is the same or tied with it within
    MAX_DIFFERENCE.
    """
    difference = float(np.nan_to_num(np.abs(answers - exact), nan=1.0, posinf=1.0).max())
    others = int((exact[np.arange(len(exact)), answers.argmax(1)] < exact.max(1) - MAX_DIFFERENCE).sum())
    if difference <= MAX_DIFFERENCE and not others:
        return ""
    figures = f"{others:,} of {len(exact):,} answers differ, difference {difference:.3f}, at most {MAX_DIFFERENCE:g} allowed"
    return f"on this processor it is not what exact arithmetic gives: {figures}"


def misses(model: bytes, found: Inspection, images: Pixels, answers: NDArray[np.float32]) -> Iterator[str]:
    """Yield a line for each reason why other processors would answer otherwise than these answers (N, classes) to images.

    The first looks at the weights, so that it does not depend on this machine; the second at the answers.
    """
    if found.saturating:
        layers = f"{len(found.saturating)} layer{'s' if len(found.saturating) > 1 else ''}"
        yield f"the int8 weights of {layers} overflow 16-bit sums on processors without VNNI"
    if difference := unlike(answers, exact_answers(model, images)):
        yield difference
