"""Exported files: their names, facts, golden cases and quantization, and when they replace others."""

import hashlib

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.exporter import export_model
from lettercast.export.formats import FORMATS
from lettercast.export.golden import MAX_CASES, choose_cases, write_with_golden
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.golden import GOLDEN_ENDING, golden_path, load_golden, replay
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource, draw_all


def test_every_format_is_written_under_its_own_name(artifacts):
    names = {name: artifact.path.name for name, artifact in artifacts.items()}
    assert names == {name: row.file_name("letters-nano") for name, row in FORMATS.items()}
    for artifact in artifacts.values():
        assert artifact.path.stat().st_size == artifact.size_bytes
    written = {path.name for path in artifacts["onnx-int8"].path.parent.iterdir()}
    assert written == {name for path in names.values() for name in (path, f"{path}{GOLDEN_ENDING}")}


def test_the_facts_name_the_original_the_calibration_and_the_gate(artifacts, model_file):
    for name, artifact in artifacts.items():
        facts = open_engine(artifact.path).facts
        assert facts.source_sha256 == hashlib.sha256(model_file.read_bytes()).hexdigest()
        assert facts.format == name
        assert facts.made["calibration"] == "pen, train, 500 letters, seed 7"
        assert facts.made["steps"] == 2
        assert (facts.gate["data"], facts.gate["split"], facts.gate["n"]) == ("strokes.npz", "test", 520)
        assert facts.gate["accuracy"] == pytest.approx(artifact.parity.accuracy)


def test_float_formats_pass_their_own_tolerances(artifacts):
    for name in ("tflite-float32", "tflite-float16", "onnx-float32", "onnx-float16"):
        assert artifacts[name].parity.misses(FORMATS[name].tolerance) == []


def test_existing_files_are_replaced_only_with_overwrite(lettercast, digits, tmp_path):
    existing = tmp_path / "dist" / "digits-float32.tflite"
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    words = ("export", digits / "digits.keras", "--formats", "tflite-float32", "--check", digits / "digits.npz")
    words = (*words, "--out", existing.parent)
    code, _, err = lettercast(*words)
    assert code == 2
    assert "digits-float32.tflite: exists already; add --overwrite" in err
    assert [(path.name, path.read_bytes()) for path in existing.parent.iterdir()] == [(existing.name, b"mine")]
    assert lettercast(*words, "--overwrite")[0] == 0
    assert open_engine(existing).facts.format == "tflite-float32"


def test_a_check_set_of_unknown_classes_is_refused(model_file, strokes_file, tmp_path):
    calibrate = open_source(str(strokes_file), "train")
    digits = ImageSource("digits", "test", [np.full((9, 9), 255, np.uint8)], np.array([0]), ("7",))
    with pytest.raises(LettercastError, match="--check digits: has 1 classes, '7', and the model 26 outputs"):
        export_model(model_file, [FORMATS["tflite-float32"]], calibrate, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tflite-int8", "tflite-int16x8", "onnx-int8"])
def test_the_input_of_a_quantized_file_reaches_white(exported, name):
    found = FORMATS[name].inspect(exported[name].read_bytes())
    assert found.max_pixel == pytest.approx(255, abs=2)


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-float16", "tflite-dynamic", "onnx-float32", "onnx-dynamic"])
def test_a_float_input_has_no_largest_pixel(exported, name):
    assert FORMATS[name].inspect(exported[name].read_bytes()).max_pixel is None


def test_only_dynamic_onnx_has_one_scale_for_all_filters_of_a_depthwise_layer(exported):
    coarse = [name for name, path in exported.items() if FORMATS[name].inspect(path.read_bytes()).has_coarse_depthwise]
    assert set(coarse) <= {"onnx-dynamic"}


def test_the_facts_name_the_oldest_runtime_that_opens_the_file(exported):
    named = {name: open_engine(path).facts.lowest_runtime for name, path in exported.items()}
    for name, lowest in named.items():
        runtime, _, version = lowest.rpartition(" ")
        assert runtime == ("TFLite" if name.startswith("tflite") else "ONNX Runtime")
        # 2.14 is the last tflite-runtime; ONNX Runtime 1.10 dates from 2021.
        assert tuple(map(int, version.split("."))) <= ((2, 14, 0) if name.startswith("tflite") else (1, 10))
    assert named["tflite-int16x8"] == "TFLite 2.4.0"


def answers_of(classes: int, n: int, seed: int = 0) -> np.ndarray:
    """Return n answers for each class, (n * classes, classes), each with a probability of 0.5 to 1 for its class."""
    sure = np.random.default_rng(seed).uniform(0.5, 1, n * classes).astype(np.float32)
    rows = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, 1)
    rows[np.arange(n * classes), np.arange(n * classes) % classes] = sure
    return rows


@pytest.mark.parametrize(("classes", "cases"), [(26, 26), (10, 30), (2, 32), (100, MAX_CASES)])
def test_there_are_at_most_32_golden_cases_equally_many_of_each_class(classes, cases):
    answers = answers_of(classes, 40)
    chosen = choose_cases(answers)
    assert len(set(chosen)) == cases
    counts = np.bincount(answers[chosen].argmax(1))
    assert len(set(counts[counts > 0])) == 1


def test_golden_cases_are_close_to_the_telling_probability():
    answers = answers_of(4, 200)
    assert np.abs(answers[choose_cases(answers)].max(1) - 0.75).max() < 0.05


def test_a_class_that_is_never_answered_leaves_room_for_the_others():
    answers = answers_of(26, 10)
    answers[:, 1:] = 0
    assert len(choose_cases(answers)) == MAX_CASES


def test_every_exported_file_reproduces_its_golden_cases(exported):
    for path in exported.values():
        golden = load_golden(golden_path(path))
        assert golden.is_of(path.read_bytes())
        assert replay(open_engine(path), golden).verdict in ("equal", "close")


def test_a_file_and_its_golden_cases_are_replaced_together_or_not_at_all(exported, check_source, tmp_path):
    path = tmp_path / "letters-nano-int8.tflite"
    images = draw_all(check_source)
    model = exported["tflite-int8"].read_bytes()
    answers = open_engine(exported["tflite-int8"])(images)
    write_with_golden(path, model, images, answers)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(before) == {path.name, golden_path(path).name}
    with pytest.raises(LettercastError):
        write_with_golden(path, model[:-1000], images, answers)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
