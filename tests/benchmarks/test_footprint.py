"""What a model costs a process of its own."""

import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.measure import footprint
from lettercast.runtime.model.installed import LITERT, ONNX_RUNTIME


@pytest.fixture(scope="module")
def costs(exported, model_file):
    return {
        "keras": footprint(model_file, 1, None, 15),
        "tflite": footprint(exported["tflite-int8"], 1, LITERT, 15),
        "onnx": footprint(exported["onnx-int8"], 1, ONNX_RUNTIME, 15),
    }


def test_every_stage_is_timed(costs):
    for cost in costs.values():
        assert min(cost.import_ms, cost.load_ms, cost.first_ms) > 0


def test_a_device_loads_a_fraction_of_what_the_original_needs(costs):
    if costs["keras"].peak_mb is None:
        pytest.skip("this system does not tell a process's peak memory")
    for name in ("tflite", "onnx"):
        assert 10 < costs[name].peak_mb < costs["keras"].peak_mb / 2


def test_what_lies_in_the_folder_is_not_taken_for_the_package(exported, tmp_path, monkeypatch):
    (tmp_path / "lettercast").mkdir()
    (tmp_path / "lettercast" / "__init__.py").write_text("raise SystemExit('another package')")
    monkeypatch.chdir(tmp_path)
    assert footprint(exported["onnx-int8"], 1, ONNX_RUNTIME, 15).load_ms > 0


def test_a_process_that_fails_is_told_with_its_last_line(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(LettercastError, match=r"broken.onnx: a process of its own failed \(.*broken.onnx"):
        footprint(path, 1, ONNX_RUNTIME, 15)
