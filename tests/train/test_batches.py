"""Batches of letters."""

from dataclasses import replace

import numpy as np
import pytest

from lettercast.train.data.source import ImageSource
from lettercast.train.fit import RECIPE, Batches
from lettercast.train.plan import Plan

PLAN = Plan("nano", 4, 1, 3, "letters", clutter=0.0)


def batch(source, plan: Plan, epoch: int, index: int, **more):
    return Batches(source, plan, epoch, **more)[index]


@pytest.mark.parametrize(
    ("plan", "epoch", "index", "same"),
    [
        (PLAN, 2, 1, True),
        (replace(PLAN, size="base"), 2, 1, True),
        (replace(PLAN, draw_seed=9), 2, 1, False),
        (PLAN, 3, 1, False),
        (PLAN, 2, 0, False),
    ],
    ids=["again", "another size", "another seed", "another epoch", "another batch"],
)
def test_draw_seed_epoch_and_index_decide_a_batch(strokes_source, plan, epoch, index, same):
    pictures, targets = batch(strokes_source, PLAN, 2, 1)
    others, other_targets = batch(strokes_source, plan, epoch, index)
    assert (pictures.shape, targets.shape, pictures.dtype) == ((128, 28, 28, 1), (128, 26), np.uint8)
    assert np.array_equal(pictures, others) == same
    assert np.array_equal(targets, other_targets) == same


def test_strength_changes_the_drawings_and_not_which_letters_are_drawn(strokes_source):
    pictures, targets = batch(strokes_source, PLAN, 2, 1)
    others, other_targets = batch(strokes_source, replace(PLAN, strength=0.5), 2, 1)
    assert not np.array_equal(pictures, others)
    np.testing.assert_array_equal(targets, other_targets)


def test_images_of_a_batch_match_its_labels():
    inks = [np.pad(np.full((20, width), 255, np.uint8), 4) for width in (2, 20)]
    bars = ImageSource("bars", "train", inks, np.array([0, 1]), ("thin", "thick"))
    pictures, targets = batch(bars, replace(PLAN, steps=1), 0, 0)
    ink = (pictures > 60).mean((1, 2, 3))
    thick = targets[:, 1] > 0.5
    assert ink[thick].min() > ink[~thick].max()


def test_targets_are_smoothed_labels(strokes_source):
    targets = batch(strokes_source, PLAN, 0, 0)[1]
    np.testing.assert_allclose(targets.max(1), 1 - RECIPE.label_smoothing + RECIPE.label_smoothing / 26, atol=1e-6)
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-5)


def test_target_of_clutter_is_the_same_for_every_class(strokes_source):
    plan = replace(PLAN, clutter=0.1)
    batches = Batches(strokes_source, plan, 0)
    targets = np.concatenate([batches[i][1] for i in range(3)])
    undecided = np.ptp(targets, 1) < 1e-6
    assert undecided.sum() == int(0.1 * 3 * 128)
    # The letters among them are the same as without clutter.
    clean = np.concatenate([batch(strokes_source, PLAN, 0, i)[1] for i in range(3)])
    np.testing.assert_array_equal(targets[~undecided], clean[~undecided])


def test_teacher_changes_the_targets_of_letters_not_of_clutter(strokes_source):
    answer = np.eye(26, dtype=np.float32)[[3]]

    def teacher(pictures, labels):
        return np.repeat(answer, len(pictures), 0)

    targets = batch(strokes_source, replace(PLAN, clutter=0.5), 0, 0, teacher=teacher)[1]
    undecided = np.ptp(targets, 1) < 1e-6
    assert undecided.sum() == 64
    assert (targets[~undecided, 3] >= RECIPE.teacher_share - 1e-3).all()
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-3)


def test_teacher_gets_each_image_with_its_label(strokes_source):
    def teacher(pictures, labels):
        return np.eye(26, dtype=np.float32)[labels]

    targets = batch(strokes_source, PLAN, 0, 0, teacher=teacher)[1]
    np.testing.assert_allclose(targets, np.eye(26)[strokes_source.labels[Batches(strokes_source, PLAN, 0).letters[:128]]])


def test_images_of_non_letters_change_what_is_drawn_and_its_name(strokes_source):
    made_up = Plan.of(strokes_source, steps=2, clutter=0.25)
    with_images = replace(made_up, non_letters=strokes_source.digest)
    assert made_up.drawings != with_images.drawings
    first, again = (
        Batches(strokes_source, one, 0, non_letters=other) for one, other in ((made_up, None), (with_images, strokes_source))
    )
    assert (first.letters == again.letters).all()
    differs = [not np.array_equal(a, b) for a, b in zip(first[0][0], again[0][0], strict=True)]
    # Letters stay as they are.
    assert differs.count(True) == 0.25 * 128


def test_repeated_drawings_come_in_another_order(strokes_source):
    plan = replace(PLAN, cycle=2)
    first, again = (np.concatenate([batch(strokes_source, plan, epoch, i)[0] for i in range(3)]) for epoch in (1, 3))
    assert not np.array_equal(first, again)
    assert sorted(p.tobytes() for p in first) == sorted(p.tobytes() for p in again)


@pytest.mark.parametrize("epoch", [0, 2], ids=["as drawn", "repeated"])
def test_cached_drawings_equal_new_ones(strokes_source, tmp_path, epoch):
    plan = replace(PLAN, cycle=2, clutter=0.1)
    making = Batches(strokes_source, plan, 0, folder=tmp_path)
    for i in range(3):
        making[i]
    making.save()
    (file,) = tmp_path.iterdir()
    kept = Batches(strokes_source, plan, epoch, folder=tmp_path)
    for i in range(3):
        for one, other in zip(kept[i], batch(strokes_source, plan, epoch, i), strict=True):
            np.testing.assert_array_equal(one, other)
    before = file.stat().st_mtime_ns
    kept.save()
    assert file.stat().st_mtime_ns == before


def test_teacher_is_asked_once_if_answers_are_cached(strokes_source, tmp_path):
    asked = []

    def teacher(pictures, labels):
        asked.append(len(pictures))
        return np.full((len(pictures), 26), 1 / 26, np.float32)

    plan = replace(PLAN, teacher="ab" * 32)
    for _ in range(2):
        batches = Batches(strokes_source, plan, 0, teacher, tmp_path)
        for i in range(3):
            batches[i]
        batches.save()
    assert asked == [128] * 3


def test_interrupted_epoch_caches_nothing(strokes_source, tmp_path):
    batches = Batches(strokes_source, PLAN, 0, folder=tmp_path)
    batches[1]
    batches.save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a whole archive"])
def test_damaged_drawings_are_drawn_again(strokes_source, tmp_path, damage):
    for _ in range(2):
        batches = Batches(strokes_source, PLAN, 0, folder=tmp_path)
        for i in range(3):
            batches[i]
        batches.save()
        (file,) = tmp_path.iterdir()
        assert len(np.load(file)["values"]) == 3 * 128
        file.write_bytes(damage)
