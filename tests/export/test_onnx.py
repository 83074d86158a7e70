"""Keras to ONNX."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from lettercast.export.onnx import OPSET, convert, fold_scaling
from lettercast.runtime.model.engine import open_engine
from lettercast.train.data.source import draw_some
from lettercast.train.network import SIZES
from lettercast.train.predict import load_keras, open_keras

NAMES = ("onnx-float32", "onnx-float16", "onnx-int8", "onnx-dynamic")


@pytest.fixture(scope="module")
def graphs(exported) -> dict[str, onnx.ModelProto]:
    return {name: onnx.load(exported[name]) for name in NAMES}


def to_onnx(network: keras.Model) -> onnx.ModelProto:
    """A network that was asked once, as Keras wants it, in float32."""
    network.predict(np.zeros((1, *network.input_shape[1:]), np.uint8), verbose=0)
    return convert(network)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_are_valid_of_the_stated_opset_and_take_any_number_of_pictures(graphs, name):
    graph = graphs[name]
    onnx.checker.check_model(graph, full_check=True)
    assert {entry.version for entry in graph.opset_import if entry.domain == ""} == {OPSET}
    shape = graph.graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param
    assert [dim.dim_value for dim in shape.dim][1:] == [28, 28, 1]


@pytest.mark.parametrize("name", NAMES)
def test_facts_stand_once_in_the_metadata(graphs, name):
    assert [entry.key for entry in graphs[name].metadata_props].count("lettercast") == 1


def test_float32_gives_what_keras_gives(exported, model_file, check_source):
    pictures = draw_some(check_source, range(52), None)
    np.testing.assert_allclose(open_engine(exported["onnx-float32"])(pictures), open_keras(model_file)(pictures), atol=1e-5)


def test_int8_holds_int8_weights_with_a_scale_for_every_channel(graphs):
    graph = graphs["onnx-int8"].graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    kernels = {name for name, value in values.items() if value.dtype == np.int8 and value.ndim == 4}
    scales = [values[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kernels]
    assert sorted(scale.size for scale in scales) == sorted([width for stage in SIZES["nano"].stages for width in stage])


def test_int8_is_smaller_than_float32(exported):
    assert exported["onnx-int8"].stat().st_size < 0.7 * exported["onnx-float32"].stat().st_size


def test_a_factor_in_front_of_the_first_convolution_goes_into_its_weights(model_file, check_source):
    graph = to_onnx(load_keras(model_file))
    before = graph.SerializeToString()
    folded = fold_scaling(graph)
    assert len(folded.graph.node) == len(onnx.load_model_from_string(before).graph.node) - 1
    onnx.checker.check_model(folded, full_check=True)
    pictures = draw_some(check_source, range(40), None).astype(np.float32)
    rows = [
        session.run(None, {session.get_inputs()[0].name: pictures})[0]
        for session in (onnxruntime.InferenceSession(model) for model in (before, folded.SerializeToString()))
    ]
    np.testing.assert_allclose(*rows, atol=1e-5)
    # Nothing is left to fold.
    once = folded.SerializeToString()
    assert fold_scaling(folded).SerializeToString() == once


def test_the_scaling_of_pixels_costs_an_operation_only_where_weights_would_lose_digits(graphs):
    scaled = {name for name, graph in graphs.items() if any(node.op_type == "Mul" for node in graph.graph.node[:3])}
    assert scaled == {"onnx-float16"}


def test_an_offset_in_front_stays_where_it_is():
    layers = keras.layers
    scaled = [keras.Input((8, 8, 1)), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    graph = to_onnx(keras.Sequential(scaled))
    before = graph.SerializeToString()
    assert fold_scaling(graph).SerializeToString() == before
