"""Training, validation and test: which letters belong to which."""

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = {"train": 0, "val": 1, "test": 2}
# Of a source without a split of its own, this many of every hundred go to validation and to test.
HELD_OUT_PERCENT = 10


def in_split(split: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Tell which entries (0 train, 1 val, 2 test) belong to the split of this name."""
    return np.ones(len(split), bool) if name == "all" else split == SPLITS[name]


def hashed_split(keys: Iterable[object]) -> NDArray[np.int64]:
    """Give each key 0 train, 1 val or 2 test by its checksum, so that the split never changes."""
    rank = np.array([zlib.crc32(str(key).encode()) % 100 for key in keys], np.int64)
    return (rank < 2 * HELD_OUT_PERCENT).astype(np.int64) + (rank < HELD_OUT_PERCENT)
