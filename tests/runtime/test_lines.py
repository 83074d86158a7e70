"""Reading order."""

import numpy as np
import pytest

from lettercast.runtime.page.lines import order_lines, tilt


def rows(*counts: int, fall: float = 0.0, pitch: int = 70, size: int = 40) -> list[tuple[int, int, int, int]]:
    """Boxes of lines of so many letters, falling by `fall` pixels a pixel, in reading order."""
    return [
        (100 + 60 * column, round(100 + pitch * row + fall * 60 * column), size, size)
        for row, count in enumerate(counts)
        for column in range(count)
    ]


def read(boxes, seed: int = 0) -> list[list[int]]:
    """Order shuffled boxes; indices are those of the boxes given."""
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    return [[int(shuffled[i]) for i in line] for line in order_lines([boxes[i] for i in shuffled])]


@pytest.mark.parametrize("fall", [-0.15, -0.05, 0.0, 0.05, 0.15])
def test_lines_of_any_length_on_a_tilted_page_are_read_from_the_top_and_from_the_left(fall):
    assert read(rows(8, 3, 6, fall=fall)) == [list(range(8)), [8, 9, 10], list(range(11, 17))]


def test_tilt_is_what_the_lines_fall():
    assert tilt(rows(8, 8, fall=0.1)) == pytest.approx(0.1, abs=0.01)
    assert tilt([]) == tilt([(0, 0, 5, 5)]) == 0.0


def test_letters_of_different_height_on_one_base_are_one_line():
    boxes = [(100, 100, 30, 60), (140, 130, 30, 30), (180, 130, 30, 55), (220, 130, 30, 30), (260, 95, 30, 65)]
    assert read(boxes) == [[0, 1, 2, 3, 4]]


def test_a_line_that_wanders_stays_one():
    boxes = [(60 * i, round(100 + 25 * np.sin(i / 3)), 40, 40) for i in range(20)]
    assert read(boxes) == [list(range(20))]


def test_close_lines_stay_apart():
    assert read(rows(6, 6, 6, pitch=48)) == [list(range(6)), list(range(6, 12)), list(range(12, 18))]


def test_pieces_of_one_line_with_a_wide_gap_between_them_are_one():
    boxes = [*rows(3), *[(x + 900, y + 10, w, h) for x, y, w, h in rows(3)]]
    assert read(boxes) == [list(range(6))]


def test_nothing_makes_no_line():
    assert order_lines([]) == []
