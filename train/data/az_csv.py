"""The A-Z CSV: a label and 784 pixels per line, as handwritten A-Z alphabets and EMNIST Letters are often shared."""

import re
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.console import say_once
from ...runtime.glyph import GLYPH_PX
from ...runtime.pixels import Pixels
from .emnist import sample_places, stored_way
from .source import LETTERS, ImageSource, hashed_split, in_split

NUMBERS_A_ROW = 1 + GLYPH_PX * GLYPH_PX
# The file is read in pieces: the text of 700 MB is never in memory at once.
ROWS_AT_ONCE = 10_000
WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
PIXEL = re.compile(r"\s*\+?0*\d{1,3}\s*", re.ASCII)


def open_az_csv(path: Path, split: str) -> ImageSource:
    """Open a CSV of label and 784 pixels; the row numbers decide the split, the same way every time.

    Letters that lie on their side, as in EMNIST, are put upright, and a line on stderr says so.
    """
    inks, labels = read_az_csv(path)
    some = sample_places(len(labels))
    is_sideways, first = stored_way(str(path), inks[some], labels[some])
    inks = np.ascontiguousarray(inks.swapaxes(1, 2)) if is_sideways else inks
    keep = in_split(hashed_split(range(len(labels)), labels), split)
    return ImageSource(path.name, split, list(inks[keep]), labels[keep] - first, total=len(labels))


def read_az_csv(path: Path, rows_at_once: int = ROWS_AT_ONCE) -> tuple[Pixels, NDArray[np.int64]]:
    """Read a CSV of letters: label 0 (A) to 25 (Z), then 28x28 pixels row by row, white ink on black, 0..255.

    Labels may also be 1 (A) to 26 (Z), as in EMNIST; a line on stderr says so. If fewer than half of the first line's values
    are whole numbers, it is a header. Blank lines are skipped.

    Returns:
        Ink (N, 28, 28) uint8 and labels (N,), 0 for A.

    Raises:
        LettercastError: the file cannot be read, holds no letters, or has an invalid line, which the message names.
    """
    pieces, numbers = [], []
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline()
            names = [field for field in head.split(",") if not WHOLE_NUMBER.fullmatch(field)]
            has_header = 2 * len(names) > len(head.split(","))
            first, lines = (2, file) if has_header else (1, chain([head], file))
            while piece := list(islice(lines, rows_at_once)):
                pieces.append(parse(path, piece, first))
                numbers += [number for number, line in enumerate(piece, first) if not line.isspace()]
                first += len(piece)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; give a CSV of label and 784 pixels") from error
    rows = np.concatenate(pieces) if pieces else np.empty((0, NUMBERS_A_ROW), np.uint8)
    if len(rows) == 0:
        raise LettercastError(f"{path}: holds no letters; give a CSV of label and 784 pixels")
    labels = rows[:, 0].astype(np.int64)
    if labels.max() == len(LETTERS):
        if labels.min() == 0:
            reason = (
                f"line {numbers[int(labels.argmax())]} has the label {len(LETTERS)}, and line {numbers[int(labels.argmin())]} 0"
            )
            raise LettercastError(f"{path}: {reason}; labels go from 0 (A) to 25 (Z), or from 1 (A) to 26 (Z) as in EMNIST")
        say_once(f"{path}: its labels go from 1 (A) to 26 (Z), as in EMNIST")
        labels -= 1
    return rows[:, 1:].reshape(-1, GLYPH_PX, GLYPH_PX), labels


def parse(path: Path, lines: Sequence[str], first: int) -> NDArray[np.uint8]:
    """Parse lines to (N, 785) uint8; `first` is the number of the first line in the file."""
    filled = [line for line in lines if not line.isspace()]
    if not filled:
        return np.empty((0, NUMBERS_A_ROW), np.uint8)
    try:
        rows = np.loadtxt(filled, np.uint8, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise LettercastError(f"{path}: {find_fault(lines, first)}") from error
    if rows.shape[1] != NUMBERS_A_ROW or rows[:, 0].max() > len(LETTERS):
        raise LettercastError(f"{path}: {find_fault(lines, first)}")
    return rows


def find_fault(lines: Sequence[str], first: int) -> str:
    """Describe the first invalid line and its fault. Slow: meant for lines that are known to hold one."""
    faults = ((number, fault_of(line)) for number, line in enumerate(lines, first) if not line.isspace())
    where = f"lines {first} to {first + len(lines) - 1} are not rows of whole numbers"
    return next((f"line {number} {fault}" for number, fault in faults if fault), where)


def fault_of(line: str) -> str:
    """Describe what is wrong with a line; empty if it is a letter."""
    fields = line.rstrip("\n").split(",")
    if len(fields) != NUMBERS_A_ROW:
        return f"has {len(fields)} values; a row is a label and {NUMBERS_A_ROW - 1} pixels, separated by commas"
    wrong = next((field for field in fields if not PIXEL.fullmatch(field) or int(field) > 255), None)
    if wrong is not None:
        return f"has '{wrong.strip()[:20]}' among its values; they are whole numbers from 0 to 255"
    if int(fields[0]) > len(LETTERS):
        return f"has the label {int(fields[0])}; labels go from 0 (A) to {len(LETTERS) - 1} (Z)"
    return ""
