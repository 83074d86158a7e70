"""What each layer of an artifact costs on this machine: multiply-accumulates and milliseconds, on one thread.

LiteRT keeps its own profile from Python: a TFLite file is cut off behind each of its operations, in place, and what the next
operation adds is its cost. ONNX Runtime tells the time of each node by itself, the few microseconds included that telling takes.
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
from ...runtime.model.installed import look_for_engine
from ..parity.measure import Run, timed

RUNS, IN_A_ROW, WARM_RUNS, SEED = 1000, 10, 10, 0
# The slot of a subgraph's operators in TFLite's schema, and how wide the length of a vector is.
OPERATORS_SLOT, LENGTH_BYTES = 10, 4
# Nodes of ONNX that multiply, by what they are called after fusion, with the place of their weights among the inputs.
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
# Times outside of the middle half are those of somebody else's work.
MIDDLE = (0.25, 0.75)


@dataclass(frozen=True)
class Layer:
    """One operation: its name, the shape that comes out, multiply-accumulates of one picture, and milliseconds.

    Of a TFLite file's operation that an engine does in one with the next the time may be a little below 0.
    """

    name: str
    output: tuple[int, ...]
    multiplications: int
    ms: float

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates a second; 0 where there are none, or no time of theirs could be told."""
        return self.multiplications / self.ms / 1e6 if self.ms > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as JSON has it."""
        return {**asdict(self), "gmacs": self.gmacs}


def layers_of(path: Path, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time the layers of a `.tflite` or `.onnx` file, one picture at a time.

    Raises:
        LettercastError: its ending is another.
    """
    if path.suffix.lower() not in TIMERS:
        raise LettercastError(f"{path}: layers are timed of {' and '.join(TIMERS)} files; export the model first")
    return TIMERS[path.suffix.lower()](path.read_bytes(), runs)


def tflite_layers(model: bytes, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time each operation of a TFLite file by what it adds to those before it."""
    operations = tflite_operations(model)
    starts = [open_tflite(cut_off(model, i)) for i in range(1, len(operations) + 1)]
    # One behind the other within a round, so that a drift of the machine's speed is no part of what one adds.
    rounds = [[np.median([timed(start, i) for i in range(IN_A_ROW)]) for start in starts] for _ in range(-(-runs // IN_A_ROW))]
    added = 1000 * np.median(np.diff(rounds, axis=1, prepend=0.0), 0)
    return tuple(Layer(*operation, round(float(ms), 5)) for operation, ms in zip(operations, added, strict=True))


def tflite_operations(model: bytes) -> list[tuple[str, tuple[int, ...], int]]:
    """Return name, shape that comes out and multiply-accumulates of every operation of a TFLite file."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    root = schema.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    found = []
    for i in range(graph.OperatorsLength()):
        operation = graph.Operators(i)
        code = root.OperatorCodes(operation.OpcodeIndex())
        # Numbers up to 127 stand in the older field, too.
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
    """Return a TFLite file that ends behind its first `count` operations, with what the last of them gives.

    Two numbers change where they stand, so that all else stays aligned.
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
    """Open a TFLite file of any input on one thread with a picture by chance; returns what runs it once."""
    interpreter = look_for_engine(".tflite").module.Interpreter(model_content=model, num_threads=1)
    with quiet():
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    pixels = np.random.default_rng(SEED).integers(0, 256, source["shape"])
    interpreter.set_tensor(source["index"], pixels.astype(source["dtype"]))
    return lambda number: interpreter.invoke()


def onnx_layers(model: bytes, runs: int = RUNS) -> tuple[Layer, ...]:
    """Time each node of an ONNX file, fused as ONNX Runtime runs it, by its own profile.

    Raises:
        LettercastError: ONNX Runtime multiplies in more or fewer nodes than the file has, so that none can be told by its place.
    """
    # Channels that ONNX Runtime adds to fill its blocks are no work of the model's: the file says what is.
    counts = [count for node in onnx_profile(model, 1, is_as_written=True) if (count := onnx_multiplications(node["args"]))]
    nodes: dict[str, list[dict[str, Any]]] = {}
    for node in onnx_profile(model, WARM_RUNS + runs):
        nodes.setdefault(node["name"], []).append(node)
    multiplying = [name for name, (first, *_) in nodes.items() if first["args"]["op_name"] in (*CONVOLUTIONS, *PRODUCTS)]
    if len(multiplying) != len(counts):
        raise LettercastError(f"ONNX Runtime multiplies in {len(multiplying)} nodes where the file has {len(counts)}")
    own = dict(zip(multiplying, counts, strict=True))
    layers = []
    for name, (first, *others) in nodes.items():
        times = [node["dur"] / 1000 for node in others[WARM_RUNS - 1 :]]
        (output, *_) = shapes_of(first["args"], "output_type_shape")
        layers.append(Layer(first["args"]["op_name"], output, own.get(name, 0), round(middle_mean(times), 5)))
    return tuple(layers)


def onnx_profile(model: bytes, runs: int, *, is_as_written: bool = False) -> list[dict[str, Any]]:
    """Run an ONNX file of any input with a picture by chance; returns what its profile says of every node run, in order.

    Args:
        is_as_written: its nodes as they are in the file, none fused, with the shapes of all weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = OnnxRun(model, str(Path(folder) / "profile"), is_as_written=is_as_written)
        for number in range(runs):
            run(number)
        events = json.loads(Path(run.session.end_profiling()).read_text(encoding="utf-8"))
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]


class OnnxRun:
    """An ONNX file of any input, opened on one thread with a picture by chance; called, it runs once."""

    def __init__(self, model: bytes, profile: str = "", *, is_as_written: bool = False) -> None:
        module = look_for_engine(".onnx").module
        options = module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
        options.enable_profiling, options.profile_file_prefix = bool(profile), profile
        if is_as_written:
            options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
            # Once weights are packed the profile no longer tells their shapes.
            options.add_session_config_entry("session.disable_prepacking", "1")
        self.session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (source,) = self.session.get_inputs()
        shape = [side if isinstance(side, int) else 1 for side in source.shape]
        pixels = np.random.default_rng(SEED).integers(0, 256, shape)
        self._feed = {source.name: pixels.astype(np.uint8 if "uint8" in source.type else np.float32)}

    def __call__(self, number: int) -> None:
        self.session.run(None, self._feed)


def onnx_multiplications(about: dict[str, Any]) -> int:
    """Return the multiply-accumulates of a node from what ONNX Runtime's profile says of it: 0 where it does not multiply."""
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
    """Return the shapes that ONNX Runtime's profile tells of a node's inputs or outputs."""
    return [tuple(next(iter(one.values()))) for one in about[key]]


def middle_mean(times: Sequence[float]) -> float:
    """Return the mean of the middle half: times of whole microseconds have no finer median."""
    ordered = np.sort(times)
    low, high = (int(share * len(ordered)) for share in MIDDLE)
    return float(ordered[low : max(high, low + 1)].mean())


TIMERS = {".tflite": tflite_layers, ".onnx": onnx_layers}
