"""What was measured of the reader as tables for a person."""

from lettercast.benchmarks.pages.blank import Blank, blank_table
from lettercast.benchmarks.pages.conditions import Cell, Conditions, conditions_table
from lettercast.benchmarks.pages.scoring import PageResult, PagesResult, Score, pages_table


def test_pages_show_only_what_was_misread(printed):
    pages = (PageResult("good.png", "AB", "AB", 0, 3.0), PageResult("bad.png", "CD", "CO", 1, 5.0))
    text = printed(pages_table(PagesResult("m", pages)))
    assert "25.00 %" in text
    assert "bad.png" in text
    assert "good.png" not in text


def test_conditions_show_what_each_costs_against_the_plain_page(printed):
    def cell(condition, strength, *errors):
        return Cell(condition, strength, tuple(Score(20, wrong, 0, wrong, 0, 4, 3, 0) for wrong in errors))

    cells = (cell("plain", "", 1, 3), cell("dim light", "mild", 1, 3), cell("dim light", "moderate", 5, 7))
    text = printed(conditions_table(Conditions("m", "pen", "val", 0, 0.05, cells)))
    mild, moderate = (line for line in text.splitlines() if "mild" in line or "moderate" in line)
    assert "dim light" in mild and "dim light" not in moderate
    assert "+0.0 ±0.0" in mild and "+20.0 ±0.0" in moderate
    assert "30.0" in moderate and "75" in moderate
    assert "errs on 5.0 %" in text


def test_frames_without_letters_show_the_share_on_which_nothing_was_said(printed):
    text = printed(blank_table(Blank("m", 0, {"wood": (0, 0), "room": (0, 7)})))
    assert "75.0 %" in text
    wood, room = (line.split() for line in text.splitlines() if "wood" in line or "room" in line)
    assert (wood[3], room[3]) == ("100", "50")
    assert room[-2] == "7"
