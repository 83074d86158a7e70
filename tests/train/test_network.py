"""The letter networks."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.train.network import SIZES, build_network, count_multiplications, fold, soften, with_classes

LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
PICTURES = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> keras.Sequential:
    return build_network("nano", 26)


def test_network_is_sequential_and_returns_probabilities(network):
    probabilities = network.predict(PICTURES, verbose=0)
    assert isinstance(network, keras.Sequential)
    assert probabilities.shape == (4, 26)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_network_scales_pixels_itself(network):
    scaled = network.layers[0](PICTURES.astype(np.float32))
    np.testing.assert_allclose(np.asarray(scaled), PICTURES / 255, atol=1e-6)


def test_uint8_and_float_pixels_give_the_same_result(network):
    np.testing.assert_allclose(
        network.predict(PICTURES, verbose=0), network.predict(PICTURES.astype(np.float32), verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [2, 26])
def test_parameters_match_a_count_by_hand(size, classes):
    widths = [1, *(width for stage in SIZES[size].stages for width in stage)]
    convolutions = sum(9 * before * after + after for before, after in pairwise(widths))
    classifier = (9 * widths[-1] + 1) * classes
    assert fold(build_network(size, classes)).count_params() == convolutions + classifier
    # During training each filter has gain, shift, mean and variance instead of a bias.
    assert build_network(size, classes).count_params() == convolutions + classifier + 3 * sum(widths[1:])


@pytest.mark.parametrize(("size", "most_parameters", "most_multiplications"), [("base", 285e3, 20e6), ("nano", 56e3, 3e6)])
def test_shipped_sizes_are_small(size, most_parameters, most_multiplications):
    network = fold(build_network(size, 26))
    assert network.count_params() < most_parameters
    assert count_multiplications(network) < most_multiplications


def test_multiplications_match_a_count_by_hand():
    network = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)])
    assert count_multiplications(network) == 16 * 9 * 2 * 4 + 64 * 5


def test_folded_network_answers_as_the_trained_one():
    network = build_network("nano", 26)
    rng = np.random.default_rng(4)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    plain = fold(network)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in plain.layers)
    np.testing.assert_allclose(plain.predict(PICTURES, verbose=0), network.predict(PICTURES, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("convolution", "norm"),
    [
        ({"activation": "relu"}, {}),
        ({"use_bias": True}, {}),
        ({}, {"axis": 1}),
        ({}, {"scale": False}),
        ({}, {"center": False}),
    ],
    ids=["active", "biased", "normalized by row", "without scale", "without shift"],
)
def test_layers_that_cannot_be_folded_stay(convolution, norm):
    filters = layers.Conv2D(3, 5, **{"use_bias": False, **convolution})
    stack = [filters, layers.BatchNormalization(**norm), layers.Flatten(), layers.Dense(2, activation="softmax")]
    network = keras.Sequential([keras.Input((28, 28, 1)), *stack])
    rng = np.random.default_rng(4)
    network.layers[1].set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in network.layers[1].get_weights()])
    plain = fold(network)
    assert isinstance(plain.layers[1], layers.BatchNormalization)
    np.testing.assert_allclose(plain.predict(PICTURES, verbose=0), network.predict(PICTURES, verbose=0), atol=1e-5)


def test_folding_a_folded_network_changes_nothing():
    plain = fold(build_network("nano", 26))
    for one, other in zip(fold(plain).get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_classifier_keeps_the_weights_of_common_classes():
    network = build_network("nano", 26)
    few = with_classes(network, LETTERS, ("Z", "Ä", "B"))
    for one, other in zip(few.layers[:-1], network.layers[:-1], strict=True):
        for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    kernel, old = few.layers[-1].get_weights()[0], network.layers[-1].get_weights()[0]
    np.testing.assert_array_equal(kernel[:, [0, 2]], old[:, [25, 1]])
    # An unknown class starts from new weights, and the original model is not changed.
    assert kernel.shape[1] == 3
    assert not any(np.allclose(kernel[:, 1], column) for column in old.T)


def test_copy_with_the_same_classes_answers_alike():
    network = build_network("nano", 26)
    copy = with_classes(network, LETTERS, LETTERS)
    np.testing.assert_allclose(copy.predict(PICTURES, verbose=0), network.predict(PICTURES, verbose=0), atol=1e-6)


def test_classifier_may_lack_a_bias_and_another_layer_may_have_its_name():
    stack = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(4, name="probabilities")]
    network = keras.Sequential([*stack, layers.Dense(3, activation="softmax", use_bias=False)])
    copy = with_classes(network, ("A", "B", "C"), ("C", "A"))
    np.testing.assert_array_equal(copy.layers[-1].get_weights()[0], network.layers[-1].get_weights()[0][:, [2, 0]])


def test_network_for_other_images_cannot_be_continued():
    network = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    with pytest.raises(LettercastError, match=r"takes \(32, 32, 3\) images, but letters are \(28, 28, 1\)"):
        with_classes(network, ("0", "1"), ("0", "1"))


def test_only_sequential_networks_ending_in_a_dense_layer_can_be_continued():
    pixels = keras.Input((28, 28, 1))
    functional = keras.Model(pixels, layers.Dense(2, activation="softmax")(layers.Flatten()(pixels)))
    with pytest.raises(LettercastError, match="training continues only from a Sequential network that ends in a Dense layer"):
        with_classes(functional, ("0", "1"), ("0", "1"))


def test_temperature_divides_the_logits():
    network = build_network("nano", 26)
    before = np.log(network.predict(PICTURES, verbose=0))
    soften(network, 2.0)
    after = np.log(network.predict(PICTURES, verbose=0))
    np.testing.assert_allclose(np.diff(after, axis=1), np.diff(before, axis=1) / 2, atol=1e-3)


def test_unknown_size_lists_the_sizes():
    with pytest.raises(LettercastError, match=r"unknown size 'huge': choose one of large, base, nano"):
        build_network("huge", 26)
