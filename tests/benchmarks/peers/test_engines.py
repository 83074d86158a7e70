"""The same network in other engines."""

import sys

import pytest

from lettercast.benchmarks.peers.engines import NCNN, NO_NCNN_INT8, OPENVINO, PNNX, compare_engines
from lettercast.runtime.model.installed import find_package
from lettercast.train.data.open import open_source
from lettercast.train.data.source import draw_some

SHORT_S = 0.01


@pytest.fixture(scope="module")
def images():
    return draw_some(open_source("pen", "test"), range(52), None)


@pytest.fixture(scope="module")
def rows(exported, images):
    """Every row by model and engine."""
    names = ("onnx-float32", "onnx-int8", "onnx-float16", "tflite-float32", "tflite-int8")
    found = compare_engines([exported[name] for name in names], images, SHORT_S)
    return {(row.model.partition("-")[2].removeprefix("nano-"), row.engine.split()[0].lower()): row for row in found}


def test_our_own_engines_are_timed_and_agree_with_onnx_runtime(rows):
    own = [row for (_, engine), row in rows.items() if engine in ("onnxruntime", "ai-edge-litert")]
    assert len(own) == 4
    for row in own:
        assert row.missing == ""
        assert row.letter and row.batch and 0 < row.letter.p50_ms < row.batch.p50_ms
        assert row.agreement == pytest.approx(100, abs=8)
    assert rows["float32.onnx", "onnxruntime"].difference == 0
    assert rows["float32.tflite", "ai-edge-litert"].difference < 1e-4


def test_models_of_other_formats_are_left_out(rows):
    assert not any("float16" in model for model, _ in rows)


@pytest.mark.parametrize("name", ["float32.onnx", "int8.onnx"])
def test_openvino_agrees_with_onnx_runtime(rows, name):
    if find_package(OPENVINO).module is None:
        pytest.skip(f"not installed: pip install '{OPENVINO.extra}'")
    row = rows[name, "openvino"]
    assert row.missing == ""
    assert row.agreement == pytest.approx(100, abs=4)
    assert row.difference < (1e-4 if "float32" in name else 0.2)
    assert row.letter and row.batch


def test_ncnn_agrees_with_onnx_runtime_in_float32_and_has_no_int8(rows):
    if find_package(NCNN).module is None or find_package(PNNX).module is None:
        pytest.skip(f"not installed: pip install '{NCNN.extra}'")
    row = rows["float32.onnx", "ncnn"]
    assert row.missing == ""
    assert (row.agreement, row.difference) == (100, pytest.approx(0, abs=1e-2))
    assert row.letter and row.batch
    assert rows["int8.onnx", "ncnn"].missing == NO_NCNN_INT8


def test_a_missing_engine_has_a_row_that_says_so(exported, images, monkeypatch):
    for module in ("openvino", "ncnn"):
        monkeypatch.setitem(sys.modules, module, None)
    own, opencv, *others = compare_engines([exported["onnx-float32"]], images, SHORT_S)
    assert own.letter and opencv.letter
    assert [row.engine for row in others] == ["OpenVINO", "ncnn"]
    assert all(row.missing == "not installed: pip install 'lettercast[peers]'" and row.letter is None for row in others)


def test_a_broken_model_does_not_stop_the_others(exported, images, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    bad, good = compare_engines([broken, exported["tflite-int8"]], images, SHORT_S)
    assert bad.missing
    assert bad.letter is None
    assert good.letter
    # Without the ONNX model there is no reference for the agreement.
    assert good.agreement is None
