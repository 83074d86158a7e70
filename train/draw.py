"""Pen strokes to ink: drawn plainly, or with the pens and distortions of real hands and cameras."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels

# Fixed-point digits after the binary point that OpenCV draws with.
SUBPIXEL_BITS = 4
PLAIN_SIDE_PX = 80
PLAIN_PEN_SHARE = 0.08
# From a fine liner to a broad marker, as a share of the letter's longer side.
PEN_SHARES = (0.03, 0.22)
# From a letter far from the camera to one that fills a good part of the frame.
SIDES_PX = (20, 84)


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
    return weather(ink, pen, rng)


def distort(strokes: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Turn, slant, stretch and bend strokes a little, and move each stroke against the others."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    extent = max(float((high - low).max()), 1e-6)
    unit = (points - (low + high) / 2) / extent
    angle = rng.normal(0, math.radians(6))
    cos, sin = math.cos(angle), math.sin(angle)
    slant, stretch = rng.normal(0, 0.14), math.exp(rng.normal(0, 0.12))
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[stretch, slant], [0, 1]])
    unit = unit @ matrix.T.astype(np.float32)
    # Bending: each coordinate is moved by a slow wave of the other and of itself.
    waves = rng.uniform(2, 7, (2, 2)).astype(np.float32)
    phases = rng.uniform(0, 2 * math.pi, (2, 2)).astype(np.float32)
    depth = rng.uniform(0, 0.03, (2, 2)).astype(np.float32)
    x, y = unit[:, 0], unit[:, 1]
    bent_x = x + depth[0, 0] * np.sin(waves[0, 0] * y + phases[0, 0]) + depth[0, 1] * np.sin(waves[0, 1] * x + phases[0, 1])
    bent_y = y + depth[1, 0] * np.sin(waves[1, 0] * x + phases[1, 0]) + depth[1, 1] * np.sin(waves[1, 1] * y + phases[1, 1])
    # Keystone of a camera held at a slant.
    tilt = 1 + rng.normal(0, 0.06) * bent_x + rng.normal(0, 0.06) * bent_y
    unit = np.stack([bent_x / tilt, bent_y / tilt], 1)
    cuts = np.cumsum([len(s) for s in strokes])[:-1]
    parts = np.split(unit, cuts)
    if len(parts) == 1:
        return parts
    return [part + rng.normal(0, 0.012, 2).astype(np.float32) for part in parts]


def weather(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Let fresh ink (H, W) uint8 fade, blur and grow grain as it does before and inside a camera; pen is in pixels."""
    kinds = rng.random(3)
    if kinds[0] < 0.25:
        coarse = rng.uniform(0.35, 1.0, (3, 3)).astype(np.float32)
        fade = cv2.resize(coarse, (ink.shape[1], ink.shape[0]), interpolation=cv2.INTER_LINEAR)
        ink = np.asarray(ink * fade, np.uint8)
    if kinds[1] < 0.6:
        ink = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, max(0.7, 0.45 * pen)))
    if kinds[2] < 0.3:
        grain = rng.normal(0, rng.uniform(2, 24), ink.shape)
        noisy = np.clip(ink + grain, 0, 255)
        # Grain shows only where the ink is: bare paper below the page's threshold is cut off there too.
        ink = np.where(ink > 40, noisy, 0).astype(np.uint8)
    return ink


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
