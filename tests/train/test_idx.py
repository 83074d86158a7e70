"""Arrays in idx files, honest and lying."""

import gzip
import struct

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.emnist import read_idx

CUBE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray, *shape: int, magic: int | None = None) -> bytes:
    """Return an array as an idx file, or one whose header says another shape or magic number."""
    shape = shape or array.shape
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape) if magic is None else magic, *shape) + array.tobytes()


@pytest.fixture(params=["", ".gz"])
def written(request, tmp_path):
    """Return a function that writes an idx file, plain or packed, and returns its path."""

    def write(data: bytes):
        path = tmp_path / f"letters-ubyte{request.param}"
        path.write_bytes(gzip.compress(data, mtime=0) if request.param else data)
        return path

    return write


def test_an_array_is_read_as_it_is(written):
    np.testing.assert_array_equal(read_idx(written(idx(CUBE)), 3), CUBE)
    assert read_idx(written(idx(CUBE.ravel())), 1).shape == (24,)
    assert read_idx(written(idx(CUBE[:0])), 3).shape == (0, 3, 4)


def test_numbers_of_the_header_have_the_high_byte_first(written):
    row = np.zeros(0x0102, np.uint8)
    path = written(bytes([0, 0, 8, 1, 0, 0, 1, 2]) + row.tobytes())
    assert len(read_idx(path, 1)) == 0x0102


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too short"),
        (idx(CUBE)[:15], "too short"),
        (idx(CUBE)[:16], "less than the 24 bytes"),
        (idx(CUBE)[:-1], "less than the 24 bytes"),
        (idx(CUBE) + b"\0", "more than the 24 bytes"),
        (idx(CUBE, 2, 3, 5), "less than the 30 bytes"),
        (idx(CUBE, 0xFFFFFFFF, 28, 28), "less than the 3367254359280 bytes"),
        (idx(CUBE, *[0xFFFFFFFF] * 3), "less than"),
        (idx(CUBE, 0, 0xFFFFFFFF, 1), "more than the 0 bytes"),
        (idx(CUBE, magic=0x00000801), "starts with 00000801, not 00000803"),
        (idx(CUBE, magic=0x00000D03), "starts with 00000d03, not 00000803"),
    ],
)
def test_a_header_that_lies_is_refused(written, data, said):
    with pytest.raises(LettercastError, match=f"letters-ubyte.*{said}.*; download it again"):
        read_idx(written(data), 3)


def test_of_a_file_packed_small_no_more_is_unpacked_than_its_header_says(tmp_path):
    path = tmp_path / "bomb.gz"
    packed = gzip.compress(idx(np.zeros(50_000_000, np.uint8), 100), mtime=0)
    # Cut in the middle, which is said of a file that is read so far.
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LettercastError, match="more than the 100 bytes"):
        read_idx(path, 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_packed_file_is_named(tmp_path, share):
    whole = gzip.compress(idx(np.random.default_rng(1).integers(0, 256, (9, 9, 9)).astype(np.uint8)), mtime=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match=r"cut.gz: not an idx file"):
        read_idx(path, 3)


@pytest.mark.parametrize("place", [0, 12, -6])
def test_a_damaged_packed_file_is_named(tmp_path, place):
    whole = bytearray(gzip.compress(idx(CUBE), mtime=0))
    whole[place] ^= 0xFF
    path = tmp_path / "damaged.gz"
    path.write_bytes(whole)
    with pytest.raises(LettercastError, match=r"damaged.gz: not an idx file"):
        read_idx(path, 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LettercastError, match="none-ubyte: no such file"):
        read_idx(tmp_path / "none-ubyte", 1)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(LettercastError, match="not an idx file"):
        read_idx(tmp_path, 1)
