"""The original: the network without its training-only layers, the names of its outputs, and its calibration set."""

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.convert.network import TRAINING_ONLY, flat_layers, for_inference, is_single
from lettercast.export.detection import cross_entropy
from lettercast.export.original import draw_calibration, name_outputs, refuse_shared
from lettercast.runtime.model.facts import Facts
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource, PictureSource
from lettercast.train.predict import as_probabilities

layers = keras.layers
IMAGES = np.random.default_rng(1).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)


def classifier(*first, dtype="float32"):
    """A network of one convolution behind these layers; its batch statistics are not the initial ones."""
    last = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
    network = keras.Sequential(
        [keras.Input((16, 16, 3), dtype=dtype), *first, *last, layers.Dense(3, activation="softmax", dtype="float32")]
    )
    norm = next(layer for layer in network.layers if isinstance(layer, layers.BatchNormalization))
    norm.set_weights([np.linspace(0.5, 2, 4), np.linspace(-1, 1, 4), np.linspace(-2, 2, 4), np.linspace(1, 3, 4)])
    return network


def normalization(**settings):
    layer = layers.Normalization(**settings)
    layer.adapt(IMAGES.astype(np.float32) * [1, 0.5, 2])
    return layer


def answers(network):
    return np.asarray(network(IMAGES, training=False))


def layer_types(network):
    return [type(layer).__name__ for layer in flat_layers(network)]


def test_a_network_without_training_only_layers_is_returned_itself():
    network = classifier(layers.Rescaling(1 / 255), layers.Dropout(0.5))
    assert for_inference(network) is network


SETTINGS = {
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.9},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.5},
    "RandomPosterization": {"factor": 4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.3},
}
TAKE_A_FACTOR = ("RandomBrightness", "RandomContrast", "RandomHue", "RandomRotation", "RandomSaturation", "RandomSharpness")


@pytest.mark.parametrize("name", TRAINING_ONLY)
def test_every_training_only_layer_returns_images_unchanged_at_inference(name):
    kind = getattr(layers, name, None)
    if kind is None:
        pytest.skip("this Keras has no such layer")
    layer = kind(0.5) if name in TAKE_A_FACTOR else kind(**SETTINGS.get(name, {}))
    assert np.array_equal(layer(IMAGES.astype(np.float32), training=False), IMAGES)


@pytest.mark.parametrize("nested", [False, True])
def test_augmentation_is_removed_and_probabilities_stay(nested):
    augment = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.GaussianNoise(0.1)]
    first = [keras.Sequential([keras.Input((16, 16, 3)), *augment])] if nested else augment
    network = classifier(*first, layers.Rescaling(1 / 255))
    cleaned = for_inference(network)
    assert layer_types(cleaned)[:4] == ["Identity", "Identity", "Identity", "Rescaling"]
    assert np.array_equal(answers(cleaned), answers(network))


@pytest.mark.parametrize("settings", [{}, {"axis": None}, {"invert": True}])
def test_a_normalization_becomes_an_equal_rescaling(settings):
    network = classifier(normalization(**settings))
    cleaned = for_inference(network)
    assert layer_types(cleaned)[0] == "Rescaling"
    assert answers(cleaned) == pytest.approx(answers(network), abs=1e-5)


def test_a_normalization_of_given_statistics_becomes_one_too():
    network = classifier(layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 0.0, 400.0]))
    assert answers(for_inference(network)) == pytest.approx(answers(network), abs=1e-5)


def test_an_integer_input_becomes_float_with_the_same_probabilities():
    network = classifier(layers.Rescaling(1 / 255), dtype="uint8")
    cleaned = for_inference(network)
    assert (network.inputs[0].dtype, cleaned.inputs[0].dtype) == ("uint8", "float32")
    assert answers(cleaned) == pytest.approx(answers(network), abs=1e-6)


def test_half_precision_becomes_single_with_the_same_weights():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = classifier(layers.Rescaling(1 / 255))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    cleaned = for_inference(network)
    assert not is_single(network) and is_single(cleaned)
    assert answers(cleaned) == pytest.approx(answers(network), abs=0.02)


def test_outputs_are_named_by_labels_then_facts_then_the_check_set():
    numbered = Facts("m", "keras", ("0", "1", "2"), (8, 8, 1), "float32")
    named = Facts("m", "keras", ("x", "y", "z"), (8, 8, 1), "float32")
    cats = PictureSource("d", "test", np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, int), ("cat", "dog", "owl"))
    assert name_outputs(numbered, None, cats) == ("cat", "dog", "owl")
    assert name_outputs(named, None, cats) == ("x", "y", "z")
    assert name_outputs(named, ["p", "q", "r"], cats) == ("p", "q", "r")
    with pytest.raises(LettercastError, match="has 'q' 2 times; give every output its own name"):
        name_outputs(named, ["p", "q", "q"], cats)


def test_calibration_images_may_not_be_in_the_check_set():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    refuse_shared("a", images[:20], "b", images[20:])
    with pytest.raises(LettercastError, match="--check b: 10 of its images are in --calibrate a, too"):
        refuse_shared("a", images[:20], "b", images[10:])


def test_calibration_takes_equally_many_of_each_class_and_the_same_letters_each_time(strokes_file):
    whole = np.arange(520)
    bars = ImageSource("bars", "train", [np.full((20, 20), 255, np.uint8)] * 520, whole % 26)
    assert draw_calibration(bars, bars.classes)[0].shape == (500, 28, 28, 1)
    calibrate = open_source(str(strokes_file), "train")
    first, classes = draw_calibration(calibrate, calibrate.classes)
    assert first.dtype == np.uint8
    assert np.bincount(classes).min() >= 15
    np.testing.assert_array_equal(first, draw_calibration(calibrate, calibrate.classes)[0])


@pytest.mark.parametrize("split", ["val", "test"])
def test_calibration_takes_training_letters_only(strokes_file, split):
    source = open_source(str(strokes_file), split)
    with pytest.raises(LettercastError, match=f"takes training letters, not split '{split}'"):
        draw_calibration(source, source.classes)


def test_calibration_takes_all_of_a_small_set_and_needs_two_classes():
    bars = ImageSource("bars", "train", [np.full((20, 20), 255, np.uint8)] * 5, np.array([0, 0, 1, 1, 1]), ("A", "B", "C"))
    assert len(draw_calibration(bars, "ABC")[0]) == 5
    with pytest.raises(LettercastError, match="has 1 of the model's classes"):
        draw_calibration(bars, "AXY")


def test_the_loss_is_the_same_for_probabilities_and_for_logits():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    truth = np.array([0, 2])
    expected = -np.log([0.7, 0.8]).mean()
    assert cross_entropy(probabilities, truth) == pytest.approx(expected, rel=1e-4)
    assert cross_entropy(as_probabilities(np.log(probabilities) + 3), truth) == pytest.approx(expected, rel=1e-4)
