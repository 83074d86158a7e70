"""Find ruled lines on a page, straight or gently curved, by a Hough transform."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels


@dataclass(frozen=True)
class CurveTuning:
    """Which long thin lines count as ruled lines.

    Tuned on ruled and squared pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # Bars of letters are shorter than this share of the image.
    min_long_run_share: float = 0.08
    # In rows per column.
    max_slope: float = 1.1
    # If an image has this many lines, it shows ruled paper.
    min_rules: int = 3
    # Shorter runs, in columns, belong to letters or dust.
    min_run: int = 4
    # Keeps a parabola straight if it has few points.
    stiffness: float = 1.0
    # Between two rules that are twice as far apart as those around them, within this share of the usual distance, letters hide
    # one; it is looked for if there are at least this many rules.
    max_distance_error: float = 0.12
    min_even: int = 8
    # Each fit uses the points this near the last one, in thicknesses.
    max_fit_distances: tuple[float, float, float] = (1.5, 1.0, 0.5)


CURVE_TUNING = CurveTuning()
MAX_CURVES = 150


@dataclass(frozen=True)
class LengthTuning:
    """How long a ruled line must be; tuned like CurveTuning.

    min_votes is the share of the image's width that votes for the line, min_span the share that it spans, min_long the share
    that it fills by long runs; min_present is the share of its span that it fills.
    """

    min_votes: float
    min_span: float
    min_present: float
    min_long: float


UNRULED_TUNING = LengthTuning(min_votes=0.3, min_span=0.5, min_present=0.55, min_long=0.25)
# Ruled paper has more lines than those that are clearly visible: writing hides them, or the image's corners cut them off.
RULED_TUNING = LengthTuning(min_votes=0.1, min_span=0.1, min_present=0.3, min_long=0.1)


