"""What exported files say of their quantization."""

import pytest

from lettercast.export.formats import FORMATS


@pytest.mark.parametrize("name", ["tflite-int8", "tflite-int16x8", "onnx-int8"])
def test_the_input_of_a_quantized_file_reaches_white(exported, name):
    found = FORMATS[name].inspect(exported[name].read_bytes())
    assert found.brightest == pytest.approx(255, abs=2)


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-float16", "tflite-dynamic", "onnx-float32", "onnx-dynamic"])
def test_a_float_input_ends_nowhere(exported, name):
    assert FORMATS[name].inspect(exported[name].read_bytes()).brightest is None


def test_only_dynamic_onnx_has_one_scale_for_all_filters_of_a_depthwise_layer(exported):
    coarse = [name for name, path in exported.items() if FORMATS[name].inspect(path.read_bytes()).has_coarse_depthwise]
    assert set(coarse) <= {"onnx-dynamic"}
