"""Letters among letters, and scraps among scraps."""

import numpy as np
import pytest

from lettercast.runtime.reader import keep_by_neighbours

REJECT = 0.45


def company(*pieces: tuple[int, int, int, float], strengths: list[int] | None = None) -> list[bool]:
    """What is kept of pieces (x, y, size, certainty)."""
    boxes = [(x, y, size // 2, size) for x, y, size, _ in pieces]
    sure = np.array([certainty for *_, certainty in pieces], np.float32)
    return keep_by_neighbours(boxes, np.array(strengths or [200] * len(pieces)), sure, REJECT).tolist()


def test_letters_in_a_row_are_kept_and_so_is_a_scrap_among_them():
    assert company((0, 0, 40, 0.9), (50, 0, 40, 0.2), (100, 0, 40, 0.9)) == [True, True, True]


def test_a_letter_among_scraps_is_a_scrap():
    scraps = [(x, y, 40, 0.2) for x in (0, 50, 100) for y in (0, 50, 100) if (x, y) != (50, 50)]
    assert company((50, 50, 40, 0.9), *scraps) == [False] * 9


@pytest.mark.parametrize(("sure", "kept"), [(0.9, True), (0.5, False), (0.3, False)])
def test_a_letter_that_stands_alone_must_be_sure(sure, kept):
    assert company((0, 0, 40, sure)) == [kept]


@pytest.mark.parametrize(("sure", "kept"), [(0.8, False), (0.995, True)])
def test_the_more_scraps_there_are_the_surer_a_lone_letter_must_be(sure, kept):
    scraps = [(900 + 50 * x, 50 * y, 40, 0.2) for x in range(10) for y in range(5)]
    assert company((0, 0, 40, sure))[0]
    assert company((0, 0, 40, sure), *scraps)[0] == kept


@pytest.mark.parametrize(("sure", "kept"), [(0.8, False), (0.995, True)])
def test_two_neighbours_in_a_sea_of_scraps_are_alone(sure, kept):
    scraps = [(900 + 50 * x, 50 * y, 40, 0.2) for x in range(10) for y in range(5)]
    assert company((0, 0, 40, sure), (50, 0, 40, sure), *scraps)[:2] == [kept, kept]


def test_dust_beside_letters_does_not_count_against_them():
    dust = [(x, 60, 6, 0.1) for x in range(0, 120, 10)]
    assert company((0, 0, 40, 0.9), (50, 0, 40, 0.9), *dust)[:2] == [True, True]


def test_scraps_far_from_all_letters_are_left_out():
    assert company((0, 0, 40, 0.9), (50, 0, 40, 0.9), (900, 0, 40, 0.2)) == [True, True, False]


def test_what_is_far_fainter_than_the_letters_is_left_out_and_pencil_is_not():
    letters = [(0, 0, 40, 0.9), (50, 0, 40, 0.9), (100, 0, 40, 0.9), (150, 0, 40, 0.9)]
    assert company(*letters, strengths=[200, 190, 195, 35]) == [True, True, True, False]
    assert company(*letters, strengths=[200, 190, 195, 90]) == [True, True, True, True]


def test_nothing_is_kept_of_nothing():
    assert company() == []
    assert company((0, 0, 40, 0.1), (50, 0, 40, 0.1)) == [False, False]
