"""Photographs of filled-in sheets become letters, and what shows no whole sheet is refused."""

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.camera import Exposure
from lettercast.benchmarks.pages.filled_sheets import print_page
from lettercast.benchmarks.sheets import judge
from lettercast.runtime.arguments import device_model
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.page.ink import letter_only
from lettercast.runtime.sheet import layout
from lettercast.runtime.sheet.cut import CROSSED, EMPTY, LETTER
from lettercast.runtime.sheet.find import flatten
from lettercast.runtime.sheet.folder import on_white
from lettercast.runtime.sheet.layout import sheet_pages
from lettercast.runtime.sheet.photographs import read_sheet, read_sheets

SHARP = Exposure()


@pytest.fixture(scope="module")
def engine():
    return open_engine(device_model("letters-base"))


@pytest.fixture(scope="module")
def read(taken, engine):
    return read_sheets([taken.path], engine=engine)[0]


@pytest.fixture(scope="module")
def blank():
    """A page as it comes from a printer, (H, W) uint8."""
    return print_page(sheet_pages()[0], (840, 1188))


def test_letters_of_a_tilted_sheet_are_cut_out_whole_and_alone(taken, read):
    boxes = [one for one in zip(taken.sheet.boxes, read.cuts, taken.sheet.blurs, strict=True) if one[0].state == LETTER]
    assert len(boxes) > 130
    right = [judge(filled, cut, taken.sheet.pen, blur) for filled, cut, blur in boxes]
    assert np.mean(right) >= 0.98


def test_empty_boxes_are_left_out(taken, read):
    states = [cut.state for filled, cut in zip(taken.sheet.boxes, read.cuts, strict=True) if filled.state == EMPTY]
    assert states and set(states) == {EMPTY}


def test_letters_that_were_scribbled_over_are_left_out(taken, read):
    scribbled = [sum(map(len, filled.crossing)) > 3 for filled in taken.sheet.boxes]
    states = [cut.state for cut, is_out in zip(read.cuts, scribbled, strict=True) if is_out]
    assert len(states) >= 3
    assert states.count(CROSSED) >= 0.75 * len(states)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photograph_may_lie_on_its_side(taken, read, turns):
    turned = read_sheet(np.ascontiguousarray(np.rot90(taken.sheet.image, turns)), "turned")
    assert [cut.state != EMPTY for cut in turned.cuts] == [cut.state != EMPTY for cut in read.cuts]
    pairs = [(a.corner, b.corner) for a, b in zip(turned.cuts, read.cuts, strict=True) if LETTER == a.state == b.state]
    assert np.percentile([np.abs(np.subtract(*pair)).max() for pair in pairs], 95) < 0.4


def test_three_marks_are_enough_and_two_are_not(blank):
    covered = blank.copy()
    covered[:100, :100] = covered[1080:, 740:] = 128
    assert flatten(covered).marks == 3
    covered[1080:, :100] = 128
    with pytest.raises(LettercastError, match=r"shows (only 2 of|no sheet)"):
        flatten(covered)


def test_a_photograph_without_a_sheet_is_refused(draw_page):
    with pytest.raises(LettercastError, match="shows no sheet, none of its 5 marks"):
        flatten(draw_page("ABC", "DEF")[0])


def test_two_sheets_in_a_photograph_are_refused(blank):
    with pytest.raises(LettercastError, match="more than one sheet"):
        flatten(np.hstack([blank, blank]))
    other = print_page(sheet_pages(paper="letter")[0], (840, 1087))
    with pytest.raises(LettercastError, match="more than one sheet"):
        flatten(np.vstack([blank, other]))


def test_a_sheet_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(layout, "VERSION", 2)
    newer = print_page(sheet_pages()[0], (840, 1188))
    monkeypatch.undo()
    with pytest.raises(LettercastError, match="a sheet of version 2, and this lettercast reads version 1"):
        flatten(newer)


def test_a_photograph_from_too_far_is_refused(blank):
    far = np.full((1188, 1680), 200, np.uint8)
    far[200:694, 200:549] = cv2.resize(blank, (349, 494), interpolation=cv2.INTER_AREA)
    with pytest.raises(LettercastError, match=r"a box of the sheet is \d+ pixels wide, and 30 are needed|shows no sheet"):
        flatten(far)


def test_a_blurred_photograph_is_refused(blank):
    with pytest.raises(LettercastError, match=r"sharp"):
        flatten(cv2.GaussianBlur(blank, (0, 0), 5))


def test_labels_of_your_own_are_checked_against_the_sheet(blank):
    own = [f"sign {i}" for i in range(60)]
    first, second = (print_page(page, (840, 1188)) for page in sheet_pages(own))
    assert flatten(second, own).page.boxes[0].label == "sign 52"
    for image, labels, said in (
        (first, None, "give the same --labels"),
        (first, own[::-1], "of other labels"),
        (second, own[:50], "of other labels"),
        (blank, own, "leave --labels out"),
    ):
        with pytest.raises(LettercastError, match=said):
            flatten(image, labels)


def test_a_sheet_that_nobody_filled_in_is_refused(blank, tmp_path):
    cv2.imwrite(str(tmp_path / "blank.png"), blank)
    with pytest.raises(LettercastError, match="no box is filled in"):
        read_sheets([tmp_path / "blank.png"])


def test_a_sheet_that_was_photographed_twice_counts_once(taken, read, engine, tmp_path):
    hand = taken.sheet.image.copy()
    hand[700:, 500:] = 90
    cv2.imwrite(str(tmp_path / "hand.png"), hand)
    (page,) = read_sheets([tmp_path / "hand.png", taken.path], engine=engine)
    assert len(page.letters) >= len(read.letters) - 2


def test_two_sheets_of_one_writer_count_twice(take, taken, tmp_path):
    cv2.imwrite(str(tmp_path / "second.png"), take(sheet_pages()[0], seed=1, exposure=SHARP).image)
    assert [page.source for page in read_sheets([taken.path, tmp_path / "second.png"])] == [
        str(taken.path),
        str(tmp_path / "second.png"),
    ]


def test_training_sees_the_letters_of_the_folder_as_the_hand_does(read):
    differences = []
    for cut in read.letters:
        image = glyph(letter_only(on_white(cut.ink)))
        differences.append(np.abs(image.astype(int) - cut.glyph_image[..., 0]).mean())
    # A pixel of the longer side, at most.
    assert np.mean(differences) < 8 and np.max(differences) < 30
