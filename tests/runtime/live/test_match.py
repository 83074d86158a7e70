"""Finding the letters of one frame in the next frame."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.live.track import Appearances, appearances_of, common_motion, match, normalised, thumbnail
from lettercast.runtime.page.find import find_candidates


@pytest.fixture(scope="module")
def page(draw_page):
    return draw_page("ABCDE", "KLMNO")[0]


def moved(image, x: int, y: int):
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE)


def places(before: Appearances, after: Appearances, pairs) -> list:
    return [tuple(after.centres[j] - before.centres[i]) for i, j in pairs]


@pytest.mark.parametrize("move", [(0, 0), (5, -4), (-30, 12), (20, 20)])
def test_every_letter_is_found_after_the_image_moved(page, move):
    before, after = appearances_of(find_candidates(page)), appearances_of(find_candidates(moved(page, *move)))
    found = match(before, after)
    assert found.motion == pytest.approx(move, abs=1.5)
    assert len(found.pairs) == 10
    assert np.allclose(places(before, after, found.pairs), move, atol=3)


def test_letters_of_one_shape_are_distinguished_by_their_places(draw_page):
    image = draw_page("IIII", "IIII", seed=4)[0]
    before, after = appearances_of(find_candidates(image)), appearances_of(find_candidates(moved(image, 6, 2)))
    assert np.allclose(places(before, after, match(before, after).pairs), (6, 2), atol=3)


def test_another_letter_at_the_same_place_does_not_match(draw_page):
    before, after = (appearances_of(find_candidates(draw_page(text)[0])) for text in ("AB", "MX"))
    assert match(before, after).pairs == ()


@pytest.mark.parametrize("texts", [("AB", ""), ("", "AB"), ("", "")])
def test_an_empty_page_matches_nothing(draw_page, texts):
    before, after = (appearances_of(find_candidates(draw_page(text)[0])) for text in texts)
    assert match(before, after).pairs == ()
    assert match(before, after).motion == (0.0, 0.0)


def test_the_motion_is_that_of_most_pairs():
    moves = np.array([(10.0, 0), (10.5, 0.5), (9.5, 0), (40, 40), (-30, 5)])
    assert common_motion(moves, np.full(5, 50.0), np.ones(5, np.float32)) == pytest.approx((10, 0), abs=0.5)


def test_of_two_equal_motions_the_shorter_wins():
    moves = np.array([(100.0, 0), (0.0, 0)])
    assert tuple(common_motion(moves, np.full(2, 50.0), np.ones(2, np.float32))) == (0, 0)


def test_the_thumbnail_changes_with_the_scene_and_not_with_exposure(page, draw_page):
    darker = cv2.convertScaleAbs(page, alpha=0.6, beta=10)
    other = draw_page("WXYZW", "ABABA", seed=9)[0]
    assert thumbnail(page) @ thumbnail(darker) > 0.98
    assert thumbnail(page) @ thumbnail(other) < 0.7


@pytest.mark.parametrize("convert", [lambda i: i[:, :, 0], lambda i: i[:, :, :1], lambda i: np.dstack([i, i[:, :, :1]])])
def test_grey_and_transparent_images_have_thumbnails_too(page, convert):
    assert thumbnail(convert(page)).shape == thumbnail(page).shape


def test_constant_rows_become_zero():
    assert not normalised(np.full((2, 5), 7, np.float32)).any()
