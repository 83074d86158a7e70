"""The graph of a TFLite file as a microcontroller sees it: its operators, its memory, and what it cannot run of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import LettercastError
from ...runtime.model.installed import LITERT, describe_missing, find_package, this_platform

# The operators that tflite-micro has kernels for, by their names in TFLite's schema (`nm` of its wheel 0.dev20261023182759).
KERNEL_NAMES = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO
CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE
ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT
LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE
READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND
RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE
SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE
ZEROS_LIKE
"""
KERNELS = frozenset(KERNEL_NAMES.split())
# Names of MicroMutableOpResolver's methods that are not the operator's name in camel case.
METHODS = {"BATCH_MATMUL": "BatchMatMul", "CUMSUM": "CumSum", "PADV2": "PadV2"}
UPPER = {"2D", "LSTM"}
# Each has a filter as its second input; a float activation with an int8 filter is what dynamic quantization makes.
FILTERED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
INSTEAD = "export it as tflite-int8"
# Bytes of tflite-micro's structures on a 64-bit machine, where pointers are twice as long: per tensor, per operator, and once.
TENSOR_BYTES, OPERATOR_BYTES, BASE_BYTES = 24, 64, 2048
# A multiplier and a shift for each output channel of a convolution or a dense layer, and the numbers of the layer itself.
CHANNEL_BYTES, LAYER_BYTES = 8, 192
# Two tables of 513 numbers of 16 bits, with which a softmax of int16 computes.
TABLES_BYTES = 2 * 513 * 2
ALIGNMENT = 16


@dataclass(frozen=True)
class Port:
    """The input or the output of a graph: its NumPy dtype, its scale (0 without quantization) and its zero point."""

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Graph:
    """What a microcontroller needs to know of a TFLite file.

    Attributes:
        operators: the names of the operators, each once, in the order of their first use.
        source, target: its input and its output.
        macs: multiplications with an addition of its convolutions and dense layers, for one image.
        activations_bytes: the memory of its activations.
        estimated_arena_bytes: what the arena takes, estimated on the safe side; tflite-micro measures it.
        cmsis_nn_bytes, esp_nn_bytes: scratch memory that the kernels of CMSIS-NN (Cortex-M) and of ESP-NN (ESP32-S3 and
            ESP32-P4) take beside that, at most, by the formulas of their sources.
        is_integer: whether every operator but those at the ends computes with integers.
    """

    operators: tuple[str, ...]
    source: Port
    target: Port
    macs: int
    activations_bytes: int
    estimated_arena_bytes: int
    cmsis_nn_bytes: int
    esp_nn_bytes: int
    is_integer: bool

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of MicroMutableOpResolver that add the operators."""
        return tuple(method_of(name) for name in self.operators)


def method_of(operator: str) -> str:
    """Return the method of MicroMutableOpResolver that adds an operator, such as AddConv2D for CONV_2D."""
    words = (word if word in UPPER else word.capitalize() for word in operator.split("_"))
    return f"Add{METHODS.get(operator) or ''.join(words)}"


def read_graph(path: Path, model: bytes) -> Graph:
    """Read the graph of a TFLite file.

    Raises:
        LettercastError: tflite-micro cannot run it, or LiteRT, which brings the schema, is not installed.
    """
    if not (found := find_package(LITERT)).module:
        raise LettercastError(f"{path}: {describe_missing(found, this_platform())}")
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    parsed: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    graph = parsed.subgraphs[0]
    layers: list[tuple[str, Any]] = []
    for one in graph.operators:
        code = parsed.operatorCodes[one.opcodeIndex]
        layers.append((names[max(code.builtinCode, code.deprecatedBuiltinCode)], one))
    kinds = [types[tensor.type] for tensor in graph.tensors]
    operators = tuple(dict.fromkeys(name for name, _ in layers))
    check_operators(path, operators, layers, kinds)
    filtered = [(name, layer_shapes(graph, one)) for name, one in layers if name in FILTERED]
    channels = sum(shapes[2][-1] for _, shapes in filtered)
    alive = sum(activations(one) for one in parsed.subgraphs)
    persistent = BASE_BYTES + CHANNEL_BYTES * channels
    persistent += sum(
        TENSOR_BYTES * len(one.tensors) + (OPERATOR_BYTES + LAYER_BYTES) * len(one.operators) for one in parsed.subgraphs
    )
    persistent += TABLES_BYTES if "INT16" in kinds else 0
    inside = [name for name, one in layers if {kinds[i] for i in (*inputs_of(one), *one.outputs) if i >= 0} & {"FLOAT32"}]
    return Graph(
        operators,
        port_of(graph.tensors[graph.inputs[0]], kinds[graph.inputs[0]]),
        port_of(graph.tensors[graph.outputs[0]], kinds[graph.outputs[0]]),
        sum(macs_of(name, *shapes) for name, shapes in filtered),
        alive,
        aligned(alive + persistent),
        max((cmsis_nn_scratch(name, shapes) for name, shapes in filtered), default=0),
        max((esp_nn_scratch(name, shapes) for name, shapes in filtered), default=0),
        {*inside} <= {"QUANTIZE", "DEQUANTIZE"},
    )


def check_operators(path: Path, operators: tuple[str, ...], layers: list[tuple[str, Any]], kinds: list[str]) -> None:
    """Raise LettercastError if tflite-micro lacks an operator, or a kind of arithmetic, of a graph."""
    if "FLOAT16" in kinds:
        raise LettercastError(f"{path}: tflite-micro has no float16; {INSTEAD}")
    for name, one in layers:
        if name in FILTERED and kinds[one.inputs[0]] == "FLOAT32" and kinds[one.inputs[1]] != "FLOAT32":
            raise LettercastError(f"{path}: tflite-micro runs no layers with int8 weights and float activations; {INSTEAD}")
    lacking = [name for name in operators if name not in KERNELS]
    if lacking:
        raise LettercastError(
            f"{path}: tflite-micro has no operator {' and no '.join(lacking)}; train a network without the layer that makes it"
        )


def inputs_of(one: Any) -> list[int]:
    """Return the places of an operator's inputs; -1 is one that is left out."""
    return [] if one.inputs is None else [int(i) for i in one.inputs]


