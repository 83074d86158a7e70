"""Other hands: strokes distorted so that the letter stays the same letter."""

import numpy as np
import pytest

from lettercast.train.data.drawing import coarsen, distort, hurry, lose_dot

STEM = [np.array([[0, 0], [0, 500], [0, 1000]], np.float32)]
CROSS = [np.array([[0, 0], [1000, 1000]], np.float32), np.array([[0, 1000], [1000, 0]], np.float32)]
SMALL_I = [np.array([[0, 300], [0, 1000]], np.float32), np.array([[0, 0], [10, 20]], np.float32)]
SMALL_T = [np.array([[0, 0], [0, 1000]], np.float32), np.array([[-250, 300], [250, 300]], np.float32)]


def test_distorted_strokes_are_as_many_and_about_one_unit_long():
    for seed in range(100):
        strokes = distort(CROSS, np.random.default_rng(seed))
        assert len(strokes) == 2
        size = np.ptp(np.concatenate(strokes), 0).max()
        assert 0.5 < size < 2


def test_a_stroke_is_written_from_its_beginning_to_its_end():
    for seed in range(100):
        stem = distort(STEM, np.random.default_rng(seed))[0]
        assert stem[0, 1] < stem[len(stem) // 2, 1] < stem[-1, 1]


def test_distortion_turns_a_stem_by_a_few_degrees_and_leans_to_neither_side():
    stems = [distort(STEM, np.random.default_rng(seed))[0] for seed in range(600)]
    angles = np.degrees([np.arctan2(*(stem[-1] - stem[0])) for stem in stems])
    assert abs(angles.mean()) < 2
    assert 4 < angles.std() < 20


def test_some_letters_are_hardly_distorted_and_some_are_much():
    def bent(seed: int) -> float:
        strokes = distort(CROSS, np.random.default_rng(seed))
        ends = np.concatenate([stroke[[0, -1]] for stroke in strokes])
        return float(np.abs(ends - np.array([[-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]])).max())

    amounts = [bent(seed) for seed in range(300)]
    assert np.quantile(amounts, 0.05) < 0.08
    assert np.quantile(amounts, 0.95) > 0.25


def test_a_lone_dot_can_be_distorted():
    for seed in range(30):
        assert np.isfinite(distort([np.array([[5, 5]], np.float32)], np.random.default_rng(seed))[0]).all()


@pytest.mark.parametrize("steps", [9.0, 20.5])
def test_a_coarse_tablet_tells_few_places_apart(steps):
    slope = np.stack([np.linspace(-0.5, 0.5, 200), np.linspace(-0.2, 0.3, 200)], 1).astype(np.float32)
    stairs = coarsen(slope, steps)
    assert len(np.unique(stairs[:, 0])) <= steps + 1
    np.testing.assert_allclose(stairs * steps, np.rint(stairs * steps), atol=1e-4)
    # Every point stays within half a step of the line.
    assert np.abs(stairs[:, 1] - np.interp(stairs[:, 0], slope[:, 0], slope[:, 1])).max() <= 1 / steps


def test_a_coarse_tablet_leaves_a_dot_a_dot():
    assert coarsen(np.array([[0.11, 0.22]], np.float32), 10).shape == (1, 2)


def test_a_hasty_hand_rounds_corners_and_keeps_the_ends():
    corner = np.array([[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]], np.float32)
    rounded = hurry(corner, 3)
    np.testing.assert_allclose(rounded[[0, -1]], corner[[0, -1]])
    assert np.hypot(*(rounded - [1, 0]).T).min() > 0.2


def test_a_stroke_of_few_points_cannot_be_hurried():
    np.testing.assert_array_equal(hurry(CROSS[0], 3), CROSS[0])


def test_only_a_dot_is_lost():
    assert [len(stroke) for stroke in lose_dot(SMALL_I, np.random.default_rng(0))] == [2]
    assert len(lose_dot(SMALL_T, np.random.default_rng(0))) == 2
    assert len(lose_dot(STEM, np.random.default_rng(0))) == 1
