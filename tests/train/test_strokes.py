"""Pen strokes in flat arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.strokes import Strokes, load_strokes

HERE = Path("letters.npz")


@pytest.fixture
def strokes() -> Strokes:
    """Two letters: A of two strokes (3 and 2 points), B of one stroke (1 point)."""
    points = np.arange(12, dtype=np.float32).reshape(6, 2)
    return Strokes(
        points,
        np.array([3, 2, 1]),
        np.array([2, 1]),
        np.array([0, 1]),
        np.array([True, False]),
        np.array([7, 8]),
        np.array([0, 2]),
    )


@pytest.fixture
def arrays(strokes) -> dict[str, np.ndarray]:
    return {name: getattr(strokes, name) for name in ("points", "points_per_stroke", "strokes_per_sample", "label")}


def test_a_letter_is_its_own_strokes(strokes):
    first, second = strokes.letter(0)
    assert first.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert second.tolist() == [[6, 7], [8, 9]]
    assert [stroke.tolist() for stroke in strokes.letter(1)] == [[[10, 11]]]


def test_choosing_letters_keeps_their_strokes_and_drops_the_others(strokes):
    chosen = strokes.only(np.array([False, True]))
    assert len(chosen) == 1
    assert chosen.letter(0)[0].tolist() == [[10, 11]]
    assert (chosen.label[0], chosen.writer[0], chosen.split[0]) == (1, 8, 2)
    assert len(strokes.only(np.array([False, False]))) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"points": np.zeros((6, 3))}, "shape"),
        ({"points": np.full((6, 2), np.nan)}, "finite"),
        ({"points_per_stroke": np.array([3, 2, 2])}, "number of points"),
        ({"points_per_stroke": np.array([3, 3, 0])}, "empty stroke"),
        ({"strokes_per_sample": np.array([1, 1])}, "number of strokes"),
        ({"strokes_per_sample": np.array([3, 0])}, "without a stroke"),
        ({"label": np.array([0])}, "label"),
        ({"split": np.array([0, 1, 2])}, "split"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(strokes, wrong, said):
    with pytest.raises(LettercastError, match=said):
        replace(strokes, **wrong)


def test_case_writer_and_split_may_be_absent(arrays):
    strokes = load_strokes(HERE, arrays)
    assert strokes.upper.tolist() == [True, True]
    assert strokes.split.tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": np.array([0, 26])},
        {"label": np.array([-1, 0])},
        {"label": np.array(["A", "B"])},
        {"label": np.array(0)},
        {"points": np.array(["x"] * 6)},
        {"points": np.zeros(12)},
        {"strokes_per_sample": np.array(3)},
        {"points_per_stroke": np.array([[3, 2, 1]])},
        {"upper": np.array([True])},
    ],
)
def test_a_file_with_unusable_arrays_is_named(arrays, wrong):
    with pytest.raises(LettercastError, match=r"letters.npz"):
        load_strokes(HERE, arrays | wrong)


@pytest.mark.parametrize("key", ["points_per_stroke", "strokes_per_sample", "label"])
def test_a_file_that_lacks_an_array_is_named(arrays, key):
    del arrays[key]
    with pytest.raises(LettercastError, match=r"letters.npz"):
        load_strokes(HERE, arrays)
