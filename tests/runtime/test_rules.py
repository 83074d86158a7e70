"""Ruled paper."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.page.rules import SQUEEZE, absorbed_along, squeeze, without_rules

# Ink of the letters, of a printed rule that is lighter and of one that is as dark, and where a stroke begins.
LETTER, PALE, DARK, THRESHOLD = 200, 60, 200, 30


@pytest.fixture
def page() -> np.ndarray:
    """The ink of a stem and a bowl, 60 pixels high, on a page of 400 by 600."""
    ink = np.zeros((400, 600), np.uint8)
    ink[150:210, 200:208] = LETTER
    cv2.circle(ink, (300, 180), 30, LETTER, 7)
    return ink


def ruled(ink: np.ndarray, level: int, fall: int = 0) -> np.ndarray:
    """The ink with three rules across, falling by `fall` pixels over the page."""
    rules = np.zeros_like(ink)
    for y in (80, 182, 300):
        cv2.line(rules, (0, y), (599, y + fall), level, 2)
    return np.maximum(ink, rules)


def count_pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask)[0] - 1


def test_a_page_without_rules_stays_as_it_is(page):
    ink, mask = without_rules(page, THRESHOLD)
    np.testing.assert_array_equal(ink, page)
    np.testing.assert_array_equal(mask > 0, page >= THRESHOLD)


@pytest.mark.parametrize("level", [PALE, DARK])
@pytest.mark.parametrize("fall", [0, 8, -14])
def test_rules_go_and_letters_that_cross_them_stay_whole(page, level, fall):
    _, bare = without_rules(ruled(page, level, fall), THRESHOLD)
    assert count_pieces(bare) == 2
    assert (bare[page > 0] > 0).mean() > 0.97
    assert ((bare > 0) & (page == 0)).sum() < 80


@pytest.mark.parametrize("level", [PALE, DARK])
def test_a_squared_page_loses_its_grid_in_both_directions(page, level):
    squared = ruled(page, level)
    for x in (100, 400, 500):
        cv2.line(squared, (x, 0), (x, 399), level, 2)
    _, bare = without_rules(np.maximum(squared, page), THRESHOLD)
    assert count_pieces(bare) == 2


def test_a_stroke_along_a_paler_rule_keeps_its_ink(page):
    page[181:185, 230:272] = LETTER
    ink, bare = without_rules(ruled(page, PALE), THRESHOLD)
    assert (bare[182:184, 235:265] > 0).all()
    assert (ink[182:184, 235:265] > 0.6 * LETTER).all()


def test_a_rule_bends_gently():
    ink = np.zeros((400, 600), np.uint8)
    x = np.arange(600)
    y = np.round(200 + 7 * ((x - 300) / 300) ** 2).astype(int)
    ink[y, x] = ink[y + 1, x] = PALE
    assert not without_rules(ink, THRESHOLD)[1].any()


def test_a_rule_that_writing_hides_is_found_among_others():
    ink = np.zeros((480, 800), np.uint8)
    for y in range(60, 480, 60):
        cv2.line(ink, (0, y), (799, y), PALE, 2)
    for x in range(30, 760, 55):
        cv2.circle(ink, (x, 240), 22, LETTER, 6)
    _, bare = without_rules(ink, THRESHOLD)
    gaps = [x + 27 for x in range(30, 700, 55)]
    assert not bare[238:244, gaps].any()


def test_a_frame_around_the_page_goes(page):
    framed = cv2.rectangle(page.copy(), (1, 1), (598, 398), DARK, 3)
    assert count_pieces(without_rules(framed, THRESHOLD)[1]) == 2


def test_a_thick_bar_is_no_rule():
    page = np.zeros((400, 600), np.uint8)
    page[180:205, 20:580] = LETTER
    np.testing.assert_array_equal(without_rules(page, THRESHOLD)[1] > 0, page > 0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_the_smallest_pages_are_no_trouble(shape):
    ink, mask = without_rules(np.full(shape, 255, np.uint8), THRESHOLD)
    assert ink.shape == mask.shape == shape


def test_bars_of_letters_in_a_row_are_no_rule():
    page = np.zeros((200, 700), np.uint8)
    for x in range(40, 640, 80):
        cv2.line(page, (x, 60), (x, 140), LETTER, 3)
        for y in (60, 100, 140):
            cv2.line(page, (x, y), (x + 40, y), LETTER, 3)
    np.testing.assert_array_equal(without_rules(page, THRESHOLD)[1] > 0, page > 0)


def test_what_a_rule_absorbs_follows_its_print_and_no_letter():
    band = np.zeros((9, 1200), np.float32)
    band[4, :600], band[4, 600:] = 50, 90
    band[:, 300:360] = LETTER
    absorbed = absorbed_along(band)
    assert absorbed.shape == band.shape
    assert absorbed[4, 330] < 0.5 * LETTER
    assert absorbed[4, 1100] > absorbed[4, 100] > 50
    assert not absorbed[0].any()


def test_squeezed_pixels_are_set_where_most_of_theirs_are():
    mask = (np.random.default_rng(1).random((40, 10 * SQUEEZE + 3)) < 0.7).astype(np.uint8) * 255
    filled = mask[:, : 10 * SQUEEZE].reshape(40, 10, SQUEEZE).mean(2) / 255
    squeezed = squeeze(mask)
    np.testing.assert_array_equal(squeezed, 255 * (filled > 0.7))
    assert 0 < np.count_nonzero(squeezed) < squeezed.size
