"""Preprocessings outside of a model: found, named, built into exported files; and models that need none are left alone."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from lettercast import LettercastError
from lettercast.benchmarks.parity.contender import open_contenders
from lettercast.commands.parser import with_ranges
from lettercast.export import convention
from lettercast.export.convention import as_exported, to_convention
from lettercast.export.detection import Trial, better_order, ranked
from lettercast.export.diagnose import reproduces
from lettercast.export.exporter import export
from lettercast.export.preprocessing import Preprocessing, find_preprocessing, known
from lettercast.runtime.model.engine import open_engine
from lettercast.train.predict import as_probabilities

layers = keras.layers
DIGITS = tuple("0123456789")
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
TRAINED = 1200


@pytest.fixture(scope="module")
def grey() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as (N, 8, 8, 1) uint8, and their classes."""
    data = load_digits()
    return np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None], data.target.astype(np.int64)


@pytest.fixture(scope="module")
def coloured(grey) -> tuple[np.ndarray, np.ndarray]:
    """The digits as RGB, each channel of its own brightness and direction."""
    images, classes = grey
    return np.concatenate([images, 200 - images // 2, images // 3 + 60], -1), classes


def standardized(images):
    return np.asarray(tf.image.per_image_standardization(images.astype(np.float32)))


def imagenet(mode):
    return lambda images: keras.applications.imagenet_utils.preprocess_input(images.astype(np.float32), mode=mode)


# What users do to images, in their own words, by the name that --pixels takes.
DONE = {
    "0..255": lambda images: images.astype(np.float32),
    "0..1": lambda images: images / np.float32(255),
    "-1..1": lambda images: images / np.float32(127.5) - 1,
    "caffe": imagenet("caffe"),
    "torch": imagenet("torch"),
    "torch bgr": lambda images: imagenet("torch")(images[..., ::-1]),
    "caffe rgb": lambda images: images - np.float32([123.68, 116.779, 103.939]),
    "0..1 bgr": lambda images: images[..., ::-1] / np.float32(255),
    "0..1 inverted": lambda images: 1 - images / np.float32(255),
    "0..255 inverted": lambda images: 255 - images.astype(np.float32),
    "0..1 transposed": lambda images: images.swapaxes(1, 2) / np.float32(255),
    "-1..1 bgr inverted transposed": lambda images: (255 - images.swapaxes(1, 2)[..., ::-1]) / np.float32(127.5) - 1,
    "standardized": standardized,
    "standardized bgr": lambda images: standardized(images[..., ::-1]),
    "0..16": lambda images: images / np.float32(255 / 16),
    "mean 33.5 std 78.5": lambda images: (images - np.float32(33.5)) / np.float32(78.5),
    "mean 1,2,3 std 255": lambda images: (images - np.float32([1, 2, 3])) / np.float32(255),
}


@pytest.fixture(scope="module")
def trained():
    """Return a function that gives a network trained on digits under a preprocessing; each is made once."""
    made: dict = {}

    def solved(body, inputs, classes, activation):
        """Put a layer behind a network that regression solves."""
        features = np.asarray(body(inputs))
        centred = features - features.mean(0)
        wanted = 12 * (np.eye(10)[classes] - 0.1)
        weights = np.linalg.solve(
            centred.T @ centred + 1e-3 * np.trace(centred.T @ centred) / len(centred) * np.eye(len(centred.T)), centred.T @ wanted
        )
        last = layers.Dense(10, activation=activation)
        network = keras.Model(body.inputs, last(body.outputs[0]))
        last.set_weights([weights, -features.mean(0) @ weights])
        return network

    def train(name: str, images: np.ndarray, classes: np.ndarray, *, activation: str | None = "softmax", first=()):
        key = (name, images.shape, activation, len(first))
        if key not in made:
            keras.utils.set_random_seed(1)
            # Weights as if inputs were 0..1, whatever they are: as training does, and so that the solver converges.
            inputs = DONE[name](images[:TRAINED])
            scale = 1 / max(1.0, float(np.abs(inputs).max())) if not first else 1.0
            start = keras.initializers.RandomNormal(stddev=0.5 * scale)
            biases = keras.initializers.RandomUniform(-0.4, 0.4)
            convolution = layers.Conv2D(16, 3, activation="relu", kernel_initializer=start, bias_initializer=biases)
            body = keras.Sequential([keras.Input(images.shape[1:]), *first, convolution, layers.Flatten()], name="digits")
            made[key] = solved(body, inputs, classes[:TRAINED], activation)
        return made[key]

    return train


def convert(network, images, classes, pixels=None, labels=DIGITS):
    return to_convention(Path("m.keras"), network, images[:500], classes[:500], labels, pixels=pixels)


def accuracy(rows, classes):
    return float((np.asarray(rows).argmax(1) == classes).mean())


@pytest.mark.parametrize("name", DONE)
def test_a_name_means_what_users_do_in_numpy_and_as_layers(name):
    # An image of one value has no deviation, and must not be divided by zero.
    images = np.concatenate([IMAGES, np.full((1, 8, 8, 3), 7, np.uint8)])
    done, pixels = DONE[name](images), find_preprocessing(name)
    assert pixels.name == name
    np.testing.assert_allclose(pixels.apply(images), done, atol=2e-4)
    inputs = keras.Input(images.shape[1:])
    np.testing.assert_allclose(keras.Model(inputs, pixels.layers(inputs))(images), done, atol=2e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_known_preprocessing_has_a_name_of_its_own_and_layers_that_equal_it(channels):
    images = IMAGES[..., :channels]
    every = list(known(images))
    assert len({one.name for one in every}) == len(every)
    assert [one.name for one in every[:3]] == ["0..255", "0..1", "-1..1"]
    for pixels in every:
        assert find_preprocessing(pixels.name) == pixels
        inputs = keras.Input(images.shape[1:])
        np.testing.assert_allclose(pixels.layers(inputs).shape[1:], images.shape[1:])
        np.testing.assert_allclose(keras.Model(inputs, pixels.layers(inputs))(images), pixels.apply(images), atol=2e-4)


def test_only_what_fits_the_images_is_known():
    assert not any("bgr" in one.name or "torch" in one.name or "caffe" in one.name for one in known(IMAGES[..., :1]))
    assert not any("transposed" in one.name for one in known(IMAGES[:, :5]))


@pytest.mark.parametrize(
    ("said", "name"), [("BGR -1..1", None), ("-1..1 INVERTED bgr", "-1..1 bgr inverted"), ("caffe bgr", "caffe")]
)
def test_names_take_their_words_behind_the_base_in_any_order(said, name):
    if name:
        assert find_preprocessing(said).name == name
    else:
        with pytest.raises(LettercastError, match=r"is unknown; choose from 0\.\.255, 0\.\.1"):
            find_preprocessing(said)


@pytest.mark.parametrize(
    "name", ["", "0..", "5..5", "1..0", "caffe caffe", "0..1 bgr rgb", "mean", "mean x", "mean 1,2", "mean 1 std 0", "mean nan"]
)
def test_what_is_no_preprocessing_is_refused(name):
    with pytest.raises(LettercastError, match=r"^--pixels '.*': is unknown; choose from"):
        find_preprocessing(name)


UNKNOWN = [
    ("grey", "0..1 inverted"),
    ("grey", "0..1 transposed"),
    ("grey", "standardized"),
    ("coloured", "caffe"),
    ("coloured", "torch bgr"),
    ("coloured", "0..1 bgr"),
    ("coloured", "0..255 inverted"),
    ("coloured", "0..1 transposed"),
    ("coloured", "standardized"),
]


@pytest.mark.parametrize(("data", "name"), UNKNOWN)
def test_an_unknown_preprocessing_is_found_and_named_with_its_accuracy(request, trained, data, name):
    images, classes = request.getfixturevalue(data)
    network = trained(name, images, classes)
    right = accuracy(network.predict(DONE[name](images[:500]), verbose=0), classes[:500])
    assert right > 0.9
    with pytest.raises(LettercastError) as refused:
        convert(network, images, classes)
    message = str(refused.value)
    assert message.startswith("m.keras: is right on ")
    option = f"--pixels '{name}'" if " " in name else f"--pixels {name}"
    assert f"{100 * right:.1f} % with {option}" in message
    # What is named is built in, and the network then takes plain images.
    exported, made, advice = convert(network, images, classes, name)
    assert (made["pixels"], advice) == (f"{name}, done inside the exported files", "")
    assert accuracy(exported.predict(images[:500].astype(np.float32), verbose=0), classes[:500]) == right


@pytest.mark.parametrize(
    ("data", "name"), [("coloured", "caffe"), ("grey", "standardized"), ("grey", "0..1 inverted transposed")]
)
def test_exported_files_do_the_preprocessing_and_a_benchmark_rebuilds_it(request, trained, tmp_path, data, name):
    images, classes = request.getfixturevalue(data)
    DONE.setdefault(name, lambda shown: 1 - shown.swapaxes(1, 2) / np.float32(255))
    network = trained(name, images, classes)
    network.save(tmp_path / "m.keras")
    held = images[TRAINED:], classes[TRAINED:]
    exports = export(
        tmp_path / "m.keras",
        calibrate=(images[:TRAINED], classes[:TRAINED], DIGITS),
        check=(*held, DIGITS),
        pixels=name,
        formats=("tflite-float32", "tflite-int8", "onnx-float32", "onnx-int8"),
        max_drop=1.5,
        min_agreement=97,
        out=tmp_path / "dist",
        progress=False,
    )
    assert exports.faults == () and [artifact.misses for artifact in exports] == [(), (), (), ()]
    keras_own = 100 * accuracy(network.predict(DONE[name](held[0]), verbose=0), held[1])
    assert [artifact.parity.original_accuracy for artifact in exports] == pytest.approx([keras_own] * 4)
    engine = open_engine(exports.artifacts[0].path)
    assert engine.facts.made["pixels"].startswith(f"{name}, ")
    original = open_contenders([exports.artifacts[0].path], [tmp_path / "m.keras"], 1)[0]
    np.testing.assert_allclose(original.engine(held[0][:50]), engine(held[0][:50]), atol=1e-5)


ORDINARY = {
    "0..255": ("grey", "0..255", ()),
    "0..1": ("grey", "0..1", ()),
    "-1..1": ("grey", "-1..1", ()),
    "scaled inside": ("grey", "0..255", (layers.Rescaling, 1 / 255)),
    "RGB": ("coloured", "0..1", ()),
    "RGB scaled inside": ("coloured", "0..255", (layers.Rescaling, 1 / 127.5, -1)),
}


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_model_is_taken_as_it_was_trained(request, trained, kind, activation):
    data, name, first = ORDINARY[kind]
    images, classes = request.getfixturevalue(data)
    network = trained(name, images, classes, activation=activation, first=[first[0](*first[1:])] if first else [])
    exported, made, advice = convert(network, images, classes)
    assert made.get("pixels", "0..255").partition(",")[0] == name
    assert advice == ""
    assert ("outputs" in made) == (activation is None)
    own = network.predict(DONE[name](images), verbose=0)
    assert accuracy(exported.predict(images.astype(np.float32), verbose=0), classes) == accuracy(own, classes)
    # Grey images in RGB are the same in BGR, and few images prove nothing.
    few, _, _ = to_convention(Path("m.keras"), network, images[:20], classes[:20], DIGITS)
    assert accuracy(few.predict(images.astype(np.float32), verbose=0), classes) == accuracy(own, classes)


def test_a_wrong_name_is_refused_with_the_right_one(trained, grey):
    network = trained("0..1", *grey)
    with pytest.raises(
        LettercastError, match=r"is right on .* with pixels 0..1 inverted, and .*; it is right on .* with --pixels 0..1"
    ):
        convert(network, *grey, "0..1 inverted")
    with pytest.raises(LettercastError, match="--pixels caffe: is for RGB images, and the model takes grey ones"):
        convert(network, *grey, "caffe")


def test_a_name_that_is_asked_for_is_kept_and_the_better_one_is_said(trained, grey, monkeypatch):
    images, classes = grey
    said = []
    monkeypatch.setattr(convention, "say", said.append)
    _, made, _ = convert(trained("standardized", images, classes), images, classes, "-1..1")
    assert made["pixels"] == "-1..1, done inside the exported files"
    assert "; it is right on 100.0 % with --pixels standardized" in said[0]
    assert "turn them into -1..1 for the model, as --pixels asks" in said[1]


def test_models_that_lettercast_trained_take_no_pixels(refused, tmp_path):
    message = refused("export", "letters-nano", "--pixels", "-1..1", "--formats", "tflite-float32", "--out", tmp_path / "dist")
    assert "says itself what it takes" in message


def test_outputs_in_another_order_are_found_with_their_names(trained, grey):
    images, classes = grey
    network = trained("0..1", images, classes)
    right = accuracy(network.predict(images[:500] / np.float32(255), verbose=0), classes[:500])
    # The folders of numbers 1 to 10, sorted as text.
    order = np.array([9, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    names = [str(number) for number in range(1, 11)]
    true = ",".join(names[place] for place in order)
    with pytest.raises(LettercastError, match=f"; it is right on {100 * right:.1f} % with --labels {true}; choose"):
        convert(network, images, order[classes], labels=names)
    # Two that are swapped leave most answers right.
    order = np.array([0, 1, 2, 3, 4, 5, 6, 9, 8, 7])
    with pytest.raises(LettercastError, match="with --labels 0,1,2,3,4,5,6,9,8,7"):
        convert(network, images, order[classes])


def test_another_order_and_an_unknown_preprocessing_are_found_together(trained, grey):
    images, classes = grey
    order = np.roll(np.arange(10), 3)
    with pytest.raises(LettercastError, match=r"with --labels 7,8,9,0,1,2,3,4,5,6 and --pixels '\S+ transposed'"):
        convert(trained("0..1 transposed", images, classes), images, order[classes])


def test_answers_without_any_order_have_none():
    rng = np.random.default_rng(0)
    classes = np.arange(500) % 10
    for share in (0.0, 0.3, 0.9):
        answers = np.where(rng.random(500) < share, classes, rng.integers(0, 10, 500))
        assert better_order(Trial(Preprocessing("0..1"), np.eye(10, dtype=np.float32)[answers], classes)) is None
    # A network that takes two classes for one has no wrong order.
    merged = np.where(classes == 3, 4, classes)
    assert better_order(Trial(Preprocessing("0..1"), np.eye(10, dtype=np.float32)[merged], classes)) is None


def test_a_badly_trained_model_fits_nothing_and_the_message_says_so(lettercast, grey, tmp_path):
    images, classes = grey
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
    network.save(tmp_path / "bad.keras")
    np.savez(tmp_path / "d.npz", image=images[..., 0], label=classes, split=np.repeat([0, 2], [TRAINED, len(classes) - TRAINED]))
    code, _, message = lettercast("export", tmp_path / "bad.keras", "--check", tmp_path / "d.npz", "--out", tmp_path / "dist")
    assert code == 2
    assert not (tmp_path / "dist").exists()
    assert re.search(r"no known preprocessing fits the calibration images: the best of \d+ is --pixels .* with \d+.\d %", message)
    assert "name its outputs in their order with --labels" in message


def test_saturated_outputs_do_not_pass_for_sure_ones():
    # Ten sigmoids that all say 1 say nothing.
    rows = as_probabilities(np.ones((4, 10), np.float32))
    np.testing.assert_allclose(rows, 0.1)


def test_the_simplest_of_equal_preprocessings_comes_first_without_needless_steps():
    classes = np.arange(100) % 2
    sure = np.where(np.eye(2)[classes] == 1, 0.99, 0.01).astype(np.float32)
    names = ("-1..1", "caffe", "caffe transposed", "-128..127 bgr")
    found = ranked([Trial(find_preprocessing(name), sure, classes) for name in names])
    assert [trial.pixels.name for trial in found] == ["-1..1", "caffe", "-128..127 bgr"]


def test_a_range_below_zero_is_the_value_of_its_option():
    assert with_ranges(["m.keras", "--pixels", "-1..1 bgr", "--overwrite"]) == ["m.keras", "--pixels=-1..1 bgr", "--overwrite"]


def test_outputs_that_hardly_change_are_no_proof_of_a_wrong_scale():
    rng = np.random.default_rng(0)
    original = rng.dirichlet(np.full(5, 0.2), 200).astype(np.float32)
    constant = np.full((200, 5), 0.2, np.float32)
    ruined = constant + rng.normal(0, 0.01, (200, 5)).astype(np.float32)
    scaled = constant + rng.normal(0, 0.005, (200, 5)).astype(np.float32)
    assert not reproduces(scaled, ruined, original)
    assert reproduces(scaled + 1e-5, scaled, original)
    # One answer to all images explains nothing, whatever the scale.
    assert not reproduces(scaled, constant, original)


def test_facts_without_layers_leave_a_network_as_it_is(trained, grey):
    network = trained("0..255", *grey)
    assert as_exported(network, {}) is network
