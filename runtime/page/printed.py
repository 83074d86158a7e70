"""The printed lines of a form: how thick and dark they are, where the pen runs along them, and how they are taken off."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels
from .quads import looked_up, sampled


@dataclass(frozen=True)
class PrintedTuning:
    """What is print and what is pen along a printed line; tuned like FormTuning."""

    # Ink darker than the print by this factor is pen.
    max_print_factor: float = 1.3
    # Where a line has more ink than usual by this factor, along a share of it between these two, a stroke of the pen runs
    # along it; if more than the last share of all lines had it, it would be the print.
    min_pen: float = 1.4
    min_pen_run: float = 0.33
    max_pen_run: float = 0.92
    max_pen_share: float = 0.3


PRINTED_TUNING = PrintedTuning()
# Each line is weighed at this many points, and compared with this many lines around it.
ALONG, WEIGHED = 24, 15


def take_off(ink: Pixels, mask: Pixels, lines: NDArray[np.float64]) -> tuple[Pixels, Pixels, Pixels]:
    """Remove printed lines (k, 2, 2); returns ink and mask (H, W) of what remains, and a mask of the lines' surroundings.

    Ink darker than the line is pen and stays. If pen and print are equally dark, what lies between strokes on both sides of a
    line is restored.
    """
    thickness = line_thickness(lines, mask)
    levels = line_levels(lines, ink)
    limit = np.zeros_like(ink)
    around = np.zeros_like(ink)
    upright = np.zeros_like(ink)
    shift, one = 4, 16
    points = np.rint(lines * one).astype(np.int32)
    broad = max(1, math.ceil(thickness + 1.5))
    is_across = np.abs(lines[:, 1, 0] - lines[:, 0, 0]) >= np.abs(lines[:, 1, 1] - lines[:, 0, 1])
    for line, level, across in zip(points, levels, is_across, strict=True):
        value = int(min(255, max(1, PRINTED_TUNING.max_print_factor * level)))
        a, b = (int(line[0, 0]), int(line[0, 1])), (int(line[1, 0]), int(line[1, 1]))
        cv2.line(limit, a, b, value, broad, cv2.LINE_8, shift)
        cv2.line(around, a, b, 255, broad + 3, cv2.LINE_8, shift)
        if not across:
            cv2.line(upright, a, b, 255, broad, cv2.LINE_8, shift)
    for a, b in pen_along(lines, is_across, ink, thickness):
        ends = (round(a[0] * one), round(a[1] * one)), (round(b[0] * one), round(b[1] * one))
        cv2.line(limit, *ends, 0, broad, cv2.LINE_8, shift)
        cv2.line(around, *ends, 0, broad + 3, cv2.LINE_8, shift)
    taken = cv2.bitwise_and(mask, at_least(cv2.subtract(limit, ink), 1))
    strokes = cv2.subtract(mask, taken)
    bridge = broad + 3
    level = cv2.subtract(taken, upright)
    standing = cv2.bitwise_and(taken, upright)
    back = cv2.bitwise_and(level, cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((bridge, 1), np.uint8)))
    back = cv2.bitwise_or(
        back, cv2.bitwise_and(standing, cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, bridge), np.uint8)))
    )
    strokes = cv2.bitwise_or(strokes, back)
    bare = ink.copy()
    bare[(limit > 0) & (strokes == 0)] = 0
    return bare, strokes, around


def pen_along(lines: NDArray[np.float64], is_across: NDArray[np.bool_], ink: Pixels, thickness: float) -> NDArray[np.float64]:
    """Return the parts (m, 2, 2) of printed lines (k, 2, 2) along which a stroke of the pen runs: there is much more ink.

    is_across (k,) says which lines run from left to right, and thickness how thick they usually are, in pixels.
    """
    tuning = PRINTED_TUNING
    # A letter close to a line is not on it.
    reach = math.ceil(thickness / 2) + 1
    share = np.linspace(0.06, 0.94, ALONG)
    points = lines[:, :1] + share[:, None] * (lines[:, 1:] - lines[:, :1])
    across = points[:, :, None] + np.arange(-reach, reach + 1)[:, None] * normals(lines)[:, None, None]
    weight = looked_up(ink, across).astype(np.float32).sum(-1)
    usual = np.median(weight, 1)
    for one in (is_across, ~is_across):
        middles = lines[one].mean(1)
        if len(middles) > WEIGHED:
            # Print is paler in one place than in another, in a shadow for example.
            nearest = np.argpartition(np.abs(middles[:, None] - middles[None]).sum(2), WEIGHED, 1)[:, :WEIGHED]
            usual[one] = np.median(usual[one][nearest], 1)
    is_pen = weight > tuning.min_pen * usual[:, None]
    if is_pen.mean() > tuning.max_pen_share:
        return np.zeros((0, 2, 2))
    found = []
    padded = np.pad(is_pen, ((0, 0), (1, 1))).astype(np.int8)
    rows, starts = np.nonzero(np.diff(padded, axis=1) == 1)
    ends = np.nonzero(np.diff(padded, axis=1) == -1)[1] - 1
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        # A whole line that is darker than others is printed so.
        if tuning.min_pen_run * ALONG <= end - start + 1 <= tuning.max_pen_run * ALONG:
            found.append(points[row, [start, end]])
    return np.array(found).reshape(-1, 2, 2)


def centred(lines: NDArray[np.float64], mask: Pixels) -> NDArray[np.float64]:
    """Move both ends of each line (k, 2, 2) across it by up to a few pixels, to the middle of what is printed."""
    thickness = max(3, round(line_thickness(lines, mask)) | 1)
    soft = cv2.blur(mask, (thickness, thickness))
    normal = normals(lines)[:, None, None]
    shifts = np.arange(-3, 4, dtype=np.float64)
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]
    both, one = np.column_stack([shifts, shifts]), np.column_stack([-shifts, shifts]) / 2
    for moves in (both, one):
        tried = lines[:, None] + moves[None, :, :, None] * normal
        shade = looked_up(soft, sampled(tried)).astype(np.float32).mean(-1)
        lines = tried[np.arange(len(lines)), shade.argmax(-1)]
    return lines


def normals(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vectors (k, 2) across lines (k, 2, 2); shorter ones for lines of less than a pixel."""
    along = lines[:, 1] - lines[:, 0]
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1)
    return np.column_stack([-along[:, 1], along[:, 0]]) / length[:, None]


def line_thickness(lines: NDArray[np.float64], mask: Pixels) -> float:
    """Return how thick lines (k, 2, 2) usually are, in pixels."""
    offsets = np.arange(-8, 9)
    points = sampled(lines)[:, ::3, None] + offsets[:, None] * normals(lines)[:, None, None]
    inked = looked_up(mask, points) > 0
    out = np.cumprod(inked[..., 8:], -1).sum(-1) + np.cumprod(inked[..., 8::-1], -1).sum(-1) - inked[..., 8]
    out = out[inked[..., 8]]
    return float(np.median(out)) if len(out) else 1.0


def line_levels(lines: NDArray[np.float64], ink: Pixels) -> NDArray[np.float64]:
    """Return the usual ink (k,) in the middle of each line (k, 2, 2)."""
    near = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    found: NDArray[np.float64] = np.median(looked_up(near, sampled(lines)), 1)
    return found
