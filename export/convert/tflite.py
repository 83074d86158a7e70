"""Conversion from Keras to TFLite, the facts in TFLite's metadata, and what a TFLite file says about its quantization.

All files take batches of one image and give every tensor a name of its own, as many runtimes and tools beside LiteRT need.
"""

from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.model.facts import FACTS_KEY, Facts
from ...runtime.pixels import Pixels
from ..gate import Inspection
from .network import unrolled

if TYPE_CHECKING:
    import keras

# TFLite's readers expect tensor data at multiples of this.
ALIGNMENT_BYTES = 16
# Numbers from TFLite's schema: the operator DEPTHWISE_CONV_2D, and the largest value of each integer type of tensors.
DEPTHWISE, INT16, MAX_VALUES = 4, 7, {3: 255, 7: 32767, 9: 127}
# The operators CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, the roles of their inputs by position, and DEQUANTIZE.
WEIGHTED, ROLES, DEQUANTIZE = (3, DEPTHWISE, 9), {1: "weights", 2: "bias"}, 6
# The metadata in which the converter names the oldest runtime that has all operators. It ignores that 16-bit activations came
# with 2.4, and files without the entry run on 1.0.
RUNTIME_KEY, MIN_RUNTIME_16X8, MIN_RUNTIME = b"min_runtime_version", (2, 4, 0), (1, 0, 0)


