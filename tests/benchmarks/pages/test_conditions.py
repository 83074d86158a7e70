"""Conditions of pages, and what they cost."""

import json

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages import conditions
from lettercast.benchmarks.pages.conditions import (
    Cell,
    Conditions,
    conditions_for,
    conditions_table,
    main,
    run_conditions,
    take_page,
)
from lettercast.benchmarks.pages.scenes import ALL_AT_ONCE, CODES, CONDITIONS, PLAIN, STRENGTHS, WEBCAM_PX
from lettercast.benchmarks.pages.scoring import Score
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader
from lettercast.runtime.model.engine import Engine
from lettercast.runtime.model.facts import Facts
from lettercast.train.data.pen import load_pen


@pytest.fixture(scope="module", autouse=True)
def small_pages():
    """Take all photographs with the webcam, which is faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "SIZES", (WEBCAM_PX,))
        yield


@pytest.fixture(scope="module")
def result(small_pages):
    return run_conditions(Reader(), pages=1, conditions=["large writing"])


def test_a_condition_has_the_letters_of_the_plain_page(pen):
    hands = [PenHand(pen)]
    plain, dim = take_page(hands, PLAIN, "", 2, seed=7), take_page(hands, "dim light", "strong", 2, seed=7)
    assert plain.text == dim.text
    assert dim.image.mean() < 0.4 * plain.image.mean()
    assert take_page(hands, PLAIN, "", 2, seed=8).text != plain.text


def test_every_hand_writes_in_turn():
    class Scribe(PenHand):
        def strokes(self, letter, rng):
            wrote.append(self)
            return super().strokes(letter, rng)

    hands, wrote = [Scribe(load_pen()) for _ in range(5)], []
    for number in range(5):
        take_page(hands, PLAIN, "", number, seed=1)
    assert {id(hand) for hand in wrote} == {id(hand) for hand in hands}


def test_the_plain_page_comes_first_and_all_strengths_follow(result):
    assert [(cell.condition, cell.strength) for cell in result.cells] == [
        (PLAIN, ""), *(("large writing", strength) for strength in STRENGTHS),
    ]  # fmt: skip
    assert 0 <= result.alone < 0.3
    assert all(cell.total("letters") > 5 for cell in result.cells)


def test_codes_are_measured_only_with_models_that_read_digits():
    labels = (*"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    facts = Facts("both", "tflite", labels, (28, 28, 1), "uint8")
    both = Reader(Engine("fixed", facts, lambda images: np.full((len(images), 36), 1 / 36, np.float32)))
    assert CODES not in conditions_for(Reader()) and CODES in conditions_for(both)
    assert set(conditions_for(both)) == {*CONDITIONS, ALL_AT_ONCE}
    with pytest.raises(LettercastError, match="letters-base: reads no digits"):
        run_conditions(Reader(), pages=1, conditions=[CODES])
    result = run_conditions(both, pages=1, conditions=[CODES])
    assert [cell.condition for cell in result.cells] == [PLAIN, *[CODES] * 3]
    assert any(c.isdigit() for c in take_page([PenHand(load_pen())], CODES, "mild", 0, seed=0).text)


def test_rates_are_of_all_pages():
    cell = Cell("dim", "mild", (Score(10, 1, 1, 0, 0, 2, 1, 0), Score(30, 3, 0, 3, 2, 1, 1, 1)))
    assert cell.error == cell.cer == pytest.approx(0.1)
    assert cell.interval[0] <= 0.1 <= cell.interval[1]
    assert cell.gaps_right == pytest.approx(2 / 4)
    figures = cell.to_dict()
    assert (figures["pages"], figures["letters"], figures["missed"], figures["extra"]) == (2, 40, 1, 2)


def test_one_page_with_many_false_letters_does_not_outweigh_the_others():
    cell = Cell("noise", "strong", (Score(10, 0, 0, 0, 0, 0, 0, 0), Score(10, 500, 0, 0, 490, 0, 0, 0)))
    assert (cell.error, cell.cer) == (0.5, 25)


def test_a_page_without_gaps_has_no_rate_of_gaps():
    assert Cell("cells", "mild", (Score(10, 0, 0, 0, 0, 0, 0, 0),)).gaps_right is None


def test_the_command_prints_a_table_and_writes_the_same_figures_every_time(result, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert main(["--pages", "1", "--only", "large writing", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures == json.loads(json.dumps(result.to_dict()))
    assert figures["data"] == "pen" and len(figures["cells"]) == 4
    assert {"error", "cer", "interval", "against_plain", "missed", "misread", "extra", "gaps_right"} <= set(figures["cells"][0])
    out = capsys.readouterr().out
    assert "large writing" in out and "moderate" in out


def test_missing_data_is_refused_in_one_line(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "none.npz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_images_cannot_write_pages(tmp_path):
    np.savez(tmp_path / "p.npz", image=np.zeros((2, 28, 28), np.uint8), label=[0, 1], split=[1, 1])
    with pytest.raises(LettercastError):
        run_conditions(Reader(), str(tmp_path / "p.npz"))


def test_the_table_shows_the_error_that_each_condition_adds(printed):
    def cell(condition, strength, *errors):
        return Cell(condition, strength, tuple(Score(20, wrong, 0, wrong, 0, 4, 3, 0) for wrong in errors))

    cells = (cell("plain", "", 1, 3), cell("dim light", "mild", 1, 3), cell("dim light", "moderate", 5, 7))
    text = printed(conditions_table(Conditions("m", "pen", "val", 0, 0.05, cells)))
    mild, moderate = (line for line in text.splitlines() if "mild" in line or "moderate" in line)
    assert "dim light" in mild and "dim light" not in moderate
    assert "+0.0 ±0.0" in mild and "+20.0 ±0.0" in moderate
    assert "30.0" in moderate and "75" in moderate
    assert "letters is 5.0 %" in text
