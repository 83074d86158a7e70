"""Equalized networks give the same answers, and quantize well where one channel dwarfs the others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from lettercast.export.convert import tflite
from lettercast.export.repair.equalize import equalized
from lettercast.export.repair.fold import folded
from lettercast.runtime.model.engine import open_engine
from lettercast.train.predict import assumed_facts

IMAGES = np.random.default_rng(1).integers(0, 256, (40, 12, 12, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Draw the same weights in every run: how uneven channels are depends on them."""
    keras.utils.set_random_seed(1)


def wide(network: keras.Model) -> keras.Model:
    """Give filters, scales and biases random sizes that differ by a factor of up to 100."""
    rng = np.random.default_rng(4)
    for layer in network._flatten_layers(include_self=False):
        if hasattr(layer, "kernel") or isinstance(layer, layers.LayerNormalization | layers.BatchNormalization):
            sizes = 10 ** rng.uniform(-1, 1, layer.get_weights()[0].shape[-1])
            layer.set_weights([one * sizes if one.shape[-1:] == sizes.shape else one for one in layer.get_weights()])
    return network


def functional(*stack: Callable, head: bool = True) -> keras.Model:
    source = value = keras.Input((12, 12, 3))
    for layer in (layers.Rescaling(1 / 255), *stack):
        value = layer(value)
    return keras.Model(source, layers.Dense(4)(layers.Flatten()(value)) if head else value)


def conv(filters: int = 6, activation: object = "relu", **settings: object) -> layers.Layer:
    return layers.Conv2D(filters, 3, activation=activation, bias_initializer="random_normal", **settings)


def outputs(network: keras.Model, images: np.ndarray = IMAGES) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(network(images.astype(np.float32), training=False)))


def unevenness(network: keras.Model, name: str) -> float:
    """Return how many times the largest channel of a layer's output is as large as the geometric mean of all."""
    part = keras.Model(network.inputs, network.get_layer(name).output)
    reach = np.abs(outputs(part)).reshape(-1, part.output.shape[-1]).max(0)
    reach = reach[reach > 0]
    return float(reach.max() / np.exp(np.log(reach).mean()))


def branches(value):
    one, other = conv(6, padding="same")(value), conv(6, None, padding="same")(value)
    total = layers.ReLU()(layers.Add()([one, other]))
    return layers.Concatenate()([total, conv(4, padding="same")(total)])


def excited(value):
    gate = layers.Dense(6, activation="sigmoid")(layers.Dense(3, activation="relu")(layers.GlobalAveragePooling2D()(value)))
    return layers.Multiply()([value, layers.Reshape((1, 1, 6))(gate)])


def attended(value):
    value = layers.Reshape((100, 6))(value)
    normal = layers.LayerNormalization()(value)
    value = layers.Add()([value, layers.MultiHeadAttention(2, 4)(normal, normal)])
    return layers.Dense(5, activation="gelu")(layers.LayerNormalization()(value))


@pytest.mark.parametrize(
    "stack",
    [
        [conv(), conv(8, strides=2), layers.MaxPooling2D(), conv(5, padding="same")],
        [conv(6, None), layers.PReLU(shared_axes=[1, 2]), layers.ZeroPadding2D(), layers.DepthwiseConv2D(3, depth_multiplier=2)],
        [conv(6, "leaky_relu"), layers.Dropout(0.5), conv(6, groups=3), layers.GlobalAveragePooling2D(), layers.Dense(5)],
        [conv(), layers.SeparableConv2D(6, 3, activation="relu"), layers.Conv2DTranspose(5, 3), conv(4)],
        [conv(6, None), layers.BatchNormalization(), layers.ReLU(), layers.BatchNormalization(), conv(5)],
        [conv(), branches, conv(4)],
        [conv(), excited, conv(4)],
        [conv(), attended],
        [conv(6, None), keras.ops.relu, lambda x: 0.5 * x, layers.Flatten(), layers.Dense(7, activation="relu")],
        [conv(6, "relu6"), conv(4)],
        [conv(6, "swish"), conv(6, None), conv(4)],
        [keras.Sequential([layers.Input((12, 12, 3)), conv(), layers.ReLU()]), conv(4)],
    ],
    ids=[
        *("plain", "depthwise", "grouped", "separable", "norms", "branches", "gate", "attention", "operations"),
        *("relu6", "swish", "nested"),
    ],
)
def test_an_equalized_network_gives_the_same_answers(stack: list) -> None:
    network = wide(functional(*stack))
    equal = equalized(network, IMAGES[:20])
    # Folding rounds, and the rest is exact.
    np.testing.assert_array_equal(outputs(equal), outputs(folded(network)))
    # It is not equal because nothing changed.
    assert any((one != other).any() for one, other in zip(network.get_weights(), equal.get_weights(), strict=False))


