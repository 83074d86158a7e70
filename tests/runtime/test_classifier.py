"""An image in, a label out: the same pixels as in evaluate, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime import Classifier, Reader
from lettercast.runtime.classifier import fit_image, prepare
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import PICTURES, Facts
from lettercast.runtime.sources.images import read_image
from lettercast.train import evaluate
from lettercast.train.data.drawing import draw_ink

FACTS = Facts("things", "tflite", ("cat", "dog", "elk"), (12, 16, 3), "uint8", takes=PICTURES)
# Sizes (height, width) below, above and on both sides of the model's input.
SIZES = ((12, 16), (6, 5), (40, 70), (90, 9), (7, 80))


def fixed(*probabilities: float, reject_below: float = 0.0) -> Engine:
    """An engine that gives every image the same probabilities."""
    row = np.array(probabilities, np.float32)
    return Engine("fixed", replace(FACTS, reject_below=reject_below), lambda images: np.tile(row, (len(images), 1)))


def weighted(channels: int) -> Engine:
    """An engine whose probabilities depend on every pixel and channel of an image."""
    weights = np.random.default_rng(1).normal(size=(12 * 16 * channels, 3)) / 50

    def classify(images: np.ndarray) -> np.ndarray:
        odds = np.exp(images.reshape(len(images), -1) / 255 @ weights)
        return (odds / odds.sum(1, keepdims=True)).astype(np.float32)

    return Engine("weighted", replace(FACTS, input_shape=(12, 16, channels)), classify)


def kinds_of(image: np.ndarray) -> dict[str, np.ndarray]:
    """A BGR image as files may hold it: in grey, with 16 bits, with transparent pixels."""
    alpha = np.random.default_rng(2).integers(0, 256, image.shape[:2]).astype(np.uint8)
    return {
        "colour.png": image,
        "grey.png": cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        "deep.tiff": image.astype(np.uint16) * 257,
        "clear.png": np.dstack([image, alpha]),
        "photo.jpg": image,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of class folders with images of every kind, one of them turned by its EXIF orientation."""
    path = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    for label, size in zip(FACTS.labels, SIZES, strict=False):
        (path / label).mkdir()
        for name, image in kinds_of(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).items():
            cv2.imwrite(str(path / label / name), image)
    turned = path / "dog" / "photo.jpg"
    data = turned.read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    return path


def files_of(folder: Path) -> list[Path]:
    return [path for inside in sorted(folder.iterdir()) for path in sorted(inside.iterdir())]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_kind_get_the_probabilities_of_evaluate(folder, channels):
    engine = weighted(channels)
    expected = evaluate(engine, folder, progress=False)
    files = files_of(folder)
    found = [Classifier(engine).classify(path, 3) for path in files]
    assert len(files) == len(expected.truth) == 15
    for one, row in zip(found, expected.probabilities, strict=True):
        assert dict([(one.label, one.confidence), *one.alternatives]) == dict(zip(FACTS.labels, map(float, row), strict=True))


def test_letters_get_the_probabilities_of_evaluate(pen, tmp_path):
    rng = np.random.default_rng(3)
    for label, side, pen_px in ((0, 60, 6), (7, 300, 20), (24, 25, 2)):
        (tmp_path / chr(65 + label)).mkdir()
        ink = draw_ink(pen.sample(label, rng), side, pen_px)
        for name, image in (("dark.png", 230 - ink // 2), ("light.png", 20 + ink // 2)):
            padded = cv2.copyMakeBorder(image, 9, 30, 20, 9, cv2.BORDER_CONSTANT, value=int(image[0, 0]))
            cv2.imwrite(str(tmp_path / chr(65 + label) / name), padded)
    expected = evaluate("letters-nano", tmp_path, progress=False)
    classifier = Classifier("letters-nano")
    images = [prepare(read_image(path), classifier.engine.facts) for path in files_of(tmp_path)]
    np.testing.assert_array_equal(classifier.engine(np.stack(images)), expected.probabilities)
    assert expected.accuracy == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_side_is_averaged_or_interpolated_whatever_happens_to_the_other(size):
    image = np.random.default_rng(3).integers(0, 256, size).astype(np.uint8)
    fitted = fit_image(image, (12, 16, 1))[..., 0].astype(float)
    assert fitted.shape == (12, 16)
    # Averages of all pixels survive; single samples of noise would be far off.
    assert abs(fitted.mean() - image.mean()) < 12
    stripes = np.tile(np.array([[0], [255]], np.uint8), (45, 5))
    # Of stripes as high as a pixel nothing is left but grey, although the width grows.
    assert np.abs(fit_image(stripes, (9, 20, 1)).astype(int) - 127).max() <= 1


def test_colours_are_rgb_and_transparent_pixels_are_white():
    red = np.zeros((5, 5, 4), np.uint8)
    red[..., 2], red[..., 3] = 255, 255
    assert fit_image(red, (2, 2, 3)).reshape(-1, 3).tolist() == [[255, 0, 0]] * 4
    red[..., 3] = 0
    assert (fit_image(red, (2, 2, 3)) == 255).all()
    red[..., 3] = 51
    assert fit_image(red, (2, 2, 3))[0, 0].tolist() == [255, 204, 204]
    assert (fit_image(np.full((9, 9), 7, np.uint8), (4, 4, 3)) == 7).all()


def test_labels_come_likeliest_first_and_a_doubtful_image_is_rejected():
    found = Classifier(fixed(0.2, 0.5, 0.3, reject_below=0.6)).classify(np.zeros((3, 3), np.uint8), top=2)
    assert (found.label, found.rejected) == ("dog", True)
    assert found.alternatives == (("elk", pytest.approx(0.3)),)
    sure = Classifier(fixed(0.2, 0.5, 0.3, reject_below=0.5)).classify(np.zeros((3, 3), np.uint8), top=9)
    assert not sure.rejected
    assert [name for name, _ in sure.alternatives] == ["elk", "cat"]


def test_a_ring_is_not_rejected_because_it_may_be_a_digit_or_a_letter():
    engine = fixed(0.48, 0.47, 0.05, reject_below=0.7)
    image = np.zeros((5, 5, 3), np.uint8)
    assert Classifier(engine).classify(image).rejected
    both = replace(engine, facts=replace(engine.facts, labels=("O", "0", "A")))
    assert not Classifier(both).classify(image).rejected


@pytest.mark.parametrize("image", [None, np.zeros((0, 4), np.uint8), np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises((TypeError, ValueError), match="an image is"):
        Classifier(fixed(0.2, 0.5, 0.3)).classify(image)


def test_a_model_of_other_images_cannot_read_pages_and_the_message_names_classify(digits_tflite, refused, page_file):
    message = refused("read", page_file, "--model", digits_tflite)
    assert "digits (tflite-float32): classifies whole images and reads no pages; use `lettercast classify`" in message
    with pytest.raises(LettercastError, match="lettercast classify"):
        Reader(digits_tflite)


def test_the_command_prints_a_line_an_image_and_json(digits_tflite, digit_images, lettercast):
    code, out, err = lettercast("classify", digit_images, digit_images / "7.png", "--model", digits_tflite, "--top", 2)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == [str(digit_images / f"{name}.png") for name in (3, 7, 10, 7)]
    assert [line[1] for line in lines] == ["3", "7", "0", "7"]
    assert max(map(len, out.replace(f"{digit_images}/", "").splitlines())) <= 80
    code, out, _ = lettercast("classify", digit_images / "7.png", "--model", digits_tflite, "--json")
    record = json.loads(out)
    assert list(record) == ["source", "label", "confidence", "alternatives", "rejected"]
    assert (record["label"], record["rejected"], len(record["alternatives"])) == ("7", False, 2)


def test_an_image_that_cannot_be_read_gets_a_line_and_the_others_follow(digits_tflite, digit_images, lettercast, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = lettercast("classify", "bad.png", digit_images / "7.png", "--model", digits_tflite)
    assert (code, len(out.splitlines()), err.splitlines()[0][:20]) == (0, 1, "lettercast: bad.png:")
    code, out, err = lettercast("classify", "bad.png", "--model", digits_tflite)
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_a_letter_is_classified_with_the_shipped_model_and_a_blank_image_is_rejected(pen, lettercast, tmp_path):
    ink = draw_ink(pen.sample(10, np.random.default_rng(0)), 90, 8)
    cv2.imwrite("k.png", cv2.copyMakeBorder(250 - ink // 2, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=250))
    cv2.imwrite("none.png", np.full((50, 60), 240, np.uint8))
    code, out, _ = lettercast("classify", "k.png", "none.png")
    assert code == 0
    letter, blank = out.splitlines()
    assert letter.startswith("k.png     K") and "rejected" not in letter
    assert "rejected (" in blank


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.png"], "gone.png: no such file; give an image or a folder of images"),
        ([""], "'' is an empty name"),
        (["0"], "0: no such file"),
        (["/dev/null"], "/dev/null: not an image"),
        (["."], "no images in this folder"),
        (["note.txt"], "note.txt: not an image; give an image or a folder of images"),
        (["my.tflite"], "this is a model; put --model before it"),
        (["note.txt", "--top", "0"], "--top: '0' is not a whole number above 0"),
        ([], "required: IMAGE"),
    ],
)
def test_what_shows_no_image_is_refused_in_one_line(words, said, refused, tmp_path):
    (tmp_path / "note.txt").write_text("no image")
    (tmp_path / "my.tflite").write_bytes(b"TFL3")
    assert said in refused("classify", *words)
