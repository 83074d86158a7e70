"""The letter networks."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.network import SIZES, build_network

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
    convolutions = sum(9 * before * after + 4 * after for before, after in pairwise(widths))
    assert build_network(size, classes).count_params() == convolutions + (widths[-1] + 1) * classes


def test_an_unknown_size_names_those_there_are():
    with pytest.raises(LettercastError, match=r"unknown size 'huge': choose one of base, nano"):
        build_network("huge", 26)
