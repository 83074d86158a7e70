"""The ink of a photograph: how much darker (or lighter) each pixel is than the paper around it."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels


@dataclass(frozen=True)
class InkTuning:
    """How ink is separated from paper.

    Tuned on pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`) and on frames
    without letters (`python -m lettercast.benchmarks.pages.blank`).
    """

    # The paper is estimated on a copy of this size: fine enough to follow a shadow's edge, too coarse for noise.
    paper_side_px: int = 160
    # Wider than any stroke on that copy, so that every window contains some paper.
    paper_window_px: int = 17
    # Wider than most strokes and letters on that copy.
    writing_window_px: int = 21
    # Light writing on a dark board has at least this skew on that copy, in cubed grey levels; light of a lamp has 0.3.
    min_light_skew: float = 0.5
    # Weight of an image's border against the skew when one letter is light or dark, and the most that a pixel of the border
    # counts, in standard deviations. On 4,600 images (tight and loose, pens of 2 to 22 % of the side, lamps, shadows, photographs
    # and scans) 2 to 5 err on 1 %, nearly all of them on a dark desk at two sides; the skew alone errs on a sixth.
    border_weight: float = 3.0
    max_border: float = 0.5
    # A sheet fills at least this share of the rectangle around it, and of a quarter of the image.
    min_sheet: float = 0.9
    # At least this share of it is ink, because a broad light I is a bare rectangle.
    min_written: float = 0.002
    # In an image of one letter, strokes are broader for its size: a marker's are up to a fifth of the letter. Sides of windows
    # for them, as shares of the image's, and how much more ink a wider window must find to count, as a factor.
    letter_window_shares: tuple[float, ...] = (0.3, 0.2)
    min_more_ink: float = 1.15
    # Letters lie along no more than this share of a border; shadows and desks do.
    max_border_share: float = 0.35
    # Added to pixel and paper alike, so that nearly black pixels count as unlit paper and not as ink.
    darkness: int = 8
    # Weaker ink cannot be distinguished from paper.
    min_ink: int = 14
    # The ink of a page's strokes is this quantile of all pixels with at least `min_ink`.
    stroke_quantile: float = 0.75
    # Writing is stronger than the least ink that can be distinguished from paper by this factor; grain, folds and wood are not.
    min_stroke_ratio: float = 1.6
    # If most pixels above it have less, the ink of few letters still counts, weighed by itself, if it is stronger by this factor.
    # One to three letters under a lamp have 10 and more, bare paper, rooms and noise up to 2.5.
    min_lone_ratio: float = 3.0
    # The edge of a stroke lies at this share of that ink.
    threshold_share: float = 0.4
    # Paper grain reaches this many robust standard deviations.
    grain_sigmas: float = 5.0


INK_TUNING = InkTuning()
# OpenCV takes this many numbers for one of each channel.
SCALAR = 4
# The threshold stays below this, however grainy the paper is.
MAX_FLOOR = 200
# Pages with more rows than this are sampled, because fewer rows give the same histogram in less time.
MANY_ROWS = 400
# Coarser paper has more levels.
FEW_LEVELS = 8


def to_gray(image: Pixels) -> Pixels:
    """Return (H, W) uint8 of a grey, BGR or BGRA image; with transparent pixels as white paper."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[:, :, 0])
    return cv2.cvtColor(on_paper(image) if image.shape[2] == 4 else image, cv2.COLOR_BGR2GRAY)


def on_paper(image: Pixels) -> Pixels:
    """Return (H, W, 3) uint8 BGR of a BGRA image as it looks on white paper."""
    alpha = image[:, :, 3:].astype(np.uint16)
    return ((image[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)


def find_ink(image: Pixels, *, is_page: bool = True, small: Pixels | None = None) -> Pixels:
    """Measure the ink of a photograph against the paper around it.

    The measure is reflectance (pixel over paper) and not a difference, so that ink counts the same in a shadow and in light.
    Dark ink on light paper and light ink on a dark board give the same result.

    Args:
        image: (H, W) grey or (H, W, 3) BGR or (H, W, 4) BGRA, uint8.
        is_page: whether most of it is paper, also at its borders; in an image of one letter strokes may lie there.
        small: of a page, what `paper_copy` gives for it, if you have that already.

    Returns:
        (H, W) uint8: 0 is paper, 255 is ink that reflects nothing.
    """
    gray = to_gray(image)
    if not is_page:
        return find_letter_ink(gray)
    small = paper_copy(gray) if small is None else small
    if is_light_on_dark(small):
        gray, small = cv2.bitwise_not(gray), cv2.bitwise_not(small)
    return ink_on(gray, close_strokes(cv2.blur(small, (3, 3)), has_paper_rim=True))


def find_letter_ink(gray: Pixels) -> Pixels:
    """Return the ink (H, W) uint8 of an image (H, W) uint8 of one letter, whose strokes may lie at the borders.

    A broad pen needs a window that is wide for the image, in which a shadow is ink as well. So the narrow window of pages counts,
    unless a wider one finds more ink that is not dark along much of a border, as shadows and desks are.
    """
    small = paper_copy(gray)
    if is_light_letter(small):
        gray, small = cv2.bitwise_not(gray), cv2.bitwise_not(small)
    soft = cv2.blur(small, (3, 3))
    narrow = ink_on(gray, close_strokes(soft, has_paper_rim=False))
    least, _ = free_of_border(narrow)
    for share in INK_TUNING.letter_window_shares:
        side = int(share * max(small.shape)) | 1
        if side <= INK_TUNING.paper_window_px:
            break
        # A square, which OpenCV closes in a hundredth of an ellipse's time.
        wide = ink_on(gray, cv2.morphologyEx(soft, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)))
        area, dark = free_of_border(wide)
        if area > INK_TUNING.min_more_ink * least:
            return wide if dark is None else np.where(cv2.dilate(dark, np.ones((3, 3), np.uint8)), narrow, wide)
    return narrow


def free_of_border(ink: Pixels) -> tuple[int, Pixels | None]:
    """Return how many pixels of strokes the ink (H, W) has that lie along no border, and a mask (H, W) uint8 of those that do.

    The mask is None if there are none. Only what covers more than INK_TUNING.max_border_share of a side lies along it.
    """
    mask = at_least(ink, ink_levels(ink).threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sides = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    along = np.max([np.bincount(side, minlength=count) / len(side) for side in sides], 0)
    is_dark = along > INK_TUNING.max_border_share
    is_dark[0] = False
    area = int(stats[1:, cv2.CC_STAT_AREA][~is_dark[1:]].sum())
    return area, is_dark.astype(np.uint8)[labels] if is_dark.any() else None


def ink_on(gray: Pixels, paper: Pixels) -> Pixels:
    """Return the ink (H, W) uint8 of dark writing (H, W) uint8 on this paper, of which a smaller copy (h, w) is enough."""
    # OpenCV's faster methods here and for the quotient below round differently on ARM, which changes doubtful letters.
    paper = cv2.resize(paper, (gray.shape[1], gray.shape[0]), interpolation=cv2.INTER_LINEAR_EXACT)
    # In place, because new memory costs more time than the arithmetic.
    darkness = np.full(SCALAR, INK_TUNING.darkness, np.float64)
    paper = cv2.add(paper, darkness, dst=paper, dtype=cv2.CV_8U)
    share = cv2.add(gray, darkness, dtype=cv2.CV_8U).astype(np.float32)
    share /= paper
    ink = cv2.convertScaleAbs(share, alpha=255)
    return cv2.bitwise_not(ink, dst=ink)


def paper_copy(gray: Pixels) -> Pixels:
    """Return a copy of an image (H, W) uint8 with about INK_TUNING.paper_side_px pixels along its longer side."""
    return shrink(gray, max(1, max(gray.shape) // INK_TUNING.paper_side_px))


def close_strokes(small: Pixels, *, has_paper_rim: bool) -> Pixels:
    """Return the paper (H, W) uint8 under the strokes of an image, which are narrower than INK_TUNING.paper_window_px.

    At a border that the light falls off towards, half a window of the image is filled as a stroke is, and would look like ink.
    So paper falls there as it does just inside.
    """
    size = INK_TUNING.paper_window_px
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, window)
    rim = size // 2
    if not has_paper_rim or min(small.shape) <= 4 * rim:
        return paper
    inside = paper[rim:-rim, rim:-rim]
    edge, mirrored = (
        cv2.copyMakeBorder(inside, rim, rim, rim, rim, kind) for kind in (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)
    )
    return cv2.max(cv2.min(paper, cv2.addWeighted(edge, 2, mirrored, -1, 0)), small)


def shrink(image: Pixels, factor: int) -> Pixels:
    """Average blocks of `factor` by `factor` pixels of an image (H, W) uint8.

    Pixels that fill no block at the right or bottom are left out; a side shorter than a block becomes one pixel. The image is
    halved as often as possible first, because OpenCV halves ten times faster than it shrinks by other factors.
    """
    wide, high = (max(1, side // factor) for side in image.shape[::-1])
    image = image[: high * factor, : wide * factor]
    while factor % 2 == 0:
        factor //= 2
        half = max(1, image.shape[1] // 2), max(1, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)


def is_light_on_dark(small: Pixels) -> bool:
    """Return whether a page's writing is light on dark, as on a board: what differs from its surroundings is skewed to light.

    small is the page (H, W) uint8 as `paper_copy` gives it; ink is the minority there.
    """
    # Narrower than a sheet of paper, which is light on a dark desk but is no writing.
    window = max(3, min(INK_TUNING.writing_window_px, max(small.shape) // 3 | 1))
    residual = small.astype(np.float32) - cv2.blur(small, (window, window))
    # Once more, because the middle of a lamp's light is brighter than what is around it.
    residual -= cv2.blur(residual, (window, window))
    # At a border there is light from one side alone.
    rim = window // 2
    residual = residual[tuple(slice(rim, -rim) if side > 2 * window else slice(None) for side in small.shape)]
    # A product, because NumPy's power of three is ten times slower.
    return float((residual * residual * residual).mean()) > INK_TUNING.min_light_skew


def is_light_letter(small: Pixels) -> bool:
    """Return whether the letter that a small copy (H, W) uint8 shows is light on dark.

    Ink is the minority of most images, so that the difference from the surroundings is skewed to its side; a broad pen in a tight
    image covers more than the paper, but little of the border. Both are compared in units of the difference's spread.
    """
    window = max(3, int(max(small.shape) / 1.5) | 1)
    residual = small.astype(np.float32) - cv2.blur(small, (window, window))
    square = residual * residual
    spread = math.sqrt(float(square.mean())) or 1.0
    border = np.concatenate([residual[0], residual[-1], residual[1:-1, 0], residual[1:-1, -1]]) / spread
    # Little of a dark desk may be in the image, and counts no more than as many pixels of paper.
    clipped = float(np.clip(border, -INK_TUNING.max_border, INK_TUNING.max_border).mean())
    is_light = float((square * residual).mean()) / spread**3 > INK_TUNING.border_weight * clipped
    return is_light and not shows_sheet(small)


def shows_sheet(small: Pixels) -> bool:
    """Return whether a small copy (H, W) uint8 shows a light sheet with writing, on a dark desk; light letters fill no box."""
    _, light = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if light[0].any() or light[-1].any() or light[:, 0].any() or light[:, -1].any():
        return False
    outlines, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea, default=None)
    if largest is None:
        return False
    area, (_, (width, height), _) = cv2.contourArea(largest), cv2.minAreaRect(largest)
    if area <= INK_TUNING.min_sheet * max(width * height, small.size / 4):
        return False
    sheet = cv2.fillPoly(np.zeros_like(small), [largest], 255)
    return cv2.countNonZero(cv2.subtract(sheet, light)) > INK_TUNING.min_written * area


@dataclass(frozen=True)
class Levels:
    """Statistics of the ink (0..255) of one page.

    grain is the standard deviation of bare paper; threshold is the least ink of a stroke's pixel; stroke is the ink of the
    page's strokes as a multiple of the least ink that can be distinguished from paper.
    """

    grain: float
    threshold: int
    stroke: float


def ink_levels(ink: Pixels) -> Levels:
    """Measure the ink (H, W) uint8 of one page; the threshold lies on the edges of its strokes, above the grain of its paper."""
    # Every second row, and every fourth of a large page, gives the same statistics in less time.
    sample = np.ascontiguousarray(ink[:: 4 if len(ink) > MANY_ROWS else 2])
    # Ink only raises values, so the spread of the lower half is that of the grain: 0.16 is one standard deviation below 0.5.
    low, median = levels_of_paper(sample)
    grain = max(1.0, float(median - low))
    floor = int(min(MAX_FLOOR, max(INK_TUNING.min_ink, median + INK_TUNING.grain_sigmas * grain)))
    strokes = np.bincount(sample[sample >= floor], minlength=256)[floor:]
    if strokes.sum() == 0:
        return Levels(grain, floor, 0.0)
    level = floor + _quantile_place(strokes)
    if level < INK_TUNING.min_stroke_ratio * floor:
        # Few letters have fewer pixels than a large sheet has residues of uneven light, but theirs have much more ink.
        by_ink = floor + _quantile_place(strokes * np.arange(len(strokes)))
        level = by_ink if by_ink >= INK_TUNING.min_lone_ratio * floor else level
    return Levels(grain, max(floor, int(INK_TUNING.threshold_share * level)), level / floor)


def levels_of_paper(sample: Pixels) -> tuple[int, int]:
    """Return the level of ink up to which 0.16 of the pixels (H, W) uint8 lie, and that of half of them.

    Paper has the lowest levels: counting two or three of them takes a tenth of the time of a histogram.
    """
    counts: list[int] = []
    for level in range(FEW_LEVELS):
        counts.append(sample.size - cv2.countNonZero(at_least(sample, level + 1)))
        if counts[-1] >= sample.size / 2:
            break
    else:
        counts = np.cumsum(cv2.calcHist([sample], [0], None, [256], [0, 256])).tolist()
    low, half = (bisect_left(counts, share * sample.size) for share in (0.16, 0.5))
    return low, half


def _quantile_place(histogram: NDArray[Any]) -> int:
    """Return the place in a histogram (n,) below which the share `stroke_quantile` of it lies; 0 if it is empty."""
    return int(np.searchsorted(np.cumsum(histogram), INK_TUNING.stroke_quantile * histogram.sum()))


def is_noisy(ink: Pixels, max_noise: float) -> bool:
    """Return whether the ink (H, W) uint8 differs from pixel to pixel by more than noise of this standard deviation."""
    if ink.shape[1] < 2:
        return False
    rows = ink[:: 8 if len(ink) > MANY_ROWS else 1]
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1])
    # The median absolute value of normal noise is 0.6745 standard deviations, and a difference has the noise of two pixels.
    median = max_noise * 0.6745 * math.sqrt(2)
    # Differences are whole numbers, each of which stands for all up to the next; counting takes less time than a histogram.
    whole = int(median)
    below, up_to = (np.count_nonzero(steps < level) for level in (whole, whole + 1))
    return bool(steps.size / 2 > below + (median - whole) * (up_to - below))


@dataclass(frozen=True)
class CropTuning:
    """What belongs to the letter in an image of one letter.

    Tuned on photographs of single letters; `lettercast evaluate MODEL --data FOLDER` measures accuracy on them.
    """

    # The dot of an i is rarely smaller than this share of the letter's ink; dust is.
    min_speck_share: float = 0.025
    # Ink of a neighbour or a rule at the edge of the crop is at most this share of all ink.
    max_scrap_share: float = 0.3
    # A rule runs along at least this share of a side, and is at most this thick, as a share of the other side.
    min_rule_length: float = 0.6
    max_rule_thickness: float = 0.12


CROP_TUNING = CropTuning()
# Ink of photographed letters is kept no larger: many times the 28 pixels that the network sees.
MAX_INK_PX = 256


def letter_only(image: Pixels) -> Pixels:
    """Return the ink (H, W) uint8 of the letter in an image of any size, cut out and made smaller if it is large."""
    ink = letter_ink(image)
    if max(ink.shape) <= MAX_INK_PX:
        return ink
    x, y, w, h = cv2.boundingRect(ink)
    ink = ink[y : y + h, x : x + w] if w and h else ink
    scale = min(1.0, MAX_INK_PX / max(ink.shape))
    if min(ink.shape) * scale <= 0.5:
        # OpenCV rounds this side to nothing.
        width, height = (max(1, round(side * scale)) for side in ink.shape[::-1])
        return cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else ink


def letter_ink(image: Pixels) -> Pixels:
    """Return the ink of the one letter in an image.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8, dark on light or light on dark.

    Returns:
        (H, W) uint8 ink, 0 outside the letter.
    """
    ink = find_ink(image, is_page=False)
    mask = at_least(ink, ink_levels(ink).threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 1:
        return np.zeros_like(ink)
    keep = np.zeros(count, np.uint8)
    keep[1:] = _is_letter(stats[1:], ink.shape) * 255
    if not keep.any():
        return np.zeros_like(ink)
    # One pixel more than the mask, for the soft edge of the strokes.
    grown = cv2.dilate(keep[np.asarray(labels, np.intp)], np.ones((3, 3), np.uint8))
    return cv2.bitwise_and(ink, grown)


def _is_letter(stats: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which components (n, 5), OpenCV's statistics, belong to the letter, (n,)."""
    height, width = shape[:2]
    x, y, w, h, area = stats.T
    total = area.sum()
    cut = (x == 0) | (y == 0) | (x + w == width) | (y + h == height)
    length, thickness = CROP_TUNING.min_rule_length, CROP_TUNING.max_rule_thickness
    is_rule = ((w > length * width) & (h <= max(2, thickness * height))) | (
        (h > length * height) & (w <= max(2, thickness * width))
    )
    is_scrap = cut & ((area < CROP_TUNING.max_scrap_share * total) | is_rule)
    is_letter = ~is_scrap & (area >= CROP_TUNING.min_speck_share * total)
    # A letter that fills the image touches all edges, so there touching an edge means nothing.
    return is_letter if is_letter.any() else area == area.max()
