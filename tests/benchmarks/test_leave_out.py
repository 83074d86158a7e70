"""Training without each source, measured on its letters."""

import json

import numpy as np
import pytest

from lettercast.benchmarks.leave_out import LeftOut, main, mean_accuracy, validation_of

PLAN = ["--epochs", "1", "--steps", "2"]


@pytest.fixture(scope="module")
def scans(strokes_file, tmp_path_factory):
    """26 images, one of each letter, without splits of their own."""
    images = np.zeros((26, 28, 28), np.uint8)
    for i in range(26):
        images[i, 4:24, 2 + i // 2 : 5 + i // 2] = 255
    path = tmp_path_factory.mktemp("scans") / "scans.npz"
    np.savez(path, image=images, label=np.arange(26), split=np.zeros(26, int))
    return path


def test_each_source_is_measured_by_a_model_that_never_saw_it(strokes_file, scans, tmp_path, capsys):
    words = ["--data", f"{strokes_file}@0.7", f"{scans}@0.3", *PLAN, "--out", str(tmp_path / "runs")]
    assert main([*words, "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [line["letters"] for line in figures["left_out"].values()] == [1144, 26]
    accuracies = [line["accuracy"] for line in figures["left_out"].values()]
    assert figures["mean"] == pytest.approx(sum(accuracies) / 2)
    assert f"{100 * figures['mean']:.1f}" in capsys.readouterr().out.splitlines()[-1]
    commands = {name: (tmp_path / "runs" / name / "card.md").read_text() for name in figures["left_out"]}
    assert [
        f"data: {other}" in commands[name] for name, other in zip(commands, ("scans.npz@0.3", "strokes.npz@0.7"), strict=True)
    ]
    # Finished runs are measured again, but not trained again, and only with the same settings.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.keras")}
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.keras")} == before
    capsys.readouterr()
    assert main([*words, "--seed", "2"]) == 2
    assert "holds a run with other settings; choose another --out" in capsys.readouterr().err


def test_left_out_source_chooses_no_epoch(strokes_file, scans):
    assert validation_of([f"{strokes_file}@0.7", f"{scans}@0.3"]) == [str(strokes_file)]
    # The built-in pen decides where nothing else can.
    assert validation_of([str(scans)]) == ["pen"]


def test_every_source_counts_alike():
    assert mean_accuracy([LeftOut("many", 1000, 900), LeftOut("few", 10, 5)]) == pytest.approx(0.7)


@pytest.mark.parametrize("data", [["pen"], ["a/x.npz@0.5", "b/x.npz@0.5"], ["pen@0.5", "missing.npz@0.5"]])
def test_what_cannot_be_left_out_is_refused_in_one_line(data, tmp_path, capsys):
    assert main(["--data", *data, *PLAN, "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lettercast: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
