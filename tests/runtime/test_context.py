import numpy as np

from lettercast.runtime.context import settle_strokes

LABELS = ["A", "I", "L", "T"]
LIKELY_L, LIKELY_I = [0.0, 0.3, 0.7, 0.0], [0.0, 0.8, 0.2, 0.0]
LETTER = [0.9, 0.0, 0.0, 0.1]
STROKE_BOX, LOW_BOX, HIGH_BOX = (0, 0, 10, 80), (20, 40, 40, 40), (20, 0, 60, 80)


def settled(stroke, neighbour, box=STROKE_BOX, labels=LABELS, neighbours=2):
    rows = np.array([stroke, *[LETTER] * neighbours], np.float32)
    return settle_strokes(rows, [box, *[neighbour] * neighbours], labels)


def test_a_stroke_as_high_as_its_neighbours_is_a_capital_i():
    assert settled(LIKELY_L, HIGH_BOX)[0].tolist() == np.float32([0.0, 0.7, 0.3, 0.0]).tolist()


def test_a_stroke_that_towers_over_its_neighbours_is_a_small_l():
    assert settled(LIKELY_I, LOW_BOX)[0].argmax() == LABELS.index("L")


def test_what_agrees_with_the_heights_stays_as_it_is():
    assert settled(LIKELY_I, HIGH_BOX)[0].tolist() == np.float32(LIKELY_I).tolist()


def test_an_l_with_a_foot_is_no_bare_stroke():
    assert settled(LIKELY_L, HIGH_BOX, box=(0, 0, 50, 80))[0].argmax() == LABELS.index("L")


def test_other_letters_and_lone_strokes_are_left_alone():
    assert settled(LIKELY_L, HIGH_BOX)[1:].argmax(1).tolist() == [0, 0]
    assert settled(LIKELY_L, HIGH_BOX, neighbours=1)[0].argmax() == LABELS.index("L")


def test_a_model_without_i_and_l_is_left_alone():
    labels = ["0", "1", "2", "3"]
    assert settled(LIKELY_L, HIGH_BOX, labels=labels)[0].argmax() == 2
