"""Inference engines behind one call."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.convert import onnx, tflite
from lettercast.runtime.model.engine import (
    MAX_BATCH,
    Engine,
    dequantize,
    engine_errors,
    open_content,
    open_engine,
    quantize,
    remembering,
)
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.model.installed import TFLITE_RUNTIME, Found
from lettercast.train.data.source import draw_some

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
NAMES = ("tflite-float32", "tflite-int8", "onnx-float32", "onnx-int8")


@pytest.fixture(scope="module")
def letters(check_source) -> np.ndarray:
    return draw_some(check_source, range(52), None)


def test_an_engine_that_remembers_passes_on_each_image_once_and_in_batches():
    asked = []

    def classify(images):
        share = images.reshape(len(images), -1).mean(1) / 255
        return np.stack([share, 1 - share], 1).astype(np.float32)

    facts = Facts("counted", "tflite", ("a", "b"), (2, 2, 1), "uint8")
    engine = Engine("counted", facts, lambda images: asked.append(len(images)) or classify(images))
    images = np.random.default_rng(0).integers(0, 256, (MAX_BATCH + 40, 2, 2, 1), np.uint8)
    once = remembering(engine)
    np.testing.assert_array_equal(once(images[[3, 5, 3, 8]]), classify(images[[3, 5, 3, 8]]))
    np.testing.assert_array_equal(once(images), classify(images))
    np.testing.assert_array_equal(once(images[::-1]), classify(images[::-1]))
    assert once(images[:0]).shape == (0, 2)
    assert asked == [3, MAX_BATCH, 37]
    # Another page knows nothing of this one.
    remembering(engine)(images[:2])
    assert asked[-1] == 2


@pytest.mark.parametrize(
    ("scale", "zero_point", "pixel", "expected"),
    [(1.0, -128, 200, 72), (2.0, 0, 255, 127), (0.5, -128, 255, 127), (1.5, 10, 30, 30)],
)
def test_quantize_divides_by_the_scale_and_adds_the_zero_point(scale, zero_point, pixel, expected):
    detail = {"dtype": np.int8, "quantization": (scale, zero_point)}
    quantized = quantize(np.array([[pixel]], np.uint8), detail)
    assert quantized.dtype == np.int8
    assert quantized[0, 0] == expected


def test_inputs_without_quantization_get_the_pixels_unchanged():
    assert quantize(PIXELS, {"dtype": np.uint8, "quantization": (1.0, 0)}) is PIXELS
    as_float = quantize(PIXELS, {"dtype": np.float32, "quantization": (0.0, 0)})
    assert as_float.dtype == np.float32
    np.testing.assert_array_equal(as_float, PIXELS)


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.uint8, 0), (np.uint8, 200), (np.int8, -128)])
def test_dequantize_is_scale_times_the_difference_to_the_zero_point(dtype, zero_point):
    values = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    by_hand = [(int(value) - zero_point) / 256 for value in values]
    np.testing.assert_allclose(dequantize(values, {"quantization": (1 / 256, zero_point)}), by_hand)


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_gives_probabilities_that_sum_to_one(exported, letters, name):
    probabilities = open_engine(exported[name])(letters)
    assert probabilities.shape == (52, 26)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=0.06 if name.endswith("int8") else 1e-4)


@pytest.mark.parametrize("name", [*NAMES, "onnx-dynamic"])
def test_batch_size_and_threads_do_not_change_the_probabilities(exported, letters, name):
    batched = open_engine(exported[name])(letters)
    engine = open_engine(exported[name], threads=2)
    alone = np.concatenate([engine(letter[None]) for letter in letters])
    np.testing.assert_allclose(alone, batched, atol=1e-5)


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-int8"])
def test_the_content_of_a_file_gives_what_the_file_gives(exported, letters, name):
    path = exported[name]
    engine = open_content(path.read_bytes(), path.suffix.removeprefix("."))
    np.testing.assert_array_equal(engine(letters), open_engine(path)(letters))


def test_damaged_content_is_refused():
    with pytest.raises(LettercastError, match=r"^model\.tflite: not a TFLite model"):
        open_content(b"TFL", "tflite")


def test_an_empty_batch_gives_no_rows(exported):
    assert open_engine(exported["onnx-int8"])(np.zeros((0, 28, 28, 1), np.uint8)).shape == (0, 26)


@pytest.mark.parametrize(
    "images", [np.zeros((1, 28, 28, 1), np.float32), np.zeros((1, 28, 28), np.uint8), np.zeros((28, 28, 1), np.uint8)]
)
def test_images_of_another_shape_or_dtype_are_refused(exported, images):
    with pytest.raises(ValueError, match="takes"):
        open_engine(exported["tflite-int8"])(images)


@pytest.mark.parametrize(("name", "embed"), [("tflite-int8", tflite.embed), ("onnx-int8", onnx.embed)])
@pytest.mark.parametrize("wrong", [{"labels": ("A", "B")}, {"input_shape": (32, 32, 1)}])
def test_facts_that_do_not_fit_the_graph_are_refused(exported, tmp_path, name, embed, wrong):
    engine = open_engine(exported[name])
    bare = bare_model(name, exported[name])
    path = tmp_path / exported[name].name
    path.write_bytes(embed(bare, replace(engine.facts, **wrong)))
    with pytest.raises(LettercastError, match="its facts do not fit its graph"):
        open_engine(path)


def bare_model(name: str, path) -> bytes:
    """Return an exported model without its facts."""
    if name.startswith("onnx"):
        import onnx as onnx_package

        graph = onnx_package.load(path)
        del graph.metadata_props[:]
        return graph.SerializeToString()
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    tree.metadata = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-int8"])
def test_a_model_without_facts_is_refused(exported, tmp_path, name):
    path = tmp_path / exported[name].name
    path.write_bytes(bare_model(name, exported[name]))
    with pytest.raises(LettercastError, match="carries no facts"):
        open_engine(path)


def test_the_name_of_an_engine_is_its_package_and_version(exported):
    from importlib.metadata import version

    assert open_engine(exported["onnx-int8"]).name == f"onnxruntime {version('onnxruntime')}"


def test_a_missing_model_is_reported_as_missing_and_another_format_as_unknown(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"")
    for name, message in (("nosuch", "No such file"), ("model.h5", "the runtime opens .tflite and .onnx models")):
        with pytest.raises(LettercastError, match=message):
            open_engine(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "tflite-dynamic",
            ValueError(
                "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version of this builtin might"
            ),
            r"tflite-runtime 2\.14\.0 cannot run this tflite-dynamic model \(Didn't find op for builtin opcode "
            r"'FULLY_CONNECTED' version '12'\); use tflite-int8 or tflite-float32$",
        ),
        (
            "tflite-int8",
            RuntimeError("Op builtin_code out of range: 200."),
            r"\(Op builtin_code out of range.*; use tflite-float32$",
        ),
        (
            "tflite-int8",
            SystemError("returned a result with an exception set"),
            r"and NumPy .* do not fit; pip install 'numpy<2'$",
        ),
    ],
)
def test_an_engine_that_is_too_old_is_named_with_the_format_to_use(name, error, message):
    facts = Facts("letters", name, ("A", "B"), (28, 28, 1), "uint8")
    with (
        pytest.raises(LettercastError, match=message),
        engine_errors(Found(TFLITE_RUNTIME, np, "2.14.0"), facts, Path("m.tflite")),
    ):
        raise error


def test_other_errors_of_a_model_are_not_blamed_on_the_engine():
    facts = Facts("letters", "tflite-int8", ("A", "B"), (28, 28, 1), "uint8")
    with pytest.raises(ValueError, match="buffer"), engine_errors(Found(TFLITE_RUNTIME, np, "2.14.0"), facts, Path("m.tflite")):
        raise ValueError("a buffer is too short")
