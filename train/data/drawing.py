"""Draw letters from pen strokes as another hand, pen and camera might: each stays the same letter.

The constants of the classes below were chosen by hand; docs/training.md says what leave-one-source-out gave for stronger
and weaker ones, and how strongly the shipped models' letters were distorted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.model.facts import PHOTOS, Facts
from ...runtime.page.ink import letter_ink
from ...runtime.pixels import Pixels

Stroke = NDArray[np.float32]
# Fixed-point digits after the binary point that OpenCV draws with.
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class PenRange:
    """Pens and sizes that letters are drawn with; a pair is the smallest and the largest, drawn evenly on a log scale."""

    plain_side_px: int = 80
    """The longer side of a letter that is drawn plainly, in pixels."""
    plain_width: float = 0.08
    """The plain pen, as a share of the letter's longer side."""
    widths: tuple[float, float] = (0.02, 0.25)
    """From a fine liner to a marker that fills small loops, as shares of the letter's longer side."""
    sides_px: tuple[int, int] = (10, 90)
    """From a letter that is hardly resolved to one that fills a good part of the frame."""
    camera_share: float = 0.4
    """Share of letters that are photographed and found again; the others skip the paper."""


@dataclass(frozen=True)
class HandRange:
    """How far another hand's letter differs: standard deviations at distortion strength 1, angles in radians.

    Lengths are shares of the letter's longer side.
    """

    strengths: tuple[float, float] = (0.2, 2.4)
    """From little distortion to more than twice the usual one."""
    turn: float = math.radians(6)
    slant: float = 0.15
    stretch: float = 0.13
    keystone: float = 0.06
    stroke_shift: float = 0.02
    """How far one stroke moves against the others."""
    stroke_turn: float = math.radians(3)
    stroke_growth: float = 0.045
    max_wave_depth: float = 0.04
    """Depth of the slow waves that bend strokes."""
    wave_rates: tuple[float, float] = (2.0, 7.0)
    """Radians of a wave per longer side."""
    coarse_share: float = 0.15
    """Share of letters from a coarse tablet."""
    coarse_steps: tuple[float, float] = (9.0, 30.0)
    """Places that a coarse tablet distinguishes along the longer side: below thirty, its letters have stairs."""
    hasty_share: float = 0.12
    """Share of letters whose corners a fast hand rounds off."""
    hasty_points: tuple[int, int] = (3, 5)
    """Length of the moving average that rounds them, in points."""
    lost_dot_share: float = 0.08
    """Share of letters that lose a dot on the way to the network."""
    max_dot_size: float = 0.2
    max_dot_height: float = 0.35
    """A dot's middle lies in this share of the letter's height from the top."""


@dataclass(frozen=True)
class CameraRange:
    """What paper, light and camera do to ink; a pair is the smallest and the largest value, drawn evenly."""

    margins: tuple[float, float] = (0.08, 0.4)
    """Bare paper around the letter, as shares of the letter's longer side."""
    paper: tuple[int, int] = (90, 250)
    """Grey level of lit paper."""
    ink_strengths: tuple[float, float] = (0.3, 0.95)
    """Share of the light that ink absorbs."""
    min_light: float = 0.45
    """Light in the darkest corner, as a share of the brightest."""
    noise: tuple[float, float] = (1.0, 9.0)
    """Standard deviation of the sensor's noise in grey levels."""
    jpeg_qualities: tuple[int, int] = (30, 95)
    min_ink: float = 0.4
    """What is left of faded ink on a photograph, at its faintest."""
    min_fresh_ink: float = 0.35
    """The same for ink that is not photographed."""
    dry_limits: tuple[float, float] = (0.9, 1.8)
    """A dry pen leaves only a quarter of the ink if the grain exceeds this many standard deviations."""
    min_blur_px: float = 0.3
    blur: float = 0.35
    """Largest standard deviation of the blur on a photograph, in pen widths; at least max_thin_blur_px."""
    fresh_blur: float = 0.45
    """The same for ink that is not photographed."""
    max_thin_blur_px: float = 0.7
    fresh_noise: tuple[float, float] = (2, 24)
    """Standard deviation of grain in ink that is not photographed, in grey levels."""
    min_grainy_ink: int = 40
    """Grain shows only in ink darker than this: the page's threshold cuts off bare paper."""
    # How often each of these happens to a letter.
    faded: float = 0.25
    blurred: float = 0.6
    grainy: float = 0.4
    jpeg: float = 0.3
    dry: float = 0.05
    ruled: float = 0.12
    neighbour: float = 0.1
    chalk: float = 0.05


