"""What the tests share: one nano model trained on the built-in pen, its exports, and the command."""

import fcntl
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.commands.cli import main
from lettercast.train.data.pen import Pen, load_pen

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
# Letters of each class in the strokes file, by split.
PER_CLASS = {"train": 20, "val": 4, "test": 20}
COMMAND_LIMIT_S = 240


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let interrupts through, which a shell's background jobs ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real handwriting, where it lies beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data here")
    return SHARED


@pytest.fixture(scope="session")
def pen() -> Pen:
    return load_pen()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], object]:
    """Return a function that calls `make(folder)` for a name once for all processes of a test run, and returns its result.

    Every attempt gets a folder of its own, and the result is renamed into place at the end: if an attempt is interrupted,
    the next test that asks makes everything again.
    """
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        base = base.parent

    def once(name: str, make: Callable[[Path], object]) -> object:
        made = base / f"{name}.pickle"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
                (folder / "result").write_bytes(pickle.dumps(make(folder / name)))
                (folder / "result").rename(made)
        return pickle.loads(made.read_bytes())

    return once


@pytest.fixture(scope="session")
def run_folder(made_once) -> Path:
    """The folder of a finished training run, made by the command itself.

    It starts from the shipped letters-nano: a few batches keep it a good reader, and from scratch it would take minutes.
    """

    def train(folder: Path) -> Path:
        words = ["train", "--init", "letters-nano", "--epochs", "2", "--steps", "2", "--name", "letters-nano"]
        assert main([*words, "--out", str(folder)]) == 0
        return folder

    return made_once("training", train)


@pytest.fixture(scope="session")
def model_file(run_folder) -> Path:
    """A small `.keras` model that reads the pen's letters."""
    return run_folder / "model.keras"


@pytest.fixture(scope="session")
def strokes_arrays(pen) -> dict[str, np.ndarray]:
    """Letters of the pen as the arrays of a strokes file: 520 train, 104 val, 520 test."""
    rng = np.random.default_rng(5)
    counts = [26 * count for count in PER_CLASS.values()]
    label = np.concatenate([np.arange(count) % 26 for count in counts])
    letters = [pen.sample(int(one), rng) for one in label]
    strokes = [stroke for letter in letters for stroke in letter]
    return {
        "points": np.concatenate(strokes).astype(np.int16),
        "points_per_stroke": np.array([len(stroke) for stroke in strokes]),
        "strokes_per_sample": np.array([len(letter) for letter in letters]),
        "label": label.astype(np.uint8),
        "split": np.repeat([0, 1, 2], counts),
        "writer": np.repeat([10, 11, 12], counts),
    }


@pytest.fixture(scope="session")
def strokes_file(strokes_arrays, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "strokes.npz"
    np.savez(path, **strokes_arrays)
    return path


@pytest.fixture(scope="session")
def strokes_source(strokes_file):
    """Letters to train on."""
    from lettercast.train.data.open import open_source

    return open_source(str(strokes_file), "train")


@pytest.fixture(scope="session")
def check_source(strokes_file):
    """Letters that neither training nor calibration saw."""
    from lettercast.train.data.open import open_source

    return open_source(str(strokes_file), "test")


@pytest.fixture(scope="session")
def artifacts(model_file, check_source, made_once) -> dict:
    """Every format of the nano model, by the format's name; int8 gets the slack that so small a model needs."""
    from lettercast.export.exporter import export_model
    from lettercast.export.formats import find_formats
    from lettercast.train.data.open import open_source

    limits = {"max_drop": 5.0, "min_agreement": 90.0}

    formats = find_formats(None)

    def export(out: Path) -> list:
        made = export_model(model_file, formats, open_source("pen", "train"), check_source, out, **limits)
        assert not any(artifact.misses for artifact in made)
        # A format's converters cannot be kept.
        return [replace(artifact, format=None) for artifact in made]

    made = made_once("exports", export)
    return {row.name: replace(artifact, format=row) for row, artifact in zip(formats, made, strict=True)}


@pytest.fixture(scope="session")
def exported(artifacts) -> dict[str, Path]:
    """The exported files by the format's name."""
    return {name: artifact.path for name, artifact in artifacts.items()}


@pytest.fixture(scope="session")
def draw_page(pen) -> Callable:
    """Return a function that writes rows of letters on paper: image (H, W, 3) uint8, and (letter, box) in reading order."""

    def draw(*rows: str, seed: int = 1, paper: int = 235, side: int = 70, cell: int = 110, upper: bool = True, pen_px: int = 7):
        from lettercast.train.data.drawing import draw_ink

        rng = np.random.default_rng(seed)
        height, width = cell * (len(rows) + 1), cell * (max(map(len, rows), default=4) + 1)
        image = np.full((height, width), paper, np.uint8)
        placed = []
        for row, text in enumerate(rows):
            for column, letter in enumerate(text):
                ink = draw_ink(pen.sample(ord(letter) - ord("A"), rng, upper), side, pen_px)
                h, w = ink.shape
                y, x = round(cell * (row + 1) - h / 2), round(cell * (column + 1) - w / 2)
                image[y : y + h, x : x + w] = cv2.multiply(image[y : y + h, x : x + w], 255 - ink, scale=1 / 255)
                left, top, wide, high = cv2.boundingRect((ink > 127).astype(np.uint8))
                placed.append((letter, (x + left, y + top, wide, high)))
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), placed

    return draw


