"""EMNIST Letters from the web and from a folder, and its idx files."""

import gzip
import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.emnist import Archive, Member, emnist_splits, open_emnist, open_emnist_folder, read_idx

TRAIN, TEST = 60, 12


def picture(number: int) -> np.ndarray:
    """Draw image `number` upright: its top row is white, and as many pixels of the leftmost column as its number."""
    image = np.zeros((28, 28), np.uint8)
    image[0] = 255
    image[: 1 + number % 27, 0] = 200
    return image


def packed(array: np.ndarray) -> bytes:
    """Return an array as a gzipped idx file."""
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def name(part: str, kind: str) -> str:
    return f"emnist-letters-{part}-{kind}-ubyte.gz"


@pytest.fixture
def members() -> dict[str, bytes]:
    """The four files of a small EMNIST: the alphabet again and again, each image transposed as in EMNIST."""
    numbers = {"train": range(TRAIN), "test": range(TRAIN, TRAIN + TEST)}
    files = {}
    for part, those in numbers.items():
        files[name(part, "images-idx3")] = packed(np.stack([picture(i).T for i in those]))
        files[name(part, "labels-idx1")] = packed(np.array([1 + i % 26 for i in those]))
    return files


@pytest.fixture
def folder(members, tmp_path):
    """A folder of these files."""
    folder = tmp_path / "gzip"
    folder.mkdir()
    for file, data in members.items():
        (folder / file).write_bytes(data)
    return folder


@pytest.fixture
def archive(members, shelf) -> Archive:
    """The same files as an archive on the web."""
    data = zipped(members)
    shelf.files["/EMNIST/gzip.zip"] = data
    facts = {file: Member(hashlib.sha256(content).hexdigest(), len(content)) for file, content in members.items()}
    return Archive(f"{shelf.url}/EMNIST/gzip.zip", md5(data), facts)


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip of the members below gzip/, and of a file that is not needed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("gzip/emnist-balanced-test-labels-idx1-ubyte.gz", b"other letters")
        for member, data in members.items():
            archive.writestr(f"gzip/{member}", data)
    return file.getvalue()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def rewrite(folder, part: str, kind: str, array: np.ndarray):
    (folder / name(part, kind)).write_bytes(packed(array))


def test_images_are_upright_and_the_first_label_is_a(folder):
    source = open_emnist_folder(folder, "all")
    assert source.name == "emnist"
    for number in (0, 1, 25, 26, TRAIN, TRAIN + TEST - 1):
        np.testing.assert_array_equal(source.inks[number], picture(number))
        assert source.classes[source.labels[number]] == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26]


def test_end_of_the_training_letters_is_held_out(folder):
    numbers = {
        split: [int((ink[:, 0] > 0).sum()) for ink in open_emnist_folder(folder, split, 7).inks] for split in ("train", "val")
    }
    shown = [1 + number % 27 for number in range(TRAIN)]
    assert numbers == {"train": shown[:-7], "val": shown[-7:]}
    assert open_emnist_folder(folder, "test").labels.tolist() == [number % 26 for number in range(TRAIN, TRAIN + TEST)]


def test_sixth_of_a_small_set_is_held_out(folder):
    sizes = {split: len(open_emnist_folder(folder, split).labels) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 50, "val": 10, "test": 12, "all": 72}


def test_unpacked_files_work_too(folder):
    before = open_emnist_folder(folder, "all")
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    after = open_emnist_folder(folder, "all")
    np.testing.assert_array_equal(np.stack(after.inks), np.stack(before.inks))
    np.testing.assert_array_equal(after.labels, before.labels)


def test_folder_may_hold_one_part_only(folder):
    for kind in ("images-idx3", "labels-idx1"):
        (folder / name("train", kind)).unlink()
    assert emnist_splits(folder) == ["test"]
    assert len(open_emnist_folder(folder, "all").labels) == TEST
    with pytest.raises(LettercastError, match="gzip: has no split 'val'; it has test"):
        open_emnist_folder(folder, "val")


