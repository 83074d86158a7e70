"""Find the candidates for letters on a photographed page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least, glyph
from ..pixels import Pixels, median, percentile
from ..text import Box
from .forms import joined_print, may_be_broken, may_be_form
from .ink import INK_TUNING, find_ink, ink_levels, is_noisy, paper_copy
from .photo import Photo
from .places import Form, Place, find_form
from .rules import take_rules, without_edges
from .strokes import (
    PIECES_TUNING,
    Pieces,
    around,
    find_pieces,
    join_pieces,
    stands_alone,
    without_dust,
    without_frames,
    without_scraps,
)


@dataclass(frozen=True)
class SheetTuning:
    """When light paper on a darker desk counts as a sheet, so that only the sheet is read.

    Tuned on generated pages on desks (`python -m lettercast.benchmarks.pages.conditions --split val --only "far sheet"`).
    """

    # Paper is lighter than the desk by at least this factor, by the medians of both, after adding INK_TUNING.darkness to each.
    min_contrast: float = 1.25
    # A sheet covers at most this share of the image.
    max_share: float = 0.8
    # A sheet touches at most this many sides of the image: a shadow touches more.
    max_sides: int = 1
    # Before the search: a copy with this longer side must have light pixels (this percentile) that are lighter than
    # the sides of the image by at least this factor.
    sampled_px: int = 40
    light_percentile: int = 99
    min_side_contrast: float = 1.12
    # The outline has four corners after simplification by this share of its length; they cover at least this share of its area.
    corner_tolerance: float = 0.04
    min_covered_share: float = 0.85


SHEET_TUNING = SheetTuning()
CORNERS = 4


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper in an image: its left and top, and its image (h, w) uint8 with the desk painted as paper."""

    corner: tuple[int, int]
    image: Pixels


