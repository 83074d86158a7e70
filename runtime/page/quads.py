"""The quads and lines of a form's print: their sizes, and how much of them is inked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels

# (4, 2) x and y of the corners, from the left top one with the clock.
Quad: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class FormTuning:
    """What counts as a row of boxes, as a comb, or as a row of short lines.

    Tuned on generated forms of validation writers
    (`python -m lettercast.benchmarks.pages.conditions --split val --only "boxes apart" --only comb`).
    """

    # The shorter side of a box in pixels, and its longest side for its shortest.
    min_box_px: int = 11
    max_aspect: float = 3.2
    # An outline is a box if it fills at least this share of its hull's smallest rectangle (a circle fills 0.79).
    min_filled: float = 0.86
    # Squared paper has at least this many squares, and letters that are lower or higher than these shares of them. Fewer boxes
    # than the fourth number that are higher than the fifth share of the image are the cells of a card.
    min_squares: int = 160
    min_letter: float = 0.35
    max_letter: float = 1.35
    min_large: int = 7
    max_box_share: float = 0.18
    # A page has a form if it has at least this many places in one row; other rows have at least the second number.
    min_places: int = 4
    min_row: int = 2
    # Boxes of a row are alike: this share of their sides; and the next box is this far away, in its widths.
    max_difference: float = 0.22
    max_step: float = 2.1
    # If it is known how boxes grow over a page seen at an angle, they differ by less.
    max_even_difference: float = 0.12
    # A side is there if this share of it is inked; a box needs three such sides, and this mean of all four.
    min_side: float = 0.72
    min_mean_side: float = 0.7
    # Rows start at boxes of which each side has this.
    min_whole_side: float = 0.9
    # If all four have this, the box is not searched for.
    min_sure_side: float = 0.95
    # The row is followed across this many boxes whose sides cannot be seen.
    max_hidden: int = 2
    # Above and below a row there is another one if at least this share of its boxes is found.
    min_stacked: float = 0.5
    # Each of the four sides of its boxes has this on average.
    min_stacked_side: float = 0.8
    # The sides of such a row that are this near to the end of the image, in heights of a box, need not be seen.
    edge: float = 0.2
    # A side is looked for within this share of the box.
    snap: float = 0.1
    # A comb is this many times longer than high, and its line fills at least this share of it.
    min_comb_aspect: float = 3.0
    min_comb_filled: float = 0.75
    # At least this share of a comb's places has a tick on its left, within this share of the step.
    min_ticks: float = 0.8
    # Ticks of at least this height, in steps, are the sides of boxes without a top.
    min_tall_tick: float = 0.75
    max_tick_error: float = 0.16
    # A line for one letter is at most this thick for its length.
    max_line_thickness: float = 0.22
    # The next line is looked for within this share of its length, and is inked along at least the second share.
    line_reach: float = 0.24
    min_line: float = 0.85
    # The room above a comb or a line, in steps.
    room: float = 2.2


FORM_TUNING = FormTuning()
# The corners at the ends of each side: top, right, bottom, left.
SIDE_ENDS = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
SAMPLES = np.linspace(0.08, 0.92, 20)
MAX_SEEDS = 400
# So many quads are compared with points at once.
FEW_QUADS = 64
# A side that has fewer of its samples in the image is not seen.
MIN_SEEN = 6
# Rounds of reweighting, the deviation in pixels below which all points weigh the same, and what keeps the normal equations well
# conditioned.
ROUNDS, MIN_DEVIATION_PX, STIFFNESS = 8, 0.5, 1e-6


@dataclass(frozen=True)
class PlaceRow:
    """A row of places (n, 4, 2) and its printed lines (k, 2, 2).

    is_open says whether the places have no top, as in a comb, and is_sure whether the print of a whole grid shows where they are.
    """

    places: NDArray[np.float64]
    lines: NDArray[np.float64]
    is_open: bool
    is_sure: bool = False


def find_quads(holes: Sequence[NDArray[Any]], min_px: float) -> NDArray[np.float64]:
    """Return the outlines (n, 1, 2) that are boxes, with sides of at least min_px pixels, as quads (N, 4, 2)."""
    tuning = FORM_TUNING
    # Plain numbers, because NumPy is ten times slower with few of them.
    found: list[tuple[float, tuple[Point, ...]]] = []
    for outline in holes:
        if len(outline) < 3 * min_px:
            continue
        _, _, w, h = cv2.boundingRect(outline)
        if min(w, h) < min_px or cv2.contourArea(outline) < 0.35 * w * h:
            continue
        hull = cv2.convexHull(outline)
        rect = cv2.minAreaRect(hull)
        a, b = sorted(rect[1])
        if a < min_px or b > tuning.max_aspect * a or cv2.contourArea(hull) < tuning.min_filled * a * b:
            continue
        corners = cv2.approxPolyDP(hull, 0.04 * cv2.arcLength(hull, True), True)
        points = corners if len(corners) == 4 else cv2.boxPoints(rect)
        quad = in_order([(float(x), float(y)) for x, y in points.reshape(4, 2).tolist()])
        (ax, ay), (bx, by) = quad[:2]
        if abs(by - ay) < 0.6 * abs(bx - ax):
            width, height = plain_size(quad)
            found.append((-width * height, quad))
    found.sort(key=itemgetter(0))
    return np.array([quad for _, quad in found[:MAX_SEEDS]], np.float64).reshape(-1, 4, 2)


def in_order(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return four corners from the left top one with the clock."""
    down = [y - x for x, y in points]
    across = [x + y for x, y in points]
    order = (across.index(min(across)), down.index(min(down)), across.index(max(across)), down.index(max(down)))
    return tuple(points[i] for i in order)


