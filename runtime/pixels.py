"""Pixels and frames, the check of an image, and a median and percentile twenty times as fast as NumPy's for a few numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Grey, BGR, BGRA.
CHANNELS = (1, 3, 4)
# Always uint8; the type does not say so because OpenCV's annotations have no dtype either.
Pixels: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One image of a source: the name of the source, the number of the frame from 0, and (H, W) or (H, W, C) uint8 pixels."""

    source: str
    number: int
    image: Pixels
    # A still image stands alone; the frames of a video or a camera belong together.
    is_still: bool = False
    # The frames of a camera come in real time; those of a video are read as fast as you like.
    is_live: bool = False
    # The frames per second of a recorded video, if its file says so.
    fps: float | None = None


def check_image(image: Pixels) -> None:
    """Raise TypeError or ValueError, saying what an image is, if this is none."""
    if not isinstance(image, np.ndarray):
        hint = "cv2.imread returns None if it cannot read the file: " if image is None else ""
        raise TypeError(f"{hint}an image is a NumPy array (H, W) or (H, W, 3) BGR uint8, not {type(image).__name__}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in CHANNELS or image.size == 0:
        raise ValueError(f"an image is (H, W), (H, W, 3) BGR or (H, W, 4) BGRA uint8, not {image.shape} {image.dtype}")


def percentile(values: Sequence[float] | NDArray[np.number], percent: float) -> float:
    """Return the percentile of one value or more, interpolated linearly like NumPy's."""
    ordered = np.sort(values)
    position = percent / 100 * (len(ordered) - 1)
    low = int(position)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    share = position - low
    # Interpolate from the nearer value, so that two equal values give exactly that value.
    return below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share)


def median(values: Sequence[float] | NDArray[np.number]) -> float:
    """Return the median of one value or more; of an even number, the mean of the middle two."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (float(ordered[half - 1]) + float(ordered[half])) / 2


# Larger than any array that finding letters needs.
KEPT_BYTES = 8 << 20


def keep_memory() -> None:
    """Make glibc keep the memory of one image for the next one, up to 16 MB; other C libraries do as they please.

    When arrays are freed, glibc gives back to the system what is more than twice the largest array so far, and to get it anew,
    4 KB at a time, may take a third of the time in which the letters of an image are found. This array is never touched, so that
    it takes no memory and no time.
    """
    np.empty(KEPT_BYTES, np.uint8)
