"""Batch normalizations are folded into the layers before them wherever that is exact, and nowhere else."""

import keras
import numpy as np
import pytest
from keras import layers

from lettercast.export.repair.fold import folded

IMAGES = np.random.default_rng(1).integers(0, 256, (5, 12, 12, 3)).astype(np.float32)


def trained(network: keras.Model) -> keras.Model:
    """Give every layer random weights, as if it were trained."""
    rng = np.random.default_rng(4)
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return network


def answers(network: keras.Model) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(network(IMAGES, training=False)))


def norms(network: keras.Model) -> list[str]:
    return [layer.name for layer in network._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


def check(network: keras.Model, left: int = 0) -> keras.Model:
    """Fold a network, and check its answers, its names and how many normalizations are left."""
    plain = folded(trained(network))
    gone = set(norms(network)) - set(norms(plain))
    names = [layer.name for layer in network._flatten_layers(include_self=False) if layer.name not in gone]
    assert [layer.name for layer in plain._flatten_layers(include_self=False)] == names
    assert len(norms(plain)) == left
    expected = answers(network)
    np.testing.assert_allclose(answers(plain), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    return plain


def functional(*stack: layers.Layer, tail: bool = True) -> keras.Model:
    source = value = keras.Input((12, 12, 3))
    for layer in stack:
        value = layer(value)
    return keras.Model(source, layers.Dense(4)(layers.Flatten()(value)) if tail else value)


@pytest.mark.parametrize("biased", [False, True], ids=["without bias", "with bias"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda **k: layers.Conv2D(4, 3, strides=2, **k),
        lambda **k: layers.Conv2D(6, 3, groups=3, padding="same", **k),
        lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, **k),
        lambda **k: layers.SeparableConv2D(5, 3, depth_multiplier=2, **k),
        lambda **k: layers.Conv2DTranspose(5, 3, strides=2, **k),
        lambda **k: layers.Dense(5, **k),
    ],
    ids=["conv", "grouped", "depthwise", "separable", "transposed", "dense"],
)
def test_every_kind_of_layer_takes_the_normalization_behind_it(layer, biased):
    check(functional(layer(use_bias=biased, bias_initializer="normal"), layers.BatchNormalization(), layers.ReLU()))


@pytest.mark.parametrize("layer", [layers.Conv1D(5, 3), layers.SeparableConv1D(5, 3), layers.DepthwiseConv1D(3)], ids=type)
def test_layers_of_sequences_take_it_too(layer):
    check(functional(layers.Reshape((36, 12)), layer, layers.BatchNormalization()))


@pytest.mark.parametrize(
    "norm", [{"scale": False}, {"center": False}, {"epsilon": 0.1}], ids=["no scale", "no shift", "large epsilon"]
)
def test_normalizations_without_scale_or_shift_fold(norm):
    check(functional(layers.Conv2D(4, 3), layers.BatchNormalization(**norm)))


def test_two_normalizations_in_a_row_and_dropout_between_fold():
    check(functional(layers.Conv2D(4, 3), layers.Dropout(0.5), layers.BatchNormalization(), layers.BatchNormalization()))


def test_a_normalization_that_ends_a_network_folds():
    check(functional(layers.Conv2D(4, 3), layers.BatchNormalization(), tail=False))


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()],
        [layers.Conv2D(4, 3), layers.BatchNormalization(axis=1)],
        [layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization()],
        [layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.BatchNormalization()],
        [layers.Rescaling(1 / 255), layers.BatchNormalization()],
    ],
    ids=["active", "by row", "behind relu", "behind pooling", "nothing before"],
)
def test_what_would_not_be_exact_stays(stack):
    check(functional(*stack), left=1)


def test_a_layer_whose_output_others_take_stays():
    source = keras.Input((12, 12, 3))
    value = layers.Conv2D(4, 3)(source)
    check(keras.Model(source, layers.Add()([value, layers.BatchNormalization()(value)])), left=1)


def test_shared_layers_stay():
    source = keras.Input((12, 12, 3))
    convolution, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()
    value = norm(convolution(source))
    check(keras.Model(source, layers.BatchNormalization()(convolution(value))), left=2)
    norm = layers.BatchNormalization()
    check(keras.Model(source, norm(layers.Conv2D(3, 3)(norm(layers.Conv2D(3, 3)(source))))), left=1)


def test_nested_networks_fold_even_if_called_twice():
    block = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()])
    inner = functional(layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(), layers.ReLU(), tail=False)
    source = keras.Input((12, 12, 3))
    value = layers.Activation("swish")(inner(block(block(source / 255.0))))
    value = layers.GlobalAveragePooling2D()(layers.Multiply()([value, keras.ops.sigmoid(value)]) + 0.5)
    check(keras.Model(source, layers.Dense(3, activation="softmax")(value)))


def test_a_sequential_network_folds_and_stays_sequential():
    stack = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.BatchNormalization()]
    plain = check(keras.Sequential([keras.Input((12, 12, 3), name="pixels"), *stack]), left=1)
    assert isinstance(plain, keras.Sequential)
    assert plain.inputs[0].name == "pixels"


def test_other_layers_keep_what_they_learned():
    scaled = layers.Normalization()
    scaled.adapt(IMAGES)
    plain = check(functional(scaled, layers.Conv2D(4, 3), layers.BatchNormalization(), layers.LayerNormalization()))
    assert plain.get_layer(scaled.name) is not scaled


def test_the_given_network_stays_as_it_is():
    network = trained(functional(layers.Conv2D(4, 3), layers.BatchNormalization()))
    before, expected = network.get_weights(), answers(network)
    plain = folded(network)
    for layer in plain.layers:
        layer.set_weights([0 * weight for weight in layer.get_weights()])
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(answers(network), expected)


def test_a_network_that_normalizes_with_its_batch_stays():
    source = keras.Input((12, 12, 3))
    value = layers.BatchNormalization()(layers.Conv2D(4, 3)(source), training=True)
    assert len(norms(folded(keras.Model(source, value)))) == 1
