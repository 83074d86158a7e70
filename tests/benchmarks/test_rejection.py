"""Non-letters, and how many are rejected."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lettercast.benchmarks.model_card import DIGIT_PX, digit_picture, non_letters, rejection


@pytest.fixture(scope="module")
def pictures():
    return non_letters()


def test_every_kind_is_as_the_network_takes_it(pictures):
    for many in pictures.values():
        assert many.dtype == np.uint8 and many.shape[1:] == (28, 28, 1)
        assert len(many) >= 800
        assert (many.reshape(len(many), -1).max(1) > 0).mean() > 0.99


def test_real_digits_are_those_of_scikit_learn(pictures):
    assert len(pictures["real digits, all ten"]) == len(load_digits().target) == 1797
    assert len(pictures["real digits 3, 4, 6, 7, 8"]) == np.isin(load_digits().target, (3, 4, 6, 7, 8)).sum()


def test_a_digit_keeps_its_shape():
    bar = np.zeros((8, 8))
    bar[:, 3:5] = 16
    picture = digit_picture(bar)[..., 0]
    rows, columns = np.nonzero(picture > 127)
    assert np.ptp(rows) > 2 * np.ptp(columns)
    assert DIGIT_PX > 28


def test_what_is_below_the_threshold_is_rejected():
    def half_sure(pictures):
        answers = np.full((len(pictures), 4), 0.1, np.float32)
        answers[:, 0] = np.where(np.arange(len(pictures)) % 2, 0.9, 0.3)
        return answers

    shares = rejection(half_sure, 0.5)
    assert all(share == pytest.approx(0.5, abs=0.01) for share in shares.values())
