"""Paper on a desk."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.page.find import find_candidates, find_sheet


def lay_down(page: np.ndarray, desk: int, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, 3) of a page that lies on a desk of this grey."""
    picture = np.full((size[1], size[0], 3), desk, np.uint8)
    picture[corner[1] : corner[1] + page.shape[0], corner[0] : corner[0] + page.shape[1]] = page
    return picture


def gray(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize("desk", [20, 90, 160])
@pytest.mark.parametrize("share", [2, 4, 7])
def test_letters_are_found_on_a_small_sheet_where_they_lie(draw_page, desk, share):
    page, placed = draw_page("ABCD", "OLMR", "SUVZ")
    height, width = page.shape[:2]
    picture = lay_down(page, desk, (share * width, share * height), (width // 2, height // 3))
    found = sorted(candidate.box for candidate in find_candidates(picture))
    true = sorted((x + width // 2, y + height // 3, w, h) for _, (x, y, w, h) in placed)
    assert len(found) == len(true)
    assert np.abs(np.array(found) - true).max() <= 6


def test_what_lies_on_the_desk_is_not_looked_at(draw_page):
    page, placed = draw_page("ABCD", "OLMR")
    height, width = page.shape[:2]
    picture = lay_down(page, 90, (3 * width, 3 * height), (width, height))
    for x in range(20, 3 * width, 90):
        cv2.line(picture, (x, 20), (x + 30, height - 30), (30, 30, 30), 6)
    assert len(find_candidates(picture)) == len(placed)


def test_the_desk_is_taken_off_around_a_turned_sheet(draw_page):
    page, _ = draw_page("ABCD", "OLMR", "SUVZ")
    height, width = page.shape[:2]
    picture = lay_down(page, 60, (2 * width, 2 * height), (width // 2, height // 2))
    turn = cv2.getRotationMatrix2D((float(width), float(height)), 12, 1)
    sheet = find_sheet(gray(cv2.warpAffine(picture, turn, (2 * width, 2 * height), borderValue=(60, 60, 60))))
    assert sheet is not None
    # No more dark pixels than the letters have: 60 is the desk.
    assert (np.abs(sheet.image.astype(int) - 60) < 5).mean() < 0.01


@pytest.mark.parametrize("edge", ["left", "top", "corner"])
def test_light_between_shadows_is_no_sheet(draw_page, edge):
    page = draw_page("ABCD", "OLMR", "SUVZ")[0].astype(np.float32)
    height, width = page.shape[:2]
    lit = {"left": np.s_[:, : width // 2], "top": np.s_[: height // 2], "corner": np.s_[: height // 2, : width // 2]}[edge]
    shade = np.full((height, width, 1), 0.5, np.float32)
    shade[lit] = 1
    assert find_sheet(gray((page * shade).astype(np.uint8))) is None


def test_a_page_that_fills_the_picture_is_no_sheet_on_a_desk(draw_page):
    page = gray(draw_page("ABCD", "OLMR", "SUVZ")[0])
    assert find_sheet(page) is None
    assert find_sheet(255 - page) is None
    assert find_sheet(np.full((1, 1), 7, np.uint8)) is None


def test_a_light_bar_on_a_dark_board_is_still_found():
    board = np.full((480, 640, 3), 30, np.uint8)
    cv2.rectangle(board, (300, 120), (340, 360), (230, 230, 230), -1)
    assert [candidate.box for candidate in find_candidates(board)] == [pytest.approx((300, 120, 41, 241), abs=2)]
