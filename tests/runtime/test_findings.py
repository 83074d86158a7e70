"""What the doctor found, as text."""

from dataclasses import replace
from pathlib import Path

import pytest

from lettercast.runtime.model.doctor import COLUMNS, Checkup, Device, OpenCV, Report, findings
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.model.golden import Replay, Stray
from lettercast.runtime.model.installed import LITERT, NUMPY, ONNX_RUNTIME, OPENCV, TFLITE_RUNTIME, Found

NOT_HERE = "not installed"
FACTS = Facts("digits", "tflite-int8", tuple("0123456789"), (28, 28, 1), "uint8")
PACKAGES = (
    Found(NUMPY, object(), "2.4.6"),
    Found(OPENCV, object(), "4.6.0"),
    Found(LITERT, fault=NOT_HERE),
    Found(TFLITE_RUNTIME, object(), "2.14.0"),
    Found(ONNX_RUNTIME, fault=NOT_HERE),
)
DEVICE = Device(
    "3.11.2, 32 bit, /usr/bin/python3",
    "Linux 6.1 armv7l (Raspberry Pi 3 Model B)",
    PACKAGES,
    OpenCV("GTK3", ("FFMPEG", "GStreamer", "v4l/v4l2")),
    (("/dev/video0", "HD Webcam", False),),
    True,
    (),
)


def said(**changes) -> str:
    """Return the findings on a device and one model, changed, with lines joined."""
    model = Checkup(Path("digits.tflite"), 1234567, FACTS, "tflite-runtime 2.14.0", Replay(10, 0.0, ()), "Linux x86_64")
    return " ".join(findings(Report(DEVICE, (replace(model, **changes),))).split())


def test_engines_and_cameras_are_said_as_they_were_found():
    text = said()
    assert ".tflite ai-edge-litert not installed, not needed tflite-runtime 2.14.0, runs .tflite models" in text
    assert "onnxruntime not installed cameras" in text
    assert "OpenCV 4.6.0, with windows (GTK3), cameras and films through FFMPEG, GStreamer, v4l/v4l2" in text
    assert "/dev/video0 HD Webcam (you may not open it: join the group video), Picamera2 installed" in text


def test_the_model_is_said_in_short():
    gated = replace(FACTS, gate={"n": 5200, "accuracy": 98.4, "original_accuracy": 98.5, "agreement": 99.8, "data": "pen"})
    text = said(facts=gated)
    assert "model digits, tflite-int8, 1,234,567 bytes labels 10: 0 1 2 3 4 5 6 7 8 9 input 28 x 28 pixels, 1 channel" in text
    assert "gate accuracy 98.40 % (original 98.50 %), agreement 99.80 %, 5,200 letters of pen" in text
    assert "gate" not in said()


def test_many_labels_are_not_all_said():
    text = said(facts=replace(FACTS, labels=tuple(map(str, range(500)))))
    assert "labels 500: 0 1 2" in text
    assert "39 ... input" in text


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (Replay(10, 0.0, ()), "self-test equal: all 10 golden cases to the bit as on Linux x86_64"),
        (
            Replay(10, 0.043, ()),
            "self-test close: all 10 golden cases name the same labels as on Linux x86_64; probabilities diff",
        ),
        (
            Replay(10, 0.9, (Stray("1", "7", 0.9), Stray("3", "3", 0.2))),
            "WRONG: 2 of 10 golden cases are not as on Linux x86_64: 1",
        ),
        (Replay(10, 0.9, (Stray("1", "7", 0.9), Stray("3", "3", 0.2))), "1 is 7, 3 is off by 0.2"),
    ],
)
def test_verdicts_are_said_with_how_far_and_which(test, expected):
    assert expected in said(test=test)


def test_lines_fit_80_columns_but_for_commands_which_stay_whole():
    command = "LiteRT is not installed: " + "sudo apt install a-long-name && " * 5
    report = Report(replace(DEVICE, lacking=(command,)), (Checkup(Path("digits.tflite"), 1, FACTS, note="Linux " * 40),))
    lines = findings(report).splitlines()
    assert f"missing    {command}" in lines
    assert max(len(line) for line in lines if not line.startswith("missing")) <= COLUMNS


@pytest.mark.parametrize(
    ("lacking", "checkup", "code"),
    [
        ((), Checkup(Path("m.tflite"), test=Replay(3, 0.01, ())), 0),
        ((), Checkup(Path("m.tflite"), note="no golden cases"), 0),
        ((), Checkup(Path("m.tflite"), test=Replay(3, 1.0, (Stray("A", "B", 1.0),))), 1),
        ((), Checkup(Path("m.tflite"), fault="damaged"), 2),
        (("OpenCV is not installed",), Checkup(Path("m.tflite"), test=Replay(3, 0.0, ())), 2),
    ],
)
def test_the_exit_code_tells_well_from_wrong_from_unusable(lacking, checkup, code):
    assert Report(replace(DEVICE, lacking=lacking), (checkup,)).exit_code == code
