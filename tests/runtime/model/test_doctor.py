"""The doctor: what it finds on a device, what it says about models, and its exit codes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.golden import pack
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.doctor import (
    COLUMNS,
    Checkup,
    Device,
    OpenCV,
    Report,
    find_cameras,
    format_report,
    inspect_opencv,
)
from lettercast.runtime.model.facts import Facts
from lettercast.runtime.model.golden import Mismatch, Replay, golden_path, load_golden
from lettercast.runtime.model.installed import LITERT, NUMPY, ONNX_RUNTIME, OPENCV, TFLITE_RUNTIME, Found

PIP_BUILD = """
  GUI:                           QT5
    QT:                          YES (ver 5.15.19 )
    GTK+:                        NO

  Video I/O:
    FFMPEG:                      YES
      avcodec:                   YES (62.28.101)
    GStreamer:                   NO
    v4l/v4l2:                    YES (linux/videodev2.h)

  Parallel framework:            pthreads
"""
HEADLESS_BUILD = "\n  GUI:                           NONE\n    VTK support:                 NO\n\n  Video I/O:\n    FFMPEG: NO\n"
NOT_INSTALLED = "not installed"
FACTS = Facts("digits", "tflite-int8", tuple("0123456789"), (28, 28, 1), "uint8")
PACKAGES = (
    Found(NUMPY, object(), "2.4.6"),
    Found(OPENCV, object(), "4.6.0"),
    Found(LITERT, fault=NOT_INSTALLED),
    Found(TFLITE_RUNTIME, object(), "2.14.0"),
    Found(ONNX_RUNTIME, fault=NOT_INSTALLED),
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


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped nano model with its golden cases."""
    path = device_model("letters-nano")
    for file in (path, golden_path(path)):
        shutil.copy(file, tmp_path)
    return tmp_path / path.name


def change_golden(model, **changes) -> None:
    """Change the golden cases beside a model."""
    path = golden_path(model)
    path.write_bytes(pack(replace(load_golden(path), **changes)))


def checkup(lettercast, *words):
    """Return the exit code and the JSON of `lettercast doctor`."""
    code, out, err = lettercast("doctor", *words, "--json")
    assert err == ""
    return code, json.loads(out)


def test_the_shipped_model_passes_its_self_test(lettercast):
    code, report = checkup(lettercast)
    (model,) = report["models"]
    assert code == 0
    assert (model["facts"]["name"], model["facts"]["format"]) == ("letters-base", "tflite-int8")
    assert model["self_test"]["verdict"] in ("equal", "close")
    assert model["engine"].startswith("ai-edge-litert ")
    assert report["packages"]["numpy"]["version"] == np.__version__
    assert report["lacking"] == []


def test_slightly_different_probabilities_are_close_and_exit_0(lettercast, model):
    change_golden(model, probabilities=load_golden(golden_path(model)).probabilities + np.float32(0.02))
    code, report = checkup(lettercast, model)
    assert (code, report["models"][0]["self_test"]["verdict"]) == (0, "close")
    out = " ".join(lettercast("doctor", model)[1].split())
    assert "close: all 26 golden cases give the same labels" in out
    assert "probabilities differ by at most 0.02" in out


def test_wrong_letters_are_listed_and_exit_1(lettercast, model):
    images = load_golden(golden_path(model)).images.copy()
    images[[0, 1]] = images[[1, 0]]
    change_golden(model, images=images)
    code, out, _ = lettercast("doctor", model)
    assert code == 1
    assert "WRONG: 2 of 26 golden cases" in out
    assert "A is read as B, B is read as A" in " ".join(out.split())
    self_test = checkup(lettercast, model)[1]["models"][0]["self_test"]
    assert list(self_test) == ["verdict", "n", "difference", "strays"]
    assert [(case["expected"], case["given"], case["difference"] > 0.1) for case in self_test["strays"]] == [
        ("A", "B", True),
        ("B", "A", True),
    ]


def test_a_model_without_golden_cases_gets_a_note_and_exit_0(lettercast, model):
    golden_path(model).unlink()
    code, out, _ = lettercast("doctor", model)
    assert code == 0
    assert "not possible without golden cases: letters-nano-int8.tflite.golden.npz is missing" in " ".join(out.split())


def test_golden_cases_of_another_model_exit_2(lettercast, model):
    shutil.copy(device_model("letters-base"), model)
    code, out, _ = lettercast("doctor", model)
    assert code == 2
    assert "golden cases are of another model" in " ".join(out.split())


