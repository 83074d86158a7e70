"""What the tests of the documents share: a desk with everything that the documents name."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.camera import Exposure
from lettercast.benchmarks.pages.filled_sheets import Filling, fill_in, photograph_sheet
from lettercast.benchmarks.pages.paper import Paper, View
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime.sheet.layout import sheet_pages
from lettercast.train.data.drawing import draw_ink
from lettercast.train.data.pen import Pen, load_pen


@pytest.fixture(scope="session")
def desk(made_once, draw_page, pen, strokes_file, model_file, exported, digits_tflite, digit_images) -> Path:
    """A folder with everything that the documents name, made once for all processes."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        fill(folder, draw_page, pen, strokes_file, model_file, exported)
        for path in (*digits_tflite.parent.iterdir(), digit_images / "7.png"):
            shutil.copy(path, folder)
        shutil.copytree(digit_images, folder / "photos")
        shutil.copy(folder / "my_letters" / "T" / "1.png", folder / "letter.png")
        return folder

    return made_once("desk", make)


def fill(folder: Path, draw_page: Callable, pen: Pen, strokes_file: Path, model_file: Path, exported: dict[str, Path]) -> None:
    """Put pages, videos, letters, models and word lists into a folder."""
    image, _ = draw_page("ABC", "DEF")
    for name in ("page.jpg", "scans/1.png", "scans/2.png", "cards/1.png", "pages/1.png", "plates/1.png", "docs/example-page.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    for name in ("cards", "pages"):
        (folder / name / "labels.csv").write_text("file,text\n1.png,ABC|DEF\n")
    for name in ("talk.mp4", "film.mp4"):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 10, image.shape[1::-1])
        for _ in range(4):
            writer.write(image)
        writer.release()
    for name in ("names.txt", "words.txt"):
        (folder / name).write_text("Abc\nDef\nAnna\nBernd\nCleo\nDoro\n")
    rng = np.random.default_rng(0)
    for label in range(26):
        for i in range(10):
            ink = 255 - draw_ink(pen.sample(label, rng), 60, 5)
            picture = cv2.copyMakeBorder(ink, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=255)
            for source in ("my_letters", "phone_crops"):
                (folder / source / chr(65 + label)).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / source / chr(65 + label) / f"{i}.png"), picture)
    strokes = dict(np.load(strokes_file))
    for name in ("letters.npz", "strokes.npz", "unipen_letters.npz", "nist_az_sample.npz"):
        np.savez(folder / name, **strokes, upper=np.arange(len(strokes["label"])) // 26 % 2 == 0)
    for name in ("font_strokes.npz", "geo_letters.npz"):
        shutil.copy(folder / "strokes.npz", folder / name)
    digits = strokes | {"label": strokes["label"] % 10}
    np.savez(folder / "digit_strokes.npz", **digits, classes=[str(i) for i in range(10)])
    # The models that the shipped ones start and learn from.
    before = [f"{name}.keras" for name in ("earlier-base", "tuned-base", "first-base", "first-nano", "base-last", "mean")]
    for name in ("my.keras", *before):
        shutil.copy(model_file, folder / name)
    shutil.copy(exported["tflite-int8"], folder / "my.tflite")
    shutil.copy(exported["onnx-int8"], folder / "my.onnx")
    write_digits(folder)
    write_sheet(folder)
    write_mnist(folder / "mnist")
    (folder / "dist").mkdir()
    for ending in ("", ".golden.npz"):
        source = exported["tflite-int8"]
        shutil.copy(source.with_name(source.name + ending), folder / "dist" / f"letters-base-int8.tflite{ending}")


def write_sheet(folder: Path) -> None:
    """Write photographs of a sheet that the pen filled in."""
    (page,) = sheet_pages()
    writer, camera = np.random.default_rng(0).spawn(2)
    boxes = fill_in(page, PenHand(load_pen()), Filling(), writer)
    image = photograph_sheet(page, boxes, Paper(), view=View(desk=0.02), exposure=Exposure(), rng=camera, width_px=1000).image
    for name in ("photo.jpg", "page1.jpg", "page2.jpg"):
        cv2.imwrite(str(folder / name), image)


def write_mnist(folder: Path) -> None:
    """Write a folder of idx files, as MNIST has them, with a few of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    folder.mkdir()
    data = load_digits()
    images = np.stack([cv2.resize(image.astype(np.uint8) * 15, (28, 28)) for image in data.images[:240]])
    for part, some in (("train", slice(200)), ("t10k", slice(200, None))):
        for kind, array in (("images-idx3", images[some]), ("labels-idx1", data.target[some].astype(np.uint8))):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())


def write_digits(folder: Path) -> None:
    """Write a user's network of ten digits, and pictures for it."""
    import keras
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3, activation="relu")]
    network = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    network.compile("adam", "sparse_categorical_crossentropy")
    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.uint8)
    network.fit(images[..., None], digits.target, epochs=2, verbose=0)
    network.save(folder / "digits.keras")
    np.savez(folder / "digits.npz", image=images, label=digits.target, classes=[str(i) for i in range(10)])


@pytest.fixture
def at_desk(desk, tmp_path, monkeypatch) -> Path:
    """A copy of the desk, as what is typed leaves things there."""
    folder = tmp_path / "desk"
    shutil.copytree(desk, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder
