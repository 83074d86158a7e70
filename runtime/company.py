"""A letter is known by the company it keeps: among scraps that are no letters it is a scrap that looks like one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .ranks import percentile
from .text import Box

# Neighbours are this near, in sizes of the piece, and not more than so many times larger or smaller.
NEAR, ALIKE = 4.0, 2.0
# A letter far from all others must be this sure: dust is sometimes taken for an I. Among n scraps on the page the chance that
# one looks like a letter grows; what is left to certainty is divided by the root of n.
ALONE = 0.7
# Letters that are fewer than this share of the page's scraps are alone in a sea of them, though they be neighbours.
SEA_SHARE = 0.1
# One page is written with one pen or with several, but never with ink this many times fainter.
FAINT_SHARE = 0.3
# Of a picture of gravel so many pieces are looked at with all others at once.
AT_ONCE = 256


def in_company(
    boxes: Sequence[Box], strengths: NDArray[np.int64], sure: NDArray[np.float32], reject_below: float
) -> NDArray[np.bool_]:
    """Tell which pieces of a page are writing: letters that stand alone or among letters, and scraps among letters.

    Args:
        boxes: (x, y, width, height) of all that was found on a page, in pixels.
        strengths: (n,) ink of each, 0..255.
        sure: (n,) probability of the likeliest letter, 0..1.
        reject_below: the probability below which the model claims no letter.

    Returns:
        (n,) True where no more neighbours of like size are unknown than known, each counted with itself. A letter without
        neighbours must be surer, and the more so the more scraps there are. What is far fainter than the page's letters is
        none: grain of wood, a smear.
    """
    known = sure >= reject_below
    if not known.any():
        return known
    # A model without a threshold was never measured on what is no letter: all its answers count.
    scrap_count = int((~known).sum())
    alone = max(reject_below, 1 - (1 - ALONE) / (1 + scrap_count) ** 0.5) if reject_below else 0.0
    all_alone = bool(known.sum() < SEA_SHARE * scrap_count)
    faint = strengths < FAINT_SHARE * percentile(strengths[known], 80)
    known &= ~faint
    box = np.array(boxes, np.float32).reshape(-1, 4)
    middle, size = box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(1)
    kept = np.zeros(len(known), bool)
    for start in range(0, len(box), AT_ONCE):
        own = np.s_[start : start + AT_ONCE]
        apart = np.hypot(*(middle[own, None] - middle[None]).transpose(2, 0, 1))
        ratio = size[None] / size[own, None]
        near = (apart <= NEAR * size[own, None]) & (ratio <= ALIKE) & (ratio >= 1 / ALIKE)
        letters, scraps = near[:, known].sum(1), near[:, ~known].sum(1)
        kept[own] = (letters >= scraps) & ((letters > 1) & (not all_alone) | (sure[own] >= alone))
    return kept & ~faint
