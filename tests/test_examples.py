"""The examples run: every script and every notebook on small data, with results that could be wrong."""

import ast
import csv
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from lettercast.train.data.drawing import draw_ink

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
# Ten images of each of these letters, as the example asks for.
LETTERS, IMAGES = "ABEKMRSW", 10
FRAMES = 6


@pytest.fixture
def run_script(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Return a function that calls the main() of a script in tmp_path: its exit code, stdout and stderr.

    Names that are given beside the words replace those of the script.
    """
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: object, **replaced: object) -> tuple[int, str, str]:
        script = load(name)
        for own, value in replaced.items():
            monkeypatch.setattr(script, own, value)
        capsys.readouterr()
        try:
            code = script.main([str(word) for word in words])
        except SystemExit as left:
            code = left.code
        return code, *capsys.readouterr()

    return run


def load(name: str) -> ModuleType:
    """Import a script by its path, as the examples are no package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_of(name: str) -> list[str]:
    """Return the code cells of a notebook, without the lines that only Jupyter understands."""
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [re.sub(r"^%.*$", "", source, flags=re.MULTILINE) for source in sources]


@pytest.fixture
def run_notebook(tmp_path, monkeypatch) -> Callable[..., dict[str, object]]:
    """Return a function that runs the code cells of a notebook in order with other parameters, and gives the names they leave."""
    # Notebooks write to temporary folders; here pytest removes them.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(name: str, **parameters: object) -> dict[str, object]:
        first, *cells = cells_of(name)
        known = {target.id for line in ast.parse(first).body for target in line.targets}
        # A parameter that the notebook no longer has would be set in vain.
        assert set(parameters) <= known
        names: dict[str, object] = {}
        exec(first, names)
        names.update(parameters)
        for number, cell in enumerate(cells, 2):
            exec(compile(cell, f"{name}, cell {number}", "exec"), names)
        return names

    return run


@pytest.fixture(scope="module")
def digits_model():
    """The model of digits that the example trains, after two epochs."""
    script = load("export_my_model")
    (images, labels, _), _ = script.load_digits()
    return script.train_digits(images, labels, epochs=2)


@pytest.fixture
def my_letters(pen, tmp_path) -> Path:
    """A folder of class folders with ten images of each of a few letters, dark on light."""
    rng = np.random.default_rng(3)
    for letter in LETTERS:
        folder = tmp_path / "my_letters" / letter
        folder.mkdir(parents=True)
        for i in range(IMAGES):
            ink = draw_ink(pen.sample(ord(letter) - ord("A"), rng, True), 60, 5)
            cv2.imwrite(str(folder / f"{i}.png"), cv2.copyMakeBorder(255 - ink, 15, 15, 15, 15, cv2.BORDER_CONSTANT, value=255))
    return tmp_path / "my_letters"


def test_the_readme_names_every_example():
    named = set(re.findall(r"[\w]+\.(?:py|ipynb)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert named == {f"{name}.py" for name in SCRIPTS} | {f"{name}.ipynb" for name in NOTEBOOKS}
    assert (len(SCRIPTS), len(NOTEBOOKS)) == (4, 2)


def test_the_extras_that_the_examples_name_exist(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLES.iterdir() if path.is_file()]
    assert {name for text in texts for name in re.findall(r"(?:lettercast|'\.)\[([\w-]+)\]", text)} <= set(extras)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_help_and_says_what_it_needs(name, run_script):
    code, out, _ = run_script(name, "--help")
    assert code == 0 and out.startswith("usage: ")
    assert re.search(r"needs lettercast\[\w+\]", load(name).__doc__)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("read_camera_or_video", ["missing.mp4"]),
        ("export_my_model", ["--model", "missing.keras", "--data", "images"]),
        ("train_on_ten_images_per_class", ["missing"]),
        ("train_on_ten_images_per_class", [".", "--check", "missing"]),
        ("pages_report", ["missing.csv"]),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(name, words, run_script, tmp_path):
    code, out, err = run_script(name, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and "missing" in err and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_script_runs_as_a_process(page_file):
    line = [sys.executable, EXAMPLES / "read_camera_or_video.py", page_file, "--model", "letters-nano"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ABC / DEF" in done.stdout


def test_read_prints_the_text_when_it_changes_and_saves_marked_frames(draw_page, run_script, tmp_path):
    first, second = draw_page("ABC")[0], draw_page("XYZ", seed=2)[0]
    writer = cv2.VideoWriter(str(tmp_path / "talk.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, first.shape[1::-1])
    for frame in [first] * FRAMES + [second] * FRAMES:
        writer.write(frame)
    writer.release()
    code, out, _ = run_script("read_camera_or_video", "talk.mp4", "--save", "frames")
    assert code == 0
    *texts, count = out.splitlines()
    assert [line.partition(": ")[2] for line in texts] == ["ABC", "XYZ"] and count == f"{2 * FRAMES} frames read"
    saved = [cv2.imread(str(path)) for path in sorted((tmp_path / "frames").iterdir())]
    assert [image.shape for image in saved] == [first.shape, second.shape]
    assert all(np.abs(image.astype(int) - page).mean() > 1 for image, page in zip(saved, (first, second), strict=True))


def test_read_stops_after_so_many_frames_and_names_a_folder_that_cannot_be_written(page_file, run_script, tmp_path):
    (tmp_path / "file").write_text("")
    assert run_script("read_camera_or_video", page_file, "--max-frames", 1)[1].endswith("1 frames read\n")
    code, _, err = run_script("read_camera_or_video", page_file, "--save", "file")
    assert code == 2 and err.startswith("error: ") and len(err.splitlines()) == 1


def test_export_writes_a_file_that_answers_as_the_model_does(digits_model, run_script, tmp_path):
    from lettercast.runtime import open_engine

    words = ("--epochs", 2, "--out", "dist", "--max-drop", 5, "--min-agreement", 95)
    code, out, err = run_script("export_my_model", *words, train_digits=lambda images, labels, epochs: digits_model)
    assert code == 0, err
    engine = open_engine(tmp_path / "dist" / "digits-int8.tflite")
    assert engine.facts.labels == tuple("0123456789")
    keras_percent, file_percent = map(float, re.findall(r"accuracy of .*?([\d.]+) %.*?([\d.]+) %", out)[0])
    # Guessing is right on a tenth of the digits.
    assert keras_percent > 80 and abs(keras_percent - file_percent) <= 5
    agreement, count = re.findall(r"same answer on ([\d.]+) % of (\d+) images", out)[0]
    assert float(agreement) >= 95 and int(count) == 540
    assert float(agreement) == pytest.approx(engine.facts.gate["agreement"], abs=0.01)


def test_export_takes_a_model_and_images_of_the_user(digits_model, run_script, tmp_path):
    (images, labels, classes), _ = load("export_my_model").load_digits()
    digits_model.save(tmp_path / "my.keras")
    np.savez(tmp_path / "images.npz", image=images, label=labels, classes=classes)
    words = ("--model", "my.keras", "--data", "images.npz", "--max-drop", 5, "--min-agreement", 90)
    code, out, err = run_script("export_my_model", *words)
    assert code == 0, err
    # The runtime classifies the images of the proof, about a tenth of all, and finds the accuracy of the proof.
    (shown,) = re.findall(r"of the exported file ([\d.]+) %", out)
    (count,) = re.findall(r"% of (\d+) images", out)
    gate = open_facts(tmp_path / "dist-example" / "my-int8.tflite").gate
    assert float(shown) == pytest.approx(gate["accuracy"], abs=0.01) and int(count) == gate["n"] < 200
    assert len(re.findall(r"shown (\d): the file answers \1 ", out)) >= 3


def open_facts(path: Path):
    """Return the facts inside an exported file."""
    from lettercast.runtime import open_engine

    return open_engine(path).facts


def test_export_that_fails_its_proof_is_exit_code_1_and_says_why(run_script):
    from lettercast.export import Exports

    failed = Exports((), ("my.keras: tflite-int8 cannot hold this network",))
    words = ("--model", "my.keras", "--data", "images.npz")
    code, out, err = run_script("export_my_model", *words, export=lambda *_, **__: failed)
    assert (code, out, err) == (1, "", f"error: not exported: {failed.faults[0]}\n")


def test_export_needs_both_a_model_and_images(run_script):
    code, _, err = run_script("export_my_model", "--model", "my.keras")
    assert code == 2 and "give --model and --data together" in err


def test_train_fits_the_model_to_a_folder_and_compares_before_and_after(my_letters, run_script, tmp_path, eager):
    words = ("--start", "letters-nano", "--epochs", 1, "--steps", 1, "--out", "mine")
    code, out, err = run_script("train_on_ten_images_per_class", my_letters, *words)
    assert code == 0, err
    found = re.findall(r"(before|after).*?: (\d+) of (\d+) held-out letters right", out)
    assert [when for when, _, _ in found] == ["before", "after"]
    # The same images before and after: about a tenth of 80. Guessing is right on one letter in 26.
    assert found[0][2] == found[1][2] and 4 <= int(found[0][2]) <= 16
    assert all(int(right) >= 0.6 * int(count) for _, right, count in found)
    assert (tmp_path / "mine" / "model.keras").exists() and "Your model: mine/model.keras" in out
    # The folder holds a run now, which is not overwritten.
    code, _, err = run_script("train_on_ten_images_per_class", my_letters, *words)
    assert code == 2 and "choose another --out" in err.splitlines()[-1]


def test_pages_report_lists_the_worst_page_first(draw_page, run_script, tmp_path):
    rows = [("good.png", "ABC|DEF"), ("bad.png", "XBC|DEF"), ("worst.png", "XYZ|XYZ")]
    for file, _ in rows:
        cv2.imwrite(str(tmp_path / file), draw_page("ABC", "DEF")[0])
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "text"), *rows])
    code, out, _ = run_script("pages_report", "labels.csv", "--model", "letters-nano")
    assert code == 0
    assert "3 pages, 18 letters" in out and "character error rate 38.89 % (7 errors)" in out
    assert "pages without an error: 1 of 3" in out
    assert re.findall(r"^(\w+\.png): (\d) errors", out, re.MULTILINE) == [("worst.png", "6"), ("bad.png", "1")]
    assert run_script("pages_report", "labels.csv", "--model", "letters-nano", "--worst", 1)[1].count(".png") == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_no_outputs_and_its_parameters_in_its_first_cell_of_code(name):
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert code[0]["source"][0].startswith("# Parameters")
    assert notebook["cells"][0]["source"][0].startswith("# ")
    assert (EXAMPLES / f"{name}.ipynb").stat().st_size < 20_000


def test_the_first_lesson_trains_and_shows_what_is_confused(strokes_file, run_notebook, eager, capsys):
    import matplotlib.pyplot as plt

    names = run_notebook("first_lesson", DATA=str(strokes_file), EPOCHS=2, STEPS=1, START="letters-nano")
    result = names["result"]
    out = capsys.readouterr().out
    assert result.accuracy > 0.5 and f"right answers {100 * result.accuracy:.1f} %" in out
    assert result.confusion.sum() == len(result.truth) == 520
    # The pair that is confused most often, as scikit-learn counts it.
    confused = result.confusion - np.diag(np.diag(result.confusion))
    written, answer = np.unravel_index(confused.argmax(), confused.shape)
    assert f"{result.labels[written]} was read as {result.labels[answer]} {confused.max()} times" in out
    assert "written L, and how sure the network is that it is I" in out
    assert len(plt.get_fignums()) >= 7
    plt.close("all")


def test_the_engineers_notebook_exports_proves_and_measures(run_notebook, capsys, monkeypatch):
    from lettercast.benchmarks.parity import benchmark, measure

    # Fewer rounds of timing: 50 predictions of Keras take seconds.
    monkeypatch.setattr(benchmark, "take_turns", partial(measure.take_turns, min_runs=1))
    monkeypatch.setattr(measure, "ROUNDS", 2)
    names = run_notebook("export_and_prove", EPOCHS=2, FORMATS=["tflite-float32"], SECONDS=0.02)
    out = capsys.readouterr().out
    assert names["exports"].artifacts[0].parity.agreement == 100
    assert all(artifact.parity.accuracy > 80 for artifact in names["exports"])
    assert "passed: False" in out and "file written: False" in out and "accuracy drop" in out
    assert "digits-float32.tflite" in out and "faster" in out
    rows = names["result"].rows
    assert rows[0].name == "digits.keras" and rows[0].parity.agreement == 100
    assert all(row.speedup > 1 for row in rows[1:])
