"""The way from sheet to picture."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.paper import FRAMING, View, look_at

SIZE = (1280, 960)
WRITING = np.array([[100.0, 100], [1180, 100], [1180, 860], [100, 860]])


def seen(view, seed=0):
    return look_at(view, SIZE, WRITING, np.random.default_rng(seed))


def test_a_flat_sheet_is_seen_as_it_is():
    assert np.allclose(seen(View(turn=0, tilt=0))(WRITING), WRITING)


@pytest.mark.parametrize("seed", range(5))
def test_a_turn_keeps_lengths_alike_and_has_its_angle(seed):
    corners = seen(View(turn=10, tilt=0), seed)(WRITING)
    along = corners[1] - corners[0]
    assert abs(np.degrees(np.arctan2(along[1], along[0]))) == pytest.approx(10)
    assert np.hypot(*along) / np.hypot(*(corners[2] - corners[1])) == pytest.approx(1080 / 760)


def test_a_tilt_makes_parallels_meet():
    corners = seen(View(turn=0, tilt=35))(WRITING)
    sides = np.hypot(*(np.roll(corners, -1, 0) - corners).T)
    assert max(sides[0] / sides[2], sides[2] / sides[0], sides[1] / sides[3], sides[3] / sides[1]) > 1.15


@pytest.mark.parametrize("view", [View(turn=20), View(tilt=40), View(turn=15, tilt=30, bend=0.04)])
def test_the_photographer_keeps_the_writing_in_the_picture(view):
    for seed in range(8):
        points = seen(view, seed)(WRITING)
        assert points.min() >= FRAMING * SIZE[0] - 1e-6
        assert (points <= np.array(SIZE) - FRAMING * SIZE[0] + 1e-6).all()


def test_a_desk_shows_around_the_whole_sheet():
    corners = np.array([[0.0, 0], [1280, 0], [1280, 960], [0, 960]])
    points = seen(View(desk=0.1, turn=5, tilt=10))(corners)
    assert points.min() >= 127 and (points <= np.array(SIZE) - 127).all()


def test_a_bent_sheet_bends_its_lines():
    line = np.column_stack([np.linspace(100, 1180, 50), np.full(50, 400.0)])
    bent = seen(View(turn=0, tilt=0, bend=0.02))(line)
    straight = np.polyval(np.polyfit(bent[:, 0], bent[:, 1], 1), bent[:, 0])
    assert np.abs(bent[:, 1] - straight).max() > 3
