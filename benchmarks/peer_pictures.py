"""What readers of text are shown at their best, and what is made of what they say."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels
from ..train.source import LETTERS

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
