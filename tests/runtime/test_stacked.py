"""Letters of two lines that touch."""

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.page.find import Candidate, find_candidates
from lettercast.runtime.page.split import find_tall, split_across, split_stacked

ROWS = ("KMDAV", "XRSEZ")


def candidate(x: int, y: int, height: int, width: int = 40) -> Candidate:
    return Candidate((x, y, width, height), np.full((height, width), 200, np.uint8), (x, y))


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture
def touching(draw_page) -> np.ndarray:
    """Two lines whose third letters touch: D hangs down to S."""
    image, placed = draw_page(*ROWS, cell=84)
    ends = []
    for letter, last in ((placed[2][1], -1), (placed[7][1], 0)):
        x, y, w, h = letter
        rows, columns = np.nonzero(image[y : y + h, x : x + w, 0] < 60)
        ends.append((int(columns[last]) + x, int(rows[last]) + y))
    cv2.line(image, *ends, (20, 20, 20), 7)
    return image


def test_letters_of_two_lines_that_touch_are_read_in_their_lines(reader, touching):
    assert len(find_candidates(touching)) == 9
    assert reader.read(touching).text == "\n".join(ROWS)


def test_parts_lie_where_they_were_and_hold_the_ink_of_the_whole(reader, touching):
    candidates = find_candidates(touching)
    whole = max(candidates, key=lambda one: one.box[3])
    upper, lower = split_across(reader.engine, whole)
    assert upper.box[1] == whole.box[1]
    assert upper.box[3] + lower.box[3] == pytest.approx(whole.box[3], abs=4)
    assert not (upper.ink.astype(bool) & lower.ink.astype(bool)).any()


def test_only_what_towers_over_all_beside_it_is_tall():
    line = [candidate(50 * i, 0, 60) for i in range(6)]
    assert find_tall([*line, candidate(300, 0, 125)]).tolist() == [False] * 6 + [True]
    # A heading has several such letters, and of a few letters one may be large.
    assert not find_tall([*line, candidate(0, 200, 125), candidate(60, 200, 120)]).any()
    assert not find_tall([candidate(0, 0, 60), candidate(60, 0, 125)]).any()


def test_a_tall_letter_stays_whole(reader, draw_page):
    image, placed = draw_page("MDAHX", "RSEZK")
    x, y, w, h = placed[7][1]
    letter = image[y - 4 : y + h + 4, x - 4 : x + w + 4]
    page = cv2.copyMakeBorder(image, 0, 3 * h, 0, 0, cv2.BORDER_REPLICATE)
    large = cv2.resize(letter, None, fx=2, fy=2)
    page[image.shape[0] :][: large.shape[0], x : x + large.shape[1]] = large
    candidates = find_candidates(page)
    assert find_tall(candidates).sum() == 1
    assert len(split_stacked(reader.engine, candidates)) == len(candidates)
