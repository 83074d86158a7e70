"""Pen strokes to ink: drawn plainly, or with the pens and distortions of real hands and cameras."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels
from .camera import through_camera, weather
from .hand import distort

# Fixed-point digits after the binary point that OpenCV draws with.
SUBPIXEL_BITS = 4
PLAIN_SIDE_PX = 80
PLAIN_PEN_SHARE = 0.08
# From a fine liner to a broad marker, as a share of the letter's longer side.
PEN_SHARES = (0.03, 0.22)
# From a letter far from the camera to one that fills a good part of the frame.
SIDES_PX = (20, 84)
# So many letters are photographed and found again; the others skip the paper.
CAMERA_SHARE = 0.4


def draw_plain(strokes: Sequence[NDArray[np.float32]]) -> Pixels:
    """Draw the strokes with one medium pen.

    Args:
        strokes: each (n, 2), x right and y down, in any unit.

    Returns:
        (H, W) uint8 ink, 0 bare paper to 255.
    """
    return draw_ink(strokes, PLAIN_SIDE_PX, PLAIN_SIDE_PX * PLAIN_PEN_SHARE)


def draw_random(strokes: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> Pixels:
    """Draw the strokes as another hand, pen and camera might have: the letter stays the same letter.

    Same arguments and result as draw_plain; every draw is decided by rng alone.
    """
    side = math.exp(rng.uniform(math.log(SIDES_PX[0]), math.log(SIDES_PX[1])))
    pen = side * math.exp(rng.uniform(math.log(PEN_SHARES[0]), math.log(PEN_SHARES[1])))
    ink = draw_ink(distort(strokes, rng), side, pen)
    return through_camera(ink, pen, rng) if rng.random() < CAMERA_SHARE else weather(ink, pen, rng)


def _to_side(strokes: Sequence[NDArray[np.float32]], side: float) -> list[NDArray[np.float32]]:
    """Scale strokes so that the longer side of their box is `side` pixels and the box begins at (0, 0)."""
    low = np.min([s.min(0) for s in strokes], 0)
    extent = np.max([s.max(0) for s in strokes], 0) - low
    scale = side / max(float(extent.max()), 1e-6)
    return [(s - low) * np.float32(scale) for s in strokes]


def draw_ink(strokes: Sequence[NDArray[np.float32]], side: float, pen: float) -> Pixels:
    """Draw strokes, their longer side `side` pixels, with a round pen of `pen` pixels. Returns (H, W) uint8 ink."""
    strokes = _to_side(strokes, side)
    thickness = max(1, round(pen))
    margin = thickness + 2
    extent = np.max([s.max(0) for s in strokes], 0)
    width, height = np.ceil(extent).astype(int) + 2 * margin + 1
    ink = np.zeros((height, width), np.uint8)
    curves = [np.rint((s + margin) * (1 << SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2) for s in strokes]
    cv2.polylines(ink, [c for c in curves if len(c) > 1], False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    for curve in curves:
        if len(curve) == 1:
            centre = (int(curve[0, 0, 0]), int(curve[0, 0, 1]))
            radius = max(1, thickness << SUBPIXEL_BITS >> 1)
            cv2.circle(ink, centre, radius, 255, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return ink
