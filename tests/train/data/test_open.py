"""What `--data` names."""

import gzip
import socket
import struct
import zipfile

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.folder import open_folder, split_folders
from lettercast.train.data.open import (
    default_split,
    held_out_split,
    letters_of,
    open_source,
    open_sources,
    open_validation,
    read_source,
)
from lettercast.train.data.source import hashed_split


def picture(path, level: int = 30):
    """Write an image of a stem."""
    image = np.full((40, 40), 230, np.uint8)
    image[8:32, 18:23] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def folder(tmp_path):
    """Forty images of a and forty of B, without splits."""
    for name in ("a", "B"):
        for number in range(40):
            picture(tmp_path / "own" / name / f"{number}.png")
    return tmp_path / "own"


def test_splits_of_a_strokes_file_are_used(strokes_file, strokes_arrays):
    sizes = {split: len(open_source(str(strokes_file), split).labels) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 520, "val": 104, "test": 520, "all": 1144}
    np.testing.assert_array_equal(open_source(str(strokes_file), "test").labels, strokes_arrays["label"][-520:])


def test_images_in_an_npz_have_classes_and_split(tmp_path):
    images = np.full((4, 30, 30), 230, np.uint8)
    images[:, 5:25, 12:16] = 20
    np.savez(tmp_path / "p.npz", image=images, label=[0, 1, 1, 0], classes=["ja", "nein"], split=[0, 0, 1, 2])
    source = open_source(str(tmp_path / "p.npz"), "train")
    assert (source.classes, source.labels.tolist(), source.name) == (("ja", "nein"), [0, 1], "p.npz")
    assert source.image(0, None).any()


def test_letter_folders_are_capitals_and_splits_add_up_to_the_whole(folder):
    parts = [open_source(str(folder), split) for split in ("train", "val", "test")]
    whole = open_source(str(folder), "all")
    assert whole.classes == ("A", "B")
    assert sum(len(part.labels) for part in parts) == len(whole.labels) == 80
    assert len(parts[0].labels) > 50


def test_small_and_capital_folders_of_one_letter_are_one_class(tmp_path):
    for name in ("a/1.png", "A/2.png", "b/1.png"):
        picture(tmp_path / "own" / name)
    assert open_source(str(tmp_path / "own"), "all").labels.tolist().count(0) == 2


def test_folders_with_longer_names_keep_them(tmp_path):
    for name in ("alpha", "Beta"):
        picture(tmp_path / "own" / name / "1.png")
    assert open_source(str(tmp_path / "own"), "all").classes == ("Beta", "alpha")


def test_folder_with_splits_keeps_them(tmp_path):
    for name in ("train/A/1.png", "train/B/1.png", "val/A/1.png"):
        picture(tmp_path / "own" / name)
    assert len(open_source(str(tmp_path / "own"), "train").labels) == 2
    assert len(open_source(str(tmp_path / "own"), "val").labels) == 1
    assert len(open_source(str(tmp_path / "own"), "all").labels) == 3
    with pytest.raises(LettercastError, match="has no split 'test'; it has train, val"):
        open_source(str(tmp_path / "own"), "test")


def test_labels_without_names_are_letters_or_numbers_depending_on_the_model(tmp_path):
    np.savez(tmp_path / "p.npz", image=np.zeros((3, 8, 8), np.uint8), label=[0, 11, 3])
    assert read_source(str(tmp_path / "p.npz"), "all").classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert read_source(str(tmp_path / "p.npz"), "all", (8, 8, 1)).classes == tuple(map(str, range(12)))
    np.savez(tmp_path / "huge.npz", image=np.zeros((1, 8, 8), np.uint8), label=[2**62])
    with pytest.raises(LettercastError, match=r"labels go from 4611686018427387904 to .*; 65536 classes are counted from 0"):
        read_source(str(tmp_path / "huge.npz"), "all", (8, 8, 1))


def test_split_that_lacks_a_class_still_names_its_letters_correctly(tmp_path):
    for name in ("train/A/1.png", "train/B/1.png", "val/B/1.png"):
        picture(tmp_path / "own" / name)
    val = open_source(str(tmp_path / "own"), "val")
    assert [val.classes[label] for label in val.labels] == ["B"]


