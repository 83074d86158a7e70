"""Rows of boxes on a form, grown from boxes that are plain to see."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .grids import find_grids
from .quads import (
    FORM_TUNING,
    SIDE_ENDS,
    PlaceRow,
    Quad,
    are_covered,
    is_inside,
    looked_up,
    plain_size,
    sides_of,
    size_of,
    support,
)

# The shares of the error of a box's place that correct the step, and the growth of the step; the second pair, if the growth is
# known from the boxes of the whole page.
STEPPING, KNOWN_STEPPING = (0.5, 0.1), (0.3, 0.02)
# Boxes whose size and direction change evenly over the page: at least this many, with these tolerances in turn.
MIN_EVEN, EVEN_TOLERANCES = 8, (0.25, 0.18, 0.12, 0.1)
# A step is that of other rows if it differs from it by no more than this share.
MAX_STRIDE_ERROR = 0.06
# How many boxes are asked for the step to the next one, and how many must agree.
MAX_STRIDES, MIN_STRIDES = 80, 4
# The corners at the ends of the upright sides, and of the level ones.
UPRIGHT, LEVEL = SIDE_ENDS[[1, 3]], SIDE_ENDS[[0, 2]]
# Rounds of reweighting, and the deviation (logarithm or radians) below which all weigh the same.
ROUNDS, MIN_DEVIATION = 8, 0.01


@dataclass(frozen=True)
class Growth:
    """How boxes change over a page that is seen at an angle, by the boxes that are plain to see.

    slopes (4, 2) are the changes per pixel to the right and down: of the logarithms of width and height, and of the directions of
    the sides along the row and down, in radians. shape (4,) is what a box at `middle` (2,) has. tolerance is the usual difference
    in size between boxes of one kind; is_known is False if too few boxes are plain to see, and then all slopes are 0.
    """

    slopes: NDArray[np.float64]
    shape: NDArray[np.float64]
    middle: NDArray[np.float64]
    tolerance: float
    is_known: bool

    def sizes(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by which factors (..., 2) the width and the height of a box at points (..., 2) differ from one at the middle."""
        factors: NDArray[np.float64] = np.exp((points - self.middle) @ self.slopes[:2].T)
        return factors

    def box_at(self, centre: NDArray[np.float64], size: NDArray[np.float64]) -> Quad:
        """Return the box with this centre (2,) and size (2,)."""
        along, down = (self.shape[2:] + self.slopes[2:] @ (centre - self.middle)).tolist()
        half = np.array([math.cos(along), math.sin(along)]) * size[0] / 2
        deep = np.array([math.cos(down), math.sin(down)]) * size[1] / 2
        return centre + np.array([-half - deep, half - deep, half + deep, deep - half])


