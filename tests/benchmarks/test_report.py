"""The HTML report, its plots and its sections."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import jsonschema
import pytest

from lettercast import LettercastError
from lettercast.benchmarks import report as sections
from lettercast.benchmarks.parity.contender import Contender, open_contenders
from lettercast.benchmarks.report import (
    MAX_CLASS,
    MAX_LABEL,
    Section,
    accuracy_against_latency,
    bars,
    common_start,
    confusion_difference,
    html_page,
    limit_section,
    measure_section,
    peers_section,
    reader_section,
)
from lettercast.benchmarks.speed import limit
from lettercast.benchmarks.speed.growth import GrowthPlan
from lettercast.benchmarks.speed.limit import make_products
from lettercast.export.html import svg

VOID = {"meta", "br", "hr", "img", "link"}


class Structure(HTMLParser):
    """The open elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> str:
    """Return the text of a page, and check that every element is closed."""
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure.text


@pytest.fixture(scope="module")
def page(make_row, make_benchmark):
    """The page of an original and two exports."""
    moved = (("I", "I", -2), ("I", "L", 2))
    rows = make_row("keras", p50=50, speedup=1.0), make_row("tflite-int8", moved=moved), make_row("onnx-int8")
    return html_page(make_benchmark(*rows))


def test_the_page_has_all_figures_and_every_element_is_closed(page):
    text = read(page)
    for figure in ("1,000 letters of pen (the test split)", "m-int8.tflite", "95.00", "93.50..96.20", "99.90", "500 x", "43"):
        assert figure in text
    for section in ("Which file to take", "Accuracy against latency", "By format", "Changed predictions"):
        assert section in text


def test_the_page_carries_date_and_command_and_speaks_of_images(make_row, make_benchmark):
    result = make_benchmark(make_row("keras", p50=50), make_row("tflite-int8"), unit="images")
    text = read(html_page(replace(result, date="2026-11-28T02:18:34+00:00", command="lettercast benchmark 'my <dist>'")))
    assert "Measured on 2026-11-28, 02:18:34 UTC" in text
    assert "lettercast benchmark 'my <dist>'" in text
    assert "one image, p50 / ms" in text and "letter" not in text.replace("lettercast", "")
    assert "Measured on" not in read(html_page(result))


def test_long_names_are_shortened_in_plots_and_whole_in_tables(make_row, make_benchmark):
    name = f"{'a_very_long_name_' * 4}small-int8.tflite"
    moved = (("a very long name of a class", "ship", -1), ("ship", "a very long name of a class", 1))
    page = html_page(make_benchmark(make_row("tflite-int8", name=name, moved=moved)))
    assert name in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    shown = texts(bars([make_row("onnx-int8", name=name)], lambda row: 1.0, "x"))
    (label,) = (text for text in shown if "…" in text)
    assert len(label) == MAX_LABEL and label.startswith("a_very_long_") and label.endswith("small-int8.tflite")
    labels = [label.get_text() for label in confusion_difference(make_row("tflite-int8", moved=moved)).axes[0].get_xticklabels()]
    assert labels == ["a ve…f a class", "ship"]
    assert all(len(one) <= MAX_CLASS for one in labels)


def test_the_page_needs_no_other_file(page):
    assert not re.search(r"<(script|link|img|iframe)\b", page)
    # A reference is to a part of a plot, or the data itself.
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert not re.search(r"url\((?!#)", page)


def test_the_page_has_all_plots(page):
    assert page.count("<svg") == 5


def test_names_of_files_are_text_and_not_markup(make_row, make_benchmark):
    page = html_page(make_benchmark(make_row("tflite-int8", name="<b>&.tflite"), make_row("onnx-int8", failure="<i>")))
    assert "<b>" not in page and "<i>" not in page
    assert "<b>&.tflite" in read(page)


def test_a_missing_figure_on_the_page_is_a_dash_with_its_reason(make_row, make_benchmark):
    nothing = dict.fromkeys(("accuracy", "parity", "letter", "batch", "footprint", "speedup"))
    result = make_benchmark(make_row("onnx-int8", skipped="no engine", **nothing), interrupted=True)
    text = read(html_page(result))
    assert "m-int8.onnx: no engine" in text
    assert "Interrupted" in text
    assert "By format" not in text


def test_the_page_shows_doubts_about_the_machine(make_row, make_benchmark):
    result = make_benchmark(make_row("onnx-int8"))
    doubtful = replace(result, machine=replace(result.machine, load=3.0))
    assert "a load of 3.0 a core" in read(html_page(doubtful))


NAMESPACE = "{http://www.w3.org/2000/svg}"


