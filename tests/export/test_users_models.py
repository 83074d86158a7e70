"""Models of users: other classes and sizes, scaling outside, logits, augmentation, integer inputs and half precision."""

import json

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.convert.network import for_inference
from lettercast.export.exporter import export, export_model
from lettercast.export.formats import FORMATS
from lettercast.export.original import open_letters
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import PICTURES
from lettercast.train.data.drawing import shown

DIGITS = tuple("0123456789")
layers = keras.layers


@pytest.fixture(scope="module")
def colours(solve, tmp_path_factory):
    """A folder with a functional model of colours, with branches, that expects pixels -1..1, and its images as .npz."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    images = rng.integers(0, 80, (300, 16, 16, 3)).astype(np.uint8)
    images[np.arange(300), :, :, label] += 120
    split = np.repeat([0, 1, 2], [200, 20, 80])
    np.savez(folder / "colours.npz", image=images, label=label, split=split, classes=np.array(["red", "green", "blue"]))
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    branches = [layers.Conv2D(4, size, padding="same", activation="relu")(inputs) for size in (1, 3)]
    body = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Concatenate()(branches)))
    solve(body, images[:200] / 127.5 - 1, label[:200], "softmax", strength=10).save(folder / "colours.keras")
    return folder


def test_every_format_holds_the_scaling_and_the_softmax_that_the_model_leaves_outside(lettercast, digits, tmp_path):
    out = tmp_path / "dist"
    words = ("export", digits / "digits.keras", "--check", digits / "digits.npz", "--out", out)
    code, said, err = lettercast(*words, "--max-drop", 3, "--min-agreement", 95)
    assert code == 0, err
    assert "pixels 0..1 fit the model best" in err
    assert "gives logits" in err
    assert f"lettercast classify my.png --model {out / 'digits-int8.tflite'}" in said
    data = np.load(digits / "digits.npz")
    images, truth = (data[name][data["split"] == 2] for name in ("image", "label"))
    for row in FORMATS.values():
        engine = open_engine(out / row.file_name("digits"))
        assert engine.facts.labels == DIGITS
        assert engine.facts.takes == PICTURES
        rows = engine(shown(engine.facts, images[..., None]))
        assert rows.sum(1) == pytest.approx(1, abs=0.03)
        assert (rows.argmax(1) == truth).mean() > 0.88
    code, said, _ = lettercast("evaluate", out / "digits-int8.tflite", "--data", digits / "digits.npz", "--json")
    result = json.loads(said)
    assert code == 0
    assert set(result["per_class"]) == set(DIGITS)
    assert result["accuracy"] > 0.88


def test_a_functional_model_of_colours_keeps_the_order_of_channels(colours, tmp_path):
    model = colours / "colours.keras"
    calibrate, check = open_letters(model, str(colours / "colours.npz"), None)
    artifacts = export_model(
        model, [FORMATS[name] for name in ("tflite-int8", "onnx-int8")], calibrate, check, tmp_path, max_drop=3, min_agreement=95
    )
    for artifact in artifacts:
        assert artifact.misses == ()
        assert artifact.parity.original_accuracy > 95
        facts = open_engine(artifact.path).facts
        assert facts.labels == ("red", "green", "blue")
        assert facts.made["pixels"].startswith("-1..1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "takes images of 8 x 8 x 1; name some with --check"),
        (("--check", "pen"), "pen: holds letters, but the model takes images of 8 x 8 x 1"),
        (("--labels", "a,b,c"), "--labels: has 3 names, and the model has 10 outputs"),
        (("--labels", "a"), "names fewer than two classes"),
        (("--labels", "a,b,c,d,e,f,g,h,i,j"), "and the model's outputs are 'a', 'b', 'c' and 7 more; name them alike"),
    ],
)
def test_data_and_labels_that_do_not_fit_a_model_of_images_are_refused(refused, digits, tmp_path, words, message):
    check = () if not words or "--check" in words else ("--check", digits / "digits.npz")
    assert message in refused("export", digits / "digits.keras", *check, *words, "--out", tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def small_network(*first, dtype="float32"):
    """A network of one convolution behind these layers; its batch statistics are not the initial ones."""
    norm = layers.BatchNormalization()
    last = [layers.Conv2D(4, 3, activation="relu"), norm, layers.Flatten(), layers.Dense(3, "softmax", dtype="float32")]
    network = keras.Sequential([keras.Input((16, 16, 3), dtype=dtype), *first, *last])
    norm.set_weights([np.linspace(0.5, 2, 4), np.linspace(-1, 1, 4), np.linspace(-2, 2, 4), np.linspace(1, 3, 4)])
    return network


def augmented_and_normalized():
    """Augmentation before, after and in a network within, with a Resizing that stays, and learned normalization."""
    within = keras.Sequential([keras.Input((16, 16, 3)), layers.RandomFlip("horizontal"), layers.Resizing(12, 12)])
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(1).integers(0, 256, (9, 16, 16, 3)).astype(np.float32) * [1, 0.5, 2])
    return small_network(layers.RandomZoom(0.1), within, normalization, layers.RandomContrast(0.1))


def integer_input_in_half_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return small_network(layers.Rescaling(1 / 255), dtype="uint8")
    finally:
        keras.mixed_precision.set_global_policy("float32")


def grouped_convolution():
    return small_network(layers.Conv2D(6, 3, groups=3, strides=2, activation="relu"))


@pytest.mark.parametrize("build", [augmented_and_normalized, integer_input_in_half_precision, grouped_convolution])
def test_networks_that_converters_refuse_as_they_are_pass_the_gate(build, tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    keras.utils.set_random_seed(1)
    network = build()
    # What the network says is the truth, and it says every class: a model at chance is refused.
    weights, bias = network.layers[-1].get_weights()
    scores = keras.Model(network.inputs, network.layers[-2].output).predict(images, verbose=0) @ weights
    network.layers[-1].set_weights([weights, bias - scores.mean(0)])
    network.save(tmp_path / "m.keras")
    label = network.predict(images, verbose=0).argmax(1)
    np.savez(tmp_path / "data.npz", image=images, label=label, split=np.repeat([0, 2], 30), classes=["a", "b", "c"])
    calibrate, check = open_letters(tmp_path / "m.keras", None, str(tmp_path / "data.npz"))
    rows = [FORMATS[name] for name in ("tflite-float32", "onnx-float32")]
    exports = export_model(tmp_path / "m.keras", rows, calibrate, check, tmp_path / "dist", pixels="0..255")
    assert exports.faults == ()
    assert [artifact.misses for artifact in exports] == [(), ()]


def test_a_factor_in_front_of_two_branches_reaches_both(solve, tmp_path):
    # A Rescaling that feeds two convolutions must not be folded into one of them.
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    images = rng.integers(0, 80, (300, 16, 16, 3)).astype(np.uint8)
    images[np.arange(300), :, :, label] += 120
    np.savez(tmp_path / "data.npz", image=images, label=label, split=np.repeat([0, 2], [200, 100]), classes=["r", "g", "b"])
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    scaled = layers.Rescaling(1 / 255)(inputs)
    branches = [layers.Conv2D(4, size, strides=2, padding="same", activation="relu")(scaled) for size in (3, 5)]
    body = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Concatenate()(branches)))
    solve(body, images[:200], label[:200], "softmax", strength=10).save(tmp_path / "two.keras")
    exports = export(
        tmp_path / "two.keras",
        check=tmp_path / "data.npz",
        formats=("onnx-float32", "onnx-int8"),
        out=tmp_path / "dist",
        progress=False,
    )
    assert [artifact.parity.agreement for artifact in exports] == [100.0, 100.0]
    assert exports.artifacts[0].parity.difference < 1e-5


@pytest.mark.parametrize(
    ("axis", "shape"), [(-1, (1,)), ((1, 2, 3), (16, 16, 1)), (1, (16, 1, 1))], ids=["channel", "pixel", "row"]
)
def test_a_normalization_over_any_axes_becomes_the_same_rescaling(axis, shape):
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1)).astype(np.float32)
    normalization = layers.Normalization(axis=axis)
    normalization.adapt(images)
    network = keras.Sequential([keras.Input((16, 16, 1)), normalization, layers.Flatten()])
    made = for_inference(network)
    assert [type(layer).__name__ for layer in made.layers] == ["Rescaling", "Flatten"]
    assert np.shape(made.layers[0].scale) == shape
    np.testing.assert_allclose(made.predict(images, verbose=0), network.predict(images, verbose=0), atol=1e-4)


def test_twenty_six_classes_that_are_no_letters_take_their_names_from_the_check_images(solve, tmp_path):
    names = tuple(f"fruit{number:02d}" for number in range(26))
    label = np.arange(26 * 12) % 26
    images = np.empty((len(label), 8, 8, 3), np.uint8)
    rng = np.random.default_rng(0)
    images[:] = np.clip(rng.integers(0, 250, (26, 1, 1, 3))[label] + rng.integers(0, 6, images.shape), 0, 255)
    np.savez(tmp_path / "data.npz", image=images, label=label, split=np.repeat([0, 2], [260, 52]), classes=np.array(names))
    body = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten()])
    solve(body, images[:260], label[:260], "softmax", strength=10).save(tmp_path / "fruits.keras")
    exports = export(
        tmp_path / "fruits.keras", check=tmp_path / "data.npz", formats="tflite-float32", out=tmp_path / "dist", progress=False
    )
    assert open_engine(exports.artifacts[0].path).facts.labels == names


def test_a_model_at_chance_is_refused_and_nothing_is_written(solve, tmp_path):
    label = np.arange(300) % 3
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", image=images, label=label, split=np.repeat([0, 2], [200, 100]), classes=["a", "b", "c"])
    body = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Flatten()])
    solve(body, images[:200], label[:200], "softmax", strength=1).save(tmp_path / "guess.keras")
    with pytest.raises(LettercastError, match=r"guess.keras: is right on .* % of --check data.npz, and a guess on 33.3 %"):
        export(tmp_path / "guess.keras", check=tmp_path / "data.npz", out=tmp_path / "dist", progress=False)
    assert not (tmp_path / "dist").exists()
