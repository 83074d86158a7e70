"""What is uploaded: it builds, is whole, and reads."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "demo", "*.egg-info", "__pycache__", "runs")


@pytest.fixture(scope="module")
def built(root, tmp_path_factory) -> dict[str, Path]:
    """The sdist, and the wheel that is built from it, by their endings."""
    copy, out = tmp_path_factory.mktemp("build") / "lettercast", tmp_path_factory.mktemp("built")
    shutil.copytree(root, copy, ignore=LEFT_OUT)
    line = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in out.iterdir()}


def test_the_wheel_holds_the_packages_the_models_and_no_tests(built):
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = wheel.namelist()
    for name in (
        "runtime/models/letters-base-int8.tflite",
        "runtime/web/page.html",
        "export/models/letters-nano.keras",
        "train/data/pen.npz",
    ):
        assert f"lettercast/{name}" in names
    assert not [name for name in names if "test" in name or "reference" in name]


def test_the_sdist_holds_the_licence_and_what_builds(built):
    with tarfile.open(built[".gz"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "py.typed", "commands/read.py"} <= names


@pytest.mark.parametrize("words", [("read", "{page}", "--json"), ("doctor",), ("--version",)], ids=" ".join)
def test_what_the_wheel_installs_runs_by_itself(built, words, page_file, tmp_path):
    with zipfile.ZipFile(built[".whl"]) as wheel:
        wheel.extractall(tmp_path / "installed")
    line = [sys.executable, "-P", "-m", "lettercast", *(word.replace("{page}", str(page_file)) for word in words)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert words[0] != "read" or '"text": "ABC\\nDEF"' in done.stdout
