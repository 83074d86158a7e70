"""Character error rate of pages."""

import json

import cv2
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.scoring import PageResult, PagesResult, plain, read_labels, read_pages
from lettercast.runtime import Reader


@pytest.fixture
def labels(draw_page, tmp_path):
    """Two pages of ABCD over OMRS; the second label is wrong in one letter and lacks another."""
    cv2.imwrite(str(tmp_path / "one.png"), draw_page("ABCD", "OMRS")[0])
    cv2.imwrite(str(tmp_path / "two.png"), draw_page("ABCD", "OMRS")[0])
    path = tmp_path / "labels.csv"
    path.write_text("file,text\none.png,AB CD|OMRS\ntwo.png,XBCD|OMR\n")
    return path


def test_edits_are_counted_over_the_letters_that_stand_there(labels):
    result = read_pages(Reader(), labels)
    assert [page.errors for page in result.pages] == [0, 2]
    assert (result.letters, result.cer) == (15, pytest.approx(2 / 15))


def test_the_command_prints_the_same_figures_as_json(lettercast, exported, labels):
    code, out, _ = lettercast("evaluate", exported["tflite-int8"], "--pages", labels, "--json")
    figures = json.loads(out)
    assert code == 0
    assert {"model", "cer", "letters", "pages", "ms_per_page"} <= set(figures)
    assert (figures["letters"], figures["pages"]) == (15, 2)
    assert figures["cer"] == pytest.approx(figures["errors"] / 15)


def test_the_median_page_stands_for_the_time():
    pages = tuple(PageResult("p", "AB", "AB", 0, ms) for ms in (1.0, 2.0, 90.0))
    assert PagesResult("m", pages).to_dict()["ms_per_page"] == 2.0


def test_spaces_lines_and_case_do_not_count():
    assert plain("ab C|d  E") == "ABCDE"


@pytest.mark.parametrize("text", ["", "file,text\n", "name,letters\na.png,A\n", "file,text\na.png\n", "file,text\n,A\n"])
def test_a_csv_without_files_and_texts_is_refused(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(LettercastError, match=r"labels.csv"):
        read_labels(tmp_path / "labels.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "labels.csv").write_text("\ufefffile,text\na.png,A\n", encoding="utf-8")
    assert read_labels(tmp_path / "labels.csv") == [("a.png", "A")]


def test_shipped_model_reads_photographed_cards(shared):
    result = read_pages(Reader(), shared / "cards" / "labels.csv")
    assert result.letters == 600
    assert result.cer <= 0.08
