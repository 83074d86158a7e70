"""Connected strokes of a page."""

import cv2
import numpy as np

from lettercast.runtime.page.strokes import find_pieces, typical_size, without_dust, without_frames, without_scraps


def mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A page of 400 by 600 with filled boxes (x, y, width, height)."""
    page = np.zeros((400, 600), np.uint8)
    for x, y, w, h in boxes:
        page[y : y + h, x : x + w] = 255
    return page


LETTERS = [(100 + 60 * i, 150, 40, 60) for i in range(6)]


def found(pieces) -> set[tuple[int, ...]]:
    return {tuple(box) for box in pieces.boxes.tolist()}


def test_every_stroke_is_a_piece_and_specks_are_none():
    assert found(find_pieces(mask(*LETTERS, (300, 300, 2, 2)))) == set(LETTERS)


def test_what_lies_along_the_edge_is_no_letter():
    assert found(find_pieces(mask(*LETTERS, (0, 0, 600, 5), (0, 100, 6, 290)))) == set(LETTERS)


def test_the_typical_size_is_that_of_most_outline():
    dust = [(20 + 12 * i, 350, 5, 5) for i in range(20)]
    assert typical_size(find_pieces(mask(*LETTERS, *dust))) == 60
    assert typical_size(find_pieces(mask())) == 0


def test_a_frame_longer_than_all_letters_is_not_the_typical_size():
    framed = cv2.rectangle(mask(*LETTERS), (20, 20), (580, 380), 255, 4)
    assert typical_size(find_pieces(framed)) == 60


def test_a_letter_that_fills_the_picture_is_found_though_it_runs_out_of_it():
    assert found(find_pieces(mask((200, 0, 60, 400)))) == {(200, 0, 60, 400)}
    # Beside letters the same is the edge of something.
    assert found(find_pieces(mask(*LETTERS, (540, 0, 30, 400)))) == set(LETTERS)


def test_what_is_left_of_rules_goes_and_bars_among_letters_stay():
    bars = [(100 + 60 * i, 300, 6, 60) for i in range(6)]
    assert found(without_scraps(find_pieces(mask(*bars)))) == set()
    assert found(without_scraps(find_pieces(mask(*LETTERS, *bars[:4])))) == {*LETTERS, *bars[:4]}


def test_dust_and_scraps_of_rules_are_left_out():
    page = mask(*LETTERS, (50, 300, 200, 2), (400, 300, 3, 3))
    assert found(without_dust(find_pieces(page), 80.0)) == set(LETTERS)


def test_a_frame_around_letters_goes_and_a_large_letter_stays():
    framed = cv2.rectangle(mask(*LETTERS), (60, 100), (500, 260), 255, 4)
    assert found(without_frames(find_pieces(framed), 60.0)) == set(LETTERS)
    large = cv2.circle(mask(), (300, 200), 120, 255, 20)
    assert len(without_frames(find_pieces(large), 60.0).boxes) == 1
