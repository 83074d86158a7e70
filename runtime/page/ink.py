"""Ink of a photograph: how much darker (or lighter) each pixel is than the paper around it."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels

# The paper is estimated on a small copy: fine enough to follow a shadow's edge, too coarse for noise.
PAPER_SIDE_PX = 160
# A window wider than any stroke, so that paper shows through in every window.
PAPER_WINDOW_PX = 17
# A window wider than most strokes and letters on that copy.
WRITING_PX = 21
# Added to pixel and paper alike, so that what is all but black counts as unlit paper and not as ink.
DARKNESS = 8
# Ink that is weaker than this share of full contrast is never told from paper.
FLOOR = 14
# A stroke's edge stands at this share of the ink that strokes have on this page.
THRESHOLD_SHARE = 0.4
MANY_ROWS = 400
# Paper grain reaches this many robust standard deviations.
GRAIN_SIGMAS = 5.0


def to_gray(image: Pixels) -> Pixels:
    """Return (H, W) uint8 of a grey, BGR or BGRA image; transparent pixels become white paper."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[:, :, 0])
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint16)
        image = ((image[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def find_ink(image: Pixels) -> Pixels:
    """Measure the ink of a photograph against the paper around it.

    Reflectance (pixel over paper) rather than a difference, so that ink in a shadow counts as in light.
    Dark ink on light paper and light ink on dark boards come out alike.

    Args:
        image: (H, W) grey or (H, W, 3) BGR or (H, W, 4) BGRA, uint8.

    Returns:
        (H, W) uint8: 0 is paper, 255 is ink that reflects nothing.
    """
    gray = to_gray(image)
    small = shrink(gray, max(1, max(gray.shape) // PAPER_SIDE_PX))
    if is_light_on_dark(small):
        gray, small = cv2.bitwise_not(gray), cv2.bitwise_not(small)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (PAPER_WINDOW_PX, PAPER_WINDOW_PX))
    paper = cv2.morphologyEx(cv2.blur(small, (3, 3)), cv2.MORPH_CLOSE, window)
    # Exact, and NumPy's quotient below: OpenCV's faster ways round otherwise on ARM, and doubtful letters with them.
    paper = cv2.resize(paper, (gray.shape[1], gray.shape[0]), interpolation=cv2.INTER_LINEAR_EXACT)
    # In place, as new memory costs more than the arithmetic.
    paper = cv2.convertScaleAbs(paper, dst=paper, alpha=1, beta=DARKNESS)
    share = cv2.convertScaleAbs(gray, alpha=1, beta=DARKNESS).astype(np.float32)
    share /= paper
    ink = cv2.convertScaleAbs(share, alpha=255)
    return cv2.bitwise_not(ink, dst=ink)


def shrink(picture: Pixels, factor: int) -> Pixels:
    """Average blocks of `factor` by `factor` pixels; a rest at the right or bottom is left out, a short side becomes one pixel.

    By halves as far as they go, and by whole factors: OpenCV is ten and eight times faster with them.
    """
    wide, high = (max(1, side // factor) for side in picture.shape[::-1])
    picture = picture[: high * factor, : wide * factor]
    while factor % 2 == 0:
        factor //= 2
        half = max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2)
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)


def is_light_on_dark(small: Pixels) -> bool:
    """Tell chalk on a board from ink on paper: ink is the minority, so the residual is skewed to its side."""
    # Wider than letters and narrower than a sheet of paper, which is light on a dark desk and yet no writing.
    window = max(3, min(WRITING_PX, max(small.shape) // 3 | 1))
    residual = small.astype(np.float32) - cv2.blur(small, (window, window))
    # A product, as NumPy's power of three is ten times slower.
    return float((residual * residual * residual).mean()) > 0


@dataclass(frozen=True)
class Levels:
    """What the ink of one page is like, on its scale of 0..255.

    grain is the spread of bare paper (one standard deviation); threshold is the ink from which on a pixel
    belongs to a stroke; stroke is the ink that strokes have, as a multiple of the least that is told from paper.
    """

    grain: float
    threshold: int
    stroke: float


def ink_levels(ink: Pixels) -> Levels:
    """Measure the ink (H, W) uint8 of one page; the threshold lies part of the way up its own strokes' edges, above the grain."""
    # Every other row tells the same in half the time, and of many rows every fourth.
    sample = ink[:: 4 if len(ink) > MANY_ROWS else 2]
    histogram = cv2.calcHist([sample], [0], None, [256], [0, 256]).ravel()
    below = np.cumsum(histogram) / max(1, sample.size)
    median = int(np.searchsorted(below, 0.5))
    # The lower half of the paper's grain is free of ink, so its spread is the grain's.
    grain = max(1.0, median - float(np.searchsorted(below, 0.16)))
    floor = int(min(200, max(FLOOR, median + GRAIN_SIGMAS * grain)))
    strokes = histogram[floor:]
    if strokes.sum() == 0:
        return Levels(grain, floor, 0.0)
    level = floor + int(np.searchsorted(np.cumsum(strokes) / strokes.sum(), 0.75))
    return Levels(grain, max(floor, int(THRESHOLD_SHARE * level)), level / floor)


def pixel_noise(ink: Pixels) -> float:
    """Return the standard deviation of the ink (H, W) uint8 from pixel to pixel, as the median of differences tells it."""
    rows = ink[:: 8 if len(ink) > MANY_ROWS else 1]
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1])
    below = np.cumsum(cv2.calcHist([steps], [0], None, [256], [0, 256]).ravel())
    # The median absolute difference of normal noise is 0.6745 times its own deviation, which is that of two pixels.
    half = float(np.interp(below[-1] / 2, below, np.arange(1, 257)))
    return half / (0.6745 * math.sqrt(2))


# A dot of i is rarely smaller than this share of the letter's ink; dust is.
SPECK_SHARE = 0.025
# Ink of a neighbour or a rule that the crop cut through, at most this share of all ink.
SCRAP_SHARE = 0.3
# A rule runs along this much of a side, and is at most this thick, as shares of the picture's side.
RULE_LENGTH, RULE_THICKNESS = 0.6, 0.12


def letter_ink(image: Pixels) -> Pixels:
    """Return the ink of the one letter in a picture.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8, dark on light or light on dark.

    Returns:
        (H, W) uint8 ink, 0 off the letter.
    """
    ink = find_ink(image)
    mask = at_least(ink, ink_levels(ink).threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 1:
        return np.zeros_like(ink)
    keep = np.zeros(count, np.uint8)
    keep[1:] = _is_letter(stats[1:], ink.shape) * 255
    if not keep.any():
        return np.zeros_like(ink)
    # One pixel more than the mask: the soft edge of the strokes belongs to them.
    grown = cv2.dilate(keep[np.asarray(labels, np.intp)], np.ones((3, 3), np.uint8))
    return cv2.bitwise_and(ink, grown)


def _is_letter(stats: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which components (OpenCV's stats, one a row) belong to the letter."""
    height, width = shape[:2]
    x, y, w, h, area = stats.T
    total = area.sum()
    cut = (x == 0) | (y == 0) | (x + w == width) | (y + h == height)
    rule = ((w > RULE_LENGTH * width) & (h <= max(2, RULE_THICKNESS * height))) | (
        (h > RULE_LENGTH * height) & (w <= max(2, RULE_THICKNESS * width))
    )
    scrap = cut & ((area < SCRAP_SHARE * total) | rule)
    kept = ~scrap & (area >= SPECK_SHARE * total)
    # A picture that is cut close touches its edges everywhere: then the edge tells nothing.
    return kept if kept.any() else area == area.max()