def test_figures_are_reported_on_test_if_there_is_one(folder, tmp_path):
    picture(tmp_path / "split" / "test" / "A" / "1.png")
    assert default_split("pen") == "test"
    assert default_split(str(folder)) == "all"
    assert default_split(str(tmp_path / "split")) == "test"


def test_sources_count_by_their_letters_or_their_shares(strokes_file, folder):
    train = len(open_source(str(folder), "train").labels)
    plain = open_sources([str(strokes_file), str(folder)], "train")
    assert plain.weights[:520].sum() == pytest.approx(520 / (520 + train))
    shared = open_sources([f"{strokes_file}@1", f"{folder}@3"], "train")
    assert shared.weights[:520].sum() == pytest.approx(0.25)
    assert shared.classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_sources_without_a_share_divide_the_rest(strokes_file, folder):
    mixed = open_sources(["pen@0.3", str(folder), str(strokes_file)], "train")
    own, strokes = (len(open_source(str(path), "train").labels) for path in (folder, strokes_file))
    assert mixed.shares == pytest.approx([0.3, 0.7 * own / (own + strokes), 0.7 * strokes / (own + strokes)])
    with pytest.raises(LettercastError, match="leave nothing for sources without one"):
        open_sources(["pen@1", str(folder)], "train")


def test_letters_are_named_with_their_shares_and_without_their_folders(tmp_path, monkeypatch):
    assert letters_of(["data/strokes.npz@0.9", "/home/me/mine@0.1"]) == "strokes.npz@0.9 + mine@0.1"
    assert letters_of(["mine/@0.1", "pen"]) == "mine@0.1 + pen"
    monkeypatch.chdir(tmp_path)
    assert letters_of(["."]) == tmp_path.name


def test_folder_that_was_trained_on_is_known_by_any_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert default_split("own/", letters_of(["own/@0.1", "pen@0.9"])) == "test"
    monkeypatch.chdir(folder)
    assert default_split(".", "own") == "test"


def test_single_source_may_have_a_share(strokes_file):
    assert len(open_sources([f"{strokes_file}@0.5"], "train").labels) == 520


def test_shares_of_nothing_are_refused(strokes_file):
    with pytest.raises(LettercastError, match="add up to nothing"):
        open_sources([f"{strokes_file}@0", "pen@0"], "train")


def test_validation_uses_the_sources_that_have_a_validation_split(strokes_file, strokes_arrays, tmp_path):
    only_train = tmp_path / "train.npz"
    np.savez(only_train, **strokes_arrays | {"split": np.zeros(1144)})
    assert len(open_validation([str(strokes_file), f"{only_train}@0.5"]).labels) == 104
    with pytest.raises(LettercastError, match="name some with --val"):
        open_validation([str(only_train)])


def test_folder_without_val_among_its_splits_leaves_validation_to_the_others(tmp_path):
    for name in ("train/A/1.png", "train/B/1.png", "test/A/1.png", "test/B/1.png"):
        picture(tmp_path / "own" / name)
    assert open_validation([str(tmp_path / "own"), "pen"]).name == "pen"
    with pytest.raises(LettercastError, match="no letters to validate on; name some with --val"):
        open_validation([str(tmp_path / "own")])


def test_empty_split_names_alternatives(strokes_arrays, tmp_path):
    np.savez(tmp_path / "s.npz", **strokes_arrays | {"split": np.zeros(1144)})
    with pytest.raises(LettercastError, match="no letters in split 'test'"):
        open_source(str(tmp_path / "s.npz"), "test")


def test_real_phone_images_keep_their_splits(shared):
    assert len(open_source(str(shared / "phone_crops"), "val").labels) == 446


def test_held_out_split_is_never_the_one_of_calibration(tmp_path):
    for name in ("own/train", "own/val", "plain/A"):
        (tmp_path / name).mkdir(parents=True)
    assert held_out_split("pen") == "test"
    assert held_out_split(str(tmp_path / "own")) == "val"
    assert held_out_split(str(tmp_path / "plain")) == "test"


