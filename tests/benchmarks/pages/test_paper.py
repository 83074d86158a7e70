"""Sheets of paper with ink, their textures, and how they lie before the camera."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.paper import (
    DRAWING,
    INKS,
    PAPERS,
    TEXTURES,
    Paper,
    View,
    clouds,
    draw_ink,
    draw_rules,
    draw_sheet,
    look_at,
    streaks,
)
from lettercast.benchmarks.pages.writing import Layout, PenHand, write_page

SIZE = (640, 480)
BARE = {"grain": 0.0}


@pytest.fixture(scope="module")
def writing(pen):
    return write_page(PenHand(pen), Layout(), SIZE, np.random.default_rng(0), ["ABC", "DE"])


@pytest.fixture(scope="module")
def seen():
    return look_at(View(turn=0, tilt=0), SIZE, np.array([[100.0, 100], [500, 400]]), np.random.default_rng(0))


def sheet(writing, seen, paper, has_edge=False):
    return draw_sheet(writing, paper, seen, has_edge, np.random.default_rng(0))


def test_paper_and_ink_have_their_colours(writing, seen):
    drawn = sheet(writing, seen, Paper(inks=("red",), papers=("yellow",), cover=1.0, **BARE))
    assert drawn[0, 0] == pytest.approx(PAPERS["yellow"], abs=1e-5)
    inked = drawn[draw_ink(writing, Paper().pen, seen) == 1]
    # The ink is unevenly thick.
    assert np.abs(inked - INKS["red"]).max() < 0.2


def test_a_wider_pen_leaves_more_ink(writing, seen):
    assert draw_ink(writing, 0.2, seen).sum() > 2 * draw_ink(writing, 0.08, seen).sum() > 0


def test_faint_and_dry_ink_have_less_contrast(writing, seen):
    def contrast(**values):
        drawn = sheet(writing, seen, Paper(inks=("black",), **BARE, **values))
        return (PAPERS["white"][0] - drawn[..., 0]).sum()

    assert contrast(cover=0.3) < 0.5 * contrast()
    assert contrast(dry=0.4) < 0.9 * contrast()


def test_rules_are_at_the_feet_of_the_letters(writing, seen):
    rules = draw_rules(writing, "lines", 2, seen)
    dark = np.flatnonzero(rules[:, 5] > 0.5)
    assert all(np.abs(dark - foot).min() <= 1.5 for foot in writing.feet)
    assert not (rules > 0.5).all(0).any()


def test_squares_run_both_ways(writing, seen):
    rules = draw_rules(writing, "squares", 2, seen)
    assert (rules > 0.5).all(0).any() and (rules > 0.5).all(1).any()


def test_dust_is_everywhere_on_the_sheet(writing, seen):
    clean, dusty = (sheet(writing, seen, Paper(dust=count, **BARE)) for count in (0, 60))
    changed = np.abs(clean - dusty).max(2) > 0.05
    assert 0.0001 < changed.mean() < 0.05
    assert changed[:, SIZE[0] // 2 :].any() and changed[:, : SIZE[0] // 2].any()


def test_a_desk_is_seen_only_around_the_sheet(writing):
    view = look_at(View(turn=0, tilt=0, desk=0.1), SIZE, np.array([[100.0, 100], [500, 400]]), np.random.default_rng(0))
    drawn = sheet(writing, view, Paper(**BARE), has_edge=True)
    assert drawn[240, 320] == pytest.approx(PAPERS["white"], abs=1e-4)
    assert drawn[5, 5] != pytest.approx(PAPERS["white"], abs=0.02)


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_is_visible_and_depends_on_the_seed_only(name):
    drawn = [TEXTURES[name]((120, 160), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0].shape == (120, 160)
    assert 0.4 < drawn[0].mean() < 1.6
    assert drawn[0].std() > 0.01
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_larger_clouds_change_more_slowly():
    def step(cell):
        return np.abs(np.diff(clouds((200, 200), cell, np.random.default_rng(0)), axis=1)).mean()

    assert step(40) < step(4) / 5


def test_streaks_are_longer_than_high():
    field = streaks((200, 200), 10, np.random.default_rng(0))
    assert np.abs(np.diff(field, axis=1)).mean() < np.abs(np.diff(field, axis=0)).mean() / 3


VIEW_SIZE = (1280, 960)
WRITING = np.array([[100.0, 100], [1180, 100], [1180, 860], [100, 860]])


def project(view, seed=0):
    return look_at(view, VIEW_SIZE, WRITING, np.random.default_rng(seed))


def test_a_flat_sheet_is_not_distorted():
    assert np.allclose(project(View(turn=0, tilt=0))(WRITING), WRITING)


@pytest.mark.parametrize("seed", range(5))
def test_a_turn_keeps_proportions_and_has_its_angle(seed):
    corners = project(View(turn=10, tilt=0), seed)(WRITING)
    along = corners[1] - corners[0]
    assert abs(np.degrees(np.arctan2(along[1], along[0]))) == pytest.approx(10)
    assert np.hypot(*along) / np.hypot(*(corners[2] - corners[1])) == pytest.approx(1080 / 760)


def test_a_tilt_makes_parallels_meet():
    corners = project(View(turn=0, tilt=35))(WRITING)
    sides = np.hypot(*(np.roll(corners, -1, 0) - corners).T)
    assert max(sides[0] / sides[2], sides[2] / sides[0], sides[1] / sides[3], sides[3] / sides[1]) > 1.15


@pytest.mark.parametrize("view", [View(turn=20), View(tilt=40), View(turn=15, tilt=30, bend=0.04)])
def test_the_writing_stays_in_the_image(view):
    for seed in range(8):
        points = project(view, seed)(WRITING)
        assert points.min() >= DRAWING.framing * VIEW_SIZE[0] - 1e-6
        assert (points <= np.array(VIEW_SIZE) - DRAWING.framing * VIEW_SIZE[0] + 1e-6).all()


def test_a_desk_is_visible_around_the_whole_sheet():
    corners = np.array([[0.0, 0], [1280, 0], [1280, 960], [0, 960]])
    points = project(View(desk=0.1, turn=5, tilt=10))(corners)
    assert points.min() >= 127 and (points <= np.array(VIEW_SIZE) - 127).all()


def test_a_bent_sheet_bends_its_lines():
    line = np.column_stack([np.linspace(100, 1180, 50), np.full(50, 400.0)])
    bent = project(View(turn=0, tilt=0, bend=0.02))(line)
    straight = np.polyval(np.polyfit(bent[:, 0], bent[:, 1], 1), bent[:, 0])
    assert np.abs(bent[:, 1] - straight).max() > 3
