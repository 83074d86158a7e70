"""The text that was read against the text on the page."""

import json

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.scenes import PlacedLetter
from lettercast.benchmarks.pages.scoring import (
    Score,
    choose,
    difference_interval,
    error_interval,
    gaps_after,
    kinds_of_words,
    main,
    match_boxes,
    pages_table,
    score,
    score_kind,
)
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader
from lettercast.runtime.text import Letter, Line, Page, Word
from lettercast.train.pages import PageResult, PagesResult, plain, read_labels, read_pages

SIDE = 20


def at(column, row=0):
    return (40 * column, 60 * row, SIDE, SIDE)


def placed(*lines):
    """Return letters in columns; a space takes a column and separates words."""
    found = []
    for row, text in enumerate(lines):
        word = 0
        for column, letter in enumerate(text):
            word += letter == " "
            if letter != " ":
                found.append(PlacedLetter(letter, at(column, row), row, word))
    return found


def line_of(*words):
    return Line(tuple(Word(tuple(word)) for word in words))


def page_of(*lines):
    return Page((640, 480), lines, 0.0, 0.0)


def read(*lines, spaced=False):
    def line(row, text):
        words = [[]]
        for column, letter in enumerate(text):
            if letter != " ":
                words[-1].append(Letter(letter, 0.9, at(column, row)))
            elif spaced:
                words.append([])
        return line_of(*words)

    return page_of(*(line(row, text) for row, text in enumerate(lines)))


def test_a_correctly_read_page_has_no_errors():
    assert score(read("AB", "CD"), "AB\nCD", placed("AB", "CD")) == Score(4, 0, 0, 0, 0, 0, 0, 0)


def test_small_letters_are_read_as_capitals():
    assert score(read("AB"), "ab", placed("ab")).misread == score(read("AB"), "ab", placed("ab")).errors == 0


def test_misread_missed_and_extra_letters_are_distinguished():
    page = page_of(line_of([Letter("X", 0.9, at(0)), Letter("B", 0.9, at(1)), Letter("?", 0.2, at(9))]))
    result = score(page, "ABC", placed("ABC"))
    assert (result.misread, result.missed, result.extra) == (1, 1, 1)
    assert result.errors == 2


def test_two_letters_in_one_box_are_both_missed_and_the_box_is_extra():
    page = page_of(line_of([Letter("M", 0.9, (0, 0, 60, 20))]))
    result = score(page, "AB", placed("AB"))
    assert (result.missed, result.extra, result.misread) == (2, 1, 0)


def test_a_thin_letter_matches_a_slightly_wider_box():
    assert match_boxes([(10, 10, 3, 60)], [(9, 9, 5, 62)]) == {0: 0}


def test_a_box_matches_the_letter_that_fits_best():
    assert match_boxes([(0, 0, 20, 20), (4, 0, 20, 20)], [(4, 0, 20, 20)]) == {1: 0}
    assert match_boxes([], [(0, 0, 1, 1)]) == match_boxes([(0, 0, 1, 1)], []) == {}


def test_gaps_between_words_are_found_or_not():
    spaced = score(read("AB CD", spaced=True), "AB CD", placed("AB CD"))
    assert (spaced.gaps, spaced.gaps_found, spaced.gaps_invented, spaced.errors) == (1, 1, 0, 0)
    joined = score(read("AB CD"), "AB CD", placed("AB CD"))
    assert (joined.gaps, joined.gaps_found, joined.gaps_invented, joined.errors) == (1, 0, 0, 0)


def test_a_gap_inside_a_word_is_invented():
    letters = [PlacedLetter(one.letter, one.box, 0, 0) for one in placed("AB CD")]
    assert score(read("AB CD", spaced=True), "ABCD", letters).gaps_invented == 1


def test_a_gap_follows_the_last_letter_of_each_word():
    a, b, c = (Letter(letter, 0.9, at(0)) for letter in "A?B")
    assert gaps_after(line_of([a], [b, c])) == [True, False, True]


def test_differences_between_pages_widen_the_interval():
    low, high = error_interval([5, 5, 5, 5], [50] * 4)
    wide_low, wide_high = error_interval([0, 0, 0, 20], [50] * 4)
    assert wide_low <= low < 0.1 < high < wide_high


def test_a_page_cannot_lose_more_than_its_letters():
    flooded = Score(20, 300, 0, 0, 280, 0, 0, 0)
    assert (flooded.lost, flooded.rate) == (20, 1.0)
    assert Score(20, 5, 0, 5, 0, 0, 0, 0).rate == 0.25


