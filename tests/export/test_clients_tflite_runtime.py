"""Exports in tflite-runtime 2.14 with NumPy 1, the engine of 32-bit boards, in an environment of its own."""

import json
import subprocess
from pathlib import Path

import pytest

from lettercast.export.bundle import write_bundle
from lettercast.runtime.arguments import device_model

LIMIT_S = 120


@pytest.fixture(scope="module")
def python(root) -> Path:
    """The Python with tflite-runtime."""
    path = root / ".venv-tflite-runtime" / "bin" / "python"
    if not path.exists():
        pytest.skip("no .venv-tflite-runtime here: make .venv-tflite-runtime/.ready (Linux and Python 3.11)")
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "reader.pyz"
    write_bundle(device_model("letters-base"), path)
    return path


@pytest.fixture(scope="module")
def report(python, bundle, exported) -> dict[str, dict]:
    """What the doctor says there of every export, by the format's name; the runtime comes from a bundle."""
    line = [python, bundle, "doctor", "--json", *exported.values()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert (said["packages"]["tflite-runtime"]["version"], said["packages"]["numpy"]["version"][:2]) == ("2.14.0", "1.")
    return dict(zip(exported, said["models"], strict=True))


def test_every_tflite_export_answers_there_as_with_litert(report):
    for name, model in report.items():
        if name.startswith("tflite"):
            assert model["engine"] == "tflite-runtime 2.14.0", model["fault"]
            assert model["self_test"]["verdict"] in ("equal", "close"), name


def test_the_formats_that_messages_name_do_run_there(report):
    assert report["tflite-int8"]["self_test"]["strays"] == report["tflite-float32"]["self_test"]["strays"] == []


def test_models_of_onnx_are_told_to_lack_their_engine(report):
    assert "no engine for .onnx models is installed" in report["onnx-float32"]["fault"]


def test_the_bundle_reads_there_what_is_read_here(python, bundle, page_file, lettercast):
    line = [python, bundle, page_file, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["text"] == json.loads(lettercast("read", page_file, "--json")[1])["text"] == "ABC\nDEF"
