"""Labelled images in arrays: the forms that users of Keras and NumPy have them in, and what is wrong with the others."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.arguments import find_model
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import open_engine
from lettercast.train.data.arrays import npz_splits, role_of
from lettercast.train.data.drawing import draw_plain
from lettercast.train.data.open import default_split, held_out_split, open_source
from lettercast.train.data.pen import load_pen
from lettercast.train.data.source import relabel

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
LABELS = np.arange(30) % 3


def opened(images=IMAGES, labels=LABELS, classes=None, split="all", shape=SHAPE):
    return open_source((images, labels, classes), split, shape)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        LABELS.astype(np.uint8),
        LABELS.astype(float),
        LABELS.astype(np.float32)[:, None],
        np.eye(3)[LABELS],
        np.eye(3, dtype=np.uint8)[LABELS],
        np.eye(3, dtype=bool)[LABELS],
        list(LABELS),
    ],
    ids=["column", "uint8", "floats", "column of floats", "one-hot", "one-hot ints", "one-hot bools", "list"],
)
def test_labels_are_taken_in_every_form_that_keras_has(labels):
    source = opened(labels=labels)
    np.testing.assert_array_equal(source.labels, LABELS)
    assert source.classes == ("0", "1", "2")


def test_labels_without_names_are_places_of_outputs_or_their_numbers():
    source = opened()
    np.testing.assert_array_equal(relabel(source, ("low", "mid", "high")), LABELS)
    np.testing.assert_array_equal(relabel(source, ("2", "0", "1")), (LABELS + 1) % 3)
    np.testing.assert_array_equal(relabel(source, ("low", "mid")), np.array([0, 1, -1])[LABELS])


def test_one_hot_labels_name_as_many_classes_as_they_have_columns():
    assert len(opened(labels=np.eye(5)[LABELS]).classes) == 5


def test_labels_may_be_names_in_any_type():
    names = np.array(["cat", "d\u00f6g", "owl"])[LABELS]
    for given in (names, names.astype(object), names[:, None], np.char.encode(names, "utf-8"), list(names)):
        assert opened(labels=given).classes == ("cat", "d\u00f6g", "owl")
    np.testing.assert_array_equal(opened(labels=names, classes=["owl", "cat", "d\u00f6g"]).labels, np.array([1, 2, 0])[LABELS])
    with pytest.raises(LettercastError, match="has the label 'owl', which is not among its classes"):
        opened(labels=names, classes=["cat", "d\u00f6g", "cow"])


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (LABELS[:-1], r"labels of shape \(29,\) do not fit its 30 images"),
        (LABELS + 0.5, "has the label 0.5; labels are whole numbers or names"),
        (np.full(30, np.nan), "has the label nan"),
        (LABELS - 1, "labels go from -1 to 1; 2 classes are counted from 0 to 1"),
        (np.full((30, 3), 1 / 3), r"\(30, 3\) and are not one-hot; give labels.argmax\(1\)"),
        (np.ones((30, 3)), r"\(30, 3\) and are not one-hot; give one label per image"),
        (np.zeros((30, 3, 1)), r"labels of shape \(30, 3, 1\) do not fit"),
        (LABELS.astype(complex), "its labels are complex128"),
        (5, r"labels of shape \(\) do not fit its 30 images"),
    ],
)
def test_wrong_labels_are_blamed_and_not_the_images(labels, why):
    with pytest.raises(LettercastError, match=f"arrays: .*{why}"):
        opened(labels=labels)


def test_labels_and_class_names_that_do_not_fit_each_other_are_refused():
    with pytest.raises(LettercastError, match="labels go from 0 to 2; 2 classes are counted from 0 to 1"):
        opened(classes=["cat", "dog"])
    with pytest.raises(LettercastError, match="labels go from 1 to 3; 3 classes are counted from 0 to 2"):
        opened(labels=LABELS + 1, classes=["cat", "dog", "owl"])
    with pytest.raises(LettercastError, match="its classes have 'cat' twice"):
        opened(classes=["cat", "dog", "cat"])
    with pytest.raises(LettercastError, match="labels are one-hot of 3, and it names 2 classes"):
        opened(labels=np.eye(3)[LABELS], classes=["cat", "dog"])


@pytest.mark.parametrize(
    "images",
    [
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        IMAGES.astype(float),
        IMAGES.astype(np.int64),
        IMAGES + 0.25 * (IMAGES < 255),
    ],
    ids=["0..1", "0..1 float32", "0..255 floats", "integers", "resized floats"],
)
def test_pixels_of_every_clear_range_are_taken(images):
    np.testing.assert_array_equal(opened(images).images, IMAGES)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_zeros_and_ones_are_black_and_white(kind):
    images = (IMAGES > 127).astype(kind)
    assert set(np.unique(opened(images).images)) == {0, 255}


def test_grey_images_may_have_an_axis_for_their_channel():
    grey = IMAGES[..., 0]
    for images in (grey, grey[..., None]):
        np.testing.assert_array_equal(opened(images, shape=(8, 8, 1)).images[..., 0], grey)


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (IMAGES / 127.5 - 1, r"pixels go from -1 to 1; give \(images \+ 1\) \* 127.5"),
        (IMAGES - 128.0, "pixels go from -128 to 127; give pixels of 0 to 255"),
        (IMAGES.astype(np.uint16) * 257, "pixels go from 0 to 65535; give"),
        (IMAGES / 100, "pixels go from 0 to 2.55; give"),
        (IMAGES * np.nan, "NaN or infinite pixels"),
        (IMAGES.reshape(30, -1)[:, :64], r"shape \(30, 64\); give images.reshape\(-1, 8, 8\)"),
        (IMAGES.transpose(0, 3, 1, 2), r"channels come first; give images.transpose\(0, 2, 3, 1\)"),
        (IMAGES[..., None], r"shape \(30, 8, 8, 3, 1\); give \(N, H, W\) grey"),
        (IMAGES.astype(str), "its images are <U"),
    ],
)
def test_images_that_are_not_clear_are_refused_with_what_to_give(images, why):
    with pytest.raises(LettercastError, match=why):
        opened(images)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("image", ("image", "")),
        ("x_train", ("image", "train")),
        ("test_labels", ("label", "test")),
        ("X_valid", ("image", "val")),
        ("y_validation", ("label", "val")),
        ("arr_1", ("label", "")),
        ("weights", ("", "")),
    ],
)
def test_the_names_of_arrays_say_what_they_hold(name, role):
    assert role_of(name) == role


def test_an_npz_under_the_names_of_keras_has_its_splits(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES[:20], y_train=LABELS[:20, None], x_test=IMAGES[20:], y_test=LABELS[20:, None])
    assert (npz_splits(path), default_split(path), held_out_split(path)) == (["train", "test"], "test", "test")
    np.testing.assert_array_equal(open_source(path, "test", SHAPE).images, IMAGES[20:])
    np.testing.assert_array_equal(open_source(path, "train", SHAPE).labels, LABELS[:20])


def test_an_npz_of_arrays_without_names_is_images_and_labels(tmp_path):
    np.savez(tmp_path / "p.npz", IMAGES, LABELS)
    np.testing.assert_array_equal(open_source(tmp_path / "p.npz", "all", SHAPE).labels, LABELS)


def test_an_npz_without_splits_is_reported_as_a_whole_unless_training_saw_it(tmp_path):
    np.savez(tmp_path / "p.npz", image=IMAGES, label=LABELS)
    np.savez(tmp_path / "own.npz", image=IMAGES, label=LABELS, split=np.repeat([0, 1], 15))
    np.savez(tmp_path / "named.npz", image=IMAGES, label=LABELS, split=np.repeat(["train", "test"], 15))
    assert default_split(tmp_path / "p.npz") == "all"
    assert default_split(tmp_path / "p.npz", "pen + p.npz@0.5") == "test"
    assert default_split(tmp_path / "own.npz") == "val"
    assert default_split(tmp_path / "named.npz") == "test"
    assert len(open_source(tmp_path / "named.npz", "test", SHAPE).labels) == 15


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"image": IMAGES}, "holds neither strokes .* but image"),
        ({"x_train": IMAGES, "y_test": LABELS}, "x_train, y_train, x_test and y_test.*, but x_train, y_test"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :4], "y_test": LABELS},
            r"its splits have images of different shapes, \(30, 8, 8, 3\) and \(30, 4, 8, 3\)",
        ),
        ({"image": np.array([IMAGES, None], dtype=object), "label": LABELS}, "holds Python objects, which are never loaded"),
    ],
)
def test_an_npz_without_labelled_images_says_what_it_holds(arrays, why, tmp_path):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(LettercastError, match=why):
        open_source(tmp_path / "p.npz", "all", SHAPE)


@pytest.fixture(scope="module")
def capitals():
    """Ink (104, 28, 28) uint8 of four capitals of each letter as people write them, and their labels."""
    rng = np.random.default_rng(2)
    labels = np.arange(104) % 26
    return np.stack([glyph(draw_plain(load_pen().sample(int(one), rng, True))) for one in labels]), labels


def read_by_nano(image):
    """Return the letter that letters-nano sees in (28, 28) uint8."""
    engine = open_engine(find_model("letters-nano"))
    return engine.facts.labels[int(engine(image[None, ..., None]).argmax())]


def test_letters_that_lie_on_their_side_are_put_upright(capitals, capsys, tmp_path):
    inks, labels = capitals
    few = labels < 25
    for name, images, given in (("p", inks.swapaxes(1, 2), labels + 1), ("few", inks.swapaxes(1, 2)[few], labels[few] + 1)):
        np.savez(tmp_path / f"{name}.npz", image=images, label=given)
        source = open_source(tmp_path / f"{name}.npz", "all")
        np.testing.assert_array_equal(source.labels, given - 1)
        np.testing.assert_array_equal(source.image(7, None), open_source((inks[few], labels[few]), "all").image(7, None))
    assert "its letters lie on their side, as in EMNIST; they are taken upright" in (said := capsys.readouterr().err)
    assert "its labels go from 1 (A) to 26 (Z), as in EMNIST" in said
    assert "lie on their side and its labels count from 1" in said


def test_letters_that_stand_upright_stay_and_nothing_is_said(capitals, capsys):
    inks, labels = capitals
    source = open_source((inks, labels), "all")
    assert (read_by_nano(source.image(5, None)), source.labels[5]) == ("F", 5)
    np.testing.assert_array_equal(open_source((inks, np.zeros(104, int)), "all").labels, 0)
    assert not capsys.readouterr().err


def test_labels_of_exactly_ten_are_taken_as_digits(tmp_path, capsys):
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    source = open_source(tmp_path / "mnist.npz", "test")
    assert source.classes == tuple("0123456789")
    assert source.labels.tolist() == labels.tolist()
    assert "taken as digits, as in MNIST" in capsys.readouterr().err


def test_other_labels_without_names_are_letters(tmp_path):
    images, labels = np.zeros((18, 28, 28), np.uint8), np.arange(18) % 9
    np.savez(tmp_path / "some.npz", image=images, label=labels)
    assert open_source(tmp_path / "some.npz", "all").classes[:3] == ("A", "B", "C")
