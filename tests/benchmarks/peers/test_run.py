"""Readers of text on the same pages and letters, and the command that compares them."""

import io
import json
import shutil
import sys
from functools import partial

import numpy as np
import pytest
from rich.console import Console

from lettercast import LettercastError
from lettercast.benchmarks.parity.measure import Latency
from lettercast.benchmarks.peers import run
from lettercast.benchmarks.peers.engines import EngineRow, compare_engines
from lettercast.benchmarks.peers.ocr import AS_IT_COMES, PEER_PACKAGES, Peer, open_peers
from lettercast.benchmarks.peers.run import (
    GENERATED,
    LetterRow,
    NamedPage,
    PageRow,
    compare_letters,
    compare_pages,
    generated_pages,
    lettercast_peer,
    main,
    page_sets,
    peer_engines_table,
    peer_letters_table,
    peer_pages_table,
    some_letters,
)
from lettercast.runtime.arguments import device_model
from lettercast.runtime.glyph import GLYPH_SHAPE, glyph
from lettercast.runtime.sources.images import read_image
from lettercast.train.data.open import open_source, open_sources
from lettercast.train.pages import PageResult, PagesResult, plain, read_labels


@pytest.fixture(scope="module")
def generated():
    return generated_pages()


@pytest.fixture
def alone(monkeypatch, generated):
    """Hide all installed peers, and shorten the run to two generated pages and a short timing of engines."""
    monkeypatch.setattr(run, "generated_pages", lambda: generated[:2])
    monkeypatch.setattr(run, "compare_engines", partial(compare_engines, seconds=0.01))
    monkeypatch.setenv("PATH", "")
    for module in ("tesserocr", "rapidocr", "rapidocr_onnxruntime", "openvino", "ncnn"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def models(exported, tmp_path):
    """A folder with one model in float32 and int8."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("onnx-float32", "onnx-int8", "tflite-int8"):
        shutil.copy(exported[name], folder)
    return folder


def test_without_peers_the_command_says_what_to_install_and_measures_the_rest(alone, models, page_file, tmp_path, capsys):
    (page_file.parent / "labels.csv").write_text(f"file,text\n{page_file.name},ABC|DEF\n")
    out = tmp_path / "peers.json"
    words = [str(page_file.parent), "--models", str(models), "--model", "letters-nano", "--rounds", "1", "--json", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("not installed: ") >= 3 * len(PEER_PACKAGES)
    assert "apt install tesseract-ocr" in shown
    assert "pip install 'lettercast[peers]'" in shown
    figures = json.loads(out.read_text())
    assert set(figures["absent"]) == {package.name for package in PEER_PACKAGES}
    assert [len(rows) for rows in figures["pages"].values()] == [1, 1, 1]
    assert figures["pages"][page_file.parent.name][0]["cer"] == 0
    assert figures["letters"]["pen, test"][0]["error"] < 0.2
    assert [row["missing"] == "" for row in figures["engines"]] == [True, True, True, False, False, False, False]


def test_a_missing_folder_of_pages_is_refused_in_one_line(models, tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), "--models", str(models)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupted_run_keeps_its_results(alone, models, monkeypatch, capsys, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lettercast.benchmarks.peers.run.compare_letters", interrupt)
    out = tmp_path / "peers.json"
    assert main(["--models", str(models), "--rounds", "1", "--json", str(out)]) == 130
    figures = json.loads(out.read_text())
    assert figures["interrupted"]
    assert set(figures["pages"]) == {"example page", "generated pages"}
    assert figures["engines"] == []
    assert "generated pages" in capsys.readouterr().out


def test_without_a_folder_the_example_and_the_generated_pages_are_read(generated, monkeypatch):
    monkeypatch.setattr(run, "generated_pages", lambda: generated)
    sets = page_sets(None)
    assert list(sets) == ["example page", "generated pages"]
    assert [page.name for page in sets["generated pages"]] == [condition for condition, _ in GENERATED]
    assert all(plain(page.text).isalpha() for pages in sets.values() for page in pages)


def test_generated_pages_are_the_same_every_time(generated):
    assert all(np.array_equal(a.image, b.image) for a, b in zip(generated, generated_pages(), strict=True))


def test_a_folder_of_pages_or_its_label_file_comes_first(page_file, generated, monkeypatch):
    monkeypatch.setattr(run, "generated_pages", lambda: generated)
    labels = page_file.parent / "labels.csv"
    labels.write_text(f"file,text\n{page_file.name},ABC|DEF\n")
    for given in (page_file.parent, labels):
        name, (page,) = next(iter(page_sets(given).items()))
        assert (name, page.text) == (page_file.parent.name, "ABC|DEF")


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(LettercastError, match="file and text"):
        page_sets(tmp_path)


def test_letters_have_their_full_size_and_their_right_names(strokes_file):
    for spec in ("pen", str(strokes_file)):
        source = open_source(spec, "test")
        inks, truth = some_letters(source, 30)
        assert len(inks) == len(truth) == 30
        assert all(max(ink.shape) > GLYPH_SHAPE[0] for ink in inks)
        images = (source.image(i, None) for i in range(len(source.labels)))
        found = next(i for i, one in enumerate(images) if np.array_equal(one, glyph(inks[0])))
        assert source.classes[source.labels[found]] == truth[0]


def test_all_letters_are_taken_if_there_are_fewer_than_asked(strokes_file):
    assert len(some_letters(open_source(str(strokes_file), "val"), 10_000)[0]) == 104


def test_several_sources_in_one_are_refused(strokes_file):
    with pytest.raises(LettercastError, match="each source separately"):
        some_letters(open_sources(["pen", str(strokes_file)], "test"), 3)


BASE = device_model("letters-base")
CARDS = ("2024_frame_3.jpg", "2024_frame_12.jpg", "2025_frame_7.jpg")


def silent(said: str) -> None:
    """Report nothing."""


def test_a_reader_of_nothing_misses_every_letter_and_ours_none(draw_page):
    page = NamedPage("page", "ABC|DEF", draw_page("ABC", "DEF")[0])
    ours, mute = compare_pages([lettercast_peer(BASE), Peer("mute", AS_IT_COMES, lambda _: "")], [page, page], 2, silent)
    assert (ours.pages.cer, mute.pages.cer) == (0, 1)
    assert ours.pages.pages[0].read == "ABC|DEF"
    assert ours.ms > mute.ms >= 0
    assert ours.empty_ms > mute.empty_ms


def test_every_reader_reads_every_page_and_a_white_one_in_every_round():
    seen = []
    peers = [Peer(name, AS_IT_COMES, lambda page, name=name: seen.append((name, int(page[0, 0, 0]))) or "") for name in "ab"]
    pages = [NamedPage(str(shade), "A", np.full((4, 4, 3), shade, np.uint8)) for shade in (1, 2)]
    compare_pages(peers, pages, 2, silent)
    assert seen == 2 * [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("a", 255), ("b", 255)]


def test_only_the_first_letter_counts_and_readers_of_pages_only_have_no_row():
    inks, truth = some_letters(open_source("pen", "test"), 52)
    peers = [
        lettercast_peer(BASE),
        Peer("pages only", AS_IT_COMES, lambda _: ""),
        Peer("always E", AS_IT_COMES, lambda _: "", lambda _: "EX"),
    ]
    ours, stuck = compare_letters(peers, inks, truth)
    assert (ours.letters, stuck.letters, stuck.peer) == (52, 52, "always E")
    assert stuck.wrong == 52 - truth.count("E")
    assert ours.error < 0.15


def test_on_real_cards_ours_has_fewer_errors_than_any_peer_with_defaults(shared):
    others = [peer for peer in open_peers()[0] if peer.setting == AS_IT_COMES]
    if not others:
        pytest.skip("no peer is installed: pip install 'lettercast[peers]'; apt install tesseract-ocr")
    folder = shared / "cards"
    pages = [
        NamedPage(file, text, read_image(folder / file)) for file, text in read_labels(folder / "labels.csv") if file in CARDS
    ]
    ours, *rest = compare_pages([lettercast_peer(BASE), *others], pages, 1, silent)
    assert len(pages) == len(CARDS)
    assert all(ours.pages.cer < row.pages.cer for row in rest)


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
    """Return the row of a reader with `errors` errors on one page of ten letters."""
    page = PageResult("page", "ABCDEFGHIJ", "", errors, ms)
    return PageRow(peer, AS_IT_COMES, PagesResult(peer, (page,)), 0.5)


def test_other_readers_are_multiples_of_the_first_and_missing_ones_have_a_line():
    table = peer_pages_table("cards", [page_row("ours", 1, 2.0), page_row("other", 5, 90.0)], ABSENT)
    shown = lines(table)
    assert shown["ours"] == [AS_IT_COMES, "10.0", "1.0 x", "2.0", "1.0 x", "0.5"]
    assert shown["other"] == [AS_IT_COMES, "50.0", "5.0 x", "90.0", "45.0 x", "0.5"]
    assert shown["rapidocr"][0] == "not installed"
    assert "rapidocr: not installed: pip install 'lettercast[peers]'" in printed(table)


def test_a_multiple_of_zero_errors_is_a_dash():
    shown = lines(peer_pages_table("cards", [page_row("ours", 0, 2.0), page_row("other", 5, 90.0)], {}))
    assert shown["other"][:3] == [AS_IT_COMES, "50.0", "-"]


def test_the_table_of_letters_has_errors_and_times():
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
def test_the_table_of_engines_has_figures_or_dashes(row, cells):
    table = peer_engines_table([row])
    assert lines(table)["m"] == cells
    assert row.missing in printed(table)