def find_sheet(gray: Pixels, small: Pixels | None = None) -> Sheet | None:
    """Find light paper on a darker desk in an image (H, W) uint8; None if there is none or if it fills the image.

    small is what `paper_copy` gives for the image, if you have that already.
    """
    if not has_dark_sides(gray):
        return None
    tuning, darkness = SHEET_TUNING, INK_TUNING.darkness
    step = max(1, max(gray.shape) // INK_TUNING.paper_side_px)
    small = cv2.blur(paper_copy(gray) if small is None else small, (3, 3))
    _, light = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    outlines, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines or light.all():
        return None
    outline = max(outlines, key=cv2.contourArea)
    x, y, w, h = cv2.boundingRect(outline)
    sides = (x <= 1, y <= 1, x + w >= small.shape[1] - 1, y + h >= small.shape[0] - 1)
    if sum(sides) > tuning.max_sides:
        return None
    hull = cv2.convexHull(outline)
    corners = cv2.approxPolyDP(hull, tuning.corner_tolerance * cv2.arcLength(hull, True), True)
    area = cv2.contourArea(hull)
    is_sheet = (
        area <= tuning.max_share * small.size
        and len(corners) == CORNERS
        and cv2.contourArea(corners) >= tuning.min_covered_share * area
        and np.median(small[light > 0]) + darkness >= tuning.min_contrast * (np.median(small[light == 0]) + darkness)
    )
    return cut_sheet(gray, hull, (x, y, w, h), step) if is_sheet else None


def has_dark_sides(gray: Pixels) -> bool:
    """Return whether an image is darker at its sides than its light pixels are, so that searching for a sheet makes sense."""
    step = max(1, max(gray.shape) // SHEET_TUNING.sampled_px)
    sampled = gray[::step, ::step].astype(np.float32)
    sides = percentile(np.concatenate([sampled[0], sampled[-1], sampled[:, 0], sampled[:, -1]]), 50)
    light = percentile(sampled.ravel(), SHEET_TUNING.light_percentile)
    return light + INK_TUNING.darkness >= SHEET_TUNING.min_side_contrast * (sides + INK_TUNING.darkness)


def cut_sheet(gray: Pixels, outline: NDArray[Any], box: Box, step: int) -> Sheet | None:
    """Cut a sheet out of an image (H, W) uint8.

    The outline (n, 1, 2) and its box are given in pixels of a copy that is `step` times smaller. Returns None if hardly more
    than the rim of the outline is paper.
    """
    x, y, w, h = box
    inside = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(inside, outline - (x, y), 255)
    # Pixels of the rim are part paper, part desk; nothing outside the image is paper either.
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if not inside.any():
        return None
    image = gray[y * step : (y + h) * step, x * step : (x + w) * step].copy()
    paper = cv2.resize(inside, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    image[paper == 0] = np.median(image[paper > 0])
    return Sheet((x * step, y * step), image)


@dataclass(frozen=True)
class FindTuning:
    """At which size a page is searched, how much its noise is smoothed, and which strokes may be letters.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`) and on frames
    without letters (`python -m lettercast.benchmarks.pages.blank`).
    """

    # Images are reduced to this longer side: most letters are still far larger than the network's 28 pixels.
    max_side_px: int = 1024
    # If the typical letter is smaller than this, the image is searched again with this longer side.
    min_typical_px: int = 36
    # So is a form whose places are lower than this.
    min_box_px: int = 52
    # Forms with lower places in a small image are searched again at twice its size.
    min_sharp_box_px: int = 40
    max_fine_side_px: int = 1600
    # If it is smaller than this even then, the part of the image that has strokes is searched at such a size that the typical
    # letter has this many pixels, or at its full size.
    min_fine_typical_px: int = 20
    close_typical_px: int = 28
    # More pieces than this are texture, of which there would be only more.
    max_close_pieces: int = 800
    # On squared paper the squares show the lines better than a search for ruled lines that leaves this many times as much ink.
    max_rest: float = 1.5
    # Around the strokes this many typical letters of paper belong to that part.
    close_margin: float = 3.0
    # The lens is covered if no pixel is lighter: there a single grey level counts as ink. White paper in the dimmest light that
    # can be read has 40.
    min_light: int = 20
    # More noise than this (standard deviation of the ink) is smoothed by a Gaussian of this sigma, because noise joins strokes
    # and tears them.
    max_noise: float = 4.0
    blur_px: float = 1.1
    # Smaller letters cannot be read.
    min_letter_px: int = 10
    # A candidate with less height for its width is a dash or a scrap of a rule.
    min_height_share: float = 0.15
    # The ink (0..255) of a candidate's darkest tenth; a smear, a fold and the edge of a shadow have less, pencil has more.
    min_strength: int = 32
    # On a page written so faintly that at least the first share of its candidates, but not all, have that much, it may be less:
    # the second share of what those have.
    faint_shares: tuple[float, float] = (0.35, 0.65)
    # A sheet with fewer candidates may be a patch of light, so the whole image is searched too.
    min_sheet_candidates: int = 5


FIND_TUNING = FindTuning()
# A form is found better with the gaps of its print closed if it has more places, or longer rows, by this factor then.
MORE_PLACES = 1.04
# The soft edge of strokes belongs to them.
GROW = np.ones((3, 3), np.uint8)
# Larger ink is sampled, because every second row and column gives the same strength.
LARGE_INK_PX = 72


@dataclass(frozen=True)
class Candidate:
    """What may be one letter: its box (x, y, width, height) in pixels of the image, and its ink (h, w) uint8.

    corner is the left and top of the ink on the page, at the size at which the page was searched; strength is the ink (0..255)
    of the darkest tenth of its pixels. On a form, place is the box that it stands in; is_outside is True if it stands in none.
    """

    box: Box
    ink: Pixels
    corner: tuple[int, int] = (0, 0)
    strength: int = 255
    place: Place | None = None
    is_outside: bool = False

    @cached_property
    def glyph_image(self) -> Pixels:
        """The (28, 28) uint8 image that the network reads, made once."""
        return glyph(self.ink)

    def at(self, box: Box) -> "Candidate":
        """Return the same ink at another place in the image."""
        return Candidate(box, self.ink, self.corner, self.strength, self.place, self.is_outside)


@dataclass(frozen=True)
class Strokes:
    """The strokes of a photograph, `scale` times its size: ink (H, W) uint8, and a mask (H, W) uint8 of 0 and 255.

    is_ruled is True if ruled lines were removed; with_rules are ink and mask before that.
    """

    ink: Pixels
    mask: Pixels
    is_ruled: bool
    scale: float
    with_rules: tuple[Pixels, Pixels] | None = None


def find_strokes(image: Pixels, max_side_px: int = FIND_TUNING.max_side_px) -> Strokes:
    """Separate strokes from paper, shadows, grain and ruled lines.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8; ink dark on light or light on dark.
        max_side_px: a larger image is reduced to this longer side first.
    """
    return strokes_of(Photo(image), max_side_px)


def strokes_of(photo: Photo, max_side_px: int) -> Strokes:
    """Find the strokes of a photograph, reduced to this longer side if it is larger."""
    return strokes_in(photo.at_most(max_side_px), min(1.0, max_side_px / photo.longer))


def strokes_in(gray: Pixels, scale: float, small: Pixels | None = None) -> Strokes:
    """Find the strokes of an image (H, W) uint8 that is `scale` times the photograph's size; small is what find_ink takes."""
    if gray[::4, ::4].max() < FIND_TUNING.min_light:
        return Strokes(np.zeros_like(gray), np.zeros_like(gray), False, scale)
    ink = find_ink(gray, small=small)
    if is_noisy(ink, FIND_TUNING.max_noise):
        ink = cv2.GaussianBlur(ink, (0, 0), FIND_TUNING.blur_px)
    levels = ink_levels(ink)
    if levels.stroke < INK_TUNING.min_stroke_ratio:
        return Strokes(ink, np.zeros_like(ink), False, scale)
    whole = without_edges(at_least(ink, levels.threshold))
    bare, mask = take_rules(ink, whole, levels.threshold)
    is_ruled = bare is not ink
    return Strokes(bare, mask, is_ruled, scale, (ink, whole) if is_ruled else None)


def find_candidates(image: Pixels) -> list[Candidate]:
    """Find what may be letters on a page, in no order; takes images as find_strokes does."""
    photo = Photo(image)
    reduced = photo.at_most(FIND_TUNING.max_side_px)
    small = paper_copy(reduced)
    sheet = find_sheet(reduced, small)
    if sheet and photo.longer > FIND_TUNING.max_side_px:
        # A sheet is cut out of the whole image; most images have none, and they need no second small copy.
        sheet = find_sheet(photo.gray)
    if sheet is None:
        return find_on_paper(photo, reduced, small)
    whole = Photo(sheet.image)
    (x, y), found = sheet.corner, find_on_paper(whole, whole.at_most(FIND_TUNING.max_side_px), is_sheet=True)
    found = [replace(one, box=(one.box[0] + x, one.box[1] + y, *one.box[2:])) for one in found]
    return found if len(found) >= FIND_TUNING.min_sheet_candidates else max(find_on_paper(photo, reduced, small), found, key=len)


def find_on_paper(photo: Photo, reduced: Pixels, small: Pixels | None = None, *, is_sheet: bool = False) -> list[Candidate]:
    """Find what may be letters in a photograph that shows nothing but paper, or in a sheet that was cut out.

    reduced (H, W) uint8 is the same at the size at which it is searched first, see FindTuning; small is what `paper_copy` gives
    for that, if you have it already.
    """
    strokes = strokes_in(reduced, min(1.0, FIND_TUNING.max_side_px / photo.longer), small)
    strokes, pieces, form = take_print(strokes, is_sheet=is_sheet)
    if form and strokes.scale == 1 and form.height < FIND_TUNING.min_sharp_box_px:
        # A side is hardly wider than a pixel here: in a larger image it can be told from the strokes beside it.
        larger = find_strokes(cv2.resize(photo.gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 2 * photo.longer)
        larger = replace(larger, scale=2 * larger.scale)
        again = find_printed(larger, find_pieces(larger.mask, is_sheet=is_sheet))
        form, strokes = (again, larger) if again and not again.is_squared else (form, strokes)
        return cut_form(form, strokes.scale)
    if form and (strokes.scale == 1 or form.height >= FIND_TUNING.min_box_px):
        return cut_form(form, strokes.scale)
    if strokes.scale < 1 and (form or pieces.typical_size < FIND_TUNING.min_typical_px):
        strokes, pieces, form = take_print(strokes_of(photo, FIND_TUNING.max_fine_side_px), is_sheet=is_sheet)
        if form:
            return cut_form(form, strokes.scale)
    return look_closely(photo, strokes, pieces)


def take_print(strokes: Strokes, *, is_sheet: bool) -> tuple[Strokes, Pieces, Form | None]:
    """Return the strokes of a page, their pieces, and the form on it, if any; squared paper is taken off the strokes."""
    pieces = find_pieces(strokes.mask, is_sheet=is_sheet)
    form = find_printed(strokes, pieces)
    if form is None or not form.is_squared:
        return strokes, pieces, form
    # Rules that were removed in part leave far more than letters behind.
    most = FIND_TUNING.max_rest * cv2.countNonZero(form.outside)
    if not strokes.is_ruled or cv2.countNonZero(strokes.mask) > most:
        strokes = replace(strokes, ink=form.ink, mask=form.outside, is_ruled=True)
        pieces = find_pieces(strokes.mask, is_sheet=is_sheet)
    return strokes, pieces, None


def find_printed(strokes: Strokes, pieces: Pieces) -> Form | None:
    """Find the form on a page with these strokes and pieces; None if there is none."""
    ink, mask = strokes.with_rules or (strokes.ink, strokes.mask)
    form = None
    if not strokes.with_rules:
        form = find_form(ink, mask, pieces)
    elif may_be_form(mask, pieces.typical_size):
        # The lines of a form may be long enough for ruled lines.
        form = find_form(ink, mask, find_pieces(mask))
    if may_be_broken(pieces):
        # Print that is much fainter than the pen, or dashed, or dotted.
        whole = joined_print(ink, mask)
        other = find_form(ink, mask, find_pieces(whole), whole)
        if other and (form is None or other.length > MORE_PLACES * form.length):
            return other
    return form


def cut_form(form: Form, scale: float) -> list[Candidate]:
    """Cut out what stands in the places of a form, found at `scale` of the image's size, and what stands outside."""
    inks = []
    for one in form.filled:
        (x, y, _, _), (left, top) = one.box, corner_of(one.box)
        own = cv2.copyMakeBorder(one.mask, y - top, 1, x - left, 1, cv2.BORDER_CONSTANT, value=0)
        window = form.ink[window_of(one.box)]
        inks.append(ink_under(window, own[: window.shape[0], : window.shape[1]]))
    found = as_candidates(inks, [one.box for one in form.filled], scale, [one.place for one in form.filled])
    strokes = Strokes(form.ink, form.outside, False, scale)
    outside = cut_candidates(strokes, find_pieces(form.outside))
    return [one for one in found if one.strength >= FIND_TUNING.min_strength] + [replace(one, is_outside=True) for one in outside]


def look_closely(photo: Photo, strokes: Strokes, pieces: Pieces) -> list[Candidate]:
    """Find what may be letters in a photograph by its strokes and their pieces; look closer if these are tiny."""
    tuning, scale = FIND_TUNING, strokes.scale
    if scale == 1 or len(pieces.boxes) > tuning.max_close_pieces or (size := pieces.typical_size) >= tuning.min_fine_typical_px:
        return cut_candidates(strokes, pieces)
    writing = without_dust(pieces, size)
    if not len(writing.boxes):
        return cut_candidates(strokes, pieces)
    low = writing.boxes[:, :2].min(0) - tuning.close_margin * size
    high = (writing.boxes[:, :2] + writing.boxes[:, 2:]).max(0) + tuning.close_margin * size
    left, top = np.maximum(0, low / scale).astype(int).tolist()
    right, bottom = np.ceil(high / scale).astype(int).tolist()
    part = Photo(photo.gray[top:bottom, left:right])
    strokes = strokes_of(part, math.ceil(part.longer * scale * tuning.close_typical_px / size))
    # Letters that run together at one size may come apart as tiny ones at the next.
    found = look_closely(part, strokes, find_pieces(strokes.mask))
    return [one.at((one.box[0] + left, one.box[1] + top, *one.box[2:])) for one in found]


def cut_candidates(strokes: Strokes, pieces: Pieces) -> list[Candidate]:
    """Group the pieces of a page into candidates and cut these out of its strokes."""
    if strokes.is_ruled:
        pieces = without_scraps(pieces)
    size = pieces.typical_size
    pieces = without_frames(without_dust(pieces, size), size)
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in pieces.boxes.tolist()]
    groups = join_pieces(pieces, size)
    whole = [around([boxes[i] for i in group]) for group in groups]
    kept = np.flatnonzero(are_letter_sized(np.array(whole, np.int64).reshape(-1, 4), size)).tolist()
    if not kept:
        return []
    groups, whole = [groups[k] for k in kept], [whole[k] for k in kept]
    alone = stands_alone(pieces, np.array(whole), np.array(list(map(len, groups))))
    near = ink_under(strokes.ink, strokes.mask)
    inks = [
        near[window_of(box)].copy() if is_alone else cut_ink(box, [pieces.outlines[i] for i in group], strokes)
        for box, group, is_alone in zip(whole, groups, alone.tolist(), strict=True)
    ]
    return without_faint(as_candidates(inks, whole, strokes.scale))


def without_faint(found: list[Candidate]) -> list[Candidate]:
    """Remove candidates with too little ink to be strokes."""
    least, (count, share) = FIND_TUNING.min_strength, FIND_TUNING.faint_shares
    strong = [one for one in found if one.strength >= least]
    if len(strong) in (0, len(found)) or len(strong) < count * len(found):
        return strong
    least = min(least, share * median(np.array([one.strength for one in strong])))
    return [one for one in found if one.strength >= least]


def are_letter_sized(boxes: NDArray[np.int64], size: float) -> NDArray[np.bool_]:
    """Return which boxes (N, 4) are neither specks nor dashes; size is that of the typical letter."""
    width, height = boxes[:, 2], boxes[:, 3]
    is_large = np.maximum(width, height) >= max(FIND_TUNING.min_letter_px, PIECES_TUNING.min_letter_share * size)
    fits: NDArray[np.bool_] = is_large & (height >= FIND_TUNING.min_height_share * width)
    return fits


def cut_ink(box: Box, outlines: Sequence[Pixels], strokes: Strokes) -> Pixels:
    """Cut the ink within outlines (n, 1, 2), which this box bounds, out of the page, without its neighbours' ink."""
    window, (left, top) = window_of(box), corner_of(box)
    mask = strokes.mask[window]
    own = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(own, outlines, 255, offset=(-left, -top))
    return ink_under(strokes.ink[window], cv2.bitwise_and(own, mask))


def ink_under(ink: Pixels, mask: Pixels) -> Pixels:
    """Return the ink (h, w) uint8 under a mask (h, w) of strokes, and beside it."""
    return cv2.bitwise_and(ink, cv2.dilate(mask, GROW))


def corner_of(box: Box) -> tuple[int, int]:
    """Return the left and top of the window around a box."""
    return max(0, box[0] - 1), max(0, box[1] - 1)


def window_of(box: Box) -> tuple[slice, slice]:
    """Return the rows and columns of a box and one pixel more on each side, for the soft edge of the strokes."""
    x, y, w, h = box
    return slice(y - 1 if y > 0 else 0, y + h + 1), slice(x - 1 if x > 0 else 0, x + w + 1)


def as_candidates(
    inks: Sequence[Pixels], boxes: Sequence[Box], scale: float, places: Iterable[Place | None] = repeat(None)
) -> list[Candidate]:
    """Return the ink in the windows around boxes as candidates; scale is the page's, see Strokes."""
    whole = np.array(boxes, np.int64).reshape(-1, 4)
    in_image: list[Box] = [(x, y, w, h) for x, y, w, h in np.rint(whole / scale).astype(int).tolist()]
    corners = [(left, top) for left, top in np.maximum(whole[:, :2] - 1, 0).tolist()]
    return list(map(Candidate, in_image, inks, corners, ink_strengths(inks), places))


def ink_strengths(inks: Sequence[Pixels]) -> list[int]:
    """Return the 90th percentile of the inked pixels of each ink (h, w) uint8; 0 if there are none."""
    steps = [1 + (min(ink.shape) > LARGE_INK_PX) for ink in inks]
    inked = [ink[::step, ::step].tobytes().translate(None, b"\0") for ink, step in zip(inks, steps, strict=True)]
    counts = np.array([len(one) for one in inked], np.intp)
    # One histogram of all, with 256 levels for each.
    levels = np.repeat(np.arange(len(inks)) * 256, counts) + np.frombuffer(b"".join(inked), np.uint8)
    below = np.bincount(levels, minlength=256 * len(inks)).reshape(-1, 256).cumsum(1)
    strengths: list[int] = np.where(counts > 0, (below <= (counts * 9 // 10)[:, None]).sum(1), 0).tolist()
    return strengths
