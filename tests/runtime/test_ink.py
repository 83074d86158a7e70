"""Ink against paper."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import at_least
from lettercast.runtime.page.ink import INK_TUNING, find_ink, ink_levels, shrink, to_gray

PAPER, STROKE = 200, 50
STROKES = np.s_[95:105, 40:160]


@pytest.fixture
def page() -> np.ndarray:
    """Grey paper with one dark stroke."""
    image = np.full((200, 200), PAPER, np.uint8)
    image[STROKES] = STROKE
    return image


def test_ink_is_what_the_paper_reflects_and_the_stroke_does_not(page):
    ink = find_ink(page)
    assert ink[100, 100] == pytest.approx(255 * (1 - (STROKE + INK_TUNING.darkness) / (PAPER + INK_TUNING.darkness)), abs=2)
    assert ink[20, 20] == 0


def test_ink_in_the_shadow_counts_as_in_the_light(page):
    shade = np.linspace(1, 0.6, 200)[None, :]
    ink = find_ink((page * shade).astype(np.uint8))
    assert np.ptp(ink[100, 50:150].astype(int)) < 12
    assert ink[20:80].max() <= INK_TUNING.min_ink


def test_light_ink_on_a_dark_board_comes_out_like_dark_ink_on_paper(page):
    np.testing.assert_array_equal(find_ink(255 - page), find_ink(page))


def test_blank_paper_has_no_ink():
    assert not find_ink(np.full((90, 120, 3), 180, np.uint8)).any()


def test_colour_grey_and_one_channel_pictures_give_the_same_ink(page):
    grey = find_ink(page)
    np.testing.assert_array_equal(find_ink(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR)), grey)
    np.testing.assert_array_equal(find_ink(page[:, :, None]), grey)


def test_transparent_pixels_are_white_paper():
    image = np.zeros((4, 4, 4), np.uint8)
    image[0, 0, 3] = 255
    gray = to_gray(image)
    assert gray[0, 0] == 0
    assert (gray.ravel()[1:] == 255).all()


@pytest.mark.parametrize("level", [1, 13.2, 128, 254.5, 255])
def test_mask_holds_every_pixel_that_reaches_the_level(level):
    ink = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(at_least(ink, level), np.where(ink >= level, 255, 0))


@pytest.mark.parametrize("spread", [0, 3, 6])
def test_threshold_lies_above_the_grain_of_the_paper_and_below_the_ink(page, spread):
    grain = np.random.default_rng(1).normal(0, spread, page.shape)
    ink = find_ink(np.clip(page + grain, 0, 255).astype(np.uint8))
    level = ink_levels(ink).threshold
    stroke = np.zeros(page.shape, bool)
    stroke[STROKES] = True
    assert (ink[stroke] >= level).mean() > 0.99
    assert (ink[~cv2.dilate(stroke.astype(np.uint8), np.ones((9, 9))).astype(bool)] >= level).mean() < 0.001


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 6, 7, 8])
def test_a_shrunk_picture_has_the_means_of_its_blocks(factor):
    picture = np.random.default_rng(factor).integers(0, 256, (61, 50)).astype(np.uint8)
    high, wide = 61 // factor, 50 // factor
    blocks = picture[: high * factor, : wide * factor].reshape(high, factor, wide, factor).mean((1, 3))
    small = shrink(picture, factor)
    assert small.shape == (high, wide)
    # Each halving rounds.
    assert np.abs(small - blocks).max() <= 1.5


def test_a_side_shorter_than_its_block_becomes_one_pixel():
    assert shrink(np.full((3, 40), 90, np.uint8), 8).tolist() == [[90] * 5]
