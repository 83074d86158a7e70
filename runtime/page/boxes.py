"""Rows of boxes on a form, grown from boxes that are plain to see."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .quads import FORM_TUNING, PlaceRow, Quad, are_covered, is_inside, looked_up, sides_of, size_of, support

# The shares of the error of a box's place that correct the step, and the growth of the step.
STEPPING = (0.5, 0.1)


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
        taken |= are_covered(places, centres)
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
                    taken |= are_covered(beside, centres)
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


def finest(step: NDArray[np.float64], quad: Quad, seeds: Seeds, near: Pixels) -> NDArray[np.float64]:
    """Return the step (2,) to the box beside a box, if a step leads over others that letters have cut; else the step itself."""
    width = size_of(quad)[0]
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
    seeds: Seeds,
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
