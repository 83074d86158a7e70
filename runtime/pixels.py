"""Middle values and percentiles of a few numbers, for which NumPy's own take twenty times as long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# uint8 throughout; OpenCV's own annotations do not carry the dtype, so neither does this one.
Pixels: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One image of a source: its name, its number in the source from 0, and (H, W, C) uint8 pixels."""

    source: str
    number: int
    image: Pixels
    # Frames of one moving picture follow each other; a still one stands alone.
    is_still: bool = False
    # A camera's frames come when they come; a film's are all there, one after the other.
    is_live: bool = False


def percentile(values: Sequence[float] | NDArray[np.number], percent: float) -> float:
    """Return the value (of at least one) below which so many percent lie, between two values in proportion as NumPy does."""
    ordered = np.sort(values)
    place = percent / 100 * (len(ordered) - 1)
    low = int(place)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    share = place - low
    # From the nearer one, so that equal values give themselves.
    return below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share)


def median(values: Sequence[float] | NDArray[np.number]) -> float:
    """Return the middle value of at least one, or the mean of the two in the middle."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (float(ordered[half - 1]) + float(ordered[half])) / 2
