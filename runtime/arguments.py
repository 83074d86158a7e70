"""Types of command-line arguments: numbers, sizes, addresses, models."""

import argparse
import math
import os
import re
import shlex
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from .. import LettercastError
from .files import read_text

# Libraries that take a count hold it in 32 bits, or a multiple of it in 64.
MAX_COUNT = 1_000_000_000
# How letters are given: all as capitals, or in the case in which they were written.
UPPER, WRITTEN = CASES = ("upper", "written")
SERVE_HOST, SERVE_PORT, MAX_PORT = "127.0.0.1", 8080, 65535
PACKAGE = Path(__file__).parents[1]
DEFAULT_NAME = "letters-base"
SPLIT_CHOICES = ("train", "val", "test", "all")


def positive(text: str) -> int:
    """Parse a whole number above zero, and at most MAX_COUNT."""
    if not (text.isascii() and text.isdecimal()) or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    # int() refuses thousands of digits.
    if len(text) > len(str(MAX_COUNT)) or int(text) > MAX_COUNT:
        raise argparse.ArgumentTypeError(f"'{text}' is more than {MAX_COUNT:,}")
    return int(text)


def serve_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, :PORT, PORT or HOST, an IPv6 host in brackets; what is missing gets its default."""
    found = re.fullmatch(r"(?:\[(?P<v6>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^\s:\[\]/]*))(?::(?P<port>\d{1,5}))?", text, re.ASCII)
    if text.isascii() and text.isdecimal():
        found = re.fullmatch(r"(?P<v6>)(?P<host>)(?P<port>\d{1,5})", text)
    # A path after --serve is probably meant as the source.
    is_path = "/" in text or bool(text and not (found and found["port"]) and is_there(Path(text).exists))
    if is_path or not found or not text or int(found["port"] or 0) > MAX_PORT:
        hint = f"; to read it, put it before --serve: lettercast read {shlex.quote(text)} --serve" if is_path else ""
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT, such as 0.0.0.0:8080 or [::1]:8080{hint}")
    return found["v6"] or found["host"] or SERVE_HOST, int(found["port"] or SERVE_PORT)


def file_to_read(text: str) -> Path:
    """Parse the path of a file, which may be missing; pipes and devices are refused because they may never end."""
    path = Path(text)
    if is_there(path.exists) and not is_there(path.is_file):
        raise argparse.ArgumentTypeError(f"'{text}' is not a file but a folder, a pipe or a device")
    return path


def is_there(test: Callable[[], bool]) -> bool:
    """Call Path.exists, is_file or is_dir; False if the name is too long or you may not look there."""
    try:
        return test()
    except OSError:
        return False


@dataclass(frozen=True)
class Kind:
    """Which models a name may mean: those in a folder of the package that end so, or the path of one of these files."""

    folder: str
    ending: str
    files: str


KERAS = Kind("export/models", ".keras", "a .keras or .h5 file")
DEVICE = Kind("runtime/models", "-int8.tflite", "a .tflite or .onnx file")
MEASURED = replace(DEVICE, files="a .keras, .h5, .tflite or .onnx file")
# A folder that TensorFlow saved: it is no file, and gets a message of its own.
SAVED_MODEL = "saved_model.pb"
FOLDER = replace(DEVICE, files="a .tflite or .onnx file or a folder of them")


def find_model(name: str | Path, kind: Kind = DEVICE) -> Path:
    """Return the path of a model, given the name of one that comes with lettercast or its own path.

    Raises LettercastError if there is no such model.
    """
    shipped = {path.name.removesuffix(kind.ending): path for path in shipped_models(kind)}
    path = shipped.get(str(name), Path(name))
    is_folder = kind == FOLDER or (kind in (KERAS, MEASURED) and is_there((path / SAVED_MODEL).is_file))
    is_found = is_there(path.is_file) or (is_folder and is_there(path.is_dir))
    if not str(name) or not is_found:
        choices = ", ".join([*sorted(shipped), f"or the path of {kind.files}"] if shipped else [f"the path of {kind.files}"])
        raise LettercastError(f"'{name}': no such model; give {choices}")
    return path


def shipped_models(kind: Kind) -> list[Path]:
    """Return the models of one kind that come with lettercast."""
    return sorted((PACKAGE / kind.folder).glob(f"*{kind.ending}"))


def known_model(text: str, kind: Kind) -> Path:
    """Parse the name or the path of a model."""
    try:
        return find_model(text, kind)
    except LettercastError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def keras_model(text: str) -> Path:
    """Parse the name of a Keras model that comes with lettercast, or the path of another."""
    return known_model(text, KERAS)


def device_model(text: str) -> Path:
    """Parse the name of a model for devices that comes with lettercast, or the path of another."""
    return known_model(text, DEVICE)


def measured_model(text: str) -> Path:
    """Parse a model as device_model does; it may also be a Keras model."""
    return known_model(text, MEASURED)


def model_or_folder(text: str) -> Path:
    """Parse a model as device_model does, or a folder of models."""
    return known_model(text, FOLDER)


def checked(name: str, parse: Callable[[str], Any], value: Any) -> Any:
    """Return what an argument type makes of a value that was given in Python; None stays None.

    Raises LettercastError with the name and the message that the command prints.
    """
    if value is None:
        return None
    try:
        return parse(str(value))
    except argparse.ArgumentTypeError as error:
        raise LettercastError(f"{name}: {error}") from error


def thread_count(text: str) -> int:
    """Parse a number of threads, at most one per core."""
    cores = os.cpu_count() or 1
    if positive(text) > cores:
        raise argparse.ArgumentTypeError(f"{text} is more than the {cores} cores of this machine")
    return int(text)


def finite(text: str) -> float:
    """Parse a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return number


