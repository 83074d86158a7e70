"""Exported files against their original on whole photographed pages."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lettercast.export.exporter import export_model
from lettercast.export.formats import find_formats
from lettercast.export.gate import MISSED, drop_interval
from lettercast.export.pages import compare_pages, rise_interval
from lettercast.runtime import open_engine
from lettercast.train.data.open import open_source
from lettercast.train.pages import PagesResult, compare_page

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def pages(*texts: str) -> PagesResult:
    """What was read of pages that each show the alphabet."""
    return PagesResult("m", tuple(compare_page(f"{i}.png", ALPHABET, text, 1.0) for i, text in enumerate(texts)))


def test_the_rise_counts_edits_of_the_same_pages():
    one, two = ALPHABET.replace("B", "8"), ALPHABET.replace("BC", "8")
    found = compare_pages("labels.csv", pages(ALPHABET, one), pages(one, two))
    assert (found.pages, found.letters, found.changed) == (2, 52, 2)
    assert found.original_error == pytest.approx(100 / 52)
    assert found.error == pytest.approx(300 / 52)
    assert found.rise == pytest.approx(200 / 52)
    assert found.rise_low < found.rise < found.rise_high


def test_pages_that_differ_only_in_spaces_have_no_rise_and_are_counted_as_changed():
    found = compare_pages("labels.csv", pages(ALPHABET), pages(ALPHABET[:9] + " " + ALPHABET[9:]))
    assert (found.rise, found.changed) == (0, 1)


def test_equal_pages_still_leave_room_for_a_rise_that_few_letters_cannot_rule_out():
    few, many = (rise_interval(np.zeros(n, int), np.full(n, 20)) for n in (3, 300))
    assert few == pytest.approx(drop_interval(0, 0, 60))
    assert few[1] > 0.05
    assert 0 < many[1] < 0.001


def test_errors_on_one_page_prove_less_than_the_same_errors_on_many():
    letters = np.full(40, 15)
    spread = np.ones(40, int)
    crowded = np.zeros(40, int)
    crowded[0] = 40
    (_, spread_high), (_, crowded_high) = rise_interval(spread, letters), rise_interval(crowded, letters)
    assert spread_high < 0.1 < crowded_high


def test_the_interval_holds_the_true_rise_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        letters = rng.integers(10, 30, 40)
        # On average the exported file makes 1.5 % more errors, on some pages many at once.
        more = rng.binomial(letters, 0.03) * rng.integers(0, 2, 40) - rng.binomial(letters, 0.01) + rng.binomial(letters, 0.01)
        low, high = rise_interval(more, letters)
        held += low <= 0.015 <= high
    assert held >= 180


def test_more_edits_than_letters_are_no_error():
    low, high = rise_interval(np.array([50, 60]), np.array([5, 5]))
    assert low <= 11 and high > 1


@pytest.mark.parametrize(
    ("limit", "misses"), [(None, ()), (4, ()), (3, ("character error rate on pages +3.85 points, at most 3 allowed",))]
)
def test_a_limit_is_missed_only_if_it_is_given_and_exceeded(limit, misses):
    assert compare_pages("labels.csv", pages(ALPHABET), pages(ALPHABET[1:]), limit).misses == misses


@pytest.fixture(scope="module")
def labelled(draw_page, tmp_path_factory) -> Path:
    """A CSV of two drawn pages."""
    folder = tmp_path_factory.mktemp("pages")
    for name, rows in (("one", ("ABC", "DEF")), ("two", ("KLM", "NOP"))):
        cv2.imwrite(str(folder / f"{name}.png"), draw_page(*rows)[0])
    (folder / "labels.csv").write_text("file,text\none.png,ABC|DEF\ntwo.png,KLM|NOP\n")
    return folder / "labels.csv"


def test_pages_are_in_the_table_the_json_and_the_facts(labelled, model_file, strokes_file, lettercast):
    words = ("--formats", "tflite-float32", "--check", strokes_file, "--check-pages", labelled, "--max-cer-rise", 0)
    code, out, err = lettercast("export", model_file, *words, "--json")
    assert code == 0, err
    (made,) = json.loads(out)["formats"]
    found = made["pages"]
    assert (found["data"], found["pages"], found["letters"], found["max_rise"]) == ("labels.csv", 2, 12, 0)
    assert found["error"] == found["original_error"] and (found["rise"], found["changed"]) == (0, 0)
    assert found["rise_low"] < -20 and found["rise_high"] > 20
    assert "2 pages of labels.csv, 12 letters" in err
    assert open_engine(Path(made["file"])).facts.gate["pages"] == found


def test_a_file_that_exceeds_the_limit_is_missed_and_not_written(labelled, model_file, check_source, tmp_path):
    rows = find_formats(["tflite-float32"])
    # Equal models have no rise, so only a limit below 0 is exceeded.
    limits = {"check_pages": labelled, "max_cer_rise": -1.0}
    made = export_model(model_file, rows, open_source("pen", "train"), check_source, tmp_path / "dist", **limits)
    (artifact,) = made
    assert (artifact.verdict, made.passed) == (MISSED, False)
    assert artifact.misses == ("character error rate on pages +0.00 points, at most -1 allowed",)
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_model_of_other_images_is_refused_before_anything_is_written(labelled, lettercast, tmp_path):
    import keras

    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    digits = load_digits()
    means = np.stack([digits.data[digits.target == label].mean(0) for label in range(10)])
    network.layers[-1].set_weights([means.T / 100, -0.5 * (means**2).sum(1) / 100])
    network.save(tmp_path / "digits.keras")
    np.savez(tmp_path / "digits.npz", image=digits.images.astype(np.uint8), label=digits.target)
    code, out, err = lettercast(
        "export", "digits.keras", "--check", "digits.npz", "--pixels", "0..255", "--check-pages", labelled
    )
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == ("lettercast: --check-pages: pages hold letters, and digits takes other images; leave it out")
    assert not (tmp_path / "dist").exists()


def test_a_limit_without_pages_is_refused(model_file, strokes_file, refused):
    assert "--max-cer-rise: is a limit for pages" in refused("export", model_file, "--check", strokes_file, "--max-cer-rise", 1)
