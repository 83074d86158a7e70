"""Other readers of text, for the same pictures: Tesseract and RapidOCR, as they come and at their best."""

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

# Digits that stand for letters where only letters are known to be.
LOOK_ALIKES = str.maketrans("015862", "OISBGZ")
# The paper's own brightness is found on a picture so much smaller, with windows of these pixels there.
PAPER_SCALE, WIDEST_STROKE_PX, PAPER_PX = 4, 5, 13
# Single letters are shown so high, with so much of it as paper on each side. Both engines were tried from 24 to 72 px.
LETTER_PX, LETTER_MARGIN = 36, 0.2
INK = 60
# A box belongs to the row above where its middle is less than this share of its height below that row's first box.
SAME_ROW = 0.5


def letters_only(text: str, table: dict[int, int] | None = None) -> str:
    """Return the letters A-Z of a text as capitals, line by line; a table says which other signs are taken for letters."""
    folded = unicodedata.normalize("NFKC", text).upper().translate(table or {})
    kept = ("".join(sign for sign in line if sign in LETTERS) for line in folded.splitlines())
    return "\n".join(line for line in kept if line)


def even_light(gray: Pixels) -> Pixels:
    """Return a page (H, W) uint8 divided by the brightness of its paper, so that shadows are gone."""
    height, width = gray.shape
    small = cv2.resize(gray, (max(1, width // PAPER_SCALE), max(1, height // PAPER_SCALE)), interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(cv2.dilate(small, np.ones((WIDEST_STROKE_PX, WIDEST_STROKE_PX))), PAPER_PX)
    return cv2.divide(gray, cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR), scale=255)


def letter_picture(ink: Pixels) -> Pixels:
    """Return one letter's ink (H, W) uint8 as readers of text like it: black on white, of a line's height, with paper around."""
    x, y, width, height = cv2.boundingRect((ink > INK).astype(np.uint8))
    own = ink[y : y + height, x : x + width] if width else ink
    scale = LETTER_PX / max(own.shape)
    scaled = cv2.resize(255 - own, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    margin = round(LETTER_MARGIN * LETTER_PX)
    return cv2.copyMakeBorder(scaled, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)


def in_rows(boxes: Sequence[NDArray[Any]], texts: Sequence[str]) -> str:
    """Join texts in reading order; RapidOCR's own order takes letters of one row for rows of their own where they dance.

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


AS_IT_COMES, AT_ITS_BEST = "as it comes", "at its best"
# Tesseract's page modes. Of 3, 4, 6, 11, 12 and 13 sparse text errs least on cards, and no more than any other on pages;
# of 6, 8, 10 and 13 a raw line errs least on single letters, even less than a single character.
AUTOMATIC, SPARSE_TEXT, RAW_LINE = 3, 11, 13
CAPITALS_ONLY = {"tessedit_char_whitelist": "".join(LETTERS)}
# Resolution that Tesseract is told, where it would otherwise guess one and say so.
DPI = 300
# RapidOCR at its best does not look for text upside down, takes fainter findings, with more around them, and keeps all of them.
KINDEST = {"use_cls": False, "text_score": 0.0, "box_thresh": 0.3, "unclip_ratio": 2.0}
ONE_LETTER = {"use_det": False, "use_cls": False, "text_score": 0.0}
TRIAL_SHAPE = (240, 320, 3)


@dataclass(frozen=True)
class Peer:
    """A reader of text and how it is set up: a page (H, W, 3) BGR uint8 to text, and one letter's ink (H, W) uint8 to text."""

    name: str
    setting: str
    read_page: Callable[[Pixels], str]
    read_letter: Callable[[Pixels], str] | None = None


@dataclass(frozen=True)
class Offer:
    """A package with peers: how to install it, whether it is there, and what opens its peers."""

    name: str
    install: str
    is_there: Callable[[], bool]
    open: Callable[[], list[Peer]]


def open_peers() -> tuple[list[Peer], dict[str, str]]:
    """Open the peers that are installed and try them on a white page; returns them, and what to do about each of the others."""
    peers, absent = [], {}
    for offer in OFFERS:
        if not offer.is_there():
            absent[offer.name] = f"not installed: {offer.install}"
            continue
        try:
            opened = offer.open()
            for peer in opened:
                peer.read_page(np.full(TRIAL_SHAPE, 255, np.uint8))
        except Exception as error:  # whatever their own parts raise
            absent[offer.name] = f"does not run: {first_line(error)}"
            continue
        peers += opened
    return peers, absent


def open_tesseract_command() -> list[Peer]:
    """Open Debian's Tesseract, which starts anew for every picture and loads its model each time."""
    name = f"tesseract {tesseract_says('--version').split()[1]} (command)"

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
            lambda ink: read(letter_picture(ink), RAW_LINE, CAPITALS_ONLY),
        ),
    ]


def open_tesserocr() -> list[Peer]:
    """Open Tesseract inside of this process, with the language data that came with the command; it uses one thread."""
    tesserocr = import_module("tesserocr")
    data = re.search(r'"(.+)"', tesseract_says("--list-langs"))
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
            lambda ink: line(letter_picture(ink)),
        ),
    ]


