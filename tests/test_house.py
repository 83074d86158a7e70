"""The house: what imports what, and what is installed."""

import hashlib
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from lettercast.commands.cli import COMMANDS, build_parser
from lettercast.runtime.arguments import device_model, keras_model
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.golden import golden_path, load_golden
from lettercast.runtime.model.installed import ENGINES

HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "onnx", "lettercast.train", "lettercast.export", "lettercast.benchmarks")
NOT_OURS = {".venv", ".venv-tflite-runtime", ".venv-mediapipe", ".venv-opencv", "build"}
READ_A_PAGE = """
import cv2, sys
from lettercast.runtime import Reader
assert Reader().read(cv2.imread(sys.argv[1])).text
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def setuptools(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]


def loaded(code: str, *words: object) -> set[str]:
    """Run code in a fresh process; return the modules that it names on its last line."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_reading_a_page_loads_neither_keras_nor_any_other_package_of_ours(page_file):
    modules = loaded(READ_A_PAGE, page_file)
    assert "lettercast.runtime.reader" in modules
    assert not modules & set(HEAVY)


def test_the_read_command_loads_no_more_than_the_runtime(page_file):
    code = "import sys; from lettercast.commands.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    assert not loaded(code, "read", page_file, "--json") & {"tensorflow", "keras", "sklearn", "onnx"}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_help_loads_neither_numpy_nor_opencv(words):
    code = "import sys\nfrom lettercast.commands.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: print(*sys.modules)"
    assert not loaded(code, *words) & {"numpy", "cv2", "rich", "keras", "tensorflow"}


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_fits_a_terminal_of_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        build_parser().parse_args([*words, "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_below_its_help(command, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    assert capsys.readouterr().out.rstrip().endswith(import_module(f"lettercast.commands.{command}").EXAMPLES.rstrip())


def test_imports_point_one_way(root, tmp_path):
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--cache-dir", tmp_path], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_package_is_installed(root, setuptools):
    folders = [path.parent for path in root.rglob("__init__.py") if not NOT_OURS & set(path.relative_to(root).parts)]
    names = {".".join(("lettercast", *folder.relative_to(root).parts)) for folder in folders}
    # Folders that hold only data are packages to setuptools, too.
    data = {name for name in setuptools["package-data"] if not root.joinpath(*name.split(".")[1:], "__init__.py").exists()}
    assert set(setuptools["packages"]) == names | data


def test_models_and_pen_are_installed_with_their_packages(root, setuptools):
    for package, patterns in setuptools["package-data"].items():
        folder = root.joinpath(*package.split(".")[1:])
        assert all(list(folder.glob(pattern)) for pattern in patterns), package
    patterns = {root.joinpath(*p.split(".")[1:]) / one for p, some in setuptools["package-data"].items() for one in some}
    data = [
        p
        for kind in ("*.tflite", "*.onnx", "*.keras", "*.npz")
        for folder in ("runtime", "train", "export")
        for p in (root / folder).rglob(kind)
    ]
    assert data
    assert all(any(path.match(str(pattern)) for pattern in patterns) for path in data)


@pytest.mark.parametrize("name", ["letters-base", "letters-nano"])
def test_the_shipped_models_were_made_from_the_shipped_originals(name):
    original = hashlib.sha256(keras_model(name).read_bytes()).hexdigest()
    for path in device_model(name).parent.glob(f"{name}-*"):
        if path.suffix in ENGINES:
            facts = open_engine(path).facts
            assert (facts.name, facts.source_sha256) == (name, original), path.name
            assert load_golden(golden_path(path)).is_of(path.read_bytes())
