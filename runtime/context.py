"""What a letter alone cannot tell: a bare vertical stroke is a capital I or a small l, by its neighbours' height."""

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

STROKE, TALL = "I", "L"
# A stroke this many times as high as it is wide is bare: no foot of an L, no serifs of an I.
BARE_ASPECT = 2.5
# Small letters without an ascender are far lower than an l; capitals are as high as an I.
ASCENDER_RATIO = 1.35
# With fewer neighbours than this their height says nothing.
FEWEST_NEIGHBOURS = 2


def settle_strokes(
    probabilities: NDArray[np.float32], boxes: Sequence[tuple[int, int, int, int]], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Exchange I and L where the heights along one line contradict the network.

    Args:
        probabilities: (n, classes) of the letters of one line.
        boxes: their (x, y, width, height) in pixels.
        labels: class names; without I and L nothing changes.

    Returns:
        (n, classes), equal to the input but for bare strokes whose two likeliest classes are I and L.
    """
    if STROKE not in labels or TALL not in labels or len(boxes) <= FEWEST_NEIGHBOURS:
        return probabilities
    pair = [list(labels).index(STROKE), list(labels).index(TALL)]
    settled = probabilities.copy()
    for i, (_, _, width, height) in enumerate(boxes):
        if height < BARE_ASPECT * width or set(np.argsort(-settled[i])[:2]) != set(pair):
            continue
        others = median(box[3] for j, box in enumerate(boxes) if j != i)
        low, high = sorted(settled[i, pair])
        settled[i, pair] = (low, high) if height > ASCENDER_RATIO * others else (high, low)
    return settled
