"""Facts inside model files."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.model.facts import Facts, keras_facts, parse_facts, tflite_facts

FACTS = Facts("letters-x", "tflite-int8", ("A", "B", "Ä"), (28, 28, 1), "uint8", made={"seed": 3}, gate={"n": 7})
HERE = Path("model.tflite")


def test_facts_survive_json():
    assert parse_facts(FACTS.to_json(), HERE) == FACTS


@pytest.mark.parametrize(
    "wrong", [{"labels": ("A",)}, {"labels": ("A", "A")}, {"input_shape": (28, 28)}, {"input_shape": (28, 0, 1)}]
)
def test_facts_without_labels_or_shape_are_refused(wrong):
    with pytest.raises(ValueError, match="facts need"):
        replace(FACTS, **wrong)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "{}", '{"labels": 3}', b"\xff\xfe"])
def test_json_without_facts_is_refused_with_the_name_of_the_file(text):
    with pytest.raises(LettercastError, match=r"model.tflite: its facts cannot be used"):
        parse_facts(text, HERE)


def test_facts_of_another_schema_ask_for_an_update():
    raw = json.loads(FACTS.to_json()) | {"schema": 2}
    with pytest.raises(LettercastError, match="update lettercast"):
        parse_facts(json.dumps(raw), HERE)


@pytest.mark.parametrize("dtype", ["pixels", "int7", "", "object"])
def test_an_unknown_input_dtype_is_refused(dtype):
    raw = json.loads(FACTS.to_json()) | {"input_dtype": dtype}
    with pytest.raises(LettercastError, match="its facts cannot be used"):
        parse_facts(json.dumps(raw), HERE)


def test_tflite_facts_are_read_back(exported):
    facts = tflite_facts(HERE, exported["tflite-int8"].read_bytes())
    assert (facts.name, facts.format, facts.input_dtype) == ("letters-nano", "tflite-int8", "uint8")
    assert "".join(facts.labels) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_a_tflite_file_without_facts_is_refused(model_file):
    from lettercast.export.convert import tflite
    from lettercast.train.predict import load_keras

    bare = tflite.float32(load_keras(model_file), np.zeros((0, 28, 28, 1), np.uint8))
    with pytest.raises(LettercastError, match="carries no facts"):
        tflite_facts(HERE, bare)


def count_refused(models) -> int:
    """Count the models whose facts are refused; any other error than LettercastError escapes and fails the test."""
    refused = 0
    for model in models:
        try:
            tflite_facts(HERE, model)
        except LettercastError:
            refused += 1
    return refused


def test_a_truncated_tflite_file_raises_no_other_error(exported):
    model = exported["tflite-int8"].read_bytes()
    lengths = sorted({*range(0, 200), *range(200, len(model), 997)})
    assert count_refused(model[:length] for length in lengths) >= 200


def test_a_tflite_file_with_changed_bytes_raises_no_other_error(exported):
    model = exported["tflite-int8"].read_bytes()
    rng = np.random.default_rng(1)

    def damaged() -> bytes:
        copy = bytearray(model)
        for at in (*rng.integers(0, len(model), 3), rng.integers(0, 1500)):
            copy[at] = rng.integers(256)
        return bytes(copy)

    assert 0 < count_refused(damaged() for _ in range(400)) < 400


def test_keras_facts_are_read_from_the_archive_or_absent(model_file, tmp_path):
    with zipfile.ZipFile(model_file) as archive:
        stored = json.loads(archive.read("lettercast.json"))
    facts = keras_facts(model_file)
    assert facts is not None
    assert (facts.name, facts.format, facts.made) == (stored["name"], "keras", stored["made"])
    assert facts.made["steps"] > 0
    other = tmp_path / "own.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("config.json", "{}")
    assert keras_facts(other) is None


def test_a_keras_file_that_is_not_an_archive_is_refused(tmp_path):
    path = tmp_path / "m.keras"
    path.write_text("not a model")
    with pytest.raises(LettercastError, match=r"not a .keras model"):
        keras_facts(path)


@pytest.mark.parametrize("name", ["../../escaped", "", ".hidden", "a/b", 7])
def test_a_model_name_that_leads_out_of_the_folder_is_refused(name):
    raw = {"name": name, "format": "keras", "labels": ["A", "B"], "input_shape": [28, 28, 1], "input_dtype": "uint8"}
    with pytest.raises(LettercastError, match="facts cannot be used"):
        parse_facts(json.dumps(raw), HERE)


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lettercast.json", bytes(20_000_000))
    assert path.stat().st_size < 50_000
    monkeypatch.setattr("lettercast.runtime.model.facts.MAX_UNPACKED_BYTES", 10_000_000)
    with pytest.raises(LettercastError, match=r"unpacks to 0\.02 GB"):
        keras_facts(path)


def test_fields_of_a_later_version_are_ignored():
    later = {**json.loads(FACTS.to_json()), "colour": "red"}
    assert parse_facts(json.dumps(later), Path("m.onnx")) == FACTS
