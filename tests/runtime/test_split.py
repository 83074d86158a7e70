"""Letters that touch."""

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.page.find import Candidate
from lettercast.runtime.page.split import Cut, best_path, find_cuts, ink_between, may_be_split, part_box
from lettercast.train.data.drawing import draw_ink
from lettercast.train.data.source import LETTERS


def test_only_what_is_doubtful_and_wide_is_worth_cutting():
    def candidate(width: int) -> Candidate:
        return Candidate((0, 0, width, 100), np.zeros((100, width), np.uint8))

    assert may_be_split(candidate(150), 0.5, 0.4)
    assert not may_be_split(candidate(150), 0.9, 0.4)
    assert not may_be_split(candidate(60), 0.5, 0.4)
    assert may_be_split(candidate(104), 0.2, 0.4)
    assert not may_be_split(candidate(104), 0.5, 0.4)


def test_cuts_go_where_little_ink_is_crossed():
    ink = np.zeros((80, 160), np.uint8)
    cv2.circle(ink, (38, 40), 34, 255, 8)
    cv2.circle(ink, (120, 40), 34, 255, 8)
    cv2.line(ink, (70, 40), (90, 40), 255, 8)
    cuts = find_cuts(ink)
    assert any(abs(cut.column - 79) <= 6 for cut in cuts)
    assert [cut.column for cut in cuts] == sorted(cut.column for cut in cuts)


def test_parts_between_cuts_make_the_whole_and_share_nothing():
    ink = np.full((60, 100), 90, np.uint8)
    cut = Cut(50.0, 0.25)
    left, right = ink_between(ink, None, cut), ink_between(ink, cut, None)
    np.testing.assert_array_equal(left + right, ink)
    assert not (left.astype(bool) & right.astype(bool)).any()
    # It leans: further to the right at the bottom.
    assert (left[-1] > 0).sum() > (left[0] > 0).sum() + 8


def test_a_scrap_of_the_neighbour_does_not_stay_with_a_part():
    ink = np.zeros((60, 100), np.uint8)
    ink[5:55, 5:45] = 200
    ink[5:9, 48:54] = 200
    assert not ink_between(ink, None, Cut(60.0, 0.0))[:, 47:].any()


def test_the_path_is_the_likeliest_way_through():
    sure = {(0, 1): 0.9, (1, 2): 0.9, (0, 2): 0.4, (2, 3): 0.9, (1, 3): 0.99}
    assert best_path(4, sure) == [0, 1, 3]
    assert best_path(4, {(0, 1): 0.9}) == []


def test_a_part_has_its_place_in_the_image():
    ink = np.zeros((62, 102), np.uint8)
    ink[1:61, 51:101] = 200
    x, y, w, h = part_box(Candidate((200, 100, 204, 124), np.zeros((62, 102), np.uint8)), ink)
    assert x == pytest.approx(302, abs=2)
    assert (y, w, h) == (pytest.approx(102, abs=2), pytest.approx(100, abs=2), pytest.approx(120, abs=2))


def write(pen, text: str, overlap: int, seed: int) -> np.ndarray:
    """A page with capitals by the pen, each `overlap` pixels into the one before."""
    rng = np.random.default_rng(seed)
    page = np.full((200, 600), 235, np.uint8)
    x = 60
    for letter in text:
        ink = draw_ink(pen.sample(LETTERS.index(letter), rng, True), 90, 7)
        left = cv2.boundingRect((ink > 100).astype(np.uint8))
        ink = ink[:, left[0] : left[0] + left[2]]
        h, w = ink.shape
        place = page[150 - h : 150, x : x + w]
        np.minimum(place, (235 * (1 - ink / 255)).astype(np.uint8), out=place)
        x += w - overlap
    return page


def test_letters_that_touch_are_read_apart(pen):
    reader = Reader()
    pairs = ["DB", "OD", "EC", "SO", "RA", "UD", "BO", "ZE", "NO", "PB"]
    texts = [reader.read(write(pen, pair, overlap=6, seed=i)).text.replace(" ", "") for i, pair in enumerate(pairs)]
    assert sum(text == pair for text, pair in zip(texts, pairs, strict=True)) >= 6
    assert sum(len(text) == 2 for text in texts) >= 7


def test_wide_letters_are_not_cut(pen):
    reader = Reader()
    texts = [reader.read(write(pen, letter, overlap=0, seed=seed)).text for letter in "MW" for seed in range(10)]
    assert all(len(text) <= 1 for text in texts)
    assert sum(text in ("M", "W") for text in texts) >= 17