def port_of(tensor: Any, kind: str) -> Port:
    """Return the dtype, scale and zero point of an input or output tensor of this kind."""
    found: Any = tensor.quantization
    if found is None or found.scale is None or len(found.scale) != 1:
        return Port(kind.lower(), 0.0, 0)
    return Port(kind.lower(), float(found.scale[0]), int(found.zeroPoint[0]))


def layer_shapes(graph: Any, one: Any) -> tuple[list[int], list[int], list[int]]:
    """Return the shapes of a layer's input, filter and output."""
    first, second, third = (graph.tensors[i].shape for i in (one.inputs[0], one.inputs[1], one.outputs[0]))
    return [int(side) for side in first], [int(side) for side in second], [int(side) for side in third]


def macs_of(name: str, source: list[int], weights: list[int], target: list[int]) -> int:
    """Return the multiplications with an addition of a layer, from the shapes of its input, filter and output."""
    if name == "FULLY_CONNECTED":
        return int(np.prod(weights))
    if name == "TRANSPOSE_CONV":
        # Its first input is the shape of its output; each weight meets each input pixel, which the output bounds.
        return int(np.prod(target[1:3])) * int(np.prod(weights))
    if name == "DEPTHWISE_CONV_2D":
        return int(np.prod(target[1:])) * int(np.prod(weights[1:3]))
    return int(np.prod(target[1:])) * int(np.prod(weights[1:]))


def activations(graph: Any) -> int:
    """Return the bytes that the activations take as tflite-micro places them.

    Its greedy planner places the largest first, each at the lowest address that is free while it is alive
    (Lee et al., On-Device Neural Net Inference with Mobile GPUs, 2019, section 5).
    """
    births: dict[int, int] = {int(i): 0 for i in graph.inputs}
    deaths: dict[int, int] = {int(i): len(graph.operators) for i in graph.outputs}
    for step, one in enumerate(graph.operators):
        for i in one.outputs:
            births.setdefault(int(i), step)
            deaths.setdefault(int(i), step)
        for i in inputs_of(one):
            if i in births:
                deaths[int(i)] = max(step, deaths.get(int(i), 0))
    placed: list[tuple[int, int, int, int]] = []
    for size, i in sorted(((aligned(bytes_of(graph.tensors[i])), i) for i in births), key=lambda one: -one[0]):
        birth, death, at = births[i], deaths.get(i, births[i]), 0
        for start, end, first, last in sorted(placed):
            if first <= death and birth <= last:
                if start - at >= size:
                    break
                at = max(at, end)
        placed.append((at, at + size, birth, death))
    return max(end for _, end, _, _ in placed)


def bytes_of(tensor: Any) -> int:
    """Return the size of a tensor in bytes; types of fewer than 8 bits count as 8."""
    # FLOAT32, FLOAT16, INT32, UINT8, INT64, STRING, BOOL, INT16 in the order of the schema; int8 and all others have a byte.
    width = {0: 4, 1: 2, 2: 4, 4: 8, 7: 2, 10: 8}.get(tensor.type, 1)
    shape = () if tensor.shape is None else tensor.shape
    return width * int(np.prod([max(1, int(side)) for side in shape] or [1]))


def cmsis_nn_scratch(name: str, shapes: tuple[list[int], list[int], list[int]]) -> int:
    """Return the scratch bytes of a layer in CMSIS-NN: columns of int16 or, with Helium, four columns of int8."""
    _, weights, target = shapes
    if name == "CONV_2D":
        return 4 * aligned(int(np.prod(weights[1:])))
    if name == "DEPTHWISE_CONV_2D":
        return 4 * aligned(int(np.prod(weights[1:3]))) * 8 + 2 * int(np.prod(weights[1:]))
    # Sums of the weights, one for each output.
    return 4 * target[-1]


def esp_nn_scratch(name: str, shapes: tuple[list[int], list[int], list[int]]) -> int:
    """Return the scratch bytes of a layer in ESP-NN: the filter and the padded input, twice."""
    source, weights, _ = shapes
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0
    height, width, depth = source[1:]
    rows, columns = weights[1:3]
    padded = (height + rows) * (width + columns) * depth
    if name == "DEPTHWISE_CONV_2D":
        return 2 * (aligned(int(np.prod(weights))) + padded) + 2 * ALIGNMENT
    # Rows of the filter are filled up to 16 bytes.
    aligned_filter = weights[0] * rows * aligned(columns * depth)
    return 2 * (aligned_filter + padded) + ALIGNMENT * aligned(depth) + 4 * weights[0] + 2 * ALIGNMENT


def aligned(size: int) -> int:
    """Round a number of bytes up to a multiple of 16."""
    return -(-size // ALIGNMENT) * ALIGNMENT
