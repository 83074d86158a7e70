"""Real breaks of an export, and whether the gate says what they are."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from lettercast.export import tflite
from lettercast.export.artifact import export_model
from lettercast.export.diagnose import best_order, depthwise_spread
from lettercast.export.formats import FORMATS
from lettercast.train.data.open import open_source

SLACK = {"max_drop": 5.0, "min_agreement": 90.0}


def wrong_scale(network, calibration):
    """Calibrate on pictures scaled to 0..1."""
    return tflite.int8(network, np.rint(calibration / 255).astype(np.uint8))


def swapped_labels(network, calibration):
    """Give the probabilities of A and B in each other's place, and so on to Z."""
    pairs = np.arange(26).reshape(13, 2)[:, ::-1].ravel()
    swap = keras.layers.Dense(26, use_bias=False)
    swapped = keras.Sequential([keras.Input((28, 28, 1)), *network.layers, swap])
    swap.set_weights([np.eye(26)[:, pairs]])
    return tflite.float32(swapped, calibration)


def without_scaling(network, calibration):
    """Leave out the layer that brings pixels to 0..1."""
    return tflite.float32(keras.Sequential([keras.Input((28, 28, 1)), *network.layers[1:]]), calibration)


BREAKS = [
    ("tflite-int8", wrong_scale, "its input ends at pixel 1 of 255: it was calibrated on pictures of another scale"),
    ("tflite-float32", swapped_labels, "the labels are swapped: it says B for A, A for B, D for C, ..."),
    ("tflite-float32", without_scaling, "it takes pixels by 255 too large: the scaling in front of the network was left out"),
]


@pytest.mark.parametrize(("name", "build", "cause"), BREAKS, ids=[build.__name__ for _, build, _ in BREAKS])
def test_a_broken_export_is_told_by_its_cause_and_leaves_no_file(
    model_file, strokes_file, check_source, tmp_path, name, build, cause
):
    calibrate = open_source(str(strokes_file), "train")
    broken = replace(FORMATS[name], build=build)
    (artifact,) = export_model(model_file, [broken], calibrate, check_source, tmp_path, **SLACK)
    assert artifact.misses
    assert artifact.cause.startswith(cause)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def depthwise(tmp_path_factory):
    """A model as MobileNet's are, whose depthwise filters have very different ranges: the next layer makes up for it."""
    folder = tmp_path_factory.mktemp("depthwise")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 800)
    images = rng.integers(0, 90, (800, 16, 16, 1)).astype(np.uint8)
    for image, kind in zip(images, label, strict=True):
        x, y = rng.integers(2, 8, 2)
        bar = [np.s_[y : y + 7, x : x + 2], np.s_[y : y + 2, x : x + 7], np.s_[y : y + 6, x : x + 6], np.s_[y : y + 2, x : x + 2]]
        image[bar[kind]] = 250
    split = np.repeat([0, 2], [500, 300])
    np.savez(folder / "bars.npz", image=images, label=label, split=split, classes=np.array(["up", "flat", "block", "dot"]))
    keras.utils.set_random_seed(1)
    layers = keras.layers
    first, second = layers.DepthwiseConv2D(3, padding="same", activation="relu"), layers.Conv2D(24, 1, activation="relu")
    stem = [keras.Input((16, 16, 1)), layers.Rescaling(1 / 255), layers.Conv2D(16, 3, padding="same", activation="relu")]
    head = [layers.MaxPooling2D(4), layers.Flatten(), layers.Dense(4, activation="softmax")]
    model = keras.Sequential([*stem, first, second, *head])
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    model.fit(images[:500], label[:500], epochs=15, verbose=0)
    factors = 10 ** rng.uniform(-2, 2, 16)
    kernel, bias = first.get_weights()
    first.set_weights([kernel * factors[:, None], bias * factors])
    kernel, bias = second.get_weights()
    second.set_weights([kernel / factors[:, None], bias])
    model.save(folder / "bars.keras")
    return folder


def test_onnx_dynamic_ruins_a_depthwise_model_and_the_gate_says_so(lettercast, depthwise, tmp_path):
    words = ("export", depthwise / "bars.keras", "--check", depthwise / "bars.npz", "--out", tmp_path / "dist")
    code, _, err = lettercast(*words, "--formats", "onnx-dynamic,onnx-float32")
    assert code == 1
    assert "onnx-dynamic missed the gate" in err
    assert "onnx-dynamic: depthwise filters of very different ranges share one scale; take" in err
    assert [path.name for path in (tmp_path / "dist").glob("*.onnx")] == ["bars-float32.onnx"]


def test_the_ranges_of_depthwise_filters_are_compared(depthwise, model_file):
    assert depthwise_spread(keras.models.load_model(depthwise / "bars.keras")) > 50
    assert depthwise_spread(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])) == 1


def test_the_order_of_classes_is_found_again():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(5, 0.2), 200).astype(np.float32)
    order = np.array([2, 0, 1, 4, 3])
    np.testing.assert_array_equal(best_order(rows, rows[:, order]), order)
    # Answers of which nothing can be said keep their order.
    np.testing.assert_array_equal(best_order(rows, np.tile(rows[:1], (200, 1))), np.arange(5))
