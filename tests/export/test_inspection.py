"""What exported files say of themselves."""

import pytest

from lettercast.export.formats import FORMATS
from lettercast.runtime.model.engine import open_engine


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


def test_facts_name_the_oldest_runtime_that_opens_the_file(exported):
    named = {name: open_engine(path).facts.lowest_runtime for name, path in exported.items()}
    for name, said in named.items():
        runtime, _, version = said.rpartition(" ")
        assert runtime == ("TFLite" if name.startswith("tflite") else "ONNX Runtime")
        # tflite-runtime ends with 2.14, and 1.10 of ONNX Runtime is of 2021.
        assert tuple(map(int, version.split("."))) <= ((2, 14, 0) if name.startswith("tflite") else (1, 10))
    assert named["tflite-int16x8"] == "TFLite 2.4.0"
