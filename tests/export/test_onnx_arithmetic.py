"""Integers of ONNX files: every processor computes them alike, and what would not is refused and named."""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx as onnx_package
import pytest
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array, to_array

from lettercast.export.convert import onnx
from lettercast.export.convert.onnx_int8 import (
    MAX_PAIR,
    can_overflow,
    channel_scales,
    exact_answers,
    round_to_cancel,
    saturating,
    unlike,
)
from lettercast.export.exporter import export_model
from lettercast.export.formats import FORMATS
from lettercast.export.original import open_letters
from lettercast.runtime.model.doctor import Checkup, describe_saturation, model_lines
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.model.golden import Mismatch, Replay

QUANTIZED = ("onnx-int8", "onnx-dynamic")
EMULATOR = shutil.which("qemu-x86_64")


def pair_sum(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Add neighbouring products as VPMADDUBSW does: uint8 (..., 2n) times int8 (..., 2n), in saturating 16 bits."""
    products = activations.astype(np.int32) * weights.astype(np.int32)
    return np.clip(products[..., ::2] + products[..., 1::2], -32768, 32767)


@pytest.fixture(scope="module")
def graphs(exported) -> dict[str, onnx_package.GraphProto]:
    return {name: onnx_package.load(exported[name]).graph for name in QUANTIZED}


@pytest.mark.parametrize("name", QUANTIZED)
def test_no_two_weights_of_an_exported_file_can_saturate(graphs, name):
    rng = np.random.default_rng(0)
    weights = [value for value in map(to_array, graphs[name].initializer) if value.dtype == np.int8 and value.ndim > 1]
    assert weights
    for value in weights:
        # All activations at their largest are the worst case, and any order of the weights may be an engine's.
        row = rng.permutation(np.resize(value.ravel(), value.size + value.size % 2))
        bright = np.full(len(row), 255, np.uint8)
        assert pair_sum(bright, row).sum() == (bright.astype(np.int64) * row).sum()
        ordered = np.sort(row)
        assert 255 * int(ordered[-2:].sum()) <= 32767 and 255 * int(ordered[:2].sum()) >= -32768
    assert FORMATS[name].inspect(graphs_bytes(graphs[name])).saturating == ()


def graphs_bytes(graph: onnx_package.GraphProto) -> bytes:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)]).SerializeToString()


@pytest.mark.parametrize(
    ("weights", "overflows"),
    [
        ([[64, 64, -64, -64]], False),
        ([[127, 1, 0, -127]], False),
        ([[127, 2]], True),
        ([[-100, 3, 50, -29]], True),
        # Weights of two channels never meet.
        ([[100, 1], [100, 1]], False),
        ([[127]], False),
        ([[-128]], False),
        ([[-128, -1]], True),
    ],
)
def test_two_weights_of_a_channel_overflow_if_their_sum_is_large(weights, overflows):
    integers = np.array(weights, np.int8)
    assert can_overflow(integers, 0) == overflows
    assert can_overflow(integers.T, 1) == overflows
    # The bound is that of the instruction, for any two weights as neighbours.
    pairs = [abs(one[i] + one[j]) for one in integers.astype(int) for i in range(len(one)) for j in range(i)]
    worst = max(pairs, default=0)
    assert overflows == (worst > MAX_PAIR)


def dense_graph(weights: np.ndarray, *, operation: str = "MatMul") -> onnx_package.GraphProto:
    """Return a graph of one quantized product of uint8 pixels and weights."""
    constants = [from_array(weights, "weights"), from_array(np.array(1, np.float32), "scale")]
    constants += [from_array(np.zeros((), weights.dtype), "zero"), from_array(np.uint8(0), "dark")]
    nodes = [
        helper.make_node("QuantizeLinear", ["pixels", "scale", "dark"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "dark"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["w"]),
        helper.make_node(operation, ["x", "w"], ["result"]),
    ]
    shapes = [("pixels", [1, weights.shape[0]]), ("result", None)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    return helper.make_graph(nodes, "dense", values[:1], values[1:], constants)


def test_weights_of_other_quantizers_are_found_whatever_processor_this_is():
    assert saturating(dense_graph(np.full((4, 3), 127, np.int8))) == ["weights"]
    assert saturating(dense_graph(np.full((4, 3), 64, np.int8))) == []
    # Products of uint8 weights are added in 32 bits.
    assert saturating(dense_graph(np.full((4, 3), 255, np.uint8))) == []
    # Of an operation that is not known, any two weights may be neighbours.
    assert saturating(dense_graph(np.diag([100, 100]).astype(np.int8))) == []
    assert saturating(dense_graph(np.diag([100, 100]).astype(np.int8), operation="Attention")) == ["weights"]
    # A table of rows multiplies nothing.
    assert saturating(dense_graph(np.full((4, 3), 127, np.int8), operation="Gather")) == []


def test_every_filter_of_a_dynamic_file_has_a_scale_of_its_own(graphs):
    graph = graphs["onnx-dynamic"]
    values = {value.name: to_array(value) for value in graph.initializer}
    filters = [values[node.input[1]] for node in graph.node if node.op_type == "ConvInteger"]
    assert filters
    for one in filters:
        # They are uint8 with the zero point 128, whose products ONNX Runtime adds in 32 bits.
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(np.abs(one.astype(int) - 128).max((1, 2, 3)), 127)


def test_the_bias_of_a_dense_layer_stays_in_float(graphs):
    graph = graphs["onnx-int8"]
    constants = {value.name: to_array(value) for value in graph.initializer}
    (addition,) = [node for node in graph.node if node.op_type == "Add"]
    (bias,) = [constants[name] for name in addition.input if name in constants]
    assert (bias.dtype, bias.shape) == (np.float32, (26,))


def test_rounding_makes_errors_cancel_on_the_inputs_of_a_layer():
    rng = np.random.default_rng(0)
    # Inputs that move together, as neighbouring pixels do.
    inputs = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 30)) + 0.1 * rng.normal(size=(500, 30))
    rows = rng.normal(size=(1, 8, 30))
    scales = channel_scales(rows)
    integers = round_to_cancel(rows, scales, (inputs.T @ inputs / len(inputs))[None])
    nearest = np.rint(rows / scales[..., None])
    errors = [np.square(inputs @ (one * scales[..., None] - rows)[0].T).mean() for one in (integers, nearest)]
    assert errors[0] < 0.5 * errors[1]
    np.testing.assert_array_equal(integers, np.rint(integers))
    assert np.abs(integers).max() <= 64


def test_inputs_that_are_always_zero_are_rounded_to_the_nearest():
    rows = np.array([[[0.3, -1.0, 0.52]]])
    scales = channel_scales(rows)
    integers = round_to_cancel(rows, scales, np.zeros((1, 3, 3)))
    np.testing.assert_array_equal(integers, np.rint(rows / scales[..., None]))


def integer_product(weights: np.ndarray) -> bytes:
    """Return a model of images (N, 28, 28, 1), whose pixels it multiplies by int8 weights (784, n)."""
    constants = [from_array(weights, "weights"), from_array(np.array(1, np.float32), "scale"), from_array(np.uint8(0), "dark")]
    constants.append(from_array(np.array([-1, 784]), "shape"))
    nodes = [
        helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        helper.make_node("QuantizeLinear", ["flat", "scale", "dark"], ["q"]),
        helper.make_node("MatMulInteger", ["q", "weights"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["result"], to=TensorProto.FLOAT),
    ]
    values = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 28, 28, 1])]
    results = [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["n", weights.shape[1]])]
    graph = helper.make_graph(nodes, "product", values, results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


def full_range(network, calibration):
    """Quantize with all eight bits of the weights, as ONNX Runtime does by default."""
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "dynamic.onnx"
        source.write_bytes(onnx.float32(network, calibration))
        quantize_dynamic(source, target)
        return target.read_bytes()


def test_a_file_whose_sums_can_overflow_misses_the_gate_with_its_own_line(digits, tmp_path):
    row = replace(FORMATS["onnx-dynamic"], build=full_range)
    sources = open_letters(digits / "digits.keras", None, str(digits / "digits.npz"))
    (artifact,) = export_model(digits / "digits.keras", [row], *sources, tmp_path)
    assert artifact.misses == ("the int8 weights of 2 layers overflow 16-bit sums on processors without VNNI",)
    assert artifact.cause.startswith("processors without VNNI add two int8 products in 16 bits, which these weights exceed")
    assert artifact.verdict == "missed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", QUANTIZED)
def test_the_facts_say_that_no_sum_saturates(exported, name):
    assert open_engine(exported[name]).facts.gate["saturates"] is False


def test_answers_are_unlike_exact_ones_if_a_label_or_a_probability_moves():
    exact = np.array([[0.6, 0.4], [0.505, 0.495], [0.1, 0.9]], np.float32)
    assert unlike(exact, exact) == ""
    assert unlike(exact[:, ::-1], exact).startswith("on this processor it is not what exact arithmetic gives: 2 of 3 answers")
    # A tie may go either way.
    tied = exact.copy()
    tied[1] = [0.495, 0.505]
    assert unlike(tied, exact) == ""
    moved = exact.copy()
    moved[2] = [0.13, 0.87]
    assert "0 of 3 answers differ, difference 0.030, at most 0.02 allowed" in unlike(moved, exact)
    assert "3 of 3" not in unlike(np.full_like(exact, np.nan), exact) and unlike(np.full_like(exact, np.nan), exact)


@pytest.mark.parametrize("name", QUANTIZED)
def test_exact_arithmetic_gives_an_exported_file_the_answers_of_the_engine(exported, name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    answers = open_engine(exported[name])(images)
    assert unlike(answers, exact_answers(exported[name].read_bytes(), images)) == ""


RUN = """
import json, sys
import numpy as np, onnxruntime
images = np.load(sys.argv[1]).astype(np.float32)
options = onnxruntime.SessionOptions()
options.log_severity_level, options.intra_op_num_threads = 4, 1
for path in sys.argv[2:]:
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    print(json.dumps([session.run(None, {session.get_inputs()[0].name: image[None]})[0].tolist() for image in images]))
"""


@pytest.mark.skipif(not EMULATOR, reason="needs qemu-user")
def test_a_processor_without_vnni_gives_the_same_answers(exported, check_source, tmp_path):
    from lettercast.train.data.source import draw_some

    images = tmp_path / "images.npy"
    np.save(images, draw_some(check_source, range(0, 520, 40), None))
    saturates = tmp_path / "full-range.onnx"
    saturates.write_bytes(integer_product(np.full((784, 16), 127, np.int8)))
    line = [sys.executable, "-c", RUN, images, saturates, *(exported[name] for name in QUANTIZED)]
    here, there = (
        [np.array(json.loads(row)) for row in subprocess.run(one, capture_output=True, text=True, check=True).stdout.splitlines()]
        for one in (line, [EMULATOR, "-cpu", "Haswell", *line])
    )
    for one, other in zip(here[1:], there[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    # Where two pixels are white, their sum is cut off at 32767 instead of 2 * 255 * 127.
    exact = 127.0 * np.load(images).reshape(len(here[0]), -1).sum(1)
    assert there[0].max() < exact.max()


def facts_of(format: str, **gate: object) -> Facts:
    return Facts("digits", format, ("0", "1"), (8, 8, 1), "float32", gate=gate)


@pytest.mark.parametrize(
    ("facts", "flags", "machine", "cause"),
    [
        (
            facts_of("onnx-int8", saturates=True),
            "sse2 avx2",
            "x86_64",
            "this processor has no VNNI and adds products of int8 in 16",
        ),
        (facts_of("onnx-int8"), "avx2 avx512f", "x86_64", "which the weights of files from earlier versions can exceed; export"),
        (facts_of("onnx-dynamic"), None, "AMD64", "a processor without VNNI, which this may be, adds products"),
        (facts_of("onnx-int8"), "avx2 avx512_vnni", "x86_64", ""),
        (facts_of("onnx-int8"), "avx2 avx_vnni", "x86_64", ""),
        (facts_of("onnx-int8", saturates=False), "avx2", "x86_64", ""),
        (facts_of("onnx-int8"), "asimd", "aarch64", ""),
        (facts_of("tflite-int8"), "avx2", "x86_64", ""),
    ],
)
def test_the_doctor_names_a_processor_that_cuts_sums_off(facts, flags, machine, cause, tmp_path):
    cpu = tmp_path / "cpuinfo"
    if flags:
        cpu.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: none\n")
    text = describe_saturation(facts, cpu, machine)
    assert cause in text
    assert bool(text) == bool(cause)


def test_the_doctor_shows_the_cause_below_the_self_test():
    test = Replay(3, 0.4, (Mismatch("0", "1", 0.4),))
    model = Checkup(
        Path("digits.onnx"), 1, facts_of("onnx-int8"), "onnxruntime 1", test, "Linux x86_64", cause="likely cause: this"
    )
    lines = model_lines(model)
    assert lines[-2].startswith("self-test  WRONG: 1 of 3")
    assert lines[-1].split() == ["likely", "cause:", "this"]
