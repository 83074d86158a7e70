"""The steps of the runtime's crop and glyph, inside a graph."""

import cv2
import numpy as np
import pytest

from lettercast.export.mobile import to_glyph, to_gray
from lettercast.runtime.glyph import glyph
from lettercast.runtime.page.ink import letter_ink
from lettercast.train.data.drawing import PHOTO_PX


def inside(picture: np.ndarray) -> np.ndarray:
    """The glyph (28, 28) that the graph makes of an RGB picture."""
    return np.asarray(to_glyph(picture[None].astype(np.float32)))[0, ..., 0]


def bar(left: int, top: int, width: int, height: int, ink: int = 30, paper: int = 220) -> np.ndarray:
    """A filled box on paper."""
    picture = np.full((PHOTO_PX, PHOTO_PX, 3), paper, np.uint8)
    picture[top : top + height, left : left + width] = ink
    return picture


@pytest.mark.parametrize("letter", "ABCEGKMRSTWXZ")
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_glyph_is_that_of_the_runtime(photograph, letter, share):
    picture = photograph(letter, PHOTO_PX, share=share, pen_share=0.06)
    found, expected = inside(picture), glyph(letter_ink(picture[..., ::-1])).astype(float)
    assert found.max() == pytest.approx(255, abs=1)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("width", "height"), [(12, 60), (60, 12), (24, 24), (30, 45), (7, 21)])
def test_a_box_is_centred_with_a_border_of_two_and_its_aspect_kept(width, height):
    found = inside(bar(20, 50, width, height)) > 128
    scale = 24 / max(width, height)
    assert (found.any(0).sum(), found.any(1).sum()) == (max(1, round(width * scale)), max(1, round(height * scale)))
    for axis in (0, 1):
        filled = np.flatnonzero(found.any(axis))
        assert abs(filled[0] - (27 - filled[-1])) <= 1
        assert filled[0] >= 2


def test_light_on_dark_is_dark_on_light_turned_round(photograph):
    picture = photograph("R", PHOTO_PX)
    assert np.corrcoef(inside(picture).ravel(), inside(255 - picture).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("grey", [0, 3, 128, 255])
def test_bare_paper_has_an_empty_glyph(grey):
    assert not inside(np.full((PHOTO_PX, PHOTO_PX, 3), grey, np.uint8)).any()


def test_noise_without_a_letter_gives_numbers():
    noise = np.random.default_rng(1).integers(0, 256, (PHOTO_PX, PHOTO_PX, 3)).astype(np.uint8)
    assert np.isfinite(inside(noise)).all()


def test_a_speck_is_not_part_of_the_letter(photograph):
    clean = photograph("K", PHOTO_PX, share=0.5)
    dirty = clean.copy()
    dirty[4:6, 4:6] = dirty[120:122, 60:62] = 30
    np.testing.assert_allclose(inside(dirty), inside(clean), atol=2)


def test_the_dot_of_an_i_is(photograph):
    picture = bar(60, 50, 9, 60)
    picture[20:30, 60:69] = 30
    found = inside(picture) > 128
    assert found[2:5].any()
    assert not found[7:9].any()


def test_grey_is_opencvs():
    rgb = np.random.default_rng(2).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    found = np.asarray(to_gray(rgb[None].astype(np.float32)))[0, ..., 0]
    np.testing.assert_allclose(found, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), atol=0.6)
