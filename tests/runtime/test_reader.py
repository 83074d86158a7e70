"""An image in, lines of letters out."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.sources.images import read_image

ROWS = ("ABCD", "OMRS")


@pytest.fixture(scope="module")
def reader() -> Reader:
    """The reader with the model that comes with lettercast."""
    return Reader()


def fixed(*probabilities: float) -> Engine:
    """An engine that gives every letter the same probabilities of the labels a, b, c, ..."""
    labels = tuple("abcdefghij"[: len(probabilities)])
    facts = Facts("fixed", "tflite", labels, (28, 28, 1), "uint8")
    return Engine("fixed", facts, lambda images: np.tile(np.array(probabilities, np.float32), (len(images), 1)))


def test_a_drawn_page_is_read_line_by_line(reader, draw_page):
    image, placed = draw_page(*ROWS)
    page = reader.read(image)
    assert page.text == "\n".join(ROWS)
    assert page.size == (image.shape[1], image.shape[0])
    assert len([letter for line in page.lines for letter in line.letters]) == len(placed)


def test_grey_colour_and_transparent_pictures_are_read_alike(reader, draw_page):
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


def test_three_other_guesses_at_most_the_likeliest_first(draw_page):
    page = Reader(fixed(0.1, 0.3, 0.15, 0.25, 0.2)).read(draw_page("A")[0])
    names = [name for name, _ in page.lines[0].letters[0].alternatives]
    assert (page.text, names) == ("b", ["d", "e", "c"])


def test_an_empty_page_reads_as_nothing(reader):
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
def test_what_is_no_image_is_refused(reader, image):
    with pytest.raises(ValueError, match="an image is"):
        reader.read(image)


def test_what_is_no_array_is_refused_and_why_it_may_be_none_is_said(reader):
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
    assert list(page) == ["size", "text", "lines", "ms"]
    assert list(page["ms"]) == ["segment", "classify", "total"]
    assert list(page["lines"][0]) == ["text", "letters"]
    assert list(page["lines"][0]["letters"][0]) == ["letter", "confidence", "box", "alternatives"]


def test_times_of_the_stages_add_up_to_the_total(reader, draw_page):
    ms = reader.read(draw_page("AB")[0]).to_dict()["ms"]
    assert ms["segment"] + ms["classify"] == pytest.approx(ms["total"], abs=0.002)


def test_shipped_model_reads_phone_pictures_of_letters(shared, reader):
    from lettercast.train.data.open import open_source
    from lettercast.train.evaluation import evaluate

    assert evaluate(reader.engine, open_source(str(shared / "phone_crops"), "val")).accuracy >= 0.95


def test_shipped_model_reads_a_photographed_card(shared, reader):
    assert len(reader.read(read_image(shared / "cards" / "2024_frame_1.jpg")).lines) == 3


def test_what_is_unknown_has_all_guesses_where_there_are_few_labels(draw_page):
    engine = fixed(0.4, 0.35, 0.25)
    unsure = Engine("unsure", replace(engine.facts, reject_below=0.45), engine)
    letter = Reader(unsure)._letter(np.array([0.4, 0.35, 0.25], np.float32), (0, 0, 9, 9), known=False)
    assert letter.letter == "?"
    assert [name for name, _ in letter.alternatives] == ["a", "b", "c"]


def test_gravel_is_not_looked_at_piece_by_piece_for_touching_letters(reader):
    """Every stone may be several letters that touch; a page of them would cost a second."""
    rng = np.random.default_rng(0)
    picture = np.full((960, 1280, 3), 200, np.uint8)
    for x, y in np.mgrid[30:1260:50, 30:930:50].reshape(2, -1).T.tolist():
        stone = np.array([x, y]) + rng.integers((-23, -14), (23, 14), (9, 2))
        cv2.fillPoly(picture, [stone.astype(np.int32)], (60, 60, 60))
    classified = []
    counted = Reader(
        Engine("counted", reader.engine.facts, lambda pictures: classified.append(len(pictures)) or reader.engine(pictures))
    )
    candidates = counted.find(picture)
    classified.clear()
    counted.recognize(candidates)
    assert len(candidates) > 300
    assert sum(classified) < 2 * len(candidates)
