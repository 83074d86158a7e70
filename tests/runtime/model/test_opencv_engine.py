"""OpenCV's dnn as the engine of ONNX files: its results, and the files that it must not run."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.golden import pack
from lettercast.runtime.model.engine import DNN_DIFFERENCES, open_content, open_engine
from lettercast.runtime.model.facts import onnx_facts
from lettercast.runtime.model.golden import golden_path, load_golden, replay
from lettercast.runtime.model.installed import (
    LITERT,
    ONNX_RUNTIME,
    OPENCV,
    TFLITE_RUNTIME,
    describe_missing_packages,
    find_engine,
)
from lettercast.train.data.source import draw_some


@pytest.fixture(scope="module")
def letters(check_source) -> np.ndarray:
    return draw_some(check_source, range(104), None)


@pytest.fixture
def copied(exported, tmp_path):
    """Return a function that copies an export and its golden cases, which it may change: the copy's path."""

    def copy(name: str, change=lambda golden: golden) -> Path:
        path = tmp_path / exported[name].name
        path.write_bytes(exported[name].read_bytes())
        golden_path(path).write_bytes(pack(change(load_golden(golden_path(exported[name])))))
        return path

    return copy


@pytest.mark.parametrize(("name", "difference"), [("onnx-float32", 1e-5), ("onnx-float16", 5e-3)])
def test_opencv_gives_the_probabilities_of_onnx_runtime(exported, letters, name, difference):
    dnn, other = open_engine(exported[name], package=OPENCV), open_engine(exported[name])
    assert dnn.name == f"opencv-python {cv2.__version__}"
    assert other.name.startswith("onnxruntime")
    assert dnn.facts == other.facts
    given, expected = dnn(letters), other(letters)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=difference)
    np.testing.assert_array_equal(given.argmax(1), expected.argmax(1))
    assert difference < DNN_DIFFERENCES[name]