@dataclass(frozen=True)
class PhotoRange:
    """What letters as photographs look like, for models that take photographs; a pair is the smallest and the largest value."""

    shares: tuple[float, float] = (0.5, 0.95)
    """Share of the photograph's side that the letter's image takes."""
    paper: tuple[int, int] = (170, 256)
    """Grey levels of paper where ink is dark, the last one excluded; light ink on dark is the negative."""
    ink: tuple[int, int] = (0, 90)
    """Grey levels of dark ink, the last one excluded."""
    max_tint: int = 12
    """Largest difference of one channel from the grey."""
    seed: int = 11


PENS, HAND, CAMERA, PHOTO = PenRange(), HandRange(), CameraRange(), PhotoRange()


def draw_plain(strokes: Sequence[Stroke]) -> Pixels:
    """Draw the strokes with one medium pen.

    Args:
        strokes: each (n, 2), x right and y down, in any unit.

    Returns:
        (H, W) uint8 ink, 0 bare paper to 255.
    """
    return draw_ink(strokes, PENS.plain_side_px, PENS.plain_side_px * PENS.plain_width)


def draw_random(strokes: Sequence[Stroke], rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Draw the strokes as another hand, pen and camera might have: the letter stays the same letter.

    Same arguments and result as draw_plain; rng and strength alone decide every drawing. strength is how far hands, pens and
    sizes may lie from the plain ones: 0 keeps these, 1 takes the whole of HAND and PENS.
    """
    side = log_uniform(nearer(PENS.sides_px, PENS.plain_side_px, strength), rng)
    pen = side * log_uniform(nearer(PENS.widths, PENS.plain_width, strength), rng)
    ink = draw_ink(distort(strokes, rng, strength), side, pen)
    return through_camera(ink, pen, rng) if rng.random() < PENS.camera_share else weather(ink, pen, rng)


def log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number between two limits, evenly on a log scale."""
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def nearer(limits: tuple[float, float], plain: float, strength: float) -> tuple[float, float]:
    """Move two limits towards the plain value, on a log scale: strength 1 keeps them, 0 leaves only the plain value."""
    low, high = (plain * (limit / plain) ** strength for limit in limits)
    return low, high


def draw_ink(strokes: Sequence[Stroke], side: float, pen: float) -> Pixels:
    """Draw strokes, their longer side `side` pixels, with a round pen of `pen` pixels. Returns (H, W) uint8 ink."""
    strokes = to_side(strokes, side)
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


def to_side(strokes: Sequence[Stroke], side: float) -> list[Stroke]:
    """Scale strokes so that the longer side of their box is `side` pixels and the box begins at (0, 0)."""
    low = np.min([s.min(0) for s in strokes], 0)
    extent = np.max([s.max(0) for s in strokes], 0) - low
    scale = side / max(float(extent.max()), 1e-6)
    return [(s - low) * np.float32(scale) for s in strokes]


def distort(strokes: Sequence[Stroke], rng: np.random.Generator, share: float = 1.0) -> list[Stroke]:
    """Write the letter as another hand might have.

    Args:
        strokes: each (n, 2), x right and y down, in any unit.
        share: of HAND.strengths.

    Returns:
        Strokes about the origin, the longer side of the letter about 1.
    """
    strength = share * rng.uniform(*HAND.strengths)
    strokes = lose_dot(strokes, rng) if rng.random() < HAND.lost_dot_share else strokes
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    unit = (points - (low + high) / 2) / max(float((high - low).max()), 1e-6)
    unit = bend(unit @ turn_and_slant(strength, rng).T, strength, rng)
    parts = np.split(unit, np.cumsum([len(s) for s in strokes])[:-1])
    if len(parts) > 1:
        parts = [shift(part, strength, rng) for part in parts]
    kind = rng.random()
    if kind < HAND.coarse_share:
        steps = log_uniform(HAND.coarse_steps, rng)
        parts = [coarsen(part, steps) for part in parts]
    elif kind < HAND.coarse_share + HAND.hasty_share:
        low_count, high_count = HAND.hasty_points
        parts = [round_corners(part, int(rng.integers(low_count, high_count + 1))) for part in parts]
    return parts


def turn_and_slant(strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a (2, 2) matrix that turns, slants and stretches at random."""
    angle, slant, stretch = rng.normal(0, strength, 3) * (HAND.turn, HAND.slant, HAND.stretch)
    cos, sin = math.cos(angle), math.sin(angle)
    return (np.array([[cos, -sin], [sin, cos]]) @ np.array([[math.exp(stretch), slant], [0, 1]])).astype(np.float32)


def bend(unit: Stroke, strength: float, rng: np.random.Generator) -> Stroke:
    """Move each coordinate by slow waves of the other and of itself, and view the letter at an angle."""
    rates = rng.uniform(*HAND.wave_rates, (2, 2)).astype(np.float32)
    phases = rng.uniform(0, 2 * math.pi, (2, 2)).astype(np.float32)
    depths = (strength * rng.uniform(0, HAND.max_wave_depth, (2, 2))).astype(np.float32)
    # Row i of the waves of coordinate j moves coordinate i.
    waves = depths[None] * np.sin(unit[:, None, :] * rates[None] + phases[None])
    bent = unit + waves.sum(2)
    tilt = 1 + bent @ (strength * rng.normal(0, HAND.keystone, 2)).astype(np.float32)
    return bent / np.maximum(tilt, 0.5)[:, None]


def shift(part: Stroke, strength: float, rng: np.random.Generator) -> Stroke:
    """Move, turn and grow one stroke about its middle."""
    angle, growth = rng.normal(0, strength, 2) * (HAND.stroke_turn, HAND.stroke_growth)
    matrix = math.exp(growth) * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = part.mean(0)
    moved = (part - middle) @ matrix.T + middle + strength * rng.normal(0, HAND.stroke_shift, 2)
    return moved.astype(np.float32)


def coarsen(part: Stroke, steps: float) -> Stroke:
    """Sample a stroke as a tablet does that distinguishes `steps` places along the letter's longer side."""
    if len(part) == 1:
        return (np.rint(part * steps) / steps).astype(np.float32)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(part, axis=0).T))])
    at = np.linspace(0, way[-1], max(2, math.ceil(way[-1] * steps)))
    dense = np.stack([np.interp(at, way, part[:, 0]), np.interp(at, way, part[:, 1])], 1)
    return (np.rint(dense * steps) / steps).astype(np.float32)


