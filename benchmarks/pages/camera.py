"""Light on a sheet, and the lens, the sensor and the file that take it down as a photograph."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ...runtime.pixels import Pixels
from .paper import Field, grid
from .writing import REFERENCE_PX

# A hand with a phone, as corners about its middle, in widths of the picture.
PHONE = np.array([[-0.16, -0.3], [0.14, -0.32], [0.17, 0.2], [0.3, 0.9], [-0.3, 0.9], [-0.2, 0.3]])
WHITE = 255.0
# Light beyond this many times white is cut off, as lenses and sensors spread no more of it.
BRIGHTEST = 1.6
# Noise of single pixels before it is smoothed, and of blotches so many pixels wide, against the noise that is asked for.
OWN_NOISE, BLOTCH_NOISE, BLOTCH_PX = 1.4, 0.35, 4
# Colours of light: warm lamps to blue shade, as factors of blue, green and red.
WARM, COOL = np.array([0.88, 0.97, 1.02]), np.array([1.04, 1.0, 0.96])


@dataclass(frozen=True)
class Exposure:
    """The light and the camera; lengths in pixels of a picture 1280 wide.

    level is the light's brightness (1 shows white paper as 230 of 255) and falloff its loss towards the far corner. shadow is
    the share of it that a shadow takes, whose edge is `soft` pixels wide; `folds` cross the sheet and change its light by `fold`.
    defocus is the radius of the blur, motion its length; noise is the sensor's in grey levels; jpeg the file's quality.
    """

    level: float = 1.0
    falloff: float = 0.06
    shadow: float = 0.0
    soft: float = 60.0
    folds: int = 0
    fold: float = 0.0
    defocus: float = 0.6
    motion: float = 0.0
    noise: float = 1.5
    jpeg: int = 92


def expose(sheet: Field, exposure: Exposure, rng: np.random.Generator) -> Pixels:
    """Photograph a sheet (H, W, 3) float32 of reflected shares; returns (H, W, 3) BGR uint8."""
    for_light, for_camera = rng.spawn(2)
    return take(illuminate(sheet, exposure, for_light), exposure, for_camera)


def illuminate(sheet: Field, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Return what comes from a sheet (H, W, 3) in lamplight or daylight, in grey levels; a burnt-out place stays near white."""
    warmth = rng.random()
    lamp = (WHITE * exposure.level * (warmth * WARM + (1 - warmth) * COOL)).astype(np.float32)
    return np.minimum(sheet * light(sheet.shape[:2], exposure, rng)[..., None] * lamp, BRIGHTEST * WHITE)


def take(scene: Field, exposure: Exposure, rng: np.random.Generator) -> Pixels:
    """Take a lit scene (H, W, 3) down through lens, sensor and file; returns (H, W, 3) BGR uint8."""
    for_lens, for_noise = rng.spawn(2)
    seen = through_lens(scene, exposure, scene.shape[1] / REFERENCE_PX, for_lens)
    return compress(with_noise(seen, exposure.noise, for_noise), exposure.jpeg)


def light(shape: tuple[int, int], exposure: Exposure, rng: np.random.Generator) -> Field:
    """Return (H, W) float32 light: a window's fall-off, a shadow of the hand with the phone, and folds."""
    x, y = grid(shape)
    unit = shape[1] / REFERENCE_PX
    for_shadow, for_folds = rng.spawn(2)
    lamp = for_shadow.uniform(0, 1, 2)
    lit = (1 - exposure.falloff * np.hypot(x - lamp[0], y - 0.75 * lamp[1])).astype(np.float32)
    if exposure.shadow:
        cast = np.zeros(shape, np.uint8)
        corners = PHONE * for_shadow.uniform(0.8, 1.5) @ _turn(for_shadow.normal(0, 0.6))
        corners = (corners + for_shadow.uniform((0.3, 0.25), (0.7, 0.6))) * shape[1]
        cv2.fillPoly(cast, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        sigma = max(0.5, exposure.soft * unit / 2)
        # On a small copy, as a wide blur is slow and needs no more.
        small = max(1, round(sigma / 4))
        size = (max(2, shape[1] // small), max(2, shape[0] // small))
        soft = cv2.GaussianBlur(cv2.resize(cast, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
        lit *= 1 - exposure.shadow / 255 * cv2.resize(soft, (shape[1], shape[0])).astype(np.float32)
    for _ in range(exposure.folds):
        upright = for_folds.random() < 0.5
        slope, at = for_folds.normal(0, 0.05), for_folds.uniform(0.15, 0.85) * (1.0 if upright else shape[0] / shape[1])
        off = (x - at + slope * y if upright else y - at + slope * x) * shape[1] / unit
        side = 1 / (1 + np.exp(-np.clip(off / 3, -30, 30)))
        # Brighter on the side that turns to the light, most so at the crease, and a fine line in the crease itself.
        lit *= 1 + exposure.fold * ((side - 0.5) * np.exp(-np.abs(off) / 260) - 0.35 * np.exp(-((off / 2.2) ** 2)))
    return lit


def through_lens(picture: Field, exposure: Exposure, unit: float, rng: np.random.Generator) -> Field:
    """Blur (H, W, 3) by the lens's disc and the hand's motion, in the direction that chance gives."""
    direction = rng.uniform(0, math.pi)
    radius = exposure.defocus * unit
    if radius < 1:
        picture = cv2.GaussianBlur(picture, (0, 0), max(0.3, 0.7 * radius))
    else:
        picture = cv2.filter2D(picture, -1, disc(radius), borderType=cv2.BORDER_REPLICATE)
    length = exposure.motion * unit
    return cv2.filter2D(picture, -1, streak(length, direction), borderType=cv2.BORDER_REPLICATE) if length >= 1 else picture


def disc(radius: float) -> Field:
    """Return the kernel of a lens out of focus, its rim soft; the sum is 1."""
    reach = math.ceil(radius + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def streak(length: float, direction: float) -> Field:
    """Return the kernel of a hand that moves `length` pixels in a direction of radians; the sum is 1."""
    reach = math.ceil(length / 2 + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * math.cos(direction) + y * math.sin(direction), x * math.sin(direction) - y * math.cos(direction)
    kernel = (np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)).astype(np.float32)
    return kernel / kernel.sum()


def with_noise(picture: Field, noise: float, rng: np.random.Generator) -> Field:
    """Add a sensor's noise to (H, W, 3): each pixel's own, and the broader blotches of colour that phones leave."""
    height, width = picture.shape[:2]
    # Noise is smoothed by the camera a little, and there is more of it in bright places.
    own = OWN_NOISE * cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 0.5)
    own *= 0.6 + 0.4 / WHITE * cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_BGR2GRAY)
    coarse = rng.standard_normal((height // BLOTCH_PX + 1, width // BLOTCH_PX + 1, 3), np.float32)
    blotches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture + np.float32(noise) * (cv2.merge([own] * 3) + np.float32(BLOTCH_NOISE) * blotches)


def compress(picture: Field, quality: int) -> Pixels:
    """Return the picture as it comes back from a JPEG file: (H, W, 3) uint8."""
    whole = np.clip(picture, 0, 255).astype(np.uint8)
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR))


def _turn(angle: float) -> Field:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