@pytest.fixture
def emnist_folder(tmp_path):
    """A folder of 60 training and 12 test letters like EMNIST's; every image is a transposed stem."""
    folder = tmp_path / "gzip"
    folder.mkdir()
    for part, count in {"train": 60, "test": 12}.items():
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 14, 4:24] = 255
        for kind, array in {"images-idx3": images, "labels-idx1": (np.arange(count) % 26 + 1).astype(np.uint8)}.items():
            data = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
            (folder / f"emnist-letters-{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))
    return folder


def test_folder_of_emnist_files_has_the_splits_of_emnist(emnist_folder):
    sizes = {split: len(open_source(str(emnist_folder), split).labels) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 50, "val": 10, "test": 12, "all": 72}
    source = open_source(str(emnist_folder), "test")
    assert source.name == "emnist-letters"
    np.testing.assert_array_equal(np.flatnonzero(source.image(0, None).any(axis=1)), np.arange(2, 26))
    assert len(open_validation([str(emnist_folder)]).labels) == 10


def test_figures_of_emnist_are_reported_on_its_test_letters(emnist_folder):
    assert default_split("emnist") == held_out_split("emnist") == "test"
    assert default_split(str(emnist_folder)) == held_out_split(str(emnist_folder)) == "test"
    for path in emnist_folder.glob("*-test-*"):
        path.unlink()
    assert default_split(str(emnist_folder)) == held_out_split(str(emnist_folder)) == "val"


def test_digits_of_scikit_learn_are_split_by_the_people_who_wrote_them():
    sizes = {split: len(open_source("sklearn-digits", split).labels) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 1287, "val": 258, "test": 252, "all": 1797}
    test = open_source("sklearn-digits", "test")
    # Everybody filled in the same form, so that each part begins with its first digits.
    assert test.labels[:12].tolist() == open_source("sklearn-digits", "val").labels[:12].tolist() == [*range(10), 0, 1]
    assert test.classes == tuple("0123456789")
    assert test.image(0, None).shape == test.image(0, np.random.default_rng(0)).shape == (28, 28)
    mixed = open_sources(["sklearn-digits@0.2", "pen@0.8"], "train")
    assert mixed.classes == (*"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_named_source_is_not_mistaken_for_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pen", "emnist", "sklearn-digits"):
        picture(tmp_path / name / "val" / "A" / "1.png")
        assert default_split(name) == held_out_split(name) == "test"
        assert default_split(f"./{name}") == held_out_split(f"./{name}") == "val"
        assert len(open_source(f"./{name}", "val").labels) == 1
    assert len(open_source("pen", "val").labels) == 2600


def test_pen_keeps_its_test_letters_beside_a_folder_called_pen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "pen" / "A" / "1.png")
    assert (default_split("pen"), default_split("./pen")) == ("test", "all")


def test_emnist_without_a_network_names_the_manual_way(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with socket.socket() as nobody:
        # Bound, but nobody listens: a proxy that lets nothing through.
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(LettercastError, match=r"nist.gov.*/gzip.zip: no connection .*by hand, .*--data gzip/"):
            open_sources(["emnist@0.5"], "test")


def test_row_number_decides_the_split_of_a_csv(tmp_path):
    path = tmp_path / "letters.CSV"
    labels = np.arange(200) % 26
    bars = np.zeros((200, 28, 28), np.uint8)
    bars[:, 4:24, 12:16] = 255
    np.savetxt(path, np.column_stack([labels, bars.reshape(200, -1)]), "%d", ",")
    split = hashed_split(range(200), labels)
    for number, name in enumerate(("train", "val", "test")):
        source = open_source(str(path), name)
        np.testing.assert_array_equal(source.labels, labels[split == number])
    whole = open_source(str(path), "all")
    assert (whole.name, len(whole.labels)) == ("letters.CSV", 200)
    np.testing.assert_array_equal(whole.inks[7], bars[7])
    assert (default_split(str(path)), held_out_split(str(path))) == ("all", "test")
    assert default_split(str(path), "pen@0.5 + letters.CSV@0.5") == "test"


@pytest.mark.parametrize(("name", "said"), [("none.csv", "no such data source"), ("notes.txt", "not a readable data source")])
def test_invalid_source_lists_the_valid_ones(tmp_path, name, said):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        LettercastError, match=rf"{name}: {said}.*; --data takes pen, emnist, sklearn-digits, .*\.npz .*\.csv, .* of idx files"
    ):
        open_source(str(tmp_path / name), "train")