def float32(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to float32 weights and activations; calibration is not used."""
    return bytes(_converter(model).convert())


def float16(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to float16 weights, which runtimes widen to float32 when they open the file; calibration is not used."""
    import tensorflow as tf

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def dynamic(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to int8 weights; activations are quantized at run time, input and output are float32. Calibration is not used."""
    import tensorflow as tf

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Per-channel Dense layers would need TFLite 2.17 or later.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return bytes(converter.convert())


def int8(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to integers throughout: per-channel int8 weights, int8 activations, uint8 input and output.

    calibration (N, H, W, C) uint8 are training images; their activations set the scales.
    """
    import tensorflow as tf

    converter = _calibrated(model, calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def int16x8(model: "keras.Model", calibration: Pixels) -> bytes:
    """Convert to per-channel int8 weights and int16 activations, float32 input and output; calibration as for int8."""
    import tensorflow as tf

    converter = _calibrated(model, calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    return bytes(converter.convert())


def embed(model: bytes, facts: Facts) -> bytes:
    """Return the TFLite model with the facts in a metadata buffer, which interpreters ignore."""
    return embed_buffers(model, {FACTS_KEY: facts.to_json().encode()})


def embed_buffers(model: bytes, buffers: dict[str, bytes]) -> bytes:
    """Return the TFLite model with further metadata buffers, by their names, and with short names of its tensors."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    tree.metadata = list(tree.metadata or [])
    for name, content in buffers.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry.name, entry.buffer = name, len(tree.buffers)
        tree.buffers.append(buffer)
        tree.metadata.append(entry)
    name_tensors(tree)
    builder = aligned(flatbuffers.Builder)(len(model) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def name_tensors(tree: Any) -> None:
    """Give every tensor of an unpacked TFLite model (ModelT) a short name that no other tensor has.

    TFLite connects tensors by index, but other readers, such as OpenVINO and tf2onnx, connect them by name. Inputs and outputs
    get the names that the signature gives them. Any other tensor keeps the first of the names that fusing joined, because in a
    nano model all of them would weigh as much as a layer, without the scopes that all names begin with.
    """
    ends: dict[tuple[int, int], bytes] = {}
    for signature in tree.signatureDefs or []:
        for end in (*signature.outputs, *signature.inputs):
            ends[signature.subgraphIndex, end.tensorIndex] = end.name
    roles = {(at, index): role for at, graph in enumerate(tree.subgraphs) for index, role in _roles(tree, graph).items()}
    tensors = {(at, index): tensor for at, graph in enumerate(tree.subgraphs) for index, tensor in enumerate(graph.tensors)}
    parts = {place: tensor.name.partition(b";")[0].split(b"/") for place, tensor in tensors.items() if place not in ends}
    scopes = [path[:-1] for path in parts.values() if len(path) > 1]
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*scopes, strict=False)))
    wanted = {place: b"/".join(path[shared:] if len(path) > 1 else path) for place, path in parts.items()} | ends
    taken: set[bytes] = set()
    # Results keep the name of their layer, and its weights and bias say in addition what they are.
    for place in sorted(tensors, key=lambda place: (place not in ends, place in roles, place)):
        name = wanted[place]
        if name in taken and place in roles:
            name = b"%s/%s" % (name, roles[place].encode())
        tensors[place].name = next(
            option for number in count(1) if (option := b"%s_%d" % (name, number) if number > 1 else name) not in taken
        )
        taken.add(tensors[place].name)


def _roles(tree: Any, graph: Any) -> dict[int, str]:
    """Return which tensors of a graph are weights and biases, by their index; float16 ones are widened first."""
    codes = [code.builtinCode for code in tree.operatorCodes]
    weighted = [op for op in graph.operators if codes[op.opcodeIndex] in WEIGHTED]
    roles = {op.inputs[place]: role for op in weighted for place, role in ROLES.items() if place < len(op.inputs)}
    widened = [op for op in graph.operators if codes[op.opcodeIndex] == DEQUANTIZE and op.outputs[0] in roles]
    return roles | {op.inputs[0]: roles[op.outputs[0]] for op in widened}


def inspect(model: bytes) -> Inspection:
    """Read the largest pixel of the input, whether the filters of a depthwise layer share one scale, and the oldest runtime."""
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = tree.subgraphs[0]
    codes, tensors = [code.builtinCode for code in tree.operatorCodes], graph.tensors
    filters = [tensors[op.inputs[1]].quantization for op in graph.operators if codes[op.opcodeIndex] == DEPTHWISE]
    scales = [quantization.scale for quantization in filters if quantization is not None]
    # The first operation may quantize a float input, as in 16x8.
    quantized = [op.outputs[0] for op in graph.operators if op.inputs[0] == graph.inputs[0]]
    limits = [limit for limit in (_max_value(tensors[i]) for i in (graph.inputs[0], *quantized[:1])) if limit is not None]
    is_coarse = any(scale is not None and len(scale) == 1 for scale in scales)
    runtimes: list[tuple[int, ...]] = [
        parse_version(bytes(tree.buffers[entry.buffer].data)) for entry in tree.metadata or [] if entry.name == RUNTIME_KEY
    ]
    if any(tensor.type == INT16 for tensor in tensors):
        runtimes.append(MIN_RUNTIME_16X8)
    lowest = max(runtimes, default=MIN_RUNTIME)
    return Inspection(min(limits, default=None), is_coarse, f"TFLite {'.'.join(map(str, lowest))}")


def parse_version(text: bytes) -> tuple[int, ...]:
    """Parse a version that the converter wrote, padded with zero bytes."""
    return tuple(int(part) for part in text.rstrip(b"\0").split(b"."))


def _max_value(tensor: Any) -> float | None:
    """Return the largest value that a quantized tensor can hold, None for a float tensor."""
    quantization, max_code = tensor.quantization, MAX_VALUES.get(tensor.type)
    if quantization is None or quantization.scale is None or max_code is None or len(quantization.scale) != 1:
        return None
    return float((max_code - quantization.zeroPoint[0]) * quantization.scale[0])


def aligned(builder: type) -> type:
    """Return a flatbuffers builder that aligns byte vectors and stores equal vectors of other types once.

    The schema asks for the alignment (force_align), and its Python code does not align. Each channel has a zero point of 8 bytes,
    which is 0: in a nano model they would weigh as much as a layer.
    """

    class Aligned(builder):
        def __init__(self, size: int) -> None:
            super().__init__(size)
            self.stored: dict[tuple[str, bytes], Any] = {}

        def CreateNumpyVector(self, values: NDArray[Any]) -> Any:  # noqa: N802, the builder's own name
            if values.dtype == np.uint8:
                self.Prep(ALIGNMENT_BYTES, values.size + 4)
                self.Prep(ALIGNMENT_BYTES, values.size)
                return super().CreateNumpyVector(values)
            key = values.dtype.str, values.tobytes()
            if key not in self.stored:
                self.stored[key] = super().CreateNumpyVector(values)
            return self.stored[key]

    return Aligned


def _calibrated(model: "keras.Model", calibration: Pixels) -> Any:
    import tensorflow as tf

    network = unrolled(model)
    refuse_loops(network)
    converter = _converter(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None].astype(np.float32)] for picture in calibration)
    return converter


def refuse_loops(model: "keras.Model") -> None:
    """Raise ValueError if a network has a loop: the converter's calibration crashes on it, and takes the process with it."""
    import tensorflow as tf

    pixels = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32)
    function = tf.function(lambda images: model(images, training=False)).get_concrete_function(pixels)
    if any(operation.type in ("While", "StatelessWhile") for operation in function.graph.get_operations()):
        raise ValueError("TFLite's integers have no loops")


def _converter(model: "keras.Model") -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(for_one_image(model))


def for_one_image(model: "keras.Model") -> "keras.Model":
    """Return an equal network that takes batches of one image, whatever batches the network itself takes.

    An open batch would add the operations SHAPE, STRIDED_SLICE and PACK in front of every reshape, which compilers for NPUs and
    some runtimes refuse.
    """
    import keras

    source = model.inputs[0]
    if source.shape[0] == 1:
        return model
    image = keras.Input(source.shape[1:], batch_size=1, dtype=source.dtype, name=source.name)
    return keras.Model(image, model(image, training=False), name=model.name)
