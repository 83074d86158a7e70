"""ONNX exports in the versions of OpenCV that devices have: 4.6 of Debian bookworm, 4.10 of trixie, and a late 4."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.bundle import write_bundle
from lettercast.export.convert import onnx as converter
from lettercast.export.golden import write_with_golden
from lettercast.runtime.model.engine import DNN_DIFFERENCES, open_engine
from lettercast.runtime.model.facts import PICTURES, Facts
from lettercast.runtime.model.installed import OPENCV

LIMIT_S = 120
VERSIONS = ("4.6.0.66", "4.10.0.84", "4.13.0.92")
ONNX_FORMATS = ("onnx-float32", "onnx-float16", "onnx-int8", "onnx-dynamic")


@pytest.fixture(scope="module", params=VERSIONS)
def opencv(root, request) -> Path:
    """The Python with one of the versions."""
    path = root / ".venv-opencv" / request.param / "bin" / "python"
    if not path.exists():
        pytest.skip(f"no .venv-opencv here: make .venv-opencv/{request.param}/.ready")
    return path


@pytest.fixture(scope="module")
def bundle(exported, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "reader.pyz"
    write_bundle(exported["onnx-float32"], path)
    return path


@pytest.fixture(scope="module")
def padded(tmp_path_factory) -> Path:
    """A model whose average pooling counts the padding, which OpenCV 4 ignores without an error."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([[1, -1], [-1, 1]] * 8, np.float32) * np.linspace(0, 0.01, 16, dtype=np.float32)[:, None]
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["first"], ["mean"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("pixels", ("batch", 4, 4, 1)), ("probabilities", ("batch", 2)))
    ]
    graph = helper.make_graph(nodes, "padded", ends[:1], ends[1:], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    facts = Facts("padded", "onnx-float32", ("a", "b"), (4, 4, 1), "float32", takes=PICTURES)
    images = np.random.default_rng(4).integers(0, 256, (12, 4, 4, 1), np.uint8)
    path = tmp_path_factory.mktemp("padded") / "padded.onnx"
    write_with_golden(path, converter.embed(model.SerializeToString(), facts), images, np.eye(2, dtype=np.float32)[[0, 1] * 6])
    return path


@pytest.fixture(scope="module")
def report(opencv, bundle, exported, padded) -> dict:
    """The doctor's report in an old OpenCV on every ONNX export and the model with padding."""
    line = [opencv, bundle, "doctor", "--json", *(exported[name] for name in ONNX_FORMATS), padded]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    said = json.loads(done.stdout)
    assert said["packages"]["opencv-python"]["version"] == opencv.parents[1].name.rpartition(".")[0]
    return dict(zip((*ONNX_FORMATS, "padded"), said["models"], strict=True))


def test_the_float32_file_gives_the_golden_answers(report):
    model = report["onnx-float32"]
    assert model["engine"].startswith("opencv-python 4."), model["fault"]
    assert model["self_test"]["verdict"] in ("equal", "close")
    assert model["self_test"]["difference"] < 1e-5


@pytest.mark.parametrize("name", ["onnx-float16", "onnx-int8"])
def test_other_files_give_the_golden_answers_or_are_refused(report, opencv, name):
    model = report[name]
    if opencv.parents[1].name.startswith("4.6."):
        assert f"opencv-python 4.6.0 cannot run this {name} file (" in model["fault"]
        assert model["fault"].endswith("; use an onnx-float32 file or ONNX Runtime (pip install onnxruntime)")
    else:
        assert not model["fault"] and model["self_test"]["strays"] == []
        assert model["self_test"]["difference"] < DNN_DIFFERENCES.get(name, 0.1)


def test_dynamic_quantization_is_refused_by_the_operation_that_is_missing(report):
    assert "cannot run this onnx-dynamic file (it lacks DynamicQuantizeLinear as used here)" in report["onnx-dynamic"]["fault"]


def test_a_file_that_is_computed_wrongly_is_refused_by_its_answers(report, padded):
    assert "computes this onnx-float32 file wrongly" in report["padded"]["fault"]
    # OpenCV 5 computes it correctly.
    assert open_engine(padded, package=OPENCV).facts.name == "padded"


def test_the_same_page_is_read_as_here(opencv, bundle, exported, page_file, lettercast):
    line = [opencv, bundle, page_file, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    here = lettercast("read", page_file, "--json", "--model", exported["onnx-float32"])[1]
    assert json.loads(done.stdout)["text"] == json.loads(here)["text"]
