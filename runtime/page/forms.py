"""Find the boxes, combs and short lines of a form, one for each letter.

A row of places is grown from what is plain to see: empty boxes, boxes whose letter does not touch the sides, lines without a
letter. The next box is looked for where the last step leads, and counts if its sides are there, so that rows may be turned,
seen at an angle, or bent a little.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels
from .boxes import box_rows
from .combs import comb_row, line_rows
from .components import find_components
from .quads import FORM_TUNING, PlaceRow, are_covered, find_quads, plain_size
from .rows import mended
from .strokes import Pieces

# Dashes and remains of faint lines are no thicker and no longer than this, in pixels; a page of them has at least this many, and
# at least this share of its pieces. Their gaps are shorter than the last number, as a share of the image's longer side.
MAX_DASH_PX, MIN_DASHES, MIN_DASHES_SHARE, MAX_GAP = (5, 80), 40, 0.3, 0.009
# The two dashes at a corner are no longer than this, as a share of the image's longer side.
CORNER = 0.012
# Faint lines have this share of the ink that strokes have.
FAINT = 0.6
# Of the lower edge of boxes at least this share lies in them, if it is raised by the second share of their height. Every fourth
# column shows it.
MIN_FOOT, MAX_FOOT, FOOT_STEP = 0.8, 0.25, 4
# Of more holes only a sample is looked at to tell squared paper.
MAX_HOLES = 120


def may_be_form(mask: Pixels, size: float) -> bool:
    """Return whether to look for a form on a page whose ruled lines can be removed; size is that of its letters in pixels.

    Squares smaller than the letters are squared paper. If the cells of a grid are so large that few of them fill the image, its
    letters are found as well without its rules.
    """
    tuning = FORM_TUNING
    small = at_least(cv2.resize(mask, (mask.shape[1] // 2, mask.shape[0] // 2), interpolation=cv2.INTER_AREA), 64)
    outlines, tree = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return False
    is_hole = (tree[0][:, 3] >= 0).tolist()
    holes = [one for one, hole in zip(outlines, is_hole, strict=True) if hole]
    # On squared paper a sample is enough.
    every = max(1, len(holes) // MAX_HOLES)
    quads = 2 * find_quads(holes[::every], tuning.min_box_px / 2)
    if len(quads) >= tuning.min_places - 1:
        heights = [plain_size(quad)[1] for quad in quads.tolist()]
        # A letter cuts boxes into smaller ones.
        height = sorted(heights)[len(heights) * 3 // 4]
        fits = tuning.min_letter * height <= size <= tuning.max_letter * height
        is_squared = every * len(quads) >= tuning.min_squares and not fits
        is_card = len(quads) < tuning.min_large and height > tuning.max_box_share * mask.shape[0]
        if is_squared or is_card:
            return False
        if every * len(quads) >= 2 * tuning.min_places:
            return True
    boxes = [cv2.boundingRect(one) for one, hole in zip(outlines, is_hole, strict=True) if not hole]
    outer = 2 * np.array(boxes, np.int64).reshape(-1, 4)
    return bool(is_comb_shaped(outer, mask.shape).any() or is_line_shaped(outer).sum() >= tuning.min_places - 1)


def may_be_broken(pieces: Pieces) -> bool:
    """Return whether a page may have a form whose lines are dashed or so faint that they fall to pieces."""
    if len(pieces.boxes) < MIN_DASHES:
        return False
    sides = np.sort(pieces.boxes[:, 2:], 1)
    dashes = (sides[:, 0] <= MAX_DASH_PX[0]) & (sides[:, 1] <= MAX_DASH_PX[1])
    return bool(dashes.sum() >= max(MIN_DASHES, MIN_DASHES_SHARE * len(sides)))


def joined_print(ink: Pixels, mask: Pixels) -> Pixels:
    """Return a mask (H, W) uint8 of faint lines as well, and with the gaps between dashes closed."""
    inked = ink[mask > 0]
    level = FAINT * int(inked.min()) if len(inked) else 255
    faint = cv2.bitwise_or(mask, at_least(ink, max(1, round(level))))
    found = find_components(faint)
    sizes = found.boxes[:, 2:]
    thin, long = np.sort(sizes, 1).T
    # At the corner of a box two dashes are one.
    is_dash = ((thin <= MAX_DASH_PX[0]) & (long <= MAX_DASH_PX[1])) | (long <= CORNER * max(mask.shape))
    is_dash[0] = False
    flat, upright = np.zeros_like(faint), np.zeros_like(faint)
    own = found.labels[found.inked]
    for dashes, one in ((flat, sizes[:, 0] >= sizes[:, 1]), (upright, sizes[:, 1] >= sizes[:, 0])):
        dashes[found.inked] = np.where(is_dash & one, np.uint8(255), np.uint8(0))[own]
    gap = 2 * round(MAX_GAP * max(mask.shape) / 2) + 1
    whole = faint
    # One pixel more beside a line keeps the dashes of a turned one together; lines across come twice for the corners of boxes.
    for dashes, beside, along in ((flat, (3, 1), (1, gap)), (upright, (1, 3), (gap, 1)), (flat, (3, 1), (1, gap))):
        # A dash that touches a letter or another line is part of it.
        around = cv2.dilate(dashes, np.ones((2 * along[0] + 1, 2 * along[1] + 1), np.uint8))
        broad = cv2.dilate(cv2.bitwise_or(dashes, cv2.bitwise_and(around, whole)), np.ones(beside, np.uint8))
        broad = cv2.morphologyEx(broad, cv2.MORPH_CLOSE, np.ones(along, np.uint8))
        whole = cv2.bitwise_or(whole, cv2.erode(broad, np.ones(beside, np.uint8)))
    return whole


def find_rows(mask: Pixels, pieces: Pieces) -> list[PlaceRow]:
    """Return the rows of places on a page, from the top; empty without a form."""
    outer, boxes = pieces.outlines, pieces.boxes
    quads = find_quads(pieces.holes, FORM_TUNING.min_box_px)
    long = [outer[i] for i in np.flatnonzero(is_comb_shaped(boxes, mask.shape))]
    flat = [outer[i] for i in np.flatnonzero(is_line_shaped(boxes))]
    tuning = FORM_TUNING
    if len(quads) < tuning.min_places - 1 and not long and len(flat) < tuning.min_places - 1:
        return []
    near = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    rows = box_rows(quads, mask, near)
    # The lower edge of a row of boxes looks like a comb, and takes as long to be looked at.
    combs = (comb_row(outline, mask) for outline in long if not is_foot(outline, rows))
    rows += [row for row in combs if row and not is_taken(row, rows)]
    rows += [row for row in line_rows(flat, near) if not is_taken(row, rows)]
    if max((len(row.places) for row in rows), default=0) < tuning.min_places:
        return []
    return sorted(mended(rows, near), key=lambda row: row.places[:, 2:, 1].mean())


def is_comb_shaped(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are long and low enough for a comb on a page of this shape (height, width)."""
    tuning = FORM_TUNING
    return (boxes[:, 2] >= tuning.min_comb_aspect * boxes[:, 3]) & (boxes[:, 2] >= max(60, 0.12 * shape[1])) & (boxes[:, 3] >= 6)


