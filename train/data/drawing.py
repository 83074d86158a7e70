"""Another hand and another tablet: pen strokes distorted so that the letter stays the same letter."""

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.model.facts import PHOTOS, Facts
from ...runtime.page.ink import letter_ink
from ...runtime.pixels import Pixels

# Bare paper around the letter, as shares of the letter's longer side.
MARGINS = (0.08, 0.4)
# Brightness of lit paper, and how much of its light the ink takes.
PAPER, INK_STRENGTHS = (90, 250), (0.3, 0.95)
# Light falls off to this share towards the darkest corner.
DARKEST = 0.45
# How often each of these is met.
FADED, BLURRED, GRAINY, JPEG, DRY, RULE, NEIGHBOUR, CHALK = 0.25, 0.6, 0.4, 0.3, 0.05, 0.12, 0.1, 0.05
# Standard deviation of the sensor's noise in grey levels, and qualities of JPEG.
NOISE, QUALITIES = (1.0, 9.0), (30, 95)
GRAIN_TILE_PX = 512


def weather(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Let fresh ink (H, W) uint8 fade, dry out, blur and grow grain; pen is in pixels."""
    kinds = rng.random(4)
    if kinds[0] < FADED:
        ink = np.asarray(ink * smooth_field(ink.shape, 0.35, 1.0, rng), np.uint8)
    if kinds[1] < DRY:
        ink = np.where(grain(ink.shape, pen / 2, rng) > rng.uniform(0.9, 1.8), ink // 4, ink)
    if kinds[2] < BLURRED:
        ink = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, max(0.7, 0.45 * pen)))
    if kinds[3] < GRAINY / 2:
        noisy = np.clip(ink + rng.uniform(2, 24) * grain(ink.shape, 0, rng), 0, 255)
        # Grain shows only where the ink is: bare paper below the page's threshold is cut off there too.
        ink = np.where(ink > 40, noisy, 0).astype(np.uint8)
    return ink


def photograph(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Photograph one letter's ink (H, W) uint8 on paper, the pen `pen` pixels wide; returns (h, w) uint8 grey."""
    longer = max(ink.shape)
    top, bottom, left, right = (1 + int(longer * share) for share in rng.uniform(*MARGINS, 4))
    page = cv2.copyMakeBorder(ink, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    kinds = rng.random(7)
    if kinds[0] < RULE:
        page = np.maximum(page, rule_scrap(page.shape, (top, bottom, left, right), pen, rng))
    if kinds[1] < NEIGHBOUR:
        page = np.maximum(page, neighbour_scrap(page.shape, (left, right), pen, rng))
    reflected = 1 - (rng.uniform(*INK_STRENGTHS) / 255) * page.astype(np.float32)
    if kinds[2] < FADED:
        reflected = 1 - (1 - reflected) * smooth_field(page.shape, 0.4, 1.0, rng)
    photo = reflected * smooth_field(page.shape, rng.uniform(DARKEST, 1.0), 1.0, rng) * np.float32(rng.uniform(*PAPER))
    if kinds[3] < BLURRED:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, max(0.7, 0.35 * pen)))
    if kinds[4] < GRAINY:
        photo = photo + np.float32(rng.uniform(*NOISE)) * grain(page.shape, 0, rng)
    taken = np.clip(photo, 0, 255).astype(np.uint8)
    if kinds[5] < JPEG:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITIES))]
        taken = np.asarray(cv2.imdecode(cv2.imencode(".jpg", taken, quality)[1], cv2.IMREAD_GRAYSCALE))
    return cv2.bitwise_not(taken) if kinds[6] < CHALK else taken


