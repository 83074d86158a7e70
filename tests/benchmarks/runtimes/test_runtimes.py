"""Exported files in other runtimes: agreement, refusals, crashes and failed installations are told apart."""

import json
import sys
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from lettercast import LettercastError
from lettercast.benchmarks.runtimes import run
from lettercast.benchmarks.runtimes.environments import (
    ONNX,
    READY,
    RUNTIMES,
    TFLITE,
    Runtime,
    default_folder,
    find_python,
    open_environment,
)
from lettercast.benchmarks.runtimes.run import Trial, compare, open_subject, run_probe, runtime_tables, summary, try_runtimes

# Runtimes that this environment has already, because lettercast needs them.
OWN_LITERT, OWN_OPENCV = Runtime("LiteRT", "litert", (), (TFLITE,)), Runtime("OpenCV", "opencv", (), (TFLITE, ONNX))
OWN_ONNX, OWN_TF2ONNX = Runtime("ONNX Runtime", "onnxruntime", (), (ONNX,)), Runtime("tf2onnx", "tf2onnx", (), (TFLITE,))
# Takes the crash of a runtime: it answers the first job, and dies over the second.
CRASHES = """
import json, os, sys
import numpy as np
jobs, results = sys.argv[1:]
for at, job in enumerate(json.load(open(jobs))):
    if job["model"].endswith("int8.onnx"):
        os._exit(7)
    np.save(job["answers"], np.full((260, 26), 1 / 26, np.float32))
    open(results, "a").write(json.dumps({"error": ""}) + "\\n")
"""


@pytest.fixture(scope="module")
def trials(exported, tmp_path_factory) -> dict[tuple[str, str], Trial]:
    """Files in the runtimes of this environment, by runtime and format."""
    paths = [exported[name] for name in ("tflite-float32", "tflite-int8", "onnx-float32", "onnx-int8")]
    own = (OWN_LITERT, OWN_TF2ONNX, OWN_ONNX, OWN_OPENCV)
    found = try_runtimes(paths, tmp_path_factory.mktemp("runtimes"), own)
    return {(trial.runtime, trial.format): trial for trial in found}


def test_every_runtime_is_tried_on_every_file_that_it_reads(trials):
    tflite, onnx = ("tflite-float32", "tflite-int8"), ("onnx-float32", "onnx-int8")
    reads = {"LiteRT": tflite, "tf2onnx": tflite, "ONNX Runtime": onnx, "OpenCV": tflite + onnx}
    assert list(trials) == [(runtime, name) for runtime, names in reads.items() for name in names]


def test_our_own_engine_gives_equal_answers(trials):
    assert trials["LiteRT", "tflite-int8"] == Trial("LiteRT", "letters-nano", "tflite-int8", 260, 260)
    assert {trial.result for (runtime, _), trial in trials.items() if runtime == "LiteRT"} == {"equal"}


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-int8"])
def test_tf2onnx_converts_tflite_files_whose_tensors_it_connects_by_name(trials, name):
    trial = trials["tf2onnx", name]
    assert (trial.error, trial.same, trial.n) == ("", 260, 260)
    assert trial.difference < 1e-4


@pytest.mark.parametrize("name", ["tflite-float32", "onnx-float32"])
def test_opencv_5_runs_float32_files(trials, name):
    trial = trials["OpenCV", name]
    assert (trial.error, trial.result) == ("", "same")
    assert trial.difference < 1e-4


def test_a_refusal_says_why(trials):
    assert trials["OpenCV", "tflite-int8"].result == "refused"
    assert "Lookup table for RELU" in trials["OpenCV", "tflite-int8"].error


