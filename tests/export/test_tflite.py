"""Keras to TFLite."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from lettercast.export import tflite
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import Facts, tflite_facts
from lettercast.train.data.source import draw_some
from lettercast.train.network import SIZES
from lettercast.train.predict import load_keras, open_keras


@pytest.fixture(scope="module")
def int8(exported) -> Interpreter:
    interpreter = Interpreter(str(exported["tflite-int8"]))
    interpreter.allocate_tensors()
    return interpreter


@pytest.fixture(scope="module")
def bare(model_file) -> bytes:
    """The float model without facts."""
    return tflite.float32(load_keras(model_file), np.zeros((0, 28, 28, 1), np.uint8))


def run(model: bytes, picture: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None].astype(np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


def test_int8_takes_pixels_as_they_are_and_gives_uint8(int8):
    (source,), (target,) = int8.get_input_details(), int8.get_output_details()
    assert (source["dtype"], target["dtype"]) == (np.uint8, np.uint8)
    assert source["quantization"] == (pytest.approx(1, abs=1e-3), 0)


def test_int8_computes_in_integers_throughout(int8):
    dtypes = {np.dtype(detail["dtype"]).name for detail in int8.get_tensor_details()}
    assert dtypes <= {"int8", "uint8", "int32"}


def test_int8_weights_have_a_scale_for_every_channel(int8):
    kernels = [d for d in int8.get_tensor_details() if len(d["shape"]) == 4 and len(d["quantization_parameters"]["scales"]) > 1]
    assert sorted(detail["shape"][0] for detail in kernels) == sorted(
        [width for stage in SIZES["nano"].stages for width in stage]
    )
    assert all(len(detail["quantization_parameters"]["scales"]) == detail["shape"][0] for detail in kernels)


def test_float32_gives_what_keras_gives(exported, model_file, check_source):
    pictures = draw_some(check_source, range(52), None)
    np.testing.assert_allclose(open_engine(exported["tflite-float32"])(pictures), open_keras(model_file)(pictures), atol=1e-5)


def test_embedding_facts_changes_no_result_and_they_are_read_back(bare, check_source):
    facts = Facts("x", "tflite-float32", ("Ä", "B"), (28, 28, 1), "float32", gate={"n": 3})
    model = tflite.embed(bare, facts)
    assert tflite_facts("m.tflite", model) == facts
    picture = draw_some(check_source, [3], None)[0]
    np.testing.assert_array_equal(run(model, picture), run(bare, picture))


def test_tensors_keep_one_name_each_and_those_of_input_and_output_are_whole(bare):
    model = tflite.embed(bare, Facts("x", "tflite-float32", ("A", "B"), (28, 28, 1), "float32"))
    before, after = (schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs[0] for data in (bare, model))
    assert any(b";" in tensor.name for tensor in before.tensors)
    assert all(b";" not in tensor.name and tensor.name for tensor in after.tensors)
    for ends in ("inputs", "outputs"):
        assert [after.tensors[i].name for i in getattr(after, ends)] == [before.tensors[i].name for i in getattr(before, ends)]


def test_tensor_data_lie_at_multiples_of_sixteen_bytes(bare):
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
