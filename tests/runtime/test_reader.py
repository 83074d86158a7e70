"""An image in, lines of letters out."""

import cv2
import numpy as np
import pytest

from lettercast.runtime import Reader
from lettercast.runtime.engine import Engine
from lettercast.runtime.facts import Facts
from lettercast.runtime.picture import read_image

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
    [np.zeros((9, 9), np.float32), np.zeros((0, 5, 3), np.uint8), np.zeros(9, np.uint8), np.zeros((1, 9, 9, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(reader, image):
    with pytest.raises(ValueError, match="an image is"):
        reader.read(image)


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
    from lettercast.train.data import open_source
    from lettercast.train.evaluate import evaluate

    assert evaluate(reader.engine, open_source(str(shared / "phone_crops"), "val")).accuracy >= 0.95


def test_shipped_model_reads_a_photographed_card(shared, reader):
    assert len(reader.read(read_image(shared / "cards" / "2024_frame_1.jpg")).lines) == 3
