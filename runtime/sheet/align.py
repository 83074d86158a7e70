"""Where the lines of boxes really are on a sheet laid flat: paper bends, and lenses do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels
from .find import FLAT_PX
from .layout import BOX_MM, COPIES, SheetPage

# Ink counts up to this, so that writing counts no more than a line.
MAX_LINE_INK = 60
# A line is inked along at least this share of its length; writing is shorter.
MIN_INKED = 0.7
# Lines are looked for this far away, all of a label's boxes at once, and then each box on its own.
REACH_MM, OWN_REACH_MM = 3.0, 0.75
# A blurred line reaches this far to either side, at most: half way to the next box.
BROADEST_MM = 0.85
# The part of a side that is looked at, without corners and what stands there.
FROM, TO = 0.12, 0.88
ROUNDS, MIN_DEVIATION_PX, STIFFNESS = 8, 0.5, 1e-3
# A line a pixel further away counts this much less, in levels of ink.
NEARER = 1.0
# Less ink than this is no line.
MIN_LINE_INK = 4.0


@dataclass(frozen=True)
class Lines:
    """The lines of boxes: left, top, right and bottom (n, 4) of each box in pixels, and the ink (n, 2 * k + 1) across them.

    The k-th of a row of the ink is that in the middle of the lines; boxes of one label have the same.
    """

    sides: NDArray[np.float64]
    profiles: NDArray[np.float64]


def find_lines(ink: Pixels, page: SheetPage) -> Lines:
    """Find the lines of the boxes in the ink (H, W) uint8 of a sheet laid flat."""
    soft = np.minimum(ink, MAX_LINE_INK)
    drawn = np.array([(box.left, box.top, box.left + BOX_MM, box.top + BOX_MM) for box in page.boxes]) * FLAT_PX - 0.5
    reach = round(REACH_MM * FLAT_PX)
    profiles = np.array([_profiles(soft, sides, reach) for sides in drawn])
    # The lines of neighbours are nearer than the reach, and only all boxes of a label together tell them apart.
    by_label = profiles.reshape(-1, COPIES, 4, 2 * reach + 1).sum(1)
    middles = (drawn[:, :2] + drawn[:, 2:]).reshape(-1, COPIES, 2).mean(1) / 2
    offsets = np.empty((len(drawn), 2))
    for axis in (0, 1):
        score = by_label[:, axis] + by_label[:, axis + 2]
        best, weight = score.argmax(1) - reach, score.max(1) - np.median(score, 1)
        offsets[:, axis] = np.repeat(_smooth(middles, best.astype(float), weight), COPIES)
    moved = drawn + np.tile(offsets, 2)
    own_reach = round(OWN_REACH_MM * FLAT_PX)
    near = np.array([_profiles(soft, sides, own_reach) for sides in moved])
    # Of two lines the nearer one counts, unless it is much fainter.
    far = NEARER * np.abs(np.arange(-own_reach, own_reach + 1))
    best, strength = (near - far).argmax(2) - own_reach, near.max(2) - near.min(2)
    found = moved + np.where(strength >= MIN_LINE_INK, best, 0)
    aligned = np.array([_profiles(soft, sides, round(BROADEST_MM * FLAT_PX)) for sides in found])
    across = np.percentile(aligned.reshape(-1, COPIES * 4, aligned.shape[2]), 70, axis=1)
    return Lines(found, np.repeat(across, COPIES, 0))


def _profiles(soft: Pixels, sides: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the ink (4, 2 * reach + 1) of the left, top, right and bottom line of a box if it were moved by -reach to reach."""
    left, top, right, bottom = np.rint(sides).astype(int).tolist()
    found = np.zeros((4, 2 * reach + 1))
    rows = slice(*(max(0, round(top + share * (bottom - top))) for share in (FROM, TO)))
    columns = slice(*(max(0, round(left + share * (right - left))) for share in (FROM, TO)))
    for place, (at, area) in enumerate(
        ((left, soft[rows].T), (top, soft[:, columns]), (right, soft[rows].T), (bottom, soft[:, columns]))
    ):
        first, last = max(0, at - reach), min(len(area), at + reach + 1)
        strip = area[first:last]
        if last <= first or not strip.shape[1]:
            continue
        keep = int((1 - MIN_INKED) * strip.shape[1])
        found[place, first - at + reach : last - at + reach] = np.partition(strip, keep, axis=1)[:, keep]
    return found


def _smooth(points: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (n,) at points (n, 2) as a polynomial of at most the third degree says, without outliers."""
    low, high = points.min(0), points.max(0)
    x, y = ((points - low) / np.maximum(high - low, 1) * 2 - 1).T
    degree = 3 if len(points) >= 24 else 1
    powers = np.column_stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)])
    own = np.maximum(weights, 1e-3)
    fit = np.full(len(values), np.median(values))
    for _ in range(ROUNDS):
        weighted = (own / np.maximum(np.abs(values - fit), MIN_DEVIATION_PX))[:, None] * powers
        fit = powers @ np.linalg.solve(weighted.T @ powers + STIFFNESS * np.eye(powers.shape[1]), weighted.T @ values)
    return np.asarray(fit, np.float64)
