"""The table of formats."""

import pytest

from lettercast import LettercastError
from lettercast.export.formats import FORMATS, find_formats


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tflite-int8", "letters-base-int8.tflite"),
        ("tflite-float32", "letters-base-float32.tflite"),
        ("onnx-int8", "letters-base-int8.onnx"),
        ("onnx-float32", "letters-base-float32.onnx"),
    ],
)
def test_a_file_name_does_not_repeat_its_suffix(name, file):
    assert FORMATS[name].file_name("letters-base") == file


def test_no_two_formats_write_the_same_file():
    files = [row.file_name("m") for row in FORMATS.values()]
    assert len(set(files)) == len(files)


def test_formats_come_in_the_order_asked_for_each_once_and_all_without_names():
    names = [row.name for row in find_formats(["onnx-int8", "tflite-int8", "onnx-int8"])]
    assert names == ["onnx-int8", "tflite-int8"]
    assert [row.name for row in find_formats(None)] == list(FORMATS)


def test_an_unknown_format_names_those_there_are():
    with pytest.raises(LettercastError, match=r"unknown format 'coreml': choose from tflite-float32, .*onnx-int8"):
        find_formats(["tflite-int8", "coreml"])


def test_float_formats_allow_no_loss_and_integers_at_most_what_the_design_says():
    allowed = {"float32": (0.0, 100.0), "float16": (0.1, 99.9), "mobile": (0.5, 98.5)}
    for row in FORMATS.values():
        limits = (row.tolerance.max_drop, row.tolerance.min_agreement)
        assert limits == allowed.get(row.name.partition("-")[2], (0.3, 99.0))
