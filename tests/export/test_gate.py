"""The parity gate's figures."""

import math

import numpy as np
import pytest

from lettercast.export.gate import Parity, Tolerance, compare

STRICT = Tolerance(max_drop=0.0, min_agreement=100.0, max_difference=1e-5)


def rows(*classes: int) -> np.ndarray:
    """Probabilities of four classes that are sure of the classes given."""
    return np.eye(4, dtype=np.float32)[list(classes)]


def test_a_model_compared_with_itself_passes_the_strictest_gate():
    parity = compare(np.array([0, 1, 2]), rows(0, 1, 3), rows(0, 1, 3))
    assert parity.accuracy == parity.original_accuracy == pytest.approx(200 / 3)
    assert (parity.drop, parity.agreement, parity.difference) == (0, 100, 0)
    assert parity.misses(STRICT) == []


def test_drop_and_agreement_are_those_counted_by_hand():
    truth = np.array([0, 1, 2, 3, 0])
    parity = compare(truth, rows(0, 1, 2, 3, 1), rows(0, 1, 2, 0, 0))
    assert parity.original_accuracy == 80
    assert parity.accuracy == 80
    assert parity.drop == 0
    assert parity.agreement == 60


def test_the_interval_is_that_of_the_paired_difference():
    # Of 100 letters 5 are lost and 2 are won: mean 0.03, variance (7 - 100 * 0.03^2) / 99.
    truth = np.zeros(100, int)
    original, exported = np.zeros(100, int), np.zeros(100, int)
    exported[:5], original[5:7] = 1, 1
    parity = compare(truth, rows(*original), rows(*exported))
    margin = 100 * 1.96 * math.sqrt((7 - 100 * 0.03**2) / 99 / 100)
    assert parity.drop == pytest.approx(3)
    assert parity.drop_low == pytest.approx(3 - margin, abs=0.001)
    assert parity.drop_high == pytest.approx(3 + margin, abs=0.001)


def test_either_of_two_tied_classes_agrees_and_a_clear_loser_does_not():
    original = np.array([[0.4, 0.399, 0.201]], np.float32)
    second = np.array([[0.3, 0.5, 0.2]], np.float32)
    third = np.array([[0.2, 0.3, 0.5]], np.float32)
    assert compare(np.array([0]), original, second, tie=0.01).agreement == 100
    assert compare(np.array([0]), original, second).agreement == 0
    assert compare(np.array([0]), original, third, tie=0.01).agreement == 0


def test_what_is_not_a_number_never_passes():
    broken = rows(0, 1)
    broken[0] = np.nan
    parity = compare(np.array([0, 1]), rows(0, 1), broken)
    assert parity.difference == 1
    assert any("difference" in miss for miss in parity.misses(STRICT))


def test_an_answer_that_is_not_a_number_is_wrong_whatever_the_class():
    parity = compare(np.array([0, 0]), rows(0, 0), np.full((2, 4), np.nan))
    assert (parity.accuracy, parity.agreement) == (0, 0)


def test_a_tie_is_neither_a_drop_nor_a_disagreement():
    tied = np.array([[0.5, 0.5 - 1e-7, 0, 0]])
    parity = compare(np.array([0]), tied, tied[:, [1, 0, 2, 3]], tie=1e-5)
    assert (parity.drop, parity.agreement) == (0, 100)


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        (Tolerance(0.3, 99.0), "accuracy drop 0.50 points, at most 0.3 allowed"),
        (Tolerance(1.0, 99.9), "agreement 99.20 %, at least 99.9 % needed"),
        (Tolerance(1.0, 99.0, 1e-5), "difference 2.0e-02, at most 1e-05 allowed"),
    ],
)
def test_a_miss_names_the_figure_and_the_limit(tolerance, said):
    parity = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)
    assert parity.misses(tolerance) == [said]


def test_a_limit_that_is_just_met_passes():
    parity = Parity(1000, 95.0, 94.7, 0.3, 0.1, 0.5, 99.0, 0.02)
    assert parity.misses(Tolerance(0.3, 99.0, 0.02)) == []


def test_a_single_letter_has_no_interval():
    parity = compare(np.array([0]), rows(0), rows(1))
    assert (parity.drop, parity.drop_low, parity.drop_high) == (100, 100, 100)
