"""idx files, and the folders of them in which MNIST and the sets of EMNIST are published."""

import gzip
import struct

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.idx import idx_splits, open_idx_folder, read_idx
from lettercast.train.data.open import default_split, open_source

CUBE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray, *shape: int, magic: int | None = None) -> bytes:
    """Return an array as an idx file, optionally with a false shape or magic number in its header."""
    shape = shape or array.shape
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape) if magic is None else magic, *shape) + array.tobytes()


@pytest.fixture(params=["", ".gz"])
def written(request, tmp_path):
    """Return a function that writes an idx file, plain or gzipped, and returns its path."""

    def write(data: bytes):
        path = tmp_path / f"letters-ubyte{request.param}"
        path.write_bytes(gzip.compress(data, mtime=0) if request.param else data)
        return path

    return write


def test_idx_array_is_read_unchanged(written):
    np.testing.assert_array_equal(read_idx(written(idx(CUBE)), 3), CUBE)
    assert read_idx(written(idx(CUBE.ravel())), 1).shape == (24,)
    assert read_idx(written(idx(CUBE[:0])), 3).shape == (0, 3, 4)


def test_numbers_of_the_idx_header_are_big_endian(written):
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
def test_idx_file_with_a_false_header_is_refused(written, data, said):
    with pytest.raises(LettercastError, match=f"letters-ubyte.*{said}.*; download it again"):
        read_idx(written(data), 3)


def test_compressed_idx_file_is_unpacked_only_as_far_as_its_header_says(tmp_path):
    path = tmp_path / "bomb.gz"
    packed = gzip.compress(idx(np.zeros(50_000_000, np.uint8), 100), mtime=0)
    # Truncated in the middle, which would be reported if the file were read that far.
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LettercastError, match="more than the 100 bytes"):
        read_idx(path, 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_gz_file_is_named(tmp_path, share):
    whole = gzip.compress(idx(np.random.default_rng(1).integers(0, 256, (9, 9, 9)).astype(np.uint8)), mtime=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LettercastError, match=r"cut.gz: not a readable idx file"):
        read_idx(path, 3)


@pytest.mark.parametrize("place", [0, 12, -6])
def test_damaged_gz_file_is_named(tmp_path, place):
    whole = bytearray(gzip.compress(idx(CUBE), mtime=0))
    whole[place] ^= 0xFF
    path = tmp_path / "damaged.gz"
    path.write_bytes(whole)
    with pytest.raises(LettercastError, match=r"damaged.gz: not a readable idx file"):
        read_idx(path, 3)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(LettercastError, match="none-ubyte: no such file"):
        read_idx(tmp_path / "none-ubyte", 1)


def test_folder_is_not_an_idx_file(tmp_path):
    with pytest.raises(LettercastError, match="not a readable idx file"):
        read_idx(tmp_path, 1)


def image(number: int) -> np.ndarray:
    """Draw image `number` upright: its top row is white, and as many pixels of the leftmost column as its number."""
    ink = np.zeros((28, 28), np.uint8)
    ink[0] = 255
    ink[: 1 + number % 27, 0] = 200
    return ink


def write_set(folder, prefix: str, labels, *, transposed: bool = True, test: str = "test", images="-images-idx3"):
    """Write a set whose training and test images have these labels."""
    folder.mkdir(exist_ok=True)
    inks = [image(number).T if transposed else image(number) for number in range(len(labels))]
    for part in ("train", test):
        (folder / f"{prefix}{part}{images}-ubyte").write_bytes(idx(np.stack(inks)))
        labels_name = images.replace("images", "labels").replace("idx3", "idx1")
        (folder / f"{prefix}{part}{labels_name}-ubyte").write_bytes(idx(np.array(labels, np.uint8)))


def read_as(source) -> str:
    """Return the classes of a source's letters, in their order."""
    return "".join(source.classes[label] for label in source.labels)


@pytest.mark.parametrize("images", ["-images-idx3", "-images.idx3", ".images-idx3"])
def test_folder_of_mnist_is_a_source_of_upright_digits(tmp_path, images):
    write_set(tmp_path, "", range(10), transposed=False, test="t10k", images=images)
    source = open_source(tmp_path, "test")
    assert (source.classes, read_as(source)) == (tuple("0123456789"), "0123456789")
    np.testing.assert_array_equal(source.inks[7], image(7))
    assert default_split(tmp_path) == "test"


def test_model_of_images_gets_those_of_mnist_as_they_are(tmp_path):
    write_set(tmp_path, "", range(10), transposed=False, test="t10k")
    source = open_source(tmp_path, "test", (28, 28, 1))
    np.testing.assert_array_equal(source.image(7, None)[..., 0], image(7))


@pytest.mark.parametrize(
    ("name", "labels", "read"),
    [
        ("emnist-letters", [1, 2, 26], "ABZ"),
        ("emnist-balanced", [0, 9, 10, 35, 36, 37, 46], "09AZABT"),
        ("emnist-bymerge", [0, 10, 39, 40, 41, 42, 43, 44, 45], "0AEFGHNQR"),
        ("emnist-byclass", [9, 10, 35, 36, 61], "9AZAZ"),
        ("emnist-digits", [0, 5, 9], "059"),
        ("emnist-mnist", [1, 8], "18"),
    ],
)
def test_every_set_of_emnist_has_its_own_labels(tmp_path, name, labels, read):
    write_set(tmp_path / "gzip", f"{name}-", labels)
    for path in (tmp_path / "gzip", tmp_path / "gzip" / name):
        source = open_source(path, "test")
        assert (source.name, read_as(source)) == (name, read)
        np.testing.assert_array_equal(source.inks[1], image(1))


def test_set_of_a_folder_with_several_is_named_after_it(tmp_path):
    write_set(tmp_path, "emnist-letters-", [1, 26])
    write_set(tmp_path, "emnist-byclass-", [0, 61])
    assert read_as(open_source(tmp_path, "test")) == "AZ"
    assert read_as(open_source(str(tmp_path / "emnist-byclass"), "test")) == "0Z"
    assert idx_splits(tmp_path / "emnist-digits") == []
    with pytest.raises(LettercastError, match="emnist-digits: no such data source or file"):
        open_source(tmp_path / "emnist-digits", "test")


def test_label_beyond_the_set_is_refused(tmp_path):
    write_set(tmp_path, "emnist-digits-", [0, 10])
    with pytest.raises(LettercastError, match=r"digits-test-labels.*: labels go from 0 to 10, not from 0 \(0\) to 9 \(9\)"):
        open_idx_folder(tmp_path, "test")