def round_corners(part: Stroke, points: int) -> Stroke:
    """Round off a stroke's corners, as a fast hand does, by a moving average; the stroke's ends stay."""
    if len(part) <= points:
        return part
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), part]), 0)
    inner = (sums[points:] - sums[:-points]) / points
    return np.concatenate([part[:1], inner, part[-1:]]).astype(np.float32)


def lose_dot(strokes: Sequence[Stroke], rng: np.random.Generator) -> Sequence[Stroke]:
    """Leave out the dot of i or j: a stroke that is small beside the letter and stands in its upper part."""
    if len(strokes) < 2:
        return strokes
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    size = float((high - low).max())
    lowest = low[1] + HAND.max_dot_height * (high - low)[1]
    for i, stroke in enumerate(strokes):
        if float(np.ptp(stroke, 0).max()) < HAND.max_dot_size * size and stroke[:, 1].mean() < lowest:
            return [*strokes[:i], *strokes[i + 1 :]]
    return strokes


def weather(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Let fresh ink (H, W) uint8 fade, dry out, blur and become grainy; pen is its width in pixels."""
    kinds = rng.random(4)
    if kinds[0] < CAMERA.faded:
        ink = np.asarray(ink * smooth_field(ink.shape, CAMERA.min_fresh_ink, 1.0, rng), np.uint8)
    if kinds[1] < CAMERA.dry:
        ink = np.where(grain(ink.shape, pen / 2, rng) > rng.uniform(*CAMERA.dry_limits), ink // 4, ink)
    if kinds[2] < CAMERA.blurred:
        ink = cv2.GaussianBlur(
            ink, (0, 0), rng.uniform(CAMERA.min_blur_px, max(CAMERA.max_thin_blur_px, CAMERA.fresh_blur * pen))
        )
    if kinds[3] < CAMERA.grainy / 2:
        noisy = np.clip(ink + rng.uniform(*CAMERA.fresh_noise) * grain(ink.shape, 0, rng), 0, 255)
        ink = np.where(ink > CAMERA.min_grainy_ink, noisy, 0).astype(np.uint8)
    return ink


def photograph(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Photograph one letter's ink (H, W) uint8 on paper, the pen `pen` pixels wide; returns (h, w) uint8 grey."""
    longer = max(ink.shape)
    top, bottom, left, right = (1 + int(longer * share) for share in rng.uniform(*CAMERA.margins, 4))
    page = cv2.copyMakeBorder(ink, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    kinds = rng.random(7)
    if kinds[0] < CAMERA.ruled:
        page = np.maximum(page, rule_scrap(page.shape, (top, bottom, left, right), pen, rng))
    if kinds[1] < CAMERA.neighbour:
        page = np.maximum(page, neighbour_scrap(page.shape, (left, right), pen, rng))
    reflected = 1 - (rng.uniform(*CAMERA.ink_strengths) / 255) * page.astype(np.float32)
    if kinds[2] < CAMERA.faded:
        reflected = 1 - (1 - reflected) * smooth_field(page.shape, CAMERA.min_ink, 1.0, rng)
    light = smooth_field(page.shape, rng.uniform(CAMERA.min_light, 1.0), 1.0, rng)
    photo = reflected * light * np.float32(rng.uniform(*CAMERA.paper))
    if kinds[3] < CAMERA.blurred:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(CAMERA.min_blur_px, max(CAMERA.max_thin_blur_px, CAMERA.blur * pen)))
    if kinds[4] < CAMERA.grainy:
        photo = photo + np.float32(rng.uniform(*CAMERA.noise)) * grain(page.shape, 0, rng)
    taken = np.clip(photo, 0, 255).astype(np.uint8)
    if kinds[5] < CAMERA.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*CAMERA.jpeg_qualities))]
        taken = np.asarray(cv2.imdecode(cv2.imencode(".jpg", taken, quality)[1], cv2.IMREAD_GRAYSCALE))
    return cv2.bitwise_not(taken) if kinds[6] < CAMERA.chalk else taken


