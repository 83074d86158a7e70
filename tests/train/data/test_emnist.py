"""EMNIST Letters from the web and from a folder."""

import gzip
import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.emnist import Archive, Member, open_emnist
from lettercast.train.data.idx import idx_splits, open_idx_folder

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
    source = open_idx_folder(folder, "all")
    assert source.name == "emnist-letters"
    for number in (0, 1, 25, 26, TRAIN, TRAIN + TEST - 1):
        np.testing.assert_array_equal(source.inks[number], picture(number))
        assert source.classes[source.labels[number]] == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26]


def test_end_of_the_training_letters_is_held_out(folder):
    numbers = {
        split: [int((ink[:, 0] > 0).sum()) for ink in open_idx_folder(folder, split, 7).inks] for split in ("train", "val")
    }
    shown = [1 + number % 27 for number in range(TRAIN)]
    assert numbers == {"train": shown[:-7], "val": shown[-7:]}
    assert open_idx_folder(folder, "test").labels.tolist() == [number % 26 for number in range(TRAIN, TRAIN + TEST)]


def test_sixth_of_a_small_set_is_held_out(folder):
    sizes = {split: len(open_idx_folder(folder, split).labels) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 50, "val": 10, "test": 12, "all": 72}


def test_unpacked_files_work_too(folder):
    before = open_idx_folder(folder, "all")
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    after = open_idx_folder(folder, "all")
    np.testing.assert_array_equal(np.stack(after.inks), np.stack(before.inks))
    np.testing.assert_array_equal(after.labels, before.labels)


def test_folder_may_hold_one_part_only(folder):
    for kind in ("images-idx3", "labels-idx1"):
        (folder / name("train", kind)).unlink()
    assert idx_splits(folder) == ["test"]
    assert len(open_idx_folder(folder, "all").labels) == TEST
    with pytest.raises(LettercastError, match="gzip: has no split 'val'; it has test"):
        open_idx_folder(folder, "val")


def test_other_folders_are_not_mistaken_for_emnist(tmp_path):
    (tmp_path / "emnist-other-test-images-idx3-ubyte.gz").write_bytes(b"")
    assert idx_splits(tmp_path) == []


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_file_without_its_partner_names_the_missing_one(folder, kind):
    (folder / name("test", kind)).unlink()
    with pytest.raises(LettercastError, match=f"test-{kind}-ubyte.gz: no such file"):
        open_idx_folder(folder, "test")


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
        open_idx_folder(folder, "test")


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
