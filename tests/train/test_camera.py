"""Ink on paper before a camera, and found again."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import glyph
from lettercast.train.data.drawing import (
    draw_ink,
    grain,
    neighbour_scrap,
    photograph,
    rule_scrap,
    smooth_field,
    through_camera,
    weather,
)

STEM = draw_ink([np.array([[0, 0], [0, 1000]], np.float32)], 60, 6)
RING = draw_ink([np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 2 * np.pi, 60)], np.float32)], 60, 6)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_weather_puts_no_grain_on_bare_paper():
    bare = np.zeros((60, 60), np.uint8)
    for seed in range(50):
        assert not weather(bare, 5.0, rng(seed)).any()


def test_a_photograph_has_bare_paper_around_the_ink():
    for seed in range(60):
        photo = photograph(RING, 6, rng(seed))
        assert photo.dtype == np.uint8
        assert photo.shape[0] > RING.shape[0] and photo.shape[1] > RING.shape[1]


def test_photographs_differ_in_paper_light_and_ink():
    photos = [photograph(RING, 6, rng(seed)) for seed in range(200)]
    paper = np.array([np.quantile(photo, 0.9) for photo in photos])
    assert paper.min() < 90 and paper.max() > 220
    # Chalk on a board is met too: there the ink is the brightest.
    assert 2 <= sum(np.median(photo) < 100 < photo.max() - 60 for photo in photos) <= 100


def test_what_the_reader_finds_in_a_photograph_is_the_letter():
    kept = []
    for seed in range(200):
        found, fresh = (glyph(ink).astype(float) for ink in (through_camera(RING, 6, rng(seed)), RING))
        kept.append(np.corrcoef(found.ravel(), fresh.ravel())[0, 1])
    assert np.median(kept) > 0.85
    assert np.mean(np.array(kept) > 0.5) > 0.9


def test_ink_that_no_photograph_shows_stays_fresh():
    blank = np.zeros((40, 40), np.uint8)
    # Where the camera has no grain and the page no scraps nothing is found, and nothing is invented.
    drawn = [through_camera(blank, 3, rng(seed)) for seed in range(40)]
    assert sum(ink.shape == blank.shape and not ink.any() for ink in drawn) > 5


@pytest.mark.parametrize("seed", range(20))
def test_a_rule_lies_along_the_margin_and_never_across_the_letter(seed):
    margins = (20, 20, 20, 20)
    scrap = rule_scrap((140, 120), margins, 6, rng(seed))
    assert scrap.any()
    rows, columns = np.nonzero(scrap)
    # Along one side, from end to end, but for its slope.
    assert max(np.ptp(rows) / 140, np.ptp(columns) / 120) > 0.9
    assert not scrap[36:104, 36:84].any()


def test_a_neighbour_reaches_in_from_the_side():
    for seed in range(20):
        scrap = neighbour_scrap((100, 100), (30, 30), 6, rng(seed))
        assert scrap[:, :1].any() or scrap[:, -1:].any()
        assert not scrap[:, 40:60].any()


def test_a_field_goes_slowly_between_its_bounds():
    field = smooth_field((90, 60), 0.4, 0.9, rng(1))
    assert field.shape == (90, 60)
    assert field.min() >= 0.4 and field.max() <= 0.9
    assert np.abs(np.diff(field, axis=0)).max() < 0.05


@pytest.mark.parametrize(("width", "near"), [(0, 0.0), (4, 0.9)])
def test_grain_is_standard_normal_and_as_wide_as_asked(width, near):
    field = grain((200, 200), width, rng(2))
    assert abs(field.mean()) < 0.3 and 0.8 < field.std() < 1.2
    beside = np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]
    assert beside == pytest.approx(near, abs=0.1)


def test_grain_covers_pictures_larger_than_its_tile():
    assert grain((700, 30), 0, rng(3)).shape == (700, 30)


def test_lines_are_antialiased():
    assert len(np.unique(cv2.GaussianBlur(STEM, (0, 0), 1))) > 10
