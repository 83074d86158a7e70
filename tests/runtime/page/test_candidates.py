"""Candidates for letters on a page, and on a sheet that lies on a desk."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast.runtime.glyph import glyph
from lettercast.runtime.page.find import (
    FIND_TUNING,
    Candidate,
    find_candidates,
    find_sheet,
    ink_strengths,
    without_faint,
)
from lettercast.runtime.page.ink import to_gray
from lettercast.runtime.page.lines import order_lines
from lettercast.runtime.page.photo import STRIP_ROWS, Photo, downscale

ROWS = ("ABCD", "OLMR", "SUVZ")


def find_lines(image: np.ndarray) -> list[list[Candidate]]:
    """The letters of a page in reading order."""
    candidates = find_candidates(image)
    return [[candidates[i] for i in line] for line in order_lines([candidate.box for candidate in candidates])]


def middle(candidate: Candidate) -> np.ndarray:
    x, y, w, h = candidate.box
    return np.array([x + w / 2, y + h / 2])


def boxes(lines) -> list[tuple[int, ...]]:
    """Every box in reading order."""
    return [candidate.box for line in lines for candidate in line]


def covers(found, true, slack: int = 3) -> bool:
    """Whether the edges of a found box are within `slack` pixels of the true ones."""
    edges = [(f[0], f[1], f[0] + f[2], f[1] + f[3]) for f in (found, true)]
    return all(abs(a - b) <= slack for a, b in zip(*edges, strict=True))


def turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The page rotated about its middle, and the (2, 3) matrix of the rotation."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height), borderValue=image[0, 0].tolist()), matrix


def test_boxes_cover_the_letters_in_reading_order(draw_page):
    image, placed = draw_page(*ROWS)
    lines = find_lines(image)
    assert [len(line) for line in lines] == [4, 4, 4]
    found = boxes(lines)
    assert all(covers(box, true) for box, (_, true) in zip(found, placed, strict=True))


@pytest.mark.parametrize("degrees", [-6, -3, 3, 6])
def test_lines_are_read_in_order_on_a_turned_page(draw_page, degrees):
    image, placed = draw_page("ABCDEH", "KLMNOR", "STUVXZ")
    page, matrix = turned(image, degrees)
    middles = [matrix @ (x + w / 2, y + h / 2, 1) for _, (x, y, w, h) in placed]
    lines = find_lines(page)
    assert [len(line) for line in lines] == [6, 6, 6]
    distances = [
        np.hypot(*(middle(candidate) - m))
        for candidate, m in zip((candidate for line in lines for candidate in line), middles, strict=True)
    ]
    assert max(distances) < 12


def test_a_soft_shadow_does_not_move_boxes(draw_page):
    image, placed = draw_page(*ROWS)
    shade = np.linspace(1, 0.5, image.shape[1])[None, :, None]
    found = boxes(find_lines((image * shade).astype(np.uint8)))
    assert all(covers(box, true) for box, (_, true) in zip(found, placed, strict=True))


def test_light_on_dark_gives_the_same_boxes_as_dark_on_light(draw_page):
    image, _ = draw_page(*ROWS)
    assert boxes(find_lines(255 - image)) == boxes(find_lines(image))


def test_a_ruled_grid_is_removed_and_letters_that_cross_it_stay_whole(draw_page):
    image, placed = draw_page(*ROWS)
    height, width = image.shape[:2]
    rules = np.full_like(image, 235)
    for x in range(55, width, 110):
        cv2.line(rules, (x, 0), (x, height), (90, 90, 90), 2)
    for y in range(60, height, 55):
        cv2.line(rules, (0, y), (width, y), (90, 90, 90), 2)
    found = boxes(find_lines(np.minimum(image, rules)))
    assert len(found) == len(placed)
    assert all(covers(box, true, slack=8) for box, (_, true) in zip(found, placed, strict=True))


def test_dot_and_stem_are_one_candidate():
    image = np.full((300, 500), 230, np.uint8)
    for x in (120, 240, 360):
        image[130:200, x : x + 8] = 40
        cv2.circle(image, (x + 4, 108), 5, 40, -1)
    (line,) = find_lines(image)
    assert len(line) == 3
    for candidate in line:
        assert candidate.box[1] <= 104
        assert candidate.box[1] + candidate.box[3] >= 200


def test_dust_is_ignored(draw_page):
    image, placed = draw_page(*ROWS)
    rng = np.random.default_rng(3)
    for y, x in zip(rng.integers(20, 420, 60), rng.integers(20, 530, 60), strict=True):
        if image[max(0, y - 15) : y + 15, max(0, x - 15) : x + 15].min() > 200:
            image[y : y + 2, x : x + 2] = 90
    assert len(boxes(find_lines(image))) == len(placed)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(300, 400, 3), (300, 400), (1, 1), (5, 900)])
def test_an_empty_page_has_no_candidates(level, shape):
    assert find_lines(np.full(shape, level, np.uint8)) == []


@pytest.mark.parametrize("seed", range(3))
def test_pure_noise_gives_boxes_inside_the_page_or_none(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    for x, y, w, h in boxes(find_lines(noise)):
        assert x >= 0
        assert y >= 0
        assert x + w <= 640
        assert y + h <= 480


def test_a_candidate_has_no_ink_of_its_neighbours():
    image = np.full((200, 300), 230, np.uint8)
    cv2.line(image, (60, 150), (140, 50), 30, 8)
    cv2.line(image, (128, 150), (208, 50), 30, 8)
    (line,) = find_lines(image)
    assert len(line) == 2
    for candidate in line:
        assert cv2.connectedComponents((candidate.ink > 100).astype(np.uint8))[0] - 1 == 1


def test_boxes_on_a_large_photograph_are_in_its_own_pixels(draw_page):
    image, placed = draw_page(*ROWS)
    large = cv2.resize(image, None, fx=5, fy=5, interpolation=cv2.INTER_LINEAR)
    found = boxes(find_lines(large))
    assert all(covers(box, tuple(5 * v for v in true), slack=20) for box, (_, true) in zip(found, placed, strict=True))


def test_the_faintest_letters_of_a_faint_page_are_found(draw_page):
    image, _ = draw_page("ABCDEH", "KLMORZ", pen_px=2)
    # Strokes have a strength of about 26 to 40.
    share = np.linspace(0.105, 0.165, image.shape[1])[None, :, None]
    faint = np.round(235 - (235 - image.astype(float)) * share).astype(np.uint8)
    found = find_candidates(faint)
    assert min(one.strength for one in found) < FIND_TUNING.min_strength < max(one.strength for one in found)
    assert len(found) == len(find_candidates(image))
    # On a page of which few have that much, those that have less are no writing.
    assert not without_faint([replace(one, strength=20) for one in found])
    mixed = [replace(one, strength=20 if i else 90) for i, one in enumerate(found)]
    assert without_faint(mixed) == mixed[:1]


def test_letters_of_a_few_pixels_are_found_on_a_large_photograph(draw_page):
    image, placed = draw_page(*ROWS, side=56, pen_px=5, cell=72)
    small = cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    large = np.full((3000, 4000, 3), image[0, 0], np.uint8)
    x, y = 3100, 400
    large[y : y + small.shape[0], x : x + small.shape[1]] = small
    found, places = boxes(find_lines(large)), [[round(v / 5) for v in true] for _, true in placed]
    assert max(h for _, _, _, h in places) <= 14
    assert all(covers(box, (x + a, y + b, w, h)) for box, (a, b, w, h) in zip(found, places, strict=True))


@pytest.mark.parametrize(
    ("width", "height", "size"), [(4000, 3000, (1024, 768)), (2309, 1733, (1024, 769)), (1500, 1001, (1024, 683))]
)
def test_downscaling_moves_nothing(width, height, size):
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    large = (127 + 100 * np.outer(np.cos(y / height * 9), np.sin(x / width * 12))).astype(np.uint8)
    small = downscale(large, size)
    assert small.shape == size[::-1]
    exact = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    assert cv2.absdiff(small, exact).max() <= 2


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(STRIP_ROWS + 1, 2201), (2201, 1803), (3 * STRIP_ROWS, 150), (90, 70)])
def test_a_photograph_that_becomes_grey_in_strips_is_the_same(height, width, channels):
    image = np.random.default_rng(2).integers(0, 256, (height, width, channels), np.uint8)
    gray = to_gray(image)
    scale = 200 / max(height, width)
    expected = gray if scale >= 1 else downscale(gray, (round(width * scale), round(height * scale)))
    photo = Photo(image)
    np.testing.assert_array_equal(photo.at_most(200), expected)
    np.testing.assert_array_equal(photo.gray, gray)


def test_downscaling_skips_no_pixel():
    grain = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (3000, 4000))
    # The mean of 4 by 4 pixels has a quarter of their deviation, and less if it includes neighbours.
    assert np.std(downscale(grain, (1000, 750))) <= 0.26 * np.std(grain)


def test_a_moved_candidate_is_the_same_letter(draw_page):
    image, _ = draw_page(*ROWS)
    candidate = find_candidates(image)[0]
    moved = candidate.at((1, 2, 3, 4))
    assert moved.box == (1, 2, 3, 4) and (moved.corner, moved.strength) == (candidate.corner, candidate.strength)
    np.testing.assert_array_equal(moved.glyph_image, glyph(candidate.ink))


def lay_down(page: np.ndarray, desk: int, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) of a page that lies on a desk of this grey."""
    image = np.full((size[1], size[0], 3), desk, np.uint8)
    image[corner[1] : corner[1] + page.shape[0], corner[0] : corner[0] + page.shape[1]] = page
    return image


def gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize("desk", [20, 90, 160])
@pytest.mark.parametrize("share", [2, 4, 7])
def test_letters_are_found_on_a_small_sheet_where_they_lie(draw_page, desk, share):
    page, placed = draw_page("ABCD", "OLMR", "SUVZ")
    height, width = page.shape[:2]
    image = lay_down(page, desk, (share * width, share * height), (width // 2, height // 3))
    found = sorted(candidate.box for candidate in find_candidates(image))
    true = sorted((x + width // 2, y + height // 3, w, h) for _, (x, y, w, h) in placed)
    assert len(found) == len(true)
    assert np.abs(np.array(found) - true).max() <= 6


def test_nothing_on_the_desk_is_a_candidate(draw_page):
    page, placed = draw_page("ABCD", "OLMR")
    height, width = page.shape[:2]
    image = lay_down(page, 90, (3 * width, 3 * height), (width, height))
    for x in range(20, 3 * width, 90):
        cv2.line(image, (x, 20), (x + 30, height - 30), (30, 30, 30), 6)
    assert len(find_candidates(image)) == len(placed)


def test_the_desk_around_a_turned_sheet_becomes_paper(draw_page):
    page, _ = draw_page("ABCD", "OLMR", "SUVZ")
    height, width = page.shape[:2]
    image = lay_down(page, 60, (2 * width, 2 * height), (width // 2, height // 2))
    turn = cv2.getRotationMatrix2D((float(width), float(height)), 12, 1)
    sheet = find_sheet(gray(cv2.warpAffine(image, turn, (2 * width, 2 * height), borderValue=(60, 60, 60))))
    assert sheet is not None
    # The desk has level 60; only the edges of letters may have it too.
    assert (np.abs(sheet.image.astype(int) - 60) < 5).mean() < 0.01


@pytest.mark.parametrize("edge", ["left", "top", "corner"])
def test_light_between_shadows_is_no_sheet(draw_page, edge):
    page = draw_page("ABCD", "OLMR", "SUVZ")[0].astype(np.float32)
    height, width = page.shape[:2]
    lit = {"left": np.s_[:, : width // 2], "top": np.s_[: height // 2], "corner": np.s_[: height // 2, : width // 2]}[edge]
    shade = np.full((height, width, 1), 0.5, np.float32)
    shade[lit] = 1
    assert find_sheet(gray((page * shade).astype(np.uint8))) is None


def test_a_page_that_fills_the_image_is_no_sheet_on_a_desk(draw_page):
    page = gray(draw_page("ABCD", "OLMR", "SUVZ")[0])
    assert find_sheet(page) is None
    assert find_sheet(255 - page) is None
    assert find_sheet(np.full((1, 1), 7, np.uint8)) is None


def test_a_light_bar_on_a_dark_board_is_a_candidate():
    board = np.full((480, 640, 3), 30, np.uint8)
    cv2.rectangle(board, (300, 120), (340, 360), (230, 230, 230), -1)
    assert [candidate.box for candidate in find_candidates(board)] == [pytest.approx((300, 120, 41, 241), abs=2)]


def test_a_covered_lens_shows_nothing_although_three_grey_levels_are_much_of_its_light():
    for level, found in ((10, 0), (40, 3)):
        image = np.full((480, 640), level, np.uint8)
        for x, letter in zip((100, 250, 400), "ABC", strict=True):
            cv2.putText(image, letter, (x, 300), cv2.FONT_HERSHEY_SIMPLEX, 4, level - max(3, level // 5), 12)
        assert len(find_candidates(image)) == found


def test_strength_is_that_of_the_darkest_tenth_of_the_inked_pixels():
    ramp = np.arange(100, dtype=np.uint8).reshape(10, 10)
    halved = np.repeat(np.repeat(ramp, 10, 0), 10, 1)
    assert ink_strengths([ramp, np.zeros((5, 5), np.uint8), halved, np.full((3, 3), 255, np.uint8)]) == [90, 0, 90, 255]
    assert ink_strengths([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 4), (4, 4), (3, 300)])
def test_an_image_of_a_few_pixels_has_no_candidates(shape):
    assert find_candidates(np.full(shape, 200, np.uint8)) == []
