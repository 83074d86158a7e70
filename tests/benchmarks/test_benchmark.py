"""One table over models."""

import json

import pytest

from lettercast import LettercastError
from lettercast.benchmarks.benchmark import find_models, run_benchmark


@pytest.fixture(scope="module")
def result(exported, model_file, check_source):
    return run_benchmark([exported["tflite-int8"], exported["onnx-int8"]], model_file, check_source)


def test_the_original_comes_first_and_agrees_with_itself(result):
    original = result.rows[0]
    assert (original.name, original.speedup, original.parity.agreement, original.parity.drop) == ("model.keras", 1, 100, 0)
    assert [row.name for row in result.rows[1:]] == ["letters-nano-int8.tflite", "letters-nano-int8.onnx"]


def test_accuracy_and_agreement_are_those_of_the_gate(result, artifacts):
    for row, name in zip(result.rows[1:], ("tflite-int8", "onnx-int8"), strict=True):
        assert row.parity.accuracy == artifacts[name].parity.accuracy
        assert row.parity.agreement == artifacts[name].parity.agreement
        assert row.size_bytes == artifacts[name].size_bytes


def test_speedup_is_the_ratio_of_the_medians(result):
    for row in result.rows:
        assert row.speedup == pytest.approx(result.rows[0].latency.p50_ms / row.latency.p50_ms)


def test_json_holds_every_row_and_says_what_was_measured(result):
    figures = json.loads(json.dumps(result.to_dict()))
    assert (figures["data"], figures["split"], figures["threads"], len(figures["rows"])) == ("strokes.npz", "test", 1, 3)
    assert figures["rows"][1]["parity"]["n"] == 520


def test_a_model_of_another_original_is_refused(exported, model_file, check_source, tmp_path):
    other = tmp_path / "other.keras"
    other.write_bytes(model_file.read_bytes() + b"\0")
    with pytest.raises(LettercastError, match="was not made from"):
        run_benchmark([exported["onnx-int8"]], other, check_source)


def test_models_are_found_in_folders_and_named_once(exported):
    folder = exported["onnx-int8"].parent
    found = find_models([folder, exported["onnx-int8"]])
    assert sorted(found) == sorted(exported.values())


def test_a_folder_without_models_and_a_missing_one_are_named(tmp_path):
    with pytest.raises(LettercastError, match=r"no .tflite or .onnx model in this folder"):
        find_models([tmp_path])
    with pytest.raises(LettercastError, match="no such model or folder"):
        find_models([tmp_path / "gone"])


def test_a_floor_that_is_missed_is_exit_1_and_named(lettercast, exported, model_file, strokes_file, tmp_path):
    words = ("benchmark", exported["tflite-int8"], "--original", model_file, "--data", strokes_file)
    code, out, err = lettercast(*words, "--min-accuracy", 100, "--json", tmp_path / "figures.json")
    assert code == 1
    assert "letters-nano-int8.tflite: accuracy" in err
    assert "at least 100 % asked" in err
    assert "letters-nano-int8.tflite" in out
    assert len(json.loads((tmp_path / "figures.json").read_text())["rows"]) == 2
