"""Capital or small letter, by the shapes and the heights of all letters of a page."""

import json

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.scenes import PHONE_PX, Photo, Scene, photograph
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader
from lettercast.runtime.glyph import glyph
from lettercast.runtime.text.context import (
    LABELS,
    Evidence,
    Shapes,
    case_input,
    find_small,
    load_case,
    settle_case,
    settle_heights,
)
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


def shaped(text: str, heights: dict[str, float], capital: float = 0.5, size: int = 50) -> Shapes:
    """A line of words whose shapes tell nothing if capital is 0.5, with letters of these heights in heights of a capital."""
    letters = text.replace(" ", "")
    labels = np.array([LABELS.index(c.upper()) for c in letters])
    first = np.array([not i for word in text.split() for i, _ in enumerate(word)])
    boxes = [(60 * i, 0, 40, round(size * (1 if c.isupper() else heights.get(c, 0.62)))) for i, c in enumerate(letters)]
    return Shapes(labels, np.full((len(letters), 26), capital, np.float32), boxes, first)


def written(line: Shapes, small: np.ndarray) -> str:
    return "".join(LABELS[i].lower() if is_small else LABELS[i] for i, is_small in zip(line.labels, small, strict=True))


TALL_SMALL = {"h": 1.0, "l": 1.0, "k": 1.0, "d": 1.0, "p": 0.95, "y": 0.95, "t": 0.9, "i": 0.85}


@pytest.mark.parametrize("text", ["WORDS COUNT", "Words Count", "words hold", "Cows are"])
def test_heights_tell_the_case_of_letters_whose_shapes_do_not(text):
    line = shaped(text, TALL_SMALL)
    (small,) = find_small([line])
    assert written(line, small) == text.replace(" ", "")


def test_a_lone_letter_that_could_be_both_follows_its_page():
    for text, capital in (("SWAMP", 0.9), ("swamp", 0.1)):
        line = shaped(text, TALL_SMALL, capital)
        alone = shaped("X" if text.isupper() else "x", TALL_SMALL)
        assert find_small([line, line, alone])[2].tolist() == [text.islower()]


def test_non_letters_and_empty_lines_have_no_case():
    nothing = Shapes(np.array([-1, -1]), np.full((2, 26), 0.5, np.float32), [(0, 0, 9, 9)] * 2, np.array([True, False]))
    assert [len(small) for small in find_small([nothing, shaped("AB", {}, 0.9)])] == [2, 2]
    assert find_small([]) == []
    assert not find_small([nothing])[0].any()


@pytest.fixture(scope="module")
def mixed_page(pen) -> Photo:
    writer, camera = np.random.default_rng(3), np.random.default_rng(4)
    text = ["Anna Berg", "GARDEN", "red house"]
    return photograph(PenHand(pen), Scene(), PHONE_PX, writer=writer, camera=camera, text=text)


def test_a_page_is_given_in_the_case_that_was_written(mixed_page):
    page, capitals = Reader(case="written", words=["Berg"]).read(mixed_page.image), Reader().read(mixed_page.image)
    assert capitals.text == page.text.upper() and capitals.text.isupper()
    read, true = page.text.replace(" ", "").replace("\n", ""), mixed_page.text.replace(" ", "").replace("\n", "")
    assert len(read) == len(true)
    pairs = [(a, b) for a, b in zip(read, true, strict=True) if a.upper() == b.upper()]
    assert len(pairs) >= 0.8 * len(true)
    assert sum(a == b for a, b in pairs) >= 0.9 * len(pairs)
    # Alternatives have the case of their letter, and the rest is the same.
    for letter, other in zip(page.letters, capitals.letters, strict=True):
        assert (letter.confidence, letter.box) == (other.confidence, other.box)
        assert all(name.islower() == letter.letter.islower() for name, _ in letter.alternatives)


def test_the_command_gives_the_written_case(lettercast, mixed_page, tmp_path):
    cv2.imwrite(str(tmp_path / "mixed.png"), mixed_page.image)
    shown = [json.loads(lettercast("read", "mixed.png", "--json", *case)[1])["text"] for case in ((), ("--case", "written"))]
    assert shown[0].isupper() and not shown[1].isupper()
    assert shown[1].upper() == shown[0]


def test_an_unknown_case_is_refused(refused):
    with pytest.raises(LettercastError, match="case lower: no such case; use upper or written"):
        Reader(case="lower")
    assert "choose from upper, written" in refused("read", "--case", "lower")
