"""The same letters in two frames: how the picture moved, and which letter is which."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .glyph import GLYPH_PX, halved
from .page import Spot
from .pixels import Pixels
from .ranks import median

# Letters are compared at half the network's size, where hand shake hardly changes them.
LOOK_PX = GLYPH_PX // 2
# Correlation of two looks from which they may be one letter.
ALIKE = 0.75
# Sizes of one letter in two frames differ by this factor at most.
SIZE_RATIO = 1.5
# After the picture's motion is taken away, a letter is found within this share of its size.
REACH_SHARE = 0.6
# Moves that differ by less than this share of a letter are one move.
MOVE_SHARE = 0.3
# So many pairs tell the motion; more would only take longer.
MOST_PAIRS = 300
# Between moves that explain the letters equally well, the shorter one is right: the price of a letter's size of motion.
MOTION_PRICE = 0.01
# A picture is compared with the one before at this width and height in pixels.
THUMBNAIL = (32, 24)


@dataclass(frozen=True)
class Looks:
    """Letters as they are compared: boxes (n, 4) float64 of x, y, width, height, and looks (n, 196) float32 of unit length."""

    boxes: NDArray[np.float64]
    looks: NDArray[np.float32]

    @property
    def middles(self) -> NDArray[np.float64]:
        """(n, 2) x and y of the boxes' middles."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    @property
    def sizes(self) -> NDArray[np.float64]:
        """(n,) longer sides of the boxes."""
        return self.boxes[:, 2:].max(1)


@dataclass(frozen=True)
class Match:
    """How the picture moved (x, y) in pixels, and pairs of indices (before, after) of the letters that are in both frames."""

    motion: tuple[float, float]
    pairs: tuple[tuple[int, int], ...]


def look_at(spots: Sequence[Spot]) -> Looks:
    """Return the looks of spots, whatever their place, size and strength of ink."""
    if not spots:
        return Looks(np.zeros((0, 4)), np.zeros((0, LOOK_PX * LOOK_PX), np.float32))
    looks = unit(halved(np.stack([spot.picture for spot in spots])))
    return Looks(np.array([spot.box for spot in spots], np.float64), looks)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows without their mean and of length 1, so that a product of two is their correlation; flat ones stay zero."""
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-6)


def thumbnail(image: Pixels) -> NDArray[np.float32]:
    """Return (768,) float32 of unit length: what the whole picture looks like, whatever the exposure."""
    # A few pixels of each block tell enough; 4K costs no more than a small picture.
    thin = cv2.resize(image, (4 * THUMBNAIL[0], 4 * THUMBNAIL[1]), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(thin, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return unit(small.reshape(THUMBNAIL[0] * THUMBNAIL[1], -1)[:, :3].mean(1, dtype=np.float32))


def match(before: Looks, after: Looks) -> Match:
    """Find the letters of one frame in the next one: alike, of like size, and moved as the whole picture moved."""
    alike = before.looks @ after.looks.T
    ratio = before.sizes[:, None] / np.maximum(after.sizes, 1)
    first, second = np.nonzero((alike >= ALIKE) & (ratio < SIZE_RATIO) & (ratio > 1 / SIZE_RATIO))
    if not len(first):
        return Match((0.0, 0.0), ())
    moves = after.middles[second] - before.middles[first]
    sizes = np.maximum(before.sizes[first], after.sizes[second])
    motion = common_move(moves, sizes, alike[first, second])
    apart = np.hypot(*(moves - motion).T)
    pairs, taken_before, taken_after = [], set(), set()
    for k in np.argsort(apart, kind="stable"):
        i, j = int(first[k]), int(second[k])
        if apart[k] <= REACH_SHARE * sizes[k] and i not in taken_before and j not in taken_after:
            pairs.append((i, j))
            taken_before.add(i)
            taken_after.add(j)
    return Match((float(motion[0]), float(motion[1])), tuple(pairs))


def common_move(moves: NDArray[np.float64], sizes: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the move (2,) in pixels that most pairs of letters agree on.

    Args:
        moves: (n, 2) of pairs, right and wrong ones, n at least 1.
        sizes: (n,) of their letters in pixels.
        weights: (n,) how alike their letters are.
    """
    best = np.argsort(-weights, kind="stable")[:MOST_PAIRS]
    moves, sizes, weights = moves[best], sizes[best], weights[best]
    size = median(sizes)
    close = np.hypot(*(moves[:, None] - moves[None]).T) <= MOVE_SHARE * size
    votes = close @ weights - MOTION_PRICE * np.hypot(*moves.T) / size
    return np.array([median(along) for along in moves[close[np.argmax(votes)]].T])
