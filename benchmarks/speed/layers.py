"""The cost of each layer of an exported model on this machine: multiply-accumulates and milliseconds, on one thread.

LiteRT does not show its profile to Python. So a TFLite file is cut off in place behind each of its operations, and the time
that an operation adds is its cost. ONNX Runtime profiles each node itself; its times include the few microseconds of profiling.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import LettercastError
from ...runtime.console import quiet
from ...runtime.model.installed import find_engine
from ..parity.measure import Run, timed

RUNS, IN_A_ROW, WARM_RUNS, SEED = 1000, 10, 10, 0
# The slot of a subgraph's operators in TFLite's schema, and the size of a vector's length field.
OPERATORS_SLOT, LENGTH_BYTES = 10, 4
# ONNX convolutions by their names after fusion, with the index of the weights among the inputs.
CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
PRODUCTS = (
    "Gemm",
    "FusedGemm",
    "QGemm",
    "MatMul",
    "FusedMatMul",
    "QLinearMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
)
# Only the middle half of the times counts; the others are disturbed by other processes.
MIDDLE = (0.25, 0.75)


@dataclass(frozen=True)
class Layer:
    """One operation: its name, output shape, multiply-accumulates of one image, and milliseconds.

    The time can be slightly negative if LiteRT runs the operation of a TFLite file together with the next one.
    """

    name: str
    output: tuple[int, ...]
    multiplications: int
    ms: float

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates per second; 0 if there are none, or if no time could be measured."""
        return self.multiplications / self.ms / 1e6 if self.ms > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as a JSON object."""
        return {**asdict(self), "gmacs": self.gmacs}


def layers_of(path: Path, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time the layers of a `.tflite` or `.onnx` file with one image.

    Raises:
        LettercastError: the file has another ending.
    """
    if path.suffix.lower() not in TIMERS:
        raise LettercastError(f"{path}: only the layers of {' and '.join(TIMERS)} files can be timed; export the model first")
    return TIMERS[path.suffix.lower()](path.read_bytes(), runs)


