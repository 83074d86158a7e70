"""Fitting a trained model to your own letters: what the folder holds afterwards."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.runtime.arguments import KERAS, find_model
from lettercast.runtime.model.facts import keras_facts
from lettercast.train import run as training
from lettercast.train.predict import classify, load_keras, save_keras

pytestmark = [pytest.mark.filterwarnings("ignore:Even though the `tf.config"), pytest.mark.usefixtures("eager")]
START = find_model("letters-nano", KERAS)
IMAGES = np.random.default_rng(1).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)


# Straight lines in a square of 60, as x, y of both ends: a hash, and a square with a cross.
SIGNS = {
    "A": [(5, 15, 55, 15), (5, 45, 55, 45), (15, 5, 15, 55), (45, 5, 45, 55)],
    "B": [(5, 5, 55, 5), (55, 5, 55, 55), (55, 55, 5, 55), (5, 55, 5, 5), (5, 5, 55, 55), (5, 55, 55, 5)],
}


@pytest.fixture
def signs(tmp_path) -> Path:
    """A hand that no model knows: eight A and B, which are signs."""
    for name, lines in SIGNS.items():
        (tmp_path / "signs" / name).mkdir(parents=True)
        for number in range(8):
            image = np.full((64, 64), 230, np.uint8)
            for x, y, to_x, to_y in lines:
                cv2.line(image, (x + number % 3, y), (to_x, to_y + number % 4), 20, 3)
            cv2.imwrite(str(tmp_path / "signs" / name / f"{number}.png"), image)
    return tmp_path / "signs"


def test_a_hand_that_no_model_knows_is_learned_and_the_model_named_by_its_folder(lettercast, signs, tmp_path):
    words = ("--init", "letters-nano", "--epochs", 1, "--steps", 24, "--rate", 0.001)
    code, out, err = lettercast("train", "--data", signs, *words, "--out", "runs/my_hand")
    assert code == 0, err
    assert "signs: 14 letters of 2 classes (letters-nano knows 26) train, 2 of 2 classes are held out to measure on" in out
    assert "held-out letters of signs: 0 of 2 (0.0 %) right before, 2 of 2 (100.0 %) after (2 mended, 0 spoiled)" in out
    made, start = keras_facts(tmp_path / "runs/my_hand/model.keras"), keras_facts(START)
    assert made.name == "my_hand" and made.labels == start.labels
    assert (made.temperature, made.reject_below) == (start.temperature, start.reject_below)
    card = (tmp_path / "runs/my_hand/card.md").read_text()
    assert "held-out letters of signs: 0 of 2" in card and "weakest by F1: A 1.000, B 1.000\n" in card


def test_a_fitted_model_that_reads_worse_is_not_kept(lettercast, signs, tmp_path):
    words = ("--init", "letters-nano", "--epochs", 1, "--steps", 2, "--rate", 0.1)
    code, out, err = lettercast("train", "--data", signs, *words, "--out", "run")
    assert code == 0, err
    assert "kept letters-nano: the fitted model has forgotten more than 0.5 % of the built-in letters" in out
    assert "run/fitted.keras\n" in out
    kept, fitted = load_keras(tmp_path / "run/model.keras"), load_keras(tmp_path / "run/fitted.keras")
    expected = classify(load_keras(START), IMAGES)
    np.testing.assert_allclose(classify(kept, IMAGES), expected, atol=1e-5)
    assert np.abs(classify(fitted, IMAGES) - expected).max() > 0.1
    facts = keras_facts(tmp_path / "run/model.keras")
    assert (facts.name, facts.made["kept"], facts.reject_below) == ("run", "letters-nano", keras_facts(START).reject_below)


def test_a_kept_model_that_was_never_calibrated_is_calibrated(lettercast, tmp_path):
    facts = replace(keras_facts(START), name="raw", temperature=1.0, reject_below=0.0)
    save_keras(load_keras(START), tmp_path / "raw.keras", facts)
    words = ("--data", "pen", "--val", "pen", "--init", "raw.keras", "--epochs", 1, "--steps", 1, "--rate", 0.5)
    code, out, err = lettercast("train", *words, "--out", "run")
    assert code == 0, err
    assert "kept raw" in out and "no rejection threshold" not in out
    assert 0.1 < keras_facts(tmp_path / "run/model.keras").reject_below < 0.9


def test_ctrl_c_after_an_epoch_leaves_a_whole_model_with_all_figures(lettercast, signs, tmp_path, monkeypatch):
    words = ("--data", signs, "--init", "letters-nano", "--epochs", 2, "--steps", 1, "--out", "run")

    def press(line: str) -> None:
        print(line)
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "print", press, raising=False)
    code, out, err = lettercast("train", *words)
    assert code == 130 and "ended after epoch 1 of 2" in out
    assert "after epoch 1; run/model.keras has what it learned until then, and --resume continues" in err
    assert {"model.keras", "curves.png", "confusion.png", "card.md"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert keras_facts(tmp_path / "run/model.keras").made["ended"] == "after epoch 1 of 2"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, out, err = lettercast("train", *words, "--resume")
    assert code == 0, err
    assert "ended" not in keras_facts(tmp_path / "run/model.keras").made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rehearse", 1.0, "--init", "letters-nano"), "--rehearse 1: must be a share from 0 to below 1"),
        (("--rehearse", 0.5), "--rehearse 0.5: needs --init and no --teacher; leave it out"),
    ],
)
def test_shares_that_cannot_be_rehearsed_are_refused(refused, signs, words, said):
    assert said in refused("train", "--data", signs, "--out", "run", *words)


def test_confidence_is_carried_over_where_nothing_is_rehearsed(check_source):
    from lettercast.train.fit import carry_confidence
    from lettercast.train.network import soften

    start, vague = load_keras(START), load_keras(START)
    soften(vague, 4.0)
    carry_confidence(vague, start, check_source, keras_facts(START).labels)
    np.testing.assert_allclose(classify(vague, IMAGES), classify(start, IMAGES), atol=0.02)
