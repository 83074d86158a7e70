"""The commands `sheet` and `learn`."""

import subprocess

import cv2
import numpy as np
import pytest

from lettercast import MISSED, LettercastError
from lettercast.runtime.files import write_bytes
from lettercast.runtime.hand.file import load_hand
from lettercast.runtime.sheet import folder
from lettercast.runtime.sheet.layout import LETTERS, sheet_pages
from lettercast.train.data.folder import open_folder

VERSIONS = ("4.6.0.66", "4.10.0.84", "4.13.0.92")
# Without our own packages: Rich is not installed there.
FIND = """
import sys
import cv2
from lettercast.runtime.sheet import folder
from lettercast.runtime.sheet.layout import sheet_pages
from lettercast.runtime.sheet.marks import find_marks, mark_modules
page = sheet_pages()[0]
marks = [cv2.resize(mark_modules(number), (70, 70), interpolation=cv2.INTER_NEAREST) for number in page.mark_ids]
bordered = [cv2.copyMakeBorder(mark, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=255) for mark in marks]
ids, corners = find_marks(cv2.hconcat(bordered))
assert sorted(ids) == sorted(page.mark_ids), ids
"""


@pytest.fixture
def hands(tmp_path, monkeypatch):
    """The folder of this user's hands."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "lettercast" / "hands"


def test_a_sheet_is_written_and_not_replaced_by_mistake(lettercast, tmp_path):
    code, out, err = lettercast("sheet", tmp_path / "my.pdf")
    assert (code, err) == (0, "") and "1 page, 52 labels, 3 boxes each" in out
    before = (tmp_path / "my.pdf").read_bytes()
    assert before.startswith(b"%PDF-1.4")
    code, _, err = lettercast("sheet", tmp_path / "my.pdf", "--paper", "letter")
    assert code == 2 and "my.pdf" in err and (tmp_path / "my.pdf").read_bytes() == before
    assert lettercast("sheet", tmp_path / "my.pdf", "--paper", "letter", "--overwrite")[0] == 0
    assert (tmp_path / "my.pdf").read_bytes() != before


def test_a_sheet_of_other_labels_has_as_many_pages_as_they_need(lettercast, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(f"sign {i}" for i in range(60)))
    code, out, _ = lettercast("sheet", tmp_path / "signs.pdf", "--labels", tmp_path / "labels.txt")
    assert code == 0 and "2 pages, 60 labels" in out


def test_a_sheet_for_a_model_has_its_classes_and_small_letters(lettercast, tmp_path):
    code, out, _ = lettercast("sheet", tmp_path / "my.pdf", "--labels", "letters-digits")
    assert code == 0 and "2 pages, 62 labels" in out
    code, out, _ = lettercast("sheet", tmp_path / "both.pdf", "--labels", "letters-nano")
    assert code == 0 and "1 page, 52 labels" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["my.png"], "ends in .pdf"), (["my.pdf", "--labels", "a/b,c"], "a/b")],
)
def test_a_sheet_that_cannot_be_is_refused_in_one_line(refused, tmp_path, words, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused("sheet", *words)


def test_learning_writes_letters_a_contact_sheet_and_a_hand(lettercast, tmp_path, taken, hands, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = lettercast("learn", taken.path, "--name", "mine")
    images = list((tmp_path / "mine").glob("*/*.png"))
    assert f"{len(images)} letters" in out
    assert {path.parent.name for path in images} <= set(LETTERS) and len(images) > 130
    assert "page 1 of 1" in out
    height, width = cv2.imread(str(tmp_path / "mine.png")).shape[:2]
    assert height > width > 800
    if code == MISSED:
        assert "lettercast train --data mine --init letters-base" in out
        assert "there is no hand, because" in err and not (hands / "mine.hand").exists()
    else:
        assert code == 0
        assert load_hand(hands / "mine.hand").figures.letters == len(images)


def test_a_model_that_lacks_the_labels_learns_no_hand(lettercast, tmp_path, take, hands):
    sheet = take(sheet_pages("0123456789")[0], empty=0.0, crossed=0.0)
    cv2.imwrite(str(tmp_path / "digits.png"), sheet.image)
    words = ("--name", "mine", "--labels", "0,1,2,3,4,5,6,7,8,9", "--out", tmp_path / "letters")
    code, out, err = lettercast("learn", tmp_path / "digits.png", *words)
    assert code == MISSED and "30 letters" in out
    assert "knows no class '0'" in err and "no hand is learned" in err and not hands.exists()
    assert sorted(path.name for path in (tmp_path / "letters").iterdir()) == list("0123456789")


def test_a_model_of_other_images_is_refused(refused, taken, digits_tflite, hands):
    assert "give --model a model of letters" in refused("learn", taken.path, "--name", "mine", "--model", digits_tflite)


def test_the_letters_are_a_source_to_train_on(lettercast, tmp_path, taken, hands):
    lettercast("learn", taken.path, "--name", "mine", "--out", tmp_path / "letters")
    source = open_folder(tmp_path / "letters", "all")
    assert source.classes == tuple(LETTERS[:26])
    assert len(source.labels) == len(list((tmp_path / "letters").glob("*/*.png")))


def test_photographs_without_a_sheet_are_refused(refused, tmp_path, taken, page_file, hands):
    cv2.imwrite(str(tmp_path / "white.png"), np.full((300, 400), 255, np.uint8))
    for photo in (tmp_path / "white.png", page_file):
        said = refused("learn", photo, "--name", "mine", "--out", tmp_path / "letters")
        assert photo.name in said and "shows no sheet" in said
    assert "white.png" in refused("learn", taken.path, tmp_path / "white.png", "--name", "mine", "--out", tmp_path / "letters")
    assert "No such file" in refused("learn", tmp_path / "none.jpg", "--name", "mine", "--out", tmp_path / "letters")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "full: exists already" in refused("learn", taken.path, "--name", "mine", "--out", tmp_path / "full")
    (tmp_path / "letters.png").write_text("mine")
    for place in (".", "/"):
        assert f"lettercast: {place}: the letters need a folder of their own" in refused(
            "learn", taken.path, "--name", "mine", "--out", place
        )
    (tmp_path / "file").touch()
    said = refused("learn", taken.path, "--name", "mine", "--out", tmp_path / "file" / "letters")
    assert f"{tmp_path / 'file' / 'letters'}: Not a directory" in said
    assert "letters.png: exists already" in refused("learn", taken.path, "--name", "mine", "--out", tmp_path / "letters")


def test_a_full_disk_leaves_no_half_folder(refused, tmp_path, taken, hands, monkeypatch):
    written = []

    def fail_later(path, data):
        written.append(path)
        if len(written) > 20:
            raise LettercastError(f"{path}: No space left on device")
        write_bytes(path, data)

    monkeypatch.setattr(folder, "write_bytes", fail_later)
    assert "No space left" in refused("learn", taken.path, "--name", "mine", "--out", tmp_path / "letters")
    assert len(written) == 21


@pytest.mark.parametrize("version", VERSIONS)
def test_marks_are_found_by_every_opencv_that_devices_have(root, tmp_path, version):
    python = root / ".venv-opencv" / version / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no .venv-opencv here: make .venv-opencv/{version}/.ready")
    (tmp_path / "lettercast").symlink_to(root)
    done = subprocess.run([python, "-c", FIND], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    if version.startswith("4.6"):
        # PyPI's 4.6 has no ArUco, and Debian's has.
        assert "LettercastError: this OpenCV has no ArUco marks" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_a_folder_is_no_sheet_even_to_overwrite(refused, tmp_path):
    for words in ((), ("--overwrite",)):
        assert f"{tmp_path}: is a folder; name the PDF to write in it" in refused("sheet", tmp_path, *words)
