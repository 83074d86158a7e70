"""Ruled, squared and framed paper: long thin lines that are printed, not written."""

import cv2
import numpy as np

from .ink import at_least, shrink
from .pixels import Pixels

# Along a rule the mask is squeezed by this factor; a rule fills nearly all of each squeezed pixel.
SQUEEZE = 8
FILLED = 190
# A rule runs across at least this share of the page, gaps where letters cross it included; it is there for the
# greater part of that length, as the bars of letters in a row are not.
LENGTH_SHARE, GAP_SHARE, PRESENT_SHARE = 0.5, 0.16, 0.55
# A rule is thinner than this share of the page's longer side, or than this many pixels.
THICKNESS_SHARE, THICKNESS_PX = 0.006, 5
# A curve is fitted so often, each time to what lay near the last.
FITS = 4
# A frame lies within this share of the picture's side, along at least this share of it.
EDGE_SHARE, EDGE_FRAMED_SHARE = 0.02, 0.4


def without_rules(mask: Pixels) -> Pixels:
    """Remove ruled lines, across and down, from a mask of strokes; strokes that cross a rule stay whole.

    Args:
        mask: (H, W) uint8, 255 on strokes and rules, 0 on paper.

    Returns:
        (H, W) uint8 of the same kind.
    """
    mask = without_edges(mask)
    thickness = max(THICKNESS_PX, round(THICKNESS_SHARE * max(mask.shape)))
    height, width = mask.shape
    squeezed_across, squeezed_down = shrink(mask, SQUEEZE, 1), shrink(mask, 1, SQUEEZE)
    across = find_rules(at_least(squeezed_across, FILLED), thickness)
    down = cv2.transpose(find_rules(cv2.transpose(at_least(squeezed_down, FILLED)), thickness))
    if not (across.any() or down.any()):
        return mask
    across, down = (cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) for found in (across, down))
    bare = cv2.bitwise_and(mask, cv2.bitwise_not(cv2.bitwise_or(across, down)))
    # What was cut is given back where ink stands on both sides of the cut.
    bridge_down = cv2.morphologyEx(bare, cv2.MORPH_CLOSE, np.ones((thickness + 4, 1), np.uint8))
    bridge_across = cv2.morphologyEx(bare, cv2.MORPH_CLOSE, np.ones((1, thickness + 4), np.uint8))
    crossing = cv2.bitwise_or(cv2.bitwise_and(across, bridge_down), cv2.bitwise_and(down, bridge_across))
    return cv2.bitwise_or(bare, cv2.bitwise_and(mask, crossing))


def without_edges(mask: Pixels) -> Pixels:
    """Remove a dark frame along the sides of the picture from a mask (H, W), where it lies along most of a side."""
    mask = mask.copy()
    for side in (mask, mask[::-1], mask.T, mask.T[::-1]):
        zone = max(2, round(EDGE_SHARE * len(side)))
        if zone >= len(side):
            continue
        framed = side[:zone].any(0)
        if framed.mean() > EDGE_FRAMED_SHARE:
            # Where ink goes on beyond the zone a letter touches the frame.
            side[:zone, framed & (side[zone] == 0)] = 0
            side[: zone // 2] = 0
    return mask


def find_rules(filled: Pixels, thickness: int) -> Pixels:
    """Find the horizontal rules of at most `thickness` pixels, tilted by a few degrees or not.

    Args:
        filled: (H, W) uint8 of 0 and 255, squeezed along the rules by SQUEEZE.

    Returns:
        (H, W) uint8, 255 on rules.
    """
    # An opening by hand: OpenCV's own shifts by a pixel where the kernel is even, and leaves a row of each stroke as thin.
    kernel = np.ones((thickness + 1, 1), np.uint8)
    thick = cv2.dilate(cv2.erode(filled, kernel, anchor=(0, 0)), kernel, anchor=(0, thickness))
    thin = cv2.subtract(filled, thick)
    width = thin.shape[1]
    gap = max(1, round(GAP_SHARE * width))
    joined = cv2.morphologyEx(cv2.dilate(thin, np.ones((3, 1), np.uint8)), cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8))
    rules = np.zeros_like(thin)
    for outline in cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        x, y, w, h = cv2.boundingRect(outline)
        if w < LENGTH_SHARE * width:
            continue
        window = np.s_[y : y + h, x : x + w]
        inside = np.zeros((h, w), np.uint8)
        cv2.drawContours(inside, [outline], -1, 255, cv2.FILLED, offset=(-x, -y))
        own = on_one_curve(cv2.bitwise_and(thin[window], inside), thickness)
        if own.any(0).sum() >= PRESENT_SHARE * w:
            rules[window] = cv2.bitwise_or(rules[window], own)
    # One row more on either side: the soft edge of the rule.
    return cv2.dilate(rules, np.ones((3, 1), np.uint8))


def on_one_curve(rule: Pixels, thickness: int) -> Pixels:
    """Keep of a rule (H, W) uint8 what lies along one gentle curve; the bars of letters in a row do not."""
    rows, columns = np.nonzero(rule)
    if not len(rows):
        return rule
    near = np.ones(len(rows), bool)
    curve = np.zeros(rule.shape[1])
    for _ in range(FITS):
        curve = np.polynomial.Polynomial.fit(columns[near], rows[near], 2)(np.arange(rule.shape[1]))
        distance = np.abs(rows - curve[columns])
        near = distance <= max(thickness / 2, float(np.median(distance)))
    kept = np.zeros_like(rule)
    straight = distance <= thickness / 2
    kept[rows[straight], columns[straight]] = 255
    return kept
