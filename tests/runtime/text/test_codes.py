"""Digits beside letters: which of both a shape is, by the group that it stands in."""

import json

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime import Reader
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.page.find import Candidate
from lettercast.runtime.page.join import join_strokes
from lettercast.runtime.page.split import Reading, certainty
from lettercast.runtime.text import Page
from lettercast.runtime.text.codes import DIGITS, alphabet_of, best_of, digit_chances, settle_kinds
from lettercast.runtime.text.context import LABELS
from lettercast.train.data.drawing import draw_ink

BOTH = (*DIGITS, *LABELS)
# What a shape may be that looks like both, the likelier one first.
RING, STROKE, SNAKE, ZED = "O0", "1I", "S5", "Z2"


def rows(shapes: list[str], share: float = 0.55) -> np.ndarray:
    """Probabilities (n, 36) of shapes: the first character has the share, the second one the rest, or one alone nearly all."""
    seen = np.full((len(shapes), 36), 1e-4, np.float32)
    for i, shape in enumerate(shapes):
        seen[i, BOTH.index(shape[0])] = share if shape[1:] else 0.99
        if shape[1:]:
            seen[i, BOTH.index(shape[1])] = 1 - share
    return seen / seen.sum(1, keepdims=True)


def settled(shapes: list[str], share: float = 0.55) -> str:
    seen = rows(shapes, share)
    weighted = settle_kinds(seen, [slice(0, len(seen))], alphabet_of(BOTH), np.ones(len(seen), bool))
    assert weighted.sum(1) == pytest.approx(1, abs=1e-5)
    return "".join(BOTH[i] for i in weighted.argmax(1))


def fixed(labels: tuple[str, ...] = BOTH, reject_below: float = 0.0) -> Engine:
    """An engine to which all images look alike: an O or a 0."""
    facts = Facts("fixed", "tflite", labels, (28, 28, 1), "uint8", reject_below=reject_below)
    return Engine("fixed", facts, lambda images: np.repeat(rows([RING]), len(images), 0))


def page_of(pen, groups: list[list[str]], reject_below: float = 0.0, share: float = 0.55, **options) -> Page:
    """Read a line of groups of shapes; their ink is that of capitals."""
    x, readings, rng = 0, [], np.random.default_rng(0)
    for group in groups:
        for shape in group:
            label = LABELS.index(shape[0]) if shape[0] in LABELS else LABELS.index("O")
            ink = draw_ink(pen.sample(label, rng, True), 50, 5)
            box = (x, 10 + 60 - ink.shape[0], ink.shape[1], ink.shape[0])
            readings.append(Reading((Candidate(box, ink),), glyph(ink)[None, ..., None], rows([shape], share)))
            x += ink.shape[1] + 12
        x += 70
    lines = Reader(fixed(reject_below=reject_below), **options).compose(readings)
    return Page((x, 100), lines, 0.0, 0.0)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (["3", RING, "7"], "307"),
        (["F", "0O", "R"], "FOR"),
        ([STROKE, "9", RING, SNAKE], "1905"),
        ([STROKE, "N"], "IN"),
        (["B", RING, RING, "K"], "BOOK"),
        ([ZED, RING, ZED, "4"], "2024"),
        (["S", "0O", "S"], "SOS"),
    ],
)
def test_a_group_of_digits_makes_digits_and_a_group_of_letters_letters(shapes, text):
    assert settled(shapes) == text


@pytest.mark.parametrize("text", ["AB12", "3CD", "7UP", "4X4", "B2", "H2O", "90210", "LEARNLNG", "A1B2C3", "K9"])
def test_what_the_network_is_sure_of_stays(text):
    assert settled(list(text)) == text


@pytest.mark.parametrize(
    ("shapes", "text"),
    [(["A", "B", "4", RING], "AB40"), (["W", "0O", "B", "4", "7"], "WOB47"), (["7", "3", SNAKE, "4", "D"], "7354D")],
)
def test_in_a_group_of_both_the_nearest_characters_decide(shapes, text):
    assert settled(shapes) == text


@pytest.mark.parametrize(("shape", "read"), [("O0", "O"), ("0O", "0"), ("1I", "1"), ("I1", "I")])
def test_a_character_alone_stays_as_the_network_saw_it(shape, read):
    seen = rows([shape])
    alone = settle_kinds(seen, [slice(0, 1)], alphabet_of(BOTH), np.ones(1, bool))
    assert (alone == seen).all()
    assert BOTH[alone[0].argmax()] == read


def test_non_letters_say_nothing_about_their_group():
    seen = rows([RING, "4", "7"])
    known = settle_kinds(seen, [slice(0, 3)], alphabet_of(BOTH), np.ones(3, bool))
    unknown = settle_kinds(seen, [slice(0, 3)], alphabet_of(BOTH), np.array([True, False, False]))
    assert known[0, 0] > 0.8
    assert unknown[0].argmax() == BOTH.index("O")


