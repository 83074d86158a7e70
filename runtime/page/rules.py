"""Long thin lines of a picture, straight or gently curved, by a Hough transform."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels

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


# Along a rule so many pixels of the mask become one, a bit each of one byte; a rule fills nearly all of them.
SQUEEZE = 8
FILLED = np.array([255 * (bits.bit_count() >= 6) for bits in range(256)], np.uint8)
# A rule is thinner than this share of the page's longer side, or than this many pixels.
THICKNESS_SHARE, THICKNESS_PX = 0.006, 5
# A rule's soft edge reaches this far beyond it, and it strays so far from its curve.
SOFT_EDGE_PX, WANDER_PX = 3, 2
# What it absorbs is the median of so many samples of pieces of this length, and of as many pieces on either side; letters
# are shorter.
PIECE_PX, PIECE_SAMPLES, PIECES_AROUND = 64, 15, 3
# Print varies: what is no darker than the rule's usual ink times this is rule.
CERTAINLY = 1.3
# A rule seldom ends where it was last seen; it is followed for this share of the page.
BEYOND_SHARE = 0.06
# A frame lies within this share of the picture's side, along at least this share of it.
EDGE_SHARE, EDGE_FRAMED_SHARE = 0.02, 0.4


def without_rules(ink: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Take ruled lines, across and down, out of the ink of a page; strokes that cross or follow a rule stay.

    What a rule absorbs is known from its whole length and is taken off, so that darker ink on it remains. Where a rule is
    as dark as the ink nothing does: there ink is given back where strokes stand on both sides.

    Args:
        ink: (H, W) uint8, 0 on paper.
        threshold: the ink from which on a pixel belongs to a stroke or a rule.

    Returns:
        The ink without rules, (H, W) uint8, and the mask of strokes, (H, W) uint8 of 0 and 255.
    """
    mask = without_edges(at_least(ink, threshold))
    thickness = max(THICKNESS_PX, round(THICKNESS_SHARE * max(mask.shape)))
    if min(mask.shape) < SQUEEZE:
        return ink, mask
    across, down = (find_curves(squeeze(picture), thickness) for picture in (mask, cv2.transpose(mask)))
    if not across and not down:
        return ink, mask
    bare = ink.copy()
    for curve in across:
        take_off(bare, curve, thickness)
    for curve in down:
        take_off(bare.T, curve, thickness)
    strokes = cv2.bitwise_and(at_least(bare, threshold), mask)
    taken = cv2.subtract(mask, strokes)
    for found, kernel in ((across, np.ones((thickness + 4, 1), np.uint8)), (down, np.ones((1, thickness + 4), np.uint8))):
        if found:
            bridged = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, kernel)
            strokes = cv2.bitwise_or(strokes, cv2.bitwise_and(taken, bridged))
    return cv2.max(bare, cv2.bitwise_and(ink, strokes)), strokes


def squeeze(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its rows: (H, W // SQUEEZE) uint8, 255 where most of the pixels that become one are set."""
    whole = mask[:, : mask.shape[1] // SQUEEZE * SQUEEZE]
    return cv2.LUT(np.packbits(whole, axis=1), FILLED)


def take_off(ink: Pixels, curve: Curve, thickness: int) -> None:
    """Take what a rule absorbs off the ink (H, W) uint8, in place; paper and rule absorb one after the other."""
    beyond = round(BEYOND_SHARE * ink.shape[1])
    columns = np.arange(max(0, curve.start * SQUEEZE - beyond), min(curve.end * SQUEEZE + beyond, ink.shape[1]))
    middle = np.rint(curve.rows((columns + 0.5) / SQUEEZE - 0.5)).astype(int)
    reach = thickness // 2 + SOFT_EDGE_PX
    rows = np.minimum(np.maximum(middle + np.arange(-reach, reach + 1)[:, None], 0), ink.shape[0] - 1)
    # Places in the memory of a page or a turned page: NumPy reaches them in a third of the time.
    pixels, places = ink.ravel(order="K"), rows * ink.strides[0] + columns * ink.strides[1]
    band = pixels.take(places).astype(np.float32)
    left = 255 - 255 * (255 - band) / (256 - absorbed_along(band))
    pixels[places] = np.maximum(left, 0)


def absorbed_along(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a rule absorbs, 0..255, of the ink (h, W) along it: the usual ink around each place, never a letter's."""
    pieces = max(1, band.shape[1] // PIECE_PX)
    ends = np.arange(pieces + 1) * band.shape[1] // pieces
    samples = ends[:-1] + np.arange(PIECE_SAMPLES)[:, None] * (np.diff(ends) - 1) // (PIECE_SAMPLES - 1)
    usual = middle_of(band[:, samples], axis=1)
    # The last pieces are part of the way off the paper, where there is no rule.
    around = np.abs(np.arange(pieces) + np.arange(-PIECES_AROUND, PIECES_AROUND + 1)[:, None])
    around = np.maximum(np.minimum(around, 2 * (pieces - 1) - around), 0)
    usual = middle_of(usual[:, around], axis=1)
    # The rule wanders about its curve.
    usual = cv2.dilate(usual, np.ones((2 * WANDER_PX + 1, 1), np.uint8))
    return np.minimum(CERTAINLY * np.repeat(usual, np.diff(ends), axis=1), 255)


def middle_of(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the upper median along an axis; NumPy's own takes four times as long on so few."""
    half = values.shape[axis] // 2
    return np.partition(values, half, axis).take(half, axis)


def without_edges(mask: Pixels) -> Pixels:
    """Remove a dark frame along the sides of the picture from a mask (H, W), where it lies along most of a side."""
    mask = mask.copy()
    for side in (mask, mask[::-1], mask.T, mask.T[::-1]):
        zone = max(2, round(EDGE_SHARE * len(side)))
        if zone >= len(side):
            continue
        framed: NDArray[np.bool_] = np.any(side[:zone], axis=0)
        if np.count_nonzero(framed) > EDGE_FRAMED_SHARE * len(framed):
            # Where ink goes on beyond the zone a letter touches the frame.
            side[:zone, framed & (side[zone] == 0)] = 0
            side[: zone // 2] = 0
    return mask
