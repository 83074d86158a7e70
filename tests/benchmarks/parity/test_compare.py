"""A run against an earlier one, against thresholds, and the file to take for each device."""

import json
from dataclasses import replace

import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.compare import compare_runs, load_run, missed_thresholds, recommend


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
    (miss,) = against.misses
    assert miss.startswith("m-int8.tflite with ai-edge-litert: in ") and miss.endswith("before.json, but not in this run")
    assert against.new == ("m-int8.onnx with onnxruntime",)
    assert against.changes == ()


def test_figures_that_one_run_lacks_are_left_out(earlier, make_row, make_benchmark):
    path = earlier(make_row("tflite-int8", parity=None, speedup=None))
    figures = {change.figure for change in compare_runs(path, make_benchmark(make_row("tflite-int8"))).changes}
    assert figures == {"accuracy %", "bytes", "p50 ms", "peak MB"}


def test_a_figure_that_is_no_longer_measured_is_a_miss(earlier, make_row, make_benchmark):
    path = earlier(make_row("tflite-int8"))
    against = compare_runs(path, make_benchmark(make_row("tflite-int8", parity=None)))
    assert against.misses == [f"m-int8.tflite with ai-edge-litert: agreement %, which {path} has, was not measured"]


def test_an_original_that_is_gone_is_no_miss_by_itself(earlier, make_row, make_benchmark):
    assert compare_runs(earlier(make_row("keras"), make_row("tflite-int8")), make_benchmark(make_row("tflite-int8"))).misses == []


def test_files_of_one_name_in_two_folders_are_both_compared(earlier, make_row, make_benchmark):
    one, two = make_row("tflite-int8", size=100), make_row("tflite-int8", size=200)
    against = compare_runs(earlier(one, two), make_benchmark(replace(one, size_bytes=300), two))
    assert [change.model for change in against.worse] == ["m-int8.tflite with ai-edge-litert"]
    assert compare_runs(earlier(one, two), make_benchmark(one)).gone == ("m-int8.tflite with ai-edge-litert (2)",)


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


@pytest.fixture
def recommended(make_benchmark):
    """Return a function that recommends among rows, measured on an x86-64 processor with VNNI or on a machine with changes."""

    def run(*rows, devices=(), **machine):
        result = make_benchmark(*rows, devices=devices)
        here = {"processor": "Xeon", "architecture": "x86_64", "vectors": ("avx2", "avx512_vnni")}
        return recommend(replace(result, machine=replace(result.machine, **{**here, **machine})))

    return run


def taken(found):
    """The recommended file by the device."""
    return {one.device: one.name for one in found}


ROWS = {
    "keras": {"p50": 50},
    "tflite-float32": {"p50": 0.3, "size": 1_100_000, "agreement": 100.0},
    "tflite-int8": {"p50": 0.1},
    "tflite-mobile": {"p50": 0.05},
    "onnx-int8": {"p50": 0.15, "size": 310_000},
    "onnx-float32": {"p50": 0.4, "size": 1_100_000, "agreement": 100.0},
}


@pytest.fixture
def rows(make_row):
    return [make_row(name, **figures) for name, figures in ROWS.items()]


def test_this_processor_gets_the_fastest_file_of_each_engine_and_is_named(recommended, rows):
    found = taken(recommended(*rows))
    assert found["Xeon, ai-edge-litert"] == "m-int8.tflite"
    assert found["Xeon, onnxruntime"] == "m-int8.onnx"
    assert found["smallest file"] == "m-int8.tflite"


def test_other_devices_get_a_file_by_the_table_and_not_by_the_times_of_this_processor(recommended, make_row):
    # On this processor float32 is faster by far.
    quick = make_row("tflite-float32", p50=0.01, agreement=100.0), make_row("tflite-int8", p50=5.0)
    found = recommended(*quick)
    assert taken(found)["Xeon, ai-edge-litert"] == "m-float32.tflite"
    (line,) = (one for one in found if "Raspberry Pi 4" in one.device)
    assert line.name == "m-int8.tflite"
    assert "times measured here do not hold there" in line.reason and "ms" not in line.reason


