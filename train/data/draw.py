"""Another hand and another tablet: pen strokes distorted so that the letter stays the same letter."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from .camera import through_camera, weather

Stroke = NDArray[np.float32]

# Standard deviations of a letter written by another hand, for a middling strength of distortion; angles in radians.
TURN, SLANT, STRETCH, KEYSTONE = math.radians(6), 0.15, 0.13, 0.06
# Each stroke against the others: shift as a share of the letter's longer side, turn, and growth.
STROKE_SHIFT, STROKE_TURN, STROKE_GROWTH = 0.015, math.radians(2.5), 0.035
# Depth of the slow waves that bend strokes, as a share of the letter's longer side, and their radians per side.
WAVE_DEPTH, WAVE_RATES = 0.035, (2.0, 7.0)
# Distortion goes from hardly any to this many times the middling one.
STRENGTHS = (0.1, 1.9)
# A tablet tells this many places apart along the letter's longer side: below thirty its letters have stairs.
COARSE_SHARE, COARSE_STEPS = 0.15, (9.0, 30.0)
# Fast hands round the corners off: a moving average over so many points.
HASTY_SHARE, HASTY_POINTS = 0.12, (3, 5)
# The dot of i and j is a small stroke above the rest; now and then it is lost on the way to the network.
LOST_DOT_SHARE, DOT_SIZE = 0.08, 0.2


def distort(strokes: Sequence[Stroke], rng: np.random.Generator) -> list[Stroke]:
    """Write the letter as another hand might have.

    Args:
        strokes: each (n, 2), x right and y down, in any unit.

    Returns:
        Strokes about the origin, the longer side of the letter about 1.
    """
    strength = rng.uniform(*STRENGTHS)
    strokes = lose_dot(strokes, rng) if rng.random() < LOST_DOT_SHARE else strokes
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    unit = (points - (low + high) / 2) / max(float((high - low).max()), 1e-6)
    unit = bend(unit @ turn_and_slant(strength, rng).T, strength, rng)
    parts = np.split(unit, np.cumsum([len(s) for s in strokes])[:-1])
    if len(parts) > 1:
        parts = [shift(part, strength, rng) for part in parts]
    kind = rng.random()
    if kind < COARSE_SHARE:
        steps = math.exp(rng.uniform(math.log(COARSE_STEPS[0]), math.log(COARSE_STEPS[1])))
        parts = [coarsen(part, steps) for part in parts]
    elif kind < COARSE_SHARE + HASTY_SHARE:
        parts = [hurry(part, int(rng.integers(HASTY_POINTS[0], HASTY_POINTS[1] + 1))) for part in parts]
    return parts


def turn_and_slant(strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a (2, 2) matrix that turns, slants and stretches by chance."""
    angle, slant, stretch = rng.normal(0, strength, 3) * (TURN, SLANT, STRETCH)
    cos, sin = math.cos(angle), math.sin(angle)
    return (np.array([[cos, -sin], [sin, cos]]) @ np.array([[math.exp(stretch), slant], [0, 1]])).astype(np.float32)


def bend(unit: Stroke, strength: float, rng: np.random.Generator) -> Stroke:
    """Move each coordinate by slow waves of the other and of itself, and see the letter from a slant."""
    rates = rng.uniform(*WAVE_RATES, (2, 2)).astype(np.float32)
    phases = rng.uniform(0, 2 * math.pi, (2, 2)).astype(np.float32)
    depths = (strength * rng.uniform(0, WAVE_DEPTH, (2, 2))).astype(np.float32)
    # Row i of the waves of coordinate j moves coordinate i.
    waves = depths[None] * np.sin(unit[:, None, :] * rates[None] + phases[None])
    bent = unit + waves.sum(2)
    tilt = 1 + bent @ (strength * rng.normal(0, KEYSTONE, 2)).astype(np.float32)
    return bent / np.maximum(tilt, 0.5)[:, None]


def shift(part: Stroke, strength: float, rng: np.random.Generator) -> Stroke:
    """Move, turn and grow one stroke about its middle."""
    angle, growth = rng.normal(0, strength, 2) * (STROKE_TURN, STROKE_GROWTH)
    matrix = math.exp(growth) * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = part.mean(0)
    moved = (part - middle) @ matrix.T + middle + strength * rng.normal(0, STROKE_SHIFT, 2)
    return moved.astype(np.float32)


def coarsen(part: Stroke, steps: float) -> Stroke:
    """Sample a stroke as a tablet does that tells `steps` places apart along the letter's longer side."""
    if len(part) == 1:
        return (np.rint(part * steps) / steps).astype(np.float32)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(part, axis=0).T))])
    at = np.linspace(0, way[-1], max(2, math.ceil(way[-1] * steps)))
    dense = np.stack([np.interp(at, way, part[:, 0]), np.interp(at, way, part[:, 1])], 1)
    return (np.rint(dense * steps) / steps).astype(np.float32)


def hurry(part: Stroke, points: int) -> Stroke:
    """Round a stroke's corners off by a moving average; its ends stay."""
    if len(part) <= points:
        return part
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), part]), 0)
    inner = (sums[points:] - sums[:-points]) / points
    return np.concatenate([part[:1], inner, part[-1:]]).astype(np.float32)


def lose_dot(strokes: Sequence[Stroke], rng: np.random.Generator) -> Sequence[Stroke]:
    """Leave out a dot: a stroke that is small beside the letter and stands in its upper half."""
    if len(strokes) < 2:
        return strokes
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    size = float((high - low).max())
    for i, stroke in enumerate(strokes):
        if float(np.ptp(stroke, 0).max()) < DOT_SIZE * size and stroke[:, 1].mean() < low[1] + 0.35 * (high - low)[1]:
            return [*strokes[:i], *strokes[i + 1 :]]
    return strokes


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
