"""An image in, lines of letters out: reading, second looks at doubtful letters, and rejection by neighbours."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader, Tracker
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.page.find import Candidate
from lettercast.runtime.reader import LOOK_TUNING, keep_by_neighbours, look_again, seen_from
from lettercast.runtime.sources.images import read_image

ROWS = ("ABCD", "OMRS")


def fixed(*probabilities: float) -> Engine:
    """An engine that gives every letter the same probabilities for the labels a, b, c, ..."""
    labels = tuple("abcdefghij"[: len(probabilities)])
    facts = Facts("fixed", "tflite", labels, (28, 28, 1), "uint8")
    return Engine("fixed", facts, lambda images: np.tile(np.array(probabilities, np.float32), (len(images), 1)))


def test_a_drawn_page_is_read_line_by_line(reader, draw_page):
    image, placed = draw_page(*ROWS)
    page = reader.read(image)
    assert page.text == "\n".join(ROWS)
    assert page.size == (image.shape[1], image.shape[0])
    assert len([letter for line in page.lines for letter in line.letters]) == len(placed)


def test_grey_colour_and_transparent_images_give_the_same_lines(reader, draw_page):
    image, _ = draw_page(*ROWS)
    lines = reader.read(image).lines
    assert reader.read(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).lines == lines
    assert reader.read(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)).lines == lines


def test_labels_and_confidence_are_those_of_the_model(draw_page):
    page = Reader(fixed(0.05, 0.9, 0.005, 0.045)).read(draw_page("AB")[0])
    assert page.text == "bb"
    letter = page.lines[0].letters[0]
    assert letter.confidence == pytest.approx(0.9)
    assert [name for name, _ in letter.alternatives] == ["a", "d"]


def test_alternatives_are_three_at_most_the_likeliest_first(draw_page):
    page = Reader(fixed(0.1, 0.3, 0.15, 0.25, 0.2)).read(draw_page("A")[0])
    names = [name for name, _ in page.lines[0].letters[0].alternatives]
    assert (page.text, names) == ("b", ["d", "e", "c"])


def test_an_empty_page_has_no_lines(reader):
    page = reader.read(np.full((200, 300, 3), 240, np.uint8))
    assert (page.text, page.lines) == ("", ())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 9), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros(9, np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        np.zeros((9, 9, 2), np.uint8),
        np.zeros((9, 9, 5), np.uint8),
    ],
)
def test_an_array_of_another_shape_or_type_raises_value_error(reader, image):
    with pytest.raises(ValueError, match="an image is"):
        reader.read(image)


def test_no_array_raises_type_error_with_a_hint_for_none(reader):
    with pytest.raises(TypeError, match=r"cv2\.imread returns None"):
        reader.read(None)
    with pytest.raises(TypeError, match=r"a NumPy array .* not list"):
        reader.read([[1, 2], [3, 4]])


@pytest.mark.parametrize(("height", "thickness"), [(40, 3), (60, 4), (120, 8)])
def test_a_page_of_bare_strokes_is_read(reader, height, thickness):
    page = np.full((300, 700, 3), 235, np.uint8)
    for x in range(60, 620, 70):
        cv2.line(page, (x, 60), (x, 60 + height), (20, 20, 20), thickness, cv2.LINE_AA)
    text = reader.read(page).text.replace(" ", "")
    assert len(text) == 8
    assert set(text) <= set("IL")


def test_a_bare_stroke_by_itself_is_read(reader):
    page = np.full((200, 200, 3), 235, np.uint8)
    cv2.line(page, (100, 50), (100, 150), (20, 20, 20), 10, cv2.LINE_AA)
    (letter,) = reader.read(page).letters
    assert {letter.letter, letter.alternatives[0][0]} == {"I", "L"}


def test_json_has_the_documented_keys(reader, draw_page):
    page = reader.read(draw_page("AB")[0]).to_dict()
    assert list(page) == ["size", "text", "lines", "left_out", "ms"]
    assert list(page["ms"]) == ["segment", "classify", "total"]
    assert list(page["lines"][0]) == ["text", "letters"]
    assert list(page["lines"][0]["letters"][0]) == ["letter", "confidence", "box", "alternatives"]


def test_times_of_the_stages_add_up_to_the_total(reader, draw_page):
    ms = reader.read(draw_page("AB")[0]).to_dict()["ms"]
    assert ms["segment"] + ms["classify"] == pytest.approx(ms["total"], abs=0.002)


def test_shipped_model_reads_phone_photographs_of_letters(shared, reader):
    from lettercast.train.data.open import open_source

    source = open_source(str(shared / "phone_crops"), "val")
    rows = reader.engine(np.stack([glyph(ink) for ink in source.inks])[..., None])
    assert (rows.argmax(1) == source.labels).mean() >= 0.95


def test_shipped_model_reads_a_photographed_card(shared, reader):
    assert len(reader.read(read_image(shared / "cards" / "2024_frame_1.jpg")).lines) == 3


def test_an_unknown_letter_has_all_labels_as_alternatives(draw_page):
    engine = fixed(0.4, 0.35, 0.25)
    unsure = Engine("unsure", replace(engine.facts, reject_below=0.45), engine)
    nothing = Candidate((0, 0, 9, 9), np.zeros((9, 9), np.uint8))
    row = np.array([[0.4, 0.35, 0.25]], np.float32)
    (letter,) = Reader(unsure)._letters(row, row, [nothing], np.array([False]))
    assert letter.letter == "?"
    assert [name for name, _ in letter.alternatives] == ["a", "b", "c"]


def test_only_letters_that_a_language_changes_keep_what_was_seen():
    seen, weighed = (
        np.array([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], np.float32),
        np.array([[0.2, 0.8, 0.0], [0.6, 0.3, 0.1]], np.float32),
    )
    nothing = [Candidate((x, 0, 9, 9), np.zeros((9, 9), np.uint8)) for x in (0, 10)]
    reader = Reader(fixed(0.6, 0.4, 0.0))
    changed, same = reader._letters(seen, weighed, nothing, np.array([True, True]))
    assert (changed.letter, changed.confidence, changed.seen[0]) == ("b", np.float32(0.8), ("a", np.float32(0.6)))
    assert (same.letter, same.confidence, same.seen) == ("a", np.float32(0.5), ())
    assert same.alternatives == (("b", np.float32(0.3)), ("c", np.float32(0.2)))
    unknown = reader._letters(seen, weighed, nothing, np.array([False, False]))[0]
    assert (unknown.letter, unknown.confidence, unknown.seen) == ("?", np.float32(0.6), ())


def test_candidates_of_gravel_are_not_split(reader):
    """Every stone may be several letters that touch, and splitting a page of them would take a second."""
    rng = np.random.default_rng(0)
    image = np.full((960, 1280, 3), 200, np.uint8)
    for x, y in np.mgrid[30:1260:50, 30:930:50].reshape(2, -1).T.tolist():
        stone = np.array([x, y]) + rng.integers((-23, -14), (23, 14), (9, 2))
        cv2.fillPoly(image, [stone.astype(np.int32)], (60, 60, 60))
    classified = []
    counted = Reader(
        Engine("counted", reader.engine.facts, lambda images: classified.append(len(images)) or reader.engine(images))
    )
    candidates = counted.find(image)
    classified.clear()
    counted.recognize(candidates)
    assert len(candidates) > 300
    assert sum(classified) < 2 * len(candidates)


@pytest.mark.parametrize("kind", ["touching letters", "long tails", "crowded lines"])
def test_a_page_asks_a_few_times_and_once_for_each_image(reader, pen, kind):
    image = take_page([PenHand(pen)], kind, "strong", 0, seed=3).image
    asked = []
    counted = Reader(Engine("counted", reader.engine.facts, lambda images: asked.append(images) or reader.engine(images)))
    assert counted.read(image).lines == reader.read(image).lines
    images = [one.tobytes() for one in np.concatenate(asked)]
    assert len(images) == len(set(images)) > 20
    assert len(asked) <= 8


def engine(answers: list[list[float]], asked: list) -> Engine:
    """An engine that returns these outputs one after the other and records its inputs."""

    def classify(images):
        asked.append(images)
        return np.resize(np.array(answers, np.float32), (len(images), 2))

    return Engine("fixed", Facts("fixed", "tflite", ("a", "b"), (28, 28, 1), "uint8"), classify)


@pytest.fixture
def ink() -> np.ndarray:
    """A slanted stroke."""
    return (255 * np.eye(40)).astype(np.uint8)


def test_only_doubtful_letters_get_a_second_look(ink):
    asked = []
    before = np.array([[LOOK_TUNING.max_confidence, 1 - LOOK_TUNING.max_confidence], [0.6, 0.4], [0.05, 0.95]], np.float32)
    after = look_again(engine([[0.2, 0.8]], asked), [ink] * 3, before)
    assert [len(images) for images in asked] == [len(LOOK_TUNING.views)]
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def test_a_second_look_averages_all_views(ink):
    before = np.array([[0.6, 0.4]], np.float32)
    after = look_again(engine([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]], []), [ink], before)
    assert after[0] == pytest.approx([0.3, 0.7])
    assert before[0] == pytest.approx([0.6, 0.4])


def test_without_doubtful_letters_nothing_is_classified_again(ink):
    asked = []
    look_again(engine([[0.5, 0.5]], asked), [], np.zeros((0, 2), np.float32))
    look_again(engine([[0.5, 0.5]], asked), [ink], np.array([[0.99, 0.01]], np.float32))
    assert asked == []


@pytest.mark.parametrize("view", LOOK_TUNING.views)
def test_a_view_contains_all_of_the_ink(ink, view):
    padded = np.pad(ink, 20)
    assert seen_from(ink, view).sum() == pytest.approx(seen_from(padded, view).sum(), rel=0.02)


def test_the_first_two_views_are_turned_to_opposite_sides(ink):
    stroke = np.zeros((60, 60), np.uint8)
    stroke[5:55, 29:31] = 255
    leaning = [np.polyfit(*np.nonzero(seen_from(stroke, view) > 100), 1)[0] for view in LOOK_TUNING.views]
    assert leaning[0] * leaning[1] < 0
    assert abs(leaning[0]) == pytest.approx(LOOK_TUNING.turn_rad, abs=0.02)
    assert leaning[2] == pytest.approx(0, abs=0.01)


REJECT = 0.45


def kept(*pieces: tuple[int, int, int, float], strengths: list[int] | None = None) -> list[bool]:
    """Which candidates (x, y, size, confidence) are kept."""
    boxes = [(x, y, size // 2, size) for x, y, size, _ in pieces]
    sure = np.array([certainty for *_, certainty in pieces], np.float32)
    return keep_by_neighbours(boxes, np.array(strengths or [200] * len(pieces)), sure, REJECT).tolist()


def test_letters_in_a_row_are_kept_and_so_is_an_unknown_one_among_them():
    assert kept((0, 0, 40, 0.9), (50, 0, 40, 0.2), (100, 0, 40, 0.9)) == [True, True, True]


def test_a_letter_among_non_letters_is_rejected():
    others = [(x, y, 40, 0.2) for x in (0, 50, 100) for y in (0, 50, 100) if (x, y) != (50, 50)]
    assert kept((50, 50, 40, 0.9), *others) == [False] * 9


@pytest.mark.parametrize(("sure", "is_kept"), [(0.9, True), (0.5, False), (0.3, False)])
def test_a_letter_that_stands_alone_needs_a_higher_confidence(sure, is_kept):
    assert kept((0, 0, 40, sure)) == [is_kept]


@pytest.mark.parametrize(("sure", "is_kept"), [(0.8, False), (0.995, True)])
def test_the_confidence_that_a_lone_letter_needs_grows_with_the_non_letters(sure, is_kept):
    others = [(900 + 50 * x, 50 * y, 40, 0.2) for x in range(10) for y in range(5)]
    assert kept((0, 0, 40, sure))[0]
    assert kept((0, 0, 40, sure), *others)[0] == is_kept


@pytest.mark.parametrize(("sure", "is_kept"), [(0.8, False), (0.995, True)])
def test_two_letters_among_many_non_letters_count_as_alone(sure, is_kept):
    others = [(900 + 50 * x, 50 * y, 40, 0.2) for x in range(10) for y in range(5)]
    assert kept((0, 0, 40, sure), (50, 0, 40, sure), *others)[:2] == [is_kept, is_kept]


def test_dust_beside_letters_does_not_reject_them():
    dust = [(x, 60, 6, 0.1) for x in range(0, 120, 10)]
    assert kept((0, 0, 40, 0.9), (50, 0, 40, 0.9), *dust)[:2] == [True, True]


def test_non_letters_far_from_all_letters_are_rejected():
    assert kept((0, 0, 40, 0.9), (50, 0, 40, 0.9), (900, 0, 40, 0.2)) == [True, True, False]


def test_much_fainter_ink_is_rejected_and_pencil_is_not():
    letters = [(0, 0, 40, 0.9), (50, 0, 40, 0.9), (100, 0, 40, 0.9), (150, 0, 40, 0.9)]
    assert kept(*letters, strengths=[200, 190, 195, 35]) == [True, True, True, False]
    assert kept(*letters, strengths=[200, 190, 195, 90]) == [True, True, True, True]


def test_without_letters_nothing_is_kept():
    assert kept() == []
    assert kept((0, 0, 40, 0.1), (50, 0, 40, 0.1)) == [False, False]


def test_marks_that_are_no_letters_are_counted(draw_page):
    image, placed = draw_page(*ROWS)
    engine = fixed(0.2, 0.2, 0.2, 0.2, 0.2)
    rejecting = Engine("fixed", replace(engine.facts, reject_below=0.5), engine.classify)
    page = Reader(rejecting).read(image)
    assert not page.letters
    assert page.left_out >= len(placed)
    assert page.to_dict()["left_out"] == page.left_out
    assert Tracker(Reader(rejecting)).read(image).left_out == page.left_out
    assert Reader().read(image).left_out == 0
