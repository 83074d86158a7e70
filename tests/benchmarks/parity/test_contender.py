"""Models to measure: their engines, their originals, and the calls to time."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.contender import BATCH, finder, open_contenders, pictures_taken, runs_of, tie_of
from lettercast.export.exporter import DEFAULT_MODEL
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.installed import LITERT, ONNX_RUNTIME, OPENCV, TFLITE_RUNTIME
from lettercast.train.predict import load_keras


def test_an_export_finds_its_original_by_the_hash_inside(exported, model_file, tmp_path):
    other = tmp_path / "other.keras"
    other.write_bytes(model_file.read_bytes() + b"\0")
    original, tflite, onnx = open_contenders([exported["tflite-int8"], exported["onnx-int8"]], [other, model_file], 1)
    assert (original.path, original.format, original.original) == (model_file, "keras", None)
    assert tflite.original is onnx.original is original
    assert original.labels == tflite.labels
    assert (tflite.note, onnx.note) == ("", "")


def test_a_model_that_was_saved_again_is_still_the_original(exported, model_file, tmp_path):
    again = tmp_path / "again.keras"
    network = load_keras(model_file)
    network.compile("sgd", "mse")
    network.save(again)
    assert again.read_bytes() != model_file.read_bytes()
    original, export = open_contenders([exported["tflite-int8"]], [DEFAULT_MODEL, again], 1)
    assert original.path == again and export.original is original


def test_files_of_early_versions_know_their_original_by_its_file_only(exported, model_file, tmp_path):
    facts = replace(open_engine(exported["onnx-int8"]).facts, network_sha256="")
    assert finder([DEFAULT_MODEL, model_file])(facts) == model_file
    assert finder([DEFAULT_MODEL])(facts) is None


def test_an_export_without_its_original_is_measured_with_a_note(exported):
    (export,) = open_contenders([exported["onnx-int8"]], [DEFAULT_MODEL], 1)
    assert export.runs and export.original is None
    assert "letters-nano was made from none of the originals; name its .keras file with --original" in export.note


def test_a_missing_engine_is_named_and_the_other_models_run(exported, monkeypatch):
    for package in (LITERT, TFLITE_RUNTIME):
        monkeypatch.setitem(sys.modules, package.module.partition(".")[0], None)
        monkeypatch.setitem(sys.modules, package.module, None)
    tflite, onnx = open_contenders([exported["tflite-int8"], exported["onnx-int8"]], [], 1)
    assert not tflite.runs
    assert tflite.skipped.startswith("no engine for .tflite models is installed: pip install 'lettercast[reader]' or ")
    assert onnx.runs
    with pytest.raises(LettercastError, match=r"int8\.tflite: no engine"):
        pictures_taken([tflite])


def test_opencv_is_measured_for_the_formats_that_it_is_for(exported):
    names = ("onnx-float32", "onnx-float16", "onnx-int8", "onnx-dynamic")
    opened = open_contenders([exported[name] for name in names], [], 1)
    assert all(one.runs for one in opened)
    engines = {name: [one.package for one in opened if one.format == name] for name in names}
    alone, both = [ONNX_RUNTIME], [ONNX_RUNTIME, OPENCV]
    assert engines == {"onnx-float32": both, "onnx-float16": both, "onnx-int8": alone, "onnx-dynamic": alone}


def test_a_quantized_file_that_only_opencv_could_run_says_why_it_does_not(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (dynamic,) = open_contenders([exported["onnx-dynamic"]], [], 1)
    assert "cannot run this onnx-dynamic file (it lacks DynamicQuantizeLinear as used here)" in dynamic.failure


def test_a_broken_file_fails_without_stopping_the_others(exported, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(exported["tflite-int8"].read_bytes()[:1000])
    bad, good = open_contenders([broken, exported["tflite-int8"]], [], 1)
    assert bad.failure and str(broken) not in bad.failure
    assert good.runs


def test_a_keras_model_among_the_exports_fails_with_a_hint_to_its_option(model_file):
    (contender,) = open_contenders([model_file], [], 1)
    assert "--original" in contender.failure


def test_the_tie_is_that_of_the_format(exported):
    contender, *_ = open_contenders([exported["onnx-float32"]], [], 1)
    assert tie_of(contender) == pytest.approx(1e-5)


@pytest.mark.parametrize("ending", ["onnx", "tflite"])
def test_the_timed_call_goes_from_ink_to_probabilities(exported, check_source, ending):
    from lettercast.train.data.source import draw_all

    images = draw_all(check_source)[:40]
    contender, *_ = open_contenders([exported[f"{ending}-float32"]], [], 1)
    one, many = runs_of(contender.engine, images)
    answers = np.concatenate([one(i) for i in range(40)])
    assert answers.shape == (40, 26)
    # Enlarging the ink and normalising it again may change an ambiguous letter.
    assert (answers.argmax(1) == contender.engine(images).argmax(1)).mean() > 0.9
    assert np.allclose(many(1), answers[BATCH : 2 * BATCH], atol=1e-5)
    # After the last letter it starts again with the first.
    assert np.allclose(many(2), answers[[*range(30, 40), *range(5)]], atol=1e-5)


def test_the_original_gets_finished_images(exported, model_file, check_source):
    from lettercast.train.data.source import draw_all

    images = draw_all(check_source)[:8]
    original, _ = open_contenders([exported["onnx-int8"]], [model_file], 1)
    one, many = runs_of(original.engine, images)
    whole = original.engine(images)
    assert np.allclose(one(3), whole[3:4], atol=1e-5)
    assert np.allclose(many(0), whole[[i % 8 for i in range(BATCH)]], atol=1e-5)
