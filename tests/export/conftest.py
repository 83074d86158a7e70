"""What the tests of exports share: small models that need no training, and the file for apps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.convert import tflite
from lettercast.export.convert.mobile import embed_mobile, take_rgb
from lettercast.export.exporter import DEFAULT_MODEL
from lettercast.runtime.model.facts import PICTURES, Facts, keras_facts
from lettercast.train.data.drawing import draw_ink
from lettercast.train.predict import load_keras


@pytest.fixture(scope="session")
def solve() -> Callable:
    """Return a function that puts a Dense layer behind a network and solves its weights, instead of training for epochs.

    It takes the network, images (n, H, W, C) in the network's own range, their classes (n,), and the layer's activation.
    """

    def classifier(body, images: np.ndarray, classes: np.ndarray, activation: str | None = None, strength: float = 30):
        import keras
        from sklearn.linear_model import LogisticRegression

        solved = LogisticRegression(C=strength, max_iter=300).fit(np.asarray(body(images)), classes)
        last = keras.layers.Dense(len(solved.classes_), activation=activation)
        network = keras.Model(body.inputs, last(body.outputs[0]))
        last.set_weights([solved.coef_.T, solved.intercept_])
        return network

    return classifier


@pytest.fixture(scope="session")
def digits(made_once, solve) -> Path:
    """A folder with a model of scikit-learn's digits that expects pixels 0..1 and gives logits, and its images as .npz."""

    def make(folder: Path) -> Path:
        import keras
        from sklearn.datasets import load_digits

        folder.mkdir()
        data = load_digits()
        images = np.rint(data.images * (255 / 16)).astype(np.uint8)
        split = np.repeat([0, 1, 2], [1200, 100, len(images) - 1300])
        np.savez(folder / "digits.npz", image=images, label=data.target, split=split, classes=np.array(list("0123456789")))
        keras.utils.set_random_seed(1)
        layers = keras.layers
        # Without biases logits would only grow with the range of pixels, and every range would read the digits.
        biases = keras.initializers.RandomUniform(-0.4, 0.4)
        convolution = layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer=biases)
        body = keras.Sequential([keras.Input((8, 8, 1)), convolution, layers.MaxPooling2D(), layers.Flatten()])
        solve(body, images[:1200, ..., None] / 255, data.target[:1200]).save(folder / "digits.keras")
        return folder

    return made_once("digits", make)


@pytest.fixture(scope="session")
def mobile_base(made_once) -> Path:
    """The shipped letters-base as a file for apps."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        network, facts = take_rgb(load_keras(DEFAULT_MODEL), keras_facts(DEFAULT_MODEL))
        path = folder / "letters-base-mobile.tflite"
        path.write_bytes(embed_mobile(tflite.dynamic(network, np.zeros((0, 28, 28, 1), np.uint8)), facts))
        return path

    return made_once("mobile", make)


@pytest.fixture(scope="session")
def photograph(pen) -> Callable[..., np.ndarray]:
    """Return a function that writes a capital on paper: (side, side, 3) uint8 RGB, dark on light."""

    def draw(letter: str, side: int = 200, *, share: float = 0.6, at=(0.5, 0.5), pen_share: float = 0.1, paper=225, ink=50):
        strokes = pen.sample(ord(letter) - ord("A"), np.random.default_rng(3), True)
        drawn = draw_ink(strokes, share * side, pen_share * share * side)
        image = np.full((side, side), float(paper))
        h, w = drawn.shape
        y, x = (round(place * (side - length)) for place, length in zip(at, (h, w), strict=True))
        image[y : y + h, x : x + w] += drawn / 255 * (ink - paper)
        return np.repeat(image[..., None], 3, -1).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def fruit(made_once) -> Path:
    """A folder with a small network of RGB images: fruit-int8.tflite, and -int16x8, -float32, -float16 and -dynamic."""

    def make(folder: Path) -> Path:
        import keras

        from lettercast.export.golden import write_with_golden

        labels, shape = ('ap"ple', "pe??/ar", "möhre\\", "plum|x"), (22, 26, 3)
        folder.mkdir()
        keras.utils.set_random_seed(1)
        layers, source = keras.layers, keras.Input(shape)
        first = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(layers.Rescaling(1 / 127.5, -1)(source))
        branch = layers.Conv2D(8, 1)(layers.DepthwiseConv2D(3, padding="same", activation="relu")(first))
        body = layers.AveragePooling2D(2)(layers.Add()([first, branch]))
        body = layers.GlobalAveragePooling2D()(layers.Conv2D(24, 3, activation="relu")(layers.ZeroPadding2D(1)(body)))
        network = keras.Model(source, layers.Dense(len(labels), activation="softmax", kernel_initializer="random_normal")(body))
        images = np.random.default_rng(1).integers(0, 256, (48, *shape), dtype=np.uint8)
        for form in ("int8", "int16x8", "float32", "float16", "dynamic"):
            dtype = "uint8" if form == "int8" else "float32"
            facts = Facts("fruit", f"tflite-{form}", labels, shape, dtype, takes=PICTURES, reject_below=0.3)
            content = tflite.embed(getattr(tflite, form)(network, images), facts)
            write_with_golden(folder / f"fruit-{form}.tflite", content, images, network.predict(images, verbose=0))
        return folder

    return made_once("fruit", make)
