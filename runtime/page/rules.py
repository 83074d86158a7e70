"""Remove ruled lines, and the edges of the page, from its ink."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..glyph import at_least
from ..pixels import Pixels
from .curves import Curve, find_curves, run_ends, with_hidden

# Along a rule this many pixels of the mask become one; their bits form one byte. A rule fills nearly all of them.
SQUEEZE, MIN_FILLED = 8, 6
FILLED = np.array([255 * (bits.bit_count() >= MIN_FILLED) for bits in range(256)], np.uint8)


@dataclass(frozen=True)
class RuleTuning:
    """How ruled lines, and the edges of the page, are removed from the ink.

    Tuned on ruled and squared pages of validation writers (`python -m lettercast.benchmarks.pages.conditions --split val`).
    """

    # A rule is at most as thick as the larger of these, the share being one of the page's longer side.
    max_thickness_share: float = 0.006
    max_thickness_px: int = 5
    # The soft edge of a rule reaches this far, and a rule deviates this far from its curve.
    soft_edge_px: int = 3
    max_wander_px: int = 2
    # What a rule absorbs is the median over sections of this length, and over this many on either side; letters are shorter.
    section_px: int = 64
    sections_around: int = 3
    # Print varies: ink up to this many times the rule's usual ink is rule.
    max_print_factor: float = 1.3
    # A rule seldom ends where its last visible part does; it is followed further for this share of the page.
    extension_share: float = 0.06
    # Strokes with a gap of a rule's thickness and this much more are joined again.
    bridge_px: int = 4
    # The frame of a page lies in this zone along a side of the image, and along at least this share of the side, in runs of at
    # least this share: letters along a side are shorter.
    edge_zone: float = 0.02
    min_edge_share: float = 0.4
    min_edge_run: float = 0.2


RULE_TUNING = RuleTuning()
# The median of a section is that of this many of its columns.
SECTION_SAMPLES = 15
# Pixels along more rules do not fit a processor's cache.
MAX_RULES = 6


def without_rules(ink: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Remove ruled lines, across and down, from the ink of a page; strokes that cross or follow a rule stay.

    The whole length of a rule shows what it absorbs. This is subtracted, so that darker ink on the rule remains. If a rule is
    as dark as the ink, nothing remains; then ink between strokes on both sides of the rule is restored.

    Args:
        ink: (H, W) uint8, 0 on paper.
        threshold: the least ink of a pixel that belongs to a stroke or a rule.

    Returns:
        The ink without rules, (H, W) uint8, and the mask of strokes, (H, W) uint8 of 0 and 255.
    """
    return take_rules(ink, without_edges(at_least(ink, threshold)), threshold)