def is_line_shaped(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are low enough for a line under one letter, if the page is turned a little."""
    return (boxes[:, 2] >= FORM_TUNING.min_box_px) & (boxes[:, 3] <= (0.35 * boxes[:, 2]))


def is_taken(row: PlaceRow, rows: Sequence[PlaceRow]) -> bool:
    """Return whether places of a row lie in rows that were found before."""
    feet = row.places[:, 2:].mean(1) + 0.15 * (row.places[:, :2].mean(1) - row.places[:, 2:].mean(1))
    return bool(are_covered([quad for other in rows for quad in other.places], feet).mean() > 0.3)


def is_foot(outline: NDArray[Any], rows: Sequence[PlaceRow]) -> bool:
    """Return whether the lower edge of an outline (n, 1, 2) is that of places in rows that were found before."""
    if not rows:
        return False
    x, y = outline[:, 0].T
    bottom = np.full(int(x.max()) + 1, -1)
    np.maximum.at(bottom, x, y)
    columns = np.flatnonzero(bottom >= 0)[::FOOT_STEP]
    height = max(plain_size(row.places[0].tolist())[1] for row in rows)
    feet = np.column_stack([columns.astype(np.float64), bottom[columns] - MAX_FOOT * height])
    return bool(are_covered([quad for row in rows for quad in row.places], feet).mean() > MIN_FOOT)
