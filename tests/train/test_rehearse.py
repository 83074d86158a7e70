"""Which letters a trained model is fitted to, which are held out, and which it rehearses."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.model.facts import Facts
from lettercast.train.data.drawing import draw_plain
from lettercast.train.data.open import open_source
from lettercast.train.data.source import LETTERS
from lettercast.train.fit import Batches
from lettercast.train.plan import BATCH, Plan
from lettercast.train.rehearse import CHECK_PER_CLASS, REHEARSED, built_in, count_classes, open_tuning, say_letters

FACTS = Facts("letters-base", "keras", LETTERS, (28, 28, 1), "float32")


@pytest.fixture(scope="module")
def few(pen, tmp_path_factory) -> Path:
    """A folder of 9 letters: five of A, three of B, one of C."""
    folder = tmp_path_factory.mktemp("few")
    rng = np.random.default_rng(3)
    for name, count in (("A", 5), ("B", 3), ("C", 1)):
        (folder / name).mkdir()
        for number in range(count):
            ink = draw_plain(pen.sample(LETTERS.index(name), rng))
            cv2.imwrite(str(folder / name / f"{number}.png"), cv2.copyMakeBorder(255 - ink, 9, 9, 9, 9, 0, value=255))
    return folder


def test_a_letter_of_each_class_that_has_several_is_held_out_and_the_others_train(few):
    letters = open_tuning([few], [], FACTS, None)
    assert letters.own == 7 and not letters.chooses and letters.are_few_for(FACTS)
    assert letters.held is not None and [letters.held.classes[label] for label in letters.held.labels] == ["A", "B"]
    assert set(letters.train.labels[: letters.own]) == {0, 1, 2}
    # `lettercast evaluate` measures on the same letters.
    assert letters.held.digest == open_source(few, "test").digest


def test_few_letters_come_with_built_in_ones_of_every_class_that_the_model_knows(few):
    letters = open_tuning([few], [], FACTS, None)
    # Three of 26 classes are drawn as often, each, as they would be among all.
    assert 1 - letters.rehearsed == pytest.approx((1 - REHEARSED) * 3 / 26, abs=1e-3)
    assert letters.train.classes == LETTERS
    assert letters.train.weights[letters.own :].sum() == pytest.approx(letters.rehearsed)
    assert letters.check is not None and (np.bincount(letters.check.labels) == CHECK_PER_CLASS).all()
    assert open_tuning([few], [], FACTS, 0.0).train.classes == ("A", "B", "C")


def test_many_letters_choose_their_epoch_and_rehearse_only_if_asked(strokes_file):
    letters = open_tuning([strokes_file], [], FACTS, None)
    assert letters.chooses and letters.rehearsed == 0
    assert (letters.val.split, len(letters.val.labels), letters.own) == ("val", 104, 520)
    assert open_tuning([strokes_file], [], FACTS, 0.5).rehearsed == 0.5


def test_letters_of_val_that_are_too_few_to_choose_an_epoch_only_measure(few, strokes_file):
    letters = open_tuning([strokes_file], [few], FACTS, None)
    assert not letters.chooses and letters.held is letters.val and len(letters.val.labels) == 9


def test_own_classes_are_not_rehearsed(few):
    unknown = Facts("bars", "keras", ("A", "B"), (28, 28, 1), "float32")
    letters = open_tuning([few], [], unknown, None)
    assert letters.rehearsed == 0 and not letters.are_few_for(unknown)
    with pytest.raises(
        LettercastError, match=r"--rehearse 0.5: few\d* has classes that bars does not know; leave --rehearse out"
    ):
        open_tuning([few], [], unknown, 0.5)
    lines = say_letters(open_tuning([few], [], unknown, None), [few], unknown)
    assert len(lines) == 1 and "built-in" not in lines[0]


def test_letters_without_a_second_one_leave_only_built_in_ones_to_measure_on(few, tmp_path):
    one = tmp_path / "one"
    for name in "AB":
        (one / name).mkdir(parents=True)
        (one / name / "x.png").write_bytes((few / name / "0.png").read_bytes())
    letters = open_tuning([one], [], FACTS, None)
    assert letters.held is None and letters.val is letters.check
    assert say_letters(letters, [one], FACTS)[0] == (
        "one: 2 letters of 2 classes (letters-base knows 26) train, none is held out, because no class has a second one"
    )


def test_digits_are_rehearsed_where_the_model_knows_them():
    labels = (*"0123456789", *LETTERS)
    for split in ("train", "test"):
        found = built_in(labels, split)
        assert found is not None and set(found.classes) == set(labels)
    assert built_in(LETTERS[:9], "train") is None


def test_built_in_letters_teach_what_the_model_answers_and_your_own_their_labels(few):
    letters = open_tuning([few], [], FACTS, 0.75)
    plan = Plan.of(letters.train, epochs=1, steps=1, clutter=0, rehearse=letters.rehearsed)
    answer = np.linspace(0, 1, 26, dtype=np.float32) / 13
    batches = Batches(letters.train, plan, 0, lambda images, labels: np.repeat(answer[None], len(images), 0))
    _, targets = batches[0]
    is_own = batches.letters < letters.own
    assert 0 < is_own.sum() < BATCH
    np.testing.assert_array_equal(targets[is_own], np.eye(26)[batches.labels[is_own]])
    np.testing.assert_allclose(targets[~is_own], np.repeat(answer[None], (~is_own).sum(), 0), atol=1e-3)


@pytest.mark.parametrize(("labels", "said"), [([4, 4], "1 class"), ([0, 3], "2 classes")])
def test_classes_are_counted_in_words(labels, said):
    assert count_classes(np.array(labels)) == said
