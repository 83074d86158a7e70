"""The light on a sheet, and the lens, sensor and file that turn it into a photograph."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ...runtime.pixels import Pixels
from .paper import Field, grid
from .writing import REFERENCE_PX

# The shadow of a hand with a phone: corners around its middle, in widths of the image.
PHONE = np.array([[-0.16, -0.3], [0.14, -0.32], [0.17, 0.2], [0.3, 0.9], [-0.3, 0.9], [-0.2, 0.3]])
WHITE = 255.0
# Where a desk lamp stands (x, y), and how high, in widths of the image.
LAMP_AT, LAMP_HEIGHTS = ((-0.2, -0.2), (1.2, 0.95)), (0.35, 0.9)
# Colours of light, from warm lamps to blue shade, as factors of blue, green and red.
WARM, COOL = np.array([0.88, 0.97, 1.02]), np.array([1.04, 1.0, 0.96])


@dataclass(frozen=True)
class Sensor:
    """The properties of lens and sensor. The values were chosen by hand, not fitted to a camera.

    Light above max_light times white is cut off, because lenses and sensors spread no more of it. pixel_noise and blotch_noise
    are the shares of Exposure.noise that go into single pixels (before smoothing) and into blotches of blotch_px pixels.
    """

    max_light: float = 1.6
    pixel_noise: float = 1.4
    blotch_noise: float = 0.35
    blotch_px: int = 4


SENSOR = Sensor()


@dataclass(frozen=True)
class Exposure:
    """The light and the camera; lengths in pixels of an image 1280 wide.

    level is the brightness of the light (1 shows white paper as 230 of 255) and falloff its loss towards the far corner. A lamp
    near the sheet takes the share `lamp` of the light from the darkest corner.
    A shadow takes the share `shadow` of the light, and its edge is `soft` pixels wide. `folds` is the number of folds across
    the sheet, and each changes the light by `fold`. defocus is the radius of the lens's blur, motion the length of the hand's.
    noise is the sensor's noise in grey levels, and jpeg the quality of the file.
    """

    level: float = 1.0
    falloff: float = 0.06
    lamp: float = 0.0
    shadow: float = 0.0
    soft: float = 60.0
    folds: int = 0
    fold: float = 0.0
    defocus: float = 0.6
    motion: float = 0.0
    noise: float = 1.5
    jpeg: int = 92


def expose(sheet: Field, exposure: Exposure, rng: np.random.Generator) -> Pixels:
    """Photograph a sheet (H, W, 3) float32 of reflectance 0..1; return (H, W, 3) BGR uint8."""
    for_light, for_camera = rng.spawn(2)
    return take(illuminate(sheet, exposure, for_light), exposure, for_camera)


def illuminate(sheet: Field, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Return the light (H, W, 3) in grey levels from a sheet of reflectance under a lamp or daylight, limited above white."""
    warmth = rng.random()
    lamp = (WHITE * exposure.level * (warmth * WARM + (1 - warmth) * COOL)).astype(np.float32)
    return np.minimum(sheet * light(sheet.shape[:2], exposure, rng)[..., None] * lamp, SENSOR.max_light * WHITE)


def take(scene: Field, exposure: Exposure, rng: np.random.Generator) -> Pixels:
    """Photograph a lit scene (H, W, 3) through lens, sensor and file; return (H, W, 3) BGR uint8."""
    for_lens, for_noise = rng.spawn(2)
    seen = through_lens(scene, exposure, scene.shape[1] / REFERENCE_PX, for_lens)
    return compress(with_noise(seen, exposure.noise, for_noise), exposure.jpeg)