@dataclass(frozen=True)
class Curve:
    """A line through an image: its row is (a * column + b) * column + c, and it spans the columns [start, end)."""

    parabola: tuple[float, float, float]
    start: int
    end: int

    def rows(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the line's row at each column (n,)."""
        return row_at(self.parabola, columns)

    def extremes(self, first: float, last: float) -> tuple[float, float]:
        """Return the line's least and greatest row between two columns."""
        a, b, c = self.parabola
        columns = [first, last]
        if first < (turn := -b / (2 * a) if a else first) < last:
            columns.append(turn)
        rows = [(a * column + b) * column + c for column in columns]
        return min(rows), max(rows)


@dataclass(frozen=True)
class Points:
    """Points that may lie on lines, from the left: columns (n,), and cells (n, slopes) of the Hough transform.

    terms (4, n) are the squares of their columns, the columns, ones, and their rows, all whole pixels.
    """

    columns: NDArray[np.int64]
    terms: NDArray[np.float64]
    cells: NDArray[np.int64]


def find_curves(mask: Pixels, thickness: int) -> list[Curve]:
    """Find the lines from left to right that are at most `thickness` pixels thick, the clearest first.

    The cell of a Hough transform over slope and height with the most votes starts a curve; the curve's points leave the
    transform before the search for the next one.

    Args:
        mask: (H, W) uint8 of 0 and 255; may be squeezed along its rows.
        thickness: in pixels.
    """
    bars, width = find_bars(mask, thickness), mask.shape[1]
    if cv2.countNonZero(bars) < max(1, UNRULED_TUNING.min_votes * width):
        return []
    # From the left. As True and False NumPy finds them in a fifth of the time.
    columns, rows = np.divmod(cv2.transpose(bars).view(bool).ravel().nonzero()[0], mask.shape[0])
    slopes = slopes_of(width, thickness)
    # Cells are half as high as a line is thick; the lowest belongs to the steepest line above the image.
    cell = max(1, thickness // 2)
    heights = rows[:, None].astype(np.float32) - (columns[:, None] - width / 2).astype(np.float32) * slopes
    lowest = heights.min()
    cells = ((heights - lowest) / cell).astype(np.intp)
    count = int(cells.max()) + 1
    cells += np.arange(len(slopes)) * count
    terms = np.array([columns * columns, columns, np.ones_like(columns), rows], np.float64)
    points, free = Points(columns, terms, cells), np.ones(len(rows), bool)
    votes = np.bincount(cells.ravel(), minlength=count * len(slopes))
    curves: list[Curve] = []
    for _ in range(MAX_CURVES):
        fullest = int(votes.argmax())
        length = RULED_TUNING if len(curves) >= CURVE_TUNING.min_rules else UNRULED_TUNING
        if votes[fullest] < length.min_votes * width:
            break
        slope, height = slopes[fullest // count], lowest + (fullest % count + 0.5) * cell
        parabola, own = fit_parabola(points, free, (0.0, float(slope), float(height - slope * width / 2)), thickness)
        if is_long(own_columns := columns[own], width, length):
            curves.append(Curve(parabola, int(own_columns[0]), int(own_columns[-1]) + 1))
        # All points that vote for this cell leave with the curve's, so that the search continues elsewhere.
        own |= free & (points.cells[:, fullest // count] == fullest)
        votes -= np.bincount(points.cells[own].ravel(), minlength=len(votes))
        free &= ~own
    return curves


@lru_cache(maxsize=16)
def slopes_of(width: int, thickness: int) -> NDArray[np.float32]:
    """Return the slopes of lines through an image of this width that differ by no more than a thickness at its sides."""
    steepest = CURVE_TUNING.max_slope
    return np.linspace(-steepest, steepest, 2 * math.ceil(steepest * width / thickness) + 1, dtype=np.float32)


def with_hidden(curves: list[Curve], width: int) -> list[Curve]:
    """Return the rules across an image of this width with those that letters hide: the rules of a sheet are evenly spaced.

    What a rule absorbs is measured along it, so that one that is not there takes nothing away.
    """
    if len(curves) < CURVE_TUNING.min_even:
        return curves
    curves = sorted(curves, key=lambda curve: row_of_middle(curve, width))
    gaps = np.diff([row_of_middle(curve, width) for curve in curves])
    usual = [float(np.median(gaps[max(0, k - CURVE_TUNING.min_even) : k + CURVE_TUNING.min_even + 1])) for k in range(len(gaps))]
    hidden = []
    for (one, other), gap, step in zip(pairwise(curves), gaps.tolist(), usual, strict=True):
        if abs(gap - 2 * step) <= CURVE_TUNING.max_distance_error * step:
            (a, b, c), (d, e, f) = one.parabola, other.parabola
            hidden.append(Curve(((a + d) / 2, (b + e) / 2, (c + f) / 2), min(one.start, other.start), max(one.end, other.end)))
    return curves + hidden


def row_of_middle(curve: Curve, width: int) -> float:
    """Return the row of a curve at the middle of an image of this width."""
    return float(row_at(curve.parabola, np.array(width / 2)))


def find_bars(mask: Pixels, thickness: int) -> Pixels:
    """Return (H, W) uint8 with 255 on what is at most `thickness` pixels thick and has the least length of a run."""
    # Transposed, because squeezed masks are narrow, and OpenCV works faster on few long rows.
    turned = cv2.transpose(mask)
    # Erosion and dilation with anchors: cv2.MORPH_OPEN shifts by a pixel if the kernel is even, and keeps a row of thick strokes.
    kernel = np.ones((1, thickness + 1), np.uint8)
    thick = cv2.dilate(cv2.erode(turned, kernel, anchor=(0, 0)), kernel, anchor=(thickness, 0))
    thin = cv2.subtract(turned, thick)
    # One row more on either side keeps a climbing line in one run.
    shortest = np.ones((CURVE_TUNING.min_run, 1), np.uint8)
    runs = cv2.morphologyEx(cv2.dilate(thin, np.ones((1, 3), np.uint8)), cv2.MORPH_OPEN, shortest)
    return cv2.transpose(cv2.bitwise_and(thin, runs))


def fit_parabola(
    points: Points, free: NDArray[np.bool_], parabola: tuple[float, float, float], thickness: int
) -> tuple[tuple[float, float, float], NDArray[np.bool_]]:
    """Fit a parabola to the free points near a first guess by least squares; returns it and which points (n,) lie on it."""
    first, *later = CURVE_TUNING.max_fit_distances
    own = (free & are_near(parabola, points.terms, first * thickness)).nonzero()[0]
    near, terms = own, points.terms.take(own, 1)
    some = terms
    for distance in later:
        if len(own) < 3 or (low := float(some[1, 0])) + 3 > (high := float(some[1, -1])):
            break
        # The sums of the powers of columns, and of their products with rows: whole numbers, and exact.
        (s4, s3, s2, y2), (_, _, s1, y1), (_, _, s0, y0), _ = (some @ some.T).tolist()
        # Columns relative to their middle keep the normal equations well conditioned.
        m = round(s1 / s0)
        s4 += m * (m * (6 * s2 + m * (m * s0 - 4 * s1)) - 4 * s3)
        s3 += m * (m * (3 * s1 - m * s0) - 3 * s2)
        y2 += m * (m * y0 - 2 * y1)
        s2 += m * (m * s0 - 2 * s1)
        # Stiffness is that of columns which run from -1 to 1.
        stiffness = CURVE_TUNING.stiffness * ((high - low) / 2) ** 4
        a, b, c = solve((s4 + stiffness, s3, s2, s1 - m * s0, s0), (y2, y1 - m * y0, y0))
        parabola = (a, b - 2 * a * m, c - b * m + a * m * m)
        close = are_near(parabola, terms, distance * thickness).nonzero()[0]
        own, some = near.take(close), terms.take(close, 1)
    is_own = np.zeros(len(free), bool)
    is_own[own] = True
    return parabola, is_own


def are_near(parabola: tuple[float, float, float], terms: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    """Return which points (n,) with these terms (4, n), see Points, lie this near to a parabola, in rows."""
    a, b, c = parabola
    off = np.array([-a, -b, -c, 1.0]) @ terms
    near: NDArray[np.bool_] = np.abs(off, out=off) <= distance
    return near


def solve(sums: tuple[float, float, float, float, float], right: tuple[float, float, float]) -> tuple[float, float, float]:
    """Solve the normal equations ((s4, s3, s2), (s3, s2, s1), (s2, s1, s0)) of a parabola by Cramer's rule.

    np.linalg.solve takes ten times as long for three equations.
    """
    (s4, s3, s2, s1, s0), (y2, y1, y0) = sums, right
    first, second, third = s2 * s0 - s1 * s1, s1 * s2 - s3 * s0, s3 * s1 - s2 * s2
    middle, last, mixed = s4 * s0 - s2 * s2, s4 * s2 - s3 * s3, s2 * s3 - s4 * s1
    whole = s4 * first + s3 * second + s2 * third
    return (
        (first * y2 + second * y1 + third * y0) / whole,
        (second * y2 + middle * y1 + mixed * y0) / whole,
        (third * y2 + mixed * y1 + last * y0) / whole,
    )


def row_at(parabola: tuple[float, float, float], columns: NDArray[Any]) -> NDArray[np.float64]:
    """Return the row of a parabola at each column (n,)."""
    a, b, c = parabola
    return (a * columns + b) * columns + c


def is_long(columns: NDArray[np.int64], width: int, length: LengthTuning) -> bool:
    """Return whether a line that fills these columns (n,), from the left, of an image of this width is a ruled line.

    Otherwise it is a row of letters' bars.
    """
    if not len(columns) or (span := int(columns[-1] - columns[0])) < length.min_span * width:
        return False
    filled = np.zeros(width, bool)
    filled[columns] = True
    # A gap of one column, by dust or by a crossing line, does not end a run.
    filled[1:-1] |= filled[:-2] & filled[2:]
    ends = run_ends(filled).tolist()
    runs = [end - start for start, end in zip(ends[::2], ends[1::2], strict=True)]
    long = sum(run for run in runs if run >= CURVE_TUNING.min_long_run_share * width)
    return sum(runs) >= length.min_present * span and long >= length.min_long * width


def run_ends(filled: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where each run of True in (n,) starts and ends, one after the other; np.diff takes twice as long for so few."""
    bounded = np.zeros(len(filled) + 2, bool)
    bounded[1:-1] = filled
    return (bounded[1:] != bounded[:-1]).nonzero()[0]
