"""A hand: learned from a writer's letters, kept only where it helps, and taken back."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from runtime.hand.writer import accuracy, every

from lettercast import LettercastError
from lettercast.runtime import Classifier, Reader
from lettercast.runtime.hand import (
    find_hand,
    hands_folder,
    learn_hand,
    load_hand,
    save_hand,
    undo_hand,
    update_hand,
    with_hand,
)
from lettercast.runtime.hand.learn import MAX_PER_CLASS
from lettercast.runtime.hand.space import PLAIN, space_of
from lettercast.runtime.model.engine import Engine, open_engine
from lettercast.runtime.model.facts import PICTURES


@pytest.fixture(scope="module")
def hand(engine, mirrored):
    return learn_hand(*every(6, mirrored), engine)


def test_other_letters_of_the_writer_read_better(engine, mirrored, hand):
    others = every(3, mirrored, 6)
    assert accuracy(with_hand(engine, hand), others) > accuracy(engine, others) + 0.1
    assert hand.figures.is_better
    assert hand.figures.own_after > hand.figures.own_plain
    assert hand.figures.held_out == 26 * 6
    assert hand.figures.copies == 0


def test_letters_of_other_writers_read_hardly_worse(engine, hand):
    check = space_of(engine.facts).check
    assert hand.figures.check == len(check.truth) > 500
    assert hand.figures.check_before - hand.figures.check_after <= 0.005


def test_what_is_far_from_all_own_letters_keeps_its_probabilities(engine, mirrored, hand):
    few = replace(hand, until=np.where(hand.truth < 3, 0, 1))
    images, labels = every(1, mirrored, 8)
    far = [i for i, label in enumerate(labels) if label in "MWXYZ"]
    np.testing.assert_allclose(with_hand(engine, few)(images[far]), engine(images[far]), atol=0.02)


def test_a_letter_alone_in_its_class_is_held_out_as_copies(engine, mirrored):
    figures = learn_hand(*every(1, mirrored), engine).figures
    assert figures.held_out == figures.copies == 26 * 6
    assert figures.own_after > figures.own_plain


def test_labels_that_are_wrong_are_not_kept(engine, mirrored, hands):
    images, labels = every(3, mirrored)
    update = update_hand("wrong", images, np.random.default_rng(1).permutation(labels).tolist(), engine)
    assert not update.is_kept
    assert not update.path.exists()
    assert "read no better" in update.learned.figures.fault or "other writers" in update.learned.figures.fault


def test_a_hand_that_learns_something_worse_stays_as_it_was(engine, mirrored):
    kept = update_hand("mine", *every(3, mirrored), engine)
    before = kept.path.read_bytes()
    images, labels = every(3, mirrored, 3)
    assert not update_hand("mine", images, np.random.default_rng(1).permutation(labels).tolist(), engine).is_kept
    assert kept.path.read_bytes() == before


def test_learning_is_taken_back(engine, mirrored):
    first = update_hand("mine", *every(3, mirrored), engine)
    content = load_hand(first.path)
    second = update_hand("mine", *every(6, mirrored, 3), engine)
    assert second.is_kept
    assert load_hand(first.path).version == 2
    back = undo_hand("mine")
    assert back.history == content.history
    np.testing.assert_array_equal(back.images, content.images)
    assert undo_hand("mine") is None
    assert not first.path.exists()


def test_a_new_label_replaces_the_old_one_of_the_same_image(engine, mirrored):
    images, labels = every(2, mirrored)
    hand = learn_hand(images, ["B", *labels[1:]], engine)
    corrected = learn_hand(images[:1], labels[:1], engine, hand)
    assert hand.counts()["B"] == 3
    assert corrected.counts() == dict.fromkeys(engine.facts.labels, 2)
    with pytest.raises(LettercastError, match="knows all of these letters"):
        learn_hand(images[:1], labels[:1], engine, corrected)


def test_a_class_keeps_its_newest_letters_and_a_file_stays_small(engine, mirrored, tmp_path):
    images, labels = mirrored
    hand = learn_hand(images, labels, engine)
    more = learn_hand(np.ascontiguousarray(images[:, :, ::-1]), labels, engine, hand)
    assert set(more.counts().values()) == {MAX_PER_CLASS}
    save_hand(more, tmp_path / "a.hand")
    assert (tmp_path / "a.hand").stat().st_size < 100_000


def test_small_letters_are_learned_as_the_capitals_that_the_model_knows(engine, mirrored):
    images, labels = every(1, mirrored)
    assert learn_hand(images, [label.lower() for label in labels], engine).counts()["Q"] == 1
    with pytest.raises(LettercastError, match="knows no class '7'"):
        learn_hand(images[:1], ["7"], engine)


def test_reader_and_classifier_take_a_hand(engine, mirrored, tmp_path, hand):
    save_hand(hand, tmp_path / "a.hand")
    images, _ = every(1, mirrored, 8)
    for used in (Reader(engine, hand=hand).engine, Classifier(engine, hand=tmp_path / "a.hand").engine):
        np.testing.assert_array_equal(used(images), with_hand(engine, hand)(images))


def test_a_model_without_statistics_of_writers_learns_as_well(engine, mirrored):
    other = replace(engine, facts=replace(engine.facts, name="mine", network_sha256="0" * 64))
    assert space_of(other.facts) is PLAIN
    others = every(3, mirrored, 6)
    learned = with_hand(other, learn_hand(*every(6, mirrored), other))
    assert accuracy(learned, others) > accuracy(engine, others) + 0.05


@pytest.mark.parametrize("name", ["letters-base-int8.tflite", "letters-nano-float32.onnx"])
def test_a_hand_of_another_model_is_refused(engine, mirrored, hand, name, root):
    other = open_engine(root / "runtime" / "models" / name)
    if other.facts.name == hand.model:
        # Files of one network share their hands.
        assert accuracy(with_hand(other, hand), every(3, mirrored, 6)) > accuracy(other, every(3, mirrored, 6))
        return
    with pytest.raises(LettercastError, match=r"learned for letters-nano, not letters-base; .* --from letters-nano"):
        with_hand(other, hand)


def test_engines_that_show_no_features_are_refused(engine, hand):
    with pytest.raises(LettercastError, match="shows no features"):
        with_hand(Engine("none", engine.facts, engine.classify), hand)
    with pytest.raises(ValueError, match="takes"):
        learn_hand(np.zeros((1, 5, 5, 1), np.uint8), ["A"], replace(engine, facts=replace(engine.facts, takes=PICTURES)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[: len(data) // 2], "not a hand, or a damaged one"),
        (lambda data: b"", "not a hand, or a damaged one"),
        (lambda data: b"text", "not a hand, or a damaged one"),
    ],
)
def test_damaged_hands_are_one_line(hand, tmp_path, spoil, said):
    path = tmp_path / "a.hand"
    save_hand(hand, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(LettercastError, match=said):
        load_hand(path)


def test_names_and_paths_of_hands(hands, hand, tmp_path):
    assert hands_folder() == hands
    with pytest.raises(LettercastError, match="there are none yet"):
        find_hand("mine")
    save_hand(hand, hands / "mine.hand")
    assert find_hand("mine") == hands / "mine.hand"
    with pytest.raises(LettercastError, match="there are mine"):
        find_hand("your")
    with pytest.raises(LettercastError, match="a name consists of"):
        find_hand("a*b")
    with pytest.raises(LettercastError, match="no such hand"):
        find_hand(str(tmp_path / "nowhere.hand"))


CHANGING = """
import sys
from pathlib import Path
from lettercast.runtime.hand import load_hand, save_hand
from lettercast.runtime.hand.folder import locked
path = Path(sys.argv[1])
print("begun", flush=True)
while True:
    with locked(path):
        save_hand(load_hand(path), path)
"""


def test_a_process_that_is_killed_while_it_saves_loses_nothing(hand, tmp_path):
    path = tmp_path / "a.hand"
    save_hand(hand, path)
    for i in range(5):
        process = subprocess.Popen([sys.executable, "-c", CHANGING, path], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        # What it writes at this moment differs from one round to the next.
        for _ in range(7 * i):
            path.stat()
        process.kill()
        process.communicate()
        np.testing.assert_array_equal(load_hand(path).images, hand.images)
        save_hand(hand, path)
