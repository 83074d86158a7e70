"""The letter networks."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.train.network import (
    RELU_GAIN,
    SIZES,
    StandardizedConv2D,
    build_network,
    count_multiplications,
    fold,
    soften,
)

PICTURES = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> keras.Sequential:
    return build_network("nano", 26)


def test_it_is_sequential_and_gives_probabilities(network):
    probabilities = network.predict(PICTURES, verbose=0)
    assert isinstance(network, keras.Sequential)
    assert probabilities.shape == (4, 26)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_it_scales_pixels_itself(network):
    scaled = network.layers[0](PICTURES.astype(np.float32))
    np.testing.assert_allclose(np.asarray(scaled), PICTURES / 255, atol=1e-6)


def test_uint8_and_float_pixels_are_the_same_to_it(network):
    np.testing.assert_allclose(
        network.predict(PICTURES, verbose=0), network.predict(PICTURES.astype(np.float32), verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [2, 26])
def test_the_parameters_are_those_of_the_layers_counted_by_hand(size, classes):
    widths = [1, *(width for stage in SIZES[size].stages for width in stage)]
    convolutions = sum(9 * before * after + after for before, after in pairwise(widths))
    classifier = (9 * widths[-1] + 1) * classes
    assert build_network(size, classes, standardized=False).count_params() == convolutions + classifier
    # While it trains each filter has a gain besides.
    assert build_network(size, classes).count_params() == convolutions + classifier + sum(widths[1:])


@pytest.mark.parametrize(("size", "most_parameters", "most_multiplications"), [("base", 285e3, 20e6), ("nano", 56e3, 3e6)])
def test_what_ships_is_small(size, most_parameters, most_multiplications):
    network = build_network(size, 26, standardized=False)
    assert network.count_params() < most_parameters
    assert count_multiplications(network) < most_multiplications


def test_multiplications_are_those_counted_by_hand():
    network = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)])
    assert count_multiplications(network) == 16 * 9 * 2 * 4 + 64 * 5


def test_standardized_filters_have_no_mean_and_one_norm_times_their_gain():
    layer = StandardizedConv2D(5, "same")
    layer.build((None, 9, 9, 3))
    layer.gain.assign([1, 2, 3, 4, 5])
    kernel = np.asarray(layer.plain_kernel())
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(kernel.reshape(-1, 5), axis=0), RELU_GAIN * np.arange(1, 6), rtol=1e-3)


def test_standardized_filters_keep_the_spread_of_what_they_see():
    layer = StandardizedConv2D(64, "valid")
    noise = np.maximum(np.random.default_rng(1).normal(0, 1, (8, 20, 20, 32)), 0).astype(np.float32)
    layer.build((None, 20, 20, 32))
    kernel = np.asarray(layer.plain_kernel())
    answer = np.asarray(keras.ops.conv(noise, kernel, 1, "valid"))
    assert answer.std(axis=(0, 1, 2)).mean() == pytest.approx(1, abs=0.15)


def test_the_folded_network_answers_as_the_trained_one(network):
    for layer in network.layers:
        if isinstance(layer, StandardizedConv2D):
            layer.gain.assign(np.linspace(0.5, 1.5, layer.filters))
            layer.bias.assign(np.linspace(-0.1, 0.1, layer.filters))
    plain = fold(network, "nano")
    assert not any(isinstance(layer, StandardizedConv2D) for layer in plain.layers)
    np.testing.assert_allclose(plain.predict(PICTURES, verbose=0), network.predict(PICTURES, verbose=0), atol=1e-5)


def test_a_folded_network_folds_to_itself(network):
    plain = fold(network, "nano")
    for one, other in zip(fold(plain, "nano").get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_network_is_loaded_with_its_gains(network, tmp_path):
    network.layers[1].gain.assign(np.arange(1, 1 + network.layers[1].filters))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.layers[1].gain, network.layers[1].gain)
    np.testing.assert_allclose(loaded.predict(PICTURES, verbose=0), network.predict(PICTURES, verbose=0), atol=1e-6)


def test_a_temperature_divides_the_logits():
    network = build_network("nano", 26)
    before = np.log(network.predict(PICTURES, verbose=0))
    soften(network, 2.0)
    after = np.log(network.predict(PICTURES, verbose=0))
    np.testing.assert_allclose(np.diff(after, axis=1), np.diff(before, axis=1) / 2, atol=1e-3)


def test_an_unknown_size_names_those_there_are():
    with pytest.raises(LettercastError, match=r"unknown size 'huge': choose one of large, base, nano"):
        build_network("huge", 26)
