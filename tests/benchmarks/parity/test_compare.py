"""A run against an earlier one, against thresholds, and the file to take for each device."""

import json
from dataclasses import replace

import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.compare import DEVICES, compare_runs, load_run, missed_thresholds, recommend


@pytest.fixture
def earlier(make_benchmark, tmp_path):
    """Return a function that writes rows as the JSON of an earlier run, with changes of its machine."""

    def write(*rows, **machine):
        result = make_benchmark(*rows)
        path = tmp_path / "before.json"
        path.write_text(json.dumps(replace(result, machine=replace(result.machine, **machine)).to_dict()))
        return path

    return write


def test_the_same_figures_are_no_change(earlier, make_row, make_benchmark):
    rows = make_row("keras"), make_row("tflite-int8")
    against = compare_runs(earlier(*rows), make_benchmark(*rows))
    assert against.same_machine
    assert {change.by for change in against.changes} == {0}
    assert (against.worse, against.gone, against.new) == ([], (), ())


@pytest.mark.parametrize(
    ("figure", "before", "now"),
    [
        ("p50 ms", {"p50": 0.1}, {"p50": 0.12}),
        ("bytes", {"size": 300_000}, {"size": 340_000}),
        ("accuracy %", {"drop": 0.0}, {"drop": 0.5}),
        ("agreement %", {"agreement": 99.9}, {"agreement": 99.5}),
    ],
)
def test_a_loss_beyond_the_tolerance_is_worse_and_a_gain_is_not(earlier, make_row, make_benchmark, figure, before, now):
    path = earlier(make_row("tflite-int8", **before))
    assert [change.figure for change in compare_runs(path, make_benchmark(make_row("tflite-int8", **now))).worse] == [figure]
    back = earlier(make_row("tflite-int8", **now))
    assert compare_runs(back, make_benchmark(make_row("tflite-int8", **before))).worse == []


def test_a_loss_within_the_tolerance_is_not_worse(earlier, make_row, make_benchmark):
    path, slower = earlier(make_row("tflite-int8", p50=0.1)), make_benchmark(make_row("tflite-int8", p50=0.12))
    assert compare_runs(path, slower, percent=25).worse == []


def test_the_original_is_not_judged(earlier, make_row, make_benchmark):
    against = compare_runs(earlier(make_row("keras", p50=1)), make_benchmark(make_row("keras", p50=9)))
    assert against.worse == []
    assert any(change.by == pytest.approx(800) for change in against.changes)


def test_on_another_machine_only_the_ratio_to_keras_is_judged(earlier, make_row, make_benchmark):
    path = earlier(make_row("tflite-int8", p50=0.1, speedup=500.0), processor="another")
    slower_machine = compare_runs(path, make_benchmark(make_row("tflite-int8", p50=0.9, speedup=500.0)))
    assert not slower_machine.same_machine
    assert slower_machine.worse == []
    slower_export = compare_runs(path, make_benchmark(make_row("tflite-int8", p50=0.9, speedup=300.0)))
    assert [change.figure for change in slower_export.worse] == ["faster"]


def test_models_that_only_one_run_has_are_named(earlier, make_row, make_benchmark):
    against = compare_runs(earlier(make_row("tflite-int8")), make_benchmark(make_row("onnx-int8")))
    assert against.gone == ("m-int8.tflite with ai-edge-litert",)
    assert against.new == ("m-int8.onnx with onnxruntime",)
    assert against.changes == ()


def test_figures_that_one_run_lacks_are_left_out(earlier, make_row, make_benchmark):
    path = earlier(make_row("tflite-int8", parity=None, speedup=None))
    figures = {change.figure for change in compare_runs(path, make_benchmark(make_row("tflite-int8"))).changes}
    assert figures == {"accuracy %", "bytes", "p50 ms", "peak MB"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not the JSON of a benchmark"),
        ("null", "not the JSON of a benchmark"),
        ('{"schema": 1, "rows": [], "machine": {}}', "has schema 1, but this version compares schema 2"),
        ('{"schema": 2, "rows": [{}], "machine": {}}', "not the JSON of a benchmark"),
        ('{"schema": 2, "rows": [], "machine": []}', "not the JSON of a benchmark"),
        ("[" * 100_000, "not the JSON of a benchmark"),
    ],
)
def test_a_file_that_is_not_an_earlier_run_is_refused_with_the_reason(tmp_path, text, said):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(LettercastError, match=said):
        load_run(path)
    with pytest.raises(LettercastError, match=r"gone\.json"):
        load_run(tmp_path / "gone.json")


