"""Connected strokes of a mask, with their boxes and sizes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels


@dataclass(frozen=True)
class Components:
    """The connected strokes 1 to N of a mask (H, W); in arrays, index 0 stands for what is no stroke, and has zeros.

    labels (H, W) int32 are their numbers; boxes (N + 1, 4) their x, y, width and height; areas (N + 1,) their pixels; and
    middles (N + 1,) the rows of their centres. inked (2, n) are the rows and columns of all their pixels, from the top.
    """

    labels: NDArray[np.int32]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    middles: NDArray[np.float64]
    inked: tuple[NDArray[np.int64], NDArray[np.int64]]


def find_components(mask: Pixels) -> Components:
    """Find the strokes of a mask (H, W) uint8 that are connected, also at corners.

    OpenCV's statistics are the same, but look at all pixels of paper as well, which takes three times as long.
    """
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    at = np.flatnonzero(mask > 0)
    own = labels.ravel()[at].astype(np.intp)
    y, x = np.divmod(at, mask.shape[1])
    # From the left, while `at` goes from the top. Sorting takes less time for few bits.
    order = np.argsort(x.astype(np.uint16), kind="stable")
    low, high = np.zeros((2, count), np.int64), np.zeros((2, count), np.int64)
    # The last of several values for one stroke remains: its highest row or column, or backwards its lowest.
    for k, (stroke, place) in enumerate(((own[order], x[order]), (own, y))):
        low[k][stroke[::-1]], high[k][stroke] = place[::-1], place + 1
    areas = np.bincount(own, minlength=count)
    middles = np.bincount(own, weights=y, minlength=count) / np.maximum(areas, 1)
    return Components(np.asarray(labels, np.int32), np.vstack([low, high - low]).T, areas, middles, (y, x))
