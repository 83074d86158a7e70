"""Find a sheet to write on in a photograph by its marks, and lay it flat."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..page.ink import to_gray
from ..page.photo import downscale
from ..pixels import Pixels
from .layout import CORNER_PLACES, KNOWN, LABEL_PLACE, MARK_IDS, PLACES, VERSION, SheetPage, page_of, version_of
from .marks import find_marks

# A flat sheet has this many pixels a millimetre: a box has 108, and a thin pen is 3 wide.
FLAT_PX = 8
# On larger photographs marks are looked for in a smaller copy.
MAX_MARK_SIDE_PX = 3000
MIN_MARKS = 3
# A box of a photograph has at least this many pixels in each direction; a letter fills about half of it.
MIN_BOX_PX = 30
# Marks of one flat sheet lie where its perspective says, up to this.
MAX_BEND_MM = 4.0
WHOLE = "photograph the whole sheet, all five marks"


@dataclass(frozen=True)
class FlatSheet:
    """A sheet laid flat: its page, its image (H, W) uint8 with FLAT_PX pixels a millimetre, and how many marks were seen."""

    page: SheetPage
    gray: Pixels
    marks: int


@dataclass(frozen=True)
class Marks:
    """The marks of one sheet: the code at its corners, its marks (4, 2) in pixels by place, and the code at its bottom."""

    code: int
    quads: dict[int, NDArray[np.float64]]
    label_code: int | None


def flatten(image: Pixels, labels: Sequence[str] | None = None) -> FlatSheet:
    """Find the one sheet in a photograph, and lay it flat.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8; the sheet may lie in any direction.
        labels: the labels of a sheet of other labels than A to Z.

    Raises:
        LettercastError: there is no sheet, more than one, one of another version or of other labels, or too little of it.
    """
    gray = to_gray(image)
    marks = sheet_marks(*seen_marks(gray))
    page = known_page(marks, labels)
    quads = marks.quads
    flat = np.concatenate([page.marks[place] for place in quads])
    seen = np.concatenate(list(quads.values()))
    found: Any = cv2.findHomography(flat, seen)[0]
    matrix = np.eye(3) if found is None else np.asarray(found, np.float64)
    # The marks of a sheet that is not quite flat do not fit exactly.
    bend = float(np.hypot(*(mapped(np.asarray(np.linalg.inv(matrix), np.float64), seen) - flat).T).max())
    if not bend <= MAX_BEND_MM:
        raise LettercastError("the marks do not lie on one flat sheet; lay the sheet on a table, and photograph it alone")
    width, height = page.size
    finest = check_size(page, matrix)
    step = int(finest // FLAT_PX)
    if step > 1:
        # A perspective takes single pixels, so that a much larger photograph would be noisy.
        size = gray.shape[1] // step, gray.shape[0] // step
        matrix = np.diag([size[0] / gray.shape[1], size[1] / gray.shape[0], 1.0]) @ matrix
        gray = downscale(gray, size)
    flat_size = round(width * FLAT_PX), round(height * FLAT_PX)
    # Pixel centres are half a pixel from the corner.
    to_mm = np.array([[1 / FLAT_PX, 0, 0.5 / FLAT_PX], [0, 1 / FLAT_PX, 0.5 / FLAT_PX], [0, 0, 1]])
    whole = cv2.warpPerspective(
        gray, matrix @ to_mm, flat_size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return FlatSheet(page, whole, len(quads))


def seen_marks(gray: Pixels) -> tuple[list[int], NDArray[np.float64]]:
    """Find marks in an image (H, W) uint8 of any size; returns ids (n,) and corners (n, 4, 2)."""
    longer = max(gray.shape)
    if longer <= MAX_MARK_SIDE_PX:
        return find_marks(gray)
    size = [max(1, round(side * MAX_MARK_SIDE_PX / longer)) for side in gray.shape[::-1]]
    ids, quads = find_marks(downscale(gray, (size[0], size[1])))
    scale = np.array(gray.shape[::-1]) / size
    # Pixel centres again.
    return ids, (quads + 0.5) * scale - 0.5


def sheet_marks(ids: Sequence[int], quads: NDArray[np.float64]) -> Marks:
    """Return the marks of the one sheet among those found; raises LettercastError if there is none, or another one."""
    own = [(*divmod(number, len(PLACES)), quad) for number, quad in zip(ids, quads, strict=True) if number < MARK_IDS]
    corners = Counter(code for code, place, _ in own if place in CORNER_PLACES)
    # Strokes rarely look like a mark, and never like two of the same sheet.
    sheets = [code for code, count in corners.items() if count > 1]
    if not sheets:
        found = f"only {len(own)} of its 5 marks" if own else "none of its 5 marks"
        raise LettercastError(f"shows no sheet, {found}; {WHOLE}, sharp and from near")
    places = [place for code, place, _ in own if code == sheets[0]]
    if len(sheets) > 1 or any(places.count(place) > 1 for place in CORNER_PLACES):
        raise LettercastError("shows more than one sheet; photograph each sheet alone")
    found = {place: quad for code, place, quad in own if code == sheets[0] and place in CORNER_PLACES}
    bottom = [(code, quad) for code, place, quad in own if place == LABEL_PLACE]
    label_code = bottom[0][0] if len(bottom) == 1 else None
    if label_code is not None:
        found[LABEL_PLACE] = bottom[0][1]
    if len(found) < MIN_MARKS:
        raise LettercastError(f"shows only {len(found)} of the sheet's 5 marks, and {MIN_MARKS} are needed; {WHOLE}")
    return Marks(sheets[0], found, label_code)


def known_page(marks: Marks, labels: Sequence[str] | None) -> SheetPage:
    """Return the page that the marks stand for; raises LettercastError if it is of another version, or of other labels."""
    version = version_of(marks.code)
    if version != VERSION:
        raise LettercastError(
            f"a sheet of version {version}, and this lettercast reads version {VERSION}; print a new one with lettercast sheet"
        )
    page = page_of(marks.code, labels)
    if page and not page.labels:
        raise LettercastError("a sheet of labels of your own; give the same --labels that you gave to lettercast sheet")
    if labels and page and page.kind in KNOWN and tuple(labels) != page.labels:
        raise LettercastError(
            f"a sheet whose marks name its {len(page.labels)} labels, {page.labels[0]} to {page.labels[-1]}; leave --labels out"
        )
    if page is None or marks.label_code not in (None, page.label_code):
        raise LettercastError("a sheet of other labels; give the same --labels that you gave to lettercast sheet")
    return page


def check_size(page: SheetPage, matrix: NDArray[np.float64]) -> float:
    """Return how many pixels of the photograph a millimetre has at most; raises LettercastError if a box has too few."""
    quads = np.array([box.corners for box in page.boxes])
    seen = mapped(matrix, quads.reshape(-1, 2)).reshape(quads.shape)
    sides = np.linalg.norm(np.roll(seen, -1, 1) - seen, axis=2)
    smallest = float(sides.min())
    if smallest < MIN_BOX_PX:
        raise LettercastError(
            f"too small: a box of the sheet is {smallest:.0f} pixels wide, and {MIN_BOX_PX} are needed; photograph it from nearer"
        )
    return float(sides.max()) / float(np.linalg.norm(quads[0, 1] - quads[0, 0]))


def mapped(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, 2) after a perspective (3, 3)."""
    seen = np.column_stack([points, np.ones(len(points))]) @ np.asarray(matrix, np.float64).T
    return seen[:, :2] / seen[:, 2:]