def amount(text: str) -> float:
    """Parse a number that is zero or above."""
    if finite(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return float(text)


def byte_size(text: str) -> int:
    """Parse a size of a file: bytes, or a number with k, M or G behind it (kB is the same), or with KiB, MiB or GiB."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*(?:([kmg])(i?)b?|b)?", text.strip(), re.ASCII | re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 400k, 1.5M, 64KiB or 400000")
    power = "kmg".index(found[2].lower()) + 1 if found[2] else 0
    size = int(Decimal(found[1]) * (1024 if found[3] else 1000) ** power)
    if not size:
        raise argparse.ArgumentTypeError(f"'{text}' is less than one byte")
    return size


def natural(text: str) -> int:
    """Parse a whole number from 0 to 2**32 - 1."""
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 4294967295")
    return int(text)


def image_size(text: str) -> tuple[int, int]:
    """Parse a width and a height in pixels."""
    found = re.fullmatch(r"([1-9][0-9]{1,3})[xX]([1-9][0-9]{1,3})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size in pixels such as 1280x720")
    return int(found[1]), int(found[2])


def label_names(text: str) -> list[str]:
    """Parse names separated by commas, or the path of a text file with one name per line.

    Line i may start with its number i, counted from 0, as Teachable Machine and TensorFlow write their labels.
    """
    path = Path(text)
    is_file = is_there(path.is_file)
    try:
        names = read_text(path).split("\n") if is_file else text.split(",")
    except LettercastError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    names = [plain_name(name) for name in names if plain_name(name)]
    if len(names) < 2:
        what = "is neither a file nor a list of names" if path.suffix and not is_file else "names fewer than two classes"
        raise argparse.ArgumentTypeError(f"'{text}' {what}; give a,b,c or a file with one name per line")
    numbered = [re.fullmatch(rf"0*{place}\s*[\s:,;]\s*(\S.*)", name) for place, name in enumerate(names)]
    names = [found[1] for found in numbered if found] if all(numbered) else names
    if twice := [name for name in names if names.count(name) > 1]:
        times = f"has '{twice[0]}' {twice.count(twice[0])} times"
        raise argparse.ArgumentTypeError(f"'{text}' {times}; give every class its own name")
    return names


def plain_name(name: str) -> str:
    """Return a class name without spaces around it, and with each accent in one character with its letter.

    macOS stores the names of folders with accents apart from their letters: equal to the eye, and different to `==`.
    """
    return unicodedata.normalize("NFC", name.strip().strip("\ufeff\u200b")).strip()


def comma_list(text: str) -> list[str]:
    """Parse names separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("there are no names in it")
    return names
