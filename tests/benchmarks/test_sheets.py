"""The measurement of sheets counts what is cut out right, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lettercast import LettercastError
from lettercast.benchmarks import sheets
from lettercast.benchmarks.pages.filled_sheets import Filling, fill_in
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.benchmarks.sheets import able_hands, judge, main, run_sheets, sheets_table, true_ink
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.sheet.cut import CROSSED, EMPTY, LETTER, Cut
from lettercast.runtime.sheet.layout import sheet_pages
from lettercast.train.data.pen import load_pen

PEN, BLUR_MM = 0.08, 0.2


@pytest.fixture(scope="module")
def filled():
    """Letters in boxes, without paper and camera."""
    boxes = fill_in(sheet_pages()[0], PenHand(load_pen()), Filling(empty=0.0, crossed=0.0), np.random.default_rng(1))
    return [one for one in boxes if one.box.copy == 0]


def cut_of(one):
    ink, corner = true_ink(one, PEN, BLUR_MM)
    return Cut(one.box, LETTER, ink, corner)


def test_whole_letters_at_their_place_are_right_and_others_are_not(filled):
    cuts = [cut_of(one) for one in filled]
    assert all(judge(one, cut, PEN, BLUR_MM) for one, cut in zip(filled, cuts, strict=True))
    for one, cut, other in zip(filled, cuts, np.roll(np.arange(len(cuts)), 1), strict=True):
        moved = replace(cut, corner=(cut.corner[0] + 2.5, cut.corner[1]))
        half = replace(cut, ink=cut.ink[: len(cut.ink) // 2])
        wrong = replace(cuts[other], box=one.box)
        assert not any(judge(one, bad, PEN, BLUR_MM) for bad in (moved, half, wrong))
        assert not judge(one, replace(cut, state=EMPTY), PEN, BLUR_MM)


def test_what_is_not_to_be_learned_is_right_if_it_is_left_out(filled):
    one = filled[0]
    for state in (EMPTY, CROSSED):
        box = replace(one, state=state)
        assert not judge(box, cut_of(one), PEN, BLUR_MM)
        assert all(judge(box, replace(cut_of(one), state=out), PEN, BLUR_MM) for out in (EMPTY, CROSSED))


def test_a_photograph_is_measured_and_shown(monkeypatch):
    monkeypatch.setattr(sheets, "WIDTHS_PX", (1000,))
    result = run_sheets(open_engine(device_model("letters-nano")), "pen", "val", photos=1)
    (photo,) = result.photos
    assert photo.failure == "" and sum(photo.boxes.values()) == 156
    assert all(photo.right[state] <= count for state, count in photo.boxes.items())
    assert photo.right[LETTER] > 0.95 * photo.boxes[LETTER]
    assert result.right == sum(photo.right.values()) / 156
    console = Console(width=120, record=True)
    console.print(sheets_table(result))
    assert f"{photo.right[LETTER]} of {photo.boxes[LETTER]}" in console.export_text()


def test_writers_without_most_letters_fill_in_no_sheets(strokes_file, capsys):
    with pytest.raises(LettercastError, match="writer"):
        able_hands(str(strokes_file), "val")
    assert main(["--data", str(strokes_file), "--split", "val"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
