"""Pieces that make one letter."""

import numpy as np
import pytest

from lettercast.runtime.page.strokes import around, belong_together, find_pieces, is_one_letter, join_pieces, near_pieces

SIZE = 60.0


@pytest.mark.parametrize(
    ("a", "b", "together"),
    [
        ((100, 100, 10, 60), (98, 80, 10, 10), True),  # a dot over its stem
        ((100, 100, 10, 60), (115, 80, 10, 10), True),  # a dot beside it, as hurried hands set it
        ((100, 100, 10, 60), (160, 80, 10, 10), False),  # a dot of another letter
        ((100, 120, 40, 40), (100, 105, 40, 8), True),  # the bar of an E above the rest
        ((100, 100, 40, 60), (100, 165, 40, 60), False),  # letters of two lines that nearly touch
        ((100, 100, 60, 60), (110, 110, 20, 20), True),  # one inside the other
        ((100, 100, 40, 60), (145, 100, 40, 60), False),  # neighbours
    ],
)
def test_pieces_of_one_letter(a, b, together):
    assert belong_together(a, b, SIZE) is together
    assert belong_together(b, a, SIZE) is together


def test_a_group_is_no_larger_than_a_letter_or_its_largest_piece():
    assert is_one_letter([(0, 0, 40, 60), (10, -15, 10, 10)], SIZE)
    assert not is_one_letter([(0, 0, 40, 60), (0, 70, 40, 60)], SIZE)
    assert is_one_letter([(0, 0, 200, 300), (50, 50, 20, 20)], SIZE)


def test_pairs_are_named_once_the_lower_first():
    boxes = np.array([(0, 0, 40, 60), (45, 0, 40, 60), (400, 0, 40, 60)], np.int64)
    assert near_pieces(boxes) == [(0, 1)]


def test_a_dotted_i_beside_a_letter_makes_two_groups():
    page = np.zeros((200, 300), np.uint8)
    page[80:140, 50:58] = 255
    page[60:68, 50:58] = 255
    page[80:140, 90:130] = 255
    groups = join_pieces(find_pieces(page), SIZE)
    assert sorted(len(group) for group in groups) == [1, 2]


def test_nearly_touching_strokes_are_one_and_whole_letters_are_not():
    page = np.zeros((200, 300), np.uint8)
    page[50:110, 50:58] = 255
    page[50:110, 60:80] = 255
    page[50:110, 150:190] = 255
    page[50:110, 192:232] = 255
    assert sorted(len(group) for group in join_pieces(find_pieces(page), SIZE)) == [1, 1, 2]


def test_the_box_around_boxes():
    assert around([(10, 20, 5, 5), (0, 30, 4, 40)]) == (0, 20, 15, 50)
