"""Exports behind the gate, and breaks that it must catch."""

import hashlib
from dataclasses import replace

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export import tflite
from lettercast.export.artifact import export_model
from lettercast.export.formats import FORMATS
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.golden import GOLDEN_ENDING
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource

FLOAT32 = FORMATS["tflite-float32"]


@pytest.fixture(scope="module")
def calibrate(strokes_file):
    return open_source(str(strokes_file), "train")


def test_a_broken_export_misses_the_gate_and_leaves_the_earlier_file(model_file, calibrate, check_source, tmp_path):
    def in_another_order(network, calibration):
        turned = keras.Sequential([keras.Input((28, 28, 1)), *network.layers, keras.layers.Lambda(lambda p: p[:, ::-1])])
        return tflite.float32(turned, calibration)

    earlier = tmp_path / FLOAT32.file_name("letters-nano")
    earlier.write_bytes(b"earlier")
    broken = replace(FLOAT32, build=in_another_order)
    (artifact,) = export_model(model_file, [broken], calibrate, check_source, tmp_path, overwrite=True)
    assert any(miss.startswith("agreement") for miss in artifact.misses)
    assert artifact.parity.agreement < 80
    assert [path.name for path in tmp_path.iterdir()] == [earlier.name]
    assert earlier.read_bytes() == b"earlier"


def test_a_missed_gate_is_exit_1_and_names_format_and_figure(lettercast, model_file, strokes_file, tmp_path):
    words = ("export", model_file, "--formats", "tflite-float32", "--check", strokes_file, "--calibrate", strokes_file)
    code, _, err = lettercast(*words, "--min-agreement", 100.1, "--out", tmp_path / "dist")
    assert code == 1
    assert "tflite-float32 missed the gate: agreement 100.00 %, at least 100.1 % needed" in err
    assert list(tmp_path.rglob("*.tflite")) == []


def test_every_format_is_written_under_its_own_name(artifacts):
    names = {name: artifact.path.name for name, artifact in artifacts.items()}
    assert names == {name: row.file_name("letters-nano") for name, row in FORMATS.items()}
    for artifact in artifacts.values():
        assert artifact.path.stat().st_size == artifact.size_bytes
    written = {path.name for path in artifacts["onnx-int8"].path.parent.iterdir()}
    assert written == {name for path in names.values() for name in (path, f"{path}{GOLDEN_ENDING}")}


def test_facts_in_the_file_name_the_original_the_calibration_and_the_gate(artifacts, model_file):
    for name, artifact in artifacts.items():
        facts = open_engine(artifact.path).facts
        assert facts.source_sha256 == hashlib.sha256(model_file.read_bytes()).hexdigest()
        assert facts.format == name
        assert facts.made["calibration"] == "pen, train, 500 letters, seed 7"
        assert facts.made["steps"] == 120
        assert (facts.gate["data"], facts.gate["split"], facts.gate["n"]) == ("strokes.npz", "test", 520)
        assert facts.gate["accuracy"] == pytest.approx(artifact.parity.accuracy)


def test_float_formats_pass_their_own_tolerances(artifacts):
    for name in ("tflite-float32", "tflite-float16", "onnx-float32", "onnx-float16"):
        assert artifacts[name].parity.misses(FORMATS[name].tolerance) == []


def test_an_existing_file_is_refused_and_unchanged(refused, model_file, strokes_file, tmp_path):
    taken = tmp_path / "dist" / "letters-nano-float32.tflite"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    said = refused("export", model_file, "--formats", "tflite-float32", "--check", strokes_file, "--out", taken.parent)
    assert "letters-nano-float32.tflite: exists already; add --overwrite" in said


def test_overwrite_replaces_it(lettercast, model_file, strokes_file, tmp_path):
    taken = tmp_path / "letters-nano-float32.tflite"
    taken.write_bytes(b"mine")
    words = ("export", model_file, "--formats", "tflite-float32", "--check", strokes_file, "--out", tmp_path, "--overwrite")
    assert lettercast(*words)[0] == 0
    assert open_engine(taken).facts.format == "tflite-float32"


def test_a_check_with_classes_that_the_model_does_not_know_is_refused(model_file, calibrate, tmp_path):
    digits = ImageSource("digits", "test", [np.full((9, 9), 255, np.uint8)], np.array([0]), ("7",))
    with pytest.raises(LettercastError, match=r"--check digits: has 7 .* and the model's outputs are"):
        export_model(model_file, [FLOAT32], calibrate, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []
