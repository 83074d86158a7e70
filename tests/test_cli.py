"""The command: what it refuses, and how it says so."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.runtime.arguments import device_model, keras_model
from lettercast.runtime.model.facts import keras_facts

TRUNCATED_AT = (0, 3, 8, 9, 200, 5_000, 0.25, 0.5, 0.75, 0.97, -1)


def cut(path, to, where: float | int):
    """Write the first bytes of a file: a share of them, a number, or all but some."""
    whole = path.read_bytes()
    to.write_bytes(whole[: int(where * len(whole)) if isinstance(where, float) else where])
    return to


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "empty"), (b"hello", "not an image"), (b"\x89PNG\r\n\x1a\n", "breaks off")],
)
def test_read_refuses_what_is_no_picture(refused, tmp_path, content, said):
    path = tmp_path / "page.png"
    if content is not None:
        path.write_bytes(content)
    message = refused("read", path, "--no-window")
    assert "page.png" in message
    assert said in message


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_read_refuses_a_truncated_picture(refused, page_file, tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"whole{suffix}"), cv2.imread(str(page_file)))
    path = cut(tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}", 0.5)
    assert f"cut{suffix}" in refused("read", path, "--json")


@pytest.mark.parametrize("content", [b"", b"not a film", b"\0\0\0\x18ftypmp42" + bytes(200)])
def test_read_refuses_a_film_that_is_none(command, tmp_path, content):
    (tmp_path / "film.mp4").write_bytes(content)
    done = command("read", tmp_path / "film.mp4", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "film.mp4" in done.stderr


def test_read_refuses_a_folder_without_images(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert "no images in this folder" in refused("read", tmp_path)


def test_read_refuses_a_camera_that_does_not_answer(command, tmp_path):
    done = command("read", "9", "--no-window", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lettercast: camera 9 does not answer: plug it in; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["read", "gone.png"], 2)])
def test_a_thread_that_hangs_in_a_driver_is_not_woken_at_the_end(words, code, tmp_path):
    """It would abort the process; that nothing is taken down any more is seen by what is done at the end elsewhere."""
    script = """
import atexit, sys, threading
from lettercast.__main__ import run
atexit.register(print, "taken down")
if sys.argv.pop(1) == "hang":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
run()
"""
    for first, ends in (("hang", False), ("well", True)):
        line = [sys.executable, "-c", script, first, *words]
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == code
        assert ("taken down" in done.stdout) == ends


@pytest.mark.parametrize("name", ["gone.tflite", "gone.onnx", "model.h5"])
def test_read_refuses_a_missing_model_and_one_of_unknown_kind(refused, page_file, name):
    assert name in refused("read", page_file, "--model", name)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("content", [b"", b"this is a text, and no model of any kind"])
def test_read_refuses_a_model_that_is_none(refused, page_file, tmp_path, suffix, content):
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(content)
    assert f"m.{suffix}" in refused("read", page_file, "--model", path)


@pytest.mark.parametrize("where", TRUNCATED_AT)
def test_a_truncated_tflite_model_is_refused_and_ends_no_process(command, exported, page_file, tmp_path, where):
    path = cut(exported["tflite-int8"], tmp_path / "cut.tflite", where)
    done = command("read", page_file, "--model", path, "--json")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cut.tflite" in done.stderr


@pytest.mark.parametrize("where", TRUNCATED_AT)
def test_a_truncated_onnx_model_is_refused(refused, exported, page_file, tmp_path, where):
    path = cut(exported["onnx-int8"], tmp_path / "cut.onnx", where)
    assert "cut.onnx" in refused("read", page_file, "--model", path)


@pytest.mark.parametrize("command", ["evaluate", "export"])
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_a_truncated_keras_model_is_refused(refused, model_file, tmp_path, strokes_file, command, where):
    path = cut(model_file, tmp_path / "cut.keras", where)
    option = "--data" if command == "evaluate" else "--check"
    assert "cut.keras" in refused(command, path, option, strokes_file)


def test_a_keras_archive_without_a_network_is_refused(refused, tmp_path, strokes_file):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "m.keras" in refused("evaluate", tmp_path / "m.keras", "--data", strokes_file)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("raed",), "did you mean 'read'?"),
        (("evaluat", "m.keras"), "did you mean 'evaluate'?"),
        (("read", "page.png", "--jsn"), "lettercast read: unknown '--jsn': did you mean '--json'?"),
        (("doctor", "letters-nano", "--zzz"), "lettercast doctor: unknown '--zzz': choose from"),
        (("export", "--formats", "coreml"), "unknown format 'coreml': choose from tflite-float32"),
        (("train", "--epochs", "0"), "'0' is not a whole number above 0"),
        (("train", "--size", "huge", "--out", "new/run"), "unknown size 'huge'"),
        (("evaluate", "letters-nano", "--split", "tset"), "did you mean 'test'?"),
        (("benchmark", "gone"), "'gone': no such model; give letters-base, letters-digits, letters-nano, or the path of"),
        (
            ("evaluate", "nosuch"),
            "'nosuch': no such model; give letters-base, letters-digits, letters-nano, or the path of a .keras",
        ),
        (
            ("export", "nosuch"),
            "'nosuch': no such model; give letters-base, letters-digits, letters-nano, or the path of a .keras or .h5 file",
        ),
        (
            ("read", "--model", "nosuch"),
            "'nosuch': no such model; give letters-base, letters-digits, letters-nano, or the path of a .tflite",
        ),
        (("read", "--max-frames", "-1"), "whole number above 0"),
    ],
)
def test_a_slip_of_the_pen_is_answered_in_one_line(refused, words, said):
    assert said in refused(*words)


def test_without_arguments_the_command_prints_its_help(lettercast):
    code, out, err = lettercast()
    assert (code, err) == (0, "")
    assert out.startswith("usage: lettercast") and "lettercast read page.jpg --json" in out


@pytest.mark.parametrize("data", ["mnist", "gone.npz", "gone/folder", "m.csv"])
def test_an_unknown_data_source_is_named(refused, exported, data):
    assert data in refused("evaluate", exported["onnx-int8"], "--data", data)


IMAGES = np.full((3, 30, 30), 220, np.uint8)
BAD_ARRAYS = {
    "no keys of ours": {"x": np.zeros(3)},
    "no labels": {"image": IMAGES},
    "pixels beyond 255": {"image": IMAGES * 2.5, "label": np.zeros(3, int)},
    "flat pictures": {"image": IMAGES.reshape(3, -1), "label": np.zeros(3, int)},
    "too few labels": {"image": IMAGES, "label": np.zeros(2, int)},
    "labels of fractions": {"image": IMAGES, "label": np.array([0.5, 1, 2])},
    "labels below 0": {"image": IMAGES, "label": np.array([0, -1, 2])},
    "labels above Z": {"image": IMAGES, "label": np.array([0, 1, 26])},
    "too short a split": {"image": IMAGES, "label": np.zeros(3, int), "split": np.array([2])},
    "five channels": {"image": np.zeros((3, 30, 30, 5), np.uint8), "label": np.zeros(3, int)},
    "pictures of no size": {"image": np.zeros((3, 0, 0), np.uint8), "label": np.zeros(3, int)},
    "strokes without labels": {"points": np.zeros((4, 2))},
    "pickled objects": {"image": np.array([{"a": 1}, None], dtype=object), "label": np.zeros(2, int)},
}


@pytest.mark.parametrize("arrays", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_an_npz_with_unusable_arrays_is_named(refused, exported, tmp_path, arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    assert "d.npz" in refused("evaluate", exported["onnx-int8"], "--data", tmp_path / "d.npz", "--split", "all")


@pytest.mark.parametrize("where", [0, 20, 0.3, 0.9, -1])
def test_a_truncated_npz_is_named(refused, exported, strokes_file, tmp_path, where):
    path = cut(strokes_file, tmp_path / "cut.npz", where)
    assert "cut.npz" in refused("evaluate", exported["onnx-int8"], "--data", path)


def test_an_npz_that_is_a_text_or_a_single_array_is_named(refused, exported, tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for name in ("text.npz", "one.npz"):
        assert name in refused("evaluate", exported["onnx-int8"], "--data", tmp_path / name)


def test_a_folder_without_class_folders_says_what_is_expected(refused, exported, page_file, tmp_path):
    assert "no images in class folders" in refused("evaluate", exported["onnx-int8"], "--data", tmp_path)


@pytest.mark.parametrize("text", [None, "", "name,letters\na.png,A\n", "file,text\ngone.png,A\n"])
def test_labels_of_pages_that_cannot_be_used_are_named(refused, exported, tmp_path, text):
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    message = refused("evaluate", exported["onnx-int8"], "--pages", tmp_path / "labels.csv")
    assert ("gone.png" if text and "gone" in text else "labels.csv") in message


@pytest.mark.parametrize("name", ["train", "export", "read", "evaluate"])
def test_a_folder_that_cannot_be_made_is_named(lettercast, exported, page_file, strokes_file, tmp_path, name):
    (tmp_path / "taken").write_text("a file")
    model = exported["onnx-int8"]
    words = {
        "train": ("train", "--data", strokes_file, "--size", "nano", "--epochs", 1, "--steps", 1, "--out", "taken/out"),
        "export": ("export", "--formats", "tflite-float32", "--check", strokes_file, "--out", "taken/out"),
        "read": ("read", page_file, "--no-window", "--save", "taken/out"),
        "evaluate": ("evaluate", model, "--data", strokes_file, "--report", "taken/out"),
    }
    code, _, err = lettercast(*words[name])
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert "taken" in err
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_finished_run_is_not_trained_over(refused, run_folder):
    assert "add --resume" in refused("train", "--size", "nano", "--out", run_folder)


def write_bars(folder: Path) -> None:
    """Twelve pictures each of lying and standing bars."""
    for name, angle in (("lying", 0), ("standing", 90)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((60, 60), 230, np.uint8)
            cv2.line(picture, (10, 30), (50, 26 + number % 8), 20, 5)
            turned = cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE) if angle else picture
            cv2.imwrite(str(folder / name / f"{number}.png"), turned)


@pytest.mark.usefixtures("eager")
def test_own_pictures_of_own_classes_are_learned_from_a_trained_model(lettercast, model_file, tmp_path):
    write_bars(tmp_path / "bars")
    code, out, err = lettercast("train", "--data", "bars", "--init", model_file, "--epochs", 4, "--steps", 8, "--out", "run")
    assert code == 0, err
    assert "next: lettercast export" in out
    facts = keras_facts(tmp_path / "run" / "model.keras")
    assert facts.labels == ("lying", "standing")
    assert f"--init {model_file.name}" in facts.made["command"]
    code, out, _ = lettercast("evaluate", "run/model.keras", "--data", "bars", "--split", "all", "--json")
    assert json.loads(out)["accuracy"] > 0.9


@pytest.mark.usefixtures("eager")
def test_too_few_letters_to_calibrate_keep_the_threshold_of_the_same_letters(lettercast, model_file, tmp_path):
    write_bars(tmp_path / "bars")
    for name in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        shutil.copytree(tmp_path / "bars" / "standing", tmp_path / "letters" / name)
    words = ("train", "--data", "letters/", "--epochs", 1, "--steps", 1)
    code, out, err = lettercast(*words, "--init", model_file, "--out", "tuned")
    assert code == 0, err
    before, after = keras_facts(model_file), keras_facts(tmp_path / "tuned" / "model.keras")
    assert (after.reject_below, after.temperature) == (before.reject_below, before.temperature)
    assert after.reject_below > 0 and "no rejection threshold" not in out
    assert after.made["data"] == "letters" and "--data letters " in after.made["command"]
    code, out, err = lettercast(*words, "--size", "nano", "--out", "anew")
    assert "no rejection threshold: that takes 100 validation letters" in out


@pytest.mark.usefixtures("eager")
def test_a_student_of_a_teacher_says_so_in_its_facts(lettercast, model_file, strokes_file, tmp_path):
    words = ("train", "--data", strokes_file, "--size", "nano", "--teacher", model_file, "--epochs", 2, "--steps", 2)
    code, _, err = lettercast(*words, "--cycle", 1, "--cache", "drawn", "--out", "run")
    assert code == 0, err
    assert f"--teacher {model_file.name}" in keras_facts(tmp_path / "run" / "model.keras").made["command"]
    # Drawings and answers of the one epoch that is drawn.
    assert len(list((tmp_path / "drawn").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--init", "gone.keras"),
            "'gone.keras': no such model; give letters-base, letters-digits, letters-nano, or the path of a .keras",
        ),
        (("--teacher", "gone.keras"), "'gone.keras': no such model; give letters-base, letters-digits, letters-nano"),
        (("--size", "nano", "--init", "letters-base"), "--size: the network is that of --init; leave --size out"),
        (("--clutter", "1.5"), "--clutter 1.5: must be a share from 0 to below 1"),
        (("--rate", "-1"), "--rate -1: must be a learning rate above 0 and below 1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(refused, words, said):
    assert said in refused("train", "--out", "new/run", *words)


def test_a_teacher_of_other_classes_is_refused(refused, model_file, tmp_path):
    write_bars(tmp_path / "bars")
    line = refused("train", "--data", "bars", "--size", "nano", "--teacher", model_file, "--out", "new/run")
    assert "the letters are lying standing" in line


@pytest.mark.usefixtures("eager")
def test_interrupting_a_training_keeps_what_was_trained(lettercast, strokes_file, tmp_path, monkeypatch):
    def interrupt_after_one(_elapsed: float, done: int, _left: int) -> str:
        if done:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr("lettercast.train.fit.time_left", interrupt_after_one)
    words = ("train", "--data", strokes_file, "--size", "nano", "--epochs", 2, "--steps", 1, "--out", "run")
    code, _, err = lettercast(*words)
    said = "after epoch 1; run/model.keras has what it learned until then, and --resume continues"
    assert (code, err) == (130, f"lettercast: interrupted: {said}\n")
    assert (tmp_path / "run" / "model.keras").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert lettercast(*words, "--resume")[0] == 0
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 3


def test_interrupting_ends_with_130_and_one_line(lettercast, model_file, monkeypatch):
    def interrupt(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("lettercast.commands.evaluate.run_pages", interrupt)
    code, _, err = lettercast("evaluate", model_file, "--pages", "labels.csv")
    assert (code, err) == (130, "lettercast: interrupted\n")


def test_a_reader_of_the_output_that_leaves_early_is_no_error(page_file):
    line = [sys.executable, "-m", "lettercast", "read", *[str(page_file)] * 3, "--no-window"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


def test_a_window_on_a_dead_display_is_done_without(page_file):
    line = [sys.executable, "-m", "lettercast", "read", str(page_file)]
    dead = {**os.environ, "DISPLAY": ":973"}
    done = subprocess.run(line, capture_output=True, text=True, env=dead, check=False)
    assert done.returncode == 0
    assert "no display" in done.stderr
    assert "ABC" in done.stdout


@pytest.mark.parametrize("name", ["letters-base", "letters-nano"])
def test_models_that_come_with_it_are_known_by_name(lettercast, page_file, name):
    code, out, err = lettercast("read", page_file, "--model", name, "--json")
    assert code == 0, err
    assert json.loads(out)["lines"]
    assert keras_model(name).name == f"{name}.keras" and device_model(name).name == f"{name}-int8.tflite"
    assert keras_facts(keras_model(name)).name == name


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("jax", "train needs jax, because KERAS_BACKEND is set to it: pip install jax, or unset KERAS_BACKEND"),
        ("keras", "train needs keras, which is not installed: pip install 'lettercast[train]'"),
    ],
)
def test_a_missing_package_is_named_with_what_brings_it(lettercast, monkeypatch, package, said):
    def fail(*_):
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr("lettercast.commands.train.import_keras", fail)
    code, _, err = lettercast("train")
    assert (code, err) == (2, f"lettercast: {said}\n")


@pytest.mark.parametrize("text", ["", ":", "70000", "pi:70000", "pi:http", "::1", "[::1", "http://pi:80/", "a b:80", "pi:-1"])
def test_what_is_no_address_to_serve_at_is_refused(refused, text):
    assert "HOST:PORT" in refused("read", "--serve", text)


def test_a_port_in_use_and_a_token_for_nothing_are_refused(refused, page_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused("read", page_file, "--serve", taken.getsockname()[1])
        assert "in use" in said
    assert "--serve" in refused("read", page_file, "--token", "correct-horse")


def test_numpy_keeps_to_the_threads_asked_for(exported):
    code = (
        "import sys; from lettercast.commands.cli import main; main(sys.argv[1:]); import threadpoolctl as t; "
        "print({one['num_threads'] for one in t.threadpool_info() if one['internal_api'] == 'openblas'})"
    )
    line = [sys.executable, "-c", code, "doctor", str(exported["onnx-int8"]), "--threads", "1"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] in ("{1}", "set()")
