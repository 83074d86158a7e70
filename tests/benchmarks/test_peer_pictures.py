"""What readers of text are shown, and what is made of what they say."""

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.peers.ocr import LETTER_PX, LOOK_ALIKES, even_light, in_rows, letter_picture, letters_only


def test_only_letters_count_and_digits_that_look_like_letters_where_that_is_asked_for():
    assert letters_only(" a.b\n\n7 -\nC1") == "AB\nC"
    assert letters_only("K0LM1", LOOK_ALIKES) == "KOLMI"
    assert letters_only("\N{FULLWIDTH LATIN CAPITAL LETTER A}B\N{CJK UNIFIED IDEOGRAPH-4E86}") == "AB"


def test_letters_that_dance_on_a_line_stay_in_it():
    def box(x: float, y: float) -> np.ndarray:
        return np.array([[x, y], [x + 40, y], [x + 40, y + 60], [x, y + 60]])

    boxes = [box(100, 0), box(0, 18), box(200, 12), box(0, 90), box(100, 75)]
    assert in_rows(boxes, list("BACDE")) == "ABC\nDE"


def test_a_shadow_is_gone_and_the_writing_stays():
    page = np.full((400, 600), 220, np.uint8)
    page[:, 300:] = 110
    for x in (150, 450):
        cv2.putText(page, "A", (x, 250), cv2.FONT_HERSHEY_DUPLEX, 3.0, 20, 8)
    even = even_light(page)
    paper = [np.median(even[:, part]) for part in (slice(0, 250), slice(350, 600))]
    assert min(paper) > 240
    assert (even[180:250, 150:220] < 100).sum() > 300
    assert (even[180:250, 450:520] < 100).sum() > 300


@pytest.mark.parametrize("side", [28, 200])
def test_a_letter_is_shown_black_on_white_at_the_height_of_a_line_whatever_its_size(side):
    ink = np.zeros((side, side), np.uint8)
    ink[side // 4 : side // 2, side // 4 : side // 3] = 255
    picture = letter_picture(ink)
    dark = cv2.boundingRect((picture < 128).astype(np.uint8))
    assert dark[3] == pytest.approx(LETTER_PX, abs=2)
    assert picture[0].min() == picture[:, 0].min() == 255
    assert picture.min() < 20


def test_a_picture_without_ink_is_shown_as_paper():
    assert letter_picture(np.zeros((28, 28), np.uint8)).min() == 255