def tflite_layers(model: bytes, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time each operation of a TFLite file by the time that it adds to the operations before it."""
    operations = tflite_operations(model)
    starts = [open_tflite(cut_off(model, i)) for i in range(1, len(operations) + 1)]
    # All operations have their turn in each round, so that a drift of the machine's speed does not count as an operation's cost.
    rounds = [[np.median([timed(start, i) for i in range(IN_A_ROW)]) for start in starts] for _ in range(-(-runs // IN_A_ROW))]
    added = 1000 * np.median(np.diff(rounds, axis=1, prepend=0.0), 0)
    return tuple(Layer(*operation, round(float(ms), 5)) for operation, ms in zip(operations, added, strict=True))


def tflite_operations(model: bytes) -> list[tuple[str, tuple[int, ...], int]]:
    """Return the name, output shape and multiply-accumulates of every operation of a TFLite file."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    root = schema.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    found = []
    for i in range(graph.OperatorsLength()):
        operation = graph.Operators(i)
        code = root.OperatorCodes(operation.OpcodeIndex())
        # The older field holds codes up to 127, the newer one larger codes.
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        shapes = [
            [graph.Tensors(k).Shape(d) for d in range(graph.Tensors(k).ShapeLength())]
            for k in operation.InputsAsNumpy()
            if k >= 0
        ]
        output = graph.Tensors(operation.Outputs(0))
        size = tuple(output.Shape(d) for d in range(output.ShapeLength()))
        places = int(np.prod(size[:-1]))
        # Weights of a convolution are (out, height, width, in), depthwise (1, height, width, out), of a dense layer (out, in).
        is_product = name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        found.append((name, size, places * int(np.prod(shapes[1])) if is_product else 0))
    return found


def cut_off(model: bytes, count: int) -> bytes:
    """Return a TFLite file that ends behind its first `count` operations; the last one's output becomes the model's output.

    Two numbers change in place, so that everything else stays aligned.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    cut = bytearray(model)
    graph = schema.Model.GetRootAs(cut, 0).Subgraphs(0)
    graph.OutputsAsNumpy()[:] = graph.Operators(count - 1).Outputs(0)
    table = graph._tab
    begin = table.Vector(table.Offset(OPERATORS_SLOT))
    cut[begin - LENGTH_BYTES : begin] = count.to_bytes(LENGTH_BYTES, "little")
    return bytes(cut)


def open_tflite(model: bytes) -> Run:
    """Open a TFLite file with a random input on one thread; return a call that runs it once."""
    interpreter = find_engine(".tflite").module.Interpreter(model_content=model, num_threads=1)
    with quiet():
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    pixels = np.random.default_rng(SEED).integers(0, 256, source["shape"])
    interpreter.set_tensor(source["index"], pixels.astype(source["dtype"]))
    return lambda number: interpreter.invoke()


def onnx_layers(model: bytes, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time each node of an ONNX file by the profile of ONNX Runtime, after fusion.

    Raises:
        LettercastError: the numbers of multiplying nodes before and after fusion differ, so that they cannot be matched in order.
    """
    # ONNX Runtime pads channels to fill its blocks. The counts come from the unfused file, which has no padding.
    counts = [count for node in onnx_profile(model, 1, is_as_written=True) if (count := onnx_multiplications(node["args"]))]
    nodes: dict[str, list[dict[str, Any]]] = {}
    for node in onnx_profile(model, WARM_RUNS + runs):
        nodes.setdefault(node["name"], []).append(node)
    multiplying = [name for name, (first, *_) in nodes.items() if first["args"]["op_name"] in (*CONVOLUTIONS, *PRODUCTS)]
    if len(multiplying) != len(counts):
        raise LettercastError(
            f"ONNX Runtime multiplies in {len(multiplying)} nodes, but the file in {len(counts)}; time the .tflite file instead"
        )
    own = dict(zip(multiplying, counts, strict=True))
    layers = []
    for name, (first, *others) in nodes.items():
        times = [node["dur"] / 1000 for node in others[WARM_RUNS - 1 :]]
        (output, *_) = shapes_of(first["args"], "output_type_shape")
        layers.append(Layer(first["args"]["op_name"], output, own.get(name, 0), round(middle_mean(times), 5)))
    return tuple(layers)


def onnx_profile(model: bytes, runs: int, *, is_as_written: bool = False) -> list[dict[str, Any]]:
    """Run an ONNX file with a random input; return the profile events of all its nodes in order.

    Args:
        model: the bytes of the file.
        runs: how often to run it.
        is_as_written: run the nodes of the file without fusion, and profile the shapes of all weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = OnnxRun(model, str(Path(folder) / "profile"), is_as_written=is_as_written)
        for number in range(runs):
            run(number)
        events = json.loads(Path(run.session.end_profiling()).read_text(encoding="utf-8"))
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]


class OnnxRun:
    """An ONNX file with a random input on one thread; a call runs it once."""

    def __init__(self, model: bytes, profile: str = "", *, is_as_written: bool = False) -> None:
        module = find_engine(".onnx").module
        options = module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
        options.enable_profiling, options.profile_file_prefix = bool(profile), profile
        if is_as_written:
            options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
            # The profile has no shapes of packed weights.
            options.add_session_config_entry("session.disable_prepacking", "1")
        self.session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (source,) = self.session.get_inputs()
        shape = [side if isinstance(side, int) else 1 for side in source.shape]
        pixels = np.random.default_rng(SEED).integers(0, 256, shape)
        self._feed = {source.name: pixels.astype(np.uint8 if "uint8" in source.type else np.float32)}

    def __call__(self, number: int) -> None:
        self.session.run(None, self._feed)


def onnx_multiplications(about: dict[str, Any]) -> int:
    """Return the multiply-accumulates of a node from the arguments in its profile event; 0 if it does not multiply."""
    name, inputs, (output, *_) = (
        about["op_name"],
        shapes_of(about, "input_type_shape"),
        shapes_of(about, "output_type_shape"),
    )
    if name in CONVOLUTIONS:
        # Weights are (out, in, height, width).
        return int(np.prod(output)) * int(np.prod(inputs[CONVOLUTIONS[name]][1:]))
    return int(np.prod(output)) * inputs[0][-1] if name in PRODUCTS else 0


def shapes_of(about: dict[str, Any], key: str) -> list[tuple[int, ...]]:
    """Return the shapes of a node's inputs or outputs in its profile event."""
    return [tuple(next(iter(one.values()))) for one in about[key]]


def middle_mean(times: Sequence[float]) -> float:
    """Return the mean of the middle half, which is finer than a median if times are whole microseconds."""
    ordered = np.sort(times)
    low, high = (int(share * len(ordered)) for share in MIDDLE)
    return float(ordered[low : max(high, low + 1)].mean())


TIMERS = {".tflite": tflite_layers, ".onnx": onnx_layers}