def through_camera(ink: Pixels, pen: float, rng: np.random.Generator) -> Pixels:
    """Photograph ink and find it again as the reader does; returns the fresh ink if the photograph shows none."""
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
    """Draw the part of a neighbouring letter that reaches into the left or right margin; returns (H, W) uint8 ink."""
    height, width = shape[:2]
    on_right = int(rng.integers(2))
    reach = rng.uniform(0.1, 0.9) * margins[on_right]
    radius = int(rng.uniform(0.1, 0.5) * height) + 1
    centre = round(width - 1 - reach + radius if on_right else reach - radius)
    scrap = np.zeros(shape, np.uint8)
    cv2.circle(scrap, (centre, int(rng.uniform(0.2, 0.8) * height)), radius, 255, max(1, round(pen)), cv2.LINE_AA)
    return scrap


def smooth_field(shape: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (H, W) float32 that changes slowly between random values of low to high."""
    coarse = rng.uniform(low, high, (3, 3)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(field, np.float32)


GRAIN_TILE_PX = 512


def grain(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (H, W) float32 of standard normal grain about `width` pixels wide, cut at random from a tile."""
    tile = _grain_tile(min(8, max(0, math.ceil(width))))
    y, x = rng.integers(0, GRAIN_TILE_PX - np.minimum(shape[:2], GRAIN_TILE_PX - 1))
    return np.resize(tile[y : y + shape[0], x : x + shape[1]], shape[:2])


@cache
def _grain_tile(width: int) -> NDArray[np.float32]:
    # Drawing new numbers for each letter would cost more than everything else here.
    tile = np.random.default_rng(width).standard_normal((GRAIN_TILE_PX, GRAIN_TILE_PX), np.float32)
    if width:
        tile = cv2.GaussianBlur(tile, (0, 0), width)
        tile /= tile.std()
    return tile


# Side of the square photographs that letters become.
PHOTO_PX = 128


def shown(facts: Facts, images: Pixels) -> Pixels:
    """Return images (N, H, W, C) uint8 as a model takes them: unchanged, as RGB, or letters as photographs.

    Photographs of the model's input shape stay as they are.
    """
    if facts.takes == PHOTOS and images.shape[1:] != facts.input_shape:
        return as_photos(images, PHOTO.seed)
    is_grey = images.shape[-1] == 1 and facts.input_shape[-1] == 3
    return np.repeat(images, 3, -1) if is_grey else images


def as_photos(images: Pixels, seed: int) -> Pixels:
    """Turn letters (N, 28, 28, 1) uint8, light ink on black, into photographs (N, 128, 128, 3) uint8 RGB.

    Dark on light and light on dark alternate; the seed decides size, place and colours.
    """
    rng = np.random.default_rng(seed)
    photos = np.empty((len(images), PHOTO_PX, PHOTO_PX, 3), np.uint8)
    for i, image in enumerate(images):
        photos[i] = _photo(image[..., 0], bool(i % 2), rng)
    return photos


def _photo(ink: Pixels, is_negative: bool, rng: np.random.Generator) -> Pixels:
    """Return the photograph (128, 128, 3) of ink (H, W)."""
    scale = PHOTO_PX * rng.uniform(*PHOTO.shares) / max(ink.shape)
    shift = rng.uniform(0, 1, 2) * (PHOTO_PX - scale * np.array(ink.shape[::-1]))
    # Half a pixel, because OpenCV counts from the middle of the first one.
    matrix = np.column_stack([np.eye(2) * scale, shift + (scale - 1) / 2])
    cover = cv2.warpAffine(ink, matrix, (PHOTO_PX, PHOTO_PX), flags=cv2.INTER_LINEAR)[..., None] / 255
    tint = PHOTO.max_tint
    paper, pen = (rng.integers(*levels) + rng.integers(-tint, tint + 1, 3) for levels in (PHOTO.paper, PHOTO.ink))
    photo = np.clip(np.rint(paper + cover * (pen - paper)), 0, 255).astype(np.uint8)
    return 255 - photo if is_negative else photo