@dataclass(frozen=True)
class Seeds:
    """Boxes that are plain to see: quads (n, 4, 2) along the middles of their sides, their centres (n, 2) and sizes (n, 2)."""

    quads: NDArray[np.float64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    growth: Growth


def box_rows(quads: NDArray[np.float64], mask: Pixels, near: Pixels) -> list[PlaceRow]:
    """Grow rows of boxes from quads (N, 4, 2), which lie on the inner edges of their sides."""
    tuning = FORM_TUNING
    if len(quads) < tuning.min_row:
        return []
    thickness = side_thickness(quads, mask)
    middles = quads.mean(1)
    grown = quads + (quads - middles[:, None]) / np.array([size_of(q) for q in quads])[:, None] * thickness
    centres, sizes = grown.mean(1), np.array([size_of(quad) for quad in grown])
    holds = holds_others(grown, centres)
    # A letter that touches the sides cuts corners off its box.
    is_whole = np.nan_to_num(support(sides_of(grown), near)).min(1) >= tuning.min_whole_side
    growth = growth_of(grown[is_whole & ~holds])
    seeds = Seeds(grown, centres, sizes, growth)
    logs = np.log(sizes / growth.sizes(centres))
    alike = np.all(np.abs(logs[:, None] - logs[None]) < growth.tolerance, axis=2)
    # Boxes of the most usual size come first: parts of boxes that a letter cuts in two are found taken then.
    order = np.lexsort((-sizes.prod(1), -alike.sum(1), ~is_whole))
    taken = holds.copy()
    rows: list[PlaceRow] = []
    for row in grid_rows(seeds, is_whole & ~holds, near):
        taken |= are_covered(row.places, centres)
        rows.append(row)
    kind = logs[order[0]]
    is_kind = np.all(np.abs(logs - kind) < growth.tolerance, axis=1)
    stride = usual_stride(seeds, is_whole & ~holds & is_kind) if growth.is_known else 0.0
    indices: list[int] = order.tolist()
    for i in indices:
        if taken[i]:
            continue
        step = step_from(i, seeds, alike[i] & ~holds & is_whole)
        if step is None:
            step = step_from(i, seeds, alike[i] & ~holds)
        own_stride = stride if is_kind[i] else 0.0
        if step is not None:
            step = finest(step, seeds.quads[i], seeds, near, own_stride)
        elif own_stride and is_whole[i]:
            # Letters touch all other boxes of this row.
            step = own_stride * along_of(seeds.quads[i])
        else:
            continue
        row = [*reversed(list(walk(seeds.quads[i], -step, seeds, near))), seeds.quads[i]]
        row += walk(seeds.quads[i], step, seeds, near)
        if len(row) < tuning.min_row:
            continue
        if len(row) >= tuning.min_places and not stride and growth.is_known:
            kind, stride = logs[i], float(np.hypot(*step)) / float(sizes[i, 0])
            is_kind = np.all(np.abs(logs - kind) < growth.tolerance, axis=1)
        places = np.array(row)
        for own in with_stacked(places, rows, seeds, near):
            taken |= are_covered(own, centres)
            rows.append(PlaceRow(own, sides_of(own).reshape(-1, 2, 2), False))
    usual = [size_of(row.places[0]) for row in rows if len(row.places) >= tuning.min_places]
    # Parts of letters look like a box or two as well.
    return [row for row in rows if len(row.places) >= tuning.min_places or is_size_known(size_of(row.places[0]), usual)]


def grid_rows(seeds: Seeds, able: NDArray[np.bool_], near: Pixels) -> list[PlaceRow]:
    """Return the rows of grids of boxes that share their sides; grids start with seeds that are able (n,)."""
    rows: list[PlaceRow] = []
    for grid in find_grids(seeds.quads, able, near):
        rows += [PlaceRow(own, sides_of(own).reshape(-1, 2, 2), False, True) for own in grid]
        # The sides of the row above or below may be hidden, or not quite in the view.
        for end in (grid[0], grid[-1]):
            rows += [PlaceRow(own, sides_of(own).reshape(-1, 2, 2), False) for own in with_stacked(end, rows, seeds, near)[1:]]
    return rows


def along_of(quad: Quad) -> NDArray[np.float64]:
    """Return the vector (2,) from the left side of a box to its right side."""
    return (quad[1] - quad[0] + quad[2] - quad[3]) / 2


def usual_stride(seeds: Seeds, able: NDArray[np.bool_]) -> float:
    """Return the most usual step from a box to the next one, in widths of the box; 0 if too few are seen."""
    steps = [(step_from(i, seeds, able), i) for i in np.flatnonzero(able).tolist()[:MAX_STRIDES]]
    strides = np.array([float(np.hypot(*step)) / float(seeds.sizes[i, 0]) for step, i in steps if step is not None])
    if len(strides) < MIN_STRIDES:
        return 0.0
    close = np.abs(np.log(strides[:, None] / strides[None])) < MAX_STRIDE_ERROR
    best = close.sum(1).argmax()
    return float(np.median(strides[close[best]])) if close[best].sum() >= MIN_STRIDES else 0.0


def with_stacked(places: NDArray[np.float64], rows: Sequence[PlaceRow], seeds: Seeds, near: Pixels) -> list[NDArray[np.float64]]:
    """Return a row of boxes (n, 4, 2) and those above and below that share its sides, as far as they are not among rows."""
    found, stack = [], [places]
    while stack:
        places = stack.pop()
        found.append(places)
        if len(places) < FORM_TUNING.min_places:
            continue
        down = (places[:, 3] - places[:, 0] + places[:, 2] - places[:, 1])[:, None] / 2
        for step in (down, -down):
            known = [*(one.places for one in rows), *found, *stack]
            beside = stacked_row(places + step, known, seeds, near)
            if beside is not None:
                stack.append(beside)
    return found


def growth_of(quads: NDArray[np.float64]) -> Growth:
    """Fit how the boxes of one kind change over a page to quads (n, 4, 2); some are of other kinds, or parts."""
    unknown = Growth(np.zeros((4, 2)), np.zeros(4), np.zeros(2), FORM_TUNING.max_difference, False)
    if len(quads) < MIN_EVEN:
        return unknown
    centres = quads.mean(1)
    middle = centres.mean(0)
    along, down = quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3], quads[:, 3] - quads[:, 0] + quads[:, 2] - quads[:, 1]
    shapes = np.column_stack(
        [
            np.log(np.hypot(*along.T) / 2),
            np.log(np.hypot(*down.T) / 2),
            np.arctan2(along[:, 1], along[:, 0]),
            np.arctan2(down[:, 1], down[:, 0]),
        ]
    )
    points = np.column_stack([centres - middle, np.ones(len(centres))])
    fit = np.zeros((3, 4))
    own = np.zeros(len(quads), bool)
    for tolerance in EVEN_TOLERANCES:
        rest = shapes - points @ fit
        close: NDArray[np.bool_] = np.all(np.abs(rest[:, None] - rest[None]) < tolerance, axis=2)
        own = close[close.sum(1).argmax()]
        if own.sum() < MIN_EVEN:
            return unknown
        fit = least_absolute(points[own], shapes[own])
    return Growth(fit[:2].T, fit[2], middle, FORM_TUNING.max_even_difference, True)


