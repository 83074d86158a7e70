"""Letters on a photographed page: where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import glyph
from ..pixels import Pixels, percentile
from ..text import Box
from .ink import PAPER_SIDE_PX, find_ink, ink_levels, pixel_noise, shrink, to_gray
from .rules import without_rules
from .strokes import (
    SPECK_SHARE,
    Pieces,
    around,
    find_pieces,
    join_pieces,
    typical_size,
    without_dust,
    without_frames,
    without_scraps,
)

# Paper is lighter than the desk by this factor, by the medians of both, where this much is added to either.
LIGHTER, DARKNESS = 1.25, 8
# A sheet covers these shares of the picture, and runs along one of its sides at most: a shadow runs along more.
SMALLEST_SHARE, LARGEST_SHARE, MOST_SIDES = 0.005, 0.8, 1
# So many pixels of the longer side tell whether to look for a sheet: where the lightest in a hundred are so much lighter than
# the sides.
SAMPLED_PX, LIGHT_PERCENTILE, MAYBE_LIGHTER = 40, 99, 1.12
# It has four corners, of an outline simplified by this share of its length, which cover so much of it; writing at its edge
# takes little away.
CORNERS, SIMPLIFIED_SHARE, COVERED_SHARE, SOLID_SHARE = 4, 0.04, 0.85, 0.85


@dataclass(frozen=True)
class Sheet:
    """Where paper lies in a picture: left and top, and what is seen of it, (h, w) uint8, with paper in place of the desk."""

    corner: tuple[int, int]
    image: Pixels


def find_sheet(gray: Pixels) -> Sheet | None:
    """Find light paper on a darker desk in a picture (H, W) uint8; None where there is none, or it is all of the picture."""
    if not has_dark_sides(gray):
        return None
    step = max(1, max(gray.shape) // PAPER_SIDE_PX)
    small = cv2.blur(shrink(gray, step), (3, 3))
    _, light = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    outlines, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines or light.all():
        return None
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    corners = cv2.approxPolyDP(hull, SIMPLIFIED_SHARE * cv2.arcLength(hull, True), True)
    area = cv2.contourArea(hull)
    x, y, w, h = cv2.boundingRect(outline)
    sides = (x <= 1, y <= 1, x + w >= small.shape[1] - 1, y + h >= small.shape[0] - 1)
    is_sheet = (
        SMALLEST_SHARE * small.size <= area <= LARGEST_SHARE * small.size
        and sum(sides) <= MOST_SIDES
        and len(corners) == CORNERS
        and cv2.contourArea(corners) >= COVERED_SHARE * area
        and cv2.contourArea(outline) >= SOLID_SHARE * area
        and np.median(small[light > 0]) + DARKNESS >= LIGHTER * (np.median(small[light == 0]) + DARKNESS)
    )
    return cut_sheet(gray, hull, (x, y, w, h), step) if is_sheet else None


def has_dark_sides(gray: Pixels) -> bool:
    """Tell whether the sides of a picture are darker than what is light in it: whether to look for a sheet at all."""
    step = max(1, max(gray.shape) // SAMPLED_PX)
    some = gray[::step, ::step].astype(np.float32)
    sides = percentile(np.concatenate([some[0], some[-1], some[:, 0], some[:, -1]]), 50)
    return percentile(some.ravel(), LIGHT_PERCENTILE) + DARKNESS >= MAYBE_LIGHTER * (sides + DARKNESS)


def cut_sheet(gray: Pixels, outline: NDArray[Any], box: Box, step: int) -> Sheet | None:
    """Cut what lies within an outline (n, 1, 2) and its box out of a picture (H, W) uint8, `step` times as fine as these; None
    where hardly more than its rim is paper."""
    x, y, w, h = box
    inside = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(inside, outline - (x, y), 255)
    # The rim is part paper, part desk; outside the small picture nothing is paper either.
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if not inside.any():
        return None
    image = gray[y * step : (y + h) * step, x * step : (x + w) * step].copy()
    paper = cv2.resize(inside, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    image[paper == 0] = np.median(image[paper > 0])
    return Sheet((x * step, y * step), image)


# Photographs are brought to this size, where letters are mostly far larger than the network's 28 pixels, and where they are
# smaller than this to the other.
LONGEST_SIDE_PX, SMALL_LETTER_PX, FINEST_SIDE_PX = 1024, 36, 1600
# Paper with more noise than this, in levels of ink, is smoothed, and with much more is smoothed more: the noise would join
# strokes and tear them.
GRAINY, COARSE = 4.0, 9.0
LEAST_BLUR_PX, MOST_BLUR_PX = 1.1, 1.8
# Writing is stronger than the least ink that is told from paper by this factor; grain, folds and wood are not.
STANDS_OUT = 1.6
# Smaller letters cannot be read; what is flatter than this is a dash or a scrap of a rule.
SMALLEST_PX, FLATTEST = 10, 0.15
# Ink whose darkest tenth is weaker than this is a smear, a fold or the edge of a shadow: pencil is stronger.
FAINTEST = 32
# Of a sheet on a desk that has fewer letters than this the rest of the picture is looked at, too.
FEW_SPOTS = 5
# The soft edge of strokes belongs to them.
GROW = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Spot:
    """One letter's place: box (x, y, width, height) in pixels of the image, and its ink (h, w) uint8.

    corner is where the ink's left and top lie on the page at the size at which it was searched; strength is the ink of its
    darkest tenth, 0..255.
    """

    box: Box
    ink: Pixels
    corner: tuple[int, int] = (0, 0)
    strength: int = 255

    @cached_property
    def picture(self) -> Pixels:
        """The picture (28, 28) uint8 that the network reads; made once, however many look at it."""
        return glyph(self.ink)

    def at(self, box: Box) -> "Spot":
        """Return the same ink at another place in the image."""
        return Spot(box, self.ink, self.corner, self.strength)


@dataclass(frozen=True)
class Strokes:
    """The strokes of a photograph, `scale` times its size: ink (H, W) uint8, and a mask (H, W) uint8 of 0 and 255.

    is_ruled tells whether rules were taken off.
    """

    ink: Pixels
    mask: Pixels
    is_ruled: bool
    scale: float


def find_strokes(image: Pixels, longest: int = LONGEST_SIDE_PX) -> Strokes:
    """Tell strokes from paper, shadows, grain and rules.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8; ink dark on light or light on dark.
        longest: pixels of the longer side at which the page is searched, where it has as many.
    """
    gray = to_gray(image)
    scale = min(1.0, longest / max(gray.shape))
    if scale < 1:
        gray = reduce(gray, (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))))
    ink = find_ink(gray)
    noise = pixel_noise(ink)
    if noise > GRAINY:
        ink = cv2.GaussianBlur(ink, (0, 0), LEAST_BLUR_PX if noise < COARSE else MOST_BLUR_PX)
    levels = ink_levels(ink)
    if levels.stroke < STANDS_OUT:
        return Strokes(ink, np.zeros_like(ink), False, scale)
    bare, mask = without_rules(ink, levels.threshold)
    return Strokes(bare, mask, bare is not ink, scale)


def reduce(gray: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring a picture (H, W) uint8 to a smaller size (width, height).

    Halved as often as whole pixels would be passed over: averaging blocks of four is ten times faster than any other.
    """
    while min(gray.shape[1] / size[0], gray.shape[0] / size[1]) > 2:
        height, width = gray.shape[0] // 2, gray.shape[1] // 2
        gray = cv2.resize(gray[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR_EXACT)


def find_spots(image: Pixels) -> list[Spot]:
    """Find what may be letters on a page, in no order; takes images as find_strokes does."""
    gray = to_gray(image)
    sheet = find_sheet(gray)
    if sheet is None:
        return find_on_paper(gray)
    (x, y), spots = sheet.corner, find_on_paper(sheet.image)
    spots = [replace(spot, box=(spot.box[0] + x, spot.box[1] + y, *spot.box[2:])) for spot in spots]
    # With little on it the sheet may be a patch of light.
    return spots if len(spots) >= FEW_SPOTS else max(find_on_paper(gray), spots, key=len)


def find_on_paper(gray: Pixels) -> list[Spot]:
    """Find what may be letters in a picture (H, W) uint8 that is all of paper, as far as can be told."""
    strokes = find_strokes(gray)
    pieces = find_pieces(strokes.mask)
    if strokes.scale < 1 and typical_size(pieces) < SMALL_LETTER_PX:
        strokes = find_strokes(gray, FINEST_SIDE_PX)
        pieces = find_pieces(strokes.mask)
    return cut_spots(strokes, pieces)


def cut_spots(strokes: Strokes, pieces: Pieces) -> list[Spot]:
    """Cut what may be letters out of a page, given its strokes and those of their pieces that count."""
    if strokes.is_ruled:
        pieces = without_scraps(pieces)
    size = typical_size(pieces)
    pieces = without_frames(without_dust(pieces, size), size)
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in pieces.boxes.tolist()]
    groups = [(around([boxes[i] for i in group]), group) for group in join_pieces(pieces, size)]
    spots = [cut(box, [pieces.outlines[i] for i in group], strokes) for box, group in groups if is_letter_sized(box, size)]
    return [spot for spot in spots if spot.strength >= FAINTEST]