def test_the_interval_of_few_letters_without_errors_is_wide():
    low, high = error_interval([0, 0], [15, 15])
    assert low == 0 and 0.05 < high < 0.2
    assert error_interval([], []) == (0.0, 1.0)


def test_the_interval_contains_the_true_rate_19_times_of_20():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = error_interval(list(rng.binomial(40, 0.1, 8)), [40] * 8)
        held += low <= 0.1 <= high
    assert held / 200 == pytest.approx(0.95, abs=0.05)


def test_a_constant_loss_of_all_writers_has_no_interval():
    plain = [0.0, 0.4, 0.1, 0.3]
    low, high = difference_interval([rate + 0.1 for rate in plain], plain)
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)
    assert difference_interval([0.5, 0.4, 0.1, 0.3], plain)[0] < 0
    assert not np.isfinite(difference_interval([0.5], [0.1])).any()


@pytest.fixture
def labels(draw_page, tmp_path):
    """Two pages of ABCD over OMRS; the second label has one wrong and one missing letter."""
    cv2.imwrite(str(tmp_path / "one.png"), draw_page("ABCD", "OMRS")[0])
    cv2.imwrite(str(tmp_path / "two.png"), draw_page("ABCD", "OMRS")[0])
    path = tmp_path / "labels.csv"
    path.write_text("file,text\none.png,AB CD|OMRS\ntwo.png,XBCD|OMR\n")
    return path


def test_edits_are_counted_over_the_true_letters(labels):
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


def test_the_time_per_page_is_the_median():
    pages = tuple(PageResult("p", "AB", "AB", 0, ms) for ms in (1.0, 2.0, 90.0))
    assert PagesResult("m", pages).to_dict()["ms_per_page"] == 2.0


def test_spaces_lines_and_case_do_not_count():
    assert plain("ab C|d  E") == "ABCDE"


@pytest.mark.parametrize("text", ["", "file,text\n", "name,letters\na.png,A\n", "file,text\na.png\n", "file,text\n,A\n"])
def test_a_csv_without_files_and_texts_is_refused(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(LettercastError, match=r"labels.csv"):
        read_labels(tmp_path / "labels.csv")


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    (tmp_path / "labels.csv").write_text("\ufefffile,text\na.png,A\n", encoding="utf-8")
    assert read_labels(tmp_path / "labels.csv") == [("a.png", "A")]


def test_shipped_model_reads_photographed_cards(shared):
    result = read_pages(Reader(), shared / "cards" / "labels.csv")
    assert result.letters == 600
    assert result.cer <= 0.08


WORDS = ["harbour", "lantern", "garden", "Wessel", "letter", "Almqvist", "window", "don't", "it"]


def test_every_other_word_is_in_the_list():
    kinds = kinds_of_words(WORDS, 0)
    assert kinds["in the list"] == ["harbour", "garden", "letter", "window"]
    assert kinds["not in the list"] == ["lantern", "Wessel", "Almqvist"]
    assert kinds["names not in the list"] == ["Wessel", "Almqvist"]
    assert all(word.isupper() for word in kinds["random letters"])


def test_a_list_corrects_its_words_and_leaves_others(pen):
    reader = Reader(words=WORDS)
    hands = [PenHand(pen)]
    known = score_kind(reader, hands, "in the list", ["harbour", "garden", "letter"], pages=3, seed=1)
    strange = score_kind(reader, hands, "chance", ["xqvuz", "bpkwtd", "zzhgo"], pages=3, seed=1)
    assert known.listed > known.read > 0
    assert known.wronged == strange.wronged == 0
    assert strange.listed == strange.read


def test_cases_of_words(pen):
    rng = np.random.default_rng(0)
    assert [choose(PenHand(pen), case, ["Anna"], rng) for case in ("upper", "title", "lower")] == ["ANNA", "Anna", "anna"]


def test_a_missing_list_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "gone.txt")]) == 2
    assert "gone.txt" in capsys.readouterr().err


def test_the_table_shows_only_pages_with_errors(printed):
    pages = (PageResult("good.png", "AB", "AB", 0, 3.0), PageResult("bad.png", "CD", "CO", 1, 5.0))
    text = printed(pages_table(PagesResult("m", pages)))
    assert "25.00 %" in text
    assert "bad.png" in text
    assert "good.png" not in text