def test_channels_get_similar_ranges_through_activations_and_pooling() -> None:
    network = wide(functional(conv(12, name="first"), layers.MaxPooling2D(), conv(6, name="second"), layers.DepthwiseConv2D(3)))
    equal = equalized(network, IMAGES)
    assert unevenness(network, "first") > 3
    assert unevenness(equal, "first") < unevenness(network, "first") / 1.5
    assert unevenness(equal, "second") < 2


def test_channels_that_are_silent_or_unused_do_not_keep_a_large_one_from_shrinking() -> None:
    network = functional(conv(8, name="first"), conv(4, name="second"))
    first, second = network.get_layer("first"), network.get_layer("second")
    kernel, bias = first.get_weights()
    kernel[..., 0], bias[1] = 600 * np.abs(kernel[..., 0]), -100
    first.set_weights([kernel, bias])
    follower, other = second.get_weights()
    follower[:, :, 0] /= 600
    follower[:, :, 2] = 0
    second.set_weights([follower, other])
    equal = equalized(network, IMAGES)
    np.testing.assert_array_equal(outputs(equal), outputs(network))
    # As far as quantization sees it: the silent channel must not set the scale of the follower's weights.
    columns = np.abs(equal.get_layer("second").get_weights()[0]).max((0, 1, 3))
    assert unevenness(network, "first") > 100
    assert unevenness(equal, "first") < 10
    assert columns.max() / np.median(columns[columns > 0]) < 10


def twice(value):
    layer = layers.Conv2D(3, 3, padding="same", activation="relu")
    return layer(layer(value))


@pytest.mark.parametrize(
    "stack",
    [
        [conv(6, "swish"), conv(6, "gelu")],
        [conv(6, "tanh"), layers.ReLU(threshold=0.1), conv(6, "sigmoid")],
        [conv(3, "swish"), twice, conv(3, "swish")],
        [conv(6, None), lambda x: x + 1.0, conv(6, "swish")],
        [conv(6, None), layers.Lambda(lambda x: x), conv(6, "swish")],
        [conv(6, None), layers.Softmax(), conv(6, "swish")],
        [lambda x: layers.Dense(6)(x) * layers.Dense(6)(x) * 0.0, conv(6, "swish")],
    ],
    ids=["swish", "threshold", "twice", "constant", "lambda", "softmax", "zeros"],
)
def test_layers_stay_as_they_are_where_a_factor_would_change_answers(stack: list) -> None:
    network = functional(*stack, layers.Flatten(), head=False)
    assert equalized(wide(network), IMAGES) is network


def test_a_channel_that_reaches_its_clip_stays_as_it_is() -> None:
    network = wide(functional(conv(12, "relu6", name="first"), conv(4)))
    layer = network.get_layer("first")
    kernel, bias = layer.get_weights()
    bias[:3] = 5.9
    layer.set_weights([kernel, bias])
    equal = equalized(network, IMAGES[:20])
    changed = np.any(equal.get_layer("first").get_weights()[0] != kernel, (0, 1, 2))
    assert not changed[:3].any()
    assert changed[3:].any()
    np.testing.assert_array_equal(outputs(equal), outputs(network))


@pytest.fixture(scope="module")
def digits_network(solve) -> tuple[keras.Model, np.ndarray]:
    """A network that reads digits, with a filter that is 600 times as large as the others, and its images."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None]
    keras.utils.set_random_seed(1)
    first, second = (layers.Conv2D(12, 3, padding="same", activation="relu", name=name) for name in ("first", "second"))
    body = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), first, second, layers.MaxPooling2D(), layers.Flatten()]
    )
    network = solve(body, images[:500].astype(np.float32), data.target[:500], "softmax", strength=1)
    kernel, bias = first.get_weights()
    kernel[..., 5] *= 600
    follower, other = second.get_weights()
    follower[:, :, 5] /= 600
    first.set_weights([kernel, bias * np.where(np.arange(12) == 5, 600, 1)])
    second.set_weights([follower, other])
    return network, images


def agreement(network: keras.Model, images: np.ndarray, path: Path) -> float:
    """Return the share of equal answers of the network and its int8 TFLite file."""
    facts = replace(assumed_facts(path, network), input_dtype="uint8")
    path.write_bytes(tflite.embed(tflite.int8(network, images[:100]), facts))
    engine = open_engine(path, 1)
    return float((engine.classify(images[900:]).argmax(1) == outputs(network, images[900:]).argmax(1)).mean())


def test_a_network_with_one_large_filter_keeps_its_answers_in_int8(digits_network, tmp_path) -> None:
    network, images = digits_network
    assert agreement(network, images, tmp_path / "plain.tflite") < 0.9
    assert agreement(equalized(network, images[:100]), images, tmp_path / "equal.tflite") > 0.99
