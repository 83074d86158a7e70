"""Maintainer's command: draw what the built-in pen writes, as a sheet to look at.

python -m lettercast.train.contact_sheet docs/pen.png
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from ..runtime.pixels import Pixels
from .draw import draw_ink
from .pen import Pen, load_pen
from .source import LETTERS

CELL_PX, LETTER_PX, PEN_PX, COLUMNS = 48, 36, 2.6, 24


def contact_sheet(pen: Pen, seed: int = 0) -> Pixels:
    """Return (26 * 48, 24 * 48) uint8, dark on light: a letter a row, twelve small ones and twelve capitals."""
    rng = np.random.default_rng(seed)
    sheet = np.zeros((len(LETTERS) * CELL_PX, COLUMNS * CELL_PX), np.uint8)
    for label in range(len(LETTERS)):
        for column in range(COLUMNS):
            ink = draw_ink(pen.sample(label, rng, upper=column >= COLUMNS // 2), LETTER_PX, PEN_PX)
            height, width = ink.shape
            top, left = label * CELL_PX + (CELL_PX - height) // 2, column * CELL_PX + (CELL_PX - width) // 2
            sheet[top : top + height, left : left + width] = ink
    return cv2.bitwise_not(sheet)


def main(out: Path) -> int:
    """Write the sheet as PNG; returns the exit code."""
    cv2.imwrite(str(out), contact_sheet(load_pen()))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
