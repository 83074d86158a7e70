"""Ruled, squared and framed paper: long thin lines that are printed, not written."""

import cv2
import numpy as np
from numpy.typing import NDArray

from .curves import Curve, find_curves
from .glyph import at_least
from .pixels import Pixels

# Along a rule so many pixels of the mask become one, a bit each of one byte; a rule fills nearly all of them.
SQUEEZE = 8
FILLED = np.array([255 * (bits.bit_count() >= 6) for bits in range(256)], np.uint8)
# A rule is thinner than this share of the page's longer side, or than this many pixels.
THICKNESS_SHARE, THICKNESS_PX = 0.006, 5
# A rule's soft edge reaches this far beyond it, and it strays so far from its curve.
SOFT_EDGE_PX, WANDER_PX = 3, 2
# What it absorbs is the median of so many samples of pieces of this length, and of as many pieces on either side; letters
# are shorter.
PIECE_PX, PIECE_SAMPLES, PIECES_AROUND = 64, 15, 3
# Print varies: what is no darker than the rule's usual ink times this is rule.
CERTAINLY = 1.3
# A rule seldom ends where it was last seen; it is followed for this share of the page.
BEYOND_SHARE = 0.06
# A frame lies within this share of the picture's side, along at least this share of it.
EDGE_SHARE, EDGE_FRAMED_SHARE = 0.02, 0.4


def without_rules(ink: Pixels, threshold: int) -> tuple[Pixels, Pixels]:
    """Take ruled lines, across and down, out of the ink of a page; strokes that cross or follow a rule stay.

    What a rule absorbs is known from its whole length and is taken off, so that darker ink on it remains. Where a rule is
    as dark as the ink nothing does: there ink is given back where strokes stand on both sides.

    Args:
        ink: (H, W) uint8, 0 on paper.
        threshold: the ink from which on a pixel belongs to a stroke or a rule.

    Returns:
        The ink without rules, (H, W) uint8, and the mask of strokes, (H, W) uint8 of 0 and 255.
    """
    mask = without_edges(at_least(ink, threshold))
    thickness = max(THICKNESS_PX, round(THICKNESS_SHARE * max(mask.shape)))
    if min(mask.shape) < SQUEEZE:
        return ink, mask
    across, down = (find_curves(squeeze(picture), thickness) for picture in (mask, cv2.transpose(mask)))
    if not across and not down:
        return ink, mask
    bare = ink.copy()
    for curve in across:
        take_off(bare, curve, thickness)
    for curve in down:
        take_off(bare.T, curve, thickness)
    strokes = cv2.bitwise_and(at_least(bare, threshold), mask)
    taken = cv2.subtract(mask, strokes)
    for found, kernel in ((across, np.ones((thickness + 4, 1), np.uint8)), (down, np.ones((1, thickness + 4), np.uint8))):
        if found:
            bridged = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, kernel)
            strokes = cv2.bitwise_or(strokes, cv2.bitwise_and(taken, bridged))
    return cv2.max(bare, cv2.bitwise_and(ink, strokes)), strokes


def squeeze(mask: Pixels) -> Pixels:
    """Squeeze a mask (H, W) along its rows: (H, W // SQUEEZE) uint8, 255 where most of the pixels that become one are set."""
    whole = mask[:, : mask.shape[1] // SQUEEZE * SQUEEZE]
    return cv2.LUT(np.packbits(whole, axis=1), FILLED)


def take_off(ink: Pixels, curve: Curve, thickness: int) -> None:
    """Take what a rule absorbs off the ink (H, W) uint8, in place; paper and rule absorb one after the other."""
    beyond = round(BEYOND_SHARE * ink.shape[1])
    columns = np.arange(max(0, curve.start * SQUEEZE - beyond), min(curve.end * SQUEEZE + beyond, ink.shape[1]))
    middle = np.rint(curve.rows((columns + 0.5) / SQUEEZE - 0.5)).astype(int)
    reach = thickness // 2 + SOFT_EDGE_PX
    rows = np.minimum(np.maximum(middle + np.arange(-reach, reach + 1)[:, None], 0), ink.shape[0] - 1)
    # Places in the memory of a page or a turned page: NumPy reaches them in a third of the time.
    pixels, places = ink.ravel(order="K"), rows * ink.strides[0] + columns * ink.strides[1]
    band = pixels.take(places).astype(np.float32)
    left = 255 - 255 * (255 - band) / (256 - absorbed_along(band))
    pixels[places] = np.maximum(left, 0)


def absorbed_along(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a rule absorbs, 0..255, of the ink (h, W) along it: the usual ink around each place, never a letter's."""
    pieces = max(1, band.shape[1] // PIECE_PX)
    ends = np.arange(pieces + 1) * band.shape[1] // pieces
    samples = ends[:-1] + np.arange(PIECE_SAMPLES)[:, None] * (np.diff(ends) - 1) // (PIECE_SAMPLES - 1)
    usual = middle_of(band[:, samples], axis=1)
    # The last pieces are part of the way off the paper, where there is no rule.
    around = np.abs(np.arange(pieces) + np.arange(-PIECES_AROUND, PIECES_AROUND + 1)[:, None])
    around = np.maximum(np.minimum(around, 2 * (pieces - 1) - around), 0)
    usual = middle_of(usual[:, around], axis=1)
    # The rule wanders about its curve.
    usual = cv2.dilate(usual, np.ones((2 * WANDER_PX + 1, 1), np.uint8))
    return np.minimum(CERTAINLY * np.repeat(usual, np.diff(ends), axis=1), 255)


def middle_of(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the upper median along an axis; NumPy's own takes four times as long on so few."""
    half = values.shape[axis] // 2
    return np.partition(values, half, axis).take(half, axis)


def without_edges(mask: Pixels) -> Pixels:
    """Remove a dark frame along the sides of the picture from a mask (H, W), where it lies along most of a side."""
    mask = mask.copy()
    for side in (mask, mask[::-1], mask.T, mask.T[::-1]):
        zone = max(2, round(EDGE_SHARE * len(side)))
        if zone >= len(side):
            continue
        framed: NDArray[np.bool_] = np.any(side[:zone], axis=0)
        if np.count_nonzero(framed) > EDGE_FRAMED_SHARE * len(framed):
            # Where ink goes on beyond the zone a letter touches the frame.
            side[:zone, framed & (side[zone] == 0)] = 0
            side[: zone // 2] = 0
    return mask
