"""Long thin lines of a picture, straight or gently curved, by a Hough transform."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels

# Runs of this share of the picture are longer than letters' bars.
LONG_RUN_SHARE = 0.08
# Steepest line, in rows a column.
STEEPEST = 1.1
# A cell of the transform is worth a look where it is filled along this share of the picture.
FULL_SHARE, FULL_SHARE_RULED = 0.3, 0.1
# From this many lines on a picture is of ruled paper.
FEWEST_RULES = 3
MOST_CURVES = 150
# Runs shorter than this are letters' or dust, in columns.
SHORTEST_RUN = 4
# Keeps a parabola straight where its points are few.
STIFFNESS = 1.0
# From a straight line to a parabola: points this near, in thicknesses, make the next fit.
FIT_WITHIN = (1.5, 1.0, 0.5)


@dataclass(frozen=True)
class Length:
    """How long a line must be: the share of the picture that it spans, of the span that it fills, of the picture in long runs."""

    span: float
    present: float
    long: float


UNRULED, RULED = Length(span=0.5, present=0.55, long=0.25), Length(span=0.1, present=0.3, long=0.1)


@dataclass(frozen=True)
class Curve:
    """A line through a picture: its row is (a * column + b) * column + c, and it spans the columns [start, end)."""

    parabola: tuple[float, float, float]
    start: int
    end: int

    def rows(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return its row at each column (n,)."""
        return row_at(self.parabola, columns)


@dataclass(frozen=True)
class Points:
    """Points that may lie on lines: rows and columns (n,) in pixels, and their cells (n, slopes) of the transform."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    cells: NDArray[np.int64]


def find_curves(picture: Pixels, thickness: int) -> list[Curve]:
    """Find the lines from left to right that are at most `thickness` pixels thick, the clearest first.

    The fullest cell of a Hough transform over slope and height gives the start of a curve; the curve's points leave the
    transform before the next is looked for.

    Args:
        picture: (H, W) uint8 of 0 and 255; W may be squeezed.
    """
    bars, width = find_bars(picture, thickness), picture.shape[1]
    if cv2.countNonZero(bars) < max(1, FULL_SHARE * width):
        return []
    columns, rows = cv2.findNonZero(bars).reshape(-1, 2).T.astype(np.int64)
    slopes = np.linspace(-STEEPEST, STEEPEST, 2 * math.ceil(STEEPEST * width / thickness) + 1, dtype=np.float32)
    # Cells are half as high as a line is thick; the lowest belongs to the steepest line above the picture.
    cell = max(1, thickness // 2)
    heights = rows[:, None].astype(np.float32) - (columns[:, None] - width / 2).astype(np.float32) * slopes
    lowest = heights.min()
    cells = ((heights - lowest) / cell).astype(np.intp)
    count = int(cells.max()) + 1
    cells += np.arange(len(slopes)) * count
    points, free = Points(rows, columns, cells), np.ones(len(rows), bool)
    votes = np.bincount(cells.ravel(), minlength=count * len(slopes))
    curves: list[Curve] = []
    for _ in range(MOST_CURVES):
        fullest = int(votes.argmax())
        # Where there are rules there are more, hidden by writing or cut off by the picture's corners.
        ruled = len(curves) >= FEWEST_RULES
        if votes[fullest] < (FULL_SHARE_RULED if ruled else FULL_SHARE) * width:
            break
        slope, height = slopes[fullest // count], lowest + (fullest % count + 0.5) * cell
        parabola, own = fit_parabola(points, free, (0.0, slope, height - slope * width / 2), thickness)
        if is_long(points.columns[own], width, RULED if ruled else UNRULED):
            curves.append(Curve(parabola, int(points.columns[own].min()), int(points.columns[own].max()) + 1))
        # What votes for this cell leaves with the curve, so that the search goes on elsewhere.
        own |= free & (points.cells[:, fullest // count] == fullest)
        votes -= np.bincount(points.cells[own].ravel(), minlength=len(votes))
        free &= ~own
    return curves


def find_bars(picture: Pixels, thickness: int) -> Pixels:
    """Return (H, W) uint8, 255 on what is at most `thickness` pixels thick and at least SHORTEST_RUN long."""
    # Turned, as squeezed pictures are narrow, and OpenCV takes its time over each row.
    turned = cv2.transpose(picture)
    # An opening by hand: OpenCV's own shifts by a pixel where the kernel is even, and leaves a row of each stroke as thin.
    kernel = np.ones((1, thickness + 1), np.uint8)
    thick = cv2.dilate(cv2.erode(turned, kernel, anchor=(0, 0)), kernel, anchor=(thickness, 0))
    thin = cv2.subtract(turned, thick)
    # One row more on either side, so that a line that climbs stays in one run.
    runs = cv2.morphologyEx(cv2.dilate(thin, np.ones((1, 3), np.uint8)), cv2.MORPH_OPEN, np.ones((SHORTEST_RUN, 1), np.uint8))
    return cv2.transpose(cv2.bitwise_and(thin, runs))


def fit_parabola(
    points: Points, free: NDArray[np.bool_], parabola: tuple[float, float, float], thickness: int
) -> tuple[tuple[float, float, float], NDArray[np.bool_]]:
    """Fit a parabola to the free points near a first guess by least squares; returns it, and which points lie on it."""
    near = np.flatnonzero(free & (np.abs(points.rows - row_at(parabola, points.columns)) <= FIT_WITHIN[0] * thickness))
    columns, rows = points.columns[near], points.rows[near]
    close = np.ones(len(near), bool)
    for share in FIT_WITHIN[1:]:
        x, y = columns[close].astype(np.float64), rows[close].astype(np.float64)
        if len(x) < 3 or x.min() + 3 > x.max():
            break
        # Columns about their middle, so that the normal equations are well conditioned.
        middle, half = x.mean(), (x.max() - x.min()) / 2
        x = (x - middle) / half
        square = x * x
        s0, s1, s2, s3, s4 = len(x), x.sum(), square.sum(), square @ x, square @ square
        normal = np.array([[s4 + STIFFNESS, s3, s2], [s3, s2, s1], [s2, s1, s0]])
        a, b, c = np.linalg.solve(normal, np.array([square @ y, x @ y, y.sum()]))
        a, b = a / half**2, b / half
        parabola = (float(a), float(b - 2 * a * middle), float(c - b * middle + a * middle**2))
        close = np.abs(rows - row_at(parabola, columns)) <= share * thickness
    own = np.zeros(len(free), bool)
    own[near[close]] = True
    return parabola, own


def row_at(parabola: tuple[float, float, float], columns: NDArray[Any]) -> NDArray[np.float64]:
    """Return the row of a parabola at each column (n,)."""
    a, b, c = parabola
    return (a * columns + b) * columns + c


def is_long(columns: NDArray[np.int64], width: int, least: Length) -> bool:
    """Tell a ruled line from bars of letters in a row, by the columns of the picture's `width` that it fills."""
    if not len(columns) or np.ptp(columns) < least.span * width:
        return False
    filled = np.zeros(width + 2, bool)
    filled[columns + 1] = True
    # Dust, or another line across, does not end a run.
    filled[1:-1] |= filled[:-2] & filled[2:]
    ends = np.flatnonzero(np.diff(filled))
    runs = ends[1::2] - ends[::2]
    long = runs[runs >= LONG_RUN_SHARE * width]
    return bool(runs.sum() >= least.present * np.ptp(columns) and long.sum() >= least.long * width)
