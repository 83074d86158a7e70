"""Find the boxes, combs and short lines of a form, one for each letter.

A row of places is grown from what is plain to see: empty boxes, boxes whose letter does not touch the sides, lines without a
letter. The next box is looked for where the last step leads, and counts if its sides are there, so that rows may be turned,
seen at an angle, or bent a little.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels
from .strokes import Pieces

# (4, 2) x and y of the corners, from the left top one with the clock.
Quad: TypeAlias = NDArray[np.float64]


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
# Of more holes only a sample is looked at to tell squared paper.
MAX_HOLES = 120
# The shares of the error of a box's place that correct the step, and the growth of the step.
STEPPING = (0.5, 0.1)
# The shares of the error of a tick's place that correct the place, the step, and the growth of the step.
TRACKING = (0.6, 0.25, 0.03)
# Two rows of lines are one if more than this share of their lines are the same.
MAX_SHARED_LINES = 0.25
# Only the first ticks of a comb start a search.
MAX_TICKS = 60
# Ticks lean by as much as the page is seen at an angle: pixels to the right for each pixel up.
LEANS = np.linspace(-0.24, 0.24, 13)
# A side that has fewer of its samples in the image is not seen.
MIN_SEEN = 6


@dataclass(frozen=True)
class PlaceRow:
    """A row of places (n, 4, 2); lines (k, 2, 2) are the printed lines; is_open if the places have no top, as in a comb."""

    places: NDArray[np.float64]
    lines: NDArray[np.float64]
    is_open: bool


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
        heights = [float(size_of(quad)[1]) for quad in quads]
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
    rows += [row for row in (comb_row(outline, mask) for outline in long) if row and not is_taken(row, rows)]
    rows += [row for row in line_rows(flat, near) if not is_taken(row, rows)]
    if max((len(row.places) for row in rows), default=0) < tuning.min_places:
        return []
    return sorted(rows, key=lambda row: row.places[:, 2:, 1].mean())


def find_quads(holes: Sequence[NDArray[Any]], min_px: float) -> NDArray[np.float64]:
    """Return the outlines (n, 1, 2) that are boxes, with sides of at least min_px pixels, as quads (N, 4, 2)."""
    tuning = FORM_TUNING
    found = []
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
        quad = in_order(points.reshape(4, 2).astype(np.float64))
        if abs(quad[1, 1] - quad[0, 1]) < 0.6 * abs(quad[1, 0] - quad[0, 0]):
            found.append(quad)
    found.sort(key=lambda quad: -float(size_of(quad).prod()))
    return np.array(found[:MAX_SEEDS]).reshape(-1, 4, 2)


def in_order(points: NDArray[np.float64]) -> Quad:
    """Return four corners from the left top one with the clock."""
    across, down = points.sum(1), np.diff(points, axis=1)[:, 0]
    return points[[int(across.argmin()), int(down.argmin()), int(across.argmax()), int(down.argmax())]]


def size_of(quad: Quad) -> NDArray[np.float64]:
    """Return the mean width and height of a quad."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad.tolist()
    width = math.hypot(bx - ax, by - ay) + math.hypot(cx - dx, cy - dy)
    return np.array([width / 2, (math.hypot(cx - bx, cy - by) + math.hypot(dx - ax, dy - ay)) / 2])


