"""What to take, from figures."""

from dataclasses import replace

from lettercast.benchmarks.parity.compare import DEVICES, recommend


def taken(rows):
    """The file for each kind of device, by the first word of its name."""
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


def test_by_figures_and_not_by_names(make_row):
    found = taken([make_row("tflite-float32", p50=0.05), make_row("tflite-int8", p50=0.1)])
    assert found["Raspberry"] == "m-float32.tflite"


def test_of_those_alike_the_one_that_agrees_most_is_taken(make_row):
    rows = [make_row("onnx-int8", p50=0.100, agreement=99.4), make_row("onnx-dynamic", p50=0.108, agreement=99.9)]
    assert taken(rows)["desktops"] == "m-dynamic.onnx"


def test_what_does_not_agree_or_failed_or_was_not_timed_is_not_recommended(make_row):
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


def test_of_two_models_the_more_accurate_ones_exports_are_taken(make_row):
    base, nano = make_row("tflite-int8", p50=0.2), make_row("tflite-int8", p50=0.05, name="nano-int8.tflite")
    worse = replace(nano, parity=replace(nano.parity, original_accuracy=90.0))
    assert taken([base, worse])["Raspberry"] == "m-int8.tflite"


def test_the_reason_gives_the_figures(make_row):
    reason = recommend([make_row("tflite-int8", p50=0.125, agreement=99.86)])[0].reason
    assert "0.125 ms a letter" in reason and "300 kB" in reason and "99.86 %" in reason
