"""A sheet on a desk: where the paper is, if it is not all of the picture."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .ink import PAPER_SIDE_PX, shrink
from .pixels import Pixels
from .ranks import percentile
from .text import Box

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