def is_letter_sized(box: Box, size: float) -> bool:
    """Tell a letter's box (x, y, width, height) from a speck's and a dash's; size is the typical letter's."""
    _, _, width, height = box
    return max(width, height) >= max(SMALLEST_PX, SPECK_SHARE * size) and height >= FLATTEST * width


def cut(box: Box, outlines: Sequence[Pixels], strokes: Strokes) -> Spot:
    """Cut the ink within outlines (n, 1, 2), which this box bounds, out of the page, without its neighbours' ink."""
    x, y, w, h = box
    # One pixel more than the mask: the soft edge of the strokes belongs to them.
    left, top = max(0, x - 1), max(0, y - 1)
    window = np.s_[top : y + h + 1, left : x + w + 1]
    mask, scale = strokes.mask[window], strokes.scale
    own = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(own, outlines, 255, offset=(-left, -top))
    own = cv2.dilate(cv2.bitwise_and(own, mask), GROW)
    place = (round(x / scale), round(y / scale), round(w / scale), round(h / scale))
    ink = cv2.bitwise_and(strokes.ink[window], own)
    return Spot(place, ink, (left, top), strength(ink))


def strength(ink: Pixels) -> int:
    """Return the ink of which the darkest tenth of the inked pixels of (h, w) uint8 has more; 0 where there is none."""
    # Every other row and column of a large letter tell the same.
    step = 1 + (min(ink.shape) > 2 * SMALL_LETTER_PX)
    inked = ink[::step, ::step]
    inked = inked[inked > 0]
    if not len(inked):
        return 0
    most = len(inked) * 9 // 10
    inked.partition(most)
    return int(inked[most])
