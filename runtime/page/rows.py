"""Mend the rows of places on a form: leave out those over others, join the parts of one, and straighten boxes that are off."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .quads import FORM_TUNING, PlaceRow, are_covered, sides_of, size_of, steady, support

# A row with more than this share of its places over a longer row is none.
MAX_OVER = 0.3
# Two rows are parts of one if the second begins up to this many steps after the first ends, within this share of a step, and if
# this share of the print between them is there.
MAX_STEPS, MAX_STEP_ERROR, MIN_BETWEEN = 3, 0.25, 0.6
# At this height above its lower side, in heights of the place, a place belongs to no other row.
FOOT = 0.15
# A place without a top is at least this high, in its widths.
OWN_HEIGHT = 0.9
# A row of at least this many boxes shows where each of them is; a corner that is farther off than this share of its box and this
# many pixels is moved. A row in which more corners than the last share are off is bent too much for it.
MIN_STRAIGHT, MAX_OFF, MIN_OFF_PX, MAX_OFF_SHARE = 5, 0.05, 1.5, 0.45


def mended(rows: Sequence[PlaceRow], near: Pixels) -> list[PlaceRow]:
    """Return rows of places as they are on the page: each row once, whole and even; near (H, W) is the mask, a little broader."""
    return without_covered(joined([row if row.is_open or row.is_sure else straightened(row) for row in rows], near))


def without_covered(rows: Sequence[PlaceRow]) -> list[PlaceRow]:
    """Return the rows that do not lie over longer ones."""
    kept: list[PlaceRow] = []
    for row in sorted(rows, key=lambda row: -len(row.places)):
        if not kept or not over(row, kept) > MAX_OVER:
            kept.append(row)
    return kept


def over(row: PlaceRow, others: Sequence[PlaceRow]) -> float:
    """Return the share of a row's places whose feet lie in the places of other rows."""
    foot, top = row.places[:, 2:].mean(1), row.places[:, :2].mean(1)
    cores = [quad for other in others for quad in core(other)]
    return float(are_covered(cores, foot + FOOT * (top - foot)).mean())


def core(row: PlaceRow) -> NDArray[np.float64]:
    """Return the part (n, 4, 2) of each place that no other row may have: the room above a comb reaches into the next one."""
    if not row.is_open:
        return row.places
    width, height = size_of(row.places[len(row.places) // 2])
    low = row.places[:, [3, 2]]
    return np.concatenate([low + min(1.0, OWN_HEIGHT * width / height) * (row.places[:, :2] - low), row.places[:, 2:]], 1)


def joined(rows: Sequence[PlaceRow], near: Pixels) -> list[PlaceRow]:
    """Return rows in which those that continue each other are one."""
    rest = sorted(rows, key=lambda row: float(row.places[0, :, 0].mean()))
    whole: list[PlaceRow] = []
    while rest:
        row = rest.pop(0)
        while found := next(((k, gap) for k, one in enumerate(rest) if (gap := gap_places(row, one, near)) is not None), None):
            k, between = found
            following = rest.pop(k)
            places = np.concatenate([row.places, between, following.places])
            feet = between[:, [3, 2]] if row.is_open else sides_of(between).reshape(-1, 2, 2)
            lines = np.concatenate([row.lines, feet, following.lines])
            row = PlaceRow(places, lines, row.is_open, row.is_sure and following.is_sure)
        whole.append(row)
    return whole


def gap_places(row: PlaceRow, following: PlaceRow, near: Pixels) -> NDArray[np.float64] | None:
    """Return the places (n, 4, 2) between two rows that are parts of one; None if they are not."""
    if row.is_open != following.is_open or min(len(row.places), len(following.places)) < 2:
        return None
    last, first = row.places[-1], following.places[0]
    before, after = size_of(last), size_of(first)
    if (np.abs(np.log(before / after))[: 1 if row.is_open else 2] > FORM_TUNING.max_difference).any():
        return None
    feet = np.array([quad[2:].mean(0) for quad in (row.places[-2], last, first, following.places[1])])
    step = (feet[1] - feet[0] + feet[3] - feet[2]) / 2
    length = float(np.hypot(*step))
    apart = feet[2] - feet[1]
    count = round(float(apart @ step) / length**2)
    if not 1 <= count <= MAX_STEPS or np.hypot(*(apart - count * step)) > MAX_STEP_ERROR * length:
        return None
    share = np.arange(1, count)[:, None, None] / count
    between = last + share * (first - last)
    lines = np.array([[last[2], first[3]]] if row.is_open else [[last[2], first[3]], [last[1], first[0]]])
    if np.hypot(*(first[3] - last[2])) > 2 and not np.nan_to_num(support(lines, near)).min() >= MIN_BETWEEN:
        return None
    return between


def straightened(row: PlaceRow) -> PlaceRow:
    """Return a row of boxes in which those that a letter has cut, so that their outline is another, stand as the others do."""
    count = len(row.places)
    if count < MIN_STRAIGHT:
        return row
    fit = steady(row.places)
    apart = np.hypot(*np.moveaxis(row.places - fit, -1, 0))
    is_off = apart > max(MIN_OFF_PX, MAX_OFF * float(size_of(row.places[count // 2]).min()))
    if not is_off.any() or is_off.mean() > MAX_OFF_SHARE:
        return row
    places = np.where(is_off[..., None], fit, row.places)
    return PlaceRow(places, sides_of(places).reshape(-1, 2, 2), False)
