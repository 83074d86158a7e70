"""Ink of pages, and the ink of one letter."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import at_least
from lettercast.runtime.page.ink import (
    INK_TUNING,
    MAX_INK_PX,
    find_ink,
    ink_levels,
    is_light_on_dark,
    letter_ink,
    letter_only,
    shrink,
    to_gray,
)
from lettercast.train.data.drawing import draw_ink

PAPER, STROKE = 200, 50
STROKES = np.s_[95:105, 40:160]


@pytest.fixture
def page() -> np.ndarray:
    """Grey paper with one dark stroke."""
    image = np.full((200, 200), PAPER, np.uint8)
    image[STROKES] = STROKE
    return image


def test_ink_is_the_light_that_the_stroke_absorbs(page):
    ink = find_ink(page)
    assert ink[100, 100] == pytest.approx(255 * (1 - (STROKE + INK_TUNING.darkness) / (PAPER + INK_TUNING.darkness)), abs=2)
    assert ink[20, 20] == 0


def test_ink_is_equal_in_shadow_and_light(page):
    shade = np.linspace(1, 0.6, 200)[None, :]
    ink = find_ink((page * shade).astype(np.uint8))
    assert np.ptp(ink[100, 50:150].astype(int)) < 12
    assert ink[20:80].max() <= INK_TUNING.min_ink


def test_light_ink_on_a_dark_board_equals_dark_ink_on_paper(page):
    np.testing.assert_array_equal(find_ink(255 - page), find_ink(page))


def test_blank_paper_has_no_ink():
    assert not find_ink(np.full((90, 120, 3), 180, np.uint8)).any()


def test_colour_grey_and_one_channel_images_give_the_same_ink(page):
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
def test_mask_contains_every_pixel_that_reaches_the_level(level):
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
def test_a_shrunk_image_has_the_means_of_its_blocks(factor):
    picture = np.random.default_rng(factor).integers(0, 256, (61, 50)).astype(np.uint8)
    high, wide = 61 // factor, 50 // factor
    blocks = picture[: high * factor, : wide * factor].reshape(high, factor, wide, factor).mean((1, 3))
    small = shrink(picture, factor)
    assert small.shape == (high, wide)
    # Each halving rounds.
    assert np.abs(small - blocks).max() <= 1.5


def test_a_side_shorter_than_its_block_becomes_one_pixel():
    assert shrink(np.full((3, 40), 90, np.uint8), 8).tolist() == [[90] * 5]


LETTER = np.s_[12:36, 16:22]


@pytest.fixture
def picture() -> np.ndarray:
    """A stem of 24 by 6 pixels on paper of 48 by 48."""
    image = np.full((48, 48), 220, np.uint8)
    image[LETTER] = 40
    return image


def test_only_the_letter_has_ink(picture):
    ink = letter_ink(picture)
    assert (ink[LETTER] > 150).all()
    assert not ink[:10].any()
    assert not ink[:, 26:].any()


def test_a_speck_of_dust_is_removed(picture):
    clean = letter_ink(picture)
    picture[40, 40] = 60
    np.testing.assert_array_equal(letter_ink(picture), clean)


def test_the_dot_of_an_i_is_kept(picture):
    picture[4:8, 17:21] = 40
    assert (letter_ink(picture)[4:8, 17:21] > 150).all()


def test_a_scrap_of_the_neighbour_at_the_edge_is_removed(picture):
    picture[20:30, 46:] = 40
    assert not letter_ink(picture)[:, 40:].any()


@pytest.mark.parametrize("rule", [np.s_[46:48, :], np.s_[:, 0:2]])
def test_a_rule_along_a_side_is_removed(picture, rule):
    picture[rule] = 90
    ink = letter_ink(picture)
    assert not ink[rule].any()
    assert (ink[LETTER] > 100).all()


def test_a_letter_that_touches_all_edges_stays():
    image = np.full((40, 40), 220, np.uint8)
    image[:, 4:8] = 40
    image[18:22, 4:] = 40
    np.testing.assert_array_equal(letter_ink(image) > 100, image < 100)


@pytest.mark.parametrize("shape", [(2000, 3), (3, 2000)])
def test_strip_that_is_thinner_than_a_pixel_of_the_kept_ink_has_no_letter(shape):
    ink = letter_only(np.full(shape, 220, np.uint8))
    assert sorted(ink.shape) == [1, MAX_INK_PX]
    assert not ink.any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_even_image_has_no_letter(level):
    assert not letter_ink(np.full((40, 40), level, np.uint8)).any()


def falling(shape: tuple[int, int], lamp: tuple[float, float], height: float) -> np.ndarray:
    """The light of a small lamp at (x, y) over a sheet, all in widths of the image, 1 below it."""
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[1]
    return (1 + ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2) / height**2) ** -1.5


@pytest.mark.parametrize("lamp", [(0.5, 0.4), (0.1, 0.1), (1.1, 0.7)])
def test_light_that_falls_off_towards_the_borders_is_no_ink(lamp):
    image = (230 * falling((480, 640), lamp, 0.7)).astype(np.uint8)
    assert find_ink(image).max() < INK_TUNING.min_ink


def test_a_stroke_at_the_border_stays_ink_where_the_light_falls_off():
    image = 230 * falling((480, 640), (0.1, 0.4), 0.5)
    stroke = np.s_[200:260, 628:636]
    image[stroke] *= 0.3
    assert find_ink(image.astype(np.uint8))[stroke].min() > 100


@pytest.mark.parametrize("side", [0.2, 0.8])
def test_a_lamp_does_not_make_dark_ink_light(side):
    image = 230 * falling((480, 640), (side, 0.4), 0.35)
    image[200:230, 300:304] *= 0.2
    small = shrink(image.astype(np.uint8), 4)
    assert not is_light_on_dark(small)
    assert is_light_on_dark(255 - small)


def test_the_level_of_strokes_is_that_of_few_letters_among_much_residue_of_light():
    ink = np.zeros((400, 400), np.uint8)
    ink[:100, :60] = 16
    ink[200:230, 200:203] = 170
    levels = ink_levels(ink)
    assert levels.stroke > 5
    assert 30 < levels.threshold < 120


def test_residue_alone_is_no_writing():
    ink = np.zeros((400, 400), np.uint8)
    ink[:100, :60] = 16
    ink[200:220, 200:203] = 30
    assert ink_levels(ink).stroke < INK_TUNING.min_stroke_ratio


@pytest.mark.parametrize("side", [60, 120, 300, 900])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.18])
def test_broad_pen_in_an_image_of_one_letter_is_ink_throughout(side, share):
    stroke = np.zeros((side, side), np.uint8)
    middle, reach = side // 2, round(0.35 * side)
    cv2.line(stroke, (middle, middle - reach), (middle, middle + reach), 255, round(share * side))
    cv2.line(stroke, (middle - reach, middle - reach), (middle + reach, middle - reach), 255, round(share * side))
    light = np.linspace(1, 0.6, side)
    image = np.rint(220 * light * (1 - 0.75 * stroke / 255)).astype(np.uint8)
    found = letter_ink(image) > 90
    assert not (found & (stroke == 0)).any()
    # Where strokes meet they are broader, so a window that is just wide enough for strokes misses a little there.
    assert found.sum() > 0.85 * (stroke > 0).sum()


@pytest.mark.parametrize("is_light", [False, True])
@pytest.mark.parametrize("share", [0.08, 0.16])
@pytest.mark.parametrize("side", [50, 200])
def test_broad_pen_in_a_tight_image_is_dark_or_light_as_it_is(pen, side, share, is_light):
    rng = np.random.default_rng(4)
    for letter in "AEHMQSX":
        ink = draw_ink(pen.sample(ord(letter) - ord("A"), rng), side, share * side)
        image = np.rint(40 + 170 * (1 - ink / 255)).astype(np.uint8)
        found = letter_ink(255 - image if is_light else image)
        assert ((found > 80) == (ink > 128)).mean() > 0.9, letter


@pytest.mark.parametrize("dark", ["shadow", "desk"])
def test_shadow_or_desk_at_the_border_is_no_ink(dark):
    image = np.full((240, 240), 215, np.uint8)
    image[:, 180:] = 120 if dark == "shadow" else 50
    cv2.line(image, (80, 60), (80, 180), 50, 10)
    cv2.line(image, (80, 180), (140, 180), 50, 10)
    ink = letter_ink(image)
    assert ink[:, 175:].max() < 90
    assert (ink[70:170, 78:83] > 90).all()


@pytest.mark.parametrize("frame", [0.06, 0.12])
def test_sheet_on_a_dark_desk_has_dark_writing(frame):
    image = np.full((240, 240), 60, np.uint8)
    edge = round(240 * frame)
    image[edge:-edge, edge:-edge] = 215
    cv2.line(image, (80, 70), (80, 170), 60, 10)
    cv2.line(image, (80, 170), (140, 170), 60, 10)
    ink = letter_ink(image)
    assert (ink[75:165, 78:83] > 90).all()
    assert not (ink[100:150, 110:180] > 60).any()


def test_broad_light_stroke_on_a_dark_ground_is_the_letter():
    image = np.full((120, 70), 60, np.uint8)
    image[8:112, 18:52] = 215
    assert (letter_ink(image)[20:100, 22:48] > 90).all()
