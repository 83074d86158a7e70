"""What of a network counts when it answers."""

import numpy as np
import pytest

from lettercast.export.artifact import export_model
from lettercast.export.formats import FORMATS
from lettercast.export.original import TRAINING_ONLY, flat_layers, for_inference, is_single, open_letters

keras = pytest.importorskip("keras")
layers = keras.layers
PICTURES = np.random.default_rng(1).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
ROWS = [FORMATS[name] for name in ("tflite-float32", "onnx-float32")]


def classifier(*first, dtype="float32"):
    """A network of one convolution behind some layers, with statistics that differ from fresh ones."""
    last = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
    network = keras.Sequential(
        [keras.Input((16, 16, 3), dtype=dtype), *first, *last, layers.Dense(3, activation="softmax", dtype="float32")]
    )
    norm = next(layer for layer in network.layers if isinstance(layer, layers.BatchNormalization))
    norm.set_weights([np.linspace(0.5, 2, 4), np.linspace(-1, 1, 4), np.linspace(-2, 2, 4), np.linspace(1, 3, 4)])
    return network


def normalization(**settings):
    layer = layers.Normalization(**settings)
    layer.adapt(PICTURES.astype(np.float32) * [1, 0.5, 2])
    return layer


def answers(network):
    return network.predict(PICTURES, verbose=0)


def kinds(network):
    return [type(layer).__name__ for layer in flat_layers(network)]


def test_a_network_without_such_layers_is_left_as_it_is():
    network = classifier(layers.Rescaling(1 / 255), layers.Dropout(0.5))
    assert for_inference(network) is network


NEEDED = {
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.9},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.5},
    "RandomPosterization": {"factor": 4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.3},
}
FACTOR = ("RandomBrightness", "RandomContrast", "RandomHue", "RandomRotation", "RandomSaturation", "RandomSharpness")


@pytest.mark.parametrize("name", TRAINING_ONLY)
def test_every_name_is_a_layer_that_hands_pictures_on(name):
    kind = getattr(layers, name, None)
    if kind is None:
        pytest.skip("this Keras has no such layer")
    layer = kind(0.5) if name in FACTOR else kind(**NEEDED.get(name, {}))
    assert np.array_equal(layer(PICTURES.astype(np.float32), training=False), PICTURES)


@pytest.mark.parametrize("nested", [False, True])
def test_augmentation_goes_and_answers_stay(nested):
    augment = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.GaussianNoise(0.1)]
    first = [keras.Sequential([keras.Input((16, 16, 3)), *augment])] if nested else augment
    network = classifier(*first, layers.Rescaling(1 / 255))
    made = for_inference(network)
    assert kinds(made)[:4] == ["Identity", "Identity", "Identity", "Rescaling"]
    assert np.array_equal(answers(made), answers(network))


@pytest.mark.parametrize("settings", [{}, {"axis": None}, {"invert": True}])
def test_a_normalization_becomes_the_rescaling_that_it_is(settings):
    network = classifier(normalization(**settings))
    made = for_inference(network)
    assert kinds(made)[0] == "Rescaling"
    assert answers(made) == pytest.approx(answers(network), abs=1e-5)


def test_a_normalization_of_given_statistics_is_kept_too():
    network = classifier(layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 0.0, 400.0]))
    assert answers(for_inference(network)) == pytest.approx(answers(network), abs=1e-5)


def test_whole_numbers_in_become_floats_of_the_same_answers():
    network = classifier(layers.Rescaling(1 / 255), dtype="uint8")
    made = for_inference(network)
    assert (network.inputs[0].dtype, made.inputs[0].dtype) == ("uint8", "float32")
    assert answers(made) == pytest.approx(answers(network), abs=1e-6)


def test_half_precision_becomes_single_with_the_same_weights():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = classifier(layers.Rescaling(1 / 255))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    made = for_inference(network)
    assert not is_single(network) and is_single(made)
    assert answers(made) == pytest.approx(answers(network), abs=0.02)


@pytest.mark.parametrize("first", ["augmented", "augmented within", "normalized", "whole numbers", "half precision"])
def test_users_networks_of_every_such_kind_pass_the_gate(first, tmp_path):
    if first == "half precision":
        keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = {
            "augmented": lambda: classifier(layers.RandomZoom(0.1), layers.Rescaling(1 / 255), layers.RandomContrast(0.1)),
            "augmented within": lambda: classifier(
                keras.Sequential([keras.Input((16, 16, 3)), layers.RandomFlip("horizontal"), layers.Resizing(12, 12)]),
                layers.Rescaling(1 / 255),
            ),
            "normalized": lambda: classifier(normalization()),
            "whole numbers": lambda: classifier(layers.Rescaling(1 / 255), dtype="uint8"),
            "half precision": lambda: classifier(layers.Rescaling(1 / 255)),
        }[first]()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    images = np.random.default_rng(2).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    arrays = {"label": np.arange(300) % 3, "split": np.repeat([0, 2], 150), "classes": ["a", "b", "c"]}
    np.savez(tmp_path / "data.npz", image=images, **arrays)
    network.save(tmp_path / "m.keras")
    calibrate, check = open_letters(tmp_path / "m.keras", None, str(tmp_path / "data.npz"))
    exports = export_model(tmp_path / "m.keras", ROWS, calibrate, check, tmp_path / "dist", pixels="0..255")
    assert exports.faults == ()
    assert [artifact.misses for artifact in exports] == [()] * len(ROWS)
