"""What is measured beside the models themselves."""

import json

import jsonschema
import pytest

from lettercast import LettercastError
from lettercast.benchmarks import report as sections
from lettercast.benchmarks.parity.contender import Contender, open_contenders
from lettercast.benchmarks.report import Section, limit_section, measure_section, peers_section, reader_section


def say_nothing(said: str) -> None:
    pass


def test_the_reader_is_timed_with_the_first_int8_model(exported):
    contenders = open_contenders([exported["onnx-float32"], exported["tflite-int8"]], [], 1)
    section = reader_section(contenders, 0.0, say_nothing, counts=(1, 3), sizes=((320, 240), (480, 360)))
    figures = json.loads(json.dumps(section.to_dict()))
    assert figures["growth"]["engine"].startswith("ai-edge-litert")
    assert [point["x"] for point in figures["growth"]["letters"]["points"]] == [1, 3]
    assert figures["loop"]["fps"] > 0
    assert len(section.tables) == 3 and len(section.plots) == 1


def test_where_no_model_reads_pages_or_has_a_peak_that_is_said(tmp_path):
    broken = [Contender(tmp_path / "m.onnx", failure="broken")]
    assert "reads letters" in reader_section(broken, 0.0, say_nothing).note
    assert "int8" in limit_section(broken, 0.0, say_nothing).note
    assert "reads letters" in peers_section(broken, 0.0, say_nothing).note


def test_what_goes_wrong_with_one_is_its_note(monkeypatch):
    def fails(contenders, seconds, report):
        raise LettercastError("m.onnx: no")

    monkeypatch.setitem(sections.SECTIONS, "limit", fails)
    assert measure_section("limit", [], 0.0, say_nothing) == Section("limit", note="m.onnx: no")


def test_the_command_writes_them_to_json_page_and_terminal(lettercast, exported, strokes_file, root, tmp_path):
    words = ("benchmark", exported["tflite-int8"], "--data", strokes_file, "--seconds", 0.02, "--also", "limit")
    code, out, err = lettercast(*words, "--json", tmp_path / "figures.json", "--html", tmp_path / "page.html")
    assert (code, err) == (0, "")
    figures = json.loads((tmp_path / "figures.json").read_text())
    jsonschema.validate(figures, json.loads((root / "docs" / "benchmark.schema.json").read_text()))
    (model,) = figures["limit"]["models"]
    assert 0 < model["share"] < 1.5
    assert "How far from the limit" in out
    assert "How far from the limit" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("what", ["limits", "limit,reeder"])
def test_what_cannot_be_measured_is_named_before_anything_is(refused, exported, what):
    assert "there is no such measurement; choose from limit" in refused("benchmark", exported["onnx-int8"], "--also", what)
