"""Drawing letters: ink, other hands, the camera, and photographs of letters."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.facts import LETTERS, PHOTOS, PICTURES, Facts
from lettercast.train.data.drawing import (
    PENS,
    PHOTO_PX,
    as_photos,
    coarsen,
    distort,
    draw_ink,
    draw_plain,
    draw_random,
    grain,
    lose_dot,
    nearer,
    neighbour_scrap,
    photograph,
    round_corners,
    rule_scrap,
    shown,
    smooth_field,
    through_camera,
    weather,
)

STEM = [np.array([[0, 0], [0, 500], [0, 1000]], np.float32)]
CROSS = [np.array([[0, 0], [1000, 1000]], np.float32), np.array([[0, 1000], [1000, 0]], np.float32)]


def extent(ink: np.ndarray) -> tuple[int, int]:
    """Height and width of the ink that is at least half dark."""
    _, _, width, height = cv2.boundingRect((ink > 127).astype(np.uint8))
    return height, width


@pytest.mark.parametrize(("side", "pen"), [(40, 4), (80, 6), (60, 10)])
def test_ink_has_the_given_size_and_pen_width(side, pen):
    height, width = extent(draw_ink(STEM, side, pen))
    assert height == pytest.approx(side + pen, abs=2)
    assert width == pytest.approx(pen, abs=1.1)


@pytest.mark.parametrize("factor", [0.001, 1, 300])
def test_strokes_may_come_in_any_unit_and_place(factor):
    moved = [(stroke * factor + 17).astype(np.float32) for stroke in CROSS]
    difference = draw_plain(moved).astype(int) - draw_plain(CROSS)
    assert np.abs(difference).mean() < 1


def test_single_point_is_a_dot():
    assert extent(draw_ink([np.array([[5, 5]], np.float32)], 40, 8)) == pytest.approx((8, 8), abs=2)


def test_seed_decides_a_random_drawing():
    first, again, other = (draw_random(CROSS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_every_random_drawing_has_ink():
    peaks = [draw_random(CROSS, np.random.default_rng(seed)).max() for seed in range(200)]
    assert min(peaks) > 30


def test_without_strength_a_hand_draws_the_plain_letter():
    plain = draw_ink(CROSS, PENS.plain_side_px, PENS.plain_side_px * PENS.plain_width)
    drawn = draw_ink(distort(CROSS, np.random.default_rng(3), 0.0), PENS.plain_side_px, PENS.plain_side_px * PENS.plain_width)
    # The corners may be rounded, or on the grid of a coarse tablet.
    assert np.abs(np.subtract(plain.shape, drawn.shape)).max() <= 4
    assert nearer(PENS.widths, PENS.plain_width, 0.0) == pytest.approx((PENS.plain_width, PENS.plain_width))


def test_strength_moves_limits_evenly_on_a_log_scale():
    assert nearer((0.02, 0.32), 0.08, 1.0) == pytest.approx((0.02, 0.32))
    assert nearer((0.02, 0.32), 0.08, 0.5) == pytest.approx((0.04, 0.16))


def test_letters_drawn_with_less_strength_lie_nearer_to_the_plain_one():
    def spread(strength):
        turned = [np.concatenate(distort(CROSS, np.random.default_rng(seed), strength)) for seed in range(300)]
        return np.std([np.ptp(points[:, 0]) / np.ptp(points[:, 1]) for points in turned])

    assert spread(0.0) < 0.5 * spread(0.5) < 0.6 * spread(1.0)


SMALL_I = [np.array([[0, 300], [0, 1000]], np.float32), np.array([[0, 0], [10, 20]], np.float32)]
SMALL_T = [np.array([[0, 0], [0, 1000]], np.float32), np.array([[-250, 300], [250, 300]], np.float32)]


def test_distortion_keeps_the_number_of_strokes_and_about_one_unit_of_length():
    for seed in range(100):
        strokes = distort(CROSS, np.random.default_rng(seed))
        assert len(strokes) == 2
        size = np.ptp(np.concatenate(strokes), 0).max()
        assert 0.5 < size < 2


def test_distortion_keeps_the_direction_of_a_stroke():
    for seed in range(100):
        stem = distort(STEM, np.random.default_rng(seed))[0]
        assert stem[0, 1] < stem[len(stem) // 2, 1] < stem[-1, 1]


def test_distortion_turns_a_stem_by_a_few_degrees_to_both_sides():
    stems = [distort(STEM, np.random.default_rng(seed))[0] for seed in range(600)]
    angles = np.degrees([np.arctan2(*(stem[-1] - stem[0])) for stem in stems])
    assert abs(angles.mean()) < 2
    assert 4 < angles.std() < 20


def test_some_letters_are_distorted_little_and_some_much():
    def bent(seed: int) -> float:
        strokes = distort(CROSS, np.random.default_rng(seed))
        ends = np.concatenate([stroke[[0, -1]] for stroke in strokes])
        return float(np.abs(ends - np.array([[-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]])).max())

    amounts = [bent(seed) for seed in range(300)]
    assert np.quantile(amounts, 0.05) < 0.08
    assert np.quantile(amounts, 0.95) > 0.25


def test_lone_dot_can_be_distorted():
    for seed in range(30):
        assert np.isfinite(distort([np.array([[5, 5]], np.float32)], np.random.default_rng(seed))[0]).all()


@pytest.mark.parametrize("steps", [9.0, 20.5])
def test_coarse_tablet_distinguishes_few_places(steps):
    slope = np.stack([np.linspace(-0.5, 0.5, 200), np.linspace(-0.2, 0.3, 200)], 1).astype(np.float32)
    stairs = coarsen(slope, steps)
    assert len(np.unique(stairs[:, 0])) <= steps + 1
    np.testing.assert_allclose(stairs * steps, np.rint(stairs * steps), atol=1e-4)
    # Every point stays within half a step of the line.
    assert np.abs(stairs[:, 1] - np.interp(stairs[:, 0], slope[:, 0], slope[:, 1])).max() <= 1 / steps


def test_coarse_tablet_keeps_a_dot():
    assert coarsen(np.array([[0.11, 0.22]], np.float32), 10).shape == (1, 2)


def test_hasty_hand_rounds_corners_and_keeps_the_ends():
    corner = np.array([[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]], np.float32)
    rounded = round_corners(corner, 3)
    np.testing.assert_allclose(rounded[[0, -1]], corner[[0, -1]])
    assert np.hypot(*(rounded - [1, 0]).T).min() > 0.2


def test_stroke_of_few_points_cannot_be_hurried():
    np.testing.assert_array_equal(round_corners(CROSS[0], 3), CROSS[0])


def test_only_a_dot_is_lost():
    assert [len(stroke) for stroke in lose_dot(SMALL_I, np.random.default_rng(0))] == [2]
    assert len(lose_dot(SMALL_T, np.random.default_rng(0))) == 2
    assert len(lose_dot(STEM, np.random.default_rng(0))) == 1


STEM_INK = draw_ink([np.array([[0, 0], [0, 1000]], np.float32)], 60, 6)
RING = draw_ink([np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 2 * np.pi, 60)], np.float32)], 60, 6)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_weather_puts_no_grain_on_bare_paper():
    bare = np.zeros((60, 60), np.uint8)
    for seed in range(50):
        assert not weather(bare, 5.0, rng(seed)).any()


def test_photograph_has_bare_paper_around_the_ink():
    for seed in range(60):
        photo = photograph(RING, 6, rng(seed))
        assert photo.dtype == np.uint8
        assert photo.shape[0] > RING.shape[0] and photo.shape[1] > RING.shape[1]


def test_photographs_differ_in_paper_light_and_ink():
    photos = [photograph(RING, 6, rng(seed)) for seed in range(200)]
    paper = np.array([np.quantile(photo, 0.9) for photo in photos])
    assert paper.min() < 90 and paper.max() > 220
    # Chalk on a board occurs too: there the ink is the brightest.
    assert 2 <= sum(np.median(photo) < 100 < photo.max() - 60 for photo in photos) <= 100


def test_reader_finds_the_letter_in_a_photograph():
    kept = []
    for seed in range(200):
        found, fresh = (glyph(ink).astype(float) for ink in (through_camera(RING, 6, rng(seed)), RING))
        kept.append(np.corrcoef(found.ravel(), fresh.ravel())[0, 1])
    assert np.median(kept) > 0.85
    assert np.mean(np.array(kept) > 0.5) > 0.9


def test_invisible_ink_stays_as_it_was():
    blank = np.zeros((40, 40), np.uint8)
    # Without grain and scraps the reader finds nothing, and nothing is invented.
    drawn = [through_camera(blank, 3, rng(seed)) for seed in range(40)]
    assert sum(ink.shape == blank.shape and not ink.any() for ink in drawn) > 5


@pytest.mark.parametrize("seed", range(20))
def test_rule_lies_along_the_margin_and_never_across_the_letter(seed):
    margins = (20, 20, 20, 20)
    scrap = rule_scrap((140, 120), margins, 6, rng(seed))
    assert scrap.any()
    rows, columns = np.nonzero(scrap)
    # Along one side, from end to end.
    assert max(np.ptp(rows) / 140, np.ptp(columns) / 120) > 0.9
    assert not scrap[36:104, 36:84].any()


def test_neighbour_reaches_in_from_the_side():
    for seed in range(20):
        scrap = neighbour_scrap((100, 100), (30, 30), 6, rng(seed))
        assert scrap[:, :1].any() or scrap[:, -1:].any()
        assert not scrap[:, 40:60].any()


def test_field_changes_slowly_between_its_bounds():
    field = smooth_field((90, 60), 0.4, 0.9, rng(1))
    assert field.shape == (90, 60)
    assert field.min() >= 0.4 and field.max() <= 0.9
    assert np.abs(np.diff(field, axis=0)).max() < 0.05


@pytest.mark.parametrize(("width", "near"), [(0, 0.0), (4, 0.9)])
def test_grain_is_standard_normal_and_has_the_given_width(width, near):
    field = grain((200, 200), width, rng(2))
    assert abs(field.mean()) < 0.3 and 0.8 < field.std() < 1.2
    beside = np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]
    assert beside == pytest.approx(near, abs=0.1)


def test_grain_covers_images_larger_than_its_tile():
    assert grain((700, 30), 0, rng(3)).shape == (700, 30)


def test_lines_are_antialiased():
    assert len(np.unique(cv2.GaussianBlur(STEM_INK, (0, 0), 1))) > 10


FACTS = Facts("m", "tflite-mobile", ("A", "B"), (28, 28, 1), "uint8")


def bars(count: int = 6) -> np.ndarray:
    """Upright bars, white on black."""
    pictures = np.zeros((count, 28, 28, 1), np.uint8)
    pictures[:, 2:26, 12:16] = 255
    return pictures


def test_photos_alternate_dark_on_light_and_light_on_dark():
    photos = as_photos(bars(), 1)
    assert (photos.shape, photos.dtype) == ((6, PHOTO_PX, PHOTO_PX, 3), np.uint8)
    corner = photos[:, 0, 0].mean(1)
    assert (corner[::2] > 150).all()
    assert (corner[1::2] < 105).all()


def test_ink_keeps_its_share_of_the_photo():
    for i, photo in enumerate(as_photos(bars(), 2)):
        grey = photo.mean(2) if i % 2 == 0 else 255 - photo.mean(2)
        ink = grey < (grey.min() + grey.max()) / 2
        height, width = ink.any(1).sum(), ink.any(0).sum()
        assert 0.5 * 24 / 28 * PHOTO_PX - 2 <= height <= 0.95 * 24 / 28 * PHOTO_PX + 2
        assert abs(height / width - 6) < 1


def test_seed_alone_decides_photos():
    np.testing.assert_array_equal(as_photos(bars(), 3), as_photos(bars(), 3))
    assert (as_photos(bars(), 3) != as_photos(bars(), 4)).any()


def test_each_model_gets_the_images_that_it_takes():
    glyphs = bars()
    assert shown(replace(FACTS, takes=LETTERS), glyphs) is glyphs
    assert shown(replace(FACTS, takes=PHOTOS, input_shape=(PHOTO_PX, PHOTO_PX, 3)), glyphs).shape[1:] == (PHOTO_PX, PHOTO_PX, 3)
    rgb = shown(replace(FACTS, takes=PICTURES, input_shape=(28, 28, 3)), glyphs)
    np.testing.assert_array_equal(rgb, np.repeat(glyphs, 3, -1))
