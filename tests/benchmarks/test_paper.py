"""Sheets of paper with ink on them."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.paper import INKS, PAPERS, Paper, View, draw_ink, draw_rules, draw_sheet, look_at
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


def test_bare_paper_has_its_colour_and_ink_its_own(writing, seen):
    drawn = sheet(writing, seen, Paper(inks=("red",), papers=("yellow",), cover=1.0, **BARE))
    assert drawn[0, 0] == pytest.approx(PAPERS["yellow"], abs=1e-5)
    inked = drawn[draw_ink(writing, Paper().pen, seen) == 1]
    # Ink is thicker here and thinner there.
    assert np.abs(inked - INKS["red"]).max() < 0.2


def test_a_wider_pen_leaves_more_ink(writing, seen):
    assert draw_ink(writing, 0.2, seen).sum() > 2 * draw_ink(writing, 0.08, seen).sum() > 0


def test_faint_and_dry_ink_stand_out_less(writing, seen):
    def contrast(**values):
        drawn = sheet(writing, seen, Paper(inks=("black",), **BARE, **values))
        return (PAPERS["white"][0] - drawn[..., 0]).sum()

    assert contrast(cover=0.3) < 0.5 * contrast()
    assert contrast(dry=0.4) < 0.9 * contrast()


def test_lines_run_where_the_letters_stand(writing, seen):
    rules = draw_rules(writing, "lines", 2, seen)
    dark = np.flatnonzero(rules[:, 5] > 0.5)
    assert all(np.abs(dark - foot).min() <= 1.5 for foot in writing.feet)
    assert not (rules > 0.5).all(0).any()


def test_squares_run_both_ways(writing, seen):
    rules = draw_rules(writing, "squares", 2, seen)
    assert (rules > 0.5).all(0).any() and (rules > 0.5).all(1).any()


def test_dust_lies_beside_the_writing_too(writing, seen):
    clean, dusty = (sheet(writing, seen, Paper(dust=count, **BARE)) for count in (0, 60))
    changed = np.abs(clean - dusty).max(2) > 0.05
    assert 0.0001 < changed.mean() < 0.05
    assert changed[:, SIZE[0] // 2 :].any() and changed[:, : SIZE[0] // 2].any()


def test_a_desk_is_seen_only_around_the_sheet(writing):
    view = look_at(View(turn=0, tilt=0, desk=0.1), SIZE, np.array([[100.0, 100], [500, 400]]), np.random.default_rng(0))
    drawn = sheet(writing, view, Paper(**BARE), has_edge=True)
    assert drawn[240, 320] == pytest.approx(PAPERS["white"], abs=1e-4)
    assert drawn[5, 5] != pytest.approx(PAPERS["white"], abs=0.02)
