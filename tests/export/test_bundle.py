"""Bundles: one file, run by Pythons that have little or nothing installed."""

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError, __version__
from lettercast.export.bundle import START, no_pip_model, write_bundle
from lettercast.export.golden import pack
from lettercast.runtime import Classifier
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.golden import golden_path, load_golden
from lettercast.runtime.text.language import find_language

# What reading takes of the packages that are installed for the tests, and what those take in turn.
TAKEN = ("numpy", "cv2", "opencv_python", "ai_edge_litert", "backports", "flatbuffers", "ml_dtypes", "typing_extensions", "tqdm")
LARGEST_BYTES = 1_000_000
LIMIT_S = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The shipped nano model as a bundle."""
    path = tmp_path_factory.mktemp("bundle") / "reader.pyz"
    write_bundle(device_model("letters-nano"), path)
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder with NumPy, OpenCV and LiteRT alone: no rich, and no lettercast."""
    folder = tmp_path_factory.mktemp("packages")
    for site in {Path(np.__file__).parents[1], Path(cv2.__file__).parents[1]}:
        for path in site.iterdir():
            if path.name.startswith(TAKEN):
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def start(packages, tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that starts a program with these packages alone (-S: without those of the tests)."""

    def run(*words: object, installed: Path | None = packages) -> subprocess.CompletedProcess:
        known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        line = [sys.executable, "-S", *map(str, words)]
        environment = known | ({"PYTHONPATH": str(installed)} if installed else {})
        return subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=LIMIT_S, check=False)

    return run


def test_a_bundle_holds_what_runs_and_nothing_else(bundle):
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    assert {"__main__.py", "LICENSE", "lettercast/runtime/web/page.html", "lettercast/runtime/models/letters-case.npz"} < set(
        names
    )
    assert [name for name in names if "letters-nano" in name or "letters-base" in name] == [
        "lettercast/runtime/models/letters-nano-int8.tflite",
        "lettercast/runtime/models/letters-nano-int8.tflite.golden.npz",
    ]
    assert {name.split("/")[1] for name in names if name.count("/") > 1} == {"runtime", "commands"}
    taken = ("__init__", "bundled", "cli", "doctor", "parser", "read", "terminal")
    assert {name for name in names if "/commands/" in name} == {f"lettercast/commands/{name}.py" for name in taken}
    assert bundle.stat().st_size < LARGEST_BYTES


def test_the_same_input_makes_the_same_bytes_whenever_and_under_whatever_umask(bundle, tmp_path):
    copy = tmp_path / "copy" / "letters-nano-int8.tflite"
    copy.parent.mkdir()
    original = device_model("letters-nano")
    for source, target in ((original, copy), (golden_path(original), golden_path(copy))):
        shutil.copyfile(source, target)
        os.utime(target, (0, 0))
    before = os.umask(0o077)
    try:
        write_bundle(copy, tmp_path / "again.pyz")
    finally:
        os.umask(before)
    assert (tmp_path / "again.pyz").read_bytes() == bundle.read_bytes()


def test_it_reads_where_numpy_opencv_and_an_engine_are_installed_and_no_more(start, bundle, page_file, lettercast):
    done = start(bundle, page_file, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    _, out, _ = lettercast("read", page_file, "--json", "--model", "letters-nano")
    ours, theirs = json.loads(done.stdout), json.loads(out)
    assert ours["text"] == "ABC\nDEF"
    assert ours["lines"] == theirs["lines"]


def test_without_pip_opencv_runs_the_model_and_the_readme_names_no_package_of_pip(start, page_file, lettercast, tmp_path):
    bundle = tmp_path / "reader.pyz"
    write_bundle(no_pip_model(), bundle, no_pip=True)
    done = start(bundle, page_file, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["text"] == "ABC\nDEF"
    doctor = json.loads(start(bundle, "doctor", "--json").stdout)["models"][0]
    assert doctor["engine"] == f"opencv-python {cv2.__version__}"
    assert doctor["self_test"]["verdict"] in ("equal", "close")
    with zipfile.ZipFile(bundle) as archive:
        about = archive.read("README.md").decode()
    assert "reads handwritten letters with letters-nano-float32.onnx" in about
    assert "\n    sudo apt install python3-opencv python3-numpy\n" in about
    assert "OpenCV also runs the model, so nothing comes from pip" in about
    # Where nothing is installed, it asks for no more than these two.
    lines = start(bundle, page_file, installed=None).stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["NumPy is not installed", "OpenCV is not installed"]


def test_without_pip_a_model_for_another_engine_is_refused(exported, tmp_path):
    for name, message in (("tflite-int8", "without pip, only onnx-float32 files run"), ("onnx-dynamic", "it lacks Dyn")):
        with pytest.raises(LettercastError, match=message):
            write_bundle(exported[name], tmp_path / "reader.pyz", no_pip=True)
    assert not (tmp_path / "reader.pyz").exists()


def test_the_command_writes_a_bundle_for_packages_of_apt(lettercast, refused):
    for words, name in (((), "a.pyz"), (("letters-nano",), "b.pyz")):
        code, out, _ = lettercast("bundle", *words, "--no-pip", "--out", name)
        assert code == 0
        assert "on the device: sudo apt install python3-opencv python3-numpy" in out
    assert Path("a.pyz").read_bytes() == Path("b.pyz").read_bytes()
    assert "leave the model out for letters-nano" in refused("bundle", "letters-base", "--no-pip", "--out", "c.pyz")
    assert "--no-pip: nothing is installed" in refused("bundle", "letters-nano", "--no-pip", "--target", "mcu")


def test_the_readme_inside_names_the_program_and_its_model(bundle, digits_tflite, tmp_path):
    write_bundle(digits_tflite, tmp_path / "classifier.pyz")
    expected = (
        (bundle, "reader.pyz", "reads handwritten letters with letters-nano-int8.tflite"),
        (tmp_path / "classifier.pyz", "classifier.pyz", "classifies images with digits.tflite"),
    )
    for path, name, does in expected:
        with zipfile.ZipFile(path) as archive:
            about = archive.read("README.md").decode()
        assert about.startswith(f"# {name}\n") and does in about and f"python3 {name} doctor" in about
        assert "The engine of the model comes from pip" in about


def test_it_holds_a_language_only_if_you_ask_for_it(start, bundle, page_file, tmp_path, lettercast):
    assert "'en': no such language" in start(bundle, page_file, "--language", "en", "--no-window").stderr
    code, _, _ = lettercast("bundle", "letters-nano", "--language", "en", "--out", "english.pyz")
    assert code == 0
    with zipfile.ZipFile("english.pyz") as archive:
        assert "lettercast/runtime/models/letters-en.npz" in archive.namelist()
    assert Path("english.pyz").stat().st_size - bundle.stat().st_size < 100_000
    done = start("english.pyz", page_file, "--language", "en", "--no-window")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("ABC\nDEF\n")


def test_a_language_that_a_bundle_cannot_use_is_refused(mobile_base, tmp_path):
    nano = device_model("letters-nano")
    (tmp_path / "my.npz").write_bytes(find_language("en").read_bytes())
    for model, language, said in (
        (nano, "xx", "no such language"),
        (mobile_base, "en", "whole images"),
        (nano, tmp_path / "my.npz", "name"),
    ):
        with pytest.raises(LettercastError, match=said):
            write_bundle(model, tmp_path / "out.pyz", languages=[language])
        assert not (tmp_path / "out.pyz").exists()


@pytest.fixture(scope="module")
def classifier(mobile_base, tmp_path_factory) -> Path:
    """A model of photographs as a bundle."""
    return write_bundle(mobile_base, tmp_path_factory.mktemp("bundle") / "classifier.pyz").path


def test_a_model_that_takes_no_pages_classifies_and_holds_no_reader(start, classifier, mobile_base, photograph, tmp_path):
    for name in "KR":
        cv2.imwrite(str(tmp_path / f"{name}.png"), photograph(name))
    done = start(classifier, tmp_path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    engine = Classifier(mobile_base)
    expected = [{"source": str(path), **engine.classify(path).to_dict()} for path in sorted(tmp_path.glob("*.png"))]
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    assert [record["label"] for record in expected] == ["K", "R"]
    with zipfile.ZipFile(classifier) as archive:
        assert not {"read.py", "page.html", "letters-case.npz"} & {Path(name).name for name in archive.namelist()}
    assert start(classifier, "--help", installed=None).stdout.startswith("usage: classifier.pyz IMAGE [IMAGE ...]")
    refused = start(classifier, "0")
    assert (refused.returncode, refused.stdout) == (2, "") and "give an image or a folder" in refused.stderr


def test_the_packages_of_the_tests_are_out_of_its_reach(start, bundle):
    done = start("-c", "import numpy, cv2, ai_edge_litert.interpreter, rich")
    assert "No module named 'rich'" in done.stderr
    assert "No module named 'lettercast'" in start("-c", "import lettercast").stderr


def test_it_runs_renamed_by_a_link_and_from_a_folder_that_cannot_be_written(start, bundle, page_file, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    shutil.copy(bundle, folder / "letters")
    (tmp_path / "link.pyz").symlink_to(folder / "letters")
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    for path in ("locked/letters", "link.pyz"):
        done = start(path, page_file, "--no-window")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("ABC\nDEF\n")
    assert [path.name for path in folder.iterdir()] == ["letters"]
    folder.chmod(stat.S_IRWXU)


def test_it_starts_as_a_program(bundle):
    assert bundle.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert os.access(bundle, os.X_OK)


@pytest.mark.parametrize("word", ["doctor", "--doctor"])
def test_the_doctor_looks_at_the_model_inside(start, bundle, word):
    done = start(bundle, word, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert report["models"][0]["facts"]["name"] == "letters-nano"
    assert report["models"][0]["self_test"]["verdict"] in ("equal", "close")


def test_with_nothing_installed_it_says_what_is_missing_a_line_each(start, bundle, page_file):
    done = start(bundle, page_file, installed=None)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.split(" is not installed: ")[0] for line in lines] == [
        "lettercast: NumPy",
        "lettercast: OpenCV",
        "lettercast: an engine for TFLite models (LiteRT)",
    ]
    doctor = start(bundle, "doctor", installed=None)
    assert (doctor.returncode, doctor.stderr) == (2, "")
    assert [line[:7] for line in doctor.stdout.splitlines()].count("missing") == 3


@pytest.mark.parametrize(("word", "said"), [("--help", "usage: reader.pyz [SOURCE ...]"), ("--version", __version__)])
def test_help_and_version_need_nothing_installed(start, bundle, word, said):
    done = start(bundle, word, installed=None)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert "letters-nano-int8.tflite" in done.stdout


def test_words_that_are_wrong_are_refused_in_one_line(start, bundle):
    for words in (["--savee", "x"], ["doctor", "page.png"], ["nowhere.png"]):
        done = start(bundle, *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr


def test_what_an_old_python_reads_first_it_can_read_and_is_told_what_to_take(start, tmp_path):
    ast.parse(START, feature_version=(3, 4))
    old = "import sys; sys.version_info = (3, 9, 2, 'final', 0); exec(open('start.py').read())"
    (tmp_path / "start.py").write_text(START)
    done = start("-c", old, installed=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("this needs Python 3.11 or later, and this is Python 3.9: take a newer one")


def test_a_model_of_onnx_goes_into_a_bundle_too(exported, tmp_path, page_file):
    path = tmp_path / "reader.pyz"
    write_bundle(exported["onnx-int8"], path)
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [sys.executable, path, "doctor", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, env=known, timeout=LIMIT_S, check=False)
    (model,) = json.loads(done.stdout)["models"]
    assert (done.returncode, model["facts"]["format"], model["engine"].split()[0]) == (0, "onnx-int8", "onnxruntime")


def test_the_command_writes_one_file_and_replaces_it_only_when_asked(lettercast, refused, tmp_path, mobile_base):
    code, out, _ = lettercast("bundle", "letters-nano")
    assert (code, out.splitlines()[1:]) == (0, ["next: python3 reader.pyz doctor", "      python3 reader.pyz"])
    assert [path.name for path in tmp_path.iterdir()] == ["reader.pyz"]
    assert "exists already; add --overwrite" in refused("bundle", "letters-nano")
    assert lettercast("bundle", "letters-nano", "--overwrite")[0] == 0
    code, out, _ = lettercast("bundle", mobile_base)
    assert (code, out.splitlines()[2]) == (0, "      python3 classifier.pyz IMAGE")
    assert (tmp_path / "classifier.pyz").exists()


def test_what_devices_do_not_run_is_refused(refused, model_file, tmp_path):
    assert f"lettercast export {model_file} first" in refused("bundle", model_file)
    (tmp_path / "page.tflite").write_bytes(b"none")
    assert "not a TFLite model" in refused("bundle", "page.tflite", "--out", "page.pyz")
    nano = shutil.copy(device_model("letters-nano"), tmp_path)
    assert "choose another --out" in refused("bundle", nano, "--out", nano, "--overwrite")


def test_golden_cases_of_another_model_are_refused(tmp_path):
    model = tmp_path / "letters.tflite"
    shutil.copy(device_model("letters-nano"), model)
    golden_path(model).write_bytes(pack(load_golden(golden_path(device_model("letters-base")))))
    with pytest.raises(LettercastError, match="golden cases belong to another model"):
        write_bundle(model, tmp_path / "reader.pyz")
    assert not (tmp_path / "reader.pyz").exists()


@pytest.mark.parametrize("no_pip", [False, True])
def test_the_reader_holds_a_unit_that_starts_it_at_boot(tmp_path, no_pip):
    bundle = tmp_path / "reader.pyz"
    write_bundle(no_pip_model() if no_pip else device_model("letters-nano"), bundle, no_pip=no_pip)
    with zipfile.ZipFile(bundle) as archive:
        unit, about = archive.read("lettercast.service").decode(), archive.read("README.md").decode()
    python = "/usr/bin/python3" if no_pip else "/home/pi/letters/bin/python"
    assert f"\nExecStart={python} /home/pi/reader.pyz --serve 0.0.0.0:8080 --token " in unit
    assert "\nType=notify\nWatchdogSec=" in unit
    assert "unzip -p reader.pyz lettercast.service" in about
