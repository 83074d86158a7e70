"""Evaluation of a model of any format: accuracy, calibration, rejection, writers."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from lettercast import LettercastError
from lettercast.train.data.source import ImageSource
from lettercast.train.evaluation import (
    MIN_LETTERS,
    Evaluation,
    best_temperature,
    evaluate,
    group_by_writer,
    rejected_share,
    rejection_threshold,
    reliability,
    tempered,
)
from lettercast.train.predict import open_model

# Four letters of three classes: right, I for L, L for I, and G right in second place only.
PROBABILITIES = np.array([[0.1, 0.7, 0.2], [0.1, 0.5, 0.4], [0.2, 0.3, 0.5], [0.3, 0.1, 0.6]], np.float32)


@pytest.fixture
def result() -> Evaluation:
    return Evaluation(
        "m", "engine", "d", "test", ("G", "I", "L"), np.array([1, 2, 1, 0]), PROBABILITIES, np.zeros((4, 28, 28, 1), np.uint8)
    )


def test_accuracy_top2_and_confusion_match_a_count_by_hand(result):
    assert result.predicted.tolist() == [1, 1, 2, 2]
    assert result.accuracy == 0.25
    assert result.top2 == 1.0
    assert result.confusion.tolist() == [[0, 0, 1], [0, 1, 1], [0, 1, 0]]


def test_share_of_a_pair_counts_both_directions_over_all_errors(result):
    assert result.pair_share("I", "L") == pytest.approx(2 / 3)
    assert result.pair_share("L", "I") == pytest.approx(2 / 3)
    assert result.pair_share("G", "I") == 0
    assert result.pair_share("G", "Q") == 0


def test_figures_by_class_match_scikit_learn():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), 60).astype(np.float32)
    truth = rng.integers(0, 3, 60)
    result = Evaluation("m", "engine", "d", "test", ("G", "I", "L"), truth, probabilities, np.zeros((60, 28, 28, 1), np.uint8))
    expected = precision_recall_fscore_support(truth, probabilities.argmax(1))
    for column, name in enumerate(("precision", "recall", "f1-score", "support")):
        assert [scores[name] for scores in result.per_class().values()] == pytest.approx(expected[column].tolist())
    assert result.accuracy == accuracy_score(truth, probabilities.argmax(1))


def test_json_of_the_command_has_the_documented_keys(lettercast, model_file, strokes_file):
    code, out, _ = lettercast("evaluate", model_file, "--data", strokes_file, "--json")
    figures = json.loads(out)
    assert code == 0
    assert {"model", "data", "split", "n", "accuracy", "top2", "per_class"} <= set(figures)
    assert (figures["model"], figures["data"], figures["split"], figures["n"]) == ("letters-nano", "strokes.npz", "test", 520)
    assert list(figures["per_class"]) == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_small_model_reads_unseen_letters(model_file, check_source):
    result = evaluate(open_model(model_file), check_source)
    assert len(result.truth) == 520
    assert result.accuracy >= 0.9
    assert result.top2 > result.accuracy
    assert result.writer_summary().count == 1
    assert result.capitals == result.accuracy
    assert result.images.shape == (520, 28, 28, 1)


def test_every_format_has_the_accuracy_of_the_original_within_a_point(model_file, exported, check_source):
    original = evaluate(open_model(model_file), check_source).accuracy
    for path in exported.values():
        assert evaluate(open_model(path), check_source).accuracy == pytest.approx(original, abs=0.01)


def test_class_that_the_model_does_not_know_is_named(exported):
    digits = ImageSource("digits", "all", [np.full((9, 9), 255, np.uint8)] * 2, np.array([0, 1]), ("A", "7"))
    with pytest.raises(LettercastError, match="digits: the model knows no class 7"):
        evaluate(open_model(exported["tflite-int8"]), digits)


def test_report_writes_the_matrix_and_the_figures_of_the_json(lettercast, exported, strokes_file, tmp_path):
    words = ("evaluate", exported["onnx-int8"], "--data", strokes_file, "--split", "val")
    code, out, _ = lettercast(*words, "--json", "--report", tmp_path / "report")
    assert code == 0
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == json.loads(out)
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_table_shows_accuracy_and_every_class(lettercast, exported, strokes_file):
    code, out, _ = lettercast("evaluate", exported["tflite-int8"], "--data", strokes_file)
    assert code == 0
    assert "accuracy" in out
    assert sum(line.strip(" │").split(" ")[0] in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for line in out.splitlines() if "│" in line) == 26


def measured(confidences, right, **more) -> Evaluation:
    """Letters that were read as the first of two classes; right (N,) is True if that is correct."""
    confidences = np.array(confidences, np.float32)
    truth = np.where(right, 0, 1)
    probabilities = np.stack([confidences, 1 - confidences], 1)
    return Evaluation(
        "m", "engine", "d", "test", ("I", "L"), truth, probabilities, np.zeros((len(truth), 2, 2, 1), np.uint8), **more
    )


def test_merged_labels_count_as_one(result):
    # L for I and I for L count as right; G for L is an error.
    assert result.merged_accuracy("I", "L") == 0.75
    assert result.merged_accuracy("G", "L") == 0.5
    assert result.merged_accuracy("I", "Ö") == result.accuracy


def test_capitals_and_small_letters_have_their_own_accuracy():
    result = measured([0.9] * 4, [True, False, True, True], upper=np.array([True, True, False, False]))
    assert (result.capitals, result.small) == (0.5, 1.0)
    unknown = measured([0.9], [True])
    assert unknown.capitals is None and unknown.small is None
    assert measured([0.9], [True], upper=np.array([True])).small is None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    assert measured([0.8] * 10, [True] * 6 + [False] * 4).ece == pytest.approx(0.2, abs=1e-6)


def test_letters_below_the_threshold_are_rejected():
    result = measured([0.9, 0.8, 0.6, 0.6], [True, False, True, True], reject_below=0.7)
    assert (result.kept, result.accuracy_kept) == (0.5, 0.5)
    assert measured([0.6], [True], reject_below=0.7).accuracy_kept is None


def test_most_confident_mistakes_come_first():
    result = measured([0.6, 0.9, 0.8, 0.9], [False, False, True, False])
    assert result.mistakes().tolist() == [1, 3, 0]


def test_median_and_worst_tenth_of_the_writers():
    # Twenty writers of twenty letters, writer k with k mistakes, and one writer of too few letters to count.
    writers = np.append(np.repeat(np.arange(20), 20), [99, 99])
    right = np.append(np.concatenate([np.arange(20) >= k for k in range(20)]), [False, False])
    result = measured([0.9] * 402, right, writers=writers)
    summary = result.writer_summary()
    assert summary.count == 20
    assert summary.median == pytest.approx(10.5 / 20)
    assert summary.worst_tenth == pytest.approx((1 + 2) / 2 / 20)
    assert measured([0.9], [True]).writer_summary() is None


def test_json_has_null_for_unknown_figures():
    figures = measured([0.9, 0.8], [True, True]).to_dict()
    assert figures["writers"] is None and figures["capitals"] is None
    assert figures["accuracy_i_l_merged"] == 1.0
    assert json.loads(json.dumps(figures)) == figures


def test_every_array_needs_one_entry_per_letter():
    with pytest.raises(ValueError, match="writers needs one entry for each of 1 letters, not 2"):
        measured([0.9], [True], writers=np.array([1, 2]))


def answers(*confidences: float) -> np.ndarray:
    """Probabilities of two classes; the first one has the given confidence."""
    return np.array([[c, 1 - c] for c in confidences], np.float32)


def test_calibration_error_matches_a_case_computed_by_hand():
    # Four answers at 0.9, two of them right, and two at 0.6, both right.
    probabilities = answers(0.9, 0.9, 0.9, 0.9, 0.6, 0.6)
    result = reliability(probabilities, np.array([0, 0, 1, 1, 0, 0]), bins=10)
    assert sorted(result.count.tolist()) == [0] * 8 + [2, 4]
    assert result.error == pytest.approx((4 * 0.4 + 2 * 0.4) / 6, abs=1e-6)


def test_confidence_of_one_belongs_to_the_last_bin():
    assert reliability(answers(1.0), np.array([0]), bins=5).count.tolist() == [0, 0, 0, 0, 1]


def test_calibrated_probabilities_have_no_calibration_error():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 60_000)
    truth = (rng.random(60_000) > confidence).astype(np.int64)
    probabilities = np.stack([confidence, 1 - confidence], 1).astype(np.float32)
    assert reliability(probabilities, truth).error < 0.01
    assert best_temperature(probabilities, truth) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_best_temperature_undoes_a_wrong_one(temperature):
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (30_000, 4))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([rng.choice(4, p=row) for row in honest])
    spoiled = tempered(honest.astype(np.float32), temperature)
    assert best_temperature(spoiled, truth) == pytest.approx(1 / temperature, rel=0.05)


def test_temperature_keeps_the_order_and_the_sum():
    softer = tempered(answers(0.99, 0.6), 3.0)
    np.testing.assert_allclose(softer.sum(1), 1, rtol=1e-6)
    assert 0.5 < softer[1, 0] < 0.6 < softer[0, 0] < 0.99


def test_rejection_threshold_keeps_the_given_share():
    probabilities = answers(*np.linspace(0.5, 1, 1001))
    threshold = rejection_threshold(probabilities, kept=0.98)
    assert rejected_share(probabilities, threshold) == pytest.approx(0.02, abs=0.002)


def test_writers_are_counted_and_sorted_from_worst_to_best():
    writers = group_by_writer(np.array([4, 9, 4, 9, 9]), np.array([True, False, False, False, True]))
    assert writers.number.tolist() == [9, 4]
    assert writers.count.tolist() == [3, 2]
    np.testing.assert_allclose(writers.accuracy, [1 / 3, 1 / 2])


def test_writers_with_few_letters_do_not_count():
    writers = group_by_writer(np.repeat([1, 2], [MIN_LETTERS, MIN_LETTERS - 1]), np.ones(2 * MIN_LETTERS - 1, bool))
    assert writers.counted.tolist() == [True, False]
    assert writers.summary().count == 1
    assert group_by_writer(np.array([1]), np.array([True])).summary() is None


def test_worst_tenth_has_at_least_one_writer():
    right = np.concatenate([np.arange(20) < count for count in (20, 5, 10)])
    assert group_by_writer(np.repeat([1, 2, 3], 20), right).summary().worst_tenth == 0.25


def test_a_digit_that_looks_like_a_letter_is_no_non_letter():
    labels = ("0", "O", "A", "B")
    # Half of them are an O or a 0, in which no network can be sure of more than a half.
    rings = np.array([[0.5, 0.48, 0.01, 0.01], [0.01, 0.01, 0.97, 0.01]], np.float32)
    threshold = rejection_threshold(np.tile(rings, (50, 1)), labels=labels)
    assert threshold > 0.9
    assert rejected_share(rings, threshold, labels) == 0
    assert rejected_share(rings, threshold) == 0.5
    images, truth = np.zeros((2, 28, 28, 1), np.uint8), np.array([0, 2])
    assert Evaluation("m", "engine", "d", "test", labels, truth, rings, images, reject_below=threshold).kept == 1
