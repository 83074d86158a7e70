"""Lines in reading order, and the words in them."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.writing import Layout, PenHand, write_page
from lettercast.runtime.page.lines import ORDER_TUNING, _Placed, _Row, extent_of, first_letters, order_lines, split_words, tilt


def rows(*counts: int, fall: float = 0.0, pitch: int = 70, size: int = 40) -> list[tuple[int, int, int, int]]:
    """Boxes of lines with these numbers of letters, falling by `fall` pixels per pixel to the right, in reading order."""
    return [
        (100 + 60 * column, round(100 + pitch * row + fall * 60 * column), size, size)
        for row, count in enumerate(counts)
        for column in range(count)
    ]


def read(boxes, seed: int = 0) -> list[list[int]]:
    """Shuffle boxes and order them; returns indices of the boxes before shuffling."""
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    return [[int(shuffled[i]) for i in line] for line in order_lines([boxes[i] for i in shuffled])]


@pytest.mark.parametrize("fall", [-0.15, -0.05, 0.0, 0.05, 0.15])
def test_lines_on_a_tilted_page_are_ordered_from_the_top_and_from_the_left(fall):
    assert read(rows(8, 3, 6, fall=fall)) == [list(range(8)), [8, 9, 10], list(range(11, 17))]


def test_tilt_is_the_slope_of_the_lines():
    assert tilt(rows(8, 8, fall=0.1)) == pytest.approx(0.1, abs=0.01)
    assert tilt([]) == tilt([(0, 0, 5, 5)]) == 0.0


def test_letters_of_different_height_on_one_base_are_one_line():
    boxes = [(100, 100, 30, 60), (140, 130, 30, 30), (180, 130, 30, 55), (220, 130, 30, 30), (260, 95, 30, 65)]
    assert read(boxes) == [[0, 1, 2, 3, 4]]


def test_letters_that_are_too_far_from_a_line_to_be_looked_at_do_not_fit_it():
    random, far = np.random.default_rng(5), 0
    for _ in range(300):
        # The last one is the letter, which lies anywhere.
        tops = [*random.integers(0, 40, random.integers(1, 4)).tolist(), int(random.integers(0, 500))]
        boxes = [(*random.integers(0, 900, 1).tolist(), top, *random.integers(2, (80, 160)).tolist()) for top in tops]
        *before, letter = [_Placed(x + w / 2, y + h / 2, max(h, 0.5 * w), (x, y, w, h), 0) for x, y, w, h in boxes]
        row = _Row()
        for one in sorted(before):
            row.add(one)
        top, foot = extent_of(letter)
        if top > row.high or foot < row.low:
            far += 1
            assert row.end.cost(letter, ORDER_TUNING.max_offset) == np.inf
    assert 20 < far < 280


def test_a_wavy_line_is_one_line():
    boxes = [(60 * i, round(100 + 25 * np.sin(i / 3)), 40, 40) for i in range(20)]
    assert read(boxes) == [list(range(20))]


def test_close_lines_are_not_joined():
    assert read(rows(6, 6, 6, pitch=48)) == [list(range(6)), list(range(6, 12)), list(range(12, 18))]


def test_parts_of_a_line_with_a_wide_gap_between_them_are_one_line():
    boxes = [*rows(3), *[(x + 900, y + 10, w, h) for x, y, w, h in rows(3)]]
    assert read(boxes) == [list(range(6))]


@pytest.mark.parametrize("column", range(8))
@pytest.mark.parametrize("tail", [20, 40, 60, 75])
def test_a_letter_stays_in_its_line_although_its_tail_hangs_into_the_next(column, tail):
    boxes = rows(8, 8, 8, pitch=64)
    x, y, w, h = boxes[column]
    boxes[column] = (x + 12, y, w - 24, h + tail)
    assert read(boxes) == [list(range(8)), list(range(8, 16)), list(range(16, 24))]


@pytest.mark.parametrize("column", [0, 3, 7])
@pytest.mark.parametrize("height", [16, 60, 80, 100])
def test_a_letter_of_another_size_stays_in_its_line(column, height):
    boxes = rows(8, 8, 8, pitch=88)
    x, y, _, h = boxes[8 + column]
    boxes[8 + column] = (x, y + h - height, height // 2, height)
    assert read(boxes) == [list(range(8)), list(range(8, 16)), list(range(16, 24))]


def test_a_tail_at_the_end_of_a_line_does_not_belong_to_the_end_of_a_short_line_below():
    boxes = rows(10, 3, pitch=64)
    x, y, w, h = boxes[9]
    boxes[9] = (x, y, w, h + 64)
    assert read(boxes) == [list(range(10)), [10, 11, 12]]


@pytest.mark.parametrize("depth", [-60, 60])
def test_lines_of_a_bent_page_stay_whole(depth):
    boxes = [(x, round(y + depth * np.sin((x - 100) / 260)), w, h) for x, y, w, h in rows(16, 14, 16)]
    assert read(boxes) == [list(range(16)), list(range(16, 30)), list(range(30, 46))]


@pytest.mark.parametrize("slope", [-0.06, 0.06])
def test_lines_that_climb_each_in_its_way_stay_whole(slope):
    boxes = [(x, round(y + slope * (x - 100) * (y > 120)), w, h) for x, y, w, h in rows(12, 12, pitch=100)]
    assert read(boxes) == [list(range(12)), list(range(12, 24))]


@pytest.mark.parametrize("column", range(9))
def test_a_letter_that_jumps_out_of_its_line_stays_in_it(column):
    boxes = rows(9, 9, pitch=90)
    x, y, w, h = boxes[9 + column]
    boxes[9 + column] = (x, y - 28, w, h)
    assert read(boxes) == [list(range(9)), list(range(9, 18))]


def test_no_boxes_give_no_lines():
    assert order_lines([]) == []


HEIGHT = 60
WIDTHS = {"I": 8, "L": 30, "J": 25, "M": 62, "W": 66, "?": 20}


def boxes(text: str, between: float, words: float = 1.0, height: int = HEIGHT) -> list[tuple[int, int, int, int]]:
    """Boxes of a line; between and words are the gaps between letters and between words, in heights."""
    x, line = 0.0, []
    for letter in text:
        if letter == " ":
            x += (words - between) * height
            continue
        width = WIDTHS.get(letter, 42) * height / HEIGHT
        line.append((round(x), 0, round(width), height))
        x += width + between * height
    return line


def with_spaces(*lines: str, **style) -> list[str]:
    """The same lines with spaces where split_words puts them."""
    words = split_words([boxes(line, **style) for line in lines])
    return [" ".join(line.replace(" ", "")[word] for word in parts) for line, parts in zip(lines, words, strict=True)]


@pytest.mark.parametrize("between", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("line", ["I AM A LETTER", "WILL IT FILL", "MILLIMETRE", "IT IS I", "A ? B WORD"])
def test_a_line_is_split_into_words(line, between):
    assert with_spaces(line, between=between, words=between + 0.8) == [line]


@pytest.mark.parametrize("between", [0.1, 0.3, 0.7, 1.2, 2.0])
def test_evenly_spaced_letters_are_one_word_however_far_apart(between):
    card = ["ABCDI", "KOLMR", "EHXWT"]
    assert with_spaces(*card, between=between) == card


def test_letters_in_cells_are_one_word():
    cells = [(100 * i + 50 - w // 2, 0, w, HEIGHT) for i, w in enumerate([62, 8, 66, 8, 8, 62, 42])]
    assert split_words([cells]) == [[slice(0, 7)]]


@pytest.mark.parametrize("lines", [[], [[]], [[(0, 0, 9, 9)]], [[(0, 0, 9, 9)], [], [(0, 50, 9, 9)]]])
def test_pages_without_gaps(lines):
    assert split_words(lines) == [[slice(0, len(line))] for line in lines]


def test_other_lines_settle_the_gaps_of_a_short_line():
    page = ["HAVE A LOOK", "A B", "OF IT ALL", "AB"]
    assert with_spaces(*page, between=0.5, words=1.2) == page


def test_a_heading_is_measured_in_its_own_height():
    large, small = boxes("BIG NEWS", 0.2, height=120), boxes("IS IT SO", 0.2)
    assert [len(words) for words in split_words([large, small, small])] == [2, 3, 3]


def test_gaps_of_generated_pages_are_right(pen):
    right = total = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        layout = Layout(spacing=rng.uniform(0.1, 0.45), word_gap=rng.uniform(1.0, 1.5), case="title")
        writing = write_page(PenHand(pen), layout, (1280, 960), rng)
        rows = [[(one, j == 0) for word in line for j, one in enumerate(word)] for line in writing.lines]
        lines = [[box(one) for one, _ in row] for row in rows]
        for words, row in zip(split_words(lines), rows, strict=True):
            same = first_letters(words) == np.array([first for _, first in row])
            right, total = right + int(same[1:].sum()), total + len(row) - 1
    assert right / total > 0.985


def box(one) -> tuple[int, int, int, int]:
    """The box of a generated letter."""
    points = np.concatenate(one.strokes)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return int(left), int(top), int(right - left) + 1, int(bottom - top) + 1


def test_first_letters_of_words_are_marked():
    assert first_letters([slice(0, 2), slice(2, 3), slice(3, 5)]).tolist() == [True, False, True, True, False]


def test_capitals_before_wide_spaced_small_letters_do_not_tilt_the_page():
    # Each word is a capital and a small letter on the same foot, far from the next word.
    words = [(x, y) for y in (100, 180, 260, 340) for x in (60, 330, 600)]
    boxes = [box for x, y in words for box in ((x, y - 40, 30, 40), (x + 75, y - 25, 25, 25))]
    assert abs(tilt(boxes)) < 0.01
    assert [len(line) for line in order_lines(boxes)] == [6, 6, 6, 6]


def test_the_feet_and_the_middles_of_turned_lines_show_the_same_tilt():
    boxes = [(x, round(100 + 80 * row + 0.1 * x), 30, 40) for row in range(3) for x in range(40, 800, 70)]
    assert tilt(boxes) == pytest.approx(0.1, abs=0.01)


def test_a_j_whose_tail_hangs_below_the_letter_before_it_comes_after_it():
    # R, e, J, e: the tail of the J begins further left than the e before it.
    boxes = [(100, 100, 30, 40), (140, 115, 22, 25), (134, 100, 46, 70), (190, 115, 22, 25)]
    assert order_lines(boxes) == [[0, 1, 2, 3]]
