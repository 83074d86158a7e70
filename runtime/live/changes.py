"""What changed between two frames: nothing, only the place of the page before the camera, or more."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..page.ink import shrink
from ..pixels import Pixels, median

# Rows [a, b, x] and [c, d, y] that take a pixel of one frame to the same spot of the paper in another.
Motion = NDArray[np.float64]


@dataclass(frozen=True)
class ChangeTuning:
    """When two frames count as the same, compared on small grey copies.

    Tuned on generated films of a page: under noise, in a moving hand, under a hand that writes, and with letters that come and
    go. tests/runtime/live/test_changes.py holds such films.
    """

    # The longer side of the copies.
    side_px: int = 320
    # Noise is averaged over a square of this side; the light is compared over a square of the other, so that neither exposure
    # nor a soft shadow counts.
    noise_window_px: int = 3
    light_window_px: int = 31
    # The light may change by this factor.
    max_light_ratio: float = 1.35
    # A pixel has changed if it differs by more than this many standard deviations of the noise, and by this many grey levels.
    noise_sigmas: float = 6.0
    min_difference: float = 5.0
    # So many grey levels after a motion, because copies that moved by parts of a pixel never fit exactly.
    min_moved_difference: float = 12.0
    # There an edge may also become sharper by this share of its height.
    max_sharpening: float = 0.4
    # So many pixels may fit even less; every part of a letter that can be read has more.
    max_misfits: int = 6
    # Above this noise (standard deviation of the copies) nothing can be said.
    max_noise: float = 6.0
    # The motion is followed at this many corners of strokes, with windows of this side.
    corners: int = 30
    # The weakest corner has this share of the strongest one's gradients.
    min_corner: float = 0.05
    corner_window_px: int = 11
    # If this share of the edges of strokes stays as it is, the camera stands still. An edge has a range of this many grey levels.
    min_still_share: float = 0.8
    min_edge: int = 40
    # At least this many corners, and this share of them, must move together, up to this many pixels of the copy.
    min_followed: int = 10
    min_followed_share: float = 0.7
    max_unlike_px: float = 0.8


CHANGE_TUNING = ChangeTuning()
STILL: Motion = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# Halvings of a copy between which the motion is followed from coarse to fine.
LEVELS = 2
BLOCK = np.ones((3, 3), np.uint8)


class Sight:
    """A small grey copy of a frame, (h, w) uint8, `factor` times smaller, and what is made of it once it is asked for."""

    def __init__(self, gray: Pixels) -> None:
        self.shape = gray.shape
        self.factor = -(-max(gray.shape) // CHANGE_TUNING.side_px)
        self.image = shrink(gray, self.factor)

    @cached_property
    def smooth(self) -> Pixels:
        """The copy with less noise."""
        return cv2.blur(self.image, (CHANGE_TUNING.noise_window_px, CHANGE_TUNING.noise_window_px))

    @cached_property
    def light(self) -> Pixels:
        """The light on the paper."""
        return light_on(self.image)

    @cached_property
    def corners(self) -> NDArray[np.float32]:
        """(n, 1, 2) float32 x and y of corners of strokes."""
        tuning = CHANGE_TUNING
        # None on bare paper, which OpenCV's annotations do not say.
        found: Any = cv2.goodFeaturesToTrack(self.image, tuning.corners, tuning.min_corner, tuning.corner_window_px)
        return np.zeros((0, 1, 2), np.float32) if found is None else found

    @cached_property
    def limits(self) -> tuple[Pixels, Pixels]:
        """See `limits_of`."""
        return limits_of(self.smooth)

    @cached_property
    def edges(self) -> NDArray[np.bool_]:
        """(h, w) True at edges of strokes."""
        return cv2.morphologyEx(self.smooth, cv2.MORPH_GRADIENT, BLOCK) >= CHANGE_TUNING.min_edge


def motion_between(before: Sight, after: Sight, max_px: float, guess: Motion = STILL) -> Motion | None:
    """Return the motion of the paper from one frame to another; None if it is no motion, or if more has changed.

    Args:
        before: the earlier frame.
        after: the later frame.
        max_px: a motion of a corner of the image by more pixels of the frame counts as a change; with 0 every motion does.
        guess: a motion near which to search. If it is not STILL, frames without a motion may have a tiny one.
    """
    if before.shape != after.shape:
        return None
    # In a moving hand two frames hardly ever show the same, so it would take time to compare them.
    if guess is STILL:
        misfits = misfits_of(before, after)
        if misfits is not None and not misfits.any():
            return STILL
        # Something is written or covered, or the hand that writes moves.
        least = (1 - CHANGE_TUNING.min_still_share) * np.count_nonzero(before.edges)
        if misfits is None or np.count_nonzero(misfits & before.edges) < least:
            return None
    motion = follow(before, after, scaled(guess, 1 / after.factor)) if max_px > 0 else None
    if motion is None:
        return None
    height, width = before.image.shape
    ends = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
    farthest = np.hypot(*(ends @ motion[:, :2].T + motion[:, 2] - ends).T).max()
    # What came into the image is as wide as the motion, and unknown.
    rim = int(farthest) + 1
    if farthest > max_px / after.factor or 2 * rim >= min(height, width):
        return None
    back = cv2.warpAffine(
        after.smooth, motion, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return scaled(motion, after.factor) if is_alike(before, back, rim) else None


def follow(before: Sight, after: Sight, guess: Motion) -> Motion | None:
    """Return the motion that most corners of strokes make together, in pixels of the copies; None if there is none."""
    tuning, corners = CHANGE_TUNING, before.corners
    least = max(tuning.min_followed, tuning.min_followed_share * len(corners))
    start = (corners @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
    if len(corners) < least:
        return None
    window = (tuning.corner_window_px, tuning.corner_window_px)
    moved, is_found, _ = cv2.calcOpticalFlowPyrLK(
        before.image, after.image, corners, start, winSize=window, maxLevel=LEVELS, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    known = is_found.ravel() > 0
    rows, target = np.ones((int(known.sum()), 3)), moved[known, 0].astype(float)
    rows[:, :2] = corners[known, 0]
    motion, kept = STILL, np.ones(len(rows), bool)
    # Without the corners that move otherwise, three fits are enough.
    for _ in range(3):
        if kept.sum() < least:
            return None
        own = rows[kept]
        motion = np.linalg.lstsq(own, target[kept], rcond=None)[0].T.astype(np.float64)
        off = np.hypot(*(rows @ motion.T - target).T)
        is_near = off <= tuning.max_unlike_px
        if (is_near == kept).all():
            break
        kept = is_near | (off <= median(off))
    return motion


def misfits_of(before: Sight, after: Sight) -> NDArray[np.bool_] | None:
    """Return where (h, w) two frames differ by more than noise and light, pixel by pixel; None if they cannot be compared."""
    seen = in_light(after.smooth, after.light, before.light)
    if seen is None:
        return None
    differs = cv2.absdiff(before.smooth, seen)
    noise = noise_of(differs)
    if noise > CHANGE_TUNING.max_noise:
        return None
    return differs > max(CHANGE_TUNING.min_difference, CHANGE_TUNING.noise_sigmas * noise)


def is_alike(before: Sight, back: Pixels, rim: int) -> bool:
    """Tell whether a smoothed copy that is moved back shows the same, but for a rim of so many pixels.

    Each pixel may look like one beside it, and the edges of strokes may be sharper or softer.
    """
    tuning = CHANGE_TUNING
    seen = in_light(back, light_on(back), before.light)
    if seen is None:
        return False
    inside = np.s_[rim:-rim, rim:-rim]
    noise = noise_of(cv2.absdiff(before.smooth, seen)[inside])
    if noise > tuning.max_noise:
        return False
    limit = max(tuning.min_moved_difference, tuning.noise_sigmas * noise)
    for one, (low, high) in ((before.smooth, limits_of(seen)), (seen, before.limits)):
        outside = cv2.max(cv2.subtract(one, high), cv2.subtract(low, one))[inside]
        if np.count_nonzero(outside > limit) > tuning.max_misfits:
            return False
    return True


def limits_of(image: Pixels) -> tuple[Pixels, Pixels]:
    """Return the least and the greatest level (h, w) uint8 that a pixel may have near each pixel, if edges get sharper."""
    low, high = cv2.erode(image, BLOCK), cv2.dilate(image, BLOCK)
    share = CHANGE_TUNING.max_sharpening
    return cv2.addWeighted(low, 1 + share, high, -share, 0), cv2.addWeighted(high, 1 + share, low, -share, 0)


def light_on(image: Pixels) -> Pixels:
    """Return the light (h, w) uint8 on a copy: the mean around each pixel, at least 1."""
    side = CHANGE_TUNING.light_window_px
    return np.maximum(cv2.blur(image, (side, side)), 1)


def in_light(image: Pixels, light: Pixels, other: Pixels) -> Pixels | None:
    """Return a copy (h, w) uint8 as it looks in another light than its own; None if that is much stronger or weaker anywhere."""
    ratio = cv2.divide(other, light, dtype=cv2.CV_32F)
    low, high, _, _ = cv2.minMaxLoc(ratio)
    limit = CHANGE_TUNING.max_light_ratio
    return cv2.multiply(image, ratio, dtype=cv2.CV_8U) if 1 / limit <= low and high <= limit else None


def noise_of(differences: Pixels) -> float:
    """Return the standard deviation of noise whose absolute values (h, w) uint8 are given, by their median."""
    below = np.cumsum(cv2.calcHist([differences], [0], None, [256], [0, 256]).ravel())
    half = below[-1] / 2
    level = int(np.searchsorted(below, half))
    # A grey level stands for all values that round to it.
    less = float(below[level - 1]) if level else 0.0
    share = (half - less) / (below[level] - less)
    return float(level - 0.5 + share if level else share / 2) / 0.6745


def scaled(motion: Motion, factor: float) -> Motion:
    """Return a motion between images that are so many times larger."""
    return np.column_stack([motion[:, :2], factor * motion[:, 2]])
