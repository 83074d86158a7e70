"""Networks of any layers, operations and constants: the converted files compute what Keras computes."""

import re

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from lettercast.export.convert import onnx, tflite
from lettercast.export.convert.network import MAX_STEPS, for_inference, unrolled
from lettercast.export.convert.rounding_error import MAX_FLOAT16, MAX_FLOAT32, widen
from lettercast.export.formats import FLOAT, FLOAT16
from lettercast.export.gate import compare

layers, activations, ops = keras.layers, keras.activations, keras.ops
SHAPE = (8, 12, 3)
IMAGES = np.random.default_rng(1).integers(0, 256, (24, *SHAPE), dtype=np.uint8)
NO_IMAGES = np.zeros((0, *SHAPE), np.uint8)


@pytest.fixture(autouse=True)
def same_weights():
    """Large random weights would make probabilities that rounding moves."""
    keras.utils.set_random_seed(1)


def network_of(body, dtype=None):
    """A network with a body, and weights and batch statistics that are not the initial ones."""
    inputs = keras.Input(SHAPE, dtype=dtype)
    values = body(inputs)
    flat = layers.Flatten()(values) if len(values.shape) > 2 else values
    network = keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32")(flat))
    rng = np.random.default_rng(0)
    for layer in network._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    return network


def in_policy(name, build):
    keras.mixed_precision.set_global_policy(name)
    try:
        return build()
    finally:
        keras.mixed_precision.set_global_policy("float32")


def answers(network, images=IMAGES):
    return np.asarray(network.predict(images, verbose=0), np.float32)


def run_tflite(model, images=IMAGES):
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None].astype(source["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(rows)


def run_onnx(model, images=IMAGES):
    session = onnxruntime.InferenceSession(model)
    (source,) = session.get_inputs()
    return session.run(None, {source.name: images.astype(np.float32)})[0]


def check_files(network, images=IMAGES):
    """Assert that the float32 files of both converters give the probabilities of a network."""
    cleaned = for_inference(network)
    expected = answers(cleaned, images)
    np.testing.assert_allclose(run_tflite(tflite.float32(cleaned, NO_IMAGES), images), expected, atol=1e-5)
    np.testing.assert_allclose(run_onnx(onnx.float32(cleaned, NO_IMAGES), images), expected, atol=1e-5)


def normalization():
    layer = layers.Normalization()
    layer.adapt(IMAGES.astype(np.float32) * [1, 0.5, 2])
    return layer


def base():
    """A network to learn from: batch normalization, and an addition that is no layer."""
    inputs = keras.Input(SHAPE)
    values = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    return keras.Model(inputs, values + layers.Conv2D(4, 3, padding="same")(values))


def augmentation():
    return keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])


def transferred(first, dtype=None):
    """The network of Keras' guide to transfer learning: augmentation, a bare preprocessing, a base, and a head."""

    def body(inputs):
        values = keras.applications.mobilenet_v2.preprocess_input(first(inputs))
        return layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(base()(values, training=False)))

    return network_of(body, dtype)


TRANSFERRED = {
    "augmentation": lambda: transferred(augmentation()),
    "normalization": lambda: transferred(lambda inputs: normalization()(inputs) * 60 + 120),
    "uint8": lambda: transferred(augmentation(), "uint8"),
    "mixed_float16": lambda: in_policy("mixed_float16", lambda: transferred(augmentation())),
    "mixed_bfloat16": lambda: in_policy("mixed_bfloat16", lambda: transferred(augmentation(), "uint8")),
}
# Half precision itself is this inexact.
HALF = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}


@pytest.mark.parametrize("kind", TRANSFERRED)
def test_transfer_learning_with_a_bare_preprocessing_converts(kind):
    network = TRANSFERRED[kind]()
    cleaned = for_inference(network)
    assert cleaned.inputs[0].dtype == "float32"
    assert {layer.compute_dtype for layer in cleaned.layers} == {"float32"}
    np.testing.assert_allclose(answers(cleaned), answers(network), atol=HALF.get(kind, 1e-6))
    check_files(network)


def shared():
    body = base()

    def twice(inputs):
        augmented, plain = augmentation()(inputs), 1 - inputs / 255.0
        return layers.Concatenate()([layers.GlobalMaxPooling2D()(body(part)) for part in (augmented / 255.0, plain)])

    return network_of(twice)


