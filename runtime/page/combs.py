"""Rows of places on a form that have no top: the places between the ticks of a comb, and those on short lines."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .quads import FORM_TUNING, MAX_SEEDS, PlaceRow, looked_up, sampled, size_of, steady, support

# The shares of the error of a tick's place that correct the place, the step, and the growth of the step.
TRACKING = (0.6, 0.25, 0.03)
# Two rows of lines are one if more than this share of their lines are the same.
MAX_SHARED_LINES = 0.25
# High ticks lie within this share of a step of where they are looked for; fewer than the second number are left there.
MAX_TICK_OFF, MIN_FOLLOWED = 0.1, 6
# Only the first ticks of a comb start a search.
MAX_TICKS = 60
# Ticks lean by as much as the page is seen at an angle: pixels to the right for each pixel up.
LEANS = np.linspace(-0.24, 0.24, 13)
# How many pixels up the ink above a comb's line is followed first; then twice as many in all, and so on.
FIRST_STEP = 3


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
        return runs_above(wide, x, y, up, slope + lean)

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
    if tall >= tuning.min_tall_tick * step:
        ticks_drawn = follow_print(ticks_drawn, mask, MAX_TICK_OFF * step)
        # Sides that are not quite parallel cross nowhere near.
        top = ticks_drawn[:, 0] + room / (tall + 1) * (ticks_drawn[:, 1] - ticks_drawn[:, 0])
        quads = np.stack([top[:-1], top[1:], ticks_drawn[1:, 0], ticks_drawn[:-1, 0]], 1)
    base_line = np.stack([foot[:-1], foot[1:]], 1)
    ends = np.array([[[left, y[0]], foot[0]], [foot[-1], [right, y[-1]]]])
    return PlaceRow(quads, np.concatenate([base_line, ticks_drawn, ends]), True)


def runs_above(
    mask: Pixels, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], up: NDArray[np.int64], lean: float
) -> NDArray[np.int64]:
    """Return how many steps up (n,) from the points of a line, x and y (w,), the ink of a mask goes on; lean is as in LEANS."""
    runs, inked = np.zeros(len(x), np.int64), np.arange(len(x))
    # A little at first, because above most columns there is paper.
    done = 0
    while len(inked) and done < len(up):
        some = up[done : max(FIRST_STEP, 2 * done), None]
        across = np.rint(x[inked] + some * lean).astype(np.intp)
        above = np.rint(y[inked] - some).astype(np.intp)
        inside = (across >= 0) & (across < mask.shape[1]) & (above >= 0)
        here = (mask[np.maximum(above, 0), np.minimum(np.maximum(across, 0), mask.shape[1] - 1)] > 0) & inside
        own = np.logical_and.accumulate(here, 0).sum(0)
        runs[inked] += own
        inked = inked[own == len(some)]
        done += len(some)
    return runs


def follow_print(ticks: NDArray[np.float64], mask: Pixels, reach: float) -> NDArray[np.float64]:
    """Move both ends of high ticks (n, 2, 2) along the row by up to `reach` pixels, so that all together lie on their print."""
    if len(ticks) < MIN_FOLLOWED:
        return ticks
    shifts = np.arange(-round(reach), round(reach) + 1)
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]
    soft = cv2.blur(mask, (3, 1))
    both, head = np.column_stack([shifts, shifts]), np.column_stack([np.zeros_like(shifts), shifts])
    for moves in (both, head, both):
        tried = np.repeat(ticks[:, None], len(shifts), 1)
        tried[..., 0] += moves
        shade = looked_up(soft, sampled(tried)).astype(np.float32).mean(-1)
        ticks = tried[np.arange(len(ticks)), shade.argmax(1)]
    return steady(ticks)


def fit_base(x: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[NDArray[np.float64], float] | None:
    """Fit the lower edge (n,) of a comb; returns the coefficients and the slope, None if it is no straight or bent line."""
    bins = np.array_split(np.arange(len(x)), 9)
    coarse = np.polyfit([x[b].mean() for b in bins], [np.median(bottom[b]) for b in bins], 1)
    slope = float(coarse[0])
    if abs(slope) >= 0.5:
        return None
    best: tuple[float, NDArray[np.float64] | None] = (FORM_TUNING.min_comb_filled, None)
    # The second way is for sheets that are bent.
    for rounds in (((8.0, 1), (4.0, 2), (2.5, 2)), ((0.02 * len(x), 2), (4.0, 3), (2.5, 3))):
        fit = coarse
        for reach, degree in rounds:
            close = np.abs(bottom - np.polyval(fit, x)) <= reach
            if close.mean() < 0.4:
                break
            fit = np.polyfit(x[close], bottom[close], degree)
        else:
            filled = float((np.abs(bottom - np.polyval(fit, x)) <= 2.0).mean())
            if filled >= best[0]:
                # The simpler line stands unless the other one follows the print clearly better.
                best = (filled + 0.03, fit)
    return (best[1], slope) if best[1] is not None else None


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
    # Plain numbers, because NumPy is ten times slower with single ones.
    columns: list[float] = ticks.tolist()
    inked: list[int] = [0, *np.cumsum(high).tolist()]
    for start, a in enumerate(columns[:MAX_TICKS]):
        for b in columns[start + 1 : start + 4]:
            step = b - a
            if step < tuning.min_box_px:
                continue
            right, hits = follow(b, step, columns, inked)
            left, more = follow(a, -step, columns, inked)
            found = [*reversed(left), a, b, *right]
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


def follow(at: float, step: float, ticks: Sequence[float], inked: Sequence[int]) -> tuple[list[float], int]:
    """Return the columns of the ticks in the direction of a step up to the last that is there, and how many are there.

    ticks are the columns of all ticks, from the left; inked is how many columns before each one, and before the end of the line,
    have ink above.
    """
    found: list[float] = []
    hits, last, length, growth = 0, 0, len(inked) - 1, 0.0
    while -0.3 * abs(step) <= at + step <= length - 1 + 0.3 * abs(step) and abs(step) >= FORM_TUNING.min_box_px:
        reach = FORM_TUNING.max_tick_error * abs(step)
        at += step
        after = min(max(1, bisect_left(ticks, at)), len(ticks) - 1)
        nearest = ticks[after - 1] if at - ticks[after - 1] <= ticks[after] - at else ticks[after]
        is_hit = abs(nearest - at) <= reach
        if is_hit:
            # A tracking filter: a letter's stroke beside a tick hardly changes the step, but the page's slant does.
            error = nearest - at
            at += TRACKING[0] * error
            growth += TRACKING[2] * error
            step += TRACKING[1] * error
        step += growth
        # A tick may be hidden by a letter that stands on it.
        first, end = max(0, round(at - reach / 2)), max(0, round(at + reach / 2)) + 1
        if is_hit or inked[min(end, length)] > inked[min(first, length)]:
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
    moved = expected + line_shifts(length, tuning.line_reach)[:, None]
    inked = support(moved, near)
    inked = np.where(np.isnan(inked), 0, inked)
    if inked.max() < tuning.min_line:
        return None
    gap = (np.hypot(*step) - length) / 2 * along / length
    free = (looked_up(near, moved + np.array([-gap, gap])) == 0).mean(1)
    score = inked + 0.25 * free
    best = int(score.argmax())
    return moved[best] if inked[best] >= tuning.min_line else None


@lru_cache(maxsize=64)
def line_shifts(length: float, reach: float) -> NDArray[np.float64]:
    """Return how far (n, 2) a line may lie from where it is expected, the nearest first; reach is a share of its length."""
    across = np.arange(-reach, reach + 0.01, 0.06) * length
    deep = max(2, round(0.12 * length))
    shifts = np.stack(np.meshgrid(across, np.arange(-deep, deep + 1.0)), -1).reshape(-1, 2)
    return shifts[np.argsort(np.hypot(shifts[:, 0], shifts[:, 1]), kind="stable")]
