"""What a probability is worth."""

import numpy as np
import pytest

from lettercast.train.evaluation import best_temperature, rejected_share, rejection_threshold, reliability, tempered


def answers(*confidences: float) -> np.ndarray:
    """Probabilities of two classes, the first one likelier."""
    return np.array([[c, 1 - c] for c in confidences], np.float32)


def test_the_calibration_error_of_a_case_done_by_hand():
    # Four answers at 0.9 of which two are right, two at 0.6 of which both are.
    probabilities = answers(0.9, 0.9, 0.9, 0.9, 0.6, 0.6)
    result = reliability(probabilities, np.array([0, 0, 1, 1, 0, 0]), bins=10)
    assert sorted(result.count.tolist()) == [0] * 8 + [2, 4]
    assert result.error == pytest.approx((4 * 0.4 + 2 * 0.4) / 6, abs=1e-6)


def test_an_answer_of_one_falls_into_the_last_bin():
    assert reliability(answers(1.0), np.array([0]), bins=5).count.tolist() == [0, 0, 0, 0, 1]


def test_probabilities_that_mean_what_they_say_have_no_calibration_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 60_000)
    truth = (rng.random(60_000) > confidence).astype(np.int64)
    probabilities = np.stack([confidence, 1 - confidence], 1).astype(np.float32)
    assert reliability(probabilities, truth).error < 0.01
    assert best_temperature(probabilities, truth) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_that_spoiled_the_probabilities_is_found_again(temperature):
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (30_000, 4))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([rng.choice(4, p=row) for row in honest])
    spoiled = tempered(honest.astype(np.float32), temperature)
    assert best_temperature(spoiled, truth) == pytest.approx(1 / temperature, rel=0.05)


def test_a_temperature_keeps_the_order_and_the_sum():
    softer = tempered(answers(0.99, 0.6), 3.0)
    np.testing.assert_allclose(softer.sum(1), 1, rtol=1e-6)
    assert 0.5 < softer[1, 0] < 0.6 < softer[0, 0] < 0.99


def test_the_threshold_keeps_the_share_asked_for():
    probabilities = answers(*np.linspace(0.5, 1, 1001))
    threshold = rejection_threshold(probabilities, kept=0.98)
    assert rejected_share(probabilities, threshold) == pytest.approx(0.02, abs=0.002)
