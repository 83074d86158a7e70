"""Other readers of text to compare with: Tesseract and RapidOCR, each with its defaults and with the best settings we found."""

import logging
import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.console import first_line
from ...runtime.page.ink import to_gray
from ...runtime.pixels import Pixels
from ...train.data.source import LETTERS

# The two settings of a peer, as named in tables and JSON: its defaults, and those with the fewest errors.
AS_IT_COMES, AT_ITS_BEST = "as it comes", "at its best"
# The letters that digits are taken for, because the images have letters only.
LOOK_ALIKES = str.maketrans("015862", "OISBGZ")
# The brightness of the paper is estimated on an image smaller by PAPER_SCALE, with windows of these pixels.
PAPER_SCALE, MAX_STROKE_PX, PAPER_PX = 4, 5, 13
# The height of single letters, and the paper on each side as a share of it. Both engines were tried from 24 to 72 px.
LETTER_PX, LETTER_MARGIN = 36, 0.2
# Grey levels above this are ink.
MIN_INK = 60
# A box belongs to a row if its middle is less than this share of its height below the middle of the row's first box.
SAME_ROW = 0.5
# Tesseract's page segmentation modes. Of 3, 4, 6, 11, 12 and 13, sparse text has the fewest errors on cards, and no more than
# any other mode on pages. Of 6, 8, 10 and 13, a raw line has the fewest errors on single letters, even fewer than mode 10.
AUTOMATIC, SPARSE_TEXT, RAW_LINE = 3, 11, 13
CAPITALS_ONLY = {"tessedit_char_whitelist": "".join(LETTERS)}
# Without a resolution Tesseract guesses one and prints a warning.
DPI = 300
# RapidOCR at its best does not look for text upside down, accepts fainter boxes, enlarges them more, and drops none of them.
BEST_RAPIDOCR = {"use_cls": False, "text_score": 0.0, "box_thresh": 0.3, "unclip_ratio": 2.0}
ONE_LETTER = {"use_det": False, "use_cls": False, "text_score": 0.0}
TRIAL_SHAPE = (240, 320, 3)


@dataclass(frozen=True)
class Peer:
    """A reader of text in one setting.

    read_page turns a page (H, W, 3) BGR uint8 into text, and read_letter one letter's ink (H, W) uint8.
    """

    name: str
    setting: str
    read_page: Callable[[Pixels], str]
    read_letter: Callable[[Pixels], str] | None = None


@dataclass(frozen=True)
class PeerPackage:
    """A package with peers: how to install it, whether it is installed, and how to open its peers."""

    name: str
    install: str
    is_installed: Callable[[], bool]
    open: Callable[[], list[Peer]]


def open_peers() -> tuple[list[Peer], dict[str, str]]:
    """Open the installed peers and try them on a white page; return them, and why each other package is missing."""
    peers, absent = [], {}
    for package in PEER_PACKAGES:
        if not package.is_installed():
            absent[package.name] = f"not installed: {package.install}"
            continue
        try:
            opened = package.open()
            for peer in opened:
                peer.read_page(np.full(TRIAL_SHAPE, 255, np.uint8))
        except Exception as error:  # a peer may raise anything
            absent[package.name] = f"does not run: {first_line(error)}"
            continue
        peers += opened
    return peers, absent


def open_tesseract_command() -> list[Peer]:
    """Open Debian's Tesseract command, which starts and loads its model again for every image."""
    name = f"tesseract {run_tesseract('--version').split()[1]} (command)"

    def read(gray: Pixels, mode: int, variables: dict[str, str]) -> str:
        settings = [word for key, value in variables.items() for word in ("-c", f"{key}={value}")]
        command = ["tesseract", "stdin", "stdout", "-l", "eng", "--psm", str(mode), "--dpi", str(DPI), *settings]
        page = cv2.imencode(".pgm", gray)[1].tobytes()
        one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=page, capture_output=True, check=True, env=one_thread)
        return letters_only(done.stdout.decode())

    return [
        Peer(name, AS_IT_COMES, lambda page: read(to_gray(page), AUTOMATIC, {})),
        Peer(
            name,
            AT_ITS_BEST,
            lambda page: read(even_light(to_gray(page)), SPARSE_TEXT, CAPITALS_ONLY),
            lambda ink: read(letter_image(ink), RAW_LINE, CAPITALS_ONLY),
        ),
    ]


def open_tesserocr() -> list[Peer]:
    """Open Tesseract in this process, with the language data of the command and on one thread."""
    tesserocr = import_module("tesserocr")
    data = re.search(r'"(.+)"', run_tesseract("--list-langs"))
    number = re.search(r"tesseract (\S+)", tesserocr.tesseract_version())
    name = f"Tesseract {number[1] if number else ''} (tesserocr)"

    def reader(mode: int, variables: dict[str, str]) -> Callable[[Pixels], str]:
        engine = tesserocr.PyTessBaseAPI(path=data[1] if data else "", lang="eng", psm=mode)
        for key, value in variables.items():
            engine.SetVariable(key, value)

        def read(gray: Pixels) -> str:
            height, width = gray.shape
            engine.SetImageBytes(gray.tobytes(), width, height, 1, width)
            engine.SetSourceResolution(DPI)
            return letters_only(engine.GetUTF8Text())

        return read

    plain, sparse, line = reader(AUTOMATIC, {}), reader(SPARSE_TEXT, CAPITALS_ONLY), reader(RAW_LINE, CAPITALS_ONLY)
    return [
        Peer(name, AS_IT_COMES, lambda page: plain(to_gray(page))),
        Peer(
            name,
            AT_ITS_BEST,
            lambda page: sparse(even_light(to_gray(page))),
            lambda ink: line(letter_image(ink)),
        ),
    ]