def test_a_model_at_the_threshold_passes_and_one_below_is_named(make_row, make_benchmark):
    result = make_benchmark(make_row("tflite-int8", drop=1.0), make_row("onnx-int8"))
    assert missed_thresholds(result, 95, None) == ["m-int8.tflite: accuracy 94.00 %, at least 95 % required"]
    assert missed_thresholds(result, 94, None) == []


def test_a_p99_above_the_threshold_is_named(make_row, make_benchmark):
    result = make_benchmark(make_row("tflite-int8", p50=0.5), make_row("onnx-int8", p50=0.1))
    assert missed_thresholds(result, None, 1.0) == ["m-int8.tflite: p99 1.500 ms, at most 1 ms required"]


def test_thresholds_do_not_apply_to_the_original(make_row, make_benchmark):
    assert missed_thresholds(make_benchmark(make_row("keras", p50=50, drop=50)), 90, 1) == []


def test_a_figure_that_was_not_measured_misses_its_threshold(make_row, make_benchmark):
    result = make_benchmark(make_row("onnx-int8", accuracy=None, letter=None, skipped="no engine"))
    assert [said.split(": ")[1].split(",")[0] for said in missed_thresholds(result, 90, 1)] == [
        "accuracy not measured",
        "latency not measured",
    ]
    assert missed_thresholds(result, None, None) == []


def taken(rows):
    """The recommended file by the first word of the device."""
    return {one.device.split()[0]: one.name for one in recommend(rows)}


def test_each_device_gets_the_fastest_that_it_can_run(make_row):
    rows = [
        make_row("keras", p50=50),
        make_row("tflite-float32", p50=0.3, size=1_100_000),
        make_row("tflite-int8", p50=0.1),
        make_row("tflite-mobile", p50=0.05),
        make_row("onnx-int8", p50=0.15),
        make_row("onnx-float32", p50=0.4, size=1_100_000),
    ]
    found = taken(rows)
    assert found["Raspberry"] == found["microcontrollers"] == "m-int8.tflite"
    assert found["apps,"] == "m-mobile.tflite"
    assert found["desktops"] == "m-int8.onnx"
    assert len(found) == len(DEVICES)


def test_a_recommendation_depends_on_figures_and_not_on_names(make_row):
    found = taken([make_row("tflite-float32", p50=0.05), make_row("tflite-int8", p50=0.1)])
    assert found["Raspberry"] == "m-float32.tflite"


def test_of_similar_files_the_one_with_the_best_agreement_is_recommended(make_row):
    rows = [make_row("onnx-int8", p50=0.100, agreement=99.4), make_row("onnx-dynamic", p50=0.108, agreement=99.9)]
    assert taken(rows)["desktops"] == "m-dynamic.onnx"


def test_a_file_without_agreement_or_timing_or_with_a_failure_is_not_recommended(make_row):
    bad = [
        make_row("tflite-int8", agreement=90.0),
        make_row("tflite-dynamic", drop=3.0),
        make_row("tflite-float16", failure="broken"),
        make_row("tflite-float32", letter=None),
        make_row("onnx-int8", parity=None),
        make_row("keras"),
    ]
    assert recommend(bad) == []
    assert set(taken([*bad, make_row("tflite-int16x8", p50=9)]).values()) == {"m-int16x8.tflite"}


def test_of_two_models_the_exports_of_the_more_accurate_one_are_recommended(make_row):
    base, nano = make_row("tflite-int8", p50=0.2), make_row("tflite-int8", p50=0.05, name="nano-int8.tflite")
    worse = replace(nano, parity=replace(nano.parity, original_accuracy=90.0))
    assert taken([base, worse])["Raspberry"] == "m-int8.tflite"


def test_the_reason_gives_the_figures(make_row):
    reason = recommend([make_row("tflite-int8", p50=0.125, agreement=99.86)])[0].reason
    assert "0.125 ms a letter" in reason and "300 kB" in reason and "99.86 %" in reason
