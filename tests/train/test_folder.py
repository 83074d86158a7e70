"""Folders of pictures; how splits and names come out is tested with the other sources."""

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.open import open_folder, split_folders


def write_pictures(folder, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        picture = np.full((40, 40), 240, np.uint8)
        cv2.line(picture, (20, 5), (20, 35), 20, 4)
        cv2.imwrite(str(folder / f"{number}.png"), picture)


def test_ten_pictures_a_class_are_enough_to_train_on(tmp_path):
    for name in "ABC":
        write_pictures(tmp_path / name, 10)
    source = open_folder(tmp_path, "train")
    assert source.classes == ("A", "B", "C")
    assert min(np.bincount(source.labels, minlength=3)) >= 5


def test_a_class_folder_without_a_picture_is_named(tmp_path):
    write_pictures(tmp_path / "A", 3)
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "notes.txt").write_text("no picture")
    with pytest.raises(LettercastError, match=r"B: a class folder without a picture; add some, or remove the folder"):
        open_folder(tmp_path, "train")


def test_a_class_whose_pictures_are_all_held_out_is_named(tmp_path):
    write_pictures(tmp_path / "A", 10)
    # Of a hundred classes of one picture some fall to validation or test.
    for number in range(60):
        write_pictures(tmp_path / f"class{number}", 1)
    with pytest.raises(
        LettercastError, match=r"class 'class\d+' has 1 picture\(s\), and a tenth each is held out by file name; add"
    ):
        open_folder(tmp_path, "train")


def test_hidden_files_are_no_pictures(tmp_path):
    for name in "AB":
        write_pictures(tmp_path / name, 10)
        (tmp_path / name / "._0.png").write_bytes(b"what macOS leaves on other disks")
    assert len(open_folder(tmp_path, "all").labels) == 20


def test_hidden_folders_are_no_classes(tmp_path):
    write_pictures(tmp_path / "A", 10)
    write_pictures(tmp_path / "B", 10)
    (tmp_path / ".cache").mkdir()
    assert open_folder(tmp_path, "all").classes == ("A", "B")


def test_the_splits_a_folder_has_are_named_in_their_order(tmp_path):
    for name in ("val", "train", "A"):
        (tmp_path / name).mkdir()
    assert split_folders(tmp_path) == ["train", "val"]
