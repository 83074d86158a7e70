"""The parity gate: its figures and limits, and the table of formats with their tolerances."""

import math

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.formats import FORMATS, find_formats
from lettercast.export.gate import Parity, Tolerance, compare

STRICT = Tolerance(max_drop=0.0, min_agreement=100.0, max_difference=1e-5)


def rows(*classes: int) -> np.ndarray:
    """Probabilities of four classes: 1 for each class given."""
    return np.eye(4, dtype=np.float32)[list(classes)]


def test_a_model_compared_with_itself_passes_the_strictest_gate():
    parity = compare(np.array([0, 1, 2]), rows(0, 1, 3), rows(0, 1, 3))
    assert parity.accuracy == parity.original_accuracy == pytest.approx(200 / 3)
    assert (parity.drop, parity.agreement, parity.difference) == (0, 100, 0)
    assert parity.misses(STRICT) == []


def test_drop_and_agreement_equal_those_counted_by_hand():
    truth = np.array([0, 1, 2, 3, 0])
    parity = compare(truth, rows(0, 1, 2, 3, 1), rows(0, 1, 2, 0, 0))
    assert parity.original_accuracy == 80
    assert parity.accuracy == 80
    assert parity.drop == 0
    assert parity.agreement == 60


def test_the_interval_is_that_of_the_paired_difference():
    # Of 100 letters the export loses 5 and wins 2: mean 0.03, variance (7 - 100 * 0.03^2) / 99.
    truth = np.zeros(100, int)
    original, exported = np.zeros(100, int), np.zeros(100, int)
    exported[:5], original[5:7] = 1, 1
    parity = compare(truth, rows(*original), rows(*exported))
    margin = 100 * 1.96 * math.sqrt((7 - 100 * 0.03**2) / 99 / 100)
    assert parity.drop == pytest.approx(3)
    assert parity.drop_low == pytest.approx(3 - margin, abs=0.001)
    assert parity.drop_high == pytest.approx(3 + margin, abs=0.001)


def test_either_of_two_tied_classes_agrees_and_a_clear_loser_does_not():
    original = np.array([[0.4, 0.399, 0.201]], np.float32)
    second = np.array([[0.3, 0.5, 0.2]], np.float32)
    third = np.array([[0.2, 0.3, 0.5]], np.float32)
    assert compare(np.array([0]), original, second, tie=0.01).agreement == 100
    assert compare(np.array([0]), original, second).agreement == 0
    assert compare(np.array([0]), original, third, tie=0.01).agreement == 0


def test_nan_outputs_never_pass():
    broken = rows(0, 1)
    broken[0] = np.nan
    parity = compare(np.array([0, 1]), rows(0, 1), broken)
    assert parity.difference == 1
    assert any("difference" in miss for miss in parity.misses(STRICT))


def test_a_nan_output_is_wrong_for_every_class():
    parity = compare(np.array([0, 0]), rows(0, 0), np.full((2, 4), np.nan))
    assert (parity.accuracy, parity.agreement) == (0, 0)


def test_a_tie_is_neither_a_drop_nor_a_disagreement():
    tied = np.array([[0.5, 0.5 - 1e-7, 0, 0]])
    parity = compare(np.array([0]), tied, tied[:, [1, 0, 2, 3]], tie=1e-5)
    assert (parity.drop, parity.agreement) == (0, 100)


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        (Tolerance(0.3, 99.0), "accuracy drop 0.50 points, at most 0.3 allowed"),
        (Tolerance(1.0, 99.9), "agreement 99.20 %, at least 99.9 % needed"),
        (Tolerance(1.0, 99.0, 1e-5), "difference 2.0e-02, at most 1e-05 allowed"),
    ],
)
def test_a_miss_names_the_figure_and_the_limit(tolerance, message):
    parity = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)
    assert parity.misses(tolerance) == [message]


def test_a_limit_that_is_just_met_passes():
    parity = Parity(1000, 95.0, 94.7, 0.3, 0.1, 0.5, 99.0, 0.02)
    assert parity.misses(Tolerance(0.3, 99.0, 0.02)) == []


def test_a_single_letter_has_no_interval():
    parity = compare(np.array([0]), rows(0), rows(1))
    assert (parity.drop, parity.drop_low, parity.drop_high) == (100, 100, 100)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tflite-int8", "letters-base-int8.tflite"),
        ("tflite-float32", "letters-base-float32.tflite"),
        ("onnx-int8", "letters-base-int8.onnx"),
        ("onnx-float32", "letters-base-float32.onnx"),
    ],
)
def test_a_file_name_does_not_repeat_its_suffix(name, file):
    assert FORMATS[name].file_name("letters-base") == file


def test_no_two_formats_write_the_same_file():
    files = [row.file_name("m") for row in FORMATS.values()]
    assert len(set(files)) == len(files)


def test_formats_come_once_each_in_the_order_asked_and_all_without_names():
    names = [row.name for row in find_formats(["onnx-int8", "tflite-int8", "onnx-int8"])]
    assert names == ["onnx-int8", "tflite-int8"]
    assert [row.name for row in find_formats(None)] == list(FORMATS)


def test_an_unknown_format_is_refused_with_the_list_of_formats():
    with pytest.raises(LettercastError, match=r"unknown format 'coreml': choose from tflite-float32, .*onnx-int8"):
        find_formats(["tflite-int8", "coreml"])


def test_float_formats_allow_no_loss_and_others_their_stated_limits():
    allowed = {"float32": (0.0, 100.0), "float16": (0.1, 99.9), "mobile": (0.5, 98.5)}
    for row in FORMATS.values():
        limits = (row.tolerance.max_drop, row.tolerance.min_agreement)
        assert limits == allowed.get(row.name.partition("-")[2], (0.3, 99.0))
