"""Frames without letters."""

import json

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.blank import KINDS, Blank, blank_frame, blank_frames, blank_table, main, run_blank
from lettercast.runtime import Reader

SMALL = ((640, 480), (320, 240))


@pytest.fixture(scope="module")
def frames():
    """One small frame of every kind."""
    return [blank_frame(number, 3, SMALL) for number in range(len(KINDS))]


def test_every_kind_has_its_turn(frames):
    assert [kind for kind, _ in frames] == list(KINDS)
    assert all(image.dtype == np.uint8 and image.ndim == 3 for _, image in frames)


def test_half_of_the_frames_are_small():
    last, first = (blank_frame(number)[1] for number in (len(KINDS) - 1, len(KINDS)))
    assert (last.shape[1], first.shape[1]) == (1280, 640)


def test_the_seed_decides_every_frame(frames):
    assert all((image == blank_frame(number, 3, SMALL)[1]).all() for number, (_, image) in enumerate(frames))
    assert any((image != blank_frame(number, 4, SMALL)[1]).any() for number, (_, image) in enumerate(frames))


def test_a_dark_frame_is_dark_and_rules_are_seen(frames):
    images = dict(frames)
    assert images["dark noise"].mean() < 30
    assert images["ruled paper"].std() > 1.0


def test_reported_letters_are_counted(draw_page):
    image, placed = draw_page("ABC", "DEF")
    white = np.full((480, 640, 3), 230, np.uint8)
    result = run_blank(Reader(), iter([("page", image), ("white", white), ("white", white)]))
    assert result.letters["white"] == (0, 0)
    assert result.letters["page"][0] == len(placed)
    assert result.silent == pytest.approx(2 / 3)


def test_the_share_is_of_all_frames():
    assert Blank("m", 0, {"a": (0, 0, 3), "b": (0,)}).silent == 0.75
    assert Blank("m", 0, {"a": (0, 4)}).to_dict()["kinds"]["a"] == {"silent": 0.5, "letters": [0, 4]}


def test_the_command_prints_writes_and_saves(tmp_path, capsys):
    assert main(["--frames", "3", "--json", str(tmp_path / "b.json"), "--save", str(tmp_path / "frames")]) == 0
    assert json.loads((tmp_path / "b.json").read_text())["kinds"].keys() == set(list(KINDS)[:3])
    saved = sorted((tmp_path / "frames").iterdir())
    assert len(saved) == 3
    assert (cv2.imread(str(saved[0])) == next(blank_frames(1))[1]).all()
    assert "blank paper" in capsys.readouterr().out


def test_the_table_shows_the_share_of_frames_without_reported_letters(printed):
    text = printed(blank_table(Blank("m", 0, {"wood": (0, 0), "room": (0, 7)})))
    assert "75.0 %" in text
    wood, room = (line.split() for line in text.splitlines() if "wood" in line or "room" in line)
    assert (wood[3], room[3]) == ("100", "50")
    assert room[-2] == "7"


@pytest.mark.parametrize("number", [19, 40, 104])
def test_squares_that_the_border_cuts_off_and_remnants_of_squares_are_no_letters(number: int):
    kind, image = blank_frame(number, 0)
    assert kind in ("squared paper", "dust")
    assert not Reader().read(image).letters
