"""The cost of layers: multiply-accumulates, and TFLite files that are cut off behind an operation."""

import keras
import numpy as np
import onnx
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.speed.layers import Layer, cut_off, layers_of, middle_mean, onnx_layers, tflite_operations
from lettercast.runtime.model.installed import find_engine
from lettercast.train.data.source import draw_some
from lettercast.train.network import count_multiplications
from lettercast.train.predict import load_keras

FORMATS = ("tflite-float32", "tflite-int8", "tflite-int16x8", "onnx-float32", "onnx-float16", "onnx-int8", "onnx-dynamic")
# The TFLite operations with a layer of their own in Keras.
IN_KERAS = {"CONV_2D": keras.layers.ReLU, "MAX_POOL_2D": keras.layers.MaxPooling2D, "SOFTMAX": keras.layers.Dense}


@pytest.fixture(scope="module")
def network(model_file) -> keras.Model:
    return load_keras(model_file)


@pytest.fixture(scope="module")
def float_file(exported) -> bytes:
    return exported["tflite-float32"].read_bytes()


def counts_of(network: keras.Model) -> list[int]:
    """Multiply-accumulates of each layer that has any, in order."""
    counts = [count_multiplications(keras.Sequential([keras.Input(one.input.shape[1:]), one])) for one in network.layers]
    return [count for count in counts if count]


def run_tflite(model: bytes, image: np.ndarray) -> np.ndarray:
    """Return the output of a TFLite file for an image (1, H, W, C)."""
    interpreter = find_engine(".tflite").module.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.astype(np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", FORMATS)
def test_layers_have_the_multiplications_of_keras(exported, network, name):
    layers = layers_of(exported[name], runs=1)
    assert [layer.multiplications for layer in layers if layer.multiplications] == counts_of(network)


def test_a_depthwise_layer_multiplies_each_channel_with_its_own_filter():
    from lettercast.export.convert.tflite import float32

    stack = [keras.Input((8, 8, 6)), keras.layers.DepthwiseConv2D(3), keras.layers.Conv2D(4, 1)]
    operations = tflite_operations(float32(keras.Sequential(stack), np.zeros((1, 8, 8, 6), np.uint8)))
    assert {name: count for name, _, count in operations} == {
        "DEPTHWISE_CONV_2D": 6 * 6 * 9 * 6,
        "CONV_2D": 6 * 6 * 6 * 4,
    }


def test_a_cut_off_file_gives_the_output_of_that_layer(float_file, network, check_source):
    image = draw_some(check_source, [3], None)
    kinds = tuple(IN_KERAS.values())
    expected = [one for one in network.layers if isinstance(one, kinds)]
    names = [name for name, *_ in tflite_operations(float_file)]
    places = [i for i, name in enumerate(names, 1) if name in IN_KERAS]
    assert len(places) == len(expected) > 5
    for place, layer in zip(places, expected, strict=True):
        assert isinstance(layer, IN_KERAS[names[place - 1]])
        wanted = keras.Model(network.inputs, layer.output)([image])
        np.testing.assert_allclose(run_tflite(cut_off(float_file, place), image), wanted, atol=1e-4)


def test_a_cut_off_file_has_the_first_operations_and_the_same_length(float_file):
    operations = tflite_operations(float_file)
    for count in range(1, len(operations) + 1):
        cut = cut_off(float_file, count)
        assert tflite_operations(cut) == operations[:count]
        assert len(cut) == len(float_file)


def test_every_operation_of_a_tflite_file_is_timed(exported):
    model = exported["tflite-int8"]
    told = [(layer.name, layer.output, layer.multiplications) for layer in layers_of(model, runs=1)]
    assert told == tflite_operations(model.read_bytes())
    assert told[0][:2] == ("QUANTIZE", (1, 28, 28, 1))
    assert told[-1][1] == (1, 26)


def test_onnx_layers_are_the_fused_ones(exported):
    layers = layers_of(exported["onnx-int8"], runs=1)
    assert all(layer.ms > 0 for layer in layers)
    assert "QLinearConv" in {layer.name for layer in layers}
    assert not {"Relu", "Conv"} & {layer.name for layer in layers}
    assert layers[-1].output == (1, 26)


def test_products_of_constants_are_refused():
    value = lambda name, *shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)  # noqa: E731
    weights = [onnx.numpy_helper.from_array(np.ones((4, 4), np.float32), name) for name in ("a", "b")]
    nodes = [onnx.helper.make_node("MatMul", pair, [out]) for pair, out in ((["a", "b"], "ab"), (["x", "ab"], "y"))]
    graph = onnx.helper.make_graph(nodes, "folded", [value("x", 1, 4)], [value("y", 1, 4)], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    with pytest.raises(LettercastError, match="multiplies in 1 nodes, but the file in 2"):
        onnx_layers(model.SerializeToString(), runs=1)


def test_a_layer_without_time_has_no_throughput():
    assert Layer("CONV_2D", (1, 2), 3_000_000, 0.5).gmacs == pytest.approx(6.0)
    assert Layer("SHAPE", (4,), 0, -0.001).gmacs == 0
    assert Layer("FULLY_CONNECTED", (1, 2), 100, -0.001).gmacs == 0


def test_disturbed_times_are_left_out():
    assert middle_mean([1.0, 2.0, 2.0, 3.0, 3.0, 2.0, 900.0, 2.0]) == pytest.approx(2.25)
    assert middle_mean([7.0]) == 7.0


def test_a_file_with_another_ending_is_refused(tmp_path):
    with pytest.raises(LettercastError, match="export the model first"):
        layers_of(tmp_path / "model.keras")
