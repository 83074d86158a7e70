"""Golden cases: loading them, replaying them, and recognising those of another model."""

from dataclasses import replace

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.golden import pack
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.engine import Engine, open_engine
from lettercast.runtime.model.golden import MAX_DIFFERENCE, golden_path, load_golden, replay
from lettercast.runtime.reader import DEFAULT_MODEL


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def golden():
    return load_golden(golden_path(DEFAULT_MODEL))


def changed(engine: Engine, change) -> Engine:
    """Return an engine whose probabilities (n, 26) are changed."""
    return replace(engine, classify=lambda images: change(engine.classify(images)))


@pytest.mark.parametrize("name", ["letters-base", "letters-nano"])
def test_the_shipped_golden_cases_belong_to_the_shipped_models_and_pass(name):
    path = device_model(name)
    golden = load_golden(golden_path(path))
    assert golden.is_of(path.read_bytes())
    assert not golden.is_of(path.read_bytes() + b"\0")
    assert sorted(golden.probabilities.argmax(1)) == list(range(26))
    assert replay(open_engine(path), golden).verdict in ("equal", "close")
    assert golden_path(path).stat().st_size < 12_000


def test_golden_cases_lie_beside_the_model_one_file_for_each_format(tmp_path):
    paths = {golden_path(tmp_path / f"letters-base-int8.{suffix}") for suffix in ("tflite", "onnx")}
    assert {path.name for path in paths} == {"letters-base-int8.tflite.golden.npz", "letters-base-int8.onnx.golden.npz"}
    assert {path.parent for path in paths} == {tmp_path}


def test_identical_probabilities_are_equal_and_slightly_different_ones_close(engine, golden):
    same = replace(golden, probabilities=engine(golden.images))
    assert replay(engine, same).verdict == "equal"
    slightly = replay(changed(engine, lambda rows: rows + np.float32(0.01)), same)
    assert (slightly.verdict, slightly.n, slightly.mismatches) == ("close", 26, ())
    assert slightly.difference == pytest.approx(0.01, abs=1e-6)


def test_different_letters_are_listed(engine, golden):
    same = replace(golden, probabilities=engine(golden.images))
    swapped = replay(changed(engine, lambda rows: rows[:, [1, 0, *range(2, 26)]]), same)
    assert swapped.verdict == "wrong"
    others = [(mismatch.expected, mismatch.actual) for mismatch in swapped.mismatches if mismatch.expected != mismatch.actual]
    assert others == [("A", "B"), ("B", "A")]


def test_the_same_letters_with_very_different_probabilities_are_wrong(engine, golden):
    same = replace(golden, probabilities=engine(golden.images))
    surer = replay(changed(engine, lambda rows: np.where(rows == rows.max(1, keepdims=True), 1, 0).astype(np.float32)), same)
    assert surer.verdict == "wrong"
    assert all(mismatch.expected == mismatch.actual and mismatch.difference > MAX_DIFFERENCE for mismatch in surer.mismatches)


def test_nan_outputs_are_wrong(engine, golden):
    broken = replay(changed(engine, lambda rows: np.full_like(rows, np.nan)), golden)
    assert (broken.verdict, broken.difference, len(broken.mismatches)) == ("wrong", 1, 26)


def test_golden_cases_survive_packing(golden, tmp_path):
    path = tmp_path / "model.tflite.golden.npz"
    path.write_bytes(pack(golden))
    again = load_golden(path)
    np.testing.assert_array_equal(again.images, golden.images)
    np.testing.assert_array_equal(again.probabilities, golden.probabilities)
    assert (again.engine, again.machine, again.model_sha256) == (golden.engine, golden.machine, golden.model_sha256)
    assert pack(again) == path.read_bytes()


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-200], lambda data: b"none" + data[4:], lambda data: None]
)
def test_damaged_or_missing_golden_cases_are_refused_by_name(golden, tmp_path, damage):
    path = tmp_path / "model.tflite.golden.npz"
    data = damage(pack(golden))
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(LettercastError, match=r"model\.tflite\.golden\.npz: .*export the model again"):
        load_golden(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda golden: {"images": golden.images.astype(np.float32)},
        lambda golden: {"images": golden.images[:-1]},
        lambda golden: {"images": golden.images[:0], "probabilities": golden.probabilities[:0]},
        lambda golden: {"probabilities": np.full_like(golden.probabilities, np.inf)},
        lambda golden: {"engine": None},
    ],
)
def test_inconsistent_golden_cases_are_refused(golden, change):
    with pytest.raises(ValueError):
        replace(golden, **change(golden))


def test_golden_cases_of_another_shape_or_other_labels_do_not_fit(engine, golden):
    for other in (
        replace(golden, images=golden.images[:, :20]),
        replace(golden, probabilities=golden.probabilities[:, :10].copy()),
    ):
        with pytest.raises(LettercastError, match="of another input shape or other labels"):
            replay(engine, other)
