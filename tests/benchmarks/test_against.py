"""What changed since an earlier benchmark."""

import json
from dataclasses import replace

import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.compare import compare_runs, load_run


@pytest.fixture
def earlier(make_benchmark, tmp_path):
    """Return a function that writes rows as an earlier run's JSON, with changes of its machine."""

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
def test_worse_past_the_tolerance_is_told_and_better_is_not(earlier, make_row, make_benchmark, figure, before, now):
    path = earlier(make_row("tflite-int8", **before))
    assert [change.figure for change in compare_runs(path, make_benchmark(make_row("tflite-int8", **now))).worse] == [figure]
    back = earlier(make_row("tflite-int8", **now))
    assert compare_runs(back, make_benchmark(make_row("tflite-int8", **before))).worse == []


def test_within_the_tolerance_is_no_loss(earlier, make_row, make_benchmark):
    path, slower = earlier(make_row("tflite-int8", p50=0.1)), make_benchmark(make_row("tflite-int8", p50=0.12))
    assert compare_runs(path, slower, percent=25).worse == []


def test_the_original_is_not_on_trial(earlier, make_row, make_benchmark):
    against = compare_runs(earlier(make_row("keras", p50=1)), make_benchmark(make_row("keras", p50=9)))
    assert against.worse == []
    assert any(change.by == pytest.approx(800) for change in against.changes)


def test_on_another_machine_of_times_only_the_ratio_to_keras_counts(earlier, make_row, make_benchmark):
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
        ('{"schema": 1, "rows": [], "machine": {}}', "of schema 1, this version compares 2"),
        ('{"schema": 2, "rows": [{}], "machine": {}}', "not the JSON of a benchmark"),
        ('{"schema": 2, "rows": [], "machine": []}', "not the JSON of a benchmark"),
        ("[" * 100_000, "not the JSON of a benchmark"),
    ],
)
def test_what_is_no_run_is_refused_with_the_reason(tmp_path, text, said):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(LettercastError, match=said):
        load_run(path)
    with pytest.raises(LettercastError, match=r"gone\.json"):
        load_run(tmp_path / "gone.json")
