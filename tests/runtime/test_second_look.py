"""A second look at doubtful letters."""

import numpy as np
import pytest

from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.reader import LOOK_TUNING, look_again, seen_from


def engine(answers: list[list[float]], asked: list) -> Engine:
    """An engine that gives the answers in turn, and notes what it was asked."""

    def classify(images):
        asked.append(images)
        return np.resize(np.array(answers, np.float32), (len(images), 2))

    return Engine("fixed", Facts("fixed", "tflite", ("a", "b"), (28, 28, 1), "uint8"), classify)


@pytest.fixture
def ink() -> np.ndarray:
    """A slanted stroke."""
    return (255 * np.eye(40)).astype(np.uint8)


def test_only_doubtful_letters_are_looked_at_again(ink):
    asked = []
    before = np.array([[LOOK_TUNING.max_confidence, 1 - LOOK_TUNING.max_confidence], [0.6, 0.4], [0.05, 0.95]], np.float32)
    after = look_again(engine([[0.2, 0.8]], asked), [ink] * 3, before)
    assert [len(images) for images in asked] == [len(LOOK_TUNING.views)]
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def test_the_answer_is_the_mean_of_all_views(ink):
    before = np.array([[0.6, 0.4]], np.float32)
    after = look_again(engine([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]], []), [ink], before)
    assert after[0] == pytest.approx([0.3, 0.7])
    assert before[0] == pytest.approx([0.6, 0.4])


def test_nothing_doubtful_costs_nothing(ink):
    asked = []
    look_again(engine([[0.5, 0.5]], asked), [], np.zeros((0, 2), np.float32))
    look_again(engine([[0.5, 0.5]], asked), [ink], np.array([[0.99, 0.01]], np.float32))
    assert asked == []


@pytest.mark.parametrize("view", LOOK_TUNING.views)
def test_a_view_holds_all_of_the_ink(ink, view):
    padded = np.pad(ink, 20)
    assert seen_from(ink, view).sum() == pytest.approx(seen_from(padded, view).sum(), rel=0.02)


def test_the_first_two_views_are_turned_against_each_other(ink):
    stroke = np.zeros((60, 60), np.uint8)
    stroke[5:55, 29:31] = 255
    leaning = [np.polyfit(*np.nonzero(seen_from(stroke, view) > 100), 1)[0] for view in LOOK_TUNING.views]
    assert leaning[0] * leaning[1] < 0
    assert abs(leaning[0]) == pytest.approx(LOOK_TUNING.turn_rad, abs=0.02)
    assert leaning[2] == pytest.approx(0, abs=0.01)
