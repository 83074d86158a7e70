"""Find ruled lines on a page, straight or gently curved, by a Hough transform, and remove them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
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


@dataclass(frozen=True)
class Points:
    """Points that may lie on lines: rows and columns (n,) in whole pixels, and their cells (n, slopes) of the Hough transform."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
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
    # As True and False NumPy finds them in a fifth of the time.
    rows, columns = np.divmod(bars.view(bool).ravel().nonzero()[0], width)
    steepest = CURVE_TUNING.max_slope
    slopes = np.linspace(-steepest, steepest, 2 * math.ceil(steepest * width / thickness) + 1, dtype=np.float32)
    # Cells are half as high as a line is thick; the lowest belongs to the steepest line above the image.
    cell = max(1, thickness // 2)
    heights = rows[:, None].astype(np.float32) - (columns[:, None] - width / 2).astype(np.float32) * slopes
    lowest = heights.min()
    cells = ((heights - lowest) / cell).astype(np.intp)
    count = int(cells.max()) + 1
    cells += np.arange(len(slopes)) * count
    points, free = Points(rows.astype(np.float64), columns.astype(np.float64), cells), np.ones(len(rows), bool)
    votes = np.bincount(cells.ravel(), minlength=count * len(slopes))
    curves: list[Curve] = []
    for _ in range(MAX_CURVES):
        fullest = int(votes.argmax())
        length = RULED_TUNING if len(curves) >= CURVE_TUNING.min_rules else UNRULED_TUNING
        if votes[fullest] < length.min_votes * width:
            break
        slope, height = slopes[fullest // count], lowest + (fullest % count + 0.5) * cell
        parabola, own = fit_parabola(points, free, (0.0, slope, height - slope * width / 2), thickness)
        if is_long(own_columns := columns[own], width, length):
            curves.append(Curve(parabola, int(own_columns.min()), int(own_columns.max()) + 1))
        # All points that vote for this cell leave with the curve's, so that the search continues elsewhere.
        own |= free & (points.cells[:, fullest // count] == fullest)
        votes -= np.bincount(points.cells[own].ravel(), minlength=len(votes))
        free &= ~own
    return curves


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
    near = (free & (np.abs(points.rows - row_at(parabola, points.columns)) <= first * thickness)).nonzero()[0]
    columns, rows = points.columns[near], points.rows[near]
    own = near
    x, y = columns, rows
    for distance in later:
        if len(x) < 3 or (low := float(x.min())) + 3 > (high := float(x.max())):
            break
        # Columns relative to their middle keep the normal equations well conditioned.
        middle, half = float(x.sum()) / len(x), (high - low) / 2
        x = (x - middle) / half
        # The sums of the powers of x, and of their products with y.
        powers = np.ones((4, len(x)))
        np.multiply(x, x, out=powers[0])
        powers[1], powers[3] = x, y
        (s4, s3, s2, y2), (_, _, s1, y1), (_, _, s0, y0), _ = (powers @ powers.T).tolist()
        a, b, c = solve((s4 + CURVE_TUNING.stiffness, s3, s2, s1, s0), (y2, y1, y0))
        a, b = a / half**2, b / half
        parabola = (a, b - 2 * a * middle, c - b * middle + a * middle**2)
        close = np.abs(rows - row_at(parabola, columns)) <= distance * thickness
        own, x, y = near[close], columns[close], rows[close]
    is_own = np.zeros(len(free), bool)
    is_own[own] = True
    return parabola, is_own


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
    """Return whether a line fills enough columns of an image of this width to be a ruled line and not a row of letters' bars."""
    if not len(columns) or (span := int(columns.max() - columns.min())) < length.min_span * width:
        return False
    filled = np.zeros(width, bool)
    filled[columns] = True
    # A gap of one column, by dust or by a crossing line, does not end a run.
    filled[1:-1] |= filled[:-2] & filled[2:]
    ends = run_ends(filled)
    runs = ends[1::2] - ends[::2]
    long = runs[runs >= CURVE_TUNING.min_long_run_share * width]
    return bool(runs.sum() >= length.min_present * span and long.sum() >= length.min_long * width)


def run_ends(filled: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where each run of True in (n,) starts and ends, one after the other; np.diff takes twice as long for so few."""
    bounded = np.zeros(len(filled) + 2, bool)
    bounded[1:-1] = filled
    return (bounded[1:] != bounded[:-1]).nonzero()[0]


# Along a rule this many pixels of the mask become one; their bits form one byte. A rule fills nearly all of them.
SQUEEZE, MIN_FILLED = 8, 6
FILLED = np.array([255 * (bits.bit_count() >= MIN_FILLED) for bits in range(256)], np.uint8)


@dataclass(frozen=True)
class RuleTuning:
    """How ruled lines, and the edges of the page, are removed from the ink.

    Tuned on ruled and squared pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # A rule is at most as thick as the larger of these, the share being one of the page's longer side.
    max_thickness_share: float = 0.006
    max_thickness_px: int = 5
    # The soft edge of a rule reaches this far, and a rule deviates this far from its curve.
    soft_edge_px: int = 3
    max_wander_px: int = 2
    # What a rule absorbs is the median over sections of this length, and over this many on either side; letters are shorter.
    section_px: int = 64
    sections_around: int = 3
    # Print varies: ink up to this many times the rule's usual ink is rule.
    max_print_factor: float = 1.3
    # A rule seldom ends where its last visible part does; it is followed further for this share of the page.
    extension_share: float = 0.06
    # Strokes with a gap of a rule's thickness and this much more are joined again.
    bridge_px: int = 4
    # The frame of a page lies in this zone along a side of the image, and along at least this share of the side, in runs of at
    # least this share: letters along a side are shorter.
    edge_zone: float = 0.02
    min_edge_share: float = 0.4
    min_edge_run: float = 0.2


RULE_TUNING = RuleTuning()
# The median of a section is that of this many of its columns.
SECTION_SAMPLES = 15


def without_rules(ink: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Remove ruled lines, across and down, from the ink of a page; strokes that cross or follow a rule stay.

    The whole length of a rule shows what it absorbs. This is subtracted, so that darker ink on the rule remains. If a rule is
    as dark as the ink, nothing remains; then ink between strokes on both sides of the rule is restored.

    Args:
        ink: (H, W) uint8, 0 on paper.
        threshold: the least ink of a pixel that belongs to a stroke or a rule.

    Returns:
        The ink without rules, (H, W) uint8, and the mask of strokes, (H, W) uint8 of 0 and 255.
    """
    return take_rules(ink, without_edges(at_least(ink, threshold)), threshold)


def take_rules(ink: Pixels, mask: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Do what without_rules does for the mask (H, W) uint8 of all pixels with at least this much ink."""
    thickness = max(RULE_TUNING.max_thickness_px, round(RULE_TUNING.max_thickness_share * max(mask.shape)))
    if min(mask.shape) < SQUEEZE:
        return ink, mask
    across, down = (with_hidden(find_curves(one, thickness), one.shape[1]) for one in (squeeze(mask), squeeze_turned(mask)))
    if not across and not down:
        return ink, mask
    bare = ink.copy()
    for curve in across:
        subtract_rule(bare, curve, thickness)
    beside = cv2.bitwise_and(at_least(bare, threshold), mask) if across else mask
    for curve in down:
        subtract_rule(bare.T, curve, thickness)
    strokes = cv2.bitwise_and(at_least(bare, threshold), mask) if down else beside
    # A rule across is restored between strokes above and below it only: along it lie letters that it does not join. Where rules
    # cross, both count.
    bridge = thickness + RULE_TUNING.bridge_px
    high, wide = np.ones((bridge, 1), np.uint8), np.ones((1, bridge), np.uint8)
    taken = cv2.subtract(mask, beside), cv2.subtract(beside, strokes)
    bands = bands_of(across, mask.shape, thickness // 2 + RULE_TUNING.soft_edge_px)
    if across and down:
        taken = taken[0], bridged(taken[1], taken[0], high, bands)
    if across:
        strokes = bridged(strokes, taken[0], high, bands)
    if down:
        strokes = bridged(strokes, taken[1], wide, [slice(0, mask.shape[0])])
    return cv2.max(bare, cv2.bitwise_and(ink, strokes)), strokes


def bands_of(curves: Sequence[Curve], shape: tuple[int, ...], reach: int) -> list[slice]:
    """Return the rows of an image of this shape that rules across come nearer than `reach`; bands that overlap are one."""
    beyond = RULE_TUNING.extension_share * shape[1] / SQUEEZE + 1
    ends: list[tuple[int, int]] = []
    for curve in curves:
        rows = curve.rows(np.arange(curve.start - beyond, curve.end + beyond + 1))
        ends.append((max(0, math.floor(rows.min()) - reach), min(shape[0], math.ceil(rows.max()) + reach + 1)))
    bands: list[slice] = []
    for top, bottom in sorted(one for one in ends if one[0] < one[1]):
        if bands and top <= bands[-1].stop:
            bands[-1] = slice(bands[-1].start, max(bands[-1].stop, bottom))
        else:
            bands.append(slice(top, bottom))
    return bands


def bridged(strokes: Pixels, taken: Pixels, kernel: Pixels, bands: Sequence[slice]) -> Pixels:
    """Return strokes (H, W) with what was taken from their gaps, which closing with a kernel finds, in these bands of rows."""
    whole = strokes.copy()
    for band in bands:
        # Closing looks this far beyond a band.
        first = max(0, band.start - 2 * len(kernel))
        closed = cv2.morphologyEx(strokes[first : band.stop + 2 * len(kernel)], cv2.MORPH_CLOSE, kernel)
        whole[band] |= cv2.bitwise_and(taken[band], closed[band.start - first : band.stop - first])
    return whole


def squeeze(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its rows to (H, W // SQUEEZE) uint8: 255 if most of the pixels that become one are set."""
    whole = mask[:, : mask.shape[1] // SQUEEZE * SQUEEZE]
    return cv2.LUT(np.packbits(whole, axis=1), FILLED)


def squeeze_turned(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its columns to (W, H // SQUEEZE) uint8, as `squeeze` does with the transposed mask."""
    height, width = mask.shape[0] // SQUEEZE, mask.shape[1]
    # 255 is -1 as a signed byte.
    counts = -np.add.reduce(mask[: height * SQUEEZE].view(np.int8).reshape(height, SQUEEZE, width), axis=1, dtype=np.int8)
    return cv2.transpose(at_least(counts.view(np.uint8), MIN_FILLED))


def subtract_rule(ink: Pixels, curve: Curve, thickness: int) -> None:
    """Subtract what a rule absorbs from the ink (H, W) uint8 in place; light passes the rule and the ink in turn."""
    beyond = round(RULE_TUNING.extension_share * ink.shape[1])
    columns = np.arange(max(0, curve.start * SQUEEZE - beyond), min(curve.end * SQUEEZE + beyond, ink.shape[1]))
    middle = np.rint(curve.rows((columns + 0.5) / SQUEEZE - 0.5)).astype(int)
    reach = thickness // 2 + RULE_TUNING.soft_edge_px
    across = np.arange(-reach, reach + 1)[:, None]
    # Indices into the memory of a page or a transposed page: NumPy reaches them in a third of the time.
    pixels, (down, right) = ink.ravel(order="K"), ink.strides
    if middle.min() >= reach and middle.max() < ink.shape[0] - reach:
        places = middle * down + columns * right + across * down
    else:
        places = np.minimum(np.maximum(middle + across, 0), ink.shape[0] - 1) * down + columns * right
    band = pixels.take(places).astype(np.float32)
    passed = 256 - absorbed_along(band)
    # In place, because new memory costs more time than the arithmetic.
    left = np.subtract(255, band, out=band)
    left *= 255
    left /= passed
    np.subtract(255, left, out=left)
    pixels[places] = np.maximum(left, 0, out=left).astype(np.uint8)


@dataclass(frozen=True)
class Sections:
    """The sections of a rule: samples (n, SECTION_SAMPLES) are columns of each, around (n, k) its neighbours, itself included.

    of_column (w,) is the section of each column.
    """

    samples: NDArray[np.intp]
    around: NDArray[np.intp]
    of_column: NDArray[np.intp]


@lru_cache(maxsize=16)
def sections_of(width: int) -> Sections:
    """Return the sections of a rule with this many columns; those of all rules of a page are alike."""
    count = max(1, width // RULE_TUNING.section_px)
    ends = np.arange(count + 1) * width // count
    samples = ends[:-1, None] + np.arange(SECTION_SAMPLES) * (np.diff(ends)[:, None] - 1) // (SECTION_SAMPLES - 1)
    # The first and last sections may lie beyond the paper, where there is no rule, so sections are mirrored at the ends.
    reach = RULE_TUNING.sections_around
    around = np.abs(np.arange(count)[:, None] + np.arange(-reach, reach + 1))
    around = np.maximum(np.minimum(around, 2 * (count - 1) - around), 0)
    return Sections(samples, around, np.repeat(np.arange(count), np.diff(ends)))


def absorbed_along(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a rule absorbs, 0..255, of the ink (h, W) along it: the usual ink around each place, but never a letter's."""
    sections = sections_of(band.shape[1])
    usual = upper_median(upper_median(band.take(sections.samples, 1)).take(sections.around, 1))
    usual = cv2.dilate(usual, np.ones((2 * RULE_TUNING.max_wander_px + 1, 1), np.uint8))
    return np.minimum(RULE_TUNING.max_print_factor * usual, 255).take(sections.of_column, 1)


def upper_median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upper median along the last axis of values (..., n); np.median takes four times as long for so few values."""
    half = values.shape[-1] // 2
    return np.partition(values, half)[..., half]


def without_edges(mask: Pixels) -> Pixels:
    """Return a mask (H, W) without a dark frame along the sides of the image."""
    mask = mask.copy()
    for is_turned, step in ((False, 1), (False, -1), (True, 1), (True, -1)):
        side: Pixels = (mask.T if is_turned else mask)[::step]
        zone = max(2, round(RULE_TUNING.edge_zone * len(side)))
        if zone >= len(side):
            continue
        # Columns of a page lie apart in memory, which takes NumPy five times as long as OpenCV.
        band: Pixels = cv2.transpose(side[:zone].T) if is_turned else side[:zone]
        framed: NDArray[np.bool_] = np.maximum.reduce(band) > 0
        least = RULE_TUNING.min_edge_share * len(framed)
        if not framed.all() and np.count_nonzero(framed) > least:
            framed = _long_runs(framed)
        if np.count_nonzero(framed) > least:
            # If ink continues beyond the zone, a letter touches the frame.
            band = band & np.where(framed & (side[zone] == 0), np.uint8(0), np.uint8(255))
            band[: zone // 2] = 0
            if is_turned:
                side[:zone].T[:] = cv2.transpose(band)
            else:
                side[:zone] = band
    return mask


def _long_runs(framed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the columns (n,) belong to a long run: a frame has some, and letters along a side have gaps."""
    ends = run_ends(framed).reshape(-1, 2)
    kept = np.zeros(len(framed), bool)
    for start, end in ends[ends[:, 1] - ends[:, 0] >= RULE_TUNING.min_edge_run * len(framed)]:
        kept[start:end] = True
    return kept
