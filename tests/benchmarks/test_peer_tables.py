"""What peers made of the same pictures, as tables."""

import io

import pytest
from rich.console import Console

from lettercast.benchmarks.pages.scoring import PageResult, PagesResult
from lettercast.benchmarks.parity.measure import Latency
from lettercast.benchmarks.peers.engines import EngineRow
from lettercast.benchmarks.peers.ocr import AS_IT_COMES
from lettercast.benchmarks.peers.run import LetterRow, PageRow, peer_engines_table, peer_letters_table, peer_pages_table

ABSENT = {"rapidocr": "not installed: pip install 'lettercast[peers]'"}


def printed(table) -> str:
    """Return a table as a terminal shows it."""
    out = io.StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def lines(table) -> dict[str, list[str]]:
    """Return the cells of each line by its first cell."""
    rows = ([cell.strip() for cell in line.strip("│").split("│")] for line in printed(table).splitlines() if "│" in line)
    return {first: rest for first, *rest in rows}


def page_row(peer: str, errors: int, ms: float) -> PageRow:
    """Return the row of a reader that errs so often on one page of ten letters."""
    page = PageResult("page", "ABCDEFGHIJ", "", errors, ms)
    return PageRow(peer, AS_IT_COMES, PagesResult(peer, (page,)), 0.5)


def test_others_are_multiples_of_the_first_and_the_absent_have_a_line():
    table = peer_pages_table("cards", [page_row("ours", 1, 2.0), page_row("other", 5, 90.0)], ABSENT)
    shown = lines(table)
    assert shown["ours"] == [AS_IT_COMES, "10.0", "1.0 x", "2.0", "1.0 x", "0.5"]
    assert shown["other"] == [AS_IT_COMES, "50.0", "5.0 x", "90.0", "45.0 x", "0.5"]
    assert shown["rapidocr"][0] == "not installed"
    assert "rapidocr: not installed: pip install 'lettercast[peers]'" in printed(table)


def test_there_is_no_multiple_of_no_error():
    shown = lines(peer_pages_table("cards", [page_row("ours", 0, 2.0), page_row("other", 5, 90.0)], {}))
    assert shown["other"][:3] == [AS_IT_COMES, "50.0", "-"]


def test_letters_have_their_errors_and_times():
    rows = [
        LetterRow(name, AS_IT_COMES, 50, wrong, Latency(p50, 1, 1, 50)) for name, wrong, p50 in (("a", 2, 0.5), ("b", 9, 5.0))
    ]
    assert lines(peer_letters_table("pen", rows, ABSENT))["b"] == [AS_IT_COMES, "18.0", "4.5 x", "5.000", "10.0 x"]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (
            EngineRow("m", "e 1", Latency(0.25, 1, 1, 9), Latency(3.5, 4, 4, 9), 99.5, 1e-3),
            ["e 1", "0.250", "3.500", "99.50", "1.0e-03"],
        ),
        (EngineRow("m", "e", missing="not installed: pip install 'e[f]'"), ["e", "-", "-", "-", "-"]),
    ],
)
def test_engines_have_their_figures_or_dashes(row, cells):
    table = peer_engines_table([row])
    assert lines(table)["m"] == cells
    assert row.missing in printed(table)
