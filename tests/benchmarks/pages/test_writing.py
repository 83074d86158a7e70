"""Words and letters on a flat sheet, and the hands that write them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.writing import Layout, PenHand, RealHand, invent_words, open_hands, shape, write_page
from lettercast.train.data.open import open_source
from lettercast.train.data.strokes import load_strokes, save_strokes

SIZE = (1280, 960)
STILL = Layout(jitter=0, climb=0, size_spread=0)


@pytest.fixture(scope="module")
def hand(pen):
    return PenHand(pen)


def write(hand, layout=STILL, text=(), seed=0):
    return write_page(hand, layout, SIZE, np.random.default_rng(seed), text)


def bounds(one):
    points = np.concatenate(one.strokes)
    return points.min(0), points.max(0)


def test_the_text_keeps_words_and_lines(hand):
    assert write(hand, text=["AB cD", "e"]).text == "AB cD\ne"


def test_other_characters_than_letters_and_digits_are_left_out(hand):
    assert write(hand, text=["A-7B", "\u00c4\u0663X"]).text == "A7B\nX"


def test_digits_are_as_high_as_capitals_and_written_in_several_ways(hand):
    page = write(hand, replace(STILL, jitter=0), text=["7" * 12])
    assert [np.ptp(np.concatenate(one.strokes)[:, 1]) for one in page.letters] == pytest.approx([STILL.size] * 12, rel=0.01)
    # With a bar and without.
    assert {len(one.strokes) for one in page.letters} == {1, 2}


def test_a_writer_writes_own_digits_and_the_pens_in_place_of_missing_ones(tmp_path):
    bar = [np.array([[0, 0], [0, 100]])]
    save_strokes(tmp_path / "own.npz", [bar, bar], [1, 3], classes=["0", "1", "B", "C"], upper=[False, True])
    hand = RealHand(open_source(tmp_path / "own.npz", "train").strokes, ("0", "1", "B", "C"))
    rng = np.random.default_rng(0)
    assert (hand.letters(True), hand.letters(False)) == (("C",), ())
    assert np.array_equal(hand.strokes("1", rng)[0], bar[0]) and np.array_equal(hand.strokes("C", rng)[0], bar[0])
    assert len(hand.strokes("8", rng)[0]) > 10


def test_codes_are_capitals_and_digits_without_letters_that_look_like_digits(hand):
    words = invent_words(hand, "codes", 600, np.random.default_rng(0))
    assert sum(map(len, words)) == 600
    assert {*"".join(words)} == {*"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    mixed = [word for word in words if not word.isalpha() and not word.isdigit()]
    assert len(mixed) > 50 and not {*"IOQ"} & {*"".join(mixed)}


def test_invented_words_have_the_given_number_of_letters(hand):
    page = write(hand, replace(STILL, max_letters=30))
    assert len(page.letters) == 30
    assert " " in page.text and "\n" in page.text


def test_letters_stay_between_the_margins(hand):
    for layout in (STILL, replace(STILL, size=150), replace(STILL, line_spread=0.3)):
        points = np.concatenate([s for one in write(hand, layout).letters for s in one.strokes])
        assert points[:, 0].min() >= layout.margin * SIZE[0] - 1
        assert points[:, 0].max() <= (1 - layout.margin) * SIZE[0] + 1
        assert points[:, 1].min() > 0 and points[:, 1].max() < SIZE[1]


def test_another_layout_has_the_same_letters_at_other_places(hand):
    wide, tight = write(hand), write(hand, replace(STILL, spacing=0.1))
    assert "".join(wide.text.split()) == "".join(tight.text.split())
    for a, b in zip(wide.letters, tight.letters, strict=True):
        assert np.allclose(np.ptp(np.concatenate(a.strokes), 0), np.ptp(np.concatenate(b.strokes), 0), atol=0.01)


@pytest.mark.parametrize(("case", "is_upper"), [("upper", [True] * 3), ("title", [True, False, False]), ("lower", [False] * 3)])
def test_words_have_the_case_of_the_layout(hand, case, is_upper):
    words = [word for word in invent_words(hand, case, 60, np.random.default_rng(0)) if len(word) >= 3]
    assert words
    assert all([letter.isupper() for letter in word[:3]] == is_upper for word in words)


def test_small_letters_are_smaller_and_some_hang_below_the_line(hand):
    rng = np.random.default_rng(0)
    heights = {one: np.ptp(np.concatenate(shape(hand, one, rng))[:, 1]) for one in "Aol"}
    assert 0.5 < heights["o"] < 0.7
    assert heights["l"] == pytest.approx(1, abs=0.05)
    assert heights["A"] == pytest.approx(1, abs=0.05)
    assert np.concatenate(shape(hand, "g", rng))[:, 1].max() > 0.2
    assert np.concatenate(shape(hand, "A", rng))[:, 1].max() < 0.05


def test_touching_letters_have_no_white_column_between_them(hand):
    def white(layout):
        letters = write(hand, layout, ["NHMUNHMU"]).letters
        return [bounds(b)[0][0] - bounds(a)[1][0] for a, b in pairwise(letters)]

    assert min(white(STILL)) > 0.1 * STILL.size
    assert max(white(replace(STILL, touching=1.0))) < 0.02 * STILL.size


def test_tails_reach_further_down(hand):
    short, long = (write(hand, replace(STILL, tail=tail), ["Jg AJ"]).letters for tail in (0.0, 0.8))
    drops = [bounds(b)[1][1] - bounds(a)[1][1] for a, b in zip(short, long, strict=True)]
    assert drops == pytest.approx([0.8 * STILL.size, 0.8 * STILL.size, 0, 0.8 * STILL.size], abs=0.1)
    assert [bounds(a)[0][1] for a in short] == pytest.approx([bounds(b)[0][1] for b in long])


def test_odd_letters_are_taller_or_lower_than_their_neighbours(hand):
    page = write(hand, replace(STILL, odd=0.5, odd_size=2.0), ["EEEEEEEEEE", "EEEEEEEEEE"])
    heights = np.array([np.ptp(np.concatenate(one.strokes)[:, 1]) for one in page.letters])
    sizes = np.log2(heights / np.median(heights)).round()
    assert set(sizes) == {-1, 0, 1}


def test_a_cell_holds_one_letter(hand):
    page = write(hand, replace(STILL, cells=True, pitch=2.3))
    assert " " not in page.text
    for line in page.lines:
        for one, left, right in zip(line[0], page.columns, page.columns[1:], strict=False):
            low, high = bounds(one)
            assert left < low[0] and high[0] < right


@pytest.fixture
def two_writers(strokes_arrays, tmp_path):
    """Validation letters in both cases: writer 11 has all of them, writer 12 only As."""
    chosen = {**strokes_arrays, "split": np.ones_like(strokes_arrays["split"])}
    chosen["upper"] = np.arange(len(chosen["label"])) // 26 % 2 == 0
    chosen["writer"] = np.where((chosen["label"] == 0) & (np.arange(len(chosen["label"])) > 600), 12, 11)
    path = tmp_path / "writers.npz"
    np.savez(path, **chosen)
    return path


def test_the_pen_writes_every_letter(pen):
    hand = PenHand(pen)
    assert len(hand.letters(True)) == len(hand.letters(False)) == 26
    assert all(stroke.shape[1] == 2 for stroke in hand.strokes("q", np.random.default_rng(0)))


def test_a_writer_with_few_letters_writes_no_page(two_writers):
    (hand,) = open_hands(str(two_writers), "val")
    assert isinstance(hand, RealHand)
    assert set(hand.own.writer) == {11}


def test_a_hand_writes_a_letter_of_its_writer(two_writers):
    (hand,) = open_hands(str(two_writers), "val")
    with np.load(two_writers) as file:
        strokes = load_strokes(two_writers, dict(file))
    written = hand.strokes("b", np.random.default_rng(1))
    same = [i for i in range(len(strokes)) if strokes.label[i] == 1 and not strokes.upper[i]]
    assert any(np.array_equal(np.concatenate(written), np.concatenate(strokes.letter(i))) for i in same)


def test_strokes_without_small_letters_are_refused(strokes_file):
    with pytest.raises(LettercastError, match="small letters"):
        open_hands(str(strokes_file), "val")


def test_images_are_refused_as_handwriting(tmp_path):
    np.savez(tmp_path / "images.npz", image=np.zeros((2, 28, 28), np.uint8), label=[0, 1], split=[1, 1])
    with pytest.raises(LettercastError, match="only pen or an"):
        open_hands(str(tmp_path / "images.npz"), "val")