def test_a_device_that_you_name_gets_a_line_of_its_own(recommended, rows):
    found = recommended(*rows, devices=("pi4", "browser", "x86"))
    assert taken(found) == {
        "Raspberry Pi 4": "m-int8.tflite",
        "browser": "m-float32.onnx",
        "x86-64 without VNNI": "m-float32.tflite",
    }
    assert all("times measured here do not hold there" in one.reason for one in found)


def test_times_count_for_a_device_that_they_were_measured_on(recommended, rows, make_row):
    slow = [make_row("tflite-int8", p50=5.0), *rows[:2]]
    for device, machine in {
        "x86-vnni": {},
        "x86": {"vectors": ("avx2",)},
        "pi4": {"processor": "Raspberry Pi 4 Model B Rev 1.4", "architecture": "aarch64", "vectors": ("asimd",)},
    }.items():
        (one,) = recommended(*slow, devices=(device,), **machine)
        assert one.name == "m-float32.tflite"
        assert one.reason.startswith("timed here: 0.300 ms")


@pytest.mark.parametrize("processor", ["Raspberry Pi 5 Model B Rev 1.0", "Apple M1"])
def test_one_arm_processor_is_not_another(recommended, make_row, processor):
    rows = make_row("tflite-float32", p50=0.01, agreement=100.0), make_row("tflite-int8", p50=5.0)
    machine = {"processor": processor, "architecture": "aarch64", "vectors": ("asimd", "asimddp")}
    assert taken(recommended(*rows, devices=("pi4",), **machine)) == {"Raspberry Pi 4": "m-int8.tflite"}


def test_of_similar_files_the_one_with_the_best_agreement_is_recommended(recommended, make_row):
    rows = [make_row("onnx-int8", p50=0.100, agreement=99.4), make_row("onnx-dynamic", p50=0.108, agreement=99.9)]
    found = recommended(*rows)
    assert taken(found)["Xeon, onnxruntime"] == "m-dynamic.onnx"
    assert "0.108 ms per letter (within 10 % of the fastest of 2 files)" in found[0].reason


def test_a_file_beyond_its_limits_or_without_timing_or_with_a_failure_is_not_recommended(recommended, make_row):
    bad = [
        make_row("tflite-int8", agreement=90.0, drop=0.25),
        make_row("tflite-dynamic", drop=3.0),
        make_row("tflite-float16", failure="broken"),
        make_row("tflite-float32", letter=None),
        make_row("onnx-int8", parity=None),
        make_row("keras"),
    ]
    (none,) = recommended(*bad)
    assert (none.name, none.reason) == ("", "no file keeps within the limits of its format on these images")
    found = taken(recommended(*bad, make_row("tflite-int16x8", p50=9)))
    assert found["Xeon, ai-edge-litert"] == found["microcontroller"] == "m-int16x8.tflite"
    assert taken(recommended(*bad, make_row("tflite-int16x8"), devices=("pi5",))) == {"Raspberry Pi 5": ""}


def test_agreement_alone_rules_out_no_file_whose_accuracy_is_proven(recommended, make_row):
    row = make_row("tflite-int8", agreement=98.0)
    assert row.parity.drop_high < 0.3
    assert taken(recommended(row))["smallest file"] == "m-int8.tflite"


def test_without_an_original_or_times_the_reason_is_named(recommended, make_row):
    assert "without the original" in recommended(make_row("tflite-int8", parity=None))[0].reason
    assert recommended(make_row("tflite-int8", letter=None))[0].reason == "no file was timed"


def test_of_two_models_the_exports_of_the_more_accurate_one_are_recommended(recommended, make_row):
    base, nano = make_row("tflite-int8", p50=0.2), make_row("tflite-int8", p50=0.05, name="nano-int8.tflite")
    worse = replace(nano, parity=replace(nano.parity, original_accuracy=90.0))
    assert set(taken(recommended(base, worse)).values()) == {"m-int8.tflite"}


def test_the_reason_gives_the_figures(recommended, make_row):
    reason = recommended(make_row("tflite-int8", p50=0.125, agreement=99.86))[0].reason
    assert reason == "0.125 ms per letter, 300 kB; 99.86 % agreement"