def texts(figure) -> list[str]:
    """Return the texts of a plot; its SVG must be well-formed."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg(figure)).iter(f"{NAMESPACE}text")]


def test_labels_are_names_without_their_common_start(make_row):
    shown = texts(
        accuracy_against_latency([make_row("tflite-int8"), make_row("onnx-int8"), make_row("onnx-float16", letter=None)])
    )
    assert {"m-int8.tflite", "m-int8.onnx"} - {f"m-{name}" for name in shown} == set()
    assert not any("float16" in name for name in shown)


def test_bars_have_numbers_and_unknown_figures_have_no_bar(make_row):
    rows = [make_row("tflite-int8", size=1_234_000), make_row("onnx-int8", footprint=None)]
    shown = texts(bars(rows, lambda row: row.size_bytes / 1000, "size / kB"))
    assert {"1,234", "300", "m-int8.tflite", "m-int8.onnx", "size / kB"} <= set(shown)
    shown = texts(bars(rows, lambda row: row.footprint and row.footprint.peak_mb, "peak / MB"))
    assert "43" in shown and "m-int8.onnx" not in shown


def test_only_classes_that_changed_are_drawn(make_row):
    figure = confusion_difference(make_row("tflite-int8", moved=(("I", "I", -2), ("I", "L", 2))))
    counts = figure.axes[0].images[0].get_array()
    assert counts.tolist() == [[-2, 2], [0, 0]]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["I", "L"]


def test_the_same_figures_give_the_same_svg_without_a_fixed_width(make_row):
    one, two = (svg(accuracy_against_latency([make_row("tflite-int8")])) for _ in range(2))
    assert one == two
    assert not re.search(r"<svg[^>]* width=", one)


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["letters-base.keras", "letters-base-int8.onnx"], "letters-"),
        (["letters-base-int8.tflite", "letters-base-int8.onnx"], "letters-base-"),
        (["a.onnx", "b.onnx"], ""),
        (["one-int8.onnx"], ""),
        ([], ""),
    ],
)
def test_a_common_start_ends_at_a_dash(names, start):
    assert common_start(names) == start


def say_nothing(said: str) -> None:
    pass


def test_the_reader_is_timed_with_the_first_int8_model(exported, card_video):
    sizes = ((320, 240), (480, 360))
    plan = GrowthPlan(counts=(1, 3), letters_per_count=3, sizes=sizes, card_pages=1, rounds=1)
    contenders = open_contenders([exported["onnx-float32"], exported["tflite-int8"]], [], 1)
    section = reader_section(contenders, 0.0, say_nothing, card_video, plan)
    figures = json.loads(json.dumps(section.to_dict()))
    assert figures["growth"]["engine"].startswith("ai-edge-litert")
    assert [point["x"] for point in figures["growth"]["letters"]["points"]] == [1, 3]
    assert figures["loop"]["fps"] > 0
    assert len(section.tables) == 3 and len(section.plots) == 1


def test_a_section_without_a_usable_model_has_a_note(tmp_path):
    broken = [Contender(tmp_path / "m.onnx", failure="broken")]
    assert "reads letters" in reader_section(broken, 0.0, say_nothing).note
    assert "int8" in limit_section(broken, 0.0, say_nothing).note
    assert "reads letters" in peers_section(broken, 0.0, say_nothing).note


def test_an_error_in_a_section_is_its_note(monkeypatch):
    def fails(contenders, seconds, report):
        raise LettercastError("m.onnx: no")

    monkeypatch.setitem(sections.SECTIONS, "limit", fails)
    assert measure_section("limit", [], 0.0, say_nothing) == Section("limit", note="m.onnx: no")


def test_the_command_writes_sections_to_json_page_and_terminal(lettercast, exported, measured_run, root, tmp_path, monkeypatch):
    # The models themselves are measured already, and one small product is enough for a peak.
    monkeypatch.setattr(sections, "run_benchmark", lambda *_, **__: measured_run)
    monkeypatch.setattr(limit, "make_products", lambda: make_products((64, 256), (), depth=2))
    words = ("benchmark", exported["tflite-int8"], "--seconds", 0.02, "--also", "limit")
    code, out, err = lettercast(*words, "--json", tmp_path / "figures.json", "--html", tmp_path / "page.html")
    assert (code, err) == (0, "")
    figures = json.loads((tmp_path / "figures.json").read_text())
    jsonschema.validate(figures, json.loads((root / "docs" / "benchmark.schema.json").read_text()))
    (model,) = figures["limit"]["models"]
    assert 0 < model["share"] < 1.5
    assert [stage["name"] for stage in figures["limit"]["page"]["stages"]][-2:] == ["doubts, lines and words", "whole page"]
    assert "Share of the peak throughput of one core" in out
    assert "Share of the peak throughput of one core" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("what", ["limits", "limit,reeder"])
def test_an_unknown_section_is_refused_before_measuring(refused, exported, what):
    assert "there is no such measurement; choose from limit" in refused("benchmark", exported["onnx-int8"], "--also", what)
