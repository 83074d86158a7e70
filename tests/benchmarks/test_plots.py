"""Plots of a benchmark."""

import re
from xml.etree import ElementTree

import pytest

from lettercast.benchmarks.report import accuracy_against_latency, bars, common_start, confusion_difference, svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def texts(figure) -> list[str]:
    """The texts of a plot that is well-formed."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg(figure)).iter(f"{NAMESPACE}text")]


def test_every_model_stands_by_its_name_without_what_all_begin_with(make_row):
    shown = texts(
        accuracy_against_latency([make_row("tflite-int8"), make_row("onnx-int8"), make_row("onnx-float16", letter=None)])
    )
    assert {"m-int8.tflite", "m-int8.onnx"} - {f"m-{name}" for name in shown} == set()
    assert not any("float16" in name for name in shown)


def test_bars_carry_their_numbers_and_leave_out_what_is_unknown(make_row):
    rows = [make_row("tflite-int8", size=1_234_000), make_row("onnx-int8", footprint=None)]
    shown = texts(bars(rows, lambda row: row.size_bytes / 1000, "size / kB"))
    assert {"1,234", "300", "m-int8.tflite", "m-int8.onnx", "size / kB"} <= set(shown)
    shown = texts(bars(rows, lambda row: row.footprint and row.footprint.peak_mb, "peak / MB"))
    assert "43" in shown and "m-int8.onnx" not in shown


def test_only_classes_that_changed_are_drawn(make_row):
    figure = confusion_difference(make_row("tflite-int8", moved=(("I", "I", -2), ("I", "L", 2))))
    counts = figure.axes[0].images[0].get_array()
    assert counts.tolist() == [[-2, 2], [0, 0]]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["I", "L"]


def test_the_same_figures_give_the_same_bytes_as_wide_as_there_is_room(make_row):
    one, two = (svg(accuracy_against_latency([make_row("tflite-int8")])) for _ in range(2))
    assert one == two
    assert not re.search(r"<svg[^>]* width=", one)


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["letters-base.keras", "letters-base-int8.onnx"], "letters-"),
        (["letters-base-int8.tflite", "letters-base-int8.onnx"], "letters-base-"),
        (["a.onnx", "b.onnx"], ""),
        (["one-int8.onnx"], ""),
        ([], ""),
    ],
)
def test_what_all_names_begin_with_ends_at_a_dash(names, start):
    assert common_start(names) == start
