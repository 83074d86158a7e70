"""Connected strokes of a page, and those that make one letter."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.page.strokes import (
    around,
    belong_together,
    find_pieces,
    is_one_letter,
    join_pieces,
    near_pieces,
    stands_alone,
    without_dust,
    without_frames,
    without_scraps,
)


def mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A page of 400 by 600 with filled boxes (x, y, width, height)."""
    page = np.zeros((400, 600), np.uint8)
    for x, y, w, h in boxes:
        page[y : y + h, x : x + w] = 255
    return page


LETTERS = [(100 + 60 * i, 150, 40, 60) for i in range(6)]


def found(pieces) -> set[tuple[int, ...]]:
    return {tuple(box) for box in pieces.boxes.tolist()}


def test_every_stroke_is_a_piece_and_specks_are_not():
    assert found(find_pieces(mask(*LETTERS, (300, 300, 2, 2)))) == set(LETTERS)


def test_pieces_along_the_edge_are_removed():
    assert found(find_pieces(mask(*LETTERS, (0, 0, 600, 5), (0, 100, 6, 290)))) == set(LETTERS)


@pytest.mark.parametrize("x", [0, 4])
def test_the_stem_of_a_letter_along_the_edge_is_kept(x):
    stem, letters = (x, 150, 6, 60), [(20 + 60 * i, 150, 40, 60) for i in range(8)]
    assert found(find_pieces(mask(*letters, stem))) == {*letters, stem}
    # No letter is beside these, or they are too many, or what lies along the edge is the rim of a sheet.
    lone, many = (x, 300, 6, 60), [(x, 80 + 22 * i, 6, 20) for i in range(14)]
    assert found(find_pieces(mask(*letters, lone))) == set(letters)
    assert found(find_pieces(mask(*letters, *many))) == set(letters)
    assert found(find_pieces(mask(*letters, stem), is_sheet=True)) == set(letters)


def test_typical_size_ignores_dust():
    dust = [(20 + 12 * i, 350, 5, 5) for i in range(20)]
    assert find_pieces(mask(*LETTERS, *dust)).typical_size == 60
    assert find_pieces(mask()).typical_size == 0


def test_typical_size_ignores_a_frame():
    framed = cv2.rectangle(mask(*LETTERS), (20, 20), (580, 380), 255, 4)
    assert find_pieces(framed).typical_size == 60


def test_a_letter_that_fills_the_image_and_runs_out_of_it_is_found():
    assert found(find_pieces(mask((200, 0, 60, 400)))) == {(200, 0, 60, 400)}
    # Beside letters the same shape is an edge.
    assert found(find_pieces(mask(*LETTERS, (540, 0, 30, 400)))) == set(LETTERS)


def test_remains_of_rules_are_removed_and_bars_among_letters_stay():
    bars = [(100 + 60 * i, 300, 6, 60) for i in range(6)]
    assert found(without_scraps(find_pieces(mask(*bars)))) == set()
    assert found(without_scraps(find_pieces(mask(*LETTERS, *bars[:4])))) == {*LETTERS, *bars[:4]}


def test_a_thin_bar_among_thick_letters_of_a_ruled_page_is_a_remnant_of_a_rule():
    remnant, stem = (80, 150, 2, 37), (480, 150, 9, 60)
    assert found(without_scraps(find_pieces(mask(*LETTERS, remnant, stem)))) == {*LETTERS, stem}


def test_dust_and_scraps_of_rules_are_removed():
    page = mask(*LETTERS, (50, 300, 200, 2), (400, 300, 3, 3))
    assert found(without_dust(find_pieces(page), 80.0)) == set(LETTERS)


def test_a_frame_around_letters_is_removed_and_a_large_letter_stays():
    framed = cv2.rectangle(mask(*LETTERS), (60, 100), (500, 260), 255, 4)
    assert found(without_frames(find_pieces(framed), 60.0)) == set(LETTERS)
    large = cv2.circle(mask(), (300, 200), 120, 255, 20)
    assert len(without_frames(find_pieces(large), 60.0).boxes) == 1


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


def test_a_letter_beside_the_tail_of_another_is_no_part_of_it():
    tail, letter = (0, 0, 40, 80), (14, 40, 30, 38)
    assert not belong_together(tail, letter, size=40)
    # As a bar, a stem, or on a page of larger letters it may be one.
    assert belong_together(tail, (14, 40, 30, 12), size=40)
    assert belong_together(tail, (14, 40, 8, 38), size=40)
    assert belong_together(tail, letter, size=75)


def test_pairs_are_listed_once_the_lower_index_first():
    boxes = np.array([(0, 0, 40, 60), (45, 0, 40, 60), (400, 0, 40, 60)], np.int64)
    assert near_pieces(boxes).tolist() == [[0, 1]]


def test_a_dotted_i_beside_a_letter_makes_two_groups():
    page = np.zeros((200, 300), np.uint8)
    page[80:140, 50:58] = 255
    page[60:68, 50:58] = 255
    page[80:140, 90:130] = 255
    groups = join_pieces(find_pieces(page), SIZE)
    assert sorted(len(group) for group in groups) == [1, 2]


def test_a_dot_belongs_to_the_stem_below_it_and_not_to_the_letter_beside_that():
    # An o and an i whose dot leans towards it, less than half a letter away.
    page = np.zeros((200, 300), np.uint8)
    cv2.circle(page, (66, 118), 16, 255, 6)
    page[95:137, 92:99] = 255
    page[76:85, 84:92] = 255
    pieces = find_pieces(page)
    groups = join_pieces(pieces, 45.0)
    assert sorted(tuple(sorted(int(pieces.boxes[i][0]) for i in group)) for group in groups) == [(47,), (84, 92)]


def test_nearly_touching_strokes_are_joined_and_whole_letters_are_not():
    page = np.zeros((200, 300), np.uint8)
    page[50:110, 50:58] = 255
    page[50:110, 60:80] = 255
    page[50:110, 150:190] = 255
    page[50:110, 192:232] = 255
    assert sorted(len(group) for group in join_pieces(find_pieces(page), SIZE)) == [1, 1, 2]


def test_the_box_around_boxes():
    assert around([(10, 20, 5, 5), (0, 30, 4, 40)]) == (0, 20, 15, 50)


def test_a_letter_stands_alone_without_dust_or_a_stroke_in_or_beside_its_box():
    page = np.zeros((300, 400), np.uint8)
    page[40:100, 40:80] = 255
    page[45:95, 45:75] = 0
    page[70:72, 60:62] = 255  # dust in the letter
    page[40:100, 200:240] = 255
    page[101:103, 241:243] = 255  # dust beside the letter
    page[200:260, 40:80] = 255
    page[200:260, 200:240] = 255
    page[200:260, 242:280] = 255  # another letter, two pixels away
    pieces = find_pieces(page)
    boxes = np.array([(40, 40, 40, 60), (200, 40, 40, 60), (40, 200, 40, 60), (200, 200, 40, 60)], np.int64)
    assert stands_alone(pieces, boxes, np.ones(4, int)).tolist() == [False, False, True, True]