def test_without_onnx_runtime_opencv_is_the_engine(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert find_engine(".onnx").package == OPENCV
    assert open_engine(exported["onnx-float32"]).name.startswith("opencv-python")
    assert describe_missing_packages(".onnx") == []


def test_without_opencv_only_opencv_is_missing(monkeypatch):
    for module in ("onnxruntime", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    (line,) = describe_missing_packages(".onnx")
    assert line.startswith("OpenCV is not installed: ")


def test_neither_batches_nor_threads_change_the_probabilities(exported, letters):
    one, two = (open_engine(exported["onnx-float32"], threads, OPENCV) for threads in (1, 2))
    expected = one(letters)
    np.testing.assert_array_equal(np.concatenate([one(letter[None]) for letter in letters]), expected)
    np.testing.assert_array_equal(one(letters[5:12]), expected[5:12])
    np.testing.assert_allclose(two(letters), expected, atol=1e-6)


def test_several_threads_may_ask_at_once(exported, letters):
    engine = open_engine(exported["onnx-float32"], package=OPENCV)
    expected = engine(letters)
    parts = [slice(start, start + 13) for start in range(0, 104, 13)] * 4
    with ThreadPoolExecutor(4) as pool:
        for part, given in zip(parts, pool.map(lambda part: engine(letters[part]), parts), strict=True):
            np.testing.assert_array_equal(given, expected[part])


def test_the_engine_leaves_the_threads_of_opencv_as_they_were(exported, letters):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        open_engine(exported["onnx-float32"], 1, OPENCV)(letters[:2])
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("name", "off"), [("onnx-float32", 0.002), ("onnx-float16", 0.02)])
def test_a_file_is_refused_if_a_known_probability_is_off(copied, name, off):
    path = copied(name, lambda golden: replace(golden, probabilities=golden.probabilities + np.float32(off)))
    other = " or ".join(["an onnx-float32 file"] * (name != "onnx-float32") + ["ONNX Runtime"])
    message = rf"computes this {name} file wrongly \((\d+) of \1 golden cases differ, by up to {off:g}\); use {other}"
    with pytest.raises(LettercastError, match=message):
        open_engine(path, package=OPENCV)
    # Only OpenCV is checked when it opens a file; for other engines the doctor does it.
    assert replay(open_engine(path), load_golden(golden_path(path))).verdict in ("close", "equal")


def test_a_file_is_refused_if_a_known_label_differs(copied):
    def swap(golden):
        rows = golden.probabilities.copy()
        rows[-1] = rows[-1, ::-1]
        return replace(golden, probabilities=rows)

    with pytest.raises(LettercastError, match=r"computes this onnx-float32 file wrongly \(1 of 26 golden cases differ"):
        open_engine(copied("onnx-float32", swap), package=OPENCV)


def test_a_file_without_golden_cases_of_its_own_is_refused(copied):
    path = copied("onnx-float32", lambda golden: replace(golden, model_sha256="0"))
    with pytest.raises(LettercastError, match="golden cases belong to another model"):
        open_engine(path, package=OPENCV)
    golden_path(path).unlink()
    with pytest.raises(LettercastError, match=rf"needs the golden .*; copy {golden_path(path).name} beside it, or use ONNX"):
        open_engine(path, package=OPENCV)


def test_content_without_a_file_is_refused(exported, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(LettercastError, match="needs the golden cases"):
        open_content(exported["onnx-float32"].read_bytes(), "onnx")


def test_a_file_with_an_operation_that_opencv_lacks_is_refused_by_its_name(exported):
    with pytest.raises(
        LettercastError, match=r"dynamic\.onnx: .* \(it lacks DynamicQuantizeLinear as used here\); use an onnx-fl"
    ):
        open_engine(exported["onnx-dynamic"], package=OPENCV)


def test_an_engine_that_is_named_and_missing_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(LettercastError, match=r"float32\.onnx: ONNX Runtime is not installed: pip install 'lettercast\[onnx\]'$"):
        open_engine(exported["onnx-float32"], package=ONNX_RUNTIME)


@pytest.mark.parametrize(("package", "name"), [(OPENCV, "tflite-int8"), (LITERT, "onnx-float32"), (TFLITE_RUNTIME, "onnx-int8")])
def test_an_engine_for_other_models_is_refused(exported, package, name):
    with pytest.raises(LettercastError, match=rf"{package.title} does not run {exported[name].suffix} models, .* do"):
        open_engine(exported[name], package=package)


def test_golden_cases_of_large_images_are_few_and_spread(exported):
    golden = load_golden(golden_path(exported["onnx-float32"]))
    assert len(golden.first(1_000_000).images) == len(golden.images) == 26
    few = golden.first(3 * golden.images[0].size)
    np.testing.assert_array_equal(few.images, golden.images[[0, 12, 25]])
    assert len(golden.first(1).probabilities) == 2


def test_facts_of_onnx_files_are_read_without_a_library(exported):
    import onnx

    for name in ("onnx-float32", "onnx-int8"):
        model = exported[name].read_bytes()
        entries = {entry.key: entry.value for entry in onnx.load_model_from_string(model).metadata_props}
        assert onnx_facts(exported[name], model).to_json() == entries["lettercast"]


def test_metadata_of_others_is_passed_over(exported):
    import onnx

    graph = onnx.load(exported["onnx-float32"])
    (own,) = graph.metadata_props
    text = own.value
    del graph.metadata_props[:]
    for key, value in (("author", "someone"), ("empty", ""), ("lettercast", text), ("ünïcode", "x" * 300)):
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    assert onnx_facts(Path("m.onnx"), graph.SerializeToString()).to_json() == text


@pytest.mark.parametrize("content", [b"\xff", b"\x80" * 20, b"no model at all", b"\x72\x05ab", b"\x0b", b"\x71"])
def test_what_is_no_onnx_file_is_refused(content):
    with pytest.raises(LettercastError, match=r"m\.onnx: (not an ONNX model|carries no facts)"):
        onnx_facts(Path("m.onnx"), content)


@pytest.mark.parametrize("words", [["read"], ["classify"]])
def test_the_commands_run_the_engine_that_is_named(words, lettercast, exported, page_file):
    model = exported["onnx-float32"]
    same = [lettercast(*words, page_file, "--json", "--model", model, "--engine", name) for name in ("opencv", "onnxruntime")]
    assert [code for code, _, err in same] == [0, 0], same
    first, second = ([word for word in out.split() if word.isupper()] for _, out, _ in same)
    assert first == second


def test_the_doctor_runs_the_engine_that_is_named(lettercast, exported):
    code, out, _ = lettercast("doctor", exported["onnx-float32"], "--engine", "opencv")
    assert code == 0
    assert f"engine     opencv-python {cv2.__version__}" in out
    assert "close: all 26 golden cases" in " ".join(out.split())
    code, out, _ = lettercast("doctor", exported["tflite-int8"], "--engine", "opencv")
    assert code == 2
    assert "OpenCV does not run .tflite models, LiteRT and tflite-runtime do; for OpenCV, export onnx-float32" in " ".join(
        out.split()
    )


def test_an_unknown_engine_is_refused_with_the_choices(refused, page_file):
    assert "choose from litert, tflite-runtime, onnxruntime, opencv" in refused("read", page_file, "--engine", "tensorrt")
