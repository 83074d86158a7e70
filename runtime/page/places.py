"""Take the print of a form off the page, and put the strokes in each of its places together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from ..text import Box
from .components import Components, find_components
from .forms import find_rows
from .printed import centred, line_thickness, take_off
from .quads import FORM_TUNING, PlaceRow, size_of
from .strokes import Pieces


@dataclass(frozen=True)
class PlacesTuning:
    """What belongs to the print of a form, and what to which of its places; tuned like FormTuning."""

    # The middle of a part of a letter above a comb is at most this high, in the letters' usual heights.
    max_height: float = 1.05
    # A stroke belongs to the place that has at least this share of it; otherwise it runs across places.
    min_own_share: float = 0.7
    # A stroke across places that is no wider and higher than this, in places, is one letter. Of a larger one what reaches this
    # far into another place, in widths of the place, and has this height, in letters, is another letter that touches it.
    max_single: float = 1.15
    min_reach: float = 0.42
    min_part: float = 0.4
    # Strokes shorter than this share of a place's height are specks, and a letter has at least the second share.
    min_speck: float = 0.08
    min_letter: float = 0.15
    # A letter is no smaller than this share of the usual letter on the form.
    min_of_usual: float = 0.4
    # The room beside a box, up to this share of its width, belongs to it.
    max_aside: float = 0.2
    # What has more than this share of its pixels beside the print is a remnant of it.
    max_beside: float = 0.8
    # A row whose strokes run on across places, or with several letters in a place, more often than this is no row of places.
    # Where the whole grid is sure, for at least the second share of all places, letters may touch more often.
    max_crossing: float = 0.34
    min_sure: float = 0.6
    max_sure_crossing: float = 0.65
    # If letters as large as those in the places stand elsewhere, and are more than this share of them, the page is no form. With
    # hardly any letters in the places, letters of this share of a place's height are compared with the number of places.
    max_outside: float = 0.8
    usual_share: float = 0.8
    # Of the parts of letters on squared paper, those of at least the first share of a square's height run on into another square
    # more often than the second. Letters in the boxes of a form do so less often, even if they are as large as their boxes.
    min_large: float = 0.5
    max_large_crossing: float = 0.6


PLACES_TUNING = PlacesTuning()
# With fewer letters the row has no usual height of its own.
MIN_RISES = 3
# With fewer letters none is usual.
MIN_USUAL = 5
MIN_SPECK_PX = 3
# What is this near to the border touches it, and what is left of a square is at most this many times as large.
MAX_BORDER_PX, MAX_SQUARE = 2, 2.0
# Half of a side's thickness.
MIN_AROUND_PX = 3.0


@dataclass(frozen=True)
class Place:
    """The place of a letter in a form: its row and column, from 0, the row from the top and the column from the left."""

    row: int
    column: int


@dataclass(frozen=True)
class Filled:
    """What is written in one place of a form: the place, its box on the page, and its mask (h, w) uint8 of 0 and 255."""

    place: Place
    box: Box
    mask: Pixels


@dataclass(frozen=True)
class Form:
    """A page with a form: its ink (H, W) uint8 without the print, what is filled in, and the mask (H, W) of what is outside.

    height is the usual height of its places in pixels, and length the length of its rows in places: long rows count more, because
    a row may be found in parts. If is_squared, the places are the squares of squared paper, and all strokes are outside.
    """

    ink: Pixels
    filled: tuple[Filled, ...]
    outside: Pixels
    height: float
    length: float
    is_squared: bool = False


def find_form(ink: Pixels, mask: Pixels, pieces: Pieces, whole: Pixels | None = None) -> Form | None:
    """Find a form and take it off; None if there is none.

    Args:
        ink: (H, W) uint8, 0 on paper.
        mask: (H, W) uint8 of 0 and 255: strokes and printed lines.
        pieces: of this mask, or of the other one.
        whole: (H, W) a mask in which the gaps of dashed and faint lines are closed, to look for the form there.
    """
    rows = find_rows(mask if whole is None else whole, pieces)
    if not rows:
        return None
    return fill_rows(ink, mask, rows)


@dataclass(frozen=True)
class _Grid:
    """All places of a page as numbers from 1, row after row; 0 is outside.

    firsts (R + 1,) are the numbers of the first places of the R rows, row_of (n,) and height_of (n,) the row and the height of
    each number, and where (H, W) the number of the place at each pixel.
    """

    rows: Sequence[PlaceRow]
    firsts: NDArray[np.int64]
    row_of: NDArray[np.int64]
    height_of: NDArray[np.float64]
    where: NDArray[np.int32]

    def quad(self, number: int) -> NDArray[np.float64]:
        """Return the corners (4, 2) of a place."""
        row = int(self.row_of[number])
        corners: NDArray[np.float64] = self.rows[row].places[int(number) - int(self.firsts[row])]
        return corners


@dataclass(frozen=True)
class _Parts:
    """The N connected strokes of a page without its print, the first being the paper.

    labels (H, W) are their numbers, stats (N, 4) their x, y, width and height, and middles (N,) their middle rows. main (N,) is
    the place with most of each, second (N,) that with the next most, or 0, share (N,) the part of it that lies in the first,
    is_held (N,) whether it belongs to any place, and is_scrap (N,) whether it is a remnant of the print or a speck.
    """

    labels: NDArray[np.int32]
    stats: NDArray[np.int64]
    middles: NDArray[np.float64]
    main: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float64]
    is_held: NDArray[np.bool_]
    is_scrap: NDArray[np.bool_]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N,) longer sides of the parts, in pixels."""
        return np.max(self.stats[:, 2:4], 1)


