"""Peers in one run: what is installed and what is not, and what is written."""

import json
import shutil
import sys

import pytest

from lettercast.benchmarks.peers.ocr import OFFERS
from lettercast.benchmarks.peers.run import main


@pytest.fixture
def alone(monkeypatch):
    """Take away every peer that may be installed."""
    monkeypatch.setenv("PATH", "")
    for module in ("tesserocr", "rapidocr", "rapidocr_onnxruntime", "openvino", "ncnn"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def models(exported, tmp_path):
    """A folder with one model in float32 and int8."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("onnx-float32", "onnx-int8", "tflite-int8"):
        shutil.copy(exported[name], folder)
    return folder


def test_without_any_peer_the_command_says_what_to_install_and_measures_the_rest(alone, models, page_file, tmp_path, capsys):
    (page_file.parent / "labels.csv").write_text(f"file,text\n{page_file.name},ABC|DEF\n")
    out = tmp_path / "peers.json"
    words = [str(page_file.parent), "--models", str(models), "--model", "letters-nano", "--rounds", "1", "--json", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("not installed: ") >= 3 * len(OFFERS)
    assert "apt install tesseract-ocr" in shown
    assert "pip install 'lettercast[peers]'" in shown
    figures = json.loads(out.read_text())
    assert set(figures["absent"]) == {offer.name for offer in OFFERS}
    assert [len(rows) for rows in figures["pages"].values()] == [1, 1, 1]
    assert figures["pages"][page_file.parent.name][0]["cer"] == 0
    assert figures["letters"]["pen, test"][0]["error"] < 0.2
    assert [row["missing"] == "" for row in figures["engines"]] == [True, True, True, False, False, False, False]


def test_pages_that_are_none_are_refused_in_one_line(models, tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), "--models", str(models)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupt_leaves_what_was_measured(alone, models, monkeypatch, capsys, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lettercast.benchmarks.peers.run.compare_letters", interrupt)
    out = tmp_path / "peers.json"
    assert main(["--models", str(models), "--rounds", "1", "--json", str(out)]) == 130
    figures = json.loads(out.read_text())
    assert figures["interrupted"]
    assert set(figures["pages"]) == {"example page", "generated pages"}
    assert figures["engines"] == []
    assert "generated pages" in capsys.readouterr().out
