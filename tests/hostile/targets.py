"""Every parser of input from outside, as a function of bytes that returns or raises an error of its own."""

import gzip
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lettercast import LettercastError
from lettercast.benchmarks.parity.compare import load_run
from lettercast.bulk.dataset import counted, load_settings
from lettercast.bulk.documents import open_document
from lettercast.runtime.arguments import device_model
from lettercast.runtime.hand.file import Figures, Hand, load_hand, save_hand
from lettercast.runtime.model.facts import FACTS_KEY, Facts, keras_facts, onnx_facts, parse_facts, tflite_facts
from lettercast.runtime.model.golden import load_golden
from lettercast.runtime.sources.images import read_header, read_image
from lettercast.runtime.text.words import load_words
from lettercast.runtime.web.request import RefusedError, parse_request
from lettercast.train.data.az_csv import read_az_csv
from lettercast.train.data.idx import read_idx
from lettercast.train.data.open import read_source
from lettercast.train.data.source import LETTERS
from lettercast.train.pages import read_labels

IDX = struct.pack(">II", 0x801, 3) + b"abc"
JOURNAL_LINE = b'{"path":"/a.png","page":1,"pages":1,"letters":[["A"]]}\n'
FACTS = Facts("m", "tflite-int8", ("a", "b"), (8, 8, 1), "uint8").to_json().encode()


@dataclass(frozen=True)
class Target:
    """A parser: the function to call with a file, the suffix of the file, valid inputs, and the errors it may raise."""

    read: Callable[[Path], object]
    ending: str
    seeds: Callable[[], list[bytes]]
    allowed: tuple[type[Exception], ...] = (LettercastError,)


def try_bytes(target: Target, data: bytes) -> bool:
    """Give bytes to a parser; return whether it accepted them. Errors that it must not raise escape."""
    with tempfile.NamedTemporaryFile(suffix=target.ending) as file:
        file.write(data)
        file.flush()
        try:
            target.read(Path(file.name))
        except target.allowed:
            return False
        return True


def images() -> list[bytes]:
    """Return a small image of every kind that OpenCV writes."""
    image = np.add.outer(np.arange(13), np.arange(17)).astype(np.uint8) * 5
    return [cv2.imencode(ending, image)[1].tobytes() for ending in (".png", ".jpg", ".bmp", ".webp", ".tif", ".pgm")]


def arrays(**named: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def data_arrays() -> list[bytes]:
    """Return images and strokes in the formats that training reads."""
    images = arrays(image=np.zeros((3, 9, 9), np.uint8), label=np.arange(3), split=np.array([0, 1, 2]), classes=["a", "b", "c"])
    strokes = arrays(
        points=np.arange(16, dtype=np.int16).reshape(8, 2),
        points_per_stroke=np.array([4, 4]),
        strokes_per_sample=np.array([1, 1]),
        label=np.array([0, 1], np.uint8),
        split=np.array([0, 2]),
        writer=np.array([1, 2]),
    )
    return [images, strokes]


def golden() -> list[bytes]:
    about = json.dumps({"engine": "e", "machine": "m", "model_sha256": "0"})
    return [arrays(pictures=np.zeros((2, 8, 8, 1), np.uint8), probabilities=np.full((2, 2), 0.5, np.float32), about=about)]


def hand() -> list[bytes]:
    figures = Figures("2026-11-28T22:14:03Z", 2, 1.0, 2, 0, 0.5, 0.5, 1.0, 0.5, 0.9, 9, 0.9, 0.9)
    truth, first = np.arange(2), np.ones(2, np.int64)
    made = Hand("m", "0", ("a", "b"), np.zeros((2, 8, 8, 1), np.uint8), truth, first, 0 * first, (figures,))
    with tempfile.TemporaryDirectory() as folder:
        save_hand(made, Path(folder, "a.hand"))
        return [Path(folder, "a.hand").read_bytes()]


def keras_archive() -> list[bytes]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("lettercast.json", FACTS)
    return [file.getvalue()]


def onnx_model() -> list[bytes]:
    import onnx

    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), producer_name="p")
    onnx.helper.set_model_props(model, {"a": "b", FACTS_KEY: FACTS.decode()})
    return [model.SerializeToString()]


def earlier_run() -> list[bytes]:
    return [json.dumps({"schema": 2, "machine": {"processor": "x"}, "rows": [{"name": "m", "engine": "e 1"}]}).encode()]


def tiffs() -> list[bytes]:
    """Return a TIFF of three pages, in either order of bytes."""
    from PIL import Image

    def write(is_big_endian: bool) -> bytes:
        pages = [Image.fromarray(np.full((9, 7 + i), 40 * i, np.uint8)) for i in range(3)]
        file = io.BytesIO()
        pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], big_endian=is_big_endian)
        return file.getvalue()

    return [write(False), write(True)]


def tiff_pages_of(path: Path) -> object:
    document = open_document(path)
    return [document.page(number)[0] for number in range(1, document.pages + 1)]


def settings_of_archive(path: Path) -> object:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "settings.json").write_bytes(path.read_bytes())
        return load_settings(Path(folder))


def journal_line(path: Path) -> object:
    if not (page := counted(path.read_bytes())):
        raise LettercastError("a damaged line, which is dropped")
    return page


def request(path: Path) -> object:
    return parse_request(path.read_bytes())


def header(path: Path) -> object:
    with path.open("rb") as file:
        return read_header(file)


TARGETS = {
    "image": Target(read_image, ".png", images),
    "image header": Target(header, ".png", images, (EOFError, ValueError)),
    "pages of a TIFF": Target(tiff_pages_of, ".tif", tiffs),
    "settings of an archive": Target(settings_of_archive, ".json", lambda: [b'{"schema": 1, "model": "letters-base"}']),
    "journal of an archive": Target(journal_line, ".journal", lambda: [JOURNAL_LINE]),
    "TFLite facts": Target(
        lambda path: tflite_facts(path, path.read_bytes()), ".tflite", lambda: [device_model("letters-nano").read_bytes()]
    ),
    "ONNX facts": Target(lambda path: onnx_facts(path, path.read_bytes()), ".onnx", onnx_model),
    "facts": Target(lambda path: parse_facts(path.read_bytes(), path), ".json", lambda: [FACTS]),
    "Keras facts": Target(keras_facts, ".keras", keras_archive),
    "golden cases": Target(load_golden, ".npz", golden),
    "hand": Target(load_hand, ".hand", hand),
    "arrays": Target(lambda path: read_source(str(path), "all"), ".npz", data_arrays),
    "A-Z CSV": Target(read_az_csv, ".csv", lambda: [b",".join([b"3", *[b"7"] * 784]) + b"\n", b"\xef\xbb\xbflabel,0\n"]),
    "idx": Target(lambda path: read_idx(path, 1), ".idx", lambda: [IDX]),
    "compressed idx": Target(lambda path: read_idx(path, 1), ".gz", lambda: [gzip.compress(IDX)]),
    "page labels": Target(read_labels, ".csv", lambda: [b'file,text\np.png,"AB|C D"\n']),
    "words": Target(lambda path: load_words(path, LETTERS), ".txt", lambda: ["Apfel\nnaïve # oui\nO'Neill\n".encode()]),
    "earlier run": Target(load_run, ".json", earlier_run),
    "request": Target(
        request, ".txt", lambda: [b"GET /?token=abc HTTP/1.1\r\nHost: localhost:8080\r\nCookie: a=b; c=d"], (RefusedError,)
    ),
}
