"""Conversion from Keras to ONNX, the facts in ONNX's metadata_props, and what an ONNX file says about its quantization."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.model.facts import FACTS_KEY, Facts
from ..runtime.pixels import Pixels
from .gate import Inspection

if TYPE_CHECKING:
    import keras
    import onnx

# Fixed, so that a model opens in the same runtimes whichever converter is installed. Opset 13 brought per-channel
# quantization; opset 15 opens in ONNX Runtime 1.10 and later.
OPSET, LOWEST_RUNTIME = 15, "ONNX Runtime 1.10"


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
    function = tf.function(lambda images: model(images, training=False)).get_concrete_function(pixels)
    # The only input is the first: constants that the network holds, such as a mean of pixels, become values of the graph.
    ends = [function.inputs[0].name], [tensor.name for tensor in function.outputs]
    frozen = tf_loader.from_function(function, *ends)
    graph, _ = from_graph_def(
        frozen,
        input_names=ends[0],
        output_names=ends[1],
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
        tensors_to_rename={ends[0][0]: source.name},
    )
    unknown = {node.op_type for node in graph.graph.node if not node.domain and not onnx.defs.has(node.op_type, OPSET)}
    if unknown:
        raise ValueError(f"ONNX has no operation for TensorFlow's {', '.join(sorted(unknown))}")
    slim = onnxslim.slim(graph)
    for value in (*slim.graph.input, *slim.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(slim, full_check=True)
    return slim


def _erfc(graph: Any, node: Any, *_: Any) -> None:
    """Make a node of TensorFlow's Erfc, which an exact GELU has, into 1 - Erf, for tf2onnx."""
    values, result = node.input[0], node.output[0]
    kind, shape = graph.get_dtype(result), graph.get_shape(result)
    graph.remove_node(node.name)
    one = graph.make_const(f"{node.name}_one", np.array(1, np.float32))
    erf = graph.make_node("Erf", [values], dtypes=[kind], shapes=[shape])
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=[result], dtypes=[kind], shapes=[shape])


def float16(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to float16 weights and activations, float32 input and output; calibration is not used."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    # The scaling is not folded: weights divided by 255 would lose digits in half precision.
    half = OnnxModel(convert_float_to_float16(convert(model), keep_io_types=True))
    # The converter appends its casts at the end, out of order.
    half.topological_sort()
    onnx.checker.check_model(half.model, full_check=True)
    return half.model.SerializeToString()


def dynamic(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to per-channel int8 weights; activations are quantized to uint8 at run time. Calibration is not used."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _files(float32(model, calibration)) as (source, target):
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        return target.read_bytes()


def int8(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to per-channel int8 weights and uint8 activations with static scales (QDQ); input and output stay float32.

    calibration (N, H, W, C) uint8 are training images; their activations set the scales.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self, name: str):
            self.batches = iter([{name: calibration[i : i + 1].astype(np.float32)} for i in range(len(calibration))])

        def get_next(self):
            return next(self.batches, None)

    graph = fold_scaling(convert(model))
    name = graph.graph.input[0].name
    # A softmax over few classes costs next to nothing, so it stays in float and the probabilities are not rounded.
    softmax = [node.name for node in graph.graph.node if node.op_type == "Softmax"]
    with _files(graph.SerializeToString()) as (source, target):
        quantize_static(
            source,
            target,
            Images(name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=softmax,
        )
        return target.read_bytes()


def is_only_path(graph: "onnx.GraphProto", first: "onnx.NodeProto", last: "onnx.NodeProto") -> bool:
    """Tell whether a node feeds nothing but one chain of nodes to a last one, whose weights nobody else uses."""
    results, node = {output.name for output in graph.output}, first
    while node.output[0] != last.output[0]:
        users = [user for user in graph.node for name in user.input if name == node.output[0]]
        if len(users) != 1 or node.output[0] in results:
            return False
        node = users[0]
    return sum(name == last.input[1] for user in graph.node for name in user.input) == 1


def fold_scaling(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Fold a factor in front of the first convolution into its weights, which saves an operation; changes the model itself."""
    from onnx.numpy_helper import from_array, to_array

    graph = model.graph
    values = {value.name: value for value in graph.initializer}
    nodes = list(graph.node)
    # A reshape may stand between them; anything else, such as an offset, keeps the factor where it is.
    convolution = next((node for node in nodes[1:] if node.op_type not in ("Reshape", "Transpose")), None)
    first, factors = nodes[0], [name for name in nodes[0].input if name in values]
    if first.op_type != "Mul" or convolution is None or convolution.op_type != "Conv" or len(factors) != 1:
        return model
    factor = to_array(values[factors[0]])
    if factor.size != 1 or not is_only_path(graph, first, convolution):
        return model
    weights = values[convolution.input[1]]
    weights.CopyFrom(from_array((to_array(weights) * factor.reshape(())).astype(np.float32), weights.name))
    follower = nodes[1]
    follower.input[list(follower.input).index(first.output[0])] = graph.input[0].name
    graph.node.remove(first)
    if not any(factors[0] in node.input for node in graph.node):
        graph.initializer.remove(values[factors[0]])
    return model


@contextmanager
def _files(model: bytes) -> Iterator[tuple[Path, Path]]:
    """Write a model to a temporary file for quantizers, which read and write files; yield its path and the path of the result."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "quantized.onnx"
        source.write_bytes(model)
        yield source, target


def embed(model: bytes, facts: Facts) -> bytes:
    """Return the ONNX model with the facts in its metadata_props."""
    import onnx

    graph = onnx.load_model_from_string(model)
    entry = graph.metadata_props.add()
    entry.key, entry.value = FACTS_KEY, facts.to_json()
    return graph.SerializeToString()


def inspect(model: bytes) -> Inspection:
    """Read the largest pixel of the input, whether the filters of a depthwise layer share one scale, and the oldest runtime."""
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
    # The fourth input of ConvInteger holds the zero points of the weights: one per filter, or one for all.
    coarse = [
        node
        for node in graph.node
        if node.op_type == "ConvInteger"
        and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        and np.size(values.get(node.input[3], 0)) == 1
    ]
    return Inspection(limits[0] if limits else None, bool(coarse), LOWEST_RUNTIME)
