"""Letters as an app hands them over: RGB pictures, dark on light or light on dark, the letter somewhere in them."""

import cv2
import numpy as np

from ..runtime.facts import PHOTOS, Facts
from ..runtime.pixels import Pixels

# Side of the square that photographs of letters are brought to.
PHOTO_PX = 128
# Share of it that the letter's picture takes.
SHARES = (0.5, 0.95)
# Grey of paper and of ink where ink is dark; light ink on dark is their negative.
PAPER, INK = (170, 256), (0, 90)
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
    paper, pen = (rng.integers(*levels) + rng.integers(-TINT, TINT + 1, 3) for levels in (PAPER, INK))
    photo = np.clip(np.rint(paper + cover * (pen - paper)), 0, 255).astype(np.uint8)
    return 255 - photo if is_negative else photo
