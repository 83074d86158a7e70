"""The doctor: equal, close and wrong models, and those that cannot be tried."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lettercast.export.artifact import pack
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.doctor import find_cameras, look_at_opencv
from lettercast.runtime.model.golden import golden_path, load_golden

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


def test_the_shipped_model_is_well(lettercast):
    code, report = checkup(lettercast)
    (model,) = report["models"]
    assert code == 0
    assert (model["facts"]["name"], model["facts"]["format"]) == ("letters-base", "tflite-int8")
    assert model["self_test"]["verdict"] in ("equal", "close")
    assert model["engine"].startswith("ai-edge-litert ")
    assert report["packages"]["numpy"]["version"] == np.__version__
    assert report["lacking"] == []


def test_probabilities_that_differ_a_little_are_close_and_no_failure(lettercast, model):
    change_golden(model, probabilities=load_golden(golden_path(model)).probabilities + np.float32(0.02))
    code, report = checkup(lettercast, model)
    assert (code, report["models"][0]["self_test"]["verdict"]) == (0, "close")
    out = " ".join(lettercast("doctor", model)[1].split())
    assert "close: all 26 golden cases name the same labels" in out
    assert "probabilities differ by 0.02" in out


def test_other_letters_are_named_and_exit_1(lettercast, model):
    pictures = load_golden(golden_path(model)).pictures.copy()
    pictures[[0, 1]] = pictures[[1, 0]]
    change_golden(model, pictures=pictures)
    code, out, _ = lettercast("doctor", model)
    assert code == 1
    assert "WRONG: 2 of 26 golden cases" in out
    assert "A is B, B is A" in " ".join(out.split())


def test_a_model_without_golden_cases_is_told_and_no_failure(lettercast, model):
    golden_path(model).unlink()
    code, out, _ = lettercast("doctor", model)
    assert code == 0
    assert "no golden cases: there is no letters-nano-int8.tflite.golden.npz" in " ".join(out.split())


def test_golden_cases_of_another_model_are_told(lettercast, model):
    shutil.copy(device_model("letters-base"), model)
    code, out, _ = lettercast("doctor", model)
    assert code == 2
    assert "golden cases are of another model" in " ".join(out.split())


def test_damaged_cases_and_models_do_not_keep_others_from_being_tried(lettercast, model, tmp_path):
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


def test_every_export_is_well_where_it_was_made(lettercast, exported):
    code, report = checkup(lettercast, *exported.values(), "--threads", 1)
    assert code == 0
    assert [model["facts"]["format"] for model in report["models"]] == list(exported)
    assert {model["self_test"]["verdict"] for model in report["models"]} <= {"equal", "close"}


def test_a_model_that_is_not_there_is_refused(refused):
    assert "no such model" in refused("doctor", "nowhere.tflite")


@pytest.mark.parametrize(
    ("build", "windows", "video"), [(PIP_BUILD, "QT5", ("FFMPEG", "v4l/v4l2")), (HEADLESS_BUILD, "", ()), ("", "", ())]
)
def test_opencv_says_how_it_was_built(build, windows, video):
    found = look_at_opencv(build)
    assert (found.windows, found.video) == (windows, video)


def test_cameras_are_listed_by_number_and_named_as_linux_knows_them(tmp_path):
    for number, name in ((10, "bcm2835-isp"), (9, "HD Webcam\n")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(name)
    assert [(path, name) for path, name, _ in find_cameras(tmp_path)] == [
        ("/dev/video9", "HD Webcam"),
        ("/dev/video10", "bcm2835-isp"),
    ]
    assert find_cameras(tmp_path / "none") == []
