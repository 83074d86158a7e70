"""Golden cases of exported models: which are chosen, and that model and cases come together."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.export.artifact import MOST_CASES, choose_cases, write_with_golden
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.golden import golden_path, load_golden, replay
from lettercast.train.data.source import draw_all


def answers_of(classes: int, n: int, seed: int = 0) -> np.ndarray:
    """Return n answers to each class, (n * classes, classes), sure of it by 0.5 to 1."""
    sure = np.random.default_rng(seed).uniform(0.5, 1, n * classes).astype(np.float32)
    rows = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, 1)
    rows[np.arange(n * classes), np.arange(n * classes) % classes] = sure
    return rows


@pytest.mark.parametrize(("classes", "cases"), [(26, 26), (10, 30), (2, 32), (100, MOST_CASES)])
def test_all_classes_alike_and_32_cases_at_most(classes, cases):
    answers = answers_of(classes, 40)
    chosen = choose_cases(answers)
    assert len(set(chosen)) == cases
    counts = np.bincount(answers[chosen].argmax(1))
    assert len(set(counts[counts > 0])) == 1


def test_cases_are_those_where_other_arithmetic_would_show():
    answers = answers_of(4, 200)
    assert np.abs(answers[choose_cases(answers)].max(1) - 0.75).max() < 0.05


def test_a_class_that_is_never_answered_leaves_room_for_the_others():
    answers = answers_of(26, 10)
    answers[:, 1:] = 0
    assert len(choose_cases(answers)) == MOST_CASES


def test_every_artifact_has_cases_of_its_own_that_it_answers_alike(exported):
    for path in exported.values():
        golden = load_golden(golden_path(path))
        assert golden.is_of(path.read_bytes())
        assert replay(open_engine(path), golden).verdict in ("equal", "close")


def test_both_files_are_replaced_or_none(exported, check_source, tmp_path):
    path = tmp_path / "letters-nano-int8.tflite"
    pictures = draw_all(check_source)
    model = exported["tflite-int8"].read_bytes()
    answers = open_engine(exported["tflite-int8"])(pictures)
    write_with_golden(path, model, pictures, answers)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(before) == {path.name, golden_path(path).name}
    with pytest.raises(LettercastError):
        write_with_golden(path, model[:-1000], pictures, answers)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
