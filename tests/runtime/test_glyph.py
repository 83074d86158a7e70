"""The one preprocessing."""

import numpy as np
import pytest

from lettercast.runtime.glyph import glyph, ink_box


def block(height: int, width: int, level: int = 255, at: tuple[int, int] = (20, 30), canvas: int = 120) -> np.ndarray:
    """A solid block of ink on bare paper."""
    ink = np.zeros((canvas, canvas), np.uint8)
    ink[at[0] : at[0] + height, at[1] : at[1] + width] = level
    return ink


@pytest.fixture(scope="module")
def letter(pen) -> np.ndarray:
    """The ink of one drawn letter."""
    from lettercast.train.data.drawing import draw_plain

    return draw_plain(pen.sample(17, np.random.default_rng(3), upper=True))


@pytest.mark.parametrize(("height", "width", "expected"), [(60, 30, (24, 12)), (20, 80, (6, 24)), (12, 12, (24, 24))])
def test_longer_side_spans_24_pixels_and_aspect_is_kept(height, width, expected):
    rows, columns = np.nonzero(glyph(block(height, width)))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == expected


@pytest.mark.parametrize(("height", "width"), [(60, 30), (20, 80), (50, 50), (7, 3)])
def test_letter_stands_centred_inside_a_border_of_two_pixels(height, width):
    picture = glyph(block(height, width))
    rows, columns = np.nonzero(picture)
    assert picture.shape == (28, 28)
    assert abs(rows.min() - (27 - rows.max())) <= 1
    assert abs(columns.min() - (27 - columns.max())) <= 1
    assert min(rows.min(), columns.min(), 27 - rows.max(), 27 - columns.max()) >= 2


@pytest.mark.parametrize("level", [20, 64, 130])
def test_faint_ink_becomes_as_strong_as_black_ink(level):
    np.testing.assert_array_equal(glyph(block(60, 30, level)), glyph(block(60, 30, 255)))


def test_shrinking_averages_the_ink_that_falls_into_a_pixel():
    ink = np.random.default_rng(1).integers(120, 256, (48, 48)).astype(np.uint8)
    means = ink.reshape(24, 2, 24, 2).mean((1, 3))
    expected = np.clip(means * 255 / np.rint(means).max(), 0, 255)
    np.testing.assert_allclose(glyph(ink)[2:26, 2:26], expected, atol=1.6)


@pytest.mark.parametrize("ink", [np.zeros((40, 40), np.uint8), np.zeros((0, 0), np.uint8)])
def test_no_ink_gives_an_empty_picture(ink):
    assert glyph(ink).shape == (28, 28)
    assert not glyph(ink).any()


def test_one_pixel_of_ink_still_fills_the_picture():
    assert glyph(block(1, 1)).max() == 255


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 57), (60, 11)])
def test_where_the_letter_stands_in_its_picture_changes_nothing(letter, top, left):
    canvas = np.zeros((letter.shape[0] + 70, letter.shape[1] + 70), np.uint8)
    canvas[top : top + letter.shape[0], left : left + letter.shape[1]] = letter
    np.testing.assert_array_equal(glyph(canvas), glyph(letter))


def test_a_glyph_of_a_glyph_is_nearly_the_same_glyph(letter):
    once = glyph(letter)
    twice = glyph(once)
    assert np.corrcoef(once.ravel(), twice.ravel())[0, 1] > 0.95


def test_box_bounds_the_ink_and_leaves_out_its_halo():
    ink = block(10, 6, at=(4, 9))
    ink[3, 9:15] = 60
    assert ink_box(ink) == (9, 4, 6, 10)
    assert ink_box(np.zeros((5, 5), np.uint8)) is None