def test_chances_of_a_long_group_stay_numbers():
    chances = digit_chances(np.tile([0.99, 0.01], 300))
    assert np.isfinite(chances).all()
    assert (chances[::2] > 0.5).all() and (chances[1::2] < 0.5).all()


def test_an_alphabet_is_a_to_z_with_or_without_all_digits_in_any_order():
    turned = alphabet_of(BOTH[::-1])
    assert turned is not None and BOTH[::-1][turned.digits[3]] == "3" and BOTH[::-1][turned.letters[2]] == "C"
    assert alphabet_of(LABELS) is not None and len(alphabet_of(LABELS).digits) == 0
    assert alphabet_of(LABELS[:-1]) is alphabet_of((*LABELS, "1")) is alphabet_of(DIGITS) is alphabet_of((*BOTH, "+")) is None


def test_look_alikes_count_as_one_class_only_for_models_of_both():
    seen = rows([RING, STROKE, "A", "3"], 0.5)
    assert best_of(seen, BOTH) == pytest.approx([0.99, 0.99, 0.99, 0.99], abs=0.02)
    assert (best_of(seen[:, 10:], LABELS) == seen[:, 10:].max(1)).all()
    bare = np.zeros((1, 36), np.float32)
    bare[0, [BOTH.index(name) for name in "1IL"]] = 0.3, 0.35, 0.3
    assert certainty(bare, BOTH) == pytest.approx(0.95)


def test_a_ring_is_no_non_letter_because_it_may_be_two_characters(pen):
    page = page_of(pen, [[RING]], reject_below=0.7)
    assert page.text == "O"
    assert page.letters[0].alternatives[0] == ("0", pytest.approx(0.45, abs=0.01))


def test_strokes_of_a_ring_are_joined_although_it_may_be_two_characters():
    half = np.full((60, 10), 200, np.uint8)
    parts = [Candidate((x, 0, 10, 60), half, (x, 0), 200) for x in (0, 16)]

    def classify(images):
        inked = [int((image.max((0, 2)) > 0).sum()) for image in images]
        return np.concatenate([rows([RING]) if count > 6 else np.full((1, 36), 1 / 36, np.float32) for count in inked])

    facts = Facts("fixed", "tflite", BOTH, (28, 28, 1), "uint8")
    assert len(join_strokes(Engine("fixed", facts, classify), parts)) == 1


def test_a_page_of_codes_has_digits_letters_and_the_other_guess(pen):
    page = page_of(pen, [["A", "B", STROKE, "2"], ["3", "C", "D"], ["R", "0O", "A", "D"], ["4", RING, "7"]])
    assert page.text == "AB12 3CD ROAD 407"
    ring = page.letters[12]
    assert (ring.letter, ring.alternatives[0][0]) == ("0", "O")
    assert json.loads(json.dumps(page.to_dict()))["lines"][0]["letters"][12]["letter"] == "0"


def test_digits_have_no_case(pen):
    page = page_of(pen, [["R", "O", "A", "D"], ["4", "0", "7"], ["A", "4"]], case="written")
    assert page.text.upper() == "ROAD 407 A4"
    assert page_of(pen, [list("1234")], case="written").text == "1234"


def test_a_language_weighs_groups_of_letters_only(pen):
    groups = [["L", "E", "A", "R", "N", "LI", "N", "G"], ["Q", "Z", "4", "XK"]]
    plain, english = page_of(pen, groups), page_of(pen, groups, language="en")
    assert english.text == "LEARNING QZ4X"
    assert plain.lines[0].words[1] == english.lines[0].words[1]
    assert english.letters[5].seen[0][0] == "L"


def test_a_list_of_words_may_hold_codes(pen):
    page = page_of(pen, [["A", "B", STROKE, "2"], ["R", "0O", "A", "D"]], words=["ab12", "road"])
    assert [word.listed for word in page.lines[0].words] == ["ab12", "road"]
    assert page_of(pen, [["4", "0", "7"]], words=["road"]).lines[0].words[0].listed is None


def test_labels_in_another_order_are_read_alike(pen):
    order = np.random.default_rng(3).permutation(36)
    labels = tuple(BOTH[i] for i in order)
    ink = draw_ink(pen.sample(LABELS.index("O"), np.random.default_rng(0), True), 50, 5)
    readings = [
        Reading((Candidate((70 * i, 0, 45, 50), ink),), glyph(ink)[None, ..., None], rows([shape])[:, order])
        for i, shape in enumerate(["4", RING, "7"])
    ]
    (line,) = Reader(fixed(labels)).compose(readings)
    assert line.text.replace(" ", "") == "407"


def test_models_of_other_labels_have_neither_case_nor_language():
    other = fixed((*BOTH[:-1], "+"))
    for options in ({"case": "written"}, {"language": "en"}):
        with pytest.raises(LettercastError, match="reads other labels than A to Z"):
            Reader(other, **options)
