"""A letter is known by the company it keeps: among scraps that are no letters it is a scrap that looks like one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .text import Box

# Neighbours are this near, in sizes of the letter, and not more than so many times larger or smaller.
NEAR, ALIKE = 4.0, 2.0


def in_company(boxes: Sequence[Box], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n,) True for known letters whose neighbours of like size are known too, for the greater part.

    Args:
        boxes: (x, y, width, height) of all that was found on a page, in pixels.
        known: (n,) True where the model takes it for a letter.
    """
    if not known.any():
        return known
    box = np.array(boxes, np.float64).reshape(-1, 4)
    middle, size = box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(1)
    own = np.flatnonzero(known)
    apart = np.hypot(*(middle[own, None] - middle[None]).transpose(2, 0, 1))
    ratio = size[None] / size[own, None]
    near = (apart <= NEAR * size[own, None]) & (ratio <= ALIKE) & (ratio >= 1 / ALIKE)
    among = near[:, known].sum(1) >= near[:, ~known].sum(1)
    kept = np.zeros(len(known), bool)
    kept[own[among]] = True
    return kept
