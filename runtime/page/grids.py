"""Grids of boxes on a form that share their sides, row under row: one perspective view gives the places of all boxes."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .quads import FORM_TUNING, are_covered, sides_of, size_of, support

# Neighbouring boxes share a side if its middles are this near, in sizes of a box. A box fits a grid if its corners are this near.
NEAR, FITS = 0.15, 0.2
# A grid starts with this many neighbours, and needs this many boxes that fit, in at least this many rows.
MIN_START, MIN_BOXES, MIN_ROWS = 3, 8, 2
# Rounds in which boxes that fit are added, the pixels by which their corners may be off the view, and the most rows or columns.
ROUNDS, MAX_OFF_PX, MAX_SIDE = 6, 2.5, 60
# A box of a grid is whole if each of its sides has the first share of print and all have the second share on average. A row is
# there if the third share of its boxes is whole, a column with one such box. Where letters hide sides, the last share is enough.
MIN_SIDE, MIN_MEAN, MIN_THERE, MIN_ALL = 0.5, 0.75, 0.5, 0.6
# A view with a smaller determinant shows the page from its edge.
MIN_DETERMINANT = 1e-9
# Each box of a grid, with its left top corner at the origin.
UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
# Rows and columns from a box to those on its right, on its left, below and above.
STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def find_grids(quads: NDArray[np.float64], able: NDArray[np.bool_], near: Pixels) -> list[list[NDArray[np.float64]]]:
    """Return grids as lists of rows of boxes (n, 4, 2), from quads (N, 4, 2) of which those that are able (N,) start a grid."""
    grids: list[list[NDArray[np.float64]]] = []
    free = able.copy()
    for _ in range(len(quads)):
        cells = largest_block(quads, free)
        if len(cells) < MIN_START:
            break
        start = np.array(list(cells))
        free[start] = False
        found = view_of(quads, cells)
        if found is None:
            continue
        view, own = found
        rows = rows_of(view, own, near)
        if len(rows) < MIN_ROWS:
            continue
        grids.append(rows)
        free &= ~are_covered([quad for row in rows for quad in row], quads.mean(1))
    return grids


def largest_block(quads: NDArray[np.float64], free: NDArray[np.bool_]) -> dict[int, tuple[int, int]]:
    """Return the row and column of each box of the largest block of free boxes that share sides, relative to one of them."""
    indices = np.flatnonzero(free)
    if len(indices) < MIN_START:
        return {}
    own = quads[indices]
    reach = NEAR * np.array([size_of(quad).min() for quad in own])
    middles = (own + own[:, [1, 2, 3, 0]]) / 2
    right = np.abs(middles[:, None, 1] - middles[None, :, 3]).max(2) < reach[:, None]
    below = np.abs(middles[:, None, 2] - middles[None, :, 0]).max(2) < reach[:, None]
    beside = [neighbours(table) for table in (right, right.T, below, below.T)]
    best: dict[int, tuple[int, int]] = {}
    seen: set[int] = set()
    for first in range(len(own)):
        if first in seen:
            continue
        cells, stack = {first: (0, 0)}, [first]
        while stack:
            i = stack.pop()
            row, column = cells[i]
            for table, (down, along) in zip(beside, STEPS, strict=True):
                for j in table[i]:
                    if j not in cells:
                        cells[j] = row + down, column + along
                        stack.append(j)
        seen |= set(cells)
        if len(cells) > len(best):
            best = cells
    return {int(indices[i]): cell for i, cell in best.items()}


def neighbours(table: NDArray[np.bool_]) -> list[list[int]]:
    """Return where each row of a table (n, n) is True, as plain numbers."""
    found: list[list[int]] = [[] for _ in table]
    for i, j in np.argwhere(table).tolist():
        found[i].append(j)
    return found


def view_of(
    quads: NDArray[np.float64], start: dict[int, tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Return the perspective view (3, 3) of a grid, and row and column (n, 2) of the boxes that fit it; None without one."""
    indices, cells = np.array(list(start)), np.array(list(start.values()))
    view = None
    for _ in range(ROUNDS):
        corners = (cells[:, ::-1][:, None] + UNIT).reshape(-1, 2)
        # The stubs of OpenCV do not say that there may be no view.
        fitted: Any = cv2.findHomography(corners, quads[indices].reshape(-1, 2), cv2.RANSAC, MAX_OFF_PX)[0]
        if fitted is None or not np.isfinite(fitted).all() or abs(np.linalg.det(fitted)) < MIN_DETERMINANT:
            return None
        view = np.asarray(fitted, np.float64)
        flat = cv2.perspectiveTransform(quads.reshape(-1, 1, 2), np.linalg.inv(view)).reshape(-1, 4, 2)
        at = np.rint(flat.mean(1) - 0.5)
        fits = np.abs(flat - at[:, None] - UNIT).max((1, 2)) < FITS
        indices, before = np.flatnonzero(fits), indices
        cells = at[indices][:, ::-1].astype(np.int64)
        if len(indices) < MIN_START:
            return None
        if len(indices) == len(before) and (indices == before).all():
            break
    if view is None or len(indices) < MIN_BOXES:
        return None
    return view, cells


