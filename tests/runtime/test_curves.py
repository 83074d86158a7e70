"""Long thin lines of a picture."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.page.rules import RULED_TUNING, UNRULED_TUNING, find_bars, find_curves, is_long

THICKNESS = 6


def picture(*lines: tuple[int, int], width: int = 150) -> np.ndarray:
    """White lines from one height at the left to another at the right, two pixels thick."""
    drawn = np.zeros((300, width), np.uint8)
    for left, right in lines:
        cv2.line(drawn, (0, left), (width - 1, right), 255, 2)
    return drawn


@pytest.mark.parametrize("lines", [[(100, 100)], [(100, 130)], [(150, 90)], [(60, 60), (120, 121), (180, 184), (240, 240)]])
def test_each_line_is_found_once_and_where_it_is(lines):
    curves = find_curves(picture(*lines), THICKNESS)
    ends = sorted((float(c.rows(np.array([0]))[0]), float(c.rows(np.array([149]))[0])) for c in curves)
    assert len(ends) == len(lines)
    np.testing.assert_allclose(ends, lines, atol=2.5)
    assert all(curve.start <= 3 and curve.end >= 147 for curve in curves)


def test_lines_that_are_too_short_too_steep_or_too_thick_are_none():
    short, thick = np.zeros((300, 150), np.uint8), np.zeros((300, 150), np.uint8)
    short[100:102, 20:80] = 255
    thick[100:120] = 255
    assert find_curves(short, THICKNESS) == []
    assert find_curves(thick, THICKNESS) == []
    assert find_curves(picture((20, 280)), THICKNESS) == []


def test_a_short_line_counts_among_others():
    ruled = picture((60, 60), (120, 120), (180, 180))
    ruled[240:242, 10:60] = 255
    assert len(find_curves(ruled, THICKNESS)) == 4


def test_bars_keep_what_is_thin_and_long():
    drawn = np.zeros((100, 100), np.uint8)
    drawn[20:22, 10:60] = 255
    drawn[50:80, 10:60] = 255
    drawn[90:92, 10:12] = 255
    bars = find_bars(drawn, THICKNESS)
    assert (bars[20:22, 12:58] > 0).all()
    assert not bars[50:80].any()
    assert not bars[90:92].any()


def test_a_row_of_short_bars_is_not_long():
    bars = np.concatenate([np.arange(x, x + 7) for x in range(0, 140, 10)])
    assert not is_long(bars, 150, UNRULED_TUNING)
    assert is_long(np.arange(10, 140), 150, UNRULED_TUNING)
    assert not is_long(np.arange(10, 60), 150, UNRULED_TUNING)
    assert is_long(np.arange(10, 60), 150, RULED_TUNING)
