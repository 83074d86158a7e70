"""Keras to ONNX, and facts into ONNX's metadata_props."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..runtime.model.facts import FACTS_KEY, Facts
from ..runtime.pixels import Pixels
from .gate import Inspection

if TYPE_CHECKING:
    import keras
    import onnx

# Fixed, so that the same model opens on the same runtimes whichever converter is installed; 13 brought
# per-channel quantization, 15 opens in ONNX Runtime 1.10 and later.
OPSET, LOWEST_RUNTIME = 15, "ONNX Runtime 1.10"


def float32(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert with float32 weights and activations, any number of pictures at once; calibration is not used."""
    return fold_scaling(convert(model)).SerializeToString()


def convert(model: "keras.Model") -> "onnx.ModelProto":
    """Convert with float32 weights and activations, each layer as it stands, any number of pictures at once."""
    import keras
    import onnx
    import onnxslim

    shape = model.inputs[0].shape[1:]
    inputs = keras.Input(shape, name=model.inputs[0].name)
    # Keras leaves it to the layers' defaults whether this is training, by which statistics of the batch may come in.
    fixed = keras.Model(inputs, model(inputs, training=False), name=model.name)
    # It exports no network that was never called.
    fixed(np.zeros((1, *shape), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        fixed.export(path, format="onnx", verbose=False, opset_version=OPSET)
        graph = onnx.load(path)
    slim = onnxslim.slim(graph)
    for value in (*slim.graph.input, *slim.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(slim, full_check=True)
    return slim


def float16(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert with float16 weights and activations, float32 in and out; calibration is not used."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    # Weights brought down by the scaling of pixels would lose digits in half precision.
    half = OnnxModel(convert_float_to_float16(convert(model), keep_io_types=True))
    # The converter puts its casts at the end.
    half.topological_sort()
    onnx.checker.check_model(half.model, full_check=True)
    return half.model.SerializeToString()


def dynamic(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert with int8 weights by channel; activations become uint8 as they come. Calibration is not used."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _files(float32(model, calibration)) as (source, target):
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        return target.read_bytes()


def int8(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to int8 weights by channel and uint8 activations with static scales (QDQ); pixels and results stay float32.

    calibration (N, H, W, C) uint8 are training pictures; their activations decide the scales.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self, name: str):
            self.batches = iter([{name: calibration[i : i + 1].astype(np.float32)} for i in range(len(calibration))])

        def get_next(self):
            return next(self.batches, None)

    graph = fold_scaling(convert(model))
    name = graph.graph.input[0].name
    # Beside the network's own cost a softmax of so few classes costs nothing, and its result need not be rounded.
    whole = [node.name for node in graph.graph.node if node.op_type == "Softmax"]
    with _files(graph.SerializeToString()) as (source, target):
        quantize_static(
            source,
            target,
            Pictures(name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=whole,
        )
        return target.read_bytes()


def fold_scaling(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return the model with a factor in front of its first convolution brought into the weights: one operation less."""
    from onnx.numpy_helper import from_array, to_array

    graph = model.graph
    values = {value.name: value for value in graph.initializer}
    nodes = list(graph.node)
    # A reshape may stand between; anything else, such as an offset, leaves the factor where it is.
    convolution = next((node for node in nodes[1:] if node.op_type not in ("Reshape", "Transpose")), None)
    first, factors = nodes[0], [name for name in nodes[0].input if name in values]
    if first.op_type != "Mul" or convolution is None or convolution.op_type != "Conv" or len(factors) != 1:
        return model
    factor = to_array(values[factors[0]])
    uses = [node for node in nodes if first.output[0] in node.input or convolution.input[1] in node.input]
    if factor.size != 1 or len(uses) > 2:
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
    """Write a model for those who read files, and name the file for what they make of it."""
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
    """Read where the input ends, and whether a depthwise layer has one scale for all its filters, and what opens the file."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_model_from_string(model).graph
    values = {value.name: to_array(value) for value in graph.initializer}
    # Reshaping does not change what the input holds.
    taken = {graph.input[0].name}
    for node in graph.node:
        if node.op_type in ("Reshape", "Transpose") and node.input[0] in taken:
            taken.add(node.output[0])
    ends = [
        (255 - int(values[node.input[2]])) * float(values[node.input[1]])
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] in taken and node.input[1] in values
    ]
    # ConvInteger takes its weights' zero points as the fourth input: one a filter, or one for all.
    coarse = [
        node
        for node in graph.node
        if node.op_type == "ConvInteger"
        and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        and np.size(values.get(node.input[3], 0)) == 1
    ]
    return Inspection(ends[0] if ends else None, bool(coarse), LOWEST_RUNTIME)
