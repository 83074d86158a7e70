"""Strokes of one letter with a gap between them."""

import cv2
import numpy as np
import pytest

from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.page.find import Candidate
from lettercast.runtime.page.join import join_strokes, near_pairs, near_triples, union
from lettercast.runtime.page.split import certainty


def engine(sure: dict[int, float]) -> Engine:
    """An engine whose confidence depends on the number of inked columns; 0.5 for all others."""

    def classify(images):
        widths = [int((image.max((0, 2)) > 0).sum()) for image in images]
        rows = [[sure.get(width, 0.5)] for width in widths]
        return np.array([[row[0], (1 - row[0]) / 2, (1 - row[0]) / 2] for row in rows], np.float32)

    return Engine("fixed", Facts("fixed", "tflite", ("K", "I", "L"), (28, 28, 1), "uint8"), classify)


def stroke(x: int, width: int, height: int = 60, y: int = 0) -> Candidate:
    """A filled bar with its ink."""
    return Candidate((x, y, width, height), np.full((height, width), 200, np.uint8), (x, y), 200)


def test_a_union_has_the_ink_of_both():
    whole = union(stroke(10, 8), stroke(30, 20, height=30, y=15))
    assert whole.box == (10, 0, 40, 60)
    assert whole.corner == (10, 0)
    assert (whole.ink[:, :8] == 200).all()
    assert (whole.ink[15:45, 20:] == 200).all()
    assert not whole.ink[:, 9:19].any()


def test_only_near_pairs_with_a_stroke_are_tried():
    boxes = np.array([(0, 0, 10, 60), (20, 0, 40, 60), (70, 0, 40, 60), (300, 0, 10, 60)], np.int64)
    assert near_pairs(boxes, 60.0) == [((0, 1), 10)]


def test_linked_strokes_are_tried_as_triples_and_whole_letters_never():
    # A stem with two bars, and a letter that is as near to the stem as the bars are.
    boxes = np.array([(0, 10, 8, 50), (10, 0, 40, 10), (12, 30, 25, 10), (-48, 0, 40, 60)], np.int64)
    pairs = near_pairs(boxes, 60.0)
    assert near_triples(boxes, 60.0, pairs) == [((0, 1, 2), 4)]
    # Too wide for one letter.
    assert near_triples(boxes * [2, 1, 1, 1], 30.0, near_pairs(boxes, 60.0)) == []


@pytest.mark.parametrize(("whole", "alone", "joined"), [(0.95, 0.4, True), (0.95, 0.95, False), (0.5, 0.2, False)])
def test_strokes_are_joined_if_the_letter_is_likelier_than_its_parts(whole, alone, joined):
    # In the 28x28 image a bar of 8 by 60 has 3 inked columns, one of 30 by 60 has 12, and both together have 16.
    model = engine({3: alone, 12: alone, 16: whole})
    candidates = join_strokes(model, [stroke(0, 8), stroke(18, 30)])
    assert len(candidates) == (1 if joined else 2)


def test_certainty_counts_i_and_l_as_one_class():
    rows = np.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], np.float32)
    assert certainty(rows, ("K", "I", "L")) == pytest.approx([0.9, 0.8])
    assert certainty(rows, ("a", "b", "c")) == pytest.approx([0.5, 0.8])


def test_the_gap_in_a_letter_is_closed_and_that_between_letters_is_not(reader, draw_page):
    image, placed = draw_page("HCDE")
    x, y, w, h = placed[0][1]
    image[y : y + h, x + w // 3 : x + w // 3 + 5] = image[0, 0]
    assert reader.read(image).text == "HCDE"


def test_an_f_whose_bars_touch_nothing_is_one_letter(reader):
    image = np.full((220, 520, 3), 230, np.uint8)
    for k, x in enumerate((60, 200, 340)):
        cv2.line(image, (x, 80), (x, 150), (40, 40, 40), 7)
        # The third F has gaps between its strokes.
        gap = 13 if k == 2 else 0
        cv2.line(image, (x + gap // 2, 76 - gap), (x + 48, 72 - gap), (40, 40, 40), 7)
        cv2.line(image, (x + gap, 112), (x + 36, 108), (40, 40, 40), 7)
    assert reader.read(image).text.replace(" ", "") == "FFF"


def test_no_candidate_and_a_single_one_are_unchanged():
    model = engine({})
    assert join_strokes(model, []) == []
    only = stroke(0, 8)
    assert join_strokes(model, [only]) == [only]
