"""Letters of sheets as a folder of images per label, and as a contact sheet to look at."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ... import LettercastError
from ..arguments import is_there
from ..files import write_bytes
from ..glyph import MAX_GAIN, peak_of
from ..pixels import Pixels
from .cut import CROSSED, LETTER, Cut
from .drawing import hint_of, shown
from .layout import COPIES, GROUPS
from .photographs import FilledPage

# White paper around a letter, as a share of its longer side.
MARGIN = 0.25
# A cell of the contact sheet, and the letter in it, in pixels; gaps are between labels.
CELL_PX, LETTER_PX, GAP_PX, TITLE_PX = (72, 92), 60, 12, 34
PAPER, SHADE, INK = 255, 225, 40
# Blue, green, red.
DOUBT, GREY = (0, 110, 230), (130, 130, 130)


def write_letters(folder: Path, pages: Sequence[FilledPage]) -> int:
    """Write each letter as `folder/LABEL/….png`, dark on white; returns how many. The folder is there whole or not at all.

    Raises LettercastError if a folder of that name holds something, or cannot be written.
    """
    check_free(folder)
    counts: Counter[str] = Counter()
    labels = pages[0].page.labels
    twice = Counter(label.casefold() for label in labels)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        # Before anything else, so that an error names the folder itself.
        unfinished.mkdir(parents=True)
        for cut in (cut for page in pages for cut in page.letters):
            label = cut.box.label
            counts[label] += 1
            # Where A and a are one folder, as on Windows, their files have different names.
            kind = hint_of(label, labels) or (str(labels.index(label) + 1) if twice[label.casefold()] > 1 else "")
            write_bytes(unfinished / label / f"{kind}{'-' * bool(kind)}{counts[label]}.png", png(on_white(cut.ink)))
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise LettercastError(f"{folder}: {error.strerror or error}; choose another --out") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return sum(counts.values())


def contact_path(folder: Path) -> Path:
    """Return the file of the contact sheet of a folder of letters: beside it, because what lies in it is letters."""
    return folder.with_name(f"{folder.name}.png")


def check_free(folder: Path) -> None:
    """Raise LettercastError if a folder or its contact sheet would replace something: letters of two sheets are never mixed."""
    if not folder.name:
        raise LettercastError(
            f"{folder}: the letters need a folder of their own, with a contact sheet beside it; choose another --out"
        )
    for path in (folder, contact_path(folder)):
        if is_there(path.exists) and not (path == folder and is_there(path.is_dir) and not any(path.iterdir())):
            raise LettercastError(f"{path}: exists already; choose another --out, or remove it")


def on_white(ink: Pixels) -> Pixels:
    """Return the ink (h, w) uint8 of a letter as dark strokes on white paper with a margin, (H, W) uint8."""
    strong = cv2.convertScaleAbs(ink, alpha=min(MAX_GAIN, 255 / max(1, peak_of(ink))))
    margin = round(MARGIN * max(ink.shape))
    return cv2.bitwise_not(cv2.copyMakeBorder(strong, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0))


def png(image: Pixels) -> bytes:
    """Return an image as the bytes of a PNG."""
    return cv2.imencode(".png", image)[1].tobytes()


def contact_sheet(pages: Sequence[FilledPage], read_as: Sequence[Sequence[str]]) -> Pixels:
    """Return an image (H, W, 3) BGR uint8 of what was taken for what, with the boxes in their order on the sheet.

    read_as has what a model reads in each box of each page, "" where there is no letter or where that is its label.
    """
    parts = [part for page, own in zip(pages, read_as, strict=True) for part in (_title(page), _cells(page, own))]
    return np.vstack(parts)


def _width() -> int:
    return GROUPS * COPIES * CELL_PX[0] + (GROUPS + 1) * GAP_PX


def _title(page: FilledPage) -> Pixels:
    image = np.full((TITLE_PX, _width(), 3), PAPER, np.uint8)
    text = f"{Path(page.source).name}: {page.describe()}"
    _put(image, text, (GAP_PX, TITLE_PX - 12), 0.5, (INK, INK, INK))
    return image


def _cells(page: FilledPage, read_as: Sequence[str]) -> Pixels:
    width, height = CELL_PX
    rows = -(-len(page.cuts) // (GROUPS * COPIES))
    image = np.full((rows * (height + GAP_PX), _width(), 3), PAPER, np.uint8)
    for i, (cut, other) in enumerate(zip(page.cuts, read_as, strict=True)):
        row, column = divmod(i, GROUPS * COPIES)
        left = GAP_PX + column * width + column // COPIES * GAP_PX
        top = row * (height + GAP_PX)
        image[top : top + height, left : left + width] = _cell(cut, other, page.page.labels)
    return image


def _cell(cut: Cut, other: str, labels: tuple[str, ...]) -> Pixels:
    width, height = CELL_PX
    image = np.full((height, width, 3), PAPER if cut.state == LETTER else SHADE, np.uint8)
    if cut.ink.size:
        letter = on_white(cut.ink)
        scale = LETTER_PX / max(letter.shape)
        size = max(1, round(letter.shape[1] * scale)), max(1, round(letter.shape[0] * scale))
        small = cv2.resize(letter, size, interpolation=cv2.INTER_AREA)
        top, left = 16 + (LETTER_PX - size[1]) // 2, (width - size[0]) // 2
        image[top : top + size[1], left : left + size[0]] = small[..., None]
    name = f"{shown(cut.box.label)} {hint_of(cut.box.label, labels)}".strip()
    _put(image, name, (3, 12), 0.38, (INK, INK, INK))
    said, colour = (f"read as {shown(other)}", DOUBT) if other else (cut.state if cut.state != LETTER else "", GREY)
    _put(image, said, (3, height - 5), 0.36, colour)
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), DOUBT if other else (SHADE, SHADE, SHADE), 1)
    if cut.state == CROSSED:
        cv2.line(image, (4, 18), (width - 5, height - 18), GREY, 1, cv2.LINE_AA)
    return image


def _put(image: Pixels, text: str, at: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    # OpenCV's font has no letters beyond ASCII.
    cv2.putText(image, text.encode("ascii", "replace").decode(), at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
