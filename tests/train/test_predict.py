"""One call for every kind of model."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from lettercast import LettercastError
from lettercast.train.predict import open_keras, open_model
from lettercast.train.source import draw_some


@pytest.fixture
def own_model(tmp_path):
    """Return a function that saves a model of one's own, without facts, and returns its path."""

    def save(classes: int, inputs: int = 1) -> Path:
        pixels = [keras.Input((28, 28, 1)) for _ in range(inputs)]
        flat = layers.Flatten()(layers.Add()(pixels) if inputs > 1 else pixels[0])
        model = keras.Model(pixels, layers.Dense(classes, activation="softmax")(flat))
        model.save(tmp_path / "own.keras")
        return tmp_path / "own.keras"

    return save


def test_probabilities_are_those_that_keras_gives(model_file, check_source):
    pictures = draw_some(check_source, range(40), None)
    expected = keras.saving.load_model(model_file).predict(pictures, verbose=0)
    np.testing.assert_allclose(open_keras(model_file)(pictures), expected, atol=1e-6)


def test_suffixes_decide_the_engine(model_file, exported):
    assert open_model(model_file).name.startswith("keras ")
    assert open_model(exported["tflite-int8"]).name.startswith("ai-edge-litert ")
    assert open_model(exported["onnx-int8"]).name.startswith("onnxruntime ")


@pytest.mark.parametrize(("classes", "labels"), [(26, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), (3, ("0", "1", "2"))])
def test_a_model_without_facts_has_letters_or_numbers(own_model, classes, labels):
    facts = open_keras(own_model(classes)).facts
    assert (facts.labels, facts.input_shape, facts.name) == (labels, (28, 28, 1), "own")


def test_a_model_of_two_inputs_is_refused(own_model):
    with pytest.raises(LettercastError, match="needs one input of images"):
        open_keras(own_model(26, inputs=2))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_keras_file_is_refused(model_file, tmp_path, share):
    whole = model_file.read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match=r"cut.keras"):
        open_model(path)


@pytest.mark.parametrize("name", ["gone.keras", "gone.tflite", "gone.onnx", "model.h5", "model"])
def test_what_is_no_model_is_named(tmp_path, name):
    with pytest.raises(LettercastError, match=name):
        open_model(tmp_path / name)
