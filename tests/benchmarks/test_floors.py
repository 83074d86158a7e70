"""Floors for a user's own checks."""

from lettercast.benchmarks.parity.compare import missed_floors


def test_a_model_on_the_floor_passes_and_one_below_is_named_with_both_figures(make_row, make_benchmark):
    result = make_benchmark(make_row("tflite-int8", drop=1.0), make_row("onnx-int8"))
    assert missed_floors(result, 95, None) == ["m-int8.tflite: accuracy 94.00 %, at least 95 % asked"]
    assert missed_floors(result, 94, None) == []


def test_a_p99_above_the_floor_is_named(make_row, make_benchmark):
    result = make_benchmark(make_row("tflite-int8", p50=0.5), make_row("onnx-int8", p50=0.1))
    assert missed_floors(result, None, 1.0) == ["m-int8.tflite: p99 1.500 ms, at most 1 ms asked"]


def test_the_original_need_not_pass(make_row, make_benchmark):
    assert missed_floors(make_benchmark(make_row("keras", p50=50, drop=50)), 90, 1) == []


def test_what_was_not_measured_has_not_passed(make_row, make_benchmark):
    result = make_benchmark(make_row("onnx-int8", accuracy=None, letter=None, skipped="no engine"))
    assert [said.split(": ")[1].split(",")[0] for said in missed_floors(result, 90, 1)] == [
        "accuracy not measured",
        "latency not measured",
    ]
    assert missed_floors(result, None, None) == []