def fill_rows(ink: Pixels, mask: Pixels, rows: Sequence[PlaceRow]) -> Form | None:
    """Take the print of rows of places off a page, and cut out what is filled in; None if they are no places for letters.

    Squares that strokes run across are squared paper, which is taken off as well.
    """
    grid = _grid_of(rows, mask.shape)
    lines = centred(np.concatenate([row.lines for row in rows]), mask)
    bare, strokes, beside = take_off(ink, mask, lines)
    found = find_components(strokes)
    y, x = found.inked
    parts = _parts_of(found, beside, grid)
    kept = parts.is_held & ~parts.is_scrap
    is_crossing = kept & (parts.share < PLACES_TUNING.min_own_share)
    height, length = float(np.median(grid.height_of[1:])), float(np.hypot.reduce([len(row.places) for row in rows]))
    if _is_squared(parts, kept, is_crossing, grid):
        return Form(bare, (), _without_squares_at_border(strokes, parts, height), height, length, is_squared=True)
    # On squared paper letters run across places, and a form that is found by half leaves letters outside.
    is_sure = sum(len(row.places) for row in rows if row.is_sure) > PLACES_TUNING.min_sure * (len(grid.row_of) - 1)
    max_crossing = PLACES_TUNING.max_sure_crossing if is_sure else PLACES_TUNING.max_crossing
    if is_crossing.sum() > max(2.0, max_crossing * kept.sum()) or _has_letters_outside(parts, kept, grid):
        return None
    owner = np.where(kept, parts.main, 0)
    owner[kept & (parts.middles < _limits(grid, parts, kept)[parts.main])] = 0
    owner[parts.is_held & parts.is_scrap] = -1
    _mend_owners(owner, parts, grid, math.ceil(line_thickness(lines, mask)) + 3)
    piece, place = parts.labels[y, x], grid.where[y, x]
    is_larger = _share_out(owner, parts, grid)
    owner_at = owner[piece]
    # Letters of neighbouring places that touch are cut along the sides.
    for i in is_larger:
        own = np.flatnonzero(piece == i)
        owner_at[own] = _cut_up(int(owner[i]), place[own], np.column_stack([x[own], y[own]]), grid)
    outside = np.zeros_like(mask)
    outside[y[owner_at == 0], x[owner_at == 0]] = 255
    return Form(bare, _of_letters(list(_filled(grid, owner_at, y, x))), outside, height, length)