def is_comb_shaped(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are long and low enough for a comb on a page of this shape (height, width)."""
    tuning = FORM_TUNING
    return (boxes[:, 2] >= tuning.min_comb_aspect * boxes[:, 3]) & (boxes[:, 2] >= max(60, 0.12 * shape[1])) & (boxes[:, 3] >= 6)


def is_line_shaped(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are low enough for a line under one letter, if the page is turned a little."""
    return (boxes[:, 2] >= FORM_TUNING.min_box_px) & (boxes[:, 3] <= (0.35 * boxes[:, 2]))


def support(lines: NDArray[np.float64], near: Pixels, margin: float = 0.0) -> NDArray[np.float64]:
    """Return the share of each line (..., 2, 2) that is inked in a mask (H, W); NaN outside the image and in its margin."""
    points = lines[..., :1, :] + SAMPLES[:, None] * (lines[..., 1:, :] - lines[..., :1, :])
    whole = np.rint(points).astype(np.intp)
    x, y = whole[..., 0], whole[..., 1]
    inside = (x >= margin) & (y >= margin) & (x < near.shape[1] - margin) & (y < near.shape[0] - margin)
    if inside.all():
        inked: NDArray[np.float64] = (near[y, x] > 0).mean(-1)
        return inked
    inked = (near[np.clip(y, 0, near.shape[0] - 1), np.clip(x, 0, near.shape[1] - 1)] > 0) & inside
    seen = inside.sum(-1)
    return np.where(seen >= MIN_SEEN, inked.sum(-1) / np.maximum(seen, 1), np.nan)


def sides_of(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sides (..., 4, 2, 2) of quads (..., 4, 2): top, right, bottom, left."""
    return quads[..., SIDE_ENDS, :]


@dataclass(frozen=True)
class Seeds:
    """Boxes that are plain to see: quads (n, 4, 2) along the middles of their sides, their centres (n, 2) and sizes (n, 2)."""

    quads: NDArray[np.float64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]


def box_rows(quads: NDArray[np.float64], mask: Pixels, near: Pixels) -> list[PlaceRow]:
    """Grow rows of boxes from quads (N, 4, 2), which lie on the inner edges of their sides."""
    tuning = FORM_TUNING
    if len(quads) < tuning.min_row:
        return []
    thickness = side_thickness(quads, mask)
    middles = quads.mean(1)
    grown = quads + (quads - middles[:, None]) / np.array([size_of(q) for q in quads])[:, None] * thickness
    seeds = Seeds(grown, grown.mean(1), np.array([size_of(quad) for quad in grown]))
    centres, sizes = seeds.centres, seeds.sizes
    alike = np.all(np.abs(np.log(sizes[:, None] / sizes[None])) < tuning.max_difference, axis=2)
    # Boxes of the most usual size come first: parts of boxes that a letter cuts in two are found taken then.
    holds = holds_others(seeds.quads, centres)
    # A letter that touches the sides cuts corners off its box.
    is_whole = np.nan_to_num(support(sides_of(seeds.quads), near)).min(1) >= tuning.min_whole_side
    order = np.lexsort((-sizes.prod(1), -alike.sum(1), ~is_whole))
    taken = holds.copy()
    rows: list[PlaceRow] = []
    indices: list[int] = order.tolist()
    for i in indices:
        if taken[i]:
            continue
        step = step_from(i, seeds, alike[i] & ~holds & is_whole)
        if step is None:
            step = step_from(i, seeds, alike[i] & ~holds)
        if step is None:
            continue
        step = finest(step, seeds.quads[i], seeds, near)
        row = [*reversed(list(walk(seeds.quads[i], -step, seeds, near))), seeds.quads[i]]
        row += walk(seeds.quads[i], step, seeds, near)
        if len(row) < tuning.min_row:
            continue
        places = np.array(row)
        for quad in places:
            taken |= is_inside(quad, centres)
        stack = [places]
        while stack:
            places = stack.pop()
            rows.append(PlaceRow(places, sides_of(places).reshape(-1, 2, 2), False))
            if len(places) < tuning.min_places:
                continue
            down = (places[:, 3] - places[:, 0] + places[:, 2] - places[:, 1])[:, None] / 2
            for step in (down, -down):
                known = [*(one.places for one in rows), *stack]
                beside = stacked_row(places + step, known, seeds, near)
                if beside is not None:
                    for quad in beside:
                        taken |= is_inside(quad, centres)
                    stack.append(beside)
    usual = [size_of(row.places[0]) for row in rows if len(row.places) >= tuning.min_places]
    # Parts of letters look like a box or two as well.
    return [row for row in rows if len(row.places) >= tuning.min_places or is_size_known(size_of(row.places[0]), usual)]


def is_size_known(size: NDArray[np.float64], known: Sequence[NDArray[np.float64]]) -> bool:
    """Return whether a box is about as large (width, height) as another."""
    return any((np.abs(np.log(size / other)) < FORM_TUNING.max_difference).all() for other in known)


def stacked_row(
    expected: NDArray[np.float64],
    rows: Sequence[NDArray[np.float64]],
    seeds: "Seeds",
    near: Pixels,
) -> NDArray[np.float64] | None:
    """Return the row of boxes that shares its upper or lower sides with another; None if there is none, or if it is known."""
    middles = expected.mean(1)
    height, width = near.shape
    if not ((middles >= 0) & (middles < (width, height))).all(1).any():
        return None
    if any(is_inside(quad, middles).any() for row in rows for quad in row):
        return None
    margin = FORM_TUNING.edge * size_of(expected[0])[1]
    found = [find_box(quad, seeds, near, margin) for quad in expected]
    # Boxes that do not share sides with this row look like halves of its boxes.
    sides = np.array([support(sides_of(quad), near, margin) for quad in found if quad is not None]).reshape(-1, 4)
    seen = ~np.isnan(sides)
    if not seen.any() or (np.nansum(sides, 0) < FORM_TUNING.min_stacked_side * seen.sum(0)).any():
        return None
    there = [i for i, quad in enumerate(found) if quad is not None]
    if len(there) < max(FORM_TUNING.min_row, FORM_TUNING.min_stacked * len(expected)):
        return None
    first, last = there[0], there[-1]
    return np.array([found[i] if found[i] is not None else expected[i] for i in range(first, last + 1)])


def holds_others(quads: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which quads contain the centres of three or more others, as the frame of a form does."""
    return np.array([is_inside(quad, centres).sum() > 3 for quad in quads], bool)


def is_inside(quad: Quad, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (n, 2) lie in a convex quad, whose corners run with the clock."""
    edge, to = quad[SIDE_ENDS[:, 1]] - quad, points[:, None] - quad[None]
    inside: NDArray[np.bool_] = np.all(edge[None, :, 0] * to[..., 1] - edge[None, :, 1] * to[..., 0] >= 0, axis=1)
    return inside


def side_thickness(quads: NDArray[np.float64], mask: Pixels) -> float:
    """Return how thick the sides of quads usually are, measured outwards from the middles of their sides."""
    sides = sides_of(quads[:60])
    middle = sides.mean(-2)
    out = middle - quads[:60].mean(1)[:, None]
    out /= np.maximum(np.hypot(out[..., 0], out[..., 1])[..., None], 1)
    points = middle[..., None, :] + np.arange(0, 16)[:, None] * out[..., None, :]
    x, y = np.rint(points[..., 0]).astype(np.intp), np.rint(points[..., 1]).astype(np.intp)
    inked = mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)] > 0
    return float(max(1.0, np.median(np.cumprod(inked, -1).sum(-1))))


def step_from(
    i: int,
    seeds: "Seeds",
    able: NDArray[np.bool_],
) -> NDArray[np.float64] | None:
    """Return the step (2,) to the next box of a seed's row by its nearest neighbour of like size, None without one."""
    (width, height), quad = seeds.sizes[i], seeds.quads[i]
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    along /= np.hypot(*along)
    apart = seeds.centres - seeds.centres[i]
    across, down = apart @ along, apart @ np.array([-along[1], along[0]])
    fits = able & (np.abs(down) < 0.3 * height) & (np.abs(across) > 0.8 * width)
    fits &= np.abs(across) < FORM_TUNING.max_step * width
    if not fits.any():
        return None
    nearest = np.flatnonzero(fits)[np.abs(across[fits]).argmin()]
    step: NDArray[np.float64] = apart[nearest] * np.sign(across[nearest])
    return step


def finest(step: NDArray[np.float64], quad: Quad, seeds: "Seeds", near: Pixels) -> NDArray[np.float64]:
    """Return the step (2,) to the box beside a box, if a step leads over others that letters have cut; else the step itself."""
    width = size_of(quad)[0]
    for parts in range(round(float(np.hypot(*step)) / width), 1, -1):
        if find_box(quad + step / parts, seeds, near) is not None or find_box(quad - step / parts, seeds, near) is not None:
            return step / parts
    return step


def walk(
    quad: Quad,
    step: NDArray[np.float64],
    seeds: "Seeds",
    near: Pixels,
) -> Iterator[Quad]:
    """Yield box after box in the direction of the step, as long as there are sides."""
    hidden: list[Quad] = []
    growth = np.zeros(2)
    while len(hidden) <= FORM_TUNING.max_hidden and 0 <= quad[:, 0].mean() < near.shape[1]:
        expected = quad + step
        following = find_box(expected, seeds, near)
        if following is None:
            hidden.append(expected)
            quad, step = expected, step + growth
            continue
        error = (following - expected).mean(0)
        growth = growth + STEPPING[1] * error
        step = step + STEPPING[0] * error + growth
        quad = following
        yield from hidden
        hidden = []
        yield quad


def find_box(
    expected: Quad,
    seeds: "Seeds",
    near: Pixels,
    margin: float = 0.0,
) -> Quad | None:
    """Return the box near an expected one: a seed, or sides of print."""
    tuning = FORM_TUNING
    width, height = size_of(expected)
    apart = np.abs(seeds.centres - expected.mean(0))
    alike = (np.abs(np.log(seeds.sizes / (width, height))) < tuning.max_difference).all(1)
    close = alike & (apart[:, 0] < 0.2 * width) & (apart[:, 1] < 0.2 * height)
    tries = [expected]
    if close.any():
        tries.insert(0, seeds.quads[np.flatnonzero(close)[apart[close].sum(1).argmin()]])
    for quad in tries:
        if (support(sides_of(quad), near) >= tuning.min_sure_side).sum() == 4:
            return quad
    reach = max(2, round(tuning.snap * max(width, height)))
    shifts = np.arange(-reach, reach + 1)
    order = shifts[np.argsort(np.abs(shifts), kind="stable")]
    along, down = (expected[1] - expected[0]) / width, (expected[3] - expected[0]) / height
    quad = expected
    for direction, which in ((along, [1, 3]), (down, [0, 2]), (along, [1, 3])):
        moved = quad + order[:, None, None] * direction
        quad = moved[np.nansum(support(sides_of(moved)[:, which], near), 1).argmax()]
    # A letter that touches the sides may have cut corners off the seed.
    tries.insert(0, quad)
    sides = [support(sides_of(one), near, margin) for one in tries]
    best = int(np.argmax([np.nansum(one) for one in sides]))
    return tries[best] if is_box(sides[best], 2 if margin else 3) else None


def is_box(sides: NDArray[np.float64], least: int = 3) -> bool:
    """Return whether the sides (4,) of which these shares are inked make a box; NaN stands for a side outside the image."""
    seen = sides[~np.isnan(sides)]
    there = (seen >= FORM_TUNING.min_side).sum()
    return bool(there >= min(least, len(seen)) and there >= 2 and seen.mean() >= FORM_TUNING.min_mean_side)


def is_taken(row: PlaceRow, rows: Sequence[PlaceRow]) -> bool:
    """Return whether places of a row lie in rows that were found before."""
    feet = row.places[:, 2:].mean(1) + 0.15 * (row.places[:, :2].mean(1) - row.places[:, 2:].mean(1))
    inside = np.zeros(len(feet), bool)
    for other in rows:
        for quad in other.places:
            inside |= is_inside(quad, feet)
    return bool(inside.mean() > 0.3)


def comb_row(outline: NDArray[Any], mask: Pixels) -> PlaceRow | None:
    """Return the places between the ticks of a comb with this outline (n, 1, 2); None if it is no comb."""
    tuning = FORM_TUNING
    points = outline[:, 0]
    left, right = int(points[:, 0].min()), int(points[:, 0].max())
    bottom = np.full(right - left + 1, -1)
    np.maximum.at(bottom, points[:, 0] - left, points[:, 1])
    x = np.arange(left, right + 1, dtype=np.float64)
    fitted = fit_base(x, bottom.astype(np.float64))
    if fitted is None:
        return None
    base, slope = fitted
    y = np.polyval(base, x)
    # Down from the middle of the line to its lower edge.
    columns = np.rint(x).astype(np.intp)
    depth = np.arange(0, 12)
    rows = np.clip(np.rint(y[None] - depth[:, None]).astype(np.intp), 0, mask.shape[0] - 1)
    thickness = float(np.median(np.cumprod(mask[rows, columns] > 0, 0).sum(0)))
    y -= (thickness - 1) / 2
    height = min(int(0.25 * (right - left)), 120)
    up = np.arange(round(thickness / 2) + 1, height)
    wide = cv2.dilate(mask, np.ones((1, 3), np.uint8))

    def runs_along(lean: float) -> NDArray[np.int64]:
        across = np.rint(x[None] + up[:, None] * (slope + lean)).astype(np.intp)
        above = np.rint(y[None] - up[:, None]).astype(np.intp)
        inside = (across >= 0) & (across < mask.shape[1]) & (above >= 0)
        inked = (wide[np.clip(above, 0, None), np.clip(across, 0, mask.shape[1] - 1)] > 0) & inside
        return np.cumprod(inked, 0).sum(0)

    # Only ticks as high as the letters show how the page is seen at an angle.
    lean, runs = 0.0, runs_along(0.0)
    leaning = max(LEANS, key=lambda one: float((runs_along(one).astype(float) ** 2).sum() * (1 - 0.5 * abs(one))))
    tall_runs = runs_along(leaning)
    found = best_comb(find_ticks(tall_runs, thickness), tall_runs >= min_tick(thickness))
    if found is not None and tick_height(tall_runs, found) >= tuning.min_tall_tick * float(np.diff(found).mean()):
        lean, runs = leaning, tall_runs
    else:
        found = best_comb(find_ticks(runs, thickness), runs >= min_tick(thickness))
    if found is None or len(found) < tuning.min_places + 1:
        return None
    step = float(np.diff(found).mean())
    foot = np.column_stack([left + found, np.interp(left + found, x, y)])
    lift = np.array([slope + lean, -1.0])
    tall = tick_height(runs, found)
    room = 1.15 * tall if tall >= tuning.min_tall_tick * step else tuning.room * step
    top = foot + room * lift
    quads = np.stack([top[:-1], top[1:], foot[1:], foot[:-1]], 1)
    ticks_drawn = np.stack([foot, foot + (tall + 1) * lift], 1)
    base_line = np.stack([foot[:-1], foot[1:]], 1)
    ends = np.array([[[left, y[0]], foot[0]], [foot[-1], [right, y[-1]]]])
    return PlaceRow(quads, np.concatenate([base_line, ticks_drawn, ends]), True)


def fit_base(x: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[NDArray[np.float64], float] | None:
    """Fit a parabola to the lower edge (n,) of a comb; returns its coefficients and its slope, None if it is not straight."""
    bins = np.array_split(np.arange(len(x)), 9)
    coarse = np.polyfit([x[b].mean() for b in bins], [np.median(bottom[b]) for b in bins], 1)
    fit = coarse
    for reach, degree in ((8.0, 1), (4.0, 2), (2.5, 2)):
        close = np.abs(bottom - np.polyval(fit, x)) <= reach
        if close.mean() < 0.4:
            return None
        fit = np.polyfit(x[close], bottom[close], degree)
    close = np.abs(bottom - np.polyval(fit, x)) <= 2.0
    slope = float(coarse[0])
    return (fit, slope) if close.mean() >= FORM_TUNING.min_comb_filled and abs(slope) < 0.5 else None


def tick_height(runs: NDArray[np.int64], ticks: NDArray[np.float64]) -> float:
    """Return the usual height of the ticks at these columns, by the ink (n,) above each column."""
    places = np.clip(np.rint(ticks).astype(int), 0, len(runs) - 1)
    return float(np.median([runs[max(0, at - 2) : at + 3].max() for at in places]))


def min_tick(thickness: float) -> float:
    """Return the least height of a tick on a line of this thickness, in pixels."""
    return max(4.0, 1.2 * thickness)


def find_ticks(runs: NDArray[np.int64], thickness: float) -> NDArray[np.float64]:
    """Return the columns of narrow strokes that rise from a line, by the height (n,) of the ink above each of its columns."""
    high = runs >= min_tick(thickness)
    padded = np.concatenate([[False], high, [False]])
    ends = np.flatnonzero(np.diff(padded.astype(np.int8)))
    found = []
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        if end - start <= 3 * thickness + 4:
            found.append((start + end - 1) / 2)
        else:
            # A letter stands on the line here: the highest column may be a tick.
            found.append(start + float(np.argmax(runs[start:end])))
    return np.array(found)


def best_comb(ticks: NDArray[np.float64], high: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the columns of the evenly spaced ticks that explain most of all ticks; high (n,) are the columns with ink above."""
    tuning = FORM_TUNING
    best: tuple[float, list[float]] = (0.0, [])
    if len(ticks) < tuning.min_places + 1:
        return None
    for start, a in enumerate(ticks[:MAX_TICKS]):
        for b in ticks[start + 1 : start + 4]:
            step = float(b - a)
            if step < tuning.min_box_px:
                continue
            right, hits = follow(float(b), step, ticks, high)
            left, more = follow(float(a), -step, ticks, high)
            found = [*reversed(left), float(a), float(b), *right]
            count = hits + more + 2
            score = count - 1.5 * (len(found) - count) - 0.2 * (len(ticks) - count)
            score -= 1.5 * unevenness(np.array(found)) if score > best[0] else 0
            if count >= tuning.min_ticks * len(found) and score > best[0]:
                best = (score, found)
    return np.array(best[1]) if best[1] else None


def unevenness(columns: NDArray[np.float64]) -> float:
    """Return how far columns deviate from even steps that grow or shrink evenly, as the sum of shares of a step."""
    number = np.arange(len(columns)) / len(columns)
    fit = np.polyval(np.polyfit(number, columns, min(3, len(columns) - 2)), number)
    return float(np.abs(columns - fit).sum() / np.diff(columns).mean())


def follow(at: float, step: float, ticks: NDArray[np.float64], high: NDArray[np.bool_]) -> tuple[list[float], int]:
    """Return the columns of the ticks in the direction of a step up to the last that is there, and how many are there."""
    found: list[float] = []
    hits, last, length, growth = 0, 0, len(high), 0.0
    while -0.3 * abs(step) <= at + step <= length - 1 + 0.3 * abs(step) and abs(step) >= FORM_TUNING.min_box_px:
        reach = FORM_TUNING.max_tick_error * abs(step)
        at += step
        nearest = float(ticks[np.abs(ticks - at).argmin()])
        is_hit = abs(nearest - at) <= reach
        if is_hit:
            # A tracking filter: a letter's stroke beside a tick hardly changes the step, but the page's slant does.
            error = nearest - at
            at += TRACKING[0] * error
            growth += TRACKING[2] * error
            step += TRACKING[1] * error
        step += growth
        # A tick may be hidden by a letter that stands on it.
        if is_hit or high[max(0, round(at - reach / 2)) : max(0, round(at + reach / 2)) + 1].any():
            hits += 1
            last = len(found) + 1
        found.append(at)
    return found[:last], hits


def line_rows(flat: Sequence[NDArray[Any]], near: Pixels) -> list[PlaceRow]:
    """Return rows of short lines, one for each letter, from the outlines (n, 1, 2) of flat pieces."""
    tuning = FORM_TUNING
    seeds = []
    for outline in flat[:MAX_SEEDS]:
        (cx, cy), (a, b), _ = cv2.minAreaRect(outline)
        long, thick = max(a, b), min(a, b)
        if long < tuning.min_box_px or thick > max(2.0, tuning.max_line_thickness * long):
            continue
        points = outline[:, 0]
        left, right = points[points[:, 0].argmin()], points[points[:, 0].argmax()]
        slope = (right[1] - left[1]) / max(1, right[0] - left[0])
        half = (right[0] - left[0]) / 2
        seeds.append([[cx - half, cy - slope * half], [cx + half, cy + slope * half]])
    if len(seeds) < tuning.min_places - 1:
        return []
    lines = np.array(seeds, np.float64)
    centres, lengths = lines.mean(1), lines[:, 1, 0] - lines[:, 0, 0]
    taken = np.zeros(len(lines), bool)
    rows: list[PlaceRow] = []
    alike = np.abs(np.log(lengths[:, None] / lengths[None])) < tuning.max_difference
    for i in np.argsort(-alike.sum(1), kind="stable"):
        if taken[i]:
            continue
        apart = centres - centres[i]
        fits = (
            alike[i] & ~taken & (np.abs(apart[:, 0]) > 1.03 * lengths[i]) & (np.abs(apart[:, 0]) < tuning.max_step * lengths[i])
        )
        fits &= np.abs(apart[:, 1]) < 0.35 * np.abs(apart[:, 0])
        if not fits.any():
            continue
        nearest = np.flatnonzero(fits)[np.abs(apart[fits, 0]).argmin()]
        step = apart[nearest] * np.sign(apart[nearest, 0])
        row = [*reversed(list(walk_lines(lines[i], -step, lines, near))), lines[i]]
        row += walk_lines(lines[i], step, lines, near)
        own = np.array(row)
        close = np.abs(own.mean(1)[:, None] - centres[None]).max(2).min(0) < 0.3 * lengths[i]
        if len(row) < tuning.min_places or close.sum() < 3:
            continue
        taken |= close
        width = np.hypot(*step)
        half = (own[:, 1] - own[:, 0]) * (width / lengths[i] / 2)
        middle = own.mean(1)
        foot = np.stack([middle - half, middle + half], 1)
        lift = np.array([step[1] / step[0], -1.0]) * tuning.room * width
        quads = np.stack([foot[:, 0] + lift, foot[:, 1] + lift, foot[:, 1], foot[:, 0]], 1)
        rows.append(PlaceRow(quads, own, True))
    kept: list[PlaceRow] = []
    for row in sorted(rows, key=lambda row: -len(row.places)):
        middles, reach = row.lines.mean(1), 0.3 * size_of(row.places[0])[0]
        known = np.array([middle for other in kept for middle in other.lines.mean(1)]).reshape(-1, 2)
        if not (np.abs(middles[:, None] - known[None]).max(2) < reach).any(1).mean() > MAX_SHARED_LINES:
            kept.append(row)
    return kept


def walk_lines(
    line: NDArray[np.float64], step: NDArray[np.float64], lines: NDArray[np.float64], near: Pixels
) -> Iterator[NDArray[np.float64]]:
    """Yield line after line in the direction of the step."""
    hidden: list[NDArray[np.float64]] = []
    lengths, centres = lines[:, 1, 0] - lines[:, 0, 0], lines.mean(1)
    while len(hidden) <= FORM_TUNING.max_hidden and 0 <= line[:, 0].mean() < near.shape[1]:
        expected, length = line + step, line[1, 0] - line[0, 0]
        apart = np.abs(centres - expected.mean(0)).max(1)
        close = (np.abs(np.log(lengths / length)) < FORM_TUNING.max_difference) & (apart < 0.2 * length)
        if close.any():
            following = lines[np.flatnonzero(close)[apart[close].argmin()]]
        else:
            following = find_line(expected, step, near)
            if following is None:
                hidden.append(expected)
                line = expected
                continue
        step = 0.5 * step + 0.5 * (following.mean(0) - line.mean(0))
        line = following
        yield from hidden
        hidden = []
        yield line


def find_line(expected: NDArray[np.float64], step: NDArray[np.float64], near: Pixels) -> NDArray[np.float64] | None:
    """Return the printed line near an expected one (2, 2): inked along its length, but not where the gaps beside it are."""
    tuning = FORM_TUNING
    along = expected[1] - expected[0]
    length = float(np.hypot(*along))
    across = np.arange(-tuning.line_reach, tuning.line_reach + 0.01, 0.06) * length
    down = np.arange(-max(2, round(0.12 * length)), max(2, round(0.12 * length)) + 1)
    shifts = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    shifts = shifts[np.argsort(np.hypot(shifts[:, 0], shifts[:, 1]), kind="stable")]
    moved = expected + shifts[:, None]
    inked = np.nan_to_num(support(moved, near))
    gap = (np.hypot(*step) - length) / 2 * along / length
    beside = np.rint(moved + np.array([-gap, gap])).astype(np.intp)
    x, y = np.clip(beside[..., 0], 0, near.shape[1] - 1), np.clip(beside[..., 1], 0, near.shape[0] - 1)
    free = (near[y, x] == 0).mean(1)
    score = inked + 0.25 * free
    best = int(score.argmax())
    return moved[best] if inked[best] >= tuning.min_line else None
