"""A sheet on a desk: where the paper is, if it is not all of the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .ink import PAPER_SIDE_PX, shrink
from .pixels import Pixels
from .text import Box

# Paper is lighter than the desk by this factor, by the medians of both, where this much is added to either.
LIGHTER, DARKNESS = 1.25, 8
# A sheet covers these shares of the picture, and runs along one of its sides at most: a shadow runs along more.
SMALLEST_SHARE, LARGEST_SHARE, MOST_SIDES = 0.005, 0.8, 1
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
    step = max(1, max(gray.shape) // PAPER_SIDE_PX)
    small = cv2.blur(shrink(gray, step, step), (3, 3))
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
    return cut_sheet(gray, hull * step, (x * step, y * step, w * step, h * step)) if is_sheet else None


def cut_sheet(gray: Pixels, outline: NDArray[np.int32], box: Box) -> Sheet:
    """Cut what lies within an outline (n, 1, 2) and its box (x, y, width, height) out of a picture (H, W) uint8."""
    x, y, w, h = box
    image = gray[y : y + h, x : x + w].copy()
    inside = np.zeros(image.shape, np.uint8)
    cv2.fillConvexPoly(inside, outline - (x, y), 255)
    image[inside == 0] = np.median(image[inside > 0])
    return Sheet((x, y), image)