def _grid_of(rows: Sequence[PlaceRow], shape: tuple[int, ...]) -> _Grid:
    counts = [len(row.places) for row in rows]
    firsts = np.cumsum([1, *counts])
    heights = [float(np.median([size_of(quad)[1] for quad in row.places])) for row in rows]
    where = np.zeros(shape, np.int32)
    # From below, because the room above a comb may reach into the row above it.
    backwards = list(reversed(list(zip(rows, firsts.tolist(), strict=False))))
    for row, first in backwards:
        if not row.is_open:
            for k, quad in enumerate(_widened(row.places)):
                cv2.fillConvexPoly(where, np.rint(quad).astype(np.int32), first + k)
    for row, first in backwards:
        for k, quad in enumerate(row.places):
            cv2.fillConvexPoly(where, np.rint(quad).astype(np.int32), first + k)
    return _Grid(rows, firsts, np.repeat(np.arange(-1, len(rows)), [1, *counts]), np.repeat([1.0, *heights], [1, *counts]), where)


def _widened(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes (n, 4, 2) with half the gaps between them, and with their sides: letters hang out of their boxes."""
    middles, sizes = places.mean(1), np.array([size_of(quad) for quad in places])
    step = np.hypot(*np.diff(middles, axis=0).T).min() if len(places) > 1 else sizes[0, 0]
    beside = np.clip((step - sizes[:, 0]) / 2, MIN_AROUND_PX, PLACES_TUNING.max_aside * sizes[:, 0])
    grow = np.column_stack([1 + 2 * beside / sizes[:, 0], 1 + 2 * MIN_AROUND_PX / sizes[:, 1]])
    along, down = (places[:, 1] + places[:, 2]) / 2 - middles, (places[:, 2] + places[:, 3]) / 2 - middles
    along, down = along * grow[:, :1], down * grow[:, 1:]
    return middles[:, None] + np.stack([-along - down, along - down, along + down, down - along], 1)


def _parts_of(found: Components, beside: Pixels, grid: _Grid) -> _Parts:
    """Return how the connected strokes of a page lie in its places; beside (H, W) is the mask of the print's surroundings."""
    labels, stats, inked = found.labels, found.boxes, found.inked
    count, total = len(stats), int(grid.firsts[-1])
    piece, place = labels[inked], grid.where[inked]
    shares = np.bincount(piece * total + place, minlength=count * total).reshape(count, total)
    area, inside = np.maximum(shares.sum(1), 1), shares[:, 1:]
    main, within = inside.argmax(1) + 1, inside.sum(1)
    rest = inside.copy()
    rest[np.arange(count), main - 1] = 0
    second = np.where(rest.any(1), rest.argmax(1) + 1, 0)
    is_held = within >= 0.5 * area
    is_held[0] = False
    residue = np.bincount(piece[beside[inked] > 0], minlength=count)
    is_speck = stats[:, 2:4].max(1) < np.maximum(MIN_SPECK_PX, PLACES_TUNING.min_speck * grid.height_of[main])
    is_scrap = (residue >= PLACES_TUNING.max_beside * area) | is_speck
    return _Parts(labels, stats, found.middles, main, second, inside.max(1) / np.maximum(within, 1), is_held, is_scrap)


def _is_squared(parts: _Parts, kept: NDArray[np.bool_], is_crossing: NDArray[np.bool_], grid: _Grid) -> bool:
    """Return whether the places are those of squared paper: there are many, and most parts of letters run across their sides."""
    is_large = kept & (parts.sizes >= PLACES_TUNING.min_large * grid.height_of[parts.main])
    most = PLACES_TUNING.max_large_crossing * is_large.sum()
    return bool(len(grid.row_of) > FORM_TUNING.min_squares and (is_crossing & is_large).sum() > max(MIN_USUAL, most))


def _without_squares_at_border(strokes: Pixels, parts: _Parts, height: float) -> Pixels:
    """Return a mask (H, W) of strokes without squares of this height that the border cuts off: they touch it.

    They are small, or lie outside the squares that were found.
    """
    left, top, width, high = parts.stats[:, :4].T
    right, bottom = strokes.shape[1] - left - width, strokes.shape[0] - top - high
    is_square = ~parts.is_held | (parts.sizes <= MAX_SQUARE * height)
    is_cut = is_square & (np.minimum(np.minimum(left, top), np.minimum(right, bottom)) <= MAX_BORDER_PX)
    is_cut[0] = False
    return cv2.bitwise_and(strokes, np.where(is_cut, np.uint8(0), np.uint8(255))[parts.labels])


def _has_letters_outside(parts: _Parts, kept: NDArray[np.bool_], grid: _Grid) -> bool:
    """Return whether nearly as many parts of the size of letters lie outside the places as inside."""
    sizes, count = parts.sizes, int(kept.sum())
    if count < MIN_USUAL:
        # What is in so few places need not be letters.
        usual, count = PLACES_TUNING.usual_share * float(np.median(grid.height_of[1:])), len(grid.row_of) - 1
    else:
        usual = float(np.median(sizes[kept]))
    is_letter = ~parts.is_held & (sizes > 0.6 * usual) & (sizes < 1.6 * usual) & (parts.stats[:, 2:4].min(1) > 0.2 * sizes)
    is_letter[0] = False
    return bool(is_letter.sum() > PLACES_TUNING.max_outside * count)


def _limits(grid: _Grid, parts: _Parts, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each place (n,) the row on the page above which nothing belongs to it: captions stand above combs."""
    above = np.full(len(grid.row_of), -np.inf)
    rises: dict[int, NDArray[np.int64]] = {}
    for r, row in enumerate(grid.rows):
        if row.is_open:
            foot = row.places[:, 2:, 1].mean(1)
            own = np.flatnonzero(kept & (grid.row_of[parts.main] == r))
            own_foot = foot[parts.main[own] - grid.firsts[r]]
            # What reaches down to the line is a letter.
            is_low = parts.stats[own, 1] + parts.stats[own, 3] > own_foot - 0.45 * size_of(row.places[0])[0]
            rises[r] = (own_foot - parts.stats[own, 1])[is_low]
    if not any(map(len, rises.values())):
        return above
    usual = float(np.median(np.concatenate(list(rises.values()))))
    for r, rise in rises.items():
        foot = grid.rows[r].places[:, 2:, 1].mean(1)
        height = float(np.median(rise)) if len(rise) >= MIN_RISES else usual
        above[grid.firsts[r] : grid.firsts[r + 1]] = foot - PLACES_TUNING.max_height * height
    return above


def _mend_owners(owner: NDArray[np.int64], parts: _Parts, grid: _Grid, reach: int) -> None:
    """Give what the print cut off a letter, up to `reach` pixels away, to the letter's place; owner (N,) is changed."""
    held = np.flatnonzero(owner > 0)
    room = np.array([size_of(grid.quad(i)).min() for i in owner[held]])
    is_large = parts.sizes[held] >= PLACES_TUNING.min_part * room
    large = np.zeros(len(owner), bool)
    large[held[is_large]] = True
    filled = set(owner[large].tolist())
    for i in held[~is_large].tolist():
        if int(owner[i]) in filled:
            continue
        x, y, w, h = parts.stats[i, :4].tolist()
        left, top = max(0, x - reach), max(0, y - reach)
        window = parts.labels[top : y + h + reach, left : x + w + reach]
        near = cv2.dilate((window == i).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
        beside = window[near & large[window]]
        if len(beside):
            owner[i] = owner[np.bincount(beside).argmax()]


def _share_out(owner: NDArray[np.int64], parts: _Parts, grid: _Grid) -> list[int]:
    """Give each letter across two places to the free one in place; owner (N,) is changed. Returns the parts that are larger."""
    larger, crossing = [], []
    taken = np.zeros(len(grid.row_of), bool)
    for i in np.flatnonzero(owner > 0).tolist():
        width, height = parts.stats[i, 2:4]
        room = size_of(grid.quad(owner[i]))
        if width > PLACES_TUNING.max_single * room[0] or height > PLACES_TUNING.max_single * room[1]:
            larger.append(i)
        elif parts.share[i] < PLACES_TUNING.min_own_share:
            crossing.append(i)
        elif parts.sizes[i] > PLACES_TUNING.min_part * min(room[0], room[1]):
            taken[owner[i]] = True
    for i in sorted(crossing, key=lambda i: int(parts.stats[i, 0])):
        other = int(parts.second[i])
        if taken[owner[i]] and other > 0 and not taken[other]:
            owner[i] = other
        taken[owner[i]] = True
    return larger


def _cut_up(main: int, place: NDArray[np.int32], at: NDArray[np.intp], grid: _Grid) -> NDArray[np.int64]:
    """Return the place of each pixel `at` (n, 2) x and y of a part that is larger than the place `main` with most of it."""
    owner = np.full(len(place), main, np.int64)
    own, slivers = [main], []
    for other in np.unique(place[place > 0]).tolist():
        if other == main:
            continue
        inside = place == other
        quad = grid.quad(other)
        width, height = size_of(quad)
        along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2 / width
        down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2 / height
        apart = grid.quad(main).mean(0) - quad.mean(0)
        points = at[inside] - quad.mean(0)
        across, deep = points @ along, points @ down
        beside = grid.row_of[other] == grid.row_of[main]
        if beside:
            reach = (width / 2 + (across if apart @ along < 0 else -across).max()) / width
            tall = np.ptp(deep) / min(height, 1.3 * width)
        else:
            reach = (height / 2 + (deep if apart @ down < 0 else -deep).max()) / height
            tall = np.ptp(deep) / height
        if reach >= PLACES_TUNING.min_reach and tall >= PLACES_TUNING.min_part:
            owner[inside] = other
            own.append(other)
        else:
            slivers.append(inside)
    if len(own) > 1:
        # A little of a letter that reaches into another place belongs to the letter beside it.
        middles = np.array([grid.quad(one).mean(0) for one in own])
        for inside in (*slivers, place == 0):
            if inside.any():
                owner[inside] = np.array(own)[np.hypot(*(at[inside][:, None] - middles).T).T.argmin(1)]
    return owner


def _filled(grid: _Grid, owner: NDArray[np.int64], y: NDArray[np.intp], x: NDArray[np.intp]) -> Iterator[Filled]:
    """Yield what is in each place, by the number of the place (n,) that each inked pixel belongs to."""
    order = np.argsort(owner, kind="stable")
    numbers = np.arange(1, int(grid.firsts[-1]) + 1)
    starts = np.searchsorted(owner[order], numbers).tolist()
    for number, (start, end) in enumerate(pairwise(starts), 1):
        if start == end:
            continue
        ys, xs = y[order[start:end]], x[order[start:end]]
        left, top, right, bottom = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
        row = int(grid.row_of[number])
        least = PLACES_TUNING.min_letter * min(grid.height_of[number], 2 * size_of(grid.rows[row].places[0])[0])
        if max(right - left, bottom - top) >= least:
            own = np.zeros((bottom - top, right - left), np.uint8)
            own[ys - top, xs - left] = 255
            place = Place(row, int(number - grid.firsts[row]))
            yield Filled(place, (left, top, right - left, bottom - top), own)


def _of_letters(filled: Sequence[Filled]) -> tuple[Filled, ...]:
    """Return what is not far smaller than the usual letter in the places: the ends of letters in empty places are."""
    sizes = [max(one.box[2:]) for one in filled]
    least = PLACES_TUNING.min_of_usual * float(np.median(sizes)) if len(sizes) >= MIN_USUAL else 0.0
    return tuple(one for one, size in zip(filled, sizes, strict=True) if size >= least)
