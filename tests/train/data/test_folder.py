"""Class folders as users bring them: rare endings, unreadable images, nested folders, and other names of splits."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data.folder import open_folder, split_folders
from lettercast.train.data.open import default_split, held_out_split, open_source, open_sources, open_validation

SHAPE = (8, 8, 1)


def write(path: Path, level: int = 90, kind: str = "") -> Path:
    """Write a grey image of a kind, by default that of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(kind or path.suffix, np.full((8, 8), level, np.uint8))[1].tobytes())
    return path


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jfif", ".jpg"), (".JPG", ".jpg"), (".PnG", ".png"), (".jpe", ".jpg"), (".dib", ".bmp"), (".webp", ".webp"), ("", ".png")],
)
def test_every_ending_of_an_image_is_taken(suffix, kind, tmp_path, capsys):
    write(tmp_path / "cat" / f"a{suffix}", kind=kind)
    write(tmp_path / "dog" / "b.png")
    source = open_folder(tmp_path, "all", SHAPE)
    assert (source.classes, source.labels.tolist()) == (("cat", "dog"), [0, 1])
    assert not capsys.readouterr().err


def test_what_this_opencv_cannot_read_is_passed_over_and_counted(tmp_path, capsys):
    for name in ("cat/a.png", "dog/b.png"):
        write(tmp_path / name)
    for name in ("cat/1.HEIC", "dog/2.heic", "cat/notes.txt", "dog/3.avif"):
        (tmp_path / name).write_bytes(b"not what it says")
    (tmp_path / "cat" / "Thumbs.db").touch()
    (tmp_path / "cat" / "._a.png").touch()
    assert len(open_folder(tmp_path, "all", SHAPE).labels) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}: passed over 2 .heic files" in line
    assert "1 .txt file" in line and "1 .avif file" in line
    assert "cannot read .heic: convert them to JPEG or PNG (heif-convert" in line or "cannot read .avif: convert" in line
    # The other split of the same folder says nothing again.
    open_folder(tmp_path, "all", SHAPE)
    assert not capsys.readouterr().err


def test_a_gif_is_taken_where_opencv_reads_it(tmp_path, capsys):
    write(tmp_path / "dog" / "b.png")
    (tmp_path / "cat").mkdir()
    # The smallest GIF: one black pixel.
    smallest = "474946383961010001008000000000000000002c00000000010001000002024401003b"
    (tmp_path / "cat" / "a.gif").write_bytes(bytes.fromhex(smallest))
    if cv2.imread(str(tmp_path / "cat" / "a.gif")) is None:
        pytest.skip("this OpenCV reads no GIF")
    assert len(open_folder(tmp_path, "all", SHAPE).labels) == 2


def test_a_class_of_images_that_cannot_be_read_is_named_with_them(tmp_path):
    write(tmp_path / "dog" / "b.png")
    for number in range(3):
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / f"{number}.heic").write_bytes(b"x")
    with pytest.raises(LettercastError, match=r"cat: a class folder without an image: only 3 .heic files; convert.*heif-convert"):
        open_folder(tmp_path, "all", SHAPE)


def test_folders_within_a_class_belong_to_it(tmp_path):
    for name in ("cat/a.png", "cat/monday/b.png", "cat/monday/late/c.png", "dog/d.png"):
        write(tmp_path / name)
    assert open_folder(tmp_path, "all", SHAPE).labels.tolist() == [0, 0, 0, 1]


def test_splits_within_classes_and_a_folder_too_high_are_named(tmp_path):
    for name in ("in/cat/train/a.png", "in/cat/test/b.png", "in/dog/train/c.png", "high/data/cat/d.png", "high/data/dog/e.png"):
        write(tmp_path / name)
    with pytest.raises(LettercastError, match=r"in/cat: has the splits test, train within a class; put .*in/test/cat"):
        open_folder(tmp_path / "in", "all", SHAPE)
    with pytest.raises(LettercastError, match=rf"high: has one folder, data, .* give {tmp_path}/high/data"):
        open_folder(tmp_path / "high", "all", SHAPE)


def test_splits_have_the_names_that_people_give_them(tmp_path):
    for name in ("Training/cat/a.png", "Training/dog/b.png", "validation/cat/c.png", "validation/dog/d.png"):
        write(tmp_path / name)
    assert split_folders(tmp_path) == ["train", "val"]
    assert (default_split(tmp_path), held_out_split(tmp_path)) == ("val", "val")
    assert len(open_source(tmp_path, "val", SHAPE).labels) == 2
    with pytest.raises(LettercastError, match=rf"no split 'test'; it has train, val; .* give its folder: {tmp_path}/Training"):
        open_source(tmp_path, "test", SHAPE)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train/a.png", "bus/b.png", "car/c.png"):
        write(tmp_path / name)
    assert open_folder(tmp_path, "all", SHAPE).classes == ("bus", "car", "train")


def test_images_outside_of_class_folders_are_counted(tmp_path, capsys):
    for name in ("cat/a.png", "dog/b.png", "c.png", "d.png"):
        write(tmp_path / name)
    assert len(open_folder(tmp_path, "all", SHAPE).labels) == 2
    assert "passed over 2 .png files; put images into class folders" in capsys.readouterr().err


def test_accents_of_folder_names_are_the_same_on_every_system(tmp_path):
    names = ("caf\u00e9", "th\u00e9")
    for number in range(30):
        for name in names:
            write(tmp_path / "linux" / name / f"\u00e9{number}.png", number)
            write(tmp_path / "mac" / unicodedata.normalize("NFD", f"{name}/\u00e9{number}.png"), number)
    sources = [open_source(tmp_path / system, "train", SHAPE) for system in ("linux", "mac")]
    assert sources[0].classes == sources[1].classes == names
    # The same images fall into the same split.
    assert sorted(sources[0].images[:, 0, 0, 0]) == sorted(sources[1].images[:, 0, 0, 0])


def test_letters_in_both_cases_are_one_class_and_that_is_said(tmp_path, capsys):
    for name in "AaBb":
        write(tmp_path / name / "1.png")
    assert open_folder(tmp_path, "all").classes == ("A", "B")
    assert "folders such as A and a are one class, because letters are read without their case" in capsys.readouterr().err
    assert open_folder(tmp_path, "all", SHAPE).classes == ("A", "B", "a", "b")


def test_training_takes_all_of_a_folder_beside_other_validation_letters(tmp_path):
    for name in "AB":
        for number in range(20):
            write(tmp_path / "train" / name / f"{number}.png", number)
            write(tmp_path / "val" / name / f"{number}.png", 100 + number)
    train, val = tmp_path / "train", tmp_path / "val"
    assert len(open_sources([train], "train", [val]).labels) == 40
    assert len(open_validation([val], [train]).labels) == 40
    # One folder for both is split, and a share is no other folder.
    both = len(open_sources([f"{train}@0.5"], "train", [train]).labels)
    assert both + len(open_validation([train], [f"{train}@0.5"]).labels) < 40
    assert both == len(open_sources([train], "train").labels)


def test_every_class_of_a_folder_has_an_image_to_check_on_and_most_to_train_on(tmp_path):
    names = [f"class{number:02d}" for number in range(26)]
    for name in names:
        for number in range(12):
            write(tmp_path / name / f"{number}.png")
    parts = [open_folder(tmp_path, split, SHAPE) for split in ("train", "val", "test")]
    assert sum(len(part.labels) for part in parts) == 26 * 12
    assert set(parts[2].labels) == set(parts[0].labels) == set(range(26))
    assert np.bincount(parts[0].labels).min() >= 4
