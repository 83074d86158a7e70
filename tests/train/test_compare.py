"""Whether a fitted model is kept, and what is said of it."""

import numpy as np
import pytest

from lettercast.train.compare import Comparison
from lettercast.train.evaluation import Evaluation

LABELS = ("A", "B")


def answers(right: int, of: int, confidence: float = 0.9, writers=None) -> Evaluation:
    """Return an evaluation of letters A, of which the first are right."""
    rows = np.where(np.arange(of)[:, None] < right, [[confidence, 1 - confidence]], [[1 - confidence, confidence]])
    images = np.zeros((of, 28, 28, 1), np.uint8)
    truth = np.zeros(of, np.int64)
    return Evaluation("m", "keras", "mine", "test", LABELS, truth, rows.astype(np.float32), images, writers=writers)


@pytest.mark.parametrize(
    ("before", "after", "is_better", "said"),
    [
        ((8, 10), (9, 10), True, "kept the fitted model: it reads more"),
        ((9, 10), (8, 10), False, "kept letters-base: fitting did not help"),
        ((7, 10, 0.8), (7, 10, 0.9), False, "fitting did not help"),
        ((10, 10, 0.8), (10, 10, 0.9), True, "it reads as many, and is surer of them"),
    ],
    ids=["more right", "fewer right", "as many, and surer of a mistake", "as many, and surer"],
)
def test_the_model_that_reads_more_held_out_letters_is_kept(before, after, is_better, said):
    found = Comparison("letters-base", answers(*before), answers(*after))
    assert found.is_better is is_better
    assert said in found.lines()[-1]


def test_both_figures_are_said_with_what_was_mended_and_spoiled():
    (first, second, *_) = Comparison("letters-base", answers(8, 10), answers(9, 10)).lines()
    assert first == "held-out letters of mine: 8 of 10 (80.0 %) right before, 9 of 10 (90.0 %) after (1 mended, 0 spoiled)"
    # Wilson's interval of 9 of 10.
    assert "60 to 98 %" in second
    assert not any("say little" in line for line in Comparison("m", answers(80, 100), answers(90, 100)).lines())


@pytest.mark.parametrize(("after", "may_drop", "is_better"), [(194, False, True), (193, False, False), (193, True, True)])
def test_a_model_that_forgets_built_in_letters_is_kept_only_if_it_may(after, may_drop, is_better):
    found = Comparison("letters-base", answers(8, 10), answers(10, 10), answers(195, 200), answers(after, 200), may_drop)
    assert found.is_better is is_better
    assert ("has forgotten" in found.verdict()) is not is_better


def test_a_model_that_nothing_measured_is_not_kept():
    found = Comparison("letters-base", None, None, answers(195, 200), answers(195, 200))
    assert not found.is_better
    assert found.lines()[-1].startswith("kept letters-base: no letter of yours is held out")


def test_writers_count_one_by_one_where_they_are_known():
    writers = np.repeat([1, 2, 3], [4, 4, 2])
    lines = Comparison("m", answers(6, 10, writers=writers), answers(9, 10, writers=writers)).lines()
    assert "of 3 writers it reads 2 better and 0 worse than before" in lines