def wrapped():
    within = keras.Sequential([keras.Input((4, 12, 3)), layers.RandomFlip(), layers.Conv2D(2, 3)])

    def body(inputs):
        halves = layers.TimeDistributed(within)(ops.reshape(inputs / 255.0, (-1, 2, 4, 12, 3)))
        rows = layers.Bidirectional(layers.GRU(3, unroll=True))(ops.reshape(layers.RandomFlip()(inputs) / 255.0, (-1, 8, 36)))
        return layers.Concatenate()([layers.Flatten()(halves), rows])

    return network_of(body)


NESTED = {
    "shared": shared,
    "wrapped": wrapped,
    "wrapped in half precision": lambda: in_policy("mixed_float16", wrapped),
    "normalized in half precision": lambda: in_policy("float16", lambda: network_of(lambda x: base()(normalization()(x)))),
}


@pytest.mark.parametrize("kind", NESTED)
def test_shared_and_nested_networks_stay_equal(kind):
    network = NESTED[kind]()
    cleaned = for_inference(network)
    np.testing.assert_allclose(answers(cleaned), answers(network), atol=1e-2 if "half" in kind else 1e-6)


def test_an_integer_input_that_is_looked_up_stays_an_integer_inside():
    network = network_of(lambda pixels: layers.Embedding(256, 2)(pixels[..., 0] // 2 + pixels[..., 1] % 5), "uint8")
    cleaned = for_inference(network)
    assert cleaned.inputs[0].dtype == "float32"
    np.testing.assert_allclose(answers(cleaned), answers(network), atol=1e-6)


def test_a_pixel_that_hardly_changes_keeps_its_digits_when_it_is_normalized():
    images = IMAGES.astype(np.float32)
    images[:, 0] = 77
    images[:, 1] = 120.5 + 1e-3 * np.arange(len(images))[:, None, None]
    layer = layers.Normalization(axis=(1, 2, 3))
    layer.adapt(images)
    network = keras.Sequential([keras.Input(SHAPE), layer, layers.Flatten()])
    np.testing.assert_allclose(for_inference(network).predict(images, verbose=0), network.predict(images, verbose=0), atol=1e-3)


CONSTANTS = {
    "a mean": lambda x: (x - ops.array([123.68, 116.78, 103.94])) / 58.0,
    "a mean in double precision": lambda x: (x - np.array([123.68, 116.78, 103.94])) / np.array([58.4, 57.1, 57.4]),
    "an image": lambda x: (x - ops.array(np.random.default_rng(0).uniform(0, 255, SHAPE).astype(np.float32))) / 58.0,
    "logarithms and exponentials": lambda x: ops.log1p(x) - ops.expm1(x / 255.0),
    "no layer at all": lambda x: x[..., ::-1] / 127.5 - 1 + ops.mean(x, axis=(1, 2), keepdims=True) / 255.0,
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_that_a_network_holds_are_values_of_the_files(kind):
    check_files(network_of(lambda inputs: layers.Conv2D(3, 3)(CONSTANTS[kind](inputs))))


def test_a_vision_transformer_converts():
    def body(inputs):
        tokens = layers.Reshape((-1, 8))(layers.Conv2D(8, 4, strides=4)(inputs / 255.0))
        tokens = tokens + ops.array(np.random.default_rng(0).normal(size=(1, 6, 8)).astype(np.float32))
        normed = layers.LayerNormalization()(tokens)
        tokens = tokens + layers.MultiHeadAttention(2, 4)(normed, normed)
        hidden = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(tokens))
        return layers.GlobalAveragePooling1D()(tokens + layers.Dense(8)(hidden))

    check_files(network_of(body))


ACTIVATIONS = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid log_softmax mish relu relu6 "
    "selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid squareplus tanh tanh_shrink"
)


def test_every_activation_is_the_same_in_the_files():
    kinds = [kind for name in ACTIVATIONS.split() if (kind := getattr(activations, name, None))]

    def body(inputs):
        values = layers.Conv2D(2, 3)(inputs / 127.5 - 1)
        # A range in which none of them is a straight line.
        return layers.Concatenate()([layers.Activation(kind)(values * 3) for kind in kinds])

    network = network_of(body)
    assert len(kinds) > 20
    check_files(network)


def test_an_exact_gelu_is_exact_in_onnx():
    network = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 25, -5), layers.Activation("gelu"), layers.Flatten()])
    np.testing.assert_allclose(run_onnx(onnx.float32(network, NO_IMAGES)), answers(network), atol=7e-7)


