"""Benchmarks of models: rows, figures, the JSON, and the command."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from lettercast import LettercastError, benchmarks
from lettercast.benchmarks import report
from lettercast.benchmarks.parity import measure as latency
from lettercast.benchmarks.parity.benchmark import Row, find_models, run_benchmark
from lettercast.benchmarks.parity.contender import open_contenders

QUICK_S = 0.05
REFERENCE = Path(benchmarks.__file__).with_name("reference")


@pytest.fixture(scope="module")
def result(measured_run):
    return measured_run


@pytest.fixture
def known_result(result, monkeypatch):
    """Return a function that makes the command use the measured result, with some fields changed."""

    def use(**changes):
        monkeypatch.setattr(report, "benchmark", lambda *_, **__: replace(result, **changes))

    return use


@pytest.fixture(scope="session")
def schema(root):
    return json.loads((root / "docs" / "benchmark.schema.json").read_text())


def test_the_original_comes_first_and_agrees_with_itself(result):
    original = result.rows[0]
    assert (original.name, original.speedup, original.parity.agreement, original.parity.drop) == ("model.keras", 1, 100, 0)
    # A model equals itself for certain; of its exports, this many images leave some doubt.
    assert (original.parity.drop_low, original.parity.drop_high) == (0, 0)
    assert all(row.parity.drop_low < row.parity.drop < row.parity.drop_high for row in result.rows[1:])
    assert [row.name for row in result.rows[1:]] == ["letters-nano-int8.tflite", "letters-nano-int8.onnx"]


def test_accuracy_and_agreement_are_those_of_the_gate(result, artifacts):
    for row, name in zip(result.rows[1:], ("tflite-int8", "onnx-int8"), strict=True):
        assert row.parity.accuracy == artifacts[name].parity.accuracy
        assert row.parity.agreement == artifacts[name].parity.agreement
        assert row.size_bytes == artifacts[name].size_bytes


def test_accuracy_has_its_interval(result):
    for row in result.rows:
        assert 0 < row.accuracy.low < row.accuracy.percent < row.accuracy.high <= 100
        # Wilson's interval of 520 letters at 90 % and more.
        assert 1 < row.accuracy.high - row.accuracy.low < 8


def test_speedup_is_the_ratio_of_the_medians(result):
    for row in result.rows:
        assert row.speedup == pytest.approx(result.rows[0].letter.p50_ms / row.letter.p50_ms)
        assert row.letters_per_second == pytest.approx(15_000 / row.batch.p50_ms)


def test_changes_of_the_confusion_matrix_are_disagreements(result):
    original, *exports = result.rows
    assert original.moved == ()
    for row in exports:
        assert sum(more for _, _, more in row.moved) == 0
        changed = sum(more for _, _, more in row.moved if more > 0)
        # Opposite changes cancel out.
        assert changed <= round((100 - row.parity.agreement) / 100 * row.parity.n)


def test_the_json_matches_its_schema(result, schema):
    figures = json.loads(json.dumps(result.to_dict()))
    jsonschema.validate(figures, schema)
    assert (figures["data"], figures["split"], figures["threads"], len(figures["rows"])) == ("strokes.npz", "test", 1, 3)
    assert figures["rows"][1]["parity"]["n"] == 520


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.stem)
def test_reference_figures_match_the_schema_and_come_from_a_quiet_machine(path, schema):
    figures = json.loads(path.read_text())
    if "rows" in figures:
        jsonschema.validate(figures, schema)
        assert figures["machine"]["doubts"] == [] and not figures["interrupted"]
        assert {"limit", "reader"} <= set(figures)


def test_a_broken_model_and_one_without_its_original_get_a_row(exported, check_source, schema, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    result = run_benchmark(open_contenders([broken, exported["onnx-int8"]], [], 1), check_source, seconds=QUICK_S)
    bad, good = result.rows
    assert bad.failure and bad.accuracy is bad.letter is None
    assert good.accuracy and good.letter and good.footprint
    assert good.parity is good.speedup is None
    jsonschema.validate(json.loads(json.dumps(result.to_dict())), schema)


def test_without_any_usable_model_every_reason_is_given(check_source, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.onnx").write_bytes(b"no model")
    with pytest.raises(LettercastError, match=r"a.onnx: .*; .*b.onnx: "):
        run_benchmark(open_contenders(find_models([tmp_path]), [], 1), check_source)


def test_an_interrupted_run_keeps_its_figures(exported, check_source, schema):
    def stop(said: str) -> None:
        if said == "measuring latency, round 3":
            raise KeyboardInterrupt

    contenders = open_contenders([exported["onnx-int8"]], [], 1)
    result = run_benchmark(contenders, check_source, seconds=QUICK_S, report=stop)
    assert result.interrupted
    (row,) = result.rows
    assert row.accuracy and row.footprint and row.letter
    jsonschema.validate(json.loads(json.dumps(result.to_dict())), schema)


def test_an_interrupted_command_writes_its_figures(lettercast, exported, strokes_file, tmp_path, monkeypatch):
    runs, timed = [], latency.timed

    def timed_until(*words):
        runs.append(words)
        if len(runs) == 60:
            signal.raise_signal(signal.SIGINT)
        return timed(*words)

    monkeypatch.setattr(latency, "timed", timed_until)
    words = ("benchmark", exported["onnx-int8"], "--data", strokes_file, "--seconds", QUICK_S)
    code, out, err = lettercast(*words, "--json", tmp_path / "figures.json", "--html", tmp_path / "page.html")
    assert (code, err) == (130, "lettercast: interrupted\n")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["interrupted"] and figures["rows"][0]["accuracy"]
    assert "interrupted: some figures are missing" in out
    assert "Interrupted" in (tmp_path / "page.html").read_text()


def test_models_in_folders_are_found_once(exported):
    folder = exported["onnx-int8"].parent
    found = find_models([folder, exported["onnx-int8"]])
    assert sorted(found) == sorted(exported.values())


def test_a_folder_without_models_and_a_missing_one_are_named(tmp_path):
    with pytest.raises(LettercastError, match=r"no .tflite or .onnx model in this folder"):
        find_models([tmp_path])
    with pytest.raises(LettercastError, match="no such model or folder"):
        find_models([tmp_path / "gone"])


def test_a_model_that_fails_is_exit_1_and_the_others_are_shown(lettercast, known_result, result):
    broken = Row("broken.tflite", "", "", 1000, failure="no model")
    known_result(rows=(*result.rows, broken))
    code, out, err = lettercast("benchmark")
    assert (code, err) == (1, "")
    assert "broken.tflite: no model" in out
    assert "letters-nano-int8.tflite" in out


def test_the_command_shows_how_a_run_differs_from_an_earlier_one(lettercast, known_result, tmp_path):
    known_result()
    before, page = tmp_path / "before.json", tmp_path / "page.html"
    assert lettercast("benchmark", "--json", before, "--html", page)[0] == 0
    figures = json.loads(before.read_text())
    row = next(row for row in figures["rows"] if row["format"] == "tflite-int8")
    row["size_bytes"] = row["size_bytes"] // 2
    before.write_text(json.dumps(figures))
    words = ("--against", before, "--tolerance", 90, "--max-p99", 10_000, "--min-accuracy", 1)
    code, out, err = lettercast("benchmark", *words)
    assert code == 1
    assert err.startswith("lettercast: letters-nano-int8.tflite with ai-edge-litert: bytes +")
    assert len(err.splitlines()) == 1
    # A long path is cut wherever the line ends.
    assert f"since{before}" in "".join(out.split())
    assert "<svg" in page.read_text()


def test_a_missed_threshold_is_exit_1_and_named(lettercast, known_result, tmp_path):
    known_result()
    code, out, err = lettercast("benchmark", "--min-accuracy", 100, "--json", tmp_path / "figures.json")
    assert code == 1
    assert "letters-nano-int8.tflite: accuracy" in err
    assert "at least 100 % required" in err
    assert "letters-nano-int8.tflite" in out
    assert len(json.loads((tmp_path / "figures.json").read_text())["rows"]) == 3


@pytest.mark.parametrize("text", [None, "no json", "[]", '{"schema": 1, "rows": [], "machine": {}}'])
def test_a_bad_file_of_an_earlier_run_is_refused_before_measuring(refused, exported, strokes_file, tmp_path, text):
    before = tmp_path / "before.json"
    if text is not None:
        before.write_text(text)
    assert "before.json" in refused("benchmark", exported["onnx-int8"], "--data", strokes_file, "--against", before)
