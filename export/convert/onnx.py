"""Conversion from Keras to ONNX, the facts in ONNX's metadata_props, and what an ONNX file says about its quantization."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.model.facts import FACTS_KEY, Facts
from ...runtime.pixels import Pixels
from ..gate import Inspection
from . import onnx_int8
from .network import unrolled

if TYPE_CHECKING:
    import keras
    import onnx

# Fixed, so that a model opens in the same runtimes whichever converter is installed. Opset 13 brought per-channel
# quantization; opset 15 opens in ONNX Runtime 1.10 and later.
OPSET, LOWEST_RUNTIME = 15, "ONNX Runtime 1.10"
# Sides of images are at most so many pixels; a factor between two of them is a fraction with at most that denominator.
MAX_SIDE = 1024


def float32(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to float32 weights and activations, for batches of any size; calibration is not used."""
    return fold_scaling(convert(model)).SerializeToString()


def convert(model: "keras.Model") -> "onnx.ModelProto":
    """Convert to float32 weights and activations, for batches of any size, without folding the scaling of pixels.

    Raises ValueError if ONNX has no operation for one of the network's.
    """
    import onnx
    import onnxslim
    import tensorflow as tf
    from tf2onnx import tf_loader
    from tf2onnx.convert import from_graph_def

    source = model.inputs[0]
    pixels = tf.TensorSpec((None, *source.shape[1:]), tf.float32, name=source.name)
    # Without `training` the layers' defaults decide whether this is training, and statistics of the batch could enter.
    with _inlined_functions():
        function = tf.function(lambda images: model(images, training=False)).get_concrete_function(pixels)
    # The only input is the first: constants that the network holds, such as a mean of pixels, become values of the graph.
    ends = [function.inputs[0].name], [tensor.name for tensor in function.outputs]
    frozen = tf_loader.from_function(function, *ends)
    graph, _ = from_graph_def(
        frozen,
        input_names=ends[0],
        output_names=ends[1],
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, []), "Expm1": (_expm1, []), "Log1p": (_log1p, [])},
        tensors_to_rename={ends[0][0]: source.name},
    )
    unknown = {node.op_type for node in graph.graph.node if not node.domain and not onnx.defs.has(node.op_type, OPSET)}
    if unknown:
        raise ValueError(f"ONNX has no operation for TensorFlow's {', '.join(sorted(unknown))}")
    round_scales_up(graph.graph)
    slim = onnxslim.slim(graph)
    for value in (*slim.graph.input, *slim.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(slim, full_check=True)
    return slim


@contextmanager
def _inlined_functions() -> Iterator[None]:
    """Trace functions within a function as a part of it: Keras compiles grouped convolutions apart, which no converter sees."""
    import tensorflow as tf

    was_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(was_eager)


def round_scales_up(graph: "onnx.GraphProto") -> None:
    """Round the factors by which a graph resizes images up, not off: ONNX cuts 12 * 0.8333333 to 9 pixels, and 10 are meant."""
    from onnx.numpy_helper import from_array, to_array

    resized = {node.input[2] for node in graph.node if node.op_type == "Resize" and len(node.input) > 2}
    for value in graph.initializer:
        if value.name in resized:
            scales = to_array(value)
            meant = [Fraction(float(scale)).limit_denominator(MAX_SIDE) for scale in scales]
            up = [
                np.nextafter(one, np.float32(np.inf)) if float(one) < exact else one
                for one, exact in zip(scales, meant, strict=True)
            ]
            value.CopyFrom(from_array(np.array(up, np.float32), value.name))


def _erfc(graph: Any, node: Any, *_: Any) -> None:
    """Make a node of TensorFlow's Erfc, which an exact GELU has, into 1 - Erf, for tf2onnx."""
    _with_one(graph, node, "Erf", is_one_first=True)


def _expm1(graph: Any, node: Any, *_: Any) -> None:
    """Make a node of TensorFlow's Expm1, which a CELU has, into Exp - 1, for tf2onnx."""
    _with_one(graph, node, "Exp", is_one_first=False)


def _log1p(graph: Any, node: Any, *_: Any) -> None:
    """Make a node of TensorFlow's Log1p into the Log of 1 + x, for tf2onnx."""
    values, result = node.input[0], node.output[0]
    kinds, shapes = [graph.get_dtype(result)], [graph.get_shape(result)]
    graph.remove_node(node.name)
    one = graph.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
    more = graph.make_node("Add", [values, one], dtypes=kinds, shapes=shapes).output[0]
    graph.make_node("Log", [more], outputs=[result], dtypes=kinds, shapes=shapes)


def _with_one(graph: Any, node: Any, operation: str, *, is_one_first: bool) -> None:
    """Replace a node by the difference of 1 and an operation of ONNX, or of the operation and 1."""
    values, result = node.input[0], node.output[0]
    kinds, shapes = [graph.get_dtype(result)], [graph.get_shape(result)]
    graph.remove_node(node.name)
    one = graph.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
    made = graph.make_node(operation, [values], dtypes=kinds, shapes=shapes).output[0]
    graph.make_node("Sub", [one, made] if is_one_first else [made, one], outputs=[result], dtypes=kinds, shapes=shapes)


def float16(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to float16 weights and activations, float32 input and output; calibration is not used."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    # The scaling is not folded: weights divided by 255 would lose digits in half precision.
    # The converter to half precision leaves half of a loop in float32.
    graph = convert(unrolled(model))
    blocked = sorted({*DEFAULT_OP_BLOCK_LIST, *_only_single(graph)})
    half = OnnxModel(convert_float_to_float16(graph, keep_io_types=True, op_block_list=blocked))
    sort_nodes(half.model.graph)
    onnx.checker.check_model(half.model, full_check=True)
    return half.model.SerializeToString()


def sort_nodes(graph: "onnx.GraphProto") -> None:
    """Put the nodes of a graph into an order in which each follows those whose results it takes.

    The converter to half precision appends its casts at the end, and the order of ONNX Runtime's tools knows no branches.
    """
    made = {name: place for place, node in enumerate(graph.node) for name in node.output}
    needed = {place: {made[name] for name in inputs_of(node) if name in made} for place, node in enumerate(graph.node)}
    nodes = [graph.node[place] for place in TopologicalSorter(needed).static_order()]
    del graph.node[:]
    graph.node.extend(nodes)


def _only_single(graph: "onnx.ModelProto") -> set[str]:
    """Return the operations of a graph that do not take half precision, such as IsInf."""
    import onnx

    schemas = {node.op_type: onnx.defs.get_schema(node.op_type, OPSET) for node in graph.graph.node if not node.domain}
    return {name for name, schema in schemas.items() if schema.inputs and "tensor(float16)" not in schema.inputs[0].types}


def dynamic(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to per-channel int8 weights; activations are quantized to uint8 at run time. Calibration is not used."""
    with _files() as (source, target):
        onnx_int8.dynamic(fold_scaling(convert(model)), source, target)
        return target.read_bytes()


def int8(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to per-channel int8 weights and uint8 activations with static scales (QDQ); input and output stay float32.

    calibration (N, H, W, C) uint8 are training images; their activations set the scales.
    """
    with _files() as (source, target):
        onnx_int8.static(fold_scaling(convert(model)), calibration, source, target)
        return target.read_bytes()


def fold_scaling(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Fold a factor in front of the first convolution into its weights, which saves an operation; changes the model itself.

    A reshape may stand between them. The factor stays where it is if anything else uses it, or the weights.
    """
    from onnx.numpy_helper import from_array, to_array

    graph = model.graph
    values = {value.name: value for value in graph.initializer}
    pixels = graph.input[0].name
    first = only_user(graph, pixels)
    factors = [name for name in first.input if name in values] if first and first.op_type == "Mul" else []
    if first is None or len(factors) != 1 or to_array(values[factors[0]]).size != 1:
        return model
    value = first.output[0]
    follower = node = only_user(graph, value)
    while node is not None and node.op_type in ("Reshape", "Transpose"):
        value = node.output[0]
        node = only_user(graph, value)
    if follower is None or node is None or node.op_type != "Conv" or node.input[0] != value:
        return model
    if node.input[1] not in values or only_user(graph, node.input[1]) is None:
        return model
    weights, factor = values[node.input[1]], to_array(values[factors[0]]).reshape(())
    weights.CopyFrom(from_array((to_array(weights) * factor).astype(np.float32), weights.name))
    follower.input[0] = pixels
    graph.node.remove(first)
    if not any(factors[0] in inputs_of(node) for node in graph.node):
        graph.initializer.remove(values[factors[0]])
    return model


def only_user(graph: "onnx.GraphProto", name: str) -> "onnx.NodeProto | None":
    """Return the node that takes a value, None if several do, none does, or the value is a result of the graph."""
    users = [user for user in graph.node for taken in inputs_of(user) if taken == name]
    return users[0] if len(users) == 1 and name not in {output.name for output in graph.output} else None


def inputs_of(node: "onnx.NodeProto") -> Iterator[str]:
    """Yield the names of the values that a node takes, with those that the body of a loop takes from outside."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inputs_of(inner)


@contextmanager
def _files() -> Iterator[tuple[Path, Path]]:
    """Yield paths of temporary files for quantizers, which read one file and write another."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "float32.onnx", Path(folder) / "quantized.onnx"


def embed(model: bytes, facts: Facts) -> bytes:
    """Return the ONNX model with the facts in its metadata_props."""
    import onnx

    graph = onnx.load_model_from_string(model)
    entry = graph.metadata_props.add()
    entry.key, entry.value = FACTS_KEY, facts.to_json()
    return graph.SerializeToString()


def inspect(model: bytes) -> Inspection:
    """Read the largest pixel of the input, faults of the quantization, and the oldest runtime.

    The faults are depthwise filters that share one scale, and weights whose products some processors cannot add up.
    """
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_model_from_string(model).graph
    values = {value.name: to_array(value) for value in graph.initializer}
    # Reshaping does not change the values of the input.
    inputs = {graph.input[0].name}
    for node in graph.node:
        if node.op_type in ("Reshape", "Transpose") and node.input[0] in inputs:
            inputs.add(node.output[0])
    limits = [
        (255 - int(values[node.input[2]])) * float(values[node.input[1]])
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] in inputs and node.input[1] in values
    ]
    # One scale for all filters leaves the small ones few digits, or none; a scale of its own gives each the same largest integer.
    coarse = []
    for node in graph.node:
        if node.op_type == "ConvInteger" and onnx_int8.attributes(node).get("group", 1) > 1:
            filters = values[node.input[1]].astype(int) - int(values[node.input[3]])
            largest = np.abs(filters).max(tuple(range(1, filters.ndim)))
            coarse += [node] if ((largest > 0) & (largest < largest.max() / 2)).any() else []
    return Inspection(limits[0] if limits else None, bool(coarse), LOWEST_RUNTIME, tuple(onnx_int8.saturating(graph)))