def open_rapidocr() -> list[Peer]:
    """Open RapidOCR 3 with the models in its wheel, one thread."""
    make = import_module("rapidocr").RapidOCR
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}

    def find(engine: Any, image: Pixels, **settings: Any) -> tuple[Sequence[NDArray[Any]], Sequence[str]]:
        found = engine(image, **settings)
        boxes = getattr(found, "boxes", None)
        return () if boxes is None else boxes, found.txts or ()

    return rapidocr_peers("rapidocr", lambda: make(params={"Global.log_level": "error", **threads}), find)


def open_rapidocr_onnxruntime() -> list[Peer]:
    """Open RapidOCR 1 with the models in its wheel, one thread."""
    make = import_module("rapidocr_onnxruntime").RapidOCR

    def find(engine: Any, image: Pixels, **settings: Any) -> tuple[Sequence[NDArray[Any]], Sequence[str]]:
        found = engine(image, **settings)[0] or []
        # Without looking for text there are no boxes: [text, score].
        return [np.array(one[0]) for one in found if len(one) == 3], [one[-2] for one in found]

    return rapidocr_peers("rapidocr-onnxruntime", lambda: make(intra_op_num_threads=1, inter_op_num_threads=1), find)


def rapidocr_peers(
    package: str, make: Callable[[], Any], find: Callable[..., tuple[Sequence[NDArray[Any]], Sequence[str]]]
) -> list[Peer]:
    """Return both settings of a RapidOCR; each has an engine of its own, as these keep what they were last told."""
    plain, kindest = make(), make()
    # Both packages talk through one logger, and importing either makes it talk again.
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)

    def read_kindly(page: Pixels) -> str:
        boxes, texts = find(kindest, page, use_det=True, **KINDEST)
        return letters_only(in_rows(boxes, texts), LOOK_ALIKES)

    def read_letter(ink: Pixels) -> str:
        picture = cv2.cvtColor(letter_picture(ink), cv2.COLOR_GRAY2BGR)
        return letters_only("".join(find(kindest, picture, **ONE_LETTER)[1]), LOOK_ALIKES)

    name = f"{package} {version(package)}"
    return [
        Peer(name, AS_IT_COMES, lambda page: letters_only("\n".join(find(plain, page)[1]))),
        Peer(name, AT_ITS_BEST, read_kindly, read_letter),
    ]


def tesseract_says(*words: str) -> str:
    """Return what the command prints."""
    done = subprocess.run(["tesseract", *words], capture_output=True, check=True)
    return (done.stdout + done.stderr).decode()


def has_command() -> bool:
    """Tell whether Tesseract and its English data are installed."""
    return shutil.which("tesseract") is not None and "eng" in tesseract_says("--list-langs").split()


def has_package(name: str) -> Callable[[], bool]:
    """Return what tells whether a Python package is installed."""
    return lambda: find_spec(name) is not None


OFFERS = (
    Offer("Tesseract", "apt install tesseract-ocr tesseract-ocr-eng", has_command, open_tesseract_command),
    Offer(
        "tesserocr",
        "apt install tesseract-ocr tesseract-ocr-eng; pip install 'lettercast[peers]'",
        lambda: has_command() and has_package("tesserocr")(),
        open_tesserocr,
    ),
    Offer("rapidocr", "pip install 'lettercast[peers]'", has_package("rapidocr"), open_rapidocr),
    Offer(
        "rapidocr-onnxruntime",
        "pip install rapidocr-onnxruntime (Python 3.12 at most)",
        has_package("rapidocr_onnxruntime"),
        open_rapidocr_onnxruntime,
    ),
)