def through_camera(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Photograph ink and find it again as the reader does; fresh ink where the photograph shows none."""
    found = letter_ink(photograph(ink, pen, rng))
    return found if found.any() else ink


def rule_scrap(shape: tuple[int, ...], margins: tuple[int, int, int, int], pen: float, rng: np.random.Generator) -> Pixels:
    """Draw a piece of a ruled line in the bare margin beside the letter; returns (H, W) uint8 ink."""
    height, width = shape[:2]
    side = int(rng.integers(4))
    along, across = (width, height) if side < 2 else (height, width)
    offset = int(rng.uniform(0, 0.8) * margins[side])
    at = offset if side in (0, 2) else across - 1 - offset
    slope = int(rng.normal(0, 0.02) * along)
    start, end = (0, at), (along, at + slope)
    if side >= 2:
        start, end = start[::-1], end[::-1]
    scrap = np.zeros(shape, np.uint8)
    cv2.line(scrap, start, end, int(rng.uniform(60, 200)), max(1, int(rng.uniform(0.15, 0.5) * pen)), cv2.LINE_AA)
    return scrap


def neighbour_scrap(shape: tuple[int, ...], margins: tuple[int, int], pen: float, rng: np.random.Generator) -> Pixels:
    """Draw the part of a neighbouring letter that the crop cut through at its left or right side; returns (H, W) uint8 ink."""
    height, width = shape[:2]
    on_right = int(rng.integers(2))
    reach = rng.uniform(0.1, 0.9) * margins[on_right]
    radius = int(rng.uniform(0.1, 0.5) * height) + 1
    centre = round(width - 1 - reach + radius if on_right else reach - radius)
    scrap = np.zeros(shape, np.uint8)
    cv2.circle(scrap, (centre, int(rng.uniform(0.2, 0.8) * height)), radius, 255, max(1, round(pen)), cv2.LINE_AA)
    return scrap


def smooth_field(shape: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (H, W) float32 that goes slowly between values of low to high."""
    coarse = rng.uniform(low, high, (3, 3)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(field, np.float32)


def grain(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (H, W) float32 of standard normal grain about `width` pixels wide, cut by chance from a tile."""
    tile = _grain_tile(min(8, max(0, math.ceil(width))))
    y, x = rng.integers(0, GRAIN_TILE_PX - np.minimum(shape[:2], GRAIN_TILE_PX - 1))
    return np.resize(tile[y : y + shape[0], x : x + shape[1]], shape[:2])


@cache
def _grain_tile(width: int) -> NDArray[np.float32]:
    # Drawing numbers anew for each letter would cost more than everything else here.
    tile = np.random.default_rng(width).standard_normal((GRAIN_TILE_PX, GRAIN_TILE_PX), np.float32)
    if width:
        tile = cv2.GaussianBlur(tile, (0, 0), width)
        tile /= tile.std()
    return tile


# Side of the square that photographs of letters are brought to.
PHOTO_PX = 128
# Share of it that the letter's picture takes.
SHARES = (0.5, 0.95)
# Grey of paper and of ink where ink is dark; light ink on dark is their negative.
PHOTO_PAPER, PHOTO_INK = (170, 256), (0, 90)
# Largest difference of one channel from the grey.
TINT = 12
SEED = 11


def shown(facts: Facts, pictures: Pixels) -> Pixels:
    """Return pictures (N, H, W, C) uint8 as a model is shown them: as they are, as RGB, or letters as photographs."""
    if facts.takes == PHOTOS:
        return as_photos(pictures, SEED)
    is_grey = pictures.shape[-1] == 1 and facts.input_shape[-1] == 3
    return np.repeat(pictures, 3, -1) if is_grey else pictures


def as_photos(pictures: Pixels, seed: int) -> Pixels:
    """Turn letters (N, 28, 28, 1) uint8, light ink on black, into photographs (N, 128, 128, 3) uint8 RGB.

    Dark on light and light on dark take turns; size, place and colours are decided by the seed.
    """
    rng = np.random.default_rng(seed)
    photos = np.empty((len(pictures), PHOTO_PX, PHOTO_PX, 3), np.uint8)
    for i, picture in enumerate(pictures):
        photos[i] = _photo(picture[..., 0], bool(i % 2), rng)
    return photos


def _photo(ink: Pixels, is_negative: bool, rng: np.random.Generator) -> Pixels:
    """Return the photograph (128, 128, 3) of ink (H, W)."""
    scale = PHOTO_PX * rng.uniform(*SHARES) / max(ink.shape)
    shift = rng.uniform(0, 1, 2) * (PHOTO_PX - scale * np.array(ink.shape[::-1]))
    # Half a pixel, as OpenCV counts from the middle of the first one.
    matrix = np.column_stack([np.eye(2) * scale, shift + (scale - 1) / 2])
    cover = cv2.warpAffine(ink, matrix, (PHOTO_PX, PHOTO_PX), flags=cv2.INTER_LINEAR)[..., None] / 255
    paper, pen = (rng.integers(*levels) + rng.integers(-TINT, TINT + 1, 3) for levels in (PHOTO_PAPER, PHOTO_INK))
    photo = np.clip(np.rint(paper + cover * (pen - paper)), 0, 255).astype(np.uint8)
    return 255 - photo if is_negative else photo


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