def test_other_folders_are_not_mistaken_for_emnist(tmp_path):
    (tmp_path / "emnist-balanced-test-images-idx3-ubyte.gz").write_bytes(b"")
    assert emnist_splits(tmp_path) == []


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_file_without_its_partner_names_the_missing_one(folder, kind):
    (folder / name("test", kind)).unlink()
    with pytest.raises(LettercastError, match=f"test-{kind}-ubyte.gz: no such file"):
        open_emnist_folder(folder, "test")


@pytest.mark.parametrize(
    ("kind", "array", "said"),
    [
        ("labels-idx1", np.ones(TEST - 1), "11 images"),
        ("labels-idx1", np.zeros(TEST), "labels go from 0 to 0"),
        ("labels-idx1", np.full(TEST, 27), "labels go from 27 to 27"),
        ("images-idx3", np.zeros((TEST + 1, 28, 28)), "12 images of 28x28"),
        ("images-idx3", np.zeros((TEST, 28, 27)), "12 images of 28x28"),
        ("images-idx3", np.zeros((TEST, 1, 784)), "12 images of 28x28"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(folder, kind, array, said):
    rewrite(folder, "test", kind, array)
    with pytest.raises(LettercastError, match=f"{name('test', kind)[:20]}.*{said}"):
        open_emnist_folder(folder, "test")


def test_emnist_is_downloaded_once_and_only_needed_files_are_kept(archive, members, shelf, tmp_path):
    cache = tmp_path / "cache" / "emnist"
    assert len(open_emnist("test", cache, archive).labels) == TEST
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == members
    assert len(open_emnist("train", cache, archive).labels) == 50
    assert len(shelf.asked) == 1


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"\xff", lambda data: b""])
def test_damaged_file_in_the_cache_is_replaced(archive, members, shelf, tmp_path, damage):
    open_emnist("test", tmp_path, archive)
    broken = tmp_path / name("train", "images-idx3")
    broken.write_bytes(damage(broken.read_bytes()))
    assert len(open_emnist("all", tmp_path, archive).labels) == TRAIN + TEST
    assert broken.read_bytes() == members[broken.name]
    assert len(shelf.asked) == 2


def test_complete_archive_is_used_after_an_interrupted_extraction(archive, shelf, tmp_path):
    (tmp_path / "gzip.zip").write_bytes(shelf.files.pop("/EMNIST/gzip.zip"))
    assert len(open_emnist("test", tmp_path, archive).labels) == TEST
    assert shelf.asked == []
    assert not (tmp_path / "gzip.zip").exists()


def test_unexpected_archive_is_removed(archive, shelf, tmp_path):
    shelf.files["/EMNIST/gzip.zip"] += b"\0"
    with pytest.raises(LettercastError, match=r"gzip.zip: the download was not the expected file .*--data gzip/"):
        open_emnist("test", tmp_path, archive)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [False, True])
def test_unexpected_file_in_the_archive_is_not_extracted(archive, members, shelf, tmp_path, missing):
    wrong = name("train", "images-idx3")
    data = zipped({file: content for file, content in members.items() if file != wrong} | ({} if missing else {wrong: b"other"}))
    shelf.files["/EMNIST/gzip.zip"] = data
    with pytest.raises(LettercastError, match=rf"gzip.zip: its {wrong} is not the expected file \(SHA-256\).*--data gzip/"):
        open_emnist("test", tmp_path, Archive(archive.url, md5(data), archive.members))
    assert not (tmp_path / wrong).exists()
    assert not (tmp_path / "gzip.zip").exists()


def test_failed_download_names_the_manual_way(archive, shelf, tmp_path):
    shelf.files.clear()
    with pytest.raises(LettercastError, match=r"gzip.zip: the server refused it .* by hand, unpack it .* --data gzip/"):
        open_emnist("test", tmp_path / "cache", archive)


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
