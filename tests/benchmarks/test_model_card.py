"""The model card, and the non-letters in it."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lettercast.benchmarks import model_card
from lettercast.benchmarks.model_card import (
    FIGURES,
    card,
    digit_image,
    evaluate_known,
    main,
    measure_models,
    non_letters,
    pages_error,
    pages_name,
    rejection,
    spread,
)
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import keras_facts
from lettercast.train.data.digits import DIGIT_PX
from lettercast.train.data.open import open_source
from lettercast.train.predict import open_any


@pytest.fixture(scope="module")
def pages(draw_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    image, _ = draw_page("ABC", "KLM")
    cv2.imwrite(str(folder / "page.png"), image)
    (folder / "labels.csv").write_text("file,text\npage.png,ABC|KLM\n")
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def measured(model_file, strokes_file, pages):
    """The figures of one model on two data sets and a page."""
    return measure_models([model_file], [str(strokes_file), "pen"], [pages])[0]


@pytest.fixture(scope="module")
def written(measured):
    """The card of one model, as if it were two seeds."""
    return card({"letters-nano": [measured, measured]})


def cells(text: str, label: str) -> list[str]:
    """The cells of the first row of this label."""
    row = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_figures_are_those_of_evaluate(written, model_file, strokes_file, lettercast):
    _, stdout, _ = lettercast("evaluate", model_file, "--data", strokes_file, "--json")
    accuracy = 100 * json.loads(stdout)["accuracy"]
    original, int8 = cells(written, "accuracy")
    # The same model twice has no spread.
    assert original == f"{accuracy:.2f} ± 0.00"
    assert float(int8.split()[0]) == pytest.approx(accuracy, abs=5)


def test_every_data_set_has_its_table(written):
    assert "### strokes.npz, test: 520 letters" in written
    assert "### pen, test: 5,200 letters" in written


def test_the_card_says_how_the_model_was_made_and_on_which_terms(written, model_file):
    facts = keras_facts(model_file)
    assert facts.made["command"] in written
    assert "CC BY 4.0" in written
    assert cells(written, "parameters") == [f"{facts.made['parameters']:,}"]
    assert cells(written, "temperature") == [f"{facts.temperature:.2f} ± 0.00"]


def test_a_data_set_of_unknown_classes_has_no_figures_of_that_model(measured):
    other = replace(measured, facts=replace(measured.facts, name="letters-digits"), original=(None, measured.original[1]))
    other = replace(other, int8=(None, measured.int8[1]))
    text = card({"letters-digits": [other], "letters-nano": [measured]})
    assert cells(text, "accuracy")[:2] == ["-", "-"]
    assert "-" not in cells(text, "accuracy")[2:]
    assert "### strokes.npz, test: 520 letters" in text


def test_the_card_says_what_each_model_was_trained_on(measured):
    facts = replace(measured.facts, name="letters-digits", made={**measured.facts.made, "data": "sklearn-digits@0.2 + pen@0.8"})
    text = card({"letters-nano": [measured], "letters-digits": [replace(measured, facts=facts)]})
    digits, pen = cells(text, "sklearn-digits"), cells(text, "pen")
    assert digits[1:3] == ["-", "20 %"]
    assert pen[2] == "80 %"


def test_an_evaluation_needs_a_model_that_knows_the_classes(model_file):
    assert evaluate_known(open_any(model_file), open_source("sklearn-digits", "test")) is None


def test_non_letters_are_counted_by_kind(written):
    for kind in ("signs, drawn", "scribbles, drawn", "real digits 3, 4, 6, 7, 8"):
        share = float(cells(written, kind)[0].split()[0])
        assert 0 <= share <= 100


@pytest.mark.parametrize(
    ("values", "said"),
    [([], "-"), ([None, None], "-"), ([93.456], "93.46"), ([1.0, 2.0, 3.0], "2.00 ± 1.00"), ([None, 5.0], "5.00")],
)
def test_a_spread_is_the_mean_and_the_standard_deviation(values, said):
    assert spread(values) == said


def test_models_of_two_names_stand_side_by_side(measured):
    one = measured
    other = replace(one, facts=replace(one.facts, name="letters-tiny"), int8_bytes=12_345)
    text = card({"letters-nano": [one], "letters-tiny": [other]})
    assert cells(text, "int8 TFLite file")[1] == "12.3 kB"
    assert len(cells(text, "accuracy")) == 4


def test_without_pages_there_is_no_error_of_pages(measured, exported):
    assert "character error rate" in card({"letters-nano": [measured]})
    assert "character error rate" not in card({"letters-nano": [replace(measured, cer={})]})


def test_every_set_of_pages_has_its_error(measured, pages, exported):
    assert pages_name(pages) == pages.parent.name
    assert pages_name(pages.with_name("forms.csv")) == f"{pages.parent.name}/forms.csv"
    error = pages_error(open_engine(exported["tflite-int8"]), pages)
    one = replace(measured, cer={"cards": error, "pages": 12.5})
    text = card({"letters-nano": [one]})
    assert cells(text, "pages of cards, int8, character error rate / %") == [f"{error:.2f}"]
    assert cells(text, "pages of pages, int8, character error rate / %") == ["12.50"]


def test_letters_of_unseen_origin_stand_with_their_run(measured):
    left_out = {"scans": {"letters": 2184, "accuracy": 0.7}, "fonts": {"letters": 5000, "accuracy": 0.8}}
    report = {"size": "nano", "epochs": 8, "steps": 200, "seed": 1, "data": ["scans@0.5", "fonts@0.5"], "mean": 0.75}
    text = card({"letters-nano": [measured]}, {**report, "left_out": left_out})
    assert cells(text, "scans") == ["2,184", "70.0"]
    assert cells(text, "mean") == ["", "75.0"]
    assert "never saw" not in card({"letters-nano": [measured]})


def test_least_cycles_are_the_operations_over_the_most_of_a_cycle(measured):
    text = card({"letters-nano": [replace(measured, multiplications=32_000_000)]})
    assert cells(text, "Cortex-A76 (Raspberry Pi 5)") == ["1,000", "4,000"]
    assert cells(text, "Cortex-A72 (Raspberry Pi 4)") == ["-", "8,000"]


def test_figures_of_one_model_are_between_nothing_and_everything(measured):
    for figure in FIGURES.values():
        value = figure(measured.original[0])
        assert value is None or 0 <= value <= 100
    assert np.isfinite([measured.p50_ms, measured.float_p50_ms]).all()


@pytest.fixture(scope="module")
def images():
    return non_letters()


def test_non_letters_have_the_input_shape_of_the_network(images):
    for many in images.values():
        assert many.dtype == np.uint8 and many.shape[1:] == (28, 28, 1)
        assert len(many) >= 800
        assert (many.reshape(len(many), -1).max(1) > 0).mean() > 0.99


def test_real_digits_are_those_of_scikit_learn(images):
    assert len(images["real digits, all ten"]) == len(load_digits().target) == 1797
    assert len(images["real digits 3, 4, 6, 7, 8"]) == np.isin(load_digits().target, (3, 4, 6, 7, 8)).sum()


def test_a_digit_keeps_its_shape():
    bar = np.zeros((8, 8))
    bar[:, 3:5] = 16
    image = digit_image(bar)[..., 0]
    rows, columns = np.nonzero(image > 127)
    assert np.ptp(rows) > 2 * np.ptp(columns)
    assert DIGIT_PX > 28


def test_images_below_the_threshold_are_rejected():
    def half_sure(images):
        probabilities = np.full((len(images), 4), 0.1, np.float32)
        probabilities[:, 0] = np.where(np.arange(len(images)) % 2, 0.9, 0.3)
        return probabilities

    shares = rejection(half_sure, 0.5, digits=False)
    assert all(share == pytest.approx(0.5, abs=0.01) for share in shares.values())
    known = {kind for kind, share in rejection(half_sure, 0.5, digits=True).items() if share is None}
    assert known == {"signs, drawn", "real digits 3, 4, 6, 7, 8", "real digits, all ten"}


def test_the_command_writes_the_card_of_all_models(measured, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(model_card, "measure_models", lambda *words: asked.append(words) or [measured, measured])
    out = tmp_path / "model-card.md"
    words = [str(out), "--models", "1.keras", "2.keras", "--data", "a.npz", "pen", "--pages", "labels.csv"]
    assert main(words) == 0
    assert asked == [([Path("1.keras"), Path("2.keras")], ["a.npz", "pen"], [Path("labels.csv")])]
    assert out.read_text() == card({measured.facts.name: [measured, measured]})
    assert capsys.readouterr().out == f"{out}\n"


def test_a_missing_model_is_refused_in_one_line(strokes_file, tmp_path, capsys):
    words = [str(tmp_path / "card.md"), "--models", str(tmp_path / "gone.keras"), "--data", str(strokes_file)]
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_unreadable_figures_are_refused_in_one_line(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_card, "measure_models", lambda *words: [measured])
    (tmp_path / "left_out.json").write_text("{")
    words = [str(tmp_path / "card.md"), "--models", "1.keras", "--data", "a.npz", "--left-out", str(tmp_path / "left_out.json")]
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "card.md").exists()