def take_rules(ink: Pixels, mask: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Do what without_rules does for the mask (H, W) uint8 of all pixels with at least this much ink."""
    thickness = max(RULE_TUNING.max_thickness_px, round(RULE_TUNING.max_thickness_share * max(mask.shape)))
    if min(mask.shape) < SQUEEZE:
        return ink, mask
    across, down = (with_hidden(find_curves(one, thickness), one.shape[1]) for one in (squeeze(mask), squeeze_turned(mask)))
    if not across and not down:
        return ink, mask
    # Only the surroundings of rules change, so only they are looked at. Those of rules down are bands of the turned page.
    reach = thickness // 2 + RULE_TUNING.soft_edge_px
    bands, turned = bands_of(across, mask.shape, reach), bands_of(down, mask.shape[::-1], reach)
    bare, strokes = ink.copy(), mask.copy()
    subtract_rules(bare, across, thickness, bands)
    level = take_absorbed(bare, strokes, threshold, bands)
    subtract_rules(bare.T, down, thickness, turned)
    upright = take_absorbed(bare.T, strokes.T, threshold, turned)
    # A rule across is restored between strokes above and below it only: along it lie letters that it does not join. Where rules
    # cross, both count.
    bridge = thickness + RULE_TUNING.bridge_px
    if down:
        restore(upright.T, level, bridge, bands)
    restore(strokes, level, bridge, bands)
    restore(strokes.T, upright, bridge, turned)
    for whole, seen, own, places in ((bare, ink, strokes, bands), (bare.T, ink.T, strokes.T, turned)):
        for band in places:
            whole[band] = cv2.max(lying(whole[band]), cv2.bitwise_and(lying(seen[band]), lying(own[band])))
    return bare, strokes


def bands_of(curves: Sequence[Curve], shape: tuple[int, ...], reach: int) -> list[slice]:
    """Return the rows of an image of this shape that rules across come nearer than `reach`; bands that overlap are one."""
    beyond = RULE_TUNING.extension_share * shape[1] / SQUEEZE + 1
    ends: list[tuple[int, int]] = []
    for curve in curves:
        low, high = curve.extremes(curve.start - beyond, curve.end + beyond)
        ends.append((max(0, math.floor(low) - reach), min(shape[0], math.ceil(high) + reach + 1)))
    bands: list[slice] = []
    for top, bottom in sorted(one for one in ends if one[0] < one[1]):
        if bands and top <= bands[-1].stop:
            bands[-1] = slice(bands[-1].start, max(bands[-1].stop, bottom))
        else:
            bands.append(slice(top, bottom))
    return bands


def lying(part: Pixels) -> Pixels:
    """Return rows (h, W) of a page, or of a turned page, so that OpenCV takes them: rows of a turned page are copied."""
    return part if part.strides[1] == 1 else cv2.transpose(part.T)


def take_absorbed(bare: Pixels, strokes: Pixels, threshold: int, bands: Sequence[slice]) -> Pixels:
    """Take what has less bare ink (H, W) than the threshold off strokes (H, W) in these bands of rows; returns it, (H, W)."""
    taken = np.zeros(strokes.shape, np.uint8)
    for band in bands:
        before = lying(strokes[band])
        left = cv2.bitwise_and(at_least(lying(bare[band]), threshold), before)
        taken[band] = cv2.subtract(before, left)
        strokes[band] = left
    return taken


def restore(strokes: Pixels, taken: Pixels, bridge: int, bands: Sequence[slice]) -> None:
    """Add what was taken (H, W) from gaps of strokes (H, W) to them, in bands of rows; gaps are up to `bridge` rows high."""
    kernel, found = np.ones((bridge, 1), np.uint8), []
    for band in bands:
        # Closing looks this far beyond a band.
        first = max(0, band.start - 2 * bridge)
        closed = cv2.morphologyEx(lying(strokes[first : band.stop + 2 * bridge]), cv2.MORPH_CLOSE, kernel)
        found.append(cv2.bitwise_and(lying(taken[band]), closed[band.start - first : band.stop - first]))
    # Only now, because a band may be near the next one.
    for band, back in zip(bands, found, strict=True):
        strokes[band] = cv2.bitwise_or(lying(strokes[band]), back)


def squeeze(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its rows to (H, W // SQUEEZE) uint8: 255 if most of the pixels that become one are set."""
    whole = mask[:, : mask.shape[1] // SQUEEZE * SQUEEZE]
    return cv2.LUT(np.packbits(whole, axis=1), FILLED)


def squeeze_turned(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its columns to (W, H // SQUEEZE) uint8, as `squeeze` does with the transposed mask."""
    height, width = mask.shape[0] // SQUEEZE, mask.shape[1]
    # 255 is -1 as a signed byte.
    counts = -np.add.reduce(mask[: height * SQUEEZE].view(np.int8).reshape(height, SQUEEZE, width), axis=1, dtype=np.int8)
    return cv2.transpose(at_least(counts.view(np.uint8), MIN_FILLED))


def subtract_rules(ink: Pixels, curves: Sequence[Curve], thickness: int, bands: Sequence[slice]) -> None:
    """Subtract what rules in these bands absorb from the ink (H, W) uint8 in place; light passes a rule and the ink in turn."""
    reach = thickness // 2 + RULE_TUNING.soft_edge_px
    # NumPy takes much less time for several rules at once. In as many bands as there are rules they share no pixels.
    size = MAX_RULES if len(bands) == len(curves) else 1
    for start in range(0, len(curves), size):
        subtract_apart(ink, curves[start : start + size], reach)


def subtract_apart(ink: Pixels, curves: Sequence[Curve], reach: int) -> None:
    """Subtract rules that share no pixels from the ink (H, W) uint8 in place, up to `reach` rows above and below each."""
    beyond, (height, width) = round(RULE_TUNING.extension_share * ink.shape[1]), ink.shape
    columns = [np.arange(max(0, one.start * SQUEEZE - beyond), min(one.end * SQUEEZE + beyond, width)) for one in curves]
    rows = [one.rows((own + 0.5) / SQUEEZE - 0.5) for one, own in zip(curves, columns, strict=True)]
    middle, along = np.rint(np.concatenate(rows)).astype(np.intp), np.concatenate(columns)
    across = np.arange(-reach, reach + 1)[:, None]
    # Indices into the memory of a page or a turned page: NumPy reaches them in a third of the time.
    pixels, (down, right) = ink.ravel(order="K"), ink.strides
    if middle.min() >= reach and middle.max() < height - reach:
        places = middle * down + along * right + across * down
    else:
        places = np.minimum(np.maximum(middle + across, 0), height - 1) * down + along * right
    band = pixels.take(places).astype(np.float32)
    passed = passed_along(band, tuple(map(len, columns)))
    # In place, because new memory costs more time than the arithmetic.
    left = np.subtract(255, band, out=band)
    left *= 255
    left /= passed
    np.subtract(255, left, out=left)
    pixels[places] = np.maximum(left, 0, out=left).astype(np.uint8)


@dataclass(frozen=True)
class Sections:
    """The sections of rules beside each other: samples (n, SECTION_SAMPLES) are columns of each, around (n, k) its neighbours.

    Each section is one of its own neighbours. lengths (n,) are the numbers of their columns.
    """

    samples: NDArray[np.intp]
    around: NDArray[np.intp]
    lengths: NDArray[np.intp]


@lru_cache(maxsize=16)
def sections_of(widths: tuple[int, ...]) -> Sections:
    """Return the sections of rules with these many columns; those of all rules of a page are alike."""
    width, *others = widths
    if others:
        every = [sections_of((one,)) for one in widths]
        columns, sections = (np.cumsum([0, *sizes]) for sizes in (widths[:-1], [len(one.lengths) for one in every[:-1]]))
        return Sections(
            np.concatenate([one.samples + first for one, first in zip(every, columns, strict=True)]),
            np.concatenate([one.around + first for one, first in zip(every, sections, strict=True)]),
            np.concatenate([one.lengths for one in every]),
        )
    count = max(1, width // RULE_TUNING.section_px)
    ends = np.arange(count + 1) * width // count
    samples = ends[:-1, None] + np.arange(SECTION_SAMPLES) * (np.diff(ends)[:, None] - 1) // (SECTION_SAMPLES - 1)
    # The first and last sections may lie beyond the paper, where there is no rule, so sections are mirrored at the ends.
    reach = RULE_TUNING.sections_around
    around = np.abs(np.arange(count)[:, None] + np.arange(-reach, reach + 1))
    around = np.maximum(np.minimum(around, 2 * (count - 1) - around), 0)
    return Sections(samples, around, np.diff(ends))


def passed_along(band: NDArray[np.float32], widths: tuple[int, ...]) -> NDArray[np.float32]:
    """Return how much light rules let pass, of 256, for the ink (h, W) along them, one beside the other, with these widths.

    They absorb the usual ink around each place, but never a letter's.
    """
    sections = sections_of(widths)
    usual = upper_median(upper_median(band.take(sections.samples, 1)).take(sections.around, 1))
    usual = cv2.dilate(usual, np.ones((2 * RULE_TUNING.max_wander_px + 1, 1), np.uint8))
    return (256 - np.minimum(RULE_TUNING.max_print_factor * usual, 255)).repeat(sections.lengths, 1)


def upper_median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upper median along the last axis of values (..., n); np.median takes four times as long for so few values."""
    half = values.shape[-1] // 2
    return np.partition(values, half)[..., half]


def without_edges(mask: Pixels) -> Pixels:
    """Return a mask (H, W) without a dark frame along the sides of the image."""
    mask = mask.copy()
    for is_turned, step in ((False, 1), (False, -1), (True, 1), (True, -1)):
        side: Pixels = (mask.T if is_turned else mask)[::step]
        zone = max(2, round(RULE_TUNING.edge_zone * len(side)))
        if zone >= len(side):
            continue
        # Columns of a page lie apart in memory, which takes NumPy five times as long as OpenCV.
        band: Pixels = cv2.transpose(side[:zone].T) if is_turned else side[:zone]
        framed: NDArray[np.bool_] = np.maximum.reduce(band) > 0
        least = RULE_TUNING.min_edge_share * len(framed)
        if not framed.all() and np.count_nonzero(framed) > least:
            framed = _long_runs(framed)
        if np.count_nonzero(framed) > least:
            # If ink continues beyond the zone, a letter touches the frame.
            band = band & np.where(framed & (side[zone] == 0), np.uint8(0), np.uint8(255))
            band[: zone // 2] = 0
            if is_turned:
                side[:zone].T[:] = cv2.transpose(band)
            else:
                side[:zone] = band
    return mask


def _long_runs(framed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the columns (n,) belong to a long run: a frame has some, and letters along a side have gaps."""
    ends = run_ends(framed).reshape(-1, 2)
    kept = np.zeros(len(framed), bool)
    for start, end in ends[ends[:, 1] - ends[:, 0] >= RULE_TUNING.min_edge_run * len(framed)]:
        kept[start:end] = True
    return kept