def test_a_damaged_file_does_not_stop_the_check_of_other_models(lettercast, model, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(model.read_bytes()[:5000])
    code, report = checkup(lettercast, damaged, model)
    assert code == 2
    assert "damaged" in report["models"][0]["fault"]
    assert report["models"][1]["self_test"]["verdict"] in ("equal", "close")
    golden_path(model).write_bytes(b"none")
    code, report = checkup(lettercast, model)
    assert code == 2
    assert "cannot be used as golden cases" in report["models"][0]["fault"]


def test_every_export_passes_its_self_test_where_it_was_made(lettercast, exported):
    code, report = checkup(lettercast, *exported.values(), "--threads", 1)
    assert code == 0
    assert [model["facts"]["format"] for model in report["models"]] == list(exported)
    assert {model["self_test"]["verdict"] for model in report["models"]} <= {"equal", "close"}


def test_a_missing_model_is_refused(refused):
    assert "no such model" in refused("doctor", "nowhere.tflite")


@pytest.mark.parametrize(
    ("build", "windows", "video"), [(PIP_BUILD, "QT5", ("FFMPEG", "v4l/v4l2")), (HEADLESS_BUILD, "", ()), ("", "", ())]
)
def test_the_build_of_opencv_is_parsed(build, windows, video):
    found = inspect_opencv(build)
    assert (found.windows, found.video) == (windows, video)


def test_cameras_are_sorted_by_number_and_named_as_linux_names_them(tmp_path):
    for number, name in ((10, "bcm2835-isp"), (9, "HD Webcam\n")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(name)
    assert [(path, name) for path, name, _ in find_cameras(tmp_path)] == [
        ("/dev/video9", "HD Webcam"),
        ("/dev/video10", "bcm2835-isp"),
    ]
    assert find_cameras(tmp_path / "none") == []


def report_text(**changes) -> str:
    """Return the report on a device and one model, changed, with its lines joined."""
    model = Checkup(Path("digits.tflite"), 1234567, FACTS, "tflite-runtime 2.14.0", Replay(10, 0.0, ()), "Linux x86_64")
    return " ".join(format_report(Report(DEVICE, (replace(model, **changes),))).split())


def test_the_report_lists_engines_and_cameras():
    text = report_text()
    assert ".tflite ai-edge-litert not installed, not needed tflite-runtime 2.14.0, runs .tflite models" in text
    assert ".onnx onnxruntime not installed opencv-python 4.6.0, runs onnx-float32 models cameras" in text
    assert "OpenCV 4.6.0, with windows (GTK3), reads cameras and videos with FFMPEG, GStreamer, v4l/v4l2" in text
    assert "/dev/video0 HD Webcam (you may not open it: join the group video), Picamera2 installed" in text


def test_the_report_summarises_the_facts_of_a_model():
    gated = replace(FACTS, gate={"n": 5200, "accuracy": 98.4, "original_accuracy": 98.5, "agreement": 99.8, "data": "pen"})
    text = report_text(facts=gated)
    assert "model digits, tflite-int8, 1,234,567 bytes labels 10: 0 1 2 3 4 5 6 7 8 9 input 28 x 28 pixels, 1 channel" in text
    assert (
        "at export without a verdict, as by an earlier version; export it again for one: accuracy 98.40 % (original 98.50 %), "
        f"agreement 99.80 %, on 5,200 {FACTS.unit} of pen" in text
    )
    assert "at export" not in report_text()


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            {"verdict": "proven", "needed": None},
            "at export proven: accuracy drop +0.10 points (-0.05 to +0.25), at most 0.3 allowed,",
        ),
        (
            {"verdict": "unproven", "needed": 1277},
            "at export unproven, the images were too few (about 1,277 images would prove it): accuracy drop +0.10",
        ),
        ({"verdict": "unproven", "needed": None}, "at export unproven, the images were too few: accuracy drop +0.10"),
        ({}, "at export proven: accuracy drop +0.10"),
        (
            {"drop_high": 0.4},
            "at export without a verdict, as by an earlier version; export it again for one: accuracy drop +0.10",
        ),
        ({"verdict": "proven", "accuracy": "high", "tolerance": 3}, "+0.25), accuracy nan % (original 98.50 %)"),
    ],
)
def test_the_report_names_the_verdict_of_the_gate(gate, said):
    measured = {"n": 900, "accuracy": 98.4, "original_accuracy": 98.5, "agreement": 99.8, "data": "digits", "split": "test"}
    measured |= {"drop": 0.1, "drop_low": -0.05, "drop_high": 0.25, "tolerance": {"max_drop": 0.3}}
    text = report_text(facts=replace(FACTS, takes="pictures", gate={**measured, **gate}))
    assert said in text
    assert "on 900 images of digits test" in text


def test_a_long_list_of_labels_is_cut():
    text = report_text(facts=replace(FACTS, labels=tuple(map(str, range(500)))))
    assert "labels 500: 0 1 2" in text
    assert "39 ... input" in text


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (Replay(10, 0.0, ()), "self-test equal: all 10 golden cases give exactly the same probabilities as on Linux x86_64"),
        (
            Replay(10, 0.043, ()),
            "self-test close: all 10 golden cases give the same labels as on Linux x86_64; probabilities differ by at most 0.043",
        ),
        (
            Replay(10, 0.9, (Mismatch("1", "7", 0.9), Mismatch("3", "3", 0.2))),
            "WRONG: 2 of 10 golden cases differ from Linux x86_64: 1",
        ),
        (
            Replay(10, 0.9, (Mismatch("1", "7", 0.9), Mismatch("3", "3", 0.2))),
            "1 is read as 7, the probability of 3 is off by 0.2",
        ),
    ],
)
def test_the_verdict_names_differences_and_cases(test, expected):
    assert expected in report_text(test=test)


def test_lines_fit_80_columns_except_commands_which_stay_whole():
    command = "LiteRT is not installed: " + "sudo apt install a-long-name && " * 5
    report = Report(replace(DEVICE, missing=(command,)), (Checkup(Path("digits.tflite"), 1, FACTS, note="Linux " * 40),))
    lines = format_report(report).splitlines()
    assert f"missing    {command}" in lines
    assert max(len(line) for line in lines if not line.startswith("missing")) <= COLUMNS


@pytest.mark.parametrize(
    ("missing", "checkup", "code"),
    [
        ((), Checkup(Path("m.tflite"), test=Replay(3, 0.01, ())), 0),
        ((), Checkup(Path("m.tflite"), note="no golden cases"), 0),
        ((), Checkup(Path("m.tflite"), test=Replay(3, 1.0, (Mismatch("A", "B", 1.0),))), 1),
        ((), Checkup(Path("m.tflite"), fault="damaged"), 2),
        (("OpenCV is not installed",), Checkup(Path("m.tflite"), test=Replay(3, 0.0, ())), 2),
    ],
)
def test_the_exit_code_distinguishes_good_wrong_and_unusable(missing, checkup, code):
    assert Report(replace(DEVICE, missing=missing), (checkup,)).exit_code == code
