"""Ink of a picture of one letter."""

import numpy as np
import pytest

from lettercast.runtime.page.ink import letter_ink

LETTER = np.s_[12:36, 16:22]


@pytest.fixture
def picture() -> np.ndarray:
    """A stem, 24 by 6 pixels, on paper of 48 by 48."""
    image = np.full((48, 48), 220, np.uint8)
    image[LETTER] = 40
    return image


def test_ink_is_found_where_the_letter_stands_and_nowhere_else(picture):
    ink = letter_ink(picture)
    assert (ink[LETTER] > 150).all()
    assert not ink[:10].any()
    assert not ink[:, 26:].any()


def test_a_speck_of_dust_is_left_out(picture):
    clean = letter_ink(picture)
    picture[40, 40] = 60
    np.testing.assert_array_equal(letter_ink(picture), clean)


def test_the_dot_of_an_i_is_kept(picture):
    picture[4:8, 17:21] = 40
    assert (letter_ink(picture)[4:8, 17:21] > 150).all()


def test_a_scrap_of_the_neighbour_at_the_edge_is_left_out(picture):
    picture[20:30, 46:] = 40
    assert not letter_ink(picture)[:, 40:].any()


@pytest.mark.parametrize("rule", [np.s_[46:48, :], np.s_[:, 0:2]])
def test_a_rule_along_a_side_is_left_out(picture, rule):
    picture[rule] = 90
    ink = letter_ink(picture)
    assert not ink[rule].any()
    assert (ink[LETTER] > 100).all()


def test_a_letter_that_is_cut_close_is_kept_though_it_touches_the_edges():
    image = np.full((40, 40), 220, np.uint8)
    image[:, 4:8] = 40
    image[18:22, 4:] = 40
    np.testing.assert_array_equal(letter_ink(image) > 100, image < 100)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_even_picture_has_no_letter(level):
    assert not letter_ink(np.full((40, 40), level, np.uint8)).any()
