"""Cut the letters out of the boxes of a sheet laid flat, and tell empty and crossed-out boxes from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import glyph
from ..page.ink import CROP_TUNING
from ..pixels import Pixels
from .align import find_lines
from .find import FLAT_PX, FlatSheet
from .layout import BOX_MM, SheetBox
from .writing import find_writing, owners_of, sheet_ink

LETTER, EMPTY, CROSSED = STATES = ("letter", "empty", "crossed out")


@dataclass(frozen=True)
class CutTuning:
    """What in a box is a letter. Tuned on generated photographs of sheets of validation writers
    (`python -m lettercast.benchmarks.sheets`).
    """

    # A letter is at least this long, in millimetres.
    min_letter_mm: float = 1.5
    # What is no thicker and no shorter than this, and so near to a side of the box, is left of its line.
    max_line_mm: float = 0.7
    min_line_mm: float = 3.0
    near_line_mm: float = 1.5
    # Ink fainter than this share of the sheet's other letters is none.
    min_strength_share: float = 0.45


CUT_TUNING = CutTuning()
# The strength of a letter is this percentile of its ink.
STRENGTH_PERCENTILE = 80


@dataclass(frozen=True)
class Cut:
    """What stands in one box: LETTER, EMPTY or CROSSED; its ink (h, w) uint8, cut out tightly, and the corner of that ink.

    The corner is given in millimetres of the page, as if the box were printed exactly where it should be.
    """

    box: SheetBox
    state: str
    ink: Pixels
    corner: tuple[float, float]

    @cached_property
    def glyph_image(self) -> Pixels:
        """The letter (28, 28, 1) uint8 as networks read it."""
        return glyph(self.ink)[..., None]


def cut_letters(sheet: FlatSheet) -> list[Cut]:
    """Return what stands in each box of a sheet."""
    ink = sheet_ink(sheet.gray)
    lines = find_lines(ink, sheet.page)
    owners = owners_of(find_writing(ink, sheet.page, lines), lines.sides)
    return without_faint([_cut(box, ink, owners, i + 1, lines.sides[i]) for i, box in enumerate(sheet.page.boxes)])


def without_faint(cuts: Sequence[Cut]) -> list[Cut]:
    """Return cuts of which those that are much fainter than most are EMPTY: a smudge, or what is left of a line."""
    strengths = [float(np.percentile(cut.ink[cut.ink > 0], STRENGTH_PERCENTILE)) if cut.ink.any() else 0.0 for cut in cuts]
    usual = np.median([strength for strength in strengths if strength] or [0.0])
    least = CUT_TUNING.min_strength_share * float(usual)
    return [cut if strength >= least else empty(cut.box) for cut, strength in zip(cuts, strengths, strict=True)]


def empty(box: SheetBox) -> Cut:
    """Return the cut of an empty box."""
    return Cut(box, EMPTY, np.zeros((0, 0), np.uint8), (box.left, box.top))


def lines_among(stats: NDArray[Any], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which components (n, 5), OpenCV's statistics, are left of the lines of a box with these sides in pixels."""
    tuning = CUT_TUNING
    x, y, w, h, _ = stats.T
    thick, long, near = (FLAT_PX * length for length in (tuning.max_line_mm, tuning.min_line_mm, tuning.near_line_mm))
    left, top, right, bottom = sides
    level = (h <= thick) & (w >= long) & (np.minimum(np.abs(y + h / 2 - top), np.abs(y + h / 2 - bottom)) <= near)
    upright = (w <= thick) & (h >= long) & (np.minimum(np.abs(x + w / 2 - left), np.abs(x + w / 2 - right)) <= near)
    is_line: NDArray[np.bool_] = level | upright
    return is_line


def _cut(box: SheetBox, ink: Pixels, owners: NDArray[np.int32], number: int, sides: NDArray[np.float64]) -> Cut:
    """Cut out what belongs to a box with this number and these sides in pixels."""
    reach = round(BOX_MM * FLAT_PX / 2)
    left, top, right, bottom = np.rint(sides).astype(int).tolist()
    x, y = max(0, left - reach), max(0, top - reach)
    around = np.s_[y : bottom + reach, x : right + reach]
    own = (owners[around] == number).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    is_line = lines_among(stats, sides - np.array([x, y, x, y]))
    area[is_line] = 0
    kept = (area >= max(2.0, CROP_TUNING.min_speck_share * float(area.sum()))).astype(np.uint8)
    grown = cv2.dilate(kept[labels], np.ones((3, 3), np.uint8))
    a, b, w, h = cv2.boundingRect(grown)
    if count <= 1 or not kept.any() or max(w, h) < CUT_TUNING.min_letter_mm * FLAT_PX:
        return empty(box)
    piece = ink[around] * grown
    corner = (box.left + (x + a - sides[0]) / FLAT_PX, box.top + (y + b - sides[1]) / FLAT_PX)
    return Cut(box, LETTER, piece[b : b + h, a : a + w], corner)
