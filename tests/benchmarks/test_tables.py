"""Results as tables for a person."""

import io

import numpy as np
import pytest
from rich.console import Console

from lettercast.benchmarks.benchmark import Benchmark, Row
from lettercast.benchmarks.blank import Blank
from lettercast.benchmarks.conditions import Cell, Conditions
from lettercast.benchmarks.latency import Latency
from lettercast.benchmarks.pages import PageResult, PagesResult
from lettercast.benchmarks.scoring import Score
from lettercast.benchmarks.tables import (
    artifact_table,
    benchmark_table,
    blank_table,
    conditions_table,
    evaluation_table,
    pages_table,
)
from lettercast.export.artifact import Artifact
from lettercast.export.formats import FORMATS
from lettercast.export.gate import Parity
from lettercast.train.evaluate import Evaluation

PARITY = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)


def printed(table) -> str:
    """What a wide terminal shows."""
    text = io.StringIO()
    Console(file=text, width=220).print(table)
    return text.getvalue()


def test_evaluation_shows_accuracy_the_pairs_and_every_class():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], np.float32)
    text = printed(
        evaluation_table(
            Evaluation(
                "m",
                "keras",
                "pen",
                "test",
                ("G", "I", "L"),
                np.array([1, 2, 0]),
                probabilities,
                np.zeros((3, 28, 28, 1), np.uint8),
            )
        )
    )
    assert "m (keras) on pen, test: accuracy 66.67 %, top-2 100.00 %, 3 letters" in " ".join(text.split())
    assert "of the errors 100 % are I/L, 0 % G/Q" in " ".join(text.split())
    assert "I and L merged 100.00 %" in " ".join(text.split())
    assert [line.split()[1] for line in text.splitlines() if line.startswith("│")] == ["G", "I", "L"]


def test_pages_show_only_what_was_misread():
    pages = (PageResult("good.png", "AB", "AB", 0, 3.0), PageResult("bad.png", "CD", "CO", 1, 5.0))
    text = printed(pages_table(PagesResult("m", pages)))
    assert "25.00 %" in text
    assert "bad.png" in text
    assert "good.png" not in text


@pytest.mark.parametrize(("misses", "verdict"), [((), "passed"), (("agreement",), "missed")])
def test_artifacts_show_the_drop_with_its_interval_and_the_verdict(tmp_path, misses, verdict):
    row = FORMATS["tflite-int8"]
    text = printed(artifact_table([Artifact(row, tmp_path / "m-int8.tflite", 36_400, PARITY, row.tolerance, misses)]))
    assert "m-int8.tflite" in text
    assert "+0.50 (+0.10..+0.90)" in text
    assert verdict in text


def test_benchmark_shows_a_line_for_every_model():
    latency = Latency(10.0, 2.0, 0.125, 0.2, 0.3, 600)
    rows = (Row("m.keras", "keras 3", 900_000, PARITY, latency, 1.0), Row("m.tflite", "litert", 36_400, PARITY, latency, 80.4))
    lines = printed(benchmark_table(Benchmark("pen", "test", 2, "a machine", rows))).splitlines()
    assert "1000 letters of pen, test; threads: 2" in lines[0]
    assert [word in lines[-3] for word in ("m.tflite", "litert", "36", "94.50", "99.20", "0.125", "80")] == [True] * 7
    assert "a machine" in lines[-1]


def test_conditions_show_what_each_costs_against_the_plain_page():
    def cell(condition, strength, *errors):
        return Cell(condition, strength, tuple(Score(20, wrong, 0, wrong, 0, 4, 3, 0) for wrong in errors))

    cells = (cell("plain", "", 1, 3), cell("dim light", "mild", 1, 3), cell("dim light", "moderate", 5, 7))
    text = printed(conditions_table(Conditions("m", "pen", "val", 0, 0.05, cells)))
    mild, moderate = (line for line in text.splitlines() if "mild" in line or "moderate" in line)
    assert "dim light" in mild and "dim light" not in moderate
    assert "+0.0 ±0.0" in mild and "+20.0 ±0.0" in moderate
    assert "30.0" in moderate and "75" in moderate
    assert "errs on 5.0 %" in text


def test_frames_without_letters_show_the_share_on_which_nothing_was_said():
    text = printed(blank_table(Blank("m", 0, {"wood": (0, 0), "room": (0, 7)})))
    assert "75.0 %" in text
    wood, room = (line.split() for line in text.splitlines() if "wood" in line or "room" in line)
    assert (wood[3], room[3]) == ("100", "50")
    assert room[-2] == "7"
