"""Gaps between words, page by page."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.writing import Layout, PenHand, write_page
from lettercast.runtime.page.lines import first_letters, split_words

HEIGHT = 60
WIDTHS = {"I": 8, "L": 30, "J": 25, "M": 62, "W": 66, "?": 20}


def boxes(text: str, between: float, words: float = 1.0, height: int = HEIGHT) -> list[tuple[int, int, int, int]]:
    """Letters with gaps in heights between them, and words."""
    x, line = 0.0, []
    for letter in text:
        if letter == " ":
            x += (words - between) * height
            continue
        width = WIDTHS.get(letter, 42) * height / HEIGHT
        line.append((round(x), 0, round(width), height))
        x += width + between * height
    return line


def parted(*lines: str, **style) -> list[str]:
    """The same lines with spaces where the gaps say so."""
    words = split_words([boxes(line, **style) for line in lines])
    return [" ".join(line.replace(" ", "")[word] for word in parts) for line, parts in zip(lines, words, strict=True)]


@pytest.mark.parametrize("between", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("line", ["I AM A LETTER", "WILL IT FILL", "MILLIMETRE", "IT IS I", "A ? B WORD"])
def test_words_of_one_line(line, between):
    assert parted(line, between=between, words=between + 0.8) == [line]


@pytest.mark.parametrize("between", [0.1, 0.3, 0.7, 1.2, 2.0])
def test_letters_set_evenly_are_one_word_however_far_apart(between):
    card = ["ABCDI", "KOLMR", "EHXWT"]
    assert parted(*card, between=between) == card


def test_letters_in_cells_are_one_word_though_narrow_ones_have_more_white_beside_them():
    cells = [(100 * i + 50 - w // 2, 0, w, HEIGHT) for i, w in enumerate([62, 8, 66, 8, 8, 62, 42])]
    assert split_words([cells]) == [[slice(0, 7)]]


@pytest.mark.parametrize("lines", [[], [[]], [[(0, 0, 9, 9)]], [[(0, 0, 9, 9)], [], [(0, 50, 9, 9)]]])
def test_pages_without_gaps(lines):
    assert split_words(lines) == [[slice(0, len(line))] for line in lines]


def test_a_page_tells_what_a_short_line_cannot():
    page = ["HAVE A LOOK", "A B", "OF IT ALL", "AB"]
    assert parted(*page, between=0.5, words=1.2) == page


def test_a_heading_is_measured_in_its_own_height():
    large, small = boxes("BIG NEWS", 0.2, height=120), boxes("IS IT SO", 0.2)
    assert [len(words) for words in split_words([large, small, small])] == [2, 3, 3]


def test_gaps_of_written_pages(pen):
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
    """The box of a written letter."""
    points = np.concatenate(one.strokes)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return int(left), int(top), int(right - left) + 1, int(bottom - top) + 1


def test_first_letters_of_words():
    assert first_letters([slice(0, 2), slice(2, 3), slice(3, 5)]).tolist() == [True, False, True, True, False]
