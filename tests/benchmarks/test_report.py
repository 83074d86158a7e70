"""A benchmark as one page."""

import re
from dataclasses import replace
from html.parser import HTMLParser

from lettercast.benchmarks.report import html_page

VOID = {"meta", "br", "hr", "img", "link"}


class Structure(HTMLParser):
    """Which elements stand open, and every text."""

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
    """The text of a page of which every element is closed."""
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    return structure.text


def rows(make_row):
    moved = (("I", "I", -2), ("I", "L", 2))
    return make_row("keras", p50=50, speedup=1.0), make_row("tflite-int8", moved=moved), make_row("onnx-int8")


def test_figures_stand_on_the_page_and_every_element_is_closed(make_row, make_benchmark):
    text = read(html_page(make_benchmark(*rows(make_row))))
    for said in ("1000 pictures of pen, test", "m-int8.tflite", "95.00", "93.50..96.20", "99.90", "500 x", "43"):
        assert said in text
    for section in ("What to take", "Accuracy against latency", "By format", "Where answers moved"):
        assert section in text


def test_the_page_needs_no_other_file(make_row, make_benchmark):
    page = html_page(make_benchmark(*rows(make_row)))
    assert not re.search(r"<(script|link|img|iframe)\b", page)
    # What is referred to is a plot's own part or stands there itself.
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert not re.search(r"url\((?!#)", page)


def test_plots_stand_on_the_page(make_row, make_benchmark):
    assert html_page(make_benchmark(*rows(make_row))).count("<svg") == 5


def test_names_of_files_are_text_and_not_markup(make_row, make_benchmark):
    page = html_page(make_benchmark(make_row("tflite-int8", name="<b>&.tflite"), make_row("onnx-int8", failure="<i>")))
    assert "<b>" not in page and "<i>" not in page
    assert "<b>&.tflite" in read(page)


def test_what_was_not_measured_is_a_dash_with_its_reason(make_row, make_benchmark):
    nothing = dict.fromkeys(("accuracy", "parity", "letter", "batch", "footprint", "speedup"))
    result = make_benchmark(make_row("onnx-int8", skipped="no engine", **nothing), interrupted=True)
    text = read(html_page(result))
    assert "m-int8.onnx: no engine" in text
    assert "Interrupted" in text
    assert "By format" not in text


def test_doubts_of_the_machine_are_told(make_row, make_benchmark):
    result = make_benchmark(make_row("onnx-int8"))
    doubtful = replace(result, machine=replace(result.machine, load=3.0))
    assert "a load of 3.0 a core" in read(html_page(doubtful))
