"""Letters by their height among those of their line."""

import numpy as np
import pytest

from lettercast.runtime.text.context import LABELS, settle_heights

STROKE, TALL = LABELS.index("I"), LABELS.index("L")
# Heights in pixels of copybook letters.
TALL_PX, LOW_PX, DOTTED_PX = 80, 50, 68


def line(text: str, doubtful: int, stroke: float = 0.5) -> np.ndarray:
    """Letters read for sure, and one that is an I with a chance, or else an L."""
    rows = np.full((len(text), 26), 1e-3, np.float32)
    rows[np.arange(len(text)), [LABELS.index(letter) for letter in text]] = 1
    rows[doubtful] = 1e-3
    rows[doubtful, [STROKE, TALL]] = stroke, 1 - stroke
    return rows / rows.sum(1, keepdims=True)


def settled(rows: np.ndarray, heights: list[int]) -> np.ndarray:
    boxes = [(60 * i, 0, 40, height) for i, height in enumerate(heights)]
    return settle_heights(rows, boxes, np.arange(len(rows)) == 0)


@pytest.mark.parametrize(("height", "letter"), [(TALL_PX, TALL), (DOTTED_PX - 10, STROKE)])
def test_among_small_letters_a_tall_stroke_is_l_and_a_lower_one_i(height, letter):
    rows = settled(line("HANILS", 3), [TALL_PX, LOW_PX, LOW_PX, height, TALL_PX, LOW_PX])
    assert rows[3].argmax() == letter
    assert rows[3, letter] > 0.54
    assert rows.sum(1) == pytest.approx(1, abs=1e-5)


def test_words_full_of_tall_letters_keep_their_l():
    rows = settled(line("LITTLE", 4), [TALL_PX, DOTTED_PX, 72, 72, TALL_PX, LOW_PX])
    assert rows[4, TALL] > 0.54


def test_among_capitals_heights_say_nothing():
    before = line("HANILS", 3)
    after = settled(before, [80, 84, 77, 82, 79, 80])
    assert after == pytest.approx(before, abs=0.02)


def test_the_first_letter_of_a_word_may_be_a_capital():
    heights = [TALL_PX, LOW_PX, LOW_PX, LOW_PX, LOW_PX]
    first, later = settled(line("CNOAS", 0, 0.7), heights), settled(line("NCOAS", 1, 0.7), [LOW_PX, TALL_PX, *heights[2:]])
    assert first[0, STROKE] > later[1, STROKE]


def test_two_letters_say_nothing():
    before = line("AI", 1)
    assert settled(before, [LOW_PX, TALL_PX]).tolist() == before.tolist()


def test_rows_without_any_probability_divide_by_nothing():
    with np.errstate(all="raise"):
        settled = settle_heights(np.zeros((4, 26), np.float32), [(40 * i, 0, 30, 40) for i in range(4)], np.zeros(4, bool))
    assert not settled.any()