def rows_of(view: NDArray[np.float64], cells: NDArray[np.int64], near: Pixels) -> list[NDArray[np.float64]]:
    """Return the rows of boxes (n, 4, 2) of a grid with this view, around the boxes (n, 2) that fit it."""
    (top, left), (bottom, right) = cells.min(0).tolist(), cells.max(0).tolist()
    if max(bottom - top, right - left) >= MAX_SIDE:
        return []

    def shares(rows: Sequence[int], columns: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return how much of the sides of boxes (rows, columns) is there on average, and which boxes have each side."""
        sides = support(sides_of(boxes_at(view, rows, columns)), near, 2.0)
        seen = ~np.isnan(sides)
        mean = np.nansum(sides, -1) / np.maximum(seen.sum(-1), 1)
        is_whole = np.all(np.where(seen, sides, 1) >= MIN_SIDE, axis=-1) & (mean >= MIN_MEAN) & (seen.sum(-1) > 1)
        return mean, is_whole

    def end_of(at: int, step: int, across: Sequence[int], *, is_row: bool) -> int:
        """Return the last row or column in the direction of a step, also behind a few whose sides cannot be seen."""
        last = at
        for beside in range(at + step, at + step * MAX_SIDE, step):
            mean, is_whole = shares([beside], across) if is_row else shares(across, [beside])
            if mean.mean() >= MIN_ALL or is_whole.mean() >= (MIN_THERE if is_row else 1 / len(across)):
                last = beside
            elif is_row or abs(beside - last) > FORM_TUNING.max_hidden:
                break
        return last

    # Rows first: each is as wide as what was found.
    columns = range(left, right + 1)
    top, bottom = end_of(top, -1, columns, is_row=True), end_of(bottom, 1, columns, is_row=True)
    rows = range(top, bottom + 1)
    left, right = end_of(left, -1, rows, is_row=False), end_of(right, 1, rows, is_row=False)
    found: list[NDArray[np.float64]] = []
    mean, is_whole = shares(rows, range(left, right + 1))
    for row, own, whole in zip(rows, mean >= MIN_ALL, is_whole, strict=True):
        there = np.flatnonzero(own).tolist()
        span = slice(there[0], there[-1] + 1) if there else slice(0)
        if len(there) >= FORM_TUNING.min_places and whole[span].mean() >= MIN_THERE:
            found.append(boxes_at(view, [row], range(left + span.start, left + span.stop))[0])
        elif len(found) < MIN_ROWS:
            # The space between two rows that share no sides.
            found = []
        else:
            break
    return found


def boxes_at(view: NDArray[np.float64], rows: Sequence[int], columns: Sequence[int]) -> NDArray[np.float64]:
    """Return the boxes (rows, columns, 4, 2) of a grid as they are seen."""
    row, column = np.meshgrid(rows, columns, indexing="ij")
    corners = np.stack([column, row], -1)[..., None, :] + UNIT
    return np.asarray(cv2.perspectiveTransform(corners.reshape(-1, 1, 2), view), np.float64).reshape(corners.shape)
