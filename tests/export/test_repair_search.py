"""Repair: another file replaces one that loses too much, it is proven on images that chose nothing, and can be made again."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export import search
from lettercast.export.exporter import export
from lettercast.export.gate import PROVEN
from lettercast.export.repair.recipe import FLOAT, INT8, Recipe, parse_recipe, read_recipe
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import Facts

# 248 images in each half prove no less with no answer lost.
MAX_DROP = 4


@pytest.fixture(scope="module")
def spoiled(digits, tmp_path_factory) -> Path:
    """A model of digits with one filter 600 times as large as the others, which the layer behind it divides by 600."""
    import keras

    network = keras.saving.load_model(digits / "digits.keras")
    convolution, _, _, dense = network.layers[0].layers if hasattr(network.layers[0], "layers") else network.layers[-4:]
    kernel, bias = convolution.get_weights()
    kernel[..., 2] *= 600
    bias[2] *= 600
    convolution.set_weights([kernel, bias])
    weights, offset = dense.get_weights()
    weights[2::8] /= 600
    dense.set_weights([weights, offset])
    path = tmp_path_factory.mktemp("spoiled") / "spoiled.keras"
    network.save(path)
    return path


def limits_on(data: Path) -> dict:
    """Return what a repaired file is held to, on which images."""
    return {"check": data, "max_drop": MAX_DROP, "min_agreement": 97, "progress": False}


@pytest.fixture(scope="module", params=["tflite-int8", "onnx-int8"])
def repaired(request, spoiled, digits, tmp_path_factory):
    """The artifact of a repaired format, with what it was made from."""
    data, out = digits / "digits.npz", tmp_path_factory.mktemp("repaired")
    settings = {"formats": request.param, **limits_on(data)}
    (plain,) = export(spoiled, out=out, **settings)
    (artifact,) = export(spoiled, out=out, repair=True, **settings)
    return plain, artifact, spoiled, data, settings


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_loses_too_much_is_replaced_by_one_that_is_proven(repaired):
    plain, artifact, *_ = repaired
    assert plain.misses, "one filter that sets the scale of all erases the others"
    assert artifact.verdict == PROVEN
    assert not artifact.misses
    assert artifact.path.exists()


def test_it_is_proven_on_the_half_that_chose_nothing(repaired):
    plain, artifact, *_ = repaired
    assert artifact.parity.n == plain.parity.n // 2
    assert artifact.parity.level > 95, "each look at the proof half makes proving harder"


def test_its_facts_say_how_it_was_made(repaired):
    _, artifact, *_ = repaired
    facts: Facts = open_engine(artifact.path).facts
    assert parse_recipe(facts.recipe) == artifact.recipe
    assert facts.gate["looks"] == artifact.recipe.looks >= 1


def test_what_was_tried_is_told_with_its_figures(repaired):
    _, artifact, *_ = repaired
    kept = [one for one in artifact.tries if one.is_kept]
    assert [replace(one.recipe, looks=artifact.recipe.looks) for one in kept] == [artifact.recipe]
    assert kept[0].proof is not None
    assert all(one.size_bytes > 0 and one.latency_ratio > 0 for one in artifact.tries)
    assert min(one.parity.agreement for one in artifact.tries) < kept[0].parity.agreement


def test_the_same_seed_and_the_recipe_make_the_same_file(repaired, tmp_path):
    _, artifact, model, _, settings = repaired
    (again,) = export(model, out=tmp_path / "again", repair=True, **settings)
    assert sha256(again.path) == sha256(artifact.path)
    plain = {name: value for name, value in settings.items() if name != "formats"}
    (replayed,) = export(model, out=tmp_path / "replayed", recipe=artifact.path, **plain)
    assert sha256(replayed.path) == sha256(artifact.path)
    told = tmp_path / "recipe.json"
    told.write_text(json.dumps(artifact.recipe.to_dict()))
    (from_json,) = export(model, out=tmp_path / "json", recipe=told, **plain)
    assert sha256(from_json.path) == sha256(artifact.path)


def test_a_recipe_for_another_model_is_refused(repaired, digits, tmp_path):
    _, artifact, _, data, _ = repaired
    with pytest.raises(LettercastError, match=r"is for a network with hash .* give the model that it was made for"):
        export(digits / "digits.keras", check=data, recipe=artifact.path, out=tmp_path, progress=False)


def test_a_recipe_that_names_an_unknown_layer_is_refused(repaired, tmp_path):
    _, artifact, model, data, _ = repaired
    told = tmp_path / "recipe.json"
    told.write_text(json.dumps(artifact.recipe.with_layers(["nowhere"], FLOAT).to_dict()))
    with pytest.raises(LettercastError, match="nowhere"):
        export(model, check=data, recipe=told, out=tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*.*"))


@pytest.mark.parametrize(("options", "reason"), [({"repair": True}, "--repair"), ({"formats": "onnx-dynamic"}, "--formats")])
def test_a_recipe_goes_with_no_other_way_to_make_a_file(tmp_path, options, reason):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(Recipe("tflite-int8", "0" * 64).to_dict()), encoding="utf-8")
    with pytest.raises(LettercastError, match=reason):
        export(recipe=path, out=tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()


def finetuned(**changes) -> str:
    """Return the JSON of a recipe with a fine-tuning of which some values are others."""
    done = {"data": "x.npz", "split": "all", "n": 10, "epochs": 3, "rate": 0.01, "seed": 7}
    assert parse_recipe({"format": "tflite-int8", "network_sha256": "0", "finetuning": done}).finetuning
    return json.dumps({"format": "tflite-int8", "network_sha256": "0", "finetuning": {**done, **changes}})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "a recipe is an object"),
        ('{"format": "tflite-int8"}', "network_sha256"),
        ('{"format": "tflite-int8", "network_sha256": "0", "precision": "int3"}', "precision 'int3' is unknown"),
        ('{"format": "tflite-int8", "network_sha256": "0", "magic": 1}', "'magic' is no part of a recipe"),
        ('{"format": "tflite-int8", "network_sha256": "0", "schema": 2}', "update lettercast"),
        ('{"format": "tflite-int8", "network_sha256": "0", "layers": ["a"]}', "layers"),
        ('{"format": "tflite-int8", "network_sha256": "0", "looks": -1}', "looks"),
        ('{"format": "tflite-int8", "network_sha256": "0", "looks": 1000000}', "looks"),
        ('{"format": "tflite-int8", "network_sha256": "0", "seed": "x"}', "seed"),
        ('{"format": "tflite-int8", "network_sha256": "0", "equalized": "no"}', "equalized"),
        ('{"format": "tflite-int8", "network_sha256": "0", "precision": ["int8"]}', "precision"),
        ('{"format": "tflite-int8", "network_sha256": "0", "finetuning": {"data": "x"}}', "its fine-tuning has no"),
        (finetuned(epochs="3"), "epochs"),
        (finetuned(n=-1), "n, epochs"),
        (finetuned(rate=1e9), "rate"),
        (finetuned(seed=True), "seed"),
        ('{"format": "tflite-int8", "network_sha256": "0", "finetuning": 3}', "finetuning"),
        ('{"format": ["tflite-int8"], "network_sha256": "0"}', "format"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, reason):
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(LettercastError, match=f"recipe.json: cannot be used as a recipe .*{reason}"):
        read_recipe(path)


@pytest.mark.parametrize("name", ["tflite-float32", "onnx-float16", "tflite-mobile", "tflite-int3"])
def test_a_recipe_of_a_format_that_takes_none_is_refused(digits, tmp_path, name):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"format": name, "network_sha256": "0"}))
    with pytest.raises(LettercastError, match=f"{path}: '{name}' takes no recipe; .*tflite-int8"):
        export(digits / "digits.keras", check=digits / "digits.npz", recipe=path, out=tmp_path, progress=False)


def test_a_file_in_its_formats_own_way_has_no_recipe(digits, tmp_path):
    (artifact,) = export(
        digits / "digits.keras", formats="tflite-float32", check=digits / "digits.npz", out=tmp_path, progress=False
    )
    with pytest.raises(LettercastError, match="was made in its format's own way"):
        read_recipe(artifact.path)


def test_a_file_that_is_proven_is_not_searched(digits, tmp_path):
    (artifact,) = export(
        digits / "digits.keras",
        formats="tflite-int8",
        check=digits / "digits.npz",
        max_drop=MAX_DROP,
        repair=True,
        out=tmp_path,
        progress=False,
    )
    assert artifact.recipe is None
    assert not artifact.tries


def test_nothing_is_written_if_nothing_can_be_proven(spoiled, digits, tmp_path, monkeypatch):
    # Without layers in float and without other weights nothing helps this model.
    monkeypatch.setattr(search.Search, "stages", lambda self: iter([[self.base]]))
    (artifact,) = export(spoiled, formats="tflite-int8", out=tmp_path, repair=True, **limits_on(digits / "digits.npz"))
    assert artifact.misses
    assert [one.recipe.precision for one in artifact.tries] == [INT8]
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".html"], "the page tells what was tried"


def test_a_file_for_a_microcontroller_stays_one_of_integers_alone(spoiled, digits, tmp_path):
    limits = limits_on(digits / "digits.npz")
    exports = export(spoiled, formats="tflite-int8", devices="mcu", out=tmp_path, repair=True, **limits)
    (artifact,) = exports
    assert artifact.verdict == PROVEN
    assert artifact.recipe.equalized
    assert all(one.recipe.is_integer_only for one in artifact.tries)
    assert [one.name for one in exports.recommended] == ["spoiled-int8.tflite"]


def test_ctrl_c_keeps_what_is_proven(spoiled, digits, tmp_path, monkeypatch):
    def interrupted(self, failing, passing):
        assert self.kept is not None
        raise KeyboardInterrupt

    monkeypatch.setattr(search.Search, "refine", interrupted)
    formats = ["tflite-int8", "tflite-float32"]
    exports = export(spoiled, formats=formats, out=tmp_path, repair=True, **limits_on(digits / "digits.npz"))
    assert exports.is_interrupted
    (artifact,) = exports
    assert artifact.verdict == PROVEN
    assert artifact.path.exists()


def test_images_answer_alike_after_a_repair(repaired, digits):
    import keras

    _, artifact, model, data, _ = repaired

    archive = np.load(data)
    images = archive["image"][archive["split"] == 2][..., None]
    original = keras.saving.load_model(model)(images / 255.0).numpy().argmax(1)
    assert (open_engine(artifact.path)(images).argmax(1) == original).mean() > 0.97


def test_a_recipe_says_in_words_what_it_does():
    recipe = Recipe("onnx-int8", "0", unsigned_weights=True, equalized=True).with_layers(["a", "b"], FLOAT)
    assert recipe.describe() == "equalized, uint8 weights, 2 layers in float"
    assert parse_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe
