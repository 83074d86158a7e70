"""Kinds of Keras models beside a plain classifier in a `.keras` file, exported: each equals its original."""

import json

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.convert.network import dequantized
from lettercast.export.exporter import export
from lettercast.runtime.model.engine import open_engine
from lettercast.train.evaluation import evaluate

layers = keras.layers
FLOATS = ("tflite-float32", "onnx-float32")
OWN = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture(scope="module")
def images(digits):
    """The images (N, 8, 8) of the digits, their numbers (N,), and which of them are for training and for testing."""
    data = np.load(digits / "digits.npz")
    return data["image"], data["label"], data["split"] == 0, data["split"] == 2


@pytest.fixture
def sets(images):
    """The sets of an export, as arrays."""
    image, label, train, test = images
    return {"calibrate": (image[train], label[train]), "check": (image[test], label[test])}


def equal(exports) -> bool:
    """Whether the float files of an export answer as their original, which is right on most images."""
    return (
        all(one.misses == () and one.parity.agreement == 100 and one.parity.accuracy > 85 for one in exports)
        and not exports.faults
    )


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_model_that_keras_quantized_is_exported_with_its_weights(digits, sets, tmp_path, capsys, mode):
    network = keras.saving.load_model(digits / "digits.keras")
    before = network.layers[-1].get_weights()[0]
    network.quantize(mode)
    network.save(tmp_path / "digits.keras")
    # A step of the weights' scale: the largest of a column is at 127, or 7 of int4; float8 has three bits of a fraction.
    step = {"int8": np.abs(before).max(0) / 127, "int4": np.abs(before).max(0) / 7, "float8": np.abs(before) / 8 + 2**-9}[mode]
    after = dequantized(network).layers[-1].get_weights()[0]
    assert (np.abs(after - before) <= 0.51 * step + 1e-6).all()
    exports = export(tmp_path / "digits.keras", formats=FLOATS, pixels="0..1", out=tmp_path / "dist", progress=False, **sets)
    assert equal(exports)
    said = capsys.readouterr().err
    assert f"Keras quantized 1 of its layers ({mode}); exported files take their weights and do not round activations" in said
    assert float(said.partition("activations: ")[2].partition(" %")[0]) > 98


def test_an_hdf5_model_with_one_output_is_exported_as_two_classes(lettercast, images, tmp_path):
    from sklearn.linear_model import LogisticRegression

    image, label, train, test = images
    odd = label % 2
    np.savez(
        tmp_path / "data.npz", image=image, label=odd, split=np.where(train, 0, np.where(test, 2, 1)), classes=["even", "odd"]
    )
    keras.utils.set_random_seed(2)
    body = keras.Sequential(
        [keras.Input((8, 8)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(64, activation="relu")]
    )
    solved = LogisticRegression(C=30, max_iter=300).fit(np.asarray(body(image[train])), odd[train])
    last = layers.Dense(1, activation="sigmoid")
    network = keras.Sequential([keras.Input((8, 8)), *body.layers, last])
    last.set_weights([solved.coef_.T, solved.intercept_])
    network.save(tmp_path / "odd.h5")
    words = ("--check", tmp_path / "data.npz", "--formats", "tflite-int8,onnx-float32", "--out", tmp_path / "dist")
    code, _, err = lettercast("export", tmp_path / "odd.h5", *words)
    assert code == 0, err
    assert "odd: the model takes (8, 8); images (8, 8, 1) are given to it as (8, 8)" in err
    assert "odd: the model has a sigmoid output p; its two classes have the probabilities 1 - p and p" in err
    engine = open_engine(tmp_path / "dist" / "odd-float32.onnx")
    assert engine.facts.labels == ("even", "odd")
    expected = network.predict(image[test], verbose=0)[:, 0]
    np.testing.assert_allclose(engine(image[test][..., None])[:, 1], expected, atol=1e-5)
    # The original itself is measured with the names of the data.
    code, said, _ = lettercast("evaluate", tmp_path / "odd.h5", "--data", tmp_path / "data.npz", "--json")
    assert set(json.loads(said)["per_class"]) == {"even", "odd"}
    assert json.loads(said)["accuracy"] == pytest.approx(((expected > 0.5) == odd[test]).mean())


def test_layers_of_a_models_own_are_imported_by_the_command(lettercast, refused, digits, images, solve, tmp_path):
    names: dict = {}
    exec(OWN, names)
    image, label, train, _ = images
    body = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), names["Doubled"](), layers.Flatten()])
    solve(body, image[train][..., None], label[train], "softmax").save(tmp_path / "own.keras")
    (tmp_path / "own_layers.py").write_text(OWN)
    words = ("export", tmp_path / "own.keras", "--check", digits / "digits.npz", "--formats", "onnx-float32")
    said = refused(*words, "--out", tmp_path / "dist")
    assert (
        "own.keras: needs Doubled, which is not a part of Keras; name the Python file that defines it with --custom FILE.py"
        in said
    )
    custom = ("--custom", tmp_path / "own_layers.py")
    code, out, err = lettercast(*words, *custom, "--out", tmp_path / "dist")
    assert code == 0, err
    assert f"--original {tmp_path / 'own.keras'} --custom {tmp_path / 'own_layers.py'}" in out


class OwnNetwork(keras.Model):
    """A subclassed model, which has no Input, with a layer that only training needs."""

    def __init__(self):
        super().__init__()
        self.parts = [layers.RandomFlip(), layers.Rescaling(1 / 255), layers.Lambda(lambda x: 2 * x), layers.Flatten()]
        self.last = layers.Dense(10, activation="softmax")

    def call(self, x, training=None):
        x = self.parts[0](x, training=training)
        for part in self.parts[1:]:
            x = part(x)
        return self.last(x)


def test_a_model_in_memory_needs_no_file_and_stays_as_it_is(images, sets, tmp_path):
    from sklearn.linear_model import LogisticRegression

    image, label, train, _ = images
    network = OwnNetwork()
    network(image[:2][..., None])
    flat = image[train].reshape(-1, 64) * (2 / 255)
    solved = LogisticRegression(C=30, max_iter=300).fit(flat, label[train])
    network.last.set_weights([solved.coef_.T, solved.intercept_])
    before = network.predict(image[:5][..., None], verbose=0)
    assert equal(export(network, formats=FLOATS, out=tmp_path, progress=False, **sets))
    np.testing.assert_array_equal(network.predict(image[:5][..., None], verbose=0), before)
    assert evaluate(network, sets["check"], progress=False).accuracy > 0.85


def test_messages_name_a_model_in_memory_and_no_file(sets, tmp_path):
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4, activation="softmax")], name="four")
    with pytest.raises(LettercastError) as refusal:
        export(network, formats=FLOATS, out=tmp_path, progress=False, **sets)
    assert "/" not in str(refusal.value)


def test_a_quantized_layer_within_another_is_refused_by_its_name():
    inputs = keras.Input((8, 8))
    network = keras.Model(inputs, layers.MultiHeadAttention(1, 4)(inputs, inputs), name="attention")
    network.quantize("int8")
    with pytest.raises(LettercastError, match=r"attention: the int8 layer 'query' \(EinsumDense\) is quantized by Keras"):
        dequantized(network)
