"""The Python API: what a notebook user guesses is there, documented, and raises one clear line for bad input."""

import importlib.util
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError

PACKAGES = ("lettercast.runtime", "lettercast.bulk", "lettercast.train", "lettercast.export", "lettercast.benchmarks")
PUBLIC = [(package, name) for package in PACKAGES for name in import_module(package).__all__]


def test_importing_lettercast_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import lettercast; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "cv2", "rich", "keras", "tensorflow", "argparse"}
    assert not {name for name in done.stdout.split() if name.partition(".")[0] in heavy}


def test_help_of_the_package_names_every_function_to_start_with():
    text = import_module("lettercast").__doc__ or ""
    assert all(name in text for name in ("train, evaluate", "import export", "import benchmark", "import Reader"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="has no attribute 'gone'"):
        _ = import_module(package).gone


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_every_public_name_is_documented_and_typed(package, name):
    found = getattr(import_module(package), name)
    if not (inspect.isfunction(found) or inspect.isclass(found)):
        return
    text = inspect.getdoc(found) or ""
    assert text.split("\n")[0].endswith((".", ":")), "the first line is one sentence"
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
        several = [p for p in signature.parameters if p not in ("self",)]
        assert len(several) < 3 or "Args:" in text, "several arguments need a word each"


@pytest.fixture(scope="module")
def api_page(root, tmp_path_factory) -> Path:
    """The API page, built from the docstrings."""
    folder = tmp_path_factory.mktemp("api")
    spec = importlib.util.spec_from_file_location("build_api", root / "docs" / "build_api.py")
    assert spec and spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program.build(folder).with_suffix("")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_entry_on_the_api_page(api_page, package):
    page = (api_page / f"{package.partition('.')[2]}.html").read_text(encoding="utf-8")
    missing = [name for name in import_module(package).__all__ if f'id="{name}"' not in page]
    assert missing == []
    assert "Error importing" not in page


@pytest.mark.parametrize("name", ["letters-nano", "runtime/models/letters-nano-int8.tflite"])
def test_the_reader_takes_names_paths_and_image_files(name, root, page_file):
    from lettercast.runtime import Reader

    model = name if "/" not in name else root / name
    assert Reader(model).read(page_file).text == "ABC\nDEF"


def test_bad_input_raises_one_line_that_says_how_to_mend_it(tmp_path, page_file):
    from lettercast.benchmarks import benchmark, evaluate_pages
    from lettercast.export import export
    from lettercast.runtime import Reader
    from lettercast.train import evaluate, train

    calls = {
        "give letters-base, letters-digits, letters-nano, or the path": lambda: Reader("letters-nan"),
        "give an image": lambda: Reader("letters-nano").read(tmp_path / "gone.jpg"),
        "epochs: '0' is not a whole number above 0": lambda: train(epochs=0, out=tmp_path / "run"),
        "--name 'a b': no name of a model": lambda: train(name="a b", out=tmp_path / "run"),
        "seed: '-1' is not a whole number": lambda: train(seed=-1, out=tmp_path / "run"),
        "no such data source or file": lambda: evaluate("letters-nano", "gone"),
        "choose from tflite-float32": lambda: export("letters-nano", formats="coreml", out=tmp_path / "dist"),
        "max_drop: 'much' is not a number": lambda: export("letters-nano", max_drop="much", out=tmp_path / "dist"),  # pyright: ignore
        "is unknown; choose from 0..255": lambda: export("letters-nano", pixels="zero", out=tmp_path / "dist"),
        "there is no such measurement": lambda: benchmark("letters-nano", also=["speed"]),
        "gone.csv": lambda: evaluate_pages("letters-nano", tmp_path / "gone.csv"),
        "give (N, H, W) grey": lambda: evaluate("letters-nano", (np.zeros((2, 28), np.uint8), [0, 1])),
        "give (images, labels)": lambda: evaluate("letters-nano", (np.zeros((2, 28, 28), np.uint8), [0, 1], None, None, 1)),
    }
    for said, call in calls.items():
        with pytest.raises(LettercastError) as caught:
            call()
        assert said in str(caught.value) and "\n" not in str(caught.value), said
    assert not (tmp_path / "run").exists() and not (tmp_path / "dist").exists()


def test_arrays_are_evaluated_like_the_file_that_holds_them(tmp_path, pen):
    from lettercast.train import evaluate
    from lettercast.train.data.drawing import draw_plain

    rng = np.random.default_rng(0)
    images = np.zeros((26, 120, 120), np.uint8)
    for label in range(26):
        ink = draw_plain(pen.sample(label, rng))
        images[label, 10 : 10 + ink.shape[0], 10 : 10 + ink.shape[1]] = ink
    labels = np.arange(26)
    np.savez(tmp_path / "letters.npz", image=images, label=labels, split=np.full(26, 2))
    from_file = evaluate("letters-nano", tmp_path / "letters.npz", "test")
    from_arrays = evaluate("letters-nano", (images, labels))
    np.testing.assert_array_equal(from_arrays.probabilities, from_file.probabilities)
    assert from_arrays.accuracy > 0.7
    named = evaluate("letters-nano", (images, [chr(65 + label) for label in labels]))
    assert named.accuracy == from_arrays.accuracy


def test_results_are_shown_as_the_command_prints_them(check_source, capsys):
    from lettercast.benchmarks import show
    from lettercast.train import evaluate

    show(evaluate("letters-nano", check_source, progress=False))
    assert "accuracy" in capsys.readouterr().out
    with pytest.raises(TypeError, match="no tables for str"):
        show("a word")  # pyright: ignore