def least_absolute(points: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit planes (3, k) to values (n, k) at points (n, 3) so that the sum of all absolute errors is small: some are far off."""
    reach = np.maximum(np.abs(points).max(0), 1)
    # A little stiffness against slopes, because boxes in one row show none across it.
    a = np.vstack([points / reach, 0.2 * np.eye(2, 3)])
    b = np.vstack([values, np.zeros((2, values.shape[1]))])
    weights = np.ones_like(b)
    fit = np.zeros((3, values.shape[1]))
    for _ in range(ROUNDS):
        weighted = weights[:, :, None] * a[:, None]
        normal = np.einsum("nki,nj->kij", weighted, a)
        fit = np.linalg.solve(normal, np.einsum("nki,nk->ki", weighted, b)[..., None])[..., 0].T
        weights = 1 / np.maximum(np.abs(b - a @ fit), MIN_DEVIATION)
        weights[-2:] = 1
    return fit / reach[:, None]


def is_size_known(size: NDArray[np.float64], known: Sequence[NDArray[np.float64]]) -> bool:
    """Return whether a box is about as large (width, height) as another."""
    return any((np.abs(np.log(size / other)) < FORM_TUNING.max_difference).all() for other in known)


def stacked_row(
    expected: NDArray[np.float64],
    rows: Sequence[NDArray[np.float64]],
    seeds: Seeds,
    near: Pixels,
) -> NDArray[np.float64] | None:
    """Return the row of boxes that shares its upper or lower sides with another; None if there is none, or if it is known."""
    middles = expected.mean(1)
    height, width = near.shape
    if not ((middles >= 0) & (middles < (width, height))).all(1).any():
        return None
    if any(are_covered(row, middles).any() for row in rows):
        return None
    margin = FORM_TUNING.edge * size_of(expected[0])[1]
    found = find_boxes(expected, seeds, near, margin)
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


def side_thickness(quads: NDArray[np.float64], mask: Pixels) -> float:
    """Return how thick the sides of quads usually are, measured outwards from the middles of their sides."""
    sides = sides_of(quads[:60])
    middle = sides.mean(-2)
    out = middle - quads[:60].mean(1)[:, None]
    out /= np.maximum(np.hypot(out[..., 0], out[..., 1])[..., None], 1)
    points = middle[..., None, :] + np.arange(0, 16)[:, None] * out[..., None, :]
    inked = looked_up(mask, points) > 0
    return float(max(1.0, np.median(np.cumprod(inked, -1).sum(-1))))


def step_from(
    i: int,
    seeds: Seeds,
    able: NDArray[np.bool_],
) -> NDArray[np.float64] | None:
    """Return the step (2,) to the next box of a seed's row by its nearest neighbour of like size, None without one."""
    (width, height), quad = seeds.sizes[i], seeds.quads[i]
    along = along_of(quad)
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


def finest(step: NDArray[np.float64], quad: Quad, seeds: Seeds, near: Pixels, stride: float) -> NDArray[np.float64]:
    """Return the step (2,) to the box beside a box, if a step leads over others that letters have cut; else the step itself.

    stride is the step in other rows of such boxes, in widths of a box; 0 if it is not known.
    """
    width = size_of(quad)[0]
    if stride:
        count = float(np.hypot(*step)) / width / stride
        parts = max(1, round(count))
        if abs(count / parts - 1) < MAX_STRIDE_ERROR:
            return step / parts
        usual = stride * along_of(quad)
        if find_box(quad + usual, seeds, near) is not None or find_box(quad - usual, seeds, near) is not None:
            return usual
    for parts in range(round(float(np.hypot(*step)) / width), 1, -1):
        if find_box(quad + step / parts, seeds, near) is not None or find_box(quad - step / parts, seeds, near) is not None:
            return step / parts
    return step


def walk(
    quad: Quad,
    step: NDArray[np.float64],
    seeds: Seeds,
    near: Pixels,
) -> Iterator[Quad]:
    """Yield box after box in the direction of the step, as long as there are sides."""
    hidden: list[Quad] = []
    growth = np.zeros(2)
    gains = KNOWN_STEPPING if seeds.growth.is_known else STEPPING
    centre = quad.mean(0)
    usual = size_of(quad) / seeds.growth.sizes(centre)
    while len(hidden) <= FORM_TUNING.max_hidden and 0 <= quad[:, 0].mean() < near.shape[1]:
        if seeds.growth.is_known:
            # Half a step further, the boxes are as large as the step is wide.
            wider = float((seeds.growth.sizes(centre + step) / seeds.growth.sizes(centre))[0])
            step = step * wider
            expected = seeds.growth.box_at(centre + step, usual * seeds.growth.sizes(centre + step))
        else:
            expected = quad + step
        following = find_box(expected, seeds, near)
        centre = (expected if following is None else following).mean(0)
        if following is None:
            hidden.append(expected)
            quad, step = expected, step + growth
            continue
        error = (following - expected).mean(0)
        growth = growth + gains[1] * error
        step = step + gains[0] * error + growth
        quad = following
        yield from hidden
        hidden = []
        yield quad


def find_box(expected: Quad, seeds: Seeds, near: Pixels, margin: float = 0.0) -> Quad | None:
    """Return the box near an expected one: a seed, or sides of print."""
    return find_boxes(expected[None], seeds, near, margin)[0]


def find_boxes(expected: NDArray[np.float64], seeds: Seeds, near: Pixels, margin: float = 0.0) -> list[Quad | None]:
    """Return for each expected box (n, 4, 2) what find_box does; all at once, because that takes a fraction of the time."""
    sizes = np.array([plain_size(quad) for quad in expected.tolist()])
    apart = np.abs(seeds.centres - expected.mean(1)[:, None])
    close = (np.abs(np.log(seeds.sizes / sizes[:, None])) < seeds.growth.tolerance).all(2)
    close &= (apart < 0.2 * sizes[:, None]).all(2)
    has_seed = close.any(1)
    # What is expected stands for a seed where there is none.
    nearest = expected.copy()
    if has_seed.any():
        nearest[has_seed] = seeds.quads[np.where(close, apart.sum(2), np.inf).argmin(1)[has_seed]]
    tries = np.stack([nearest, expected], 1)
    is_sure: NDArray[np.bool_] = np.all(support(sides_of(tries), near) >= FORM_TUNING.min_sure_side, axis=2)
    is_open = ~(is_sure[:, 0] | is_sure[:, 1])
    found: list[Quad | None] = list(tries[np.arange(len(tries)), is_sure.argmax(1)])
    reaches = np.array([max(2, round(FORM_TUNING.snap * longest)) for longest in sizes.max(1).tolist()])
    for reach in np.unique(reaches[is_open]).tolist():
        own = np.flatnonzero((reaches == reach) & is_open)
        snapped = snap(expected[own], sizes[own], reach, near)
        # A letter that touches the sides may have cut corners off the seed.
        every = np.concatenate([snapped[:, None], tries[own]], 1)
        seen = support(sides_of(every), near, margin)
        for i, quads, each, best in zip(own.tolist(), every, seen, seen_of(seen).argmax(1).tolist(), strict=True):
            found[i] = quads[best] if is_box(each[best], 2 if margin else 3) else None
    return found


def snap(quads: NDArray[np.float64], sizes: NDArray[np.float64], reach: int, near: Pixels) -> NDArray[np.float64]:
    """Move boxes (n, 4, 2) with these sizes (n, 2) by up to `reach` pixels to where most of their sides is inked."""
    shifts = np.arange(-reach, reach + 1)
    order = shifts[np.argsort(np.abs(shifts), kind="stable")]
    along, down = (quads[:, 1] - quads[:, 0]) / sizes[:, :1], (quads[:, 3] - quads[:, 0]) / sizes[:, 1:]
    for direction, which in ((along, UPRIGHT), (down, LEVEL), (along, UPRIGHT)):
        moved = quads[:, None] + order[:, None, None] * direction[:, None, None]
        quads = moved[np.arange(len(moved)), seen_of(support(moved[:, :, which], near)).argmax(1)]
    return quads


def seen_of(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of some sides (..., k) is inked, all k together; sides outside the image, NaN, count as nothing."""
    total: NDArray[np.float64] = np.where(np.isnan(sides), 0, sides).sum(-1)
    return total


def is_box(sides: NDArray[np.float64], least: int = 3) -> bool:
    """Return whether the sides (4,) of which these shares are inked make a box; NaN stands for a side outside the image."""
    seen = sides[~np.isnan(sides)]
    there = (seen >= FORM_TUNING.min_side).sum()
    return bool(there >= min(least, len(seen)) and there >= 2 and seen.mean() >= FORM_TUNING.min_mean_side)