def test_a_runtime_that_crashes_over_one_file_is_tried_on_the_others(exported, tmp_path):
    paths = [exported[name] for name in ("onnx-float32", "onnx-int8", "onnx-dynamic")]
    subjects = [open_subject(path, tmp_path / f"{at}.npy") for at, path in enumerate(paths)]
    found = run_probe(OWN_ONNX, (sys.executable, "-c", CRASHES), subjects, tmp_path)
    assert [trial.error for trial in found] == ["", "the process ended with code 7", ""]
    assert [trial.result for trial in found] == ["other", "refused", "other"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [(np.zeros((260, 3)), "gives 3 values for an image, and not 26"), (np.full((260, 26), np.nan), "gives NaN")],
)
def test_answers_that_cannot_be_compared_are_faults(exported, tmp_path, answers, error):
    subject = open_subject(exported["onnx-float32"], tmp_path / "images.npy")
    np.save(tmp_path / "answers.npy", answers)
    assert compare(OWN_ONNX, subject, tmp_path / "answers.npy", "").error == error


def test_a_runtime_without_its_python_has_rows_that_say_so(exported, tmp_path):
    absent = Runtime("Old", "litert", ("old==1.0",), (TFLITE,), python="2.0")
    (trial,) = try_runtimes([exported["tflite-int8"]], tmp_path, [absent])
    assert (trial.runtime, trial.error) == ("Old 1.0", "needs Python 2.0, which is not installed")
    with pytest.raises(LettercastError, match=r"needs Python 2\.0"):
        find_python("2.0")


def test_a_package_that_does_not_exist_cannot_be_installed(tmp_path):
    # A name that no registry may have, asked for in a folder without packages.
    absent = Runtime("Absent", "litert", ("--no-index", "no-such-package==1.0"), (TFLITE,))
    with pytest.raises(LettercastError, match="cannot be installed: ERROR: No matching distribution"):
        open_environment(absent, tmp_path)
    assert not list(tmp_path.rglob(READY))


def test_tables_have_a_cell_for_every_format_and_list_every_refusal():
    ran = Trial("A 1.0", "m", "tflite-int8", 10, 9, 0.25)
    refused = Trial("A 1.0", "n", "tflite-int8", error="too new")
    console = Console(file=StringIO(), width=200)
    for table in runtime_tables([ran, refused, replace(ran, format="onnx-int8", same=10, difference=0.0)]):
        console.print(table)
    text = console.file.getvalue()
    assert "9/10 2e-01 refused 1 of 2" in text and "10/10 equal" in text and "too new" in text
    assert summary([]).plain == "-"


def test_the_command_writes_its_results_as_json(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "RUNTIMES", (OWN_LITERT,))
    line = [str(exported["tflite-int8"]), "--folder", str(tmp_path / "kept"), "--json", str(tmp_path / "all.json")]
    assert run.main(line) == 0
    assert "260/260 equal" in capsys.readouterr().out
    (trial,) = json.loads((tmp_path / "all.json").read_text())["trials"]
    assert (trial["result"], trial["format"], trial["same"]) == ("equal", "tflite-int8", 260)


def test_a_runtime_that_is_not_in_the_list_is_refused(capsys):
    assert run.main(["--only", "NoSuchRuntime"]) == 2
    assert "--only NoSuchRuntime: no such runtime; choose from LiteRT, " in capsys.readouterr().err


def test_every_runtime_is_pinned_and_has_a_folder_of_its_own():
    assert len({runtime.folder for runtime in RUNTIMES}) == len(RUNTIMES)
    for runtime in RUNTIMES:
        assert all("==" in package or "@" in package[1:] for package in runtime.packages), runtime


INSTALLED = [runtime for runtime in RUNTIMES if (default_folder() / runtime.folder / READY).is_file()]


@pytest.mark.parametrize("title", ["OpenVINO", "tflite-micro", "LiteRT.js", "ONNX Runtime", "tflite-runtime"])
def test_other_runtimes_agree_on_files_of_integers(title, exported):
    there = [runtime for runtime in INSTALLED if runtime.title == title]
    if not there:
        pytest.skip(f"{title} is not installed here: python -m lettercast.benchmarks.runtimes.run --only {title}")
    found = try_runtimes([exported["tflite-int8"], exported["onnx-dynamic"], exported["onnx-float32"]], default_folder(), there)
    assert found and {trial.error for trial in found} == {""}
    for trial in found:
        assert trial.same >= 0.98 * trial.n, trial