def open_rapidocr() -> list[Peer]:
    """Open RapidOCR 3 with the models in its wheel, on one thread."""
    make = import_module("rapidocr").RapidOCR
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}

    def find(engine: Any, image: Pixels, **settings: Any) -> tuple[Sequence[NDArray[Any]], Sequence[str]]:
        found = engine(image, **settings)
        boxes = getattr(found, "boxes", None)
        return () if boxes is None else boxes, found.txts or ()

    return rapidocr_peers("rapidocr", lambda: make(params={"Global.log_level": "error", **threads}), find)


def open_rapidocr_onnxruntime() -> list[Peer]:
    """Open RapidOCR 1 with the models in its wheel, on one thread."""
    make = import_module("rapidocr_onnxruntime").RapidOCR

    def find(engine: Any, image: Pixels, **settings: Any) -> tuple[Sequence[NDArray[Any]], Sequence[str]]:
        found = engine(image, **settings)[0] or []
        # Without detection a result has no box, only [text, score].
        return [np.array(one[0]) for one in found if len(one) == 3], [one[-2] for one in found]

    return rapidocr_peers("rapidocr-onnxruntime", lambda: make(intra_op_num_threads=1, inter_op_num_threads=1), find)


def rapidocr_peers(
    package: str, make: Callable[[], Any], find: Callable[..., tuple[Sequence[NDArray[Any]], Sequence[str]]]
) -> list[Peer]:
    """Return both settings of a RapidOCR; each has its own engine, because an engine keeps the last settings."""
    default, best = make(), make()
    # Both packages share one logger, and importing either of them resets its level.
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)

    def read_at_best(page: Pixels) -> str:
        boxes, texts = find(best, page, use_det=True, **BEST_RAPIDOCR)
        return letters_only(in_rows(boxes, texts), LOOK_ALIKES)

    def read_letter(ink: Pixels) -> str:
        image = cv2.cvtColor(letter_image(ink), cv2.COLOR_GRAY2BGR)
        return letters_only("".join(find(best, image, **ONE_LETTER)[1]), LOOK_ALIKES)

    name = f"{package} {version(package)}"
    return [
        Peer(name, AS_IT_COMES, lambda page: letters_only("\n".join(find(default, page)[1]))),
        Peer(name, AT_ITS_BEST, read_at_best, read_letter),
    ]


def run_tesseract(*words: str) -> str:
    """Run the tesseract command and return its output."""
    done = subprocess.run(["tesseract", *words], capture_output=True, check=True)
    return (done.stdout + done.stderr).decode()


def has_command() -> bool:
    """Return whether Tesseract and its English data are installed."""
    return shutil.which("tesseract") is not None and "eng" in run_tesseract("--list-langs").split()


def has_package(name: str) -> Callable[[], bool]:
    """Return a function that checks whether a Python package is installed."""
    return lambda: find_spec(name) is not None


PEER_PACKAGES = (
    PeerPackage("Tesseract", "apt install tesseract-ocr tesseract-ocr-eng", has_command, open_tesseract_command),
    PeerPackage(
        "tesserocr",
        "apt install tesseract-ocr tesseract-ocr-eng; pip install 'lettercast[peers]'",
        lambda: has_command() and has_package("tesserocr")(),
        open_tesserocr,
    ),
    PeerPackage("rapidocr", "pip install 'lettercast[peers]'", has_package("rapidocr"), open_rapidocr),
    PeerPackage(
        "rapidocr-onnxruntime",
        "pip install rapidocr-onnxruntime (Python 3.12 at most)",
        has_package("rapidocr_onnxruntime"),
        open_rapidocr_onnxruntime,
    ),
)


def letters_only(text: str, table: dict[int, int] | None = None) -> str:
    """Return the letters A-Z of a text as capitals, line by line; the table maps other characters to letters."""
    folded = unicodedata.normalize("NFKC", text).upper().translate(table or {})
    lines = ("".join(character for character in line if character in LETTERS) for line in folded.splitlines())
    return "\n".join(line for line in lines if line)


def even_light(gray: Pixels) -> Pixels:
    """Divide a page (H, W) uint8 by the brightness of its paper, which removes shadows."""
    height, width = gray.shape
    small = cv2.resize(gray, (max(1, width // PAPER_SCALE), max(1, height // PAPER_SCALE)), interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(cv2.dilate(small, np.ones((MAX_STROKE_PX, MAX_STROKE_PX))), PAPER_PX)
    return cv2.divide(gray, cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR), scale=255)


def letter_image(ink: Pixels) -> Pixels:
    """Turn a letter's ink (H, W) uint8 into an image for readers of text: black on white, LETTER_PX high, with a margin."""
    x, y, width, height = cv2.boundingRect((ink > MIN_INK).astype(np.uint8))
    own = ink[y : y + height, x : x + width] if width else ink
    scale = LETTER_PX / max(own.shape)
    scaled = cv2.resize(255 - own, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    margin = round(LETTER_MARGIN * LETTER_PX)
    return cv2.copyMakeBorder(scaled, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)


def in_rows(boxes: Sequence[NDArray[Any]], texts: Sequence[str]) -> str:
    """Join texts in reading order; RapidOCR's own order splits a row if its letters are at different heights.

    boxes are (4, 2) corners, x right and y down.
    """
    rows: list[list[tuple[float, float, float, str]]] = []
    for box, text in sorted(zip(boxes, texts, strict=True), key=lambda one: float(one[0][:, 1].mean())):
        top, bottom = float(box[:, 1].min()), float(box[:, 1].max())
        entry = (float(box[:, 0].min()), (top + bottom) / 2, bottom - top, text)
        if rows and entry[1] - rows[-1][0][1] < SAME_ROW * entry[2]:
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return "\n".join("".join(entry[-1] for entry in sorted(row)) for row in rows)
