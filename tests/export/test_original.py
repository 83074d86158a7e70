"""Models of users: other classes and sizes, scaling outside, logits."""

import json

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lettercast import LettercastError
from lettercast.export.artifact import export_model
from lettercast.export.formats import FORMATS
from lettercast.export.original import cross_entropy, draw_calibration, name_outputs, open_letters, refuse_shared
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import PICTURES, Facts
from lettercast.train.data.drawing import shown
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource, PictureSource

DIGITS = tuple("0123456789")
SLACK = {"max_drop": 3.0, "min_agreement": 95.0}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A model of scikit-learn's digits, taught with pixels 0..1 and giving logits, and its pictures in a .npz."""
    folder = tmp_path_factory.mktemp("digits")
    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)
    split = np.repeat([0, 1, 2], [1200, 100, len(images) - 1300])
    np.savez(folder / "digits.npz", image=images, label=data.target, split=split, classes=np.array(DIGITS))
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[:1200, ..., None] / 255, data.target[:1200], epochs=15, verbose=0)
    model.save(folder / "digits.keras")
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A Functional model of colours, 16x16x3, with branches, taught with pixels -1..1."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 600)
    images = rng.integers(0, 80, (600, 16, 16, 3)).astype(np.uint8)
    images[np.arange(600), :, :, label] += 120
    split = np.repeat([0, 1, 2], [400, 50, 150])
    np.savez(folder / "colours.npz", image=images, label=label, split=split, classes=np.array(["red", "green", "blue"]))
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    branches = [layers.Conv2D(4, size, padding="same", activation="relu")(inputs) for size in (1, 3)]
    pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()(branches))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(pooled))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(images[:400] / 127.5 - 1, label[:400], epochs=12, verbose=0)
    model.save(folder / "colours.keras")
    return folder


def test_logits_and_scaling_outside_are_brought_inside_every_format(digits, tmp_path, capsys):
    model = digits / "digits.keras"
    calibrate, check = open_letters(model, None, str(digits / "digits.npz"))
    artifacts = export_model(model, list(FORMATS.values()), calibrate, check, tmp_path, **SLACK)
    assert {artifact.format.name: artifact.misses for artifact in artifacts} == dict.fromkeys(FORMATS, ())
    said = capsys.readouterr().err
    assert "takes pixels 0..1" in said
    assert "gives logits" in said
    pictures, truth = check.pictures, check.labels
    for artifact in artifacts:
        engine = open_engine(artifact.path)
        assert engine.facts.labels == DIGITS
        assert engine.facts.takes == PICTURES
        rows = engine(shown(engine.facts, pictures))
        assert rows.sum(1) == pytest.approx(1, abs=0.03)
        assert (rows.argmax(1) == truth).mean() > 0.88


def test_a_functional_model_of_colours_keeps_red_and_blue_apart(shapes, tmp_path):
    model = shapes / "colours.keras"
    calibrate, check = open_letters(model, str(shapes / "colours.npz"), None)
    rows = [FORMATS[name] for name in ("tflite-int8", "onnx-int8")]
    artifacts = export_model(model, rows, calibrate, check, tmp_path, **SLACK)
    for artifact in artifacts:
        assert artifact.misses == ()
        assert artifact.parity.original_accuracy > 95
        facts = open_engine(artifact.path).facts
        assert facts.labels == ("red", "green", "blue")
        assert facts.made["pixels"].startswith("-1..1")


def test_the_command_reads_a_users_export_back_with_its_own_labels(lettercast, digits, tmp_path):
    out = tmp_path / "dist"
    words = ("export", digits / "digits.keras", "--check", digits / "digits.npz", "--formats", "tflite-int8", "--out", out)
    code, said, err = lettercast(*words, "--max-drop", 3, "--min-agreement", 95)
    assert code == 0, err
    assert f"lettercast evaluate {out / 'digits-int8.tflite'}" in said
    code, said, _ = lettercast("evaluate", out / "digits-int8.tflite", "--data", digits / "digits.npz", "--json")
    result = json.loads(said)
    assert code == 0
    assert set(result["per_class"]) == set(DIGITS)
    assert result["accuracy"] > 0.88


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "takes pictures of 8 x 8 x 1; name some with --check"),
        (("--check", "pen"), "pen: holds letters, but the model takes images of 8 x 8 x 1"),
        (("--labels", "a,b,c"), "--labels: 3 different names, the model has 10 outputs"),
        (("--labels", "a"), "names fewer than two classes"),
        (("--labels", "a,b,c,d,e,f,g,h,i,j"), "and the model's outputs are a b c ...; name them alike"),
    ],
)
def test_what_does_not_fit_a_model_of_pictures_is_said(refused, digits, tmp_path, words, said):
    check = () if not words or "--check" in words else ("--check", digits / "digits.npz")
    assert said in refused("export", digits / "digits.keras", *check, *words, "--out", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_names_of_outputs_come_from_who_knows_them():
    numbered = Facts("m", "keras", ("0", "1", "2"), (8, 8, 1), "float32")
    named = Facts("m", "keras", ("x", "y", "z"), (8, 8, 1), "float32")
    cats = PictureSource("d", "test", np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, int), ("cat", "dog", "owl"))
    assert name_outputs(numbered, None, cats) == ("cat", "dog", "owl")
    assert name_outputs(named, None, cats) == ("x", "y", "z")
    assert name_outputs(named, ["p", "q", "r"], cats) == ("p", "q", "r")
    with pytest.raises(LettercastError, match="2 different names, the model has 3"):
        name_outputs(named, ["p", "q", "q"], cats)


def test_pictures_that_set_the_scales_may_not_be_checked_on():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    refuse_shared("a", pictures[:20], "b", pictures[20:])
    with pytest.raises(LettercastError, match="--check b: 10 of its pictures are in --calibrate a, too"):
        refuse_shared("a", pictures[:20], "b", pictures[10:])


def test_calibration_takes_every_class_alike_and_the_same_letters_each_time(strokes_file):
    whole = np.arange(520)
    bars = ImageSource("bars", "train", [np.full((20, 20), 255, np.uint8)] * 520, whole % 26)
    assert draw_calibration(bars, bars.classes)[0].shape == (500, 28, 28, 1)
    calibrate = open_source(str(strokes_file), "train")
    first, classes = draw_calibration(calibrate, calibrate.classes)
    assert first.dtype == np.uint8
    assert np.bincount(classes).min() >= 15
    np.testing.assert_array_equal(first, draw_calibration(calibrate, calibrate.classes)[0])


@pytest.mark.parametrize("split", ["val", "test", "all"])
def test_calibration_takes_training_letters_only(strokes_file, split):
    source = open_source(str(strokes_file), split)
    with pytest.raises(LettercastError, match=f"takes training letters, not split '{split}'"):
        draw_calibration(source, source.classes)


def test_calibration_takes_what_there_is_and_two_classes_at_least():
    bars = ImageSource("bars", "train", [np.full((20, 20), 255, np.uint8)] * 5, np.array([0, 0, 1, 1, 1]), ("A", "B", "C"))
    assert len(draw_calibration(bars, "ABC")[0]) == 5
    with pytest.raises(LettercastError, match="has 1 of the model's classes"):
        draw_calibration(bars, "AXY")


def test_the_loss_is_that_of_probabilities_and_of_logits_alike():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    truth = np.array([0, 2])
    expected = -np.log([0.7, 0.8]).mean()
    assert cross_entropy(probabilities, truth) == pytest.approx(expected, rel=1e-4)
    assert cross_entropy(np.log(probabilities) + 3, truth) == pytest.approx(expected, rel=1e-4)
