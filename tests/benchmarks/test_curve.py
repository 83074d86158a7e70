"""Curves of times, and the lines through them."""

import numpy as np
import pytest

from lettercast.benchmarks.speed.camera_loop import STAGES
from lettercast.benchmarks.speed.growth import COUNTS, Curve, Point, describe, fit_line, point_of


def rising(times) -> Curve:
    points = [Point(x, x, dict.fromkeys(STAGES, ((ms,),))) for x, ms in enumerate(times, 1)]
    return Curve("letters", tuple(points))


def test_a_line_is_found_with_nothing_left():
    fit = fit_line(np.array([1.0, 10.0, 500.0]), np.array([5.5, 10.0, 255.0]))
    assert (fit.fixed, fit.slope, fit.r2) == pytest.approx((5.0, 0.5, 1.0))
    assert fit.largest_residual < 1e-9


def test_times_that_do_not_change_are_a_level_line():
    fit = fit_line(np.array([1.0, 2.0, 3.0]), np.full(3, 4.0))
    assert (fit.fixed, fit.slope, fit.r2) == pytest.approx((4.0, 0.0, 1.0))


def test_short_times_count_like_long_ones():
    x = np.array([1.0, 2.0, 5.0, 10.0, 500.0])
    y = 5 + 0.5 * x
    y[0] *= 1.5
    assert 0.2 < fit_line(x, y).largest_residual < 0.5
    assert abs(fit_line(x, y).fixed - 5) > 0.2


def test_growth_by_the_square_shows_in_the_residual():
    x = np.array(COUNTS, float)
    assert fit_line(x, 10 + x**2 / 100).largest_residual > 0.3


def test_a_point_is_the_mean_over_pages_of_their_medians():
    rounds = dict.fromkeys(STAGES, ((1.0, 5.0), (2.0, 5.0), (90.0, 5.0)))
    ms = Point(1, 1, rounds).ms
    assert ms["capture"] == pytest.approx(3.5)
    assert ms["whole"] == pytest.approx(3.5 * len(STAGES))


def test_the_line_is_told_with_its_units():
    said = describe(rising([1.0, 2.0, 3.0]))
    assert "0.00 ms + 6.000 ms a letter" in said.replace("-0.00", "0.00")
    assert "largest residual 0 %" in said


def test_pages_with_their_rounds_become_rounds_with_their_pages():
    pages = [[dict.fromkeys(STAGES, ms) for ms in page] for page in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))]
    point = point_of(15, pages, [14, 15])
    assert point.rounds["capture"] == ((1.0, 4.0), (2.0, 5.0), (3.0, 6.0))
    assert (point.x, point.found) == (15, 14.5)
