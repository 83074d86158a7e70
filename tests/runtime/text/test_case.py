"""Capital or small letter, by the shapes and the heights of all letters of a page."""

import numpy as np
import pytest

from lettercast.runtime.glyph import glyph
from lettercast.runtime.text.context import LABELS, Evidence, case_input, load_case, settle_case, settle_heights
from lettercast.train.data.drawing import draw_ink

STROKE, TALL = LABELS.index("I"), LABELS.index("L")


def images_of(pen, letters: str, seed: int = 0) -> np.ndarray:
    """The images (n, 28, 28, 1) of letters of the pen, each in its given case."""
    rng = np.random.default_rng(seed)
    drawn = [draw_ink(pen.sample(LABELS.index(c.upper()), rng, c.isupper()), 70, 6) for c in letters]
    return np.stack([glyph(ink) for ink in drawn])[..., None]


def line(sure_capitals: float, count: int = 4) -> Evidence:
    """A bare stroke, equally likely I and l, after letters that are capitals with this chance."""
    probabilities = np.full((count + 1, 26), 1e-4, np.float32)
    probabilities[:count, LABELS.index("G")] = 1
    probabilities[count, [STROKE, TALL]] = 0.5
    capital = np.full((count + 1, 26), sure_capitals, np.float32)
    capital[count, STROKE], capital[count, TALL] = 0.9, 0.1
    return Evidence(probabilities, capital, np.arange(count + 1) == 0)


@pytest.mark.parametrize(("sure", "letter"), [(0.95, STROKE), (0.05, TALL)])
def test_a_bare_stroke_is_i_among_capitals_and_l_among_small_letters(sure, letter):
    (settled,) = settle_case([line(sure)])
    assert settled[-1].argmax() == letter
    assert settled[-1, letter] > 0.75
    assert settled.sum(1) == pytest.approx(1, abs=1e-5)


def test_shapes_without_a_case_change_nothing():
    (settled,) = settle_case([line(0.5)])
    assert settled[-1, STROKE] == pytest.approx(settled[-1, TALL], abs=0.01)


def test_a_line_without_a_case_follows_its_page():
    alone = settle_case([line(0.5)])[0]
    among = settle_case([line(0.95), line(0.5), line(0.95)])[1]
    assert among[-1, STROKE] > alone[-1, STROKE] + 0.2


def test_a_heading_in_capitals_keeps_its_case_above_small_lines():
    settled = settle_case([line(0.95, count=8), line(0.05), line(0.05)])
    assert [rows[-1].argmax() for rows in settled] == [STROKE, TALL, TALL]


def test_a_word_may_begin_with_a_capital_among_small_letters():
    evidence = line(0.05)
    evidence.probabilities[0] = 1e-4
    evidence.probabilities[0, [STROKE, TALL]] = 0.5
    evidence.capital[0, STROKE], evidence.capital[0, TALL] = 0.9, 0.1
    (settled,) = settle_case([evidence])
    assert settled[0, STROKE] > 2 * settled[-1, STROKE]


def test_the_network_finds_the_case_of_the_pens_letters(pen):
    letters = "ABDEGHNQRT" * 10
    columns = [LABELS.index(letter) for letter in letters]
    upper = load_case().capital(images_of(pen, letters))[np.arange(100), columns]
    lower = load_case().capital(images_of(pen, letters.lower()))[np.arange(100), columns]
    assert (upper > 0.5).mean() > 0.85
    assert (lower < 0.5).mean() > 0.85


def test_the_network_sees_blocks_of_four_pixels():
    picture = np.zeros((1, 28, 28, 1), np.uint8)
    picture[0, 2:4, 4:6] = 255
    seen = case_input(picture)
    assert seen.shape == (1, 196)
    assert np.flatnonzero(seen).tolist() == [14 + 2]
    assert seen.max() == 1


def test_impossible_letters_do_not_divide_by_zero():
    """Letters that are impossible in either case, and rows without any probability, are no error."""
    sure = line(1.0, count=200)
    impossible = Evidence(sure.probabilities, np.where(sure.probabilities == 0.5, 0.0, 1.0).astype(np.float32), sure.first)
    empty = Evidence(np.zeros((3, 26), np.float32), np.full((3, 26), 0.5, np.float32), np.zeros(3, bool))
    with np.errstate(all="raise"):
        settled, nothing = settle_case([impossible, empty])
    assert settled.sum(1) == pytest.approx(1, abs=1e-5)
    assert not nothing.any()


# Heights in pixels of copybook letters.
TALL_PX, LOW_PX, DOTTED_PX = 80, 50, 68


def letters_with_one_doubt(text: str, doubtful: int, stroke: float = 0.5) -> np.ndarray:
    """Probabilities of letters that were read with certainty, except one, which is an I or an L."""
    rows = np.full((len(text), 26), 1e-3, np.float32)
    rows[np.arange(len(text)), [LABELS.index(letter) for letter in text]] = 1
    rows[doubtful] = 1e-3
    rows[doubtful, [STROKE, TALL]] = stroke, 1 - stroke
    return rows / rows.sum(1, keepdims=True)


def settle(rows: np.ndarray, heights: list[int]) -> np.ndarray:
    boxes = [(60 * i, 0, 40, height) for i, height in enumerate(heights)]
    return settle_heights(rows, boxes, np.arange(len(rows)) == 0)


@pytest.mark.parametrize(("height", "letter"), [(TALL_PX, TALL), (DOTTED_PX - 10, STROKE)])
def test_among_small_letters_a_high_stroke_is_l_and_a_low_one_i(height, letter):
    rows = settle(letters_with_one_doubt("HANILS", 3), [TALL_PX, LOW_PX, LOW_PX, height, TALL_PX, LOW_PX])
    assert rows[3].argmax() == letter
    assert rows[3, letter] > 0.54
    assert rows.sum(1) == pytest.approx(1, abs=1e-5)


def test_words_of_high_letters_keep_their_l():
    rows = settle(letters_with_one_doubt("LITTLE", 4), [TALL_PX, DOTTED_PX, 72, 72, TALL_PX, LOW_PX])
    assert rows[4, TALL] > 0.54


def test_among_capitals_heights_change_nothing():
    before = letters_with_one_doubt("HANILS", 3)
    after = settle(before, [80, 84, 77, 82, 79, 80])
    assert after == pytest.approx(before, abs=0.02)


def test_the_first_letter_of_a_word_may_be_a_capital():
    heights = [TALL_PX, LOW_PX, LOW_PX, LOW_PX, LOW_PX]
    first = settle(letters_with_one_doubt("CNOAS", 0, 0.7), heights)
    later = settle(letters_with_one_doubt("NCOAS", 1, 0.7), [LOW_PX, TALL_PX, *heights[2:]])
    assert first[0, STROKE] > later[1, STROKE]


def test_the_heights_of_two_letters_change_nothing():
    before = letters_with_one_doubt("AI", 1)
    assert settle(before, [LOW_PX, TALL_PX]).tolist() == before.tolist()


def test_heights_of_impossible_letters_do_not_divide_by_zero():
    with np.errstate(all="raise"):
        settled = settle_heights(np.zeros((4, 26), np.float32), [(40 * i, 0, 30, 40) for i in range(4)], np.zeros(4, bool))
    assert not settled.any()
