"""Ruled paper."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.rules import without_rules


@pytest.fixture
def mask() -> np.ndarray:
    """A stem and a bowl, 60 pixels high, on a page of 400 by 600."""
    page = np.zeros((400, 600), np.uint8)
    page[150:210, 200:208] = 255
    cv2.circle(page, (300, 180), 30, 255, 7)
    return page


def ruled(mask: np.ndarray, fall: int = 0) -> np.ndarray:
    """The mask with three rules across, falling by `fall` pixels over the page."""
    page = mask.copy()
    for y in (80, 182, 300):
        cv2.line(page, (0, y), (599, y + fall), 255, 2)
    return page


def count_pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask)[0] - 1


def test_a_page_without_rules_stays_as_it_is(mask):
    np.testing.assert_array_equal(without_rules(mask), mask)


@pytest.mark.parametrize("fall", [0, 8, -14])
def test_rules_go_and_letters_that_cross_them_stay_whole(mask, fall):
    bare = without_rules(ruled(mask, fall))
    assert count_pieces(bare) == 2
    assert (bare[mask > 0] > 0).mean() > 0.97
    assert ((bare > 0) & (mask == 0)).sum() < 60


def test_a_squared_page_loses_its_grid_in_both_directions(mask):
    page = ruled(mask)
    for x in (100, 400, 500):
        cv2.line(page, (x, 0), (x, 399), 255, 2)
    assert count_pieces(without_rules(page)) == 2


def test_a_frame_around_the_page_goes(mask):
    framed = cv2.rectangle(mask.copy(), (1, 1), (598, 398), 255, 3)
    assert count_pieces(without_rules(framed)) == 2


def test_a_thick_bar_is_no_rule():
    page = np.zeros((400, 600), np.uint8)
    page[180:205, 20:580] = 255
    np.testing.assert_array_equal(without_rules(page), page)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_the_smallest_pages_are_no_trouble(shape):
    assert without_rules(np.full(shape, 255, np.uint8)).shape == shape


def test_bars_of_letters_in_a_row_are_no_rule():
    page = np.zeros((200, 700), np.uint8)
    for x in range(40, 640, 80):
        cv2.line(page, (x, 60), (x, 140), 255, 3)
        for y in (60, 100, 140):
            cv2.line(page, (x, y), (x + 40, y), 255, 3)
    np.testing.assert_array_equal(without_rules(page), page)
