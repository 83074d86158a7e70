"""Tables of models and their columns."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from lettercast.benchmarks.columns import fill, in_ms, known
from lettercast.benchmarks.parity.compare import FIGURES, Change, Comparison, recommend
from lettercast.benchmarks.parity.tables import (
    artifact_table,
    comparison_table,
    confidence_table,
    evaluation_table,
    parity_table,
    plain,
    recommendation_table,
    speed_table,
    tables_of,
)
from lettercast.export.artifact import Artifact, Exports
from lettercast.export.devices import Recommendation
from lettercast.export.formats import FORMATS
from lettercast.export.gate import ImageSet, Parity, Tolerance
from lettercast.train.evaluation import Evaluation

PARITY = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)


def test_evaluation_shows_accuracy_the_pairs_and_every_class(printed):
    probabilities = np.array([[0.1, 0.7, 0.2], [0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], np.float32)
    text = printed(
        evaluation_table(
            Evaluation(
                "m",
                "keras",
                "pen",
                "test",
                ("G", "I", "L"),
                np.array([1, 2, 0]),
                probabilities,
                np.zeros((3, 28, 28, 1), np.uint8),
            )
        )
    )
    assert "m (keras) on pen, test: accuracy 66.67 %, top-2 100.00 %, 3 letters" in " ".join(text.split())
    assert "100 % of the errors are I/L, 0 % are G/Q" in " ".join(text.split())
    assert "I and L merged 100.00 %" in " ".join(text.split())
    assert [line.split()[1] for line in text.splitlines() if line.startswith("│")] == ["G", "I", "L"]


@pytest.mark.parametrize(("max_drop", "verdict"), [(1.0, "proven"), (0.7, "unproven, needs 8,240"), (0.3, "missed")])
def test_artifacts_show_the_drop_with_its_interval_and_the_verdict(tmp_path, max_drop, verdict, printed):
    tolerance = Tolerance(max_drop, 99.0)
    parity = replace(PARITY, lost=6, won=1)
    artifact = Artifact(FORMATS["tflite-int8"], tmp_path / "m-int8.tflite", 36_400, parity, tolerance, ())
    sets = {"check": ImageSet("cats.npz", "test", 1000), "calibration": ImageSet("dogs", "train", 500)}
    text = printed(artifact_table(Exports((artifact,), (), model="m", takes="images", **sets)))
    assert "checked on 1,000 images of cats.npz (the test split); calibrated on 500 images of dogs" in " ".join(text.split())
    assert "m-int8.tflite" in text
    assert "+0.50 (+0.10..+0.90)" in text
    assert f" {verdict} " in text


def test_parity_and_speed_show_a_line_for_every_model(make_row, make_benchmark, printed):
    result = make_benchmark(make_row("keras", p50=50, speedup=1.0), make_row("tflite-int8", p50=0.125, drop=0.5))
    lines = printed(parity_table(result)).splitlines()
    assert "1,000 letters of pen (the test split)" in lines[0]
    (line,) = (line for line in lines if "m-int8.tflite" in line)
    assert all(
        word in line for word in ("ai-edge-litert 2", "300", "94.50 (93.50..96.20)", "+0.50 (+0.40..+0.60)", "99.90", "2.0e-02")
    )
    text = printed(speed_table(result))
    (line,) = (line for line in text.splitlines() if "m-int8.tflite" in line)
    assert all(word in line for word in ("0.125", "0.250", "0.375", "1.250", "12,000", "43", "400 x"))
    assert "threads: 2" in text and result.machine.processor in text


@pytest.mark.parametrize("table", [parity_table, speed_table])
def test_a_narrow_terminal_shows_whole_names_and_figures(make_row, make_benchmark, table):
    text = io.StringIO()
    Console(file=text, width=80).print(table(make_benchmark(make_row("tflite-int8", name="letters-base-int16x8.tflite")), 80))
    assert "letters-base-int16x8.tflite" in text.getvalue()
    assert "…" not in text.getvalue()


def test_a_missing_figure_is_a_dash_with_a_reason_in_the_caption(make_row, make_benchmark, printed):
    nothing = dict.fromkeys(("accuracy", "parity", "letter", "batch", "footprint", "speedup"))
    result = make_benchmark(make_row("onnx-int8", failure="broken", **nothing), make_row("tflite-int8", note="no original"))
    text = printed(speed_table(result))
    assert "m-int8.onnx: broken" in text and "m-int8.tflite: no original" in text
    (line,) = (line for line in text.splitlines() if "m-int8.onnx" in line and "broken" not in line)
    assert line.split()[3::2] == ["-"] * 10


def test_changes_show_old_and_new_figures_and_models_of_only_one_run(printed):
    changes = (
        Change("m.tflite", "bytes", 100.0, 150.0, 50.0, "%", True),
        Change("m.tflite", "accuracy %", 95.0, 94.9, -0.1, "points", False),
    )
    text = printed(comparison_table(Comparison("old.json", False, changes, ("gone.onnx",), ("new.onnx",))))
    (line,) = (line for line in text.splitlines() if "m.tflite" in line)
    assert "150 (+50 %)" in line and "94.90 (-0.10)" in line
    assert "another machine" in text and "gone: gone.onnx" in text and "new: new.onnx" in text


def test_recommendations_show_device_file_and_reason(make_row, make_benchmark, printed):
    text = printed(recommendation_table(recommend(make_benchmark(make_row("tflite-int8")))))
    assert "Raspberry Pi" in text and "m-int8.tflite" in text and "0.100 ms per letter" in text


def test_a_narrow_recommendation_keeps_names_whole_and_says_if_there_is_none():
    name = "letters-base-float32.tflite"
    found = [Recommendation("Raspberry Pi 4", name, "for many reasons " * 5), Recommendation("browser", "", "no usable file")]
    text = io.StringIO()
    Console(file=text, width=80).print(recommendation_table(found, 80))
    assert max(map(len, text.getvalue().splitlines())) == 80
    assert name in text.getvalue()
    assert any("none" in line and "browser: no usable file" in line for line in text.getvalue().splitlines())


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("bytes", 1_234_567.0, "1,234,567"),
        ("p50 ms", 0.0471, "0.047"),
        ("p50 ms", 140.52, "140.5"),
        ("peak MB", 721.28, "721.3"),
        ("faster", 1532.4, "1,532 x"),
        ("accuracy %", 94.9615, "94.96"),
    ],
)
def test_figures_are_plain_numbers(figure, value, text):
    assert plain(figure, value) == text


def test_tables_speak_of_images_unless_the_models_take_letters(make_row, make_benchmark, printed):
    result = make_benchmark(make_row("tflite-int8"), unit="images")
    text = "".join(printed(table) for table in tables_of(result))
    assert "images/s" in text and "1 image, and 15 at once" in text and "per image" in text
    assert "letter" not in text


def test_confidence_shows_both_changes_with_their_intervals(make_row, make_benchmark, printed):
    row = make_row("tflite-int8")
    change = {"original_calibration_error": 1.0, "calibration_error": 1.5, "original_rejected": 2.0, "rejected": 1.9}
    ends = {
        "calibration_change_low": 0.2,
        "calibration_change_high": 0.8,
        "rejected_change_low": -0.3,
        "rejected_change_high": 0.1,
    }
    text = printed(confidence_table(make_benchmark(replace(row, parity=replace(row.parity, **change, **ends)))))
    assert "1.50" in text and "+0.50 (+0.20..+0.80)" in text
    assert "1.90" in text and "-0.10 (-0.30..+0.10)" in text


@pytest.mark.parametrize(("value", "said"), [(0.01234, "0.012"), (9.9994, "9.999"), (12.34, "12.3"), (1234.5, "1234.5")])
def test_milliseconds_have_three_decimals_below_ten_and_one_above(value, said):
    assert in_ms(value) == said


def test_an_unknown_figure_is_a_dash_and_zero_is_not():
    assert known(None, str) == "-"
    assert known(0, str) == "0"


def test_only_the_shown_columns_are_added_with_text_to_the_left():
    table = fill(
        Table(), {"model": lambda one: one[0], "ms": lambda one: str(one[1]), "kB": lambda one: "?"}, [("m", 3)], ("model", "ms")
    )
    assert [(column.header, column.justify, list(column.cells)) for column in table.columns] == [
        ("model", "left", ["m"]),
        ("ms", "right", ["3"]),
    ]


def test_changes_in_a_narrow_terminal_have_a_line_per_figure():
    model = "letters-base-int16x8.tflite with ai-edge-litert"
    changes = tuple(Change(model, figure, 95.0, 94.9, -0.1, "points", False) for figure in FIGURES)
    text = io.StringIO()
    Console(file=text, width=80).print(comparison_table(Comparison("old.json", True, changes, (), ()), 80))
    shown = text.getvalue()
    assert all(word in shown for word in model.split()) and "…" not in shown
    assert shown.count("(-0.10)") == len(FIGURES)
    assert all(figure in shown for figure in FIGURES)


@pytest.mark.parametrize("width", [60, 80])
def test_figures_are_whole_in_a_narrow_terminal_and_text_wraps(width):
    columns = {"reader": lambda one: one, **{f"figure {i}": lambda one: "123.456" for i in range(3)}}
    text = io.StringIO()
    Console(file=text, width=width).print(fill(Table(), columns, ["a reader with a very long name, and its version"], columns))
    assert text.getvalue().count("123.456") == 3
    assert "…" not in text.getvalue()
