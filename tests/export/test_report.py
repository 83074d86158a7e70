"""What an export reports: its JSON, its tables, and what it recommends after formats that missed."""

import hashlib
import json
import re
from dataclasses import replace
from io import StringIO

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from lettercast.benchmarks.parity.contender import finder
from lettercast.benchmarks.parity.tables import artifact_table, repair_table, tables_of
from lettercast.export.exporter import DEFAULT_MODEL, export
from lettercast.export.gate import PROVEN
from lettercast.export.original import hash_network
from lettercast.export.repair.recipe import DYNAMIC, FLOAT, Recipe
from lettercast.export.repair.tries import Try
from lettercast.runtime.console import UNLIMITED_COLUMNS, table_width
from lettercast.runtime.model.engine import open_engine
from lettercast.train.predict import load_keras


@pytest.fixture(scope="module")
def schema(root) -> dict:
    return json.loads((root / "docs" / "export.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exports(digits, tmp_path_factory):
    """Two formats of a model of digits, of which int8 misses an agreement that it cannot reach on so few images."""
    out = tmp_path_factory.mktemp("report")
    data = str(digits / "digits.npz")
    formats = ["tflite-int8", "tflite-float32"]
    return export(
        digits / "digits.keras",
        check=data,
        calibrate=data,
        formats=formats,
        min_agreement=100,
        max_drop=0,
        out=out,
        progress=False,
    )


def test_the_dictionary_matches_its_schema_and_names_original_and_images(exports, schema, digits):
    report = json.loads(json.dumps(exports.to_dict()))
    jsonschema.validate(report, schema)
    assert report["check"] == {"name": "digits.npz", "split": "test", "n": 497}
    assert (report["calibration"]["split"], report["calibration"]["n"]) == ("train", 500)
    assert (report["model"], report["takes"], report["passed"]) == ("digits", "images", exports.passed)
    assert report["network_sha256"] == hash_network(load_keras(digits / "digits.keras"))
    for artifact, row in zip(exports, report["formats"], strict=True):
        assert row["file"] == (None if artifact.misses else str(artifact.path))
        assert row["agreement"]["low"] <= row["agreement"]["percent"] <= row["agreement"]["high"]
        assert row["verdict"] == artifact.verdict and row["misses"] == list(artifact.misses)


def test_no_advice_names_a_format_that_missed(exports):
    missed = {artifact.format.name for artifact in exports if artifact.misses}
    assert missed, "the test needs a format that misses"
    for artifact in exports:
        assert not any(re.search(rf"(take|try) {name}\b", artifact.cause) for name in missed)
    files = {artifact.path.name for artifact in exports if artifact.misses}
    assert not files & {one.name for one in exports.recommended}


def printed(table, width: int = 200) -> str:
    """Return a table as a terminal of a width shows it."""
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def test_the_table_says_on_which_images_and_speaks_of_no_letters(exports):
    text = " ".join(printed(artifact_table(exports)).split())
    assert "digits: checked on 497 images of digits.npz (the test split); calibrated on 500 images of digits.npz" in text
    assert "letter" not in text


@pytest.fixture(scope="module")
def mixed(exports):
    """The exports as if the int8 file had been repaired with dynamic activations."""
    first, *others = exports
    recipe = Recipe("tflite-int8", "", precision=DYNAMIC, layers={"conv2d": FLOAT}, equalized=True)
    tried = Try(recipe, first.size_bytes, first.parity, PROVEN, 0.87, is_kept=True)
    return replace(exports, artifacts=(replace(first, misses=(), recipe=recipe, tries=(tried,)), *others))


def test_no_microcontroller_is_told_to_take_a_file_that_holds_more_than_integers(exports, mixed):
    whole = replace(exports, artifacts=tuple(replace(one, misses=()) for one in exports))
    for found, takes_it, others in ((whole, True, True), (mixed, False, True)):
        devices = {one.device for one in found.recommended if one.format == "tflite-int8"}
        assert ("microcontroller" in devices, "Raspberry Pi 4" in devices) == (takes_it, others)
        assert ("microcontroller" in found.artifacts[0].suits, "Raspberry Pi" in found.artifacts[0].suits) == (takes_it, others)


def test_the_table_says_which_files_were_judged_on_fewer_images(exports):
    first, *others = exports
    half = replace(first.parity, n=248, level=97.5)
    text = " ".join(printed(artifact_table(replace(exports, artifacts=(replace(first, parity=half), *others)))).split())
    assert "digits-int8.tflite: on the 248 images that did not choose it; interval of 97.5 %" in text
    assert "did not choose" not in printed(artifact_table(exports))


@pytest.mark.parametrize("width", [80, 160])
def test_a_table_of_what_was_tried_keeps_its_figures_whole(mixed, width):
    text = printed(repair_table(mixed.artifacts[0], width), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert {"kB", "latency", "0.87", f"{mixed.artifacts[0].size_bytes / 1000:.1f}"} <= set(text.split())


@pytest.mark.parametrize("width", [80, 160])
def test_tables_keep_to_the_width(exports, width):
    for table in tables_of(replace(exports, devices=("pi4", "mcu")), width):
        text = printed(table, width)
        assert max(map(len, text.splitlines())) <= width
        assert "digits-float32.tflite" in text and "…" not in text


def test_the_command_prints_one_object_on_stdout_and_everything_else_on_stderr(lettercast, digits, schema):
    words = ("export", digits / "digits.keras", "--check", digits / "digits.npz", "--for", "mcu")
    code, out, err = lettercast(*words, "--formats", "tflite-float32", "--json")
    assert code == 0
    assert len(out.splitlines()) == 1
    report = json.loads(out)
    jsonschema.validate(report, schema)
    (one,) = report["recommended"]
    # A float32 file is of no use to a microcontroller.
    assert (one["device"], one["name"]) == ("microcontroller", "")
    assert "digits-float32.tflite" in err and "next: lettercast benchmark dist --original" in err


def test_unknown_devices_are_refused_before_the_model_is_opened(refused):
    for command in (["export", "letters-nano"], ["benchmark", "letters-nano"]):
        assert "unknown device 'pi3': choose from pi5" in refused(*command, "--for", "pi5,pi3")


def test_a_model_that_was_exported_from_memory_is_known_after_it_is_saved(digits, tmp_path):
    network = load_keras(digits / "digits.keras")
    data = str(digits / "digits.npz")
    (artifact,) = export(network, check=data, formats="tflite-float32", out=tmp_path, progress=False)
    saved = tmp_path / "saved.keras"
    network.save(saved)
    facts = open_engine(artifact.path).facts
    assert facts.source_sha256 != hashlib.sha256(saved.read_bytes()).hexdigest()
    assert finder([DEFAULT_MODEL, saved])(facts) == saved


def test_the_hash_of_a_network_depends_on_weights_and_layers_and_on_nothing_else(tmp_path):
    import keras

    def make(activation="relu", name="first"):
        layers = keras.layers
        convolution = layers.Conv2D(2, 3, activation=activation, name=f"{name}_convolution")
        inputs = keras.Input((6, 6, 1), name=f"{name}_input")
        return keras.Model(inputs, layers.Dense(2, name=f"{name}_dense")(layers.Flatten()(convolution(inputs))))

    network = make()
    known = hash_network(network)
    for other in (make(name="second"), make("gelu")):
        other.set_weights(network.get_weights())
        assert (hash_network(other) == known) == (other.layers[1].activation is network.layers[1].activation)
    network.compile("adam", "mse")
    network.save(tmp_path / "again.keras")
    assert hash_network(network) == hash_network(load_keras(tmp_path / "again.keras")) == known
    network.set_weights([weights + np.float32(1e-6) for weights in network.get_weights()])
    assert hash_network(network) != known


def test_tables_have_one_rule_for_their_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table_width() == UNLIMITED_COLUMNS
    for text, width in {"80": 80, "0": UNLIMITED_COLUMNS, "wide": UNLIMITED_COLUMNS}.items():
        monkeypatch.setenv("COLUMNS", text)
        assert table_width() == width
