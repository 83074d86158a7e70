"""Explanations: the layer that loses most is named first, wherever it is, and what is told is true."""

import json
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.exporter import export
from lettercast.export.repair.explain import LOSES_MUCH

FORMATS = ("tflite-int8", "onnx-int8")
# Layers whose one filter is spoiled, and the layer behind it that makes up for it.
SPOILED = {"first": "middle", "middle": "narrow", "narrow": "wide", "wide": "hidden", "hidden": "classes"}
FACTOR = 600


@pytest.fixture(scope="module")
def trained(digits, made_once) -> Path:
    """A small network that reads digits, with ordinary, depthwise and dense layers."""

    def make(folder: Path) -> Path:
        import keras

        folder.mkdir()
        layers = keras.layers
        keras.utils.set_random_seed(3)
        network = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Rescaling(1 / 255),
                layers.Conv2D(12, 3, padding="same", activation="relu", name="first"),
                layers.Conv2D(12, 3, padding="same", use_bias=False, name="middle"),
                layers.BatchNormalization(name="norm", momentum=0.8),
                layers.ReLU(name="relu"),
                layers.DepthwiseConv2D(3, padding="same", activation="relu", name="narrow"),
                layers.MaxPooling2D(name="pool"),
                layers.Conv2D(16, 1, activation="relu", name="wide"),
                layers.GlobalAveragePooling2D(name="mean"),
                layers.Dense(16, activation="relu", name="hidden"),
                layers.Dense(10, activation="softmax", name="classes"),
            ],
            name="spoiled",
        )
        archive = np.load(digits / "digits.npz")
        known = archive["split"] == 0
        images, classes = archive["image"][known][..., None].astype(np.float32), archive["label"][known]
        network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        network.fit(images, classes, epochs=12, batch_size=64, verbose=0)
        path = folder / "trained.keras"
        network.save(path)
        return path

    return made_once("trained", make)


def spoil(network, layer: str, images: np.ndarray) -> None:
    """Make one filter of a layer 600 times as large, and the numbers that the next layer multiplies it with as much smaller.

    It is the filter that answers most to the images, because one that never does would spoil nothing.
    """
    import keras

    seen = keras.Model(network.inputs, network.get_layer("relu" if layer == "middle" else layer).output)(images)
    channel = int(np.asarray(seen).reshape(-1, seen.shape[-1]).mean(0).argmax())
    spoiled, follower = network.get_layer(layer), network.get_layer(SPOILED[layer])
    weights = spoiled.get_weights()
    if layer == "middle":
        # Folded into the layer, the factor of its batch norm is that of the filter.
        spoiled, weights = network.get_layer("norm"), network.get_layer("norm").get_weights()
        weights[0][channel] *= FACTOR
    elif layer == "narrow":
        weights[0][..., channel, 0] *= FACTOR
    else:
        weights[0][..., channel] *= FACTOR
    weights[1][channel] *= FACTOR
    spoiled.set_weights(weights)
    kernel, *rest = follower.get_weights()
    kernel[..., channel, :] /= FACTOR
    follower.set_weights([kernel, *rest])


@pytest.fixture(scope="module")
def explained(trained, digits, tmp_path_factory):
    """Return a function that exports a network with one bad layer, and returns its exports and their folder."""
    made = {}

    def explain(layer: str):
        if layer not in made:
            import keras

            network = keras.saving.load_model(trained)
            spoil(network, layer, np.load(digits / "digits.npz")["image"][:200, ..., None].astype(np.float32))
            out = tmp_path_factory.mktemp("explained")
            settings = {"pixels": "0..255", "explain": True, "progress": False}
            made[layer] = export(network, formats=FORMATS, check=digits / "digits.npz", out=out, max_drop=100, **settings), out
        return made[layer]

    return explain


@pytest.mark.parametrize("layer", SPOILED)
def test_the_layer_with_one_filter_times_600_is_named_first(explained, layer):
    exports, _ = explained(layer)
    for artifact in exports:
        first = artifact.explanation.layers[0]
        assert first.name == layer, artifact.format.name
        assert first.verdict == LOSES_MUCH
        assert layer in artifact.explanation.sentence()


def test_every_layer_has_its_keras_name_and_its_noise(explained):
    exports, _ = explained("middle")
    for artifact in exports:
        told = {layer.name: layer for layer in artifact.explanation.layers}
        assert {"first", "middle", "narrow", "wide", "classes"} <= set(told)
        assert all(0 <= layer.alone_db <= 120 for layer in told.values() if layer.alone_db is not None)
        assert told["middle"].alone_db < told["first"].alone_db, "the other filters of the bad layer are erased"


def test_the_page_and_the_json_hold_what_the_table_holds(explained):
    exports, out = explained("middle")
    page = (out / "spoiled-export.html").read_text()
    assert exports.page == str(out / "spoiled-export.html")
    for artifact in exports:
        assert artifact.explanation.sentence().split(". ")[-1].split(":")[0] in page
        told = json.loads(json.dumps(artifact.to_dict()))["explanation"]
        assert [layer["name"] for layer in told["layers"]] == [layer.name for layer in artifact.explanation.layers]
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "the page loads nothing"


def test_a_float_format_has_nothing_to_explain(digits, tmp_path: Path, capsys):
    settings = {"check": digits / "digits.npz", "explain": True, "progress": False}
    (artifact,) = export(digits / "digits.keras", formats="onnx-float32", out=tmp_path, **settings)
    assert artifact.explanation is None
    assert "onnx-float32 cannot be explained layer by layer; formats that can are tflite-dynamic" in capsys.readouterr().err