@pytest.mark.parametrize("size", [(10, 17), (5, 7), (13, 23)])
def test_images_are_resized_to_exactly_the_size(size):
    # 12 pixels times the float next to 10 / 12 are less than 10.
    network = network_of(
        lambda inputs: layers.Conv2D(2, 3)(ops.image.resize(ops.pad(inputs / 255.0, ((0, 0), (2, 2), (0, 0), (0, 0))), size))
    )
    np.testing.assert_allclose(run_onnx(onnx.float32(network, NO_IMAGES)), answers(network), atol=1e-5)


def test_an_operation_that_onnx_lacks_is_named():
    network = network_of(lambda inputs: ops.erfinv(inputs / 300.0))
    with pytest.raises(ValueError, match="ONNX has no operation for TensorFlow's Erfinv"):
        onnx.float32(network, NO_IMAGES)


def rows(layer):
    """A network that reads the rows of an image with a recurrent layer."""
    return network_of(lambda inputs: layer(layers.Reshape((8, 36))(inputs / 255.0)))


def test_recurrent_layers_become_integers_step_by_step():
    network = rows(layers.Bidirectional(layers.LSTM(4)))
    assert unrolled(unrolled(network)) is not network
    np.testing.assert_allclose(answers(unrolled(network)), answers(network), atol=1e-6)
    exported = run_tflite(tflite.int16x8(network, IMAGES))
    np.testing.assert_allclose(exported, answers(network), atol=0.01)


@pytest.mark.parametrize("layer", [layers.GRU, layers.SimpleRNN])
def test_recurrent_layers_become_half_precision(layer):
    network = rows(layer(4))
    np.testing.assert_allclose(run_onnx(onnx.float16(network, NO_IMAGES)), answers(network), atol=5e-3)


def test_a_network_without_loops_is_unrolled_as_itself():
    network = network_of(lambda inputs: layers.Conv2D(2, 3)(inputs / 255.0))
    assert unrolled(network) is network


def test_a_recurrent_layer_of_very_many_steps_is_refused():
    pixels = layers.Reshape((MAX_STEPS + 32, 1))
    network = network_of(lambda inputs: layers.LSTM(2)(pixels(inputs)))
    with pytest.raises(ValueError, match=f"a recurrent layer has {MAX_STEPS + 32} steps"):
        unrolled(network)


def scaled_twice(inputs):
    """A factor in front of a convolution, whose weights convolve another image, too."""
    convolution = layers.Conv2D(2, 3)
    return layers.Add()([convolution(layers.Rescaling(1 / 255)(inputs)), convolution(inputs) / 255.0])


FACTORS = {
    "feeds a convolution": (lambda x: layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(x)), True),
    "feeds a permutation": (lambda x: layers.Conv2D(2, 3)(layers.Permute((2, 1, 3))(layers.Rescaling(1 / 255)(x))), True),
    "feeds a concatenation": (
        lambda x: layers.Conv2D(2, 3)(layers.Concatenate()([(scaled := layers.Rescaling(1 / 255)(x)), scaled * scaled])),
        False,
    ),
    "feeds weights that are shared": (scaled_twice, False),
    "feeds padding": (lambda x: layers.Conv2D(2, 3)(layers.ZeroPadding2D(1)(layers.Rescaling(1 / 255)(x))), None),
    "differs by channel": (lambda x: layers.Conv2D(2, 3)(layers.Rescaling([0.1, 0.2, 0.3])(x)), False),
    "feeds an activation": (lambda x: layers.Conv2D(2, 3)(layers.Activation("tanh")(layers.Rescaling(1 / 255)(x))), False),
    "is not the only use of the image": (
        lambda x: layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(x)) + layers.Conv2D(2, 3)(x) / 255.0,
        False,
    ),
}


@pytest.mark.parametrize("kind", FACTORS)
def test_a_factor_is_folded_only_into_weights_that_nothing_else_needs(kind):
    body, is_folded = FACTORS[kind]
    network = network_of(body)
    graph = onnx.convert(network)
    nodes = len(graph.graph.node)
    folded = onnx.fold_scaling(graph)
    assert is_folded is None or (len(folded.graph.node) < nodes) == is_folded
    np.testing.assert_allclose(run_onnx(folded.SerializeToString()), answers(network), atol=1e-5)


