"""The parity gate: its figures, its interval, its verdicts, and the table of formats with their tolerances."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.formats import FORMATS, find_formats
from lettercast.export.gate import (
    MISSED,
    PROVEN,
    UNPROVEN,
    Parity,
    Tolerance,
    compare,
    drop_interval,
    images_needed,
    round_up,
    told_apart,
    wilson_interval,
)

Z95 = 1.959964
INT8 = FORMATS["tflite-int8"].tolerance
FLOAT32 = FORMATS["tflite-float32"].tolerance
STRICT = Tolerance(max_drop=0.0, min_agreement=100.0, max_difference=1e-5)


def rows(*classes: int) -> np.ndarray:
    """Probabilities of four classes: 1 for each class given."""
    return np.eye(4, dtype=np.float32)[list(classes)]


@pytest.mark.parametrize(
    ("figure", "limit", "notation", "texts"),
    [
        (7e-5, 1e-5, "e", ("7.0e-05", "1e-05")),
        (1.004e-5, 1e-5, "e", ("1.004e-05", "1e-05")),
        (4.31e-5, 4.29123e-5, "e", ("4.31e-05", "4.29e-05")),
        (99.996, 100.0, "f", ("99.996", "100")),
        (0.4, 0.3, "f", ("0.40", "0.3")),
        (0.0, 0.0, "f", ("0.00", "0")),
    ],
)
def test_a_figure_and_its_limit_have_the_digits_that_tell_them_apart(figure, limit, notation, texts):
    assert told_apart(figure, limit, notation) == texts


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


def counted(lost: int, won: int, n: int, agreement: float | None = None) -> Parity:
    """The parity of models of which only the original is right on `lost` images, and only the export on `won`."""
    low, high = (100 * end for end in drop_interval(lost, won, n))
    same = 100 * (1 - (lost + won) / n) if agreement is None else agreement
    drop = 100 * (lost - won) / n
    return Parity(n, 90.0, 90.0 - drop, drop, low, high, same, 0.02, lost, won)


def score(drop: float, lost: int, won: int, n: int) -> float:
    """The score of a drop, with the likelihood maximised by trying shares of won images instead of by the closed form."""
    low, high = max(0.0, -drop), (1 - drop) / 2
    for _ in range(12):
        shares = np.linspace(low, high, 2001)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = [(lost, shares + drop), (won, shares), (n - lost - won, 1 - 2 * shares - drop)]
            fit = sum(count * np.log(np.maximum(share, 0)) for count, share in terms if count)
        best = int(np.argmax(np.broadcast_to(fit, shares.shape)))
        low, high = shares[max(best - 1, 0)], shares[min(best + 1, len(shares) - 1)]
    return (lost - won - n * drop) / math.sqrt(n * (2 * shares[best] + drop * (1 - drop)))


@pytest.mark.parametrize(
    ("lost", "won", "n", "interval"),
    [
        # Newcombe 1998, Statistics in Medicine 17:2635, by Tango's method.
        (12, 2, 50, (0.0611, 0.3447)),
        # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850: airway hyper-responsiveness.
        (1, 7, 21, (-0.517, -0.026)),
    ],
)
def test_the_interval_of_the_drop_is_the_published_one(lost, won, n, interval):
    assert drop_interval(lost, won, n) == pytest.approx(interval, abs=0.0005)


@pytest.mark.parametrize(
    ("lost", "won", "n"),
    [(0, 0, 9), (0, 0, 1), (3, 0, 10), (0, 3, 10), (12, 2, 50), (5, 5, 10), (30, 15, 5200), (400, 600, 1001)],
)
def test_a_drop_at_either_end_of_the_interval_has_the_score_of_95_percent(lost, won, n):
    low, high = drop_interval(lost, won, n)
    assert low <= (lost - won) / n <= high
    assert score(low, lost, won, n) == pytest.approx(Z95, abs=1e-3)
    assert score(high, lost, won, n) == pytest.approx(-Z95, abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 9, 30])
def test_swapping_the_models_negates_the_interval(n):
    for lost in range(n + 1):
        for won in range(n + 1 - lost):
            low, high = drop_interval(lost, won, n)
            assert -1 <= low <= (lost - won) / n <= high <= 1 and low < high
            assert drop_interval(won, lost, n) == (-high, -low)


@pytest.mark.parametrize("n", [1, 9, 5200, 10**7])
def test_models_that_never_differ_have_an_interval_that_shrinks_with_the_images(n):
    # The score of a drop d is then -sqrt(n d / (1 - d)).
    end = Z95**2 / (n + Z95**2)
    assert drop_interval(0, 0, n) == pytest.approx((-end, end), rel=1e-5)


def test_models_that_always_differ_in_one_direction_have_an_end_at_100_points():
    # The score of a drop d is then sqrt(n (1 - d) / (1 + d)).
    assert drop_interval(50, 0, 50) == (pytest.approx((50 - Z95**2) / (50 + Z95**2)), 1)
    assert drop_interval(1, 0, 1)[1] == 1


def test_the_interval_is_that_of_the_images_on_which_one_model_is_right():
    # Of 100 images the export loses 5 and wins 2.
    truth = np.zeros(100, int)
    original, exported = np.zeros(100, int), np.zeros(100, int)
    exported[:5], original[5:7] = 1, 1
    parity = compare(truth, rows(*original), rows(*exported))
    assert (parity.lost, parity.won, parity.drop) == (5, 2, 3)
    assert (parity.drop_low, parity.drop_high) == tuple(100 * end for end in drop_interval(5, 2, 100))
    # Within a point of the normal interval, which is good enough if some images differ.
    margin = 100 * 1.96 * math.sqrt((7 - 100 * 0.03**2) / 99 / 100)
    assert parity.drop_low == pytest.approx(3 - margin, abs=1.5)
    assert parity.drop_high == pytest.approx(3 + margin, abs=1.5)


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
        (Tolerance(0.8, 99.9), "agreement 99.20 %, at least 99.9 % needed"),
        (Tolerance(1.0, 99.9, agreement_is_required=True), "agreement 99.20 %, at least 99.9 % needed"),
        (Tolerance(1.0, 99.0, 1e-5), "difference 2.0e-02, at most 1e-05 allowed"),
    ],
)
def test_a_miss_names_the_figure_and_the_limit(tolerance, message):
    parity = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)
    assert parity.misses(tolerance) == [message]


def test_a_limit_that_is_just_met_passes():
    parity = Parity(1000, 95.0, 94.7, 0.3, 0.1, 0.5, 99.0, 0.02)
    assert parity.misses(Tolerance(0.3, 99.0, 0.02)) == []


@pytest.mark.parametrize(
    ("parity", "tolerance", "verdict"),
    [
        (counted(0, 0, 9), INT8, UNPROVEN),
        (counted(0, 0, 1276), INT8, UNPROVEN),
        (counted(0, 0, 1277), INT8, PROVEN),
        (counted(10, 10, 10_000), INT8, PROVEN),
        (counted(20, 10, 5_000), INT8, UNPROVEN),
        (counted(20, 4, 5_000), INT8, MISSED),
        # Answers that change count against a format only while its drop is unproven ...
        (counted(5, 5, 5_000, agreement=98.0), INT8, PROVEN),
        (counted(20, 10, 5_000, agreement=98.0), INT8, MISSED),
        # ... unless you set the limit yourself.
        (counted(5, 5, 5_000, agreement=98.0), replace(INT8, agreement_is_required=True), MISSED),
        # Equal answers within the difference of float32 need no statistics, and nothing else does for a tolerance of 0.
        (replace(counted(0, 0, 9), difference=1e-6), FLOAT32, PROVEN),
        (replace(counted(0, 0, 9), difference=1e-4), FLOAT32, MISSED),
        (replace(counted(0, 0, 10**6, agreement=99.99), difference=1e-6), FLOAT32, MISSED),
        (replace(counted(0, 0, 10**6, agreement=99.99), difference=1e-6), replace(FLOAT32, min_agreement=99), UNPROVEN),
    ],
)
def test_a_drop_is_proven_unproven_or_missed(parity, tolerance, verdict):
    assert parity.verdict(tolerance) == verdict


@pytest.mark.parametrize(("lost", "won", "n", "max_drop"), [(0, 0, 9, 0.3), (20, 10, 5_000, 0.3), (2, 1, 100, 5), (3, 5, 60, 0)])
def test_the_number_of_images_that_would_prove_the_drop_is_the_smallest(lost, won, n, max_drop):
    tolerance = Tolerance(max_drop, 0)
    parity = counted(lost, won, n)
    needed = parity.needed(tolerance)
    assert parity.verdict(tolerance) == UNPROVEN and needed > n
    # With the same shares of lost and won images, which are fractions then.
    ends = {count: drop_interval(lost * count / n, won * count / n, count)[1] for count in (needed - 1, needed)}
    assert 100 * ends[needed] <= max_drop < 100 * ends[needed - 1]


def test_no_number_of_images_proves_a_drop_that_is_measured_at_the_tolerance():
    assert images_needed(3, 0, 1000, 0.003) is None
    assert counted(0, 0, 9).needed(Tolerance(0, 0)) is None
    shortfall = counted(0, 0, 9).shortfall(Tolerance(0, 0))
    assert shortfall.endswith("; the measured 0.00 points leave no room to prove 0")


def test_only_an_unproven_drop_needs_more_images():
    assert counted(0, 0, 5_000).needed(INT8) is None
    assert counted(20, 4, 5_000).needed(INT8) is None


def test_an_unproven_drop_says_what_is_proven_and_what_is_needed():
    assert counted(0, 0, 9).shortfall(INT8) == (
        "9 images can rule out a drop of more than 30 points; about 1,280 images would prove 0.3"
    )
    assert counted(0, 0, 1).shortfall(INT8).startswith("1 image can")


@pytest.mark.parametrize(("value", "text"), [(1277, "1,280"), (1280, "1,280"), (0.30001, "0.301"), (29.91, "30"), (0, "0")])
def test_numbers_in_messages_are_rounded_up(value, text):
    assert f"{round_up(value):,g}" == text


@pytest.mark.parametrize(("n", "max_drop"), [(50, 20.0), (500, 5.0), (5_000, 1.0)])
@pytest.mark.parametrize("won", [0.0, 0.01, 0.1])
def test_a_drop_at_the_tolerance_is_proven_in_one_of_40_experiments_at_most(n, max_drop, won):
    draws = 2_000
    shares = [won + max_drop / 100, won]
    rng = np.random.default_rng(11)
    counts = Counter((int(b), int(c)) for b, c, _ in rng.multinomial(n, [*shares, 1 - sum(shares)], draws))
    # The agreement is left out, as it has no say in a proof.
    proven = sum(times for (b, c), times in counts.items() if counted(b, c, n).verdict(Tolerance(max_drop, 0)) == PROVEN)
    sampling_error = math.sqrt(0.025 * 0.975 / draws)
    assert proven / draws <= 0.025 + 3 * sampling_error
    # And the test is not so strict that it proves nothing.
    assert proven / draws > 0.005


def test_the_facts_hold_the_verdict_the_images_needed_and_the_confidence():
    facts = counted(0, 0, 9).to_facts(INT8)
    assert (facts["verdict"], facts["needed"], facts["tolerance"]["max_drop"]) == (UNPROVEN, 1277, 0.3)
    assert set(counted(0, 0, 9).to_dict()) < set(facts)
    assert counted(0, 0, 5_000).to_facts(INT8)["needed"] is None


def test_calibration_error_and_rejected_share_are_those_of_each_model():
    original = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], np.float32)
    exported = np.array([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [np.nan, 1]], np.float32)
    parity = compare(np.array([0, 0, 0, 1]), original, exported, reject_below=0.7)
    # Three of four are right, at a confidence of 0.9.
    assert parity.original_calibration_error == pytest.approx(15, abs=1e-4)
    # Three are right at 0.6, and the one without an answer is wrong at 0.
    assert parity.calibration_error == pytest.approx(30, abs=1e-4)
    assert (parity.original_rejected, parity.rejected) == (0, 100)


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


def test_agreement_has_wilson_s_interval():
    # Of n out of n, Wilson's lower end is n / (n + 1.96**2).
    assert wilson_interval(100, 100) == pytest.approx((100 / (100 + 1.96**2), 1), abs=1e-5)
    answers = np.eye(2, dtype=np.float32)[np.zeros(40, int)]
    other = np.concatenate([answers[:39], 1 - answers[39:]])
    parity = compare(np.zeros(40, int), answers, other)
    assert parity.agreement == 97.5
    assert (parity.agreement_low, parity.agreement_high) == tuple(100 * end for end in wilson_interval(39, 40))


def test_the_change_of_the_rejected_share_has_the_interval_of_paired_shares():
    original, exported = (np.stack([sure, 1 - sure], 1).astype(np.float32) for sure in (np.full(50, 0.9), np.full(50, 0.9)))
    exported[:4] = (0.6, 0.4)
    original[9] = (0.6, 0.4)
    parity = compare(np.zeros(50, int), original, exported, reject_below=0.7)
    assert (parity.original_rejected, parity.rejected) == (2, 8)
    assert (parity.rejected_change_low, parity.rejected_change_high) == tuple(100 * end for end in drop_interval(4, 1, 50))


def answers_at(confidence: float, n: int) -> np.ndarray:
    """Return n answers (n, 2) for class 0 with a confidence."""
    return np.tile(np.array([confidence, 1 - confidence], np.float32), (n, 1))


def test_the_change_of_the_calibration_error_is_surer_with_more_images():
    widths = []
    for n in (50, 800):
        # Nine of ten are right, which the original says, and the export is too modest by 0.2.
        truth = (np.arange(n) % 10 == 0).astype(int)
        parity = compare(truth, answers_at(0.9, n), answers_at(0.7, n))
        change = parity.calibration_error - parity.original_calibration_error
        assert change == pytest.approx(20, abs=1e-3)
        assert parity.calibration_change_low < change + 1e-6
        assert parity.calibration_change_high > 0
        widths.append(parity.calibration_change_high - parity.calibration_change_low)
    assert widths[1] < widths[0]


def test_equal_models_have_no_change_of_the_calibration_error():
    parity = compare(np.zeros(30, int), answers_at(0.8, 30), answers_at(0.8, 30))
    assert (parity.calibration_change_low, parity.calibration_change_high) == (0, 0)
