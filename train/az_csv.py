"""The A-Z CSV: a letter a line, its label and then its 784 pixels."""

import re
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.glyph import GLYPH_PX
from ..runtime.pixels import Pixels
from .source import LETTERS

NUMBERS_A_ROW = 1 + GLYPH_PX * GLYPH_PX
# Read in pieces, so that the text of a file of 700 MB is never in memory at once.
ROWS_AT_ONCE = 10_000
WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
PIXEL = re.compile(r"\s*\+?0*\d{1,3}\s*", re.ASCII)


def read_az_csv(path: Path, rows_at_once: int = ROWS_AT_ONCE) -> tuple[Pixels, NDArray[np.int64]]:
    """Read a CSV of letters: label 0 (A) to 25 (Z), then 28x28 pixels row by row, white ink on black, 0..255.

    A first line that is mostly no whole numbers is taken for a header. Blank lines are passed over.

    Returns:
        Ink (N, 28, 28) uint8 and labels (N,).

    Raises:
        LettercastError: the file cannot be read, holds no letters, or has a line that is none; that line is named.
    """
    pieces = []
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline()
            names = [field for field in head.split(",") if not WHOLE_NUMBER.fullmatch(field)]
            has_header = 2 * len(names) > len(head.split(","))
            first, lines = (2, file) if has_header else (1, chain([head], file))
            while piece := list(islice(lines, rows_at_once)):
                pieces.append(parse(path, piece, first))
                first += len(piece)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; give a CSV of label and 784 pixels") from error
    rows = np.concatenate(pieces) if pieces else np.empty((0, NUMBERS_A_ROW), np.uint8)
    if len(rows) == 0:
        raise LettercastError(f"{path}: holds no letters; give a CSV of label and 784 pixels")
    return rows[:, 1:].reshape(-1, GLYPH_PX, GLYPH_PX), rows[:, 0].astype(np.int64)


def parse(path: Path, lines: Sequence[str], first: int) -> NDArray[np.uint8]:
    """Parse lines, of which the first has this number in the file, to (N, 785) uint8."""
    filled = [line for line in lines if not line.isspace()]
    if not filled:
        return np.empty((0, NUMBERS_A_ROW), np.uint8)
    try:
        rows = np.loadtxt(filled, np.uint8, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise LettercastError(f"{path}: {find_fault(lines, first)}") from error
    if rows.shape[1] != NUMBERS_A_ROW or rows[:, 0].max() >= len(LETTERS):
        raise LettercastError(f"{path}: {find_fault(lines, first)}")
    return rows


def find_fault(lines: Sequence[str], first: int) -> str:
    """Say which line is the first that is no letter, and why; slow, for lines that are known to hold one."""
    faults = ((number, fault_of(line)) for number, line in enumerate(lines, first) if not line.isspace())
    where = f"lines {first} to {first + len(lines) - 1} are not rows of whole numbers"
    return next((f"line {number} {fault}" for number, fault in faults if fault), where)


def fault_of(line: str) -> str:
    """Say what a line has that a letter has not; empty where it is one."""
    fields = line.rstrip("\n").split(",")
    if len(fields) != NUMBERS_A_ROW:
        return f"has {len(fields)} values; a row is a label and {NUMBERS_A_ROW - 1} pixels, parted by commas"
    wrong = next((field for field in fields if not PIXEL.fullmatch(field) or int(field) > 255), None)
    if wrong is not None:
        return f"has '{wrong.strip()[:20]}' among its values; they are whole numbers from 0 to 255"
    if int(fields[0]) >= len(LETTERS):
        return f"has the label {int(fields[0])}; labels go from 0 (A) to {len(LETTERS) - 1} (Z)"
    return ""
