"""Ruled lines: finding and removing them."""

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.scenes import Scene, photograph
from lettercast.benchmarks.pages.scoring import match_boxes
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime.page.curves import RULED_TUNING, UNRULED_TUNING, Curve, find_bars, find_curves, is_long, with_hidden
from lettercast.runtime.page.find import find_candidates
from lettercast.runtime.page.rules import (
    MAX_RULES,
    RULE_TUNING,
    SQUEEZE,
    bands_of,
    passed_along,
    restore,
    squeeze,
    subtract_rules,
    without_edges,
    without_rules,
)

# Ink of the letters, of a pale and of a dark printed rule, and the threshold of strokes.
LETTER, PALE, DARK, THRESHOLD = 200, 60, 200, 30
# The thickness of rules in pixels.
THICKNESS = 6


@pytest.fixture
def page() -> np.ndarray:
    """The ink of a stem and a bowl, 60 pixels high, on a page of 400 by 600."""
    ink = np.zeros((400, 600), np.uint8)
    ink[150:210, 200:208] = LETTER
    cv2.circle(ink, (300, 180), 30, LETTER, 7)
    return ink


def ruled(ink: np.ndarray, level: int, fall: int = 0) -> np.ndarray:
    """The ink with three rules from left to right, falling by `fall` pixels over the page."""
    rules = np.zeros_like(ink)
    for y in (80, 182, 300):
        cv2.line(rules, (0, y), (599, y + fall), level, 2)
    return np.maximum(ink, rules)


def count_pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask)[0] - 1


def test_a_page_without_rules_is_unchanged(page):
    ink, mask = without_rules(page, THRESHOLD)
    np.testing.assert_array_equal(ink, page)
    np.testing.assert_array_equal(mask > 0, page >= THRESHOLD)


@pytest.mark.parametrize("level", [PALE, DARK])
@pytest.mark.parametrize("fall", [0, 8, -14])
def test_rules_are_removed_and_letters_that_cross_them_stay_whole(page, level, fall):
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


@pytest.mark.parametrize("turned", [False, True])
def test_letters_that_stand_close_on_a_rule_of_squared_paper_stay_apart(turned: bool):
    ink = np.zeros((400, 640), np.uint8)
    for y in range(40, 400, 60):
        cv2.line(ink, (0, y), (639, y), DARK, 2)
    for x in range(50, 640, 60):
        cv2.line(ink, (x, 0), (x, 399), DARK, 2)
    for x in (66, 79, 92):
        cv2.line(ink, (x, 80), (x, 116), LETTER, 5)
    _, bare = without_rules(np.ascontiguousarray(ink.T) if turned else ink, THRESHOLD)
    assert count_pieces(bare) == 3


def test_a_stroke_along_a_paler_rule_keeps_its_ink(page):
    page[181:185, 230:272] = LETTER
    ink, bare = without_rules(ruled(page, PALE), THRESHOLD)
    assert (bare[182:184, 235:265] > 0).all()
    assert (ink[182:184, 235:265] > 0.6 * LETTER).all()


def test_a_gently_curved_rule_is_removed():
    ink = np.zeros((400, 600), np.uint8)
    x = np.arange(600)
    y = np.round(200 + 7 * ((x - 300) / 300) ** 2).astype(int)
    ink[y, x] = ink[y + 1, x] = PALE
    assert not without_rules(ink, THRESHOLD)[1].any()


def test_a_rule_hidden_by_writing_is_found_among_others():
    ink = np.zeros((480, 800), np.uint8)
    for y in range(60, 480, 60):
        cv2.line(ink, (0, y), (799, y), PALE, 2)
    for x in range(30, 760, 55):
        cv2.circle(ink, (x, 240), 22, LETTER, 6)
    _, bare = without_rules(ink, THRESHOLD)
    gaps = [x + 27 for x in range(30, 700, 55)]
    assert not bare[238:244, gaps].any()


def test_a_rule_hidden_by_writing_along_its_whole_length_is_known_by_the_others():
    rules = [Curve((0.0, 0.01, 20.0 * k), 0, 100) for k in range(12) if k not in (4, 7, 8)]
    found = with_hidden(rules, 100)
    assert [curve for curve in found if curve not in rules] == [Curve((0.0, 0.01, 80.0), 0, 100)]


