"""ONNX files that are quantized layer by layer: what each precision stores and computes, and which layers are named."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.numpy_helper import to_array

from lettercast.export.convert import onnx as onnx_format
from lettercast.export.convert import onnx_int8
from lettercast.export.repair.onnx_layers import open_onnx
from lettercast.export.repair.recipe import DYNAMIC, FLOAT, INT4, INT8, WEIGHTS, Recipe
from lettercast.runtime.model.engine import open_content
from lettercast.runtime.model.facts import PICTURES, Facts

RECIPE = Recipe("onnx-int8", "")
IMAGES = np.random.default_rng(2).integers(0, 256, (24, 12, 12, 3), np.uint8)


def make_network(seed: int = 3):
    """A network with a nested network, a shared layer, folded normalizations, squeeze and excite, swish and an attention."""
    import keras

    # So that layers without a name get the same one each time.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    stem = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(name="first_norm"),
            layers.ReLU(name="first_relu"),
        ],
        name="stem",
    )
    shared = layers.Conv2D(8, 1, activation="swish", name="shared")
    source = keras.Input((12, 12, 3))
    x = stem(source)
    x = shared(shared(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
    x = layers.BatchNormalization(name="deep_norm")(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply(name="gated")([x, x, gate])
    x = layers.Conv2D(8, 3, strides=3, name="patches")(x)
    x = layers.Reshape((9, 8))(layers.ZeroPadding2D(((0, 0), (0, 0)))(x)[:, :3, :3])
    x = layers.Add(name="sum")([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="normal")(x))
    network = keras.Model(source, layers.Dense(4, activation="softmax", name="answer")(x))
    for norm in (stem.get_layer("first_norm"), network.get_layer("deep_norm")):
        rng = np.random.default_rng(seed)
        norm.set_weights([rng.uniform(0.5, 2, 8), rng.normal(size=8), rng.normal(size=8) / 9, rng.uniform(0.2, 1, 8)])
    return network


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def quantizer(network):
    return open_onnx(network, IMAGES)


@pytest.fixture(scope="module")
def uneven():
    """The quantizer of a network in which one filter of `patches` is 600 times as large as the others."""
    network = make_network()
    kernel, bias = network.get_layer("patches").get_weights()
    network.get_layer("patches").set_weights([kernel * np.float32([600, *[1] * 7]), bias])
    return open_onnx(network, IMAGES)


@pytest.fixture(scope="module")
def own_file(network):
    return onnx_format.int8(network, IMAGES)


def run(model: bytes, *, optimized: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.concatenate(
        [session.run(None, {session.get_inputs()[0].name: image[None].astype(np.float32)})[0] for image in IMAGES]
    )


def stored(model: bytes) -> list[np.ndarray]:
    return [to_array(value) for value in onnx.load_model_from_string(model).graph.initializer]


def test_layers_have_their_keras_names_in_nested_networks_too(quantizer):
    layers = {layer.name: layer for layer in quantizer.layers}
    parts = [f"attention/{name}" for name in ("query", "key", "value", "attention_output")]
    weighted = ["first", "shared", "deep", "gate", "patches", *parts, "answer"]
    assert sorted(name for name, layer in layers.items() if layer.weights) == sorted(weighted)
    assert layers["first"].kind == "Conv2D"
    assert layers["first"].multiplications == 12 * 12 * 3 * 3 * 3 * 8
    assert layers["shared"].multiplications == 2 * 12 * 12 * 8 * 8
    assert layers["deep"].kind == "DepthwiseConv2D"
    assert {"shared/activation", "gated", "attention", "normal", "sum"} <= layers.keys()
    assert not {"first_norm", "deep_norm", "first_relu"} & layers.keys()
    assert layers["first"].followers == ("shared",)
    assert set(layers["normal"].followers) <= layers.keys()


def test_a_file_in_float_answers_as_the_original(network, quantizer):
    answers = run(quantizer.build(replace(RECIPE, precision=FLOAT)))
    np.testing.assert_allclose(answers, network.predict(IMAGES.astype(np.float32), verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    "recipe",
    [RECIPE, replace(RECIPE, unsigned_weights=True), replace(RECIPE, precision=WEIGHTS), replace(RECIPE, precision=DYNAMIC)],
    ids=["int8", "unsigned", "weights", "dynamic"],
)
def test_no_sum_overflows_and_answers_stay_close(network, quantizer, recipe):
    model = quantizer.build(recipe)
    assert onnx_int8.saturating(onnx.load_model_from_string(model).graph) == []
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    assert np.abs(run(model) - network.predict(IMAGES.astype(np.float32), verbose=0)).max() < 0.1
    matrices = [array for array in stored(model) if array.ndim > 1 and array.size > 9 and array.dtype == np.float32]
    assert not [array.shape for array in matrices if array.shape[:2] in {(8, 3), (8, 8), (8, 4)}]


def test_unsigned_weights_take_all_eight_bits_and_signed_ones_seven(quantizer):
    signed = [array for array in stored(quantizer.build(RECIPE)) if array.dtype == np.int8 and array.ndim > 1]
    unsigned = stored(quantizer.build(replace(RECIPE, unsigned_weights=True)))
    assert max(int(np.abs(array.astype(int)).max()) for array in signed) == 64
    assert not [array for array in unsigned if array.dtype == np.int8]
    assert (
        max(int(np.abs(array.astype(int) - 128).max()) for array in unsigned if array.dtype == np.uint8 and array.ndim > 1) == 127
    )


def test_a_layer_in_float_between_integers_is_not_rounded_when_the_file_is_opened(uneven):
    # A quantizer with one scale for all filters erases those that are 600 times smaller.
    for layer in uneven.layers:
        model = uneven.build(RECIPE.with_layers([layer.name], FLOAT))
        np.testing.assert_allclose(run(model), run(model, optimized=False), atol=0.03, err_msg=layer.name)


def test_the_same_recipe_gives_the_same_bytes(quantizer):
    again = open_onnx(make_network(), IMAGES)
    mixed = RECIPE.with_layers(["deep", "answer"], FLOAT).with_layers(["gate"], WEIGHTS).with_layers(["first"], DYNAMIC)
    for recipe in (RECIPE, mixed, replace(RECIPE, unsigned_weights=True)):
        model = quantizer.build(recipe)
        assert model == quantizer.build(recipe)
        assert model == again.build(recipe)


def test_an_image_gives_the_same_with_others_if_layers_take_their_scales_at_run_time(quantizer):
    # ONNX Runtime takes such scales from the whole batch, and a format's name does not tell which layers do.
    model = quantizer.build(RECIPE.with_layers(["attention"], DYNAMIC))
    facts = Facts("mixed", "onnx-int8", tuple("ABCD"), (12, 12, 3), "float32", takes=PICTURES)
    engine = open_content(onnx_format.embed(model, facts), "onnx")
    alone = np.concatenate([engine(image[None]) for image in IMAGES])
    np.testing.assert_array_equal(engine(IMAGES), alone)
    np.testing.assert_allclose(alone, onnx_int8.exact_answers(model, IMAGES), atol=1e-6)


def test_no_operation_squares_a_rounded_value(own_file, quantizer):
    # ONNX Runtime 1.10 to 1.14 do not open such files; a LayerNormalization squares.
    for model in (quantizer.build(RECIPE), own_file):
        graph = onnx.load_model_from_string(model).graph
        rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
        squares = [node for node in graph.node if len(set(node.input)) < len(node.input)]
        assert squares
        assert not [node.name for node in squares if set(node.input) & rounded]


def test_other_layers_and_precisions_are_refused(quantizer):
    with pytest.raises(ValueError, match="no layer 'frist'"):
        quantizer.build(RECIPE.with_layers(["frist"], FLOAT))
    with pytest.raises(ValueError, match="int4"):
        quantizer.build(RECIPE.with_layers(["first"], INT4))
    assert INT8 in quantizer.precisions


def test_the_layer_whose_filters_differ_most_has_the_most_noise(uneven):
    errors = uneven.errors(IMAGES[:8])
    assert min(errors, key=lambda name: errors[name]) == "patches"


def test_noise_is_that_of_the_layer_alone_and_adds_up_in_the_file(quantizer):
    alone, whole = quantizer.errors(IMAGES), quantizer.accumulated(RECIPE, IMAGES)
    assert alone.keys() == whole.keys() == {layer.name for layer in quantizer.layers}
    assert alone["first"] == pytest.approx(whole["first"], abs=1e-6)
    assert alone["sum"] > whole["sum"] + 3
    exact = quantizer.accumulated(replace(RECIPE, precision=FLOAT), IMAGES)
    assert min(exact.values()) > 90


def test_int8_answers_as_the_file_of_the_format(own_file, quantizer):
    np.testing.assert_allclose(run(quantizer.build(RECIPE)), run(own_file), atol=0.1)
    assert len(quantizer.build(RECIPE)) < len(own_file)
