"""Pen strokes to ink."""

import cv2
import numpy as np
import pytest

from lettercast.train.data.drawing import draw_ink, draw_plain, draw_random

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
    assert min(peaks) > 30