def light(shape: tuple[int, int], exposure: Exposure, rng: np.random.Generator) -> Field:
    """Return the light (H, W) float32 on a sheet: falloff from the window or lamp, the shadow of hand and phone, and folds."""
    x, y = grid(shape)
    unit = shape[1] / REFERENCE_PX
    for_shadow, for_folds, for_lamp = rng.spawn(3)
    lamp = for_shadow.uniform(0, 1, 2)
    lit = (1 - exposure.falloff * np.hypot(x - lamp[0], y - 0.75 * lamp[1])).astype(np.float32)
    if exposure.lamp:
        lit *= 1 - exposure.lamp * (1 - lamplight(x, y, for_lamp))
    if exposure.shadow:
        cast = np.zeros(shape, np.uint8)
        corners = PHONE * for_shadow.uniform(0.8, 1.5) @ _turn(for_shadow.normal(0, 0.6))
        corners = (corners + for_shadow.uniform((0.3, 0.25), (0.7, 0.6))) * shape[1]
        cv2.fillPoly(cast, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        sigma = max(0.5, exposure.soft * unit / 2)
        # A wide blur is slow, and looks the same on a small copy.
        small = max(1, round(sigma / 4))
        size = (max(2, shape[1] // small), max(2, shape[0] // small))
        soft = cv2.GaussianBlur(cv2.resize(cast, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
        lit *= 1 - exposure.shadow / 255 * cv2.resize(soft, (shape[1], shape[0])).astype(np.float32)
    for _ in range(exposure.folds):
        upright = for_folds.random() < 0.5
        slope, at = for_folds.normal(0, 0.05), for_folds.uniform(0.15, 0.85) * (1.0 if upright else shape[0] / shape[1])
        off = (x - at + slope * y if upright else y - at + slope * x) * shape[1] / unit
        side = 1 / (1 + np.exp(-np.clip(off / 3, -30, 30)))
        # The side that faces the light is brighter, most at the crease, and the crease itself is a fine dark line.
        lit *= 1 + exposure.fold * ((side - 0.5) * np.exp(-np.abs(off) / 260) - 0.35 * np.exp(-((off / 2.2) ** 2)))
    return lit


def lamplight(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Return the light (H, W) of a lamp over or beside a sheet, 1 where it is brightest and 0 where it is darkest.

    x (1, W) and y (H, 1) are in widths of the image. The light of a small lamp falls with the cube of the cosine of its angle.
    """
    at, height = rng.uniform(*LAMP_AT), rng.uniform(*LAMP_HEIGHTS)
    lit = (1 + ((x - at[0]) ** 2 + (y - at[1]) ** 2) / height**2) ** -1.5
    return ((lit - lit.min()) / (lit.max() - lit.min())).astype(np.float32)


def through_lens(image: Field, exposure: Exposure, unit: float, rng: np.random.Generator) -> Field:
    """Blur an image (H, W, 3) by defocus and by motion in a random direction; unit is the pixels per pixel at 1280."""
    direction = rng.uniform(0, math.pi)
    radius = exposure.defocus * unit
    if radius < 1:
        image = cv2.GaussianBlur(image, (0, 0), max(0.3, 0.7 * radius))
    else:
        image = cv2.filter2D(image, -1, disc(radius), borderType=cv2.BORDER_REPLICATE)
    length = exposure.motion * unit
    return cv2.filter2D(image, -1, streak(length, direction), borderType=cv2.BORDER_REPLICATE) if length >= 1 else image


def disc(radius: float) -> Field:
    """Return the blur kernel of a lens out of focus, a disc with a soft rim; its sum is 1."""
    reach = math.ceil(radius + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def streak(length: float, direction: float) -> Field:
    """Return the blur kernel of a motion of `length` pixels in a direction in radians; its sum is 1."""
    reach = math.ceil(length / 2 + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * math.cos(direction) + y * math.sin(direction), x * math.sin(direction) - y * math.cos(direction)
    kernel = (np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)).astype(np.float32)
    return kernel / kernel.sum()


def with_noise(image: Field, noise: float, rng: np.random.Generator) -> Field:
    """Add sensor noise to an image (H, W, 3): noise of single pixels, and the wider blotches of colour that phones leave."""
    height, width = image.shape[:2]
    # The camera smooths the noise a little, and bright places have more of it.
    own = SENSOR.pixel_noise * cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 0.5)
    own *= 0.6 + 0.4 / WHITE * cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2GRAY)
    coarse = rng.standard_normal((height // SENSOR.blotch_px + 1, width // SENSOR.blotch_px + 1, 3), np.float32)
    blotches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return image + np.float32(noise) * (cv2.merge([own] * 3) + np.float32(SENSOR.blotch_noise) * blotches)


def compress(image: Field, quality: int) -> Pixels:
    """Save an image as JPEG and read it again; return (H, W, 3) uint8."""
    whole = np.clip(image, 0, 255).astype(np.uint8)
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR))


def _turn(angle: float) -> Field:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
