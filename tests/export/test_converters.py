"""The converters: Keras to TFLite and to ONNX."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from lettercast.export.convert import tflite
from lettercast.export.convert.onnx import OPSET, convert, fold_scaling
from lettercast.runtime.model.engine import dequantize, open_engine, quantize
from lettercast.runtime.model.facts import Facts, tflite_facts
from lettercast.train.data.source import draw_some
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


@pytest.fixture(scope="module")
def widths(model_file):
    """The filters of the original's convolutions."""
    return sorted(layer.filters for layer in load_keras(model_file).layers if isinstance(layer, keras.layers.Conv2D))


def test_tflite_int8_weights_have_a_scale_for_every_channel(int8, widths):
    kernels = [d for d in int8.get_tensor_details() if len(d["shape"]) == 4 and len(d["quantization_parameters"]["scales"]) > 1]
    assert sorted(detail["shape"][0] for detail in kernels) == widths
    assert all(len(detail["quantization_parameters"]["scales"]) == detail["shape"][0] for detail in kernels)


def test_facts_are_read_back_from_tflite_and_change_no_result(bare, check_source):
    facts = Facts("x", "tflite-float32", ("Ä", "B"), (28, 28, 1), "float32", gate={"n": 3})
    model = tflite.embed(bare, facts)
    assert tflite_facts("m.tflite", model) == facts
    image = draw_some(check_source, [3], None)[0]
    np.testing.assert_array_equal(run(model, image), run(bare, image))


def unpack(model: bytes) -> schema.ModelT:
    """Return the tables of a TFLite file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))


def operators(tree: schema.ModelT) -> set[int]:
    """Return the kinds of operators in the graphs of a TFLite file."""
    return {tree.operatorCodes[op.opcodeIndex].builtinCode for graph in tree.subgraphs for op in graph.operators}


def test_every_tflite_tensor_has_a_short_name_of_its_own(exported):
    for name, path in exported.items():
        if path.suffix == ".tflite":
            names = [tensor.name for graph in unpack(path.read_bytes()).subgraphs for tensor in graph.tensors]
            assert len(set(names)) == len(names), name
            assert all(names) and not any(b";" in one for one in names)


def test_tflite_inputs_and_outputs_are_named_as_in_the_signature(bare):
    tree = unpack(tflite.embed(bare, Facts("x", "tflite-float32", ("A", "B"), (28, 28, 1), "float32")))
    (graph,), (signature,) = tree.subgraphs, tree.signatureDefs
    named = [graph.tensors[end.tensorIndex].name for end in (*signature.inputs, *signature.outputs)]
    assert named == [end.name for end in (*signature.inputs, *signature.outputs)] == [b"pixels", b"output_0"]
    assert signature.signatureKey == b"serving_default"


def test_tensors_of_one_name_are_told_apart_by_their_role():
    def tensor(name: bytes) -> schema.TensorT:
        made = schema.TensorT()
        made.name = name
        return made

    code, dense, graph, tree = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = schema.BuiltinOperator.FULLY_CONNECTED
    dense.inputs, dense.outputs = [0, 1, 2], [3]
    graph.tensors = [
        tensor(name) for name in (b"net/x", b"net/d/Relu;net/d/a", b"net/d/Relu;net/d/b", b"net/d/Relu", b"net/d/Relu")
    ]
    graph.operators, tree.subgraphs, tree.operatorCodes = [dense], [graph], [code]
    tflite.name_tensors(tree)
    assert [one.name for one in graph.tensors] == [b"x", b"d/Relu/weights", b"d/Relu/bias", b"d/Relu", b"d/Relu_2"]


def test_tflite_files_take_one_image_without_computing_shapes(exported):
    computing = {schema.BuiltinOperator.SHAPE, schema.BuiltinOperator.PACK}
    for name, path in exported.items():
        if path.suffix == ".tflite":
            tree = unpack(path.read_bytes())
            graph = tree.subgraphs[0]
            source = graph.tensors[graph.inputs[0]]
            assert (source.shape[0], source.shapeSignature) == (1, None), name
            assert not operators(tree) & computing


def test_a_network_of_batches_of_32_converts_for_one_image():
    layers = keras.layers
    keras.utils.set_random_seed(1)
    source = keras.Input((8, 8, 3), batch_size=32, name="image")
    network = keras.Model(source, layers.Dense(4)(layers.Flatten()(layers.Conv2D(2, 3)(source))))
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8)
    expected = np.asarray(network(images.astype(np.float32)))
    scale = np.abs(expected).max()
    for build in (tflite.float32, tflite.int8):
        model = tflite.embed_buffers(build(network, images), {})
        interpreter = Interpreter(model_content=model)
        interpreter.allocate_tensors()
        (end,) = interpreter.get_input_details()
        assert (list(end["shape"]), list(interpreter.get_signature_list()["serving_default"]["inputs"])) == (
            [1, 8, 8, 3],
            ["image"],
        )
        answers = interpreter_answers(interpreter, images)
        assert np.abs(answers - expected).max() < (1e-5 if build is tflite.float32 else 0.05) * scale


def interpreter_answers(interpreter: Interpreter, images: np.ndarray) -> np.ndarray:
    """Return the outputs (n, classes) of a TFLite file for images, one by one."""
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], quantize(image[None], source))
        interpreter.invoke()
        rows.append(dequantize(interpreter.get_tensor(target["index"])[0], target))
    return np.array(rows)


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


def test_onnx_int8_weights_have_a_scale_for_every_channel(graphs, widths):
    graph = graphs["onnx-int8"].graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    kernels = {name for name, value in values.items() if value.dtype == np.int8 and value.ndim == 4}
    scales = [values[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kernels]
    assert sorted(scale.size for scale in scales) == widths


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


def test_old_onnx_runtimes_know_the_filters_of_dynamic_quantization(graphs):
    graph = graphs["onnx-dynamic"].graph
    dtypes = {value.name: value.data_type for value in graph.initializer}
    filters = [node.input[1] for node in graph.node if node.op_type == "ConvInteger"]
    # ONNX Runtime opens int8 filters from 1.24 on only.
    assert filters and {dtypes[name] for name in filters} == {onnx.TensorProto.UINT8}
