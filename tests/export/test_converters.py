"""The converters: Keras to TFLite and to ONNX."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from lettercast.export import tflite
from lettercast.export.onnx import OPSET, convert, fold_scaling
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import Facts, tflite_facts
from lettercast.train.data.source import draw_some
from lettercast.train.network import SIZES
from lettercast.train.predict import load_keras, open_keras

ONNX = ("onnx-float32", "onnx-float16", "onnx-int8", "onnx-dynamic")


@pytest.mark.parametrize("name", ["tflite-float32", "onnx-float32"])
def test_float32_gives_the_probabilities_of_keras(exported, model_file, check_source, name):
    images = draw_some(check_source, range(52), None)
    np.testing.assert_allclose(open_engine(exported[name])(images), open_keras(model_file)(images), atol=1e-5)


@pytest.fixture(scope="module")
def int8(exported) -> Interpreter:
    interpreter = Interpreter(str(exported["tflite-int8"]))
    interpreter.allocate_tensors()
    return interpreter


@pytest.fixture(scope="module")
def bare(model_file) -> bytes:
    """The float model without facts."""
    return tflite.float32(load_keras(model_file), np.zeros((0, 28, 28, 1), np.uint8))


def run(model: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None].astype(np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


def test_tflite_int8_takes_raw_pixels_and_gives_uint8(int8):
    (source,), (target,) = int8.get_input_details(), int8.get_output_details()
    assert (source["dtype"], target["dtype"]) == (np.uint8, np.uint8)
    assert source["quantization"] == (pytest.approx(1, abs=1e-3), 0)


def test_tflite_int8_computes_in_integers_throughout(int8):
    dtypes = {np.dtype(detail["dtype"]).name for detail in int8.get_tensor_details()}
    assert dtypes <= {"int8", "uint8", "int32"}


def test_tflite_int8_weights_have_a_scale_for_every_channel(int8):
    kernels = [d for d in int8.get_tensor_details() if len(d["shape"]) == 4 and len(d["quantization_parameters"]["scales"]) > 1]
    assert sorted(detail["shape"][0] for detail in kernels) == sorted(
        [width for stage in SIZES["nano"].stages for width in stage]
    )
    assert all(len(detail["quantization_parameters"]["scales"]) == detail["shape"][0] for detail in kernels)


def test_facts_are_read_back_from_tflite_and_change_no_result(bare, check_source):
    facts = Facts("x", "tflite-float32", ("Ä", "B"), (28, 28, 1), "float32", gate={"n": 3})
    model = tflite.embed(bare, facts)
    assert tflite_facts("m.tflite", model) == facts
    image = draw_some(check_source, [3], None)[0]
    np.testing.assert_array_equal(run(model, image), run(bare, image))


def test_tflite_tensors_keep_one_name_each_and_those_of_input_and_output_are_whole(bare):
    model = tflite.embed(bare, Facts("x", "tflite-float32", ("A", "B"), (28, 28, 1), "float32"))
    before, after = (schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs[0] for data in (bare, model))
    assert any(b";" in tensor.name for tensor in before.tensors)
    assert all(b";" not in tensor.name and tensor.name for tensor in after.tensors)
    for ends in ("inputs", "outputs"):
        assert [after.tensors[i].name for i in getattr(after, ends)] == [before.tensors[i].name for i in getattr(before, ends)]


def test_tflite_tensor_data_are_aligned_to_sixteen_bytes(bare):
    facts = Facts("x", "tflite-float32", ("A", "B"), (28, 28, 1), "float32")
    model = tflite.embed(bare, facts)
    root = schema.Model.GetRootAs(model, 0)
    starts = [
        model.find(root.Buffers(i).DataAsNumpy().tobytes())
        for i in range(root.BuffersLength())
        if root.Buffers(i).DataLength() > 64
    ]
    assert len(starts) > 6
    assert [start % 16 for start in starts] == [0] * len(starts)


@pytest.fixture(scope="module")
def graphs(exported) -> dict[str, onnx.ModelProto]:
    return {name: onnx.load(exported[name]) for name in ONNX}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_graphs_are_valid_have_the_stated_opset_and_take_any_batch(graphs, name):
    graph = graphs[name]
    onnx.checker.check_model(graph, full_check=True)
    assert {entry.version for entry in graph.opset_import if entry.domain == ""} == {OPSET}
    shape = graph.graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param
    assert [dim.dim_value for dim in shape.dim][1:] == [28, 28, 1]


@pytest.mark.parametrize("name", ONNX)
def test_onnx_metadata_hold_the_facts_once(graphs, name):
    assert [entry.key for entry in graphs[name].metadata_props].count("lettercast") == 1


def test_onnx_int8_weights_have_a_scale_for_every_channel(graphs):
    graph = graphs["onnx-int8"].graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    kernels = {name for name, value in values.items() if value.dtype == np.int8 and value.ndim == 4}
    scales = [values[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kernels]
    assert sorted(scale.size for scale in scales) == sorted([width for stage in SIZES["nano"].stages for width in stage])


def test_onnx_int8_is_smaller_than_float32(exported):
    assert exported["onnx-int8"].stat().st_size < 0.7 * exported["onnx-float32"].stat().st_size


def test_a_factor_in_front_of_the_first_convolution_is_folded_into_its_weights(model_file, check_source):
    graph = convert(load_keras(model_file))
    before = graph.SerializeToString()
    folded = fold_scaling(graph)
    assert len(folded.graph.node) == len(onnx.load_model_from_string(before).graph.node) - 1
    onnx.checker.check_model(folded, full_check=True)
    images = draw_some(check_source, range(40), None).astype(np.float32)
    rows = [
        session.run(None, {session.get_inputs()[0].name: images})[0]
        for session in (onnxruntime.InferenceSession(model) for model in (before, folded.SerializeToString()))
    ]
    np.testing.assert_allclose(*rows, atol=1e-5)
    # Nothing is left to fold.
    once = folded.SerializeToString()
    assert fold_scaling(folded).SerializeToString() == once


def test_only_float16_keeps_the_scaling_of_pixels_as_an_operation(graphs):
    scaled = {name for name, graph in graphs.items() if any(node.op_type == "Mul" for node in graph.graph.node[:3])}
    assert scaled == {"onnx-float16"}


def test_an_offset_in_front_is_not_folded():
    layers = keras.layers
    scaled = [keras.Input((8, 8, 1)), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    graph = convert(keras.Sequential(scaled))
    before = graph.SerializeToString()
    assert fold_scaling(graph).SerializeToString() == before
