"""Training, validation and test."""

import zlib

import numpy as np

from lettercast.train.data.source import hashed_split, in_split


def test_a_hashed_split_depends_on_the_key_alone_and_holds_out_a_tenth_twice():
    keys = [f"A/{number}.png" for number in range(5000)]
    split = hashed_split(keys)
    ranks = [zlib.crc32(key.encode()) % 100 for key in keys]
    assert split.tolist() == [2 if rank < 10 else 1 if rank < 20 else 0 for rank in ranks]
    np.testing.assert_allclose(np.bincount(split) / 5000, [0.8, 0.1, 0.1], atol=0.02)
    np.testing.assert_array_equal(hashed_split(reversed(keys))[::-1], split)


def test_all_is_every_split():
    split = np.array([0, 1, 2, 0])
    assert in_split(split, "all").tolist() == [True] * 4
    assert in_split(split, "train").tolist() == [True, False, False, True]
    assert in_split(split, "test").tolist() == [False, False, True, False]