def false_npz(path, *, shape: str = "(2, 28, 28)", flag: int = 0, method: int = 0) -> None:
    """Write a `.npz` whose headers claim a shape, an encryption or a compression."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", content)
    raw = bytearray(path.read_bytes())
    # Flags and method stand behind the signatures of the entry and of the directory.
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = raw.index(signature) + at
        raw[start : start + 4] = struct.pack("<HH", flag, method)
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "lie",
    [{"shape": "(1000000000, 1000, 1000)"}, {"shape": "(2, 28, 28"}, {"flag": 1}, {"method": 99}],
    ids=["more than memory holds", "a broken header", "encrypted", "an unknown compression"],
)
def test_npz_with_a_false_header_is_refused(tmp_path, lie):
    false_npz(tmp_path / "false.npz", **lie)
    with pytest.raises(LettercastError, match=r"false.npz: not a readable .npz"):
        open_source(str(tmp_path / "false.npz"), "train")


def test_split_that_is_not_a_number_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", image=np.zeros((2, 28, 28), np.uint8), label=[0, 1], split=["train", "some"])
    with pytest.raises(LettercastError, match="'split' must have 0, 1 or 2 for each label"):
        open_source(str(tmp_path / "p.npz"), "train")


def write_pictures(folder, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        picture = np.full((40, 40), 240, np.uint8)
        cv2.line(picture, (20, 5), (20, 35), 20, 4)
        cv2.imwrite(str(folder / f"{number}.png"), picture)


def test_ten_images_per_class_are_enough_to_train_on(tmp_path):
    for name in "ABC":
        write_pictures(tmp_path / name, 10)
    source = open_folder(tmp_path, "train")
    assert source.classes == ("A", "B", "C")
    assert min(np.bincount(source.labels, minlength=3)) >= 5


def test_class_folder_without_a_image_is_named(tmp_path):
    write_pictures(tmp_path / "A", 3)
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "notes.txt").write_text("no image")
    with pytest.raises(LettercastError, match=r"B: a class folder without an image: only 1 .txt file; add some, or remove it"):
        open_folder(tmp_path, "train")


def test_class_whose_images_are_all_held_out_is_named(tmp_path):
    write_pictures(tmp_path / "A", 10)
    # Of eighty classes of two images, some fall to validation or test with both; an only image is always for training.
    for number in range(80):
        write_pictures(tmp_path / f"class{number}", 2)
    with pytest.raises(
        LettercastError, match=r"class 'class\d+' has 2 image\(s\), all held out for val or test by their names; add"
    ):
        open_folder(tmp_path, "train")


def test_hidden_files_are_not_images(tmp_path):
    for name in "AB":
        write_pictures(tmp_path / name, 10)
        (tmp_path / name / "._0.png").write_bytes(b"what macOS leaves on other disks")
    assert len(open_folder(tmp_path, "all").labels) == 20


def test_hidden_folders_are_not_classes(tmp_path):
    write_pictures(tmp_path / "A", 10)
    write_pictures(tmp_path / "B", 10)
    (tmp_path / ".cache").mkdir()
    assert open_folder(tmp_path, "all").classes == ("A", "B")


def test_splits_of_a_folder_are_listed_in_order(tmp_path):
    for name in ("val", "train", "A"):
        (tmp_path / name).mkdir()
    assert split_folders(tmp_path) == ["train", "val"]


def test_folders_of_both_cases_are_classes_of_their_own_for_a_model_of_images(tmp_path):
    for name in ("A", "B", "a", "b"):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "one" / name.lower()).mkdir(parents=True, exist_ok=True)
        for i in range(2):
            image = np.full((30, 30), 255, np.uint8)
            cv2.line(image, (5, 5), (20 + i, 25), 0, 3)
            cv2.imwrite(str(tmp_path / "both" / name / f"{i}.png"), image)
            cv2.imwrite(str(tmp_path / "one" / name.lower() / f"{i}.png"), image)
    assert open_source(tmp_path / "both", "all", (8, 8, 1)).classes == ("A", "B", "a", "b")
    assert open_source(tmp_path / "one", "all", (8, 8, 1)).classes == ("A", "B")
    assert open_source(tmp_path / "both", "all").classes == ("A", "B")
