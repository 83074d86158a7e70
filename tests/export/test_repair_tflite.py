"""TFLite files that are quantized layer by layer: what each precision stores and computes, and which layers are named."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from lettercast.export.convert import tflite
from lettercast.export.repair.recipe import DYNAMIC, FLOAT, INT4, INT8, INT16, PRECISIONS, WEIGHTS, Recipe
from lettercast.export.repair.tflite_graph import CONV, DENSE, DEPTHWISE, FLOAT32, read
from lettercast.export.repair.tflite_layers import open_tflite
from lettercast.runtime.model.engine import dequantize
from lettercast.runtime.model.engine import quantize as to_input

RECIPE = Recipe("tflite-int8", "")
# Coarse patterns, as photographs have; uniform noise would look alike to every filter.
IMAGES = np.random.default_rng(2).integers(0, 256, (24, 4, 4, 3), np.uint8).repeat(3, 1).repeat(3, 2)
# Tensor types of TFLite's schema, and operators of it.
TYPE_UINT8, TYPE_INT16, TYPE_INT8, TYPE_INT4 = 3, 7, 9, 17
DEQUANTIZE, QUANTIZE = 6, 114


def make_network():
    """A network with nested networks of equal layers, a shared layer, folded normalizations, swish, an attention and a sum."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    layers = keras.layers

    def block(name: str, channels: int) -> keras.Model:
        parts = [layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv"), layers.BatchNormalization(name="norm")]
        return keras.Sequential([keras.Input((12, 12, channels)), *parts, layers.ReLU(name="relu")], name=name)

    shared = layers.Conv2D(8, 1, activation="swish", name="shared")
    source = keras.Input((12, 12, 3))
    x = block("second", 8)(block("first", 3)(layers.Rescaling(1 / 255)(source)))
    x = shared(shared(x))
    x = layers.Activation("swish", name="swish")(layers.DepthwiseConv2D(3, padding="same", name="deep")(x))
    x = layers.Conv2D(8, 4, strides=4, name="patches")(x)
    x = layers.Reshape((9, 8), name="row")(x * 2)
    x = layers.Add(name="sum")([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    x = layers.Flatten(name="flat")(layers.LayerNormalization(name="normal")(x))
    x = layers.Dense(4, name="logits")(layers.Dropout(0.5)(x))
    return keras.Model(source, layers.Softmax(name="answer")(x))


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def quantizer(network):
    return open_tflite(network, IMAGES)


@pytest.fixture(scope="module")
def answers(network):
    return network.predict(IMAGES.astype(np.float32), verbose=0)


@pytest.fixture(scope="module")
def uneven():
    """The quantizer of a network in which one filter of `patches` is 600 times as large as the others."""
    network = make_network()
    kernel, bias = network.get_layer("patches").get_weights()
    network.get_layer("patches").set_weights([kernel * np.float32([600, *[1] * 7]), bias])
    return open_tflite(network, IMAGES)


def run(model: bytes, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for pixels in to_input(IMAGES, source):
        interpreter.set_tensor(source["index"], pixels[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    return dequantize(np.stack(outputs), target)


def operators(model: bytes) -> list[tuple[int, list[int], list[int]]]:
    """Return the operator of each operation, and the types of its inputs and outputs; -1 for an input that is left out."""
    tree = read(model)
    graph = tree.subgraphs[0]

    def types(tensors) -> list[int]:
        return [graph.tensors[one].type if one >= 0 else -1 for one in tensors]

    codes = [code.builtinCode for code in tree.operatorCodes]
    return [(codes[op.opcodeIndex], types(op.inputs), types(op.outputs)) for op in graph.operators]


def filters(model: bytes, operator: int) -> set[int]:
    return {inputs[1] for code, inputs, _ in operators(model) if code == operator}


def ends(model: bytes) -> tuple[int, int]:
    graph = read(model).subgraphs[0]
    return graph.tensors[graph.inputs[0]].type, graph.tensors[graph.outputs[0]].type


def test_layers_have_their_keras_names(quantizer):
    layers = {layer.name: layer for layer in quantizer.layers}
    parts = [f"attention/{name}" for name in ("query", "key", "value", "attention_output")]
    weighted = ["first/conv", "second/conv", "shared", "deep", "patches", *parts, "normal", "logits"]
    assert [name for name, layer in layers.items() if layer.weights] == sorted(weighted, key=list(layers).index)
    assert len(layers) == len(quantizer.layers)
    assert {"row", "sum", "flat", "attention"} < layers.keys()
    assert layers["first/conv"].kind == "Conv2D"
    assert layers["first/conv"].multiplications == 12 * 12 * 3 * 3 * 3 * 8
    assert layers["shared"].multiplications == 2 * 12 * 12 * 8 * 8
    assert layers["deep"].multiplications == 12 * 12 * 3 * 3 * 8
    assert layers["logits"].multiplications == 72 * 4
    assert layers["first/conv"].followers == ("second/conv",)
    # Its swish belongs to it.
    assert layers["deep"].followers == ("patches",)
    assert layers["sum"].followers == ("normal",)
    assert layers["logits"].followers == ()


def test_opening_leaves_the_network_as_it_was(network, quantizer):
    assert [layer.name for layer in network.layers][-2:] == ["logits", "answer"]
    assert network.get_layer("first").get_layer("conv").name == "conv"


def test_the_same_recipe_makes_the_same_file(quantizer):
    recipe = replace(RECIPE, layers={"deep": FLOAT, "patches": DYNAMIC})
    first = quantizer.build(recipe)
    quantizer.build(replace(RECIPE, precision=INT16))
    assert quantizer.build(recipe) == first


def test_opening_again_makes_the_same_file_and_prints_nothing(quantizer, capfd):
    again = open_tflite(make_network(), IMAGES)
    assert again.build(RECIPE) == quantizer.build(RECIPE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("precision", "limit"), [(FLOAT, 1e-5), (WEIGHTS, 0.02), (DYNAMIC, 0.02), (INT16, 0.02), (INT8, 0.1), (INT4, 0.4)]
)
def test_answers_stay_close_in_every_precision(quantizer, answers, precision, limit):
    assert np.abs(run(quantizer.build(replace(RECIPE, precision=precision))) - answers).max() < limit


@pytest.mark.parametrize("precision", [INT8, DYNAMIC, WEIGHTS])
def test_plain_kernels_answer_as_fast_ones(quantizer, precision):
    model = quantizer.build(replace(RECIPE, precision=precision))
    plain = run(model, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    assert np.abs(run(model) - plain).max() < 0.05


def test_each_precision_stores_and_computes_what_it_says(quantizer):
    files = {precision: quantizer.build(replace(RECIPE, precision=precision)) for precision in PRECISIONS}
    assert {FLOAT32} == {kind for _, _, outputs in operators(files[FLOAT]) for kind in outputs}
    assert filters(files[INT8], CONV) == filters(files[INT8], DENSE) == filters(files[INT8], DEPTHWISE) == {TYPE_INT8}
    assert {outputs[0] for code, _, outputs in operators(files[INT8]) if code == CONV} == {TYPE_INT8}
    assert {outputs[0] for code, _, outputs in operators(files[INT16]) if code == CONV} == {TYPE_INT16}
    assert {outputs[0] for code, _, outputs in operators(files[DYNAMIC]) if code == CONV} == {FLOAT32}
    assert TYPE_INT8 in filters(files[DYNAMIC], CONV)
    # No runtime has a fast kernel for them, and a filter with few weights is not worth a scale.
    assert filters(files[DYNAMIC], DEPTHWISE) == {FLOAT32}
    assert filters(files[WEIGHTS], CONV) == {FLOAT32}
    widened = [inputs for code, inputs, outputs in operators(files[WEIGHTS]) if code == DEQUANTIZE and outputs == [FLOAT32]]
    assert [TYPE_INT8] in widened
    assert TYPE_INT4 in filters(files[INT4], CONV)
    assert len(files[INT4]) < len(files[INT8]) < len(files[FLOAT])


def test_a_dense_layer_with_dynamic_activations_has_one_scale_for_old_runtimes(quantizer):
    tree = read(quantizer.build(replace(RECIPE, precision=DYNAMIC)))
    graph, codes = tree.subgraphs[0], [code.builtinCode for code in tree.operatorCodes]
    dense = [graph.tensors[op.inputs[1]] for op in graph.operators if codes[op.opcodeIndex] == DENSE]
    assert {len(tensor.quantization.scale) for tensor in dense if tensor.type == TYPE_INT8} == {1}


def test_pixels_are_bytes_unless_the_format_takes_floats(quantizer):
    assert ends(quantizer.build(RECIPE)) == (TYPE_UINT8, TYPE_UINT8)
    assert ends(quantizer.build(replace(RECIPE, layers={"logits": DYNAMIC}))) == (TYPE_UINT8, FLOAT32)
    assert ends(quantizer.build(replace(RECIPE, precision=FLOAT))) == (TYPE_UINT8, FLOAT32)
    assert ends(quantizer.build(replace(RECIPE, format="tflite-dynamic", precision=DYNAMIC))) == (FLOAT32, FLOAT32)


def test_a_layer_in_float_is_rounded_only_by_its_followers(quantizer):
    def after(recipe: Recipe) -> float:
        return quantizer.accumulated(recipe, IMAGES[:8])["patches"]

    everything = dict.fromkeys((layer.name for layer in quantizer.layers), FLOAT)
    assert after(replace(RECIPE, layers=everything)) == 120
    # Only what they take is rounded.
    assert after(replace(RECIPE, layers={**everything, "row": INT8, "sum": INT8})) == 120
    assert after(replace(RECIPE, layers={**everything, "patches": INT8})) < 60
    assert after(replace(RECIPE, layers={**everything, "deep": INT8})) < 60


def test_errors_name_the_layer_whose_filters_differ(uneven, quantizer):
    before, after = quantizer.errors(IMAGES[:8]), uneven.errors(IMAGES[:8])
    assert before.keys() == {layer.name for layer in quantizer.layers}
    assert min(after, key=after.__getitem__) == "patches"
    assert after["patches"] < before["patches"] - 15
    assert after["second/conv"] == pytest.approx(before["second/conv"], abs=0.1)


def test_a_filter_that_is_far_larger_is_seen_in_a_transposed_convolution():
    import keras

    keras.utils.set_random_seed(3)
    source = keras.Input((6, 6, 1))
    x = keras.layers.Conv2DTranspose(4, 2, strides=2, name="up")(source)
    network = keras.Model(source, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x)))
    kernel, bias = network.get_layer("up").get_weights()
    kernel[:, :, 1] *= 600
    network.get_layer("up").set_weights([kernel, bias])
    spreads = {layer.name: layer.spread for layer in open_tflite(network, IMAGES[:, :6, :6, :1]).layers}
    assert spreads["up"] > 100


def test_noise_adds_up_from_layer_to_layer(quantizer):
    alone, together = quantizer.errors(IMAGES[:8]), quantizer.accumulated(RECIPE, IMAGES[:8])
    assert together["first/conv"] == pytest.approx(alone["first/conv"], abs=0.5)
    assert together["normal"] < alone["normal"]


def test_recipes_for_other_networks_are_refused(quantizer):
    with pytest.raises(ValueError, match="no layer 'elsewhere'"):
        quantizer.build(replace(RECIPE, layers={"elsewhere": FLOAT}))
    with pytest.raises(ValueError, match="'swish' is computed in 'deep'"):
        quantizer.build(replace(RECIPE, layers={"swish": FLOAT}))


def test_a_file_states_versions_and_the_oldest_runtime_as_the_converter_does(network, quantizer):
    def versions(model: bytes) -> dict[int, int]:
        return {code.builtinCode: code.version for code in read(model).operatorCodes}

    own, converted = quantizer.build(RECIPE), tflite.int8(network, IMAGES)
    weighted = (CONV, DEPTHWISE, DENSE)
    assert [versions(own)[code] for code in weighted] == [versions(converted)[code] for code in weighted]
    assert tflite.inspect(own).lowest_runtime == tflite.inspect(converted).lowest_runtime


@pytest.mark.parametrize(("precision", "version"), [(DYNAMIC, "2.4.0"), (WEIGHTS, "2.7.0"), (INT16, "2.15.0")])
def test_a_file_states_the_oldest_runtime_that_has_its_operators(quantizer, precision, version):
    assert tflite.inspect(quantizer.build(replace(RECIPE, precision=precision))).lowest_runtime == f"TFLite {version}"


def test_integers_leave_out_extremes_of_many_images_only(quantizer):
    spans = quantizer._scales({})
    np.testing.assert_array_equal([spans[one][1] for one in spans], quantizer._maxima.max(0)[list(spans)])
    many = copy.copy(quantizer)
    many._minima, many._maxima = (np.repeat(one, 5, 0) for one in (quantizer._minima, quantizer._maxima))
    many._maxima[0] *= 9
    clipped, whole = many._scales({}), many._scales(dict.fromkeys(range(999), INT16))
    np.testing.assert_array_equal([clipped[one][1] for one in spans], [spans[one][1] for one in spans])
    assert all(whole[one][1] >= clipped[one][1] for one in spans)
    assert whole != clipped


def test_places_in_a_table_are_never_rounded():
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    parts = [
        layers.Flatten(),
        layers.Embedding(256, 6, name="table"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, name="end"),
    ]
    network = keras.Sequential([keras.Input((6, 6, 1)), *parts])
    images = np.random.default_rng(4).integers(0, 256, (8, 6, 6, 1), np.uint8)
    quantizer = open_tflite(network, images)
    assert [layer.name for layer in quantizer.layers if layer.weights] == ["table", "end"]
    for precision in (INT8, INT16):
        found = quantizer.accumulated(replace(RECIPE, precision=precision), images)
        assert found["table"] > 30


def test_a_recurrent_layer_is_one_layer_even_if_a_part_of_its_gates_is_unused():
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    parts = [layers.Rescaling(1 / 255), layers.Reshape((4, 12)), layers.LSTM(4, name="memory"), layers.Dense(3, name="end")]
    network = keras.Sequential([keras.Input((4, 4, 3)), *parts])
    images = np.random.default_rng(4).integers(0, 256, (8, 4, 4, 3), np.uint8)
    quantizer = open_tflite(network, images)
    assert [layer.name for layer in quantizer.layers if layer.multiplications] == ["memory", "end"]
    assert quantizer.accumulated(RECIPE, images)["end"] > 25


def test_a_network_with_a_loop_is_refused():
    import keras

    source = keras.Input((4, 4, 3))
    doubled = keras.layers.Lambda(lambda x: keras.ops.fori_loop(0, 3, lambda _, total: total * 2, x))(source)
    network = keras.Model(source, keras.layers.Dense(2)(keras.layers.Flatten()(doubled)))
    with pytest.raises(ValueError, match="no loops"):
        open_tflite(network, np.zeros((2, 4, 4, 3), np.uint8))