@pytest.fixture(scope="module")
def sensitive():
    """A network whose outputs are small differences of large sums, as those of very deep networks are."""
    rng = np.random.default_rng(0)
    hidden, last = layers.Dense(512, activation="tanh"), layers.Dense(3, activation="softmax")
    network = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Flatten(), hidden, last])
    kernel = rng.normal(0, 40, (512, 3))
    features = keras.Model(network.inputs, network.layers[-2].output).predict(IMAGES, verbose=0)
    middle = (features @ kernel).mean(0)
    last.set_weights([kernel, -middle])
    # Outputs of the order of 1, so that probabilities are not saturated.
    kernel -= np.linalg.pinv(features) @ (features @ kernel - middle - rng.normal(0, 0.7, (len(IMAGES), 3)))
    last.set_weights([kernel, -middle])
    return network


def test_a_difference_that_rounding_explains_is_no_miss(sensitive):
    original, exported = answers(sensitive), run_onnx(onnx.float32(sensitive, NO_IMAGES))
    parity = compare(original.argmax(1), original, exported)
    assert parity.difference > FLOAT.max_difference
    assert parity.misses(FLOAT) != []
    tolerance = widen(FLOAT, sensitive, IMAGES, original, exported, is_half=False)
    assert FLOAT.max_difference < tolerance.max_difference <= MAX_FLOAT32
    assert compare(original.argmax(1), original, exported, tolerance.tie).misses(tolerance) == []


def test_a_difference_that_rounding_does_not_explain_is_a_miss():
    network = network_of(lambda inputs: layers.Conv2D(4, 3, activation="relu")(inputs / 255.0))
    original = answers(network)
    # As a converter that takes another epsilon, or another padding at the border.
    broken = original + np.float32([3e-5, -3e-5, 0])
    tolerance = widen(FLOAT, network, IMAGES, original, broken, is_half=False)
    assert tolerance.max_difference < 2e-5
    (miss,) = compare(original.argmax(1), original, broken, tolerance.tie).misses(tolerance)
    assert re.fullmatch(r"difference 3.0e-05, at most 1e-05 allowed", miss)


def test_an_answer_between_two_classes_may_change_in_half_precision_but_no_other():
    network = network_of(lambda inputs: layers.Conv2D(4, 3, activation="relu")(inputs / 255.0))
    # The first image becomes a near tie of the first two classes.
    weights, bias = network.layers[-1].get_weights()
    first = answers(network)[0]
    network.layers[-1].set_weights([weights, bias - np.log(first) + np.float32([0.7001, 0.7, 0])])
    original = answers(network)
    surest = int(np.argmax(np.abs(original[:, 0] - original[:, 1])))
    for row, agreement in ((0, 100), (surest, 100 - 100 / len(IMAGES))):
        exported = original.copy()
        best, second = np.argsort(original[row])[::-1][:2]
        exported[row, [best, second]] = original[row, [second, best]]
        wide = widen(FLOAT16, network, IMAGES, original, exported, is_half=True)
        assert FLOAT16.tie <= wide.tie <= MAX_FLOAT16
        assert compare(original.argmax(1), original, exported, wide.tie).agreement == pytest.approx(agreement)


def test_a_file_that_keeps_its_tolerance_is_not_measured_again():
    original = np.float32([[0.7, 0.2, 0.1]])
    for half, tolerance in ((False, FLOAT), (True, FLOAT16)):
        # No network is needed.
        assert widen(tolerance, None, IMAGES[:1], original, original + np.float32(9e-6), is_half=half) is tolerance


@pytest.mark.parametrize("name", ["my layer", "größe", "-3x3", "a:b", "鳥"])
def test_names_that_tensorflow_does_not_take_are_replaced(name):
    pixels = keras.Input((8, 8, 1), name=f"{name} in")
    inner = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3, name=name)], name=f"{name} inner")
    features = inner(layers.Conv2D(2, 3, name=f"{name} 2")(pixels)) * 2.0
    outputs = layers.Dense(3, activation="softmax", name=f"{name} out")(layers.Flatten(name=f"{name} flat")(features))
    network = keras.Model(pixels, outputs, name=f"{name} model")
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    ready = for_inference(network)
    np.testing.assert_allclose(ready(images), network(images), rtol=1e-6)
    np.testing.assert_allclose(run_tflite(tflite.float32(ready, NO_IMAGES), images), network(images), atol=1e-6)
    np.testing.assert_allclose(run_onnx(onnx.float32(ready, NO_IMAGES), images), network(images), atol=1e-6)
