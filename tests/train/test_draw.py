"""Pen strokes to ink."""

import cv2
import numpy as np
import pytest

from lettercast.train.draw import distort, draw_ink, draw_plain, draw_random, weather

STEM = [np.array([[0, 0], [0, 500], [0, 1000]], np.float32)]
CROSS = [np.array([[0, 0], [1000, 1000]], np.float32), np.array([[0, 1000], [1000, 0]], np.float32)]


def extent(ink: np.ndarray) -> tuple[int, int]:
    """Height and width of the ink that is at least half dark."""
    _, _, width, height = cv2.boundingRect((ink > 127).astype(np.uint8))
    return height, width


@pytest.mark.parametrize(("side", "pen"), [(40, 4), (80, 6), (60, 10)])
def test_the_longer_side_and_the_pen_have_the_width_asked_for(side, pen):
    height, width = extent(draw_ink(STEM, side, pen))
    assert height == pytest.approx(side + pen, abs=2)
    assert width == pytest.approx(pen, abs=1.1)


@pytest.mark.parametrize("factor", [0.001, 1, 300])
def test_strokes_may_come_in_any_unit_and_place(factor):
    moved = [(stroke * factor + 17).astype(np.float32) for stroke in CROSS]
    difference = draw_plain(moved).astype(int) - draw_plain(CROSS)
    assert np.abs(difference).mean() < 1


def test_a_single_point_is_a_dot():
    assert extent(draw_ink([np.array([[5, 5]], np.float32)], 40, 8)) == pytest.approx((8, 8), abs=2)


def test_the_same_seed_draws_the_same_picture_and_another_seed_another():
    first, again, other = (draw_random(CROSS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_every_random_drawing_has_ink():
    peaks = [draw_random(CROSS, np.random.default_rng(seed)).max() for seed in range(200)]
    assert min(peaks) > 60


def test_distorted_strokes_keep_their_number_and_order_of_points():
    distorted = distort(CROSS, np.random.default_rng(1))
    assert [stroke.shape for stroke in distorted] == [(2, 2), (2, 2)]
    stem = distort(STEM, np.random.default_rng(1))[0]
    assert stem[0, 1] < stem[1, 1] < stem[2, 1]


def test_distortion_turns_a_stem_by_a_few_degrees_and_leans_to_neither_side():
    stems = [distort(STEM, np.random.default_rng(seed))[0] for seed in range(400)]
    angles = np.degrees([np.arctan2(*(stem[-1] - stem[0])) for stem in stems])
    assert abs(angles.mean()) < 2
    assert 4 < angles.std() < 20


def test_a_lone_dot_can_be_distorted():
    assert np.isfinite(distort([np.array([[5, 5]], np.float32)], np.random.default_rng(1))[0]).all()


def test_weather_puts_no_grain_on_bare_paper():
    ink = np.zeros((60, 60), np.uint8)
    for seed in range(50):
        assert not weather(ink, 5.0, np.random.default_rng(seed)).any()