def size_of(quad: Quad) -> NDArray[np.float64]:
    """Return the mean width and height of a quad."""
    return np.array(plain_size(quad.tolist()))


def plain_size(quad: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the mean width and height of a quad in plain numbers."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
    width = math.hypot(bx - ax, by - ay) + math.hypot(cx - dx, cy - dy)
    return width / 2, (math.hypot(cx - bx, cy - by) + math.hypot(dx - ax, dy - ay)) / 2


def sides_of(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sides (..., 4, 2, 2) of quads (..., 4, 2): top, right, bottom, left."""
    return quads[..., SIDE_ENDS, :]


def is_inside(quad: Quad, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (n, 2) lie in a convex quad, whose corners run with the clock."""
    edge, to = quad[SIDE_ENDS[:, 1]] - quad, points[:, None] - quad[None]
    inside: NDArray[np.bool_] = np.all(edge[None, :, 0] * to[..., 1] - edge[None, :, 1] * to[..., 0] >= 0, axis=1)
    return inside


def are_covered(quads: Sequence[Quad] | NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (n, 2) lie in any of some quads."""
    covered = np.zeros(len(points), bool)
    if len(quads) == 1:
        return is_inside(quads[0], points)
    for start in range(0, len(quads) if len(points) else 0, FEW_QUADS):
        some = np.asarray(quads[start : start + FEW_QUADS])
        edge = some[:, SIDE_ENDS[:, 1]] - some
        to_x, to_y = (points[:, k, None] - some[:, None, :, k] for k in (0, 1))
        is_in = edge[:, None, :, 0] * to_y - edge[:, None, :, 1] * to_x >= 0
        covered |= is_in.all(2).any(0)
    return covered


def sampled(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (..., 20, 2) along lines (..., 2, 2)."""
    return lines[..., :1, :] + SAMPLES[:, None] * (lines[..., 1:, :] - lines[..., :1, :])


def looked_up(image: Pixels, points: NDArray[np.float64]) -> Pixels:
    """Return the pixels (...) of an image (H, W) at points (..., 2), and those at its border for points outside."""
    whole = np.rint(points).astype(np.intp)
    # Twice as fast as np.clip.
    limit = np.minimum(np.maximum(whole, 0), (image.shape[1] - 1, image.shape[0] - 1))
    return image[limit[..., 1], limit[..., 0]]


def support(lines: NDArray[np.float64], near: Pixels, margin: float = 0.0) -> NDArray[np.float64]:
    """Return the share of each line (..., 2, 2) that is inked in a mask (H, W); NaN outside the image and in its margin."""
    whole = np.rint(sampled(lines)).astype(np.intp)
    x, y = whole[..., 0], whole[..., 1]
    height, width = near.shape
    right, bottom = lines.reshape(-1, 2).max(0, initial=0).tolist()
    # All samples lie between the ends of their lines.
    if lines.min(initial=np.inf) >= margin + 1 and right < width - margin - 1 and bottom < height - margin - 1:
        # Counts divided by hand, because NumPy's mean takes as long as all the rest.
        shares: NDArray[np.float64] = np.add.reduce(near[y, x] > 0, -1, dtype=np.float64)
        return shares / len(SAMPLES)
    inside = (x >= margin) & (y >= margin) & (x < width - margin) & (y < height - margin)
    inked = (near[np.minimum(np.maximum(y, 0), height - 1), np.minimum(np.maximum(x, 0), width - 1)] > 0) & inside
    seen = inside.sum(-1)
    return np.where(seen >= MIN_SEEN, inked.sum(-1) / np.maximum(seen, 1), np.nan)


def steady(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points (n, ...) in pixels would be if they followed each other evenly: most do, and some are far off.

    Fits a polynomial of up to the third degree to each coordinate, so that the sum of all absolute errors is small.
    """
    values = points.reshape(len(points), -1)
    powers = np.vander(np.linspace(-1, 1, len(points)), max(1, min(4, len(points) - 2)))
    weights = np.ones_like(values)
    fit = values
    for _ in range(ROUNDS):
        weighted = (weights.T[:, :, None] * powers).transpose(0, 2, 1)
        normal = weighted @ powers + STIFFNESS * np.eye(powers.shape[1])
        fit = powers @ np.linalg.solve(normal, weighted @ values.T[..., None])[..., 0].T
        weights = 1 / np.maximum(np.abs(values - fit), MIN_DEVIATION_PX)
    return fit.reshape(points.shape)
