"""What is written by hand on a sheet laid flat: ink without the sheet's own print."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..page.ink import close_strokes, ink_levels, ink_on, shrink
from ..pixels import Pixels
from .align import Lines
from .drawing import captions_of
from .find import FLAT_PX
from .layout import BOX_MM, SheetPage


@dataclass(frozen=True)
class WritingTuning:
    """How writing is told from print. Tuned on generated photographs of sheets of validation writers
    (`python -m lettercast.benchmarks.sheets`).
    """

    # The paper is estimated on a copy with this many pixels a millimetre, in which the reader's window is wider than any pen.
    paper_px: int = 2
    # A line is taken off where it has this share of the least ink of a stroke; strokes on it have this many times its ink.
    line_share: float = 0.6
    over_line: float = 1.6
    # The bands around lines and captions that do not count when the ink of strokes is measured, in millimetres.
    print_mm: float = 0.6
    # Writing reaches this far beyond the boxes.
    reach_mm: float = 4.0


WRITING_TUNING = WritingTuning()


@dataclass(frozen=True)
class Writing:
    """What is written, a mask (H, W) uint8, and how far the lines of each box (n,) reach from their middle, -1 if nowhere."""

    mask: Pixels
    halves: NDArray[np.int64]


def sheet_ink(gray: Pixels) -> Pixels:
    """Return the ink (H, W) uint8 of a sheet laid flat; as its size is known, the paper is followed to the edge of a shadow."""
    small = cv2.blur(shrink(gray, FLAT_PX // WRITING_TUNING.paper_px), (3, 3))
    return ink_on(gray, close_strokes(small, has_paper_rim=True))


def find_writing(ink: Pixels, page: SheetPage, lines: Lines) -> Writing:
    """Return what is written by hand in the ink (H, W) uint8 of a sheet, without the lines and captions of its boxes."""
    tuning, count = WRITING_TUNING, len(lines.sides)
    blank = without_captions(ink, page, lines.sides)
    broad = bands(ink.shape, lines.sides, np.full(count, round(tuning.print_mm * FLAT_PX))).any(0)
    level = ink_levels(np.where(broad, np.uint8(0), blank)).threshold
    mask = at_least(blank, level)
    halves = reach_of(lines.profiles, tuning.line_share * level)
    flat, upright = bands(ink.shape, lines.sides, halves)
    strong = max(level, tuning.over_line * float(lines.profiles.max(initial=0)))
    free = np.where((flat | upright) & (ink < strong), np.uint8(0), mask)
    # A stroke that crosses a line goes on on its other side.
    width = 2 * int(halves.max(initial=0)) + 3
    across = cv2.morphologyEx(free, cv2.MORPH_CLOSE, np.ones((width, 3), np.uint8))
    along = cv2.morphologyEx(free, cv2.MORPH_CLOSE, np.ones((3, width), np.uint8))
    bridged = np.where(flat, across, 0) | np.where(upright, along, 0)
    return Writing(cv2.bitwise_or(free, cv2.bitwise_and(bridged.astype(np.uint8), mask)), halves)


def without_captions(ink: Pixels, page: SheetPage, sides: NDArray[np.float64]) -> Pixels:
    """Return the ink (H, W) uint8 near the boxes, without their captions."""
    blank = np.zeros_like(ink)
    reach = round(WRITING_TUNING.reach_mm * FLAT_PX)
    for left, top, right, bottom in np.rint(sides).astype(int).tolist():
        near = slice(max(0, top - reach), bottom + reach + 1), slice(max(0, left - reach), right + reach + 1)
        blank[near] = ink[near]
    margin = WRITING_TUNING.print_mm / 2
    for box, own in zip(page.boxes, sides, strict=True):
        # Captions move with their box.
        moved = own[:2] - FLAT_PX * np.array([box.left, box.top])
        for text in captions_of(box, page):
            left, top, right, bottom = (np.array(text.area) + margin * np.array([-1, -1, 1, 1])) * FLAT_PX + np.tile(moved, 2)
            blank[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = 0
    return blank


def reach_of(profiles: NDArray[np.float64], level: float) -> NDArray[np.int64]:
    """Return how far lines reach from their middle, (n,) pixels, where they have this much ink; -1 if nowhere."""
    middle = profiles.shape[1] // 2
    distance = np.abs(np.arange(profiles.shape[1]) - middle)
    return np.where(profiles >= level, distance, -1).max(1)


def bands(shape: tuple[int, ...], sides: NDArray[np.float64], halves: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return masks (2, H, W) of the level lines and of the upright lines of boxes, this many pixels (n,) wide on each side."""
    found = np.zeros((2, *shape), bool)
    for (left, top, right, bottom), half in zip(np.rint(sides).astype(int).tolist(), halves.tolist(), strict=True):
        across, down = slice(max(0, left - half), right + half + 1), slice(max(0, top - half), bottom + half + 1)
        for y in (top, bottom):
            found[0, max(0, y - half) : max(0, y + half + 1), across] = True
        for x in (left, right):
            found[1, down, max(0, x - half) : max(0, x + half + 1)] = True
    return found


def owners_of(writing: Writing, sides: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the number of the box (from 1) to which each pixel (H, W) of writing belongs; 0 is nobody's.

    Connected ink belongs to the box that has most of it; if two boxes have much of it, each has what is nearer to it. Ink that
    lies on lines and outside of boxes alone is what is left of print.
    """
    tuning, mask = OWNER_TUNING, writing.mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    inside, nearest = (np.zeros(mask.shape, np.int32) for _ in range(2))
    reach = round(BOX_MM * FLAT_PX / 4)
    whole = np.rint(sides).astype(int).tolist()
    for number, (left, top, right, bottom) in enumerate(whole, 1):
        near = nearest[max(0, top - reach) : bottom + reach + 1, max(0, left - reach) : right + reach + 1]
        near[near == 0] = number
    for number, ((left, top, right, bottom), half) in enumerate(zip(whole, writing.halves.tolist(), strict=True), 1):
        inset = half + 1 + tuning.inset_px
        nearest[top : bottom + 1, left : right + 1] = number
        inside[top + inset : bottom + 1 - inset, left + inset : right + 1 - inset] = number
    inked = mask > 0
    pieces = np.asarray(labels, np.intp)[inked]
    shares = np.bincount(pieces * (len(sides) + 1) + inside[inked], minlength=count * (len(sides) + 1)).reshape(count, -1)
    shares = shares[:, 1:] / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)[:, None]
    owner = np.where(shares.sum(1) >= tuning.min_inside, shares.argmax(1) + 1, 0)
    is_shared = (shares >= tuning.min_share).sum(1) > 1
    owners = np.zeros(mask.shape, np.int32)
    owners[inked] = np.where(is_shared[pieces], nearest[inked], owner[pieces])
    return owners


@dataclass(frozen=True)
class OwnerTuning:
    """To which box a stroke belongs. Tuned like WritingTuning."""

    # At least this share of a stroke lies in boxes, so many pixels from their lines.
    min_inside: float = 0.2
    inset_px: int = 3
    # A stroke in two boxes is parted if each has this share of it.
    min_share: float = 0.15


OWNER_TUNING = OwnerTuning()