def test_few_rules_do_not_say_where_others_are():
    rules = [Curve((0.0, 0.0, row), 0, 100) for row in (20.0, 40.0, 80.0, 100.0)]
    assert with_hidden(rules, 100) == rules


def test_most_words_on_a_rule_that_a_marker_hides_come_apart(pen):
    scene = Scene().change(rulings=("squares",), rule=0.4, rule_px=1.5, pen=0.15, size=45.0, max_letters=45, case="lower")
    writer, camera = np.random.default_rng(13), np.random.default_rng(1013)
    photo = photograph(PenHand(pen), scene, (1280, 960), writer=writer, camera=camera)
    found = match_boxes([one.box for one in photo.letters], [one.box for one in find_candidates(photo.image)])
    assert len(photo.letters) - len(found) < 20


def test_a_frame_around_the_page_is_removed(page):
    framed = cv2.rectangle(page.copy(), (1, 1), (598, 398), DARK, 3)
    assert count_pieces(without_rules(framed, THRESHOLD)[1]) == 2


def test_a_thick_bar_is_no_rule():
    page = np.zeros((400, 600), np.uint8)
    page[180:205, 20:580] = LETTER
    np.testing.assert_array_equal(without_rules(page, THRESHOLD)[1] > 0, page > 0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_tiny_pages_do_not_fail(shape):
    ink, mask = without_rules(np.full(shape, 255, np.uint8), THRESHOLD)
    assert ink.shape == mask.shape == shape


def test_bars_of_letters_in_a_row_are_no_rule():
    page = np.zeros((200, 700), np.uint8)
    for x in range(40, 640, 80):
        cv2.line(page, (x, 60), (x, 140), LETTER, 3)
        for y in (60, 100, 140):
            cv2.line(page, (x, y), (x + 40, y), LETTER, 3)
    np.testing.assert_array_equal(without_rules(page, THRESHOLD)[1] > 0, page > 0)


def test_absorbed_ink_follows_the_rule_and_ignores_letters():
    band = np.zeros((9, 1200), np.float32)
    band[4, :600], band[4, 600:] = 50, 90
    band[:, 300:360] = LETTER
    absorbed = 256 - passed_along(band, (band.shape[1],))
    assert absorbed.shape == band.shape
    assert absorbed[4, 330] < 0.5 * LETTER
    assert absorbed[4, 1100] > absorbed[4, 100] > 50
    assert not absorbed[0].any()


@pytest.mark.parametrize("is_turned", [False, True])
def test_rules_that_share_no_pixels_are_subtracted_at_once_as_one_by_one(is_turned):
    ink = np.random.default_rng(2).integers(0, 256, (300, 500), np.uint8)
    ink = np.asfortranarray(ink) if is_turned else ink
    curves = [
        Curve((1e-3, 0.05 * (k % 2), row), 4 * (k % 3), 60 - k) for k, row in enumerate(range(3, 300, 298 // (MAX_RULES + 2)))
    ]
    bands = bands_of(curves, ink.shape, THICKNESS // 2 + RULE_TUNING.soft_edge_px)
    assert len(bands) == len(curves) > MAX_RULES
    at_once, one_by_one = ink.copy(order="K"), ink.copy(order="K")
    subtract_rules(at_once, curves, THICKNESS, bands)
    for curve in curves:
        subtract_rules(one_by_one, [curve], THICKNESS, bands[:1])
    assert not np.array_equal(at_once, ink)
    np.testing.assert_array_equal(at_once, one_by_one)


def test_rules_that_cross_are_subtracted_one_after_the_other():
    ink = np.full((300, 500), 100, np.uint8)
    curves = [Curve((0.0, slope, row), 0, 62) for slope, row in ((1.0, 100.0), (-1.0, 162.0))]
    bands = bands_of(curves, ink.shape, THICKNESS // 2 + RULE_TUNING.soft_edge_px)
    assert len(bands) == 1
    one_by_one = ink.copy()
    for curve in curves:
        subtract_rules(one_by_one, [curve], THICKNESS, bands)
    subtract_rules(ink, curves, THICKNESS, bands)
    np.testing.assert_array_equal(ink, one_by_one)


def test_squeezed_pixels_are_set_where_most_of_theirs_are():
    mask = (np.random.default_rng(1).random((40, 10 * SQUEEZE + 3)) < 0.7).astype(np.uint8) * 255
    filled = mask[:, : 10 * SQUEEZE].reshape(40, 10, SQUEEZE).mean(2) / 255
    squeezed = squeeze(mask)
    np.testing.assert_array_equal(squeezed, 255 * (filled > 0.7))
    assert 0 < np.count_nonzero(squeezed) < squeezed.size


def draw_lines(*lines: tuple[int, int], width: int = 150) -> np.ndarray:
    """A mask (300, width) of lines from a height at the left to one at the right, two pixels thick."""
    drawn = np.zeros((300, width), np.uint8)
    for left, right in lines:
        cv2.line(drawn, (0, left), (width - 1, right), 255, 2)
    return drawn


@pytest.mark.parametrize("lines", [[(100, 100)], [(100, 130)], [(150, 90)], [(60, 60), (120, 121), (180, 184), (240, 240)]])
def test_each_line_is_found_once_at_its_place(lines):
    curves = find_curves(draw_lines(*lines), THICKNESS)
    ends = sorted((float(c.rows(np.array([0]))[0]), float(c.rows(np.array([149]))[0])) for c in curves)
    assert len(ends) == len(lines)
    np.testing.assert_allclose(ends, lines, atol=2.5)
    assert all(curve.start <= 3 and curve.end >= 147 for curve in curves)


def test_lines_that_are_too_short_too_steep_or_too_thick_are_no_rules():
    short, thick = np.zeros((300, 150), np.uint8), np.zeros((300, 150), np.uint8)
    short[100:102, 20:80] = 255
    thick[100:120] = 255
    assert find_curves(short, THICKNESS) == []
    assert find_curves(thick, THICKNESS) == []
    assert find_curves(draw_lines((20, 280)), THICKNESS) == []


def test_a_short_line_counts_among_others():
    mask = draw_lines((60, 60), (120, 120), (180, 180))
    mask[240:242, 10:60] = 255
    assert len(find_curves(mask, THICKNESS)) == 4


def test_bars_are_thin_and_long():
    drawn = np.zeros((100, 100), np.uint8)
    drawn[20:22, 10:60] = 255
    drawn[50:80, 10:60] = 255
    drawn[90:92, 10:12] = 255
    bars = find_bars(drawn, THICKNESS)
    assert (bars[20:22, 12:58] > 0).all()
    assert not bars[50:80].any()
    assert not bars[90:92].any()


def test_a_row_of_short_bars_is_not_long():
    bars = np.concatenate([np.arange(x, x + 7) for x in range(0, 140, 10)])
    assert not is_long(bars, 150, UNRULED_TUNING)
    assert is_long(np.arange(10, 140), 150, UNRULED_TUNING)
    assert not is_long(np.arange(10, 60), 150, UNRULED_TUNING)
    assert is_long(np.arange(10, 60), 150, RULED_TUNING)


def test_letters_along_a_side_are_no_frame():
    letters = np.zeros((600, 800), np.uint8)
    for y in range(20, 580, 80):
        letters[y : y + 60, :6] = letters[y : y + 6, :50] = 255
    for mask in (letters, letters[:, ::-1], letters.T, letters.T[::-1]):
        np.testing.assert_array_equal(without_edges(mask), mask)
    framed = letters.copy()
    framed[:, :4] = 255
    assert not without_edges(framed)[:, :4].any()


def test_gaps_that_rules_leave_are_bridged_in_the_bands_of_rules_as_in_the_whole_image():
    height, width = 300, 160
    rules = [Curve((0.0, slope, row), 0, width // 8) for row, slope in ((20.0, 0.5), (150.0, 0.0), (158.0, 0.2), (296.0, 0.0))]
    bands = bands_of(rules, (height, width), 6)
    assert [(band.start, band.stop) for band in bands] == [(12, 39), (144, 170), (290, 300)]
    random = np.random.default_rng(4)
    strokes, taken = (np.where(random.random((height, width)) < 0.3, 255, 0).astype(np.uint8) for _ in range(2))
    inside = np.zeros(height, bool)
    for band in bands:
        inside[band] = True
    taken[~inside] = 0
    kernel = np.ones((10, 1), np.uint8)
    whole = cv2.bitwise_or(strokes, cv2.bitwise_and(taken, cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, kernel)))
    turned = np.asfortranarray(strokes)
    for page in (strokes, turned):
        restore(page, taken, len(kernel), bands)
        np.testing.assert_array_equal(page, whole)