@pytest.fixture
def page_file(draw_page, tmp_path) -> Path:
    """A photograph, so to say, of the letters ABC over DEF."""
    path = tmp_path / "page.png"
    cv2.imwrite(str(path), draw_page("ABC", "DEF")[0])
    return path


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs `lettercast` as a process of its own."""

    def run(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess:
        line = [sys.executable, "-m", "lettercast", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, cwd=folder, timeout=COMMAND_LIMIT_S, check=False)

    return run


@pytest.fixture
def eager() -> Iterator[None]:
    """Let Keras run its functions as they are: to compile them takes longer than the few steps of a test."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def lettercast(tmp_path, capfd, monkeypatch) -> Iterator[Callable]:
    """Return a function that runs `lettercast` in tmp_path: its exit code, stdout and stderr, native code's included."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:
            code = left.code
        return code, *capfd.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def refused(lettercast, tmp_path) -> Callable[..., str]:
    """Return a function that runs `lettercast` on what it must refuse, and returns the one line that it says."""

    def run(*words: object) -> str:
        before = contents(tmp_path)
        code, out, err = lettercast(*words)
        assert (code, out) == (2, ""), err
        assert len(err.splitlines()) == 1, err
        assert contents(tmp_path) == before
        return err

    return run


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Return every file and folder below a folder, with the bytes of files."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(scope="session")
def digits_tflite(made_once) -> Path:
    """A small `.tflite` model of scikit-learn's digits, which takes grey images of 8 x 8; the same as `.onnx` beside it."""

    def make(folder: Path) -> Path:
        import keras
        from sklearn.datasets import load_digits
        from sklearn.linear_model import LogisticRegression

        from lettercast.export.convert import onnx, tflite
        from lettercast.export.golden import write_with_golden
        from lettercast.runtime.model.facts import PICTURES, Facts

        folder.mkdir()
        digits = load_digits()
        solved = LogisticRegression(C=0.01, tol=0.1).fit(digits.data, digits.target)
        layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(16 / 255), keras.layers.Flatten()]
        network = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
        network.layers[-1].set_weights([solved.coef_.T, solved.intercept_])
        facts = Facts("digits", "tflite-float32", tuple("0123456789"), (8, 8, 1), "float32", takes=PICTURES)
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
        for converter, path in ((tflite, folder / "digits.tflite"), (onnx, folder / "digits.onnx")):
            model = converter.embed(converter.float32(network, images), facts)
            write_with_golden(path, model, images[:100], np.eye(10, dtype=np.float32)[digits.target[:100]])
        return folder / "digits.tflite"

    return made_once("digits-tflite", make)


@pytest.fixture(scope="session")
def digit_images(tmp_path_factory) -> Path:
    """A folder with images of scikit-learn's digits, larger than the model takes them: 3.png, 7.png, and 10.png of a 0."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    for number in (3, 7, 10):
        image = (load_digits().images[number] * (255 / 16)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(image, (40, 40), interpolation=cv2.INTER_NEAREST))
    return folder


@pytest.fixture(autouse=True)
def forget_custom_code():
    """Let no test measure models in a process that imports the layers of an earlier test, whose folder is not the current one."""
    yield
    if custom := sys.modules.get("lettercast.train.custom"):
        custom._IMPORTED.clear()
