"""An image in grey, and at smaller sizes."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ..pixels import Pixels
from .ink import to_gray

# So many rows become grey at once: few enough for a processor's cache, so many that calls take no time. An even number.
STRIP_ROWS = 256


@dataclass(frozen=True)
class Photo:
    """An image (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8, which becomes grey only if all of it is needed."""

    image: Pixels

    @property
    def longer(self) -> int:
        """The longer side in pixels."""
        return max(self.image.shape[:2])

    @cached_property
    def gray(self) -> Pixels:
        """The image in grey, (H, W) uint8."""
        return to_gray(self.image)

    def at_most(self, max_side_px: int) -> Pixels:
        """Return the image in grey, (H, W) uint8, reduced to this longer side if it is larger."""
        if self.longer <= max_side_px:
            return self.gray
        height, width = self.image.shape[:2]
        scale = max_side_px / self.longer
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if self.image.ndim == 2 or not is_halved_first((width, height), size):
            return downscale(self.gray, size)
        return downscale(halved_gray(self.image), size)


def downscale(gray: Pixels, size: tuple[int, int]) -> Pixels:
    """Reduce an image (H, W) uint8 to a smaller size (width, height).

    Halving comes first, as long as the last step would skip whole pixels: averaging blocks of four is ten times faster than
    any other method.
    """
    while is_halved_first((gray.shape[1], gray.shape[0]), size):
        gray = halved(gray)
    return cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR_EXACT)


def is_halved_first(size: tuple[int, int], smaller: tuple[int, int]) -> bool:
    """Return whether an image of this size (width, height) is halved before it becomes a smaller one."""
    return min(size[0] / smaller[0], size[1] / smaller[1]) > 2


def halved(gray: Pixels) -> Pixels:
    """Average blocks of four pixels of an image (H, W) uint8; an odd last row or column is left out."""
    height, width = gray.shape[0] // 2, gray.shape[1] // 2
    return cv2.resize(gray[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)


def halved_gray(image: Pixels) -> Pixels:
    """Return a colour image (H, W, C) uint8 in grey and halved; strip by strip, because all of it would fill no cache."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    half = np.empty((height, width), np.uint8)
    for top in range(0, height, STRIP_ROWS // 2):
        bottom = min(top + STRIP_ROWS // 2, height)
        half[top:bottom] = halved(to_gray(image[2 * top : 2 * bottom]))
    return half
