"""What a training run leaves."""

from dataclasses import replace

import numpy as np
import pytest

from lettercast.runtime.model.facts import Facts, keras_facts
from lettercast.train.card import card_text
from lettercast.train.evaluation import Evaluation

MADE = {"command": "lettercast train --data pen", "data": "pen", "seed": 5, "epochs": 2, "steps": 90, "parameters": 12345}
FACTS = Facts("letters-x", "keras", ("G", "I", "L"), (28, 28, 1), "float32", made=MADE, versions={"keras": "3.8"})


@pytest.fixture
def validation() -> Evaluation:
    probabilities = np.array([[0.1, 0.7, 0.2], [0.1, 0.5, 0.4], [0.8, 0.1, 0.1], [0.9, 0.05, 0.05]], np.float32)
    return Evaluation(
        "letters-x",
        "keras",
        "pen",
        "val",
        ("G", "I", "L"),
        np.array([1, 2, 0, 0]),
        probabilities,
        np.zeros((4, 28, 28, 1), np.uint8),
    )


def test_card_says_how_the_model_was_made_and_how_well_it_reads(validation):
    card = card_text(FACTS, validation)
    for said in (
        "# letters-x",
        "12,345",
        "`lettercast train --data pen`",
        "seed 5, 2 epochs of 90 batches",
        "75.00 %",
        "keras 3.8",
    ):
        assert said in card
    assert "- I and L merged 100.00 %" in card
    assert "- 100 % of the errors are I/L, 0 % are G/Q" in card
    assert "- weakest by F1: L 0.000, I 0.667, G 1.000" in card


def test_command_writes_model_history_figures_and_card(run_folder):
    assert {"model.keras", "history.csv", "curves.png", "confusion.png", "mistakes.png", "reliability.png", "card.md"} <= {
        path.name for path in run_folder.iterdir()
    }
    facts = keras_facts(run_folder / "model.keras")
    assert facts.made["command"] in (run_folder / "card.md").read_text()
    assert "--init letters-nano.keras --epochs 2" in facts.made["command"]


def test_card_has_figures_of_writers_and_case_if_they_are_known(validation):
    many = {name: np.repeat(getattr(validation, name), 20, 0) for name in ("truth", "probabilities", "images")}
    known = replace(validation, **many, writers=np.repeat([7, 8], 40), upper=np.tile([True, False], 40))
    card = card_text(replace(FACTS, temperature=0.75, reject_below=0.45), known)
    assert "- median of 2 writers 75.00 %, worst tenth 50.00 %" in card
    assert "- capitals 75.00 %, small letters 75.00 %" in card
    assert "- temperature 0.75" in card
