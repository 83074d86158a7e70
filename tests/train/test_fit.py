"""Training, its files, and going on after a break."""

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train.data import open_source
from lettercast.train.fit import Batches, Plan, fit
from lettercast.train.history import read_history, write_history
from lettercast.train.source import ImageSource

SPOKEN: list[str] = []


@pytest.fixture(scope="module")
def source(strokes_file):
    return open_source(str(strokes_file), "train")


@pytest.fixture(scope="module")
def val(strokes_file):
    return open_source(str(strokes_file), "val")


@pytest.fixture(scope="module")
def plan(source) -> Plan:
    return Plan.of(source, size="nano", epochs=2, seed=3, steps=3)


@pytest.fixture(scope="module")
def unbroken(source, val, plan, tmp_path_factory):
    """A finished run: its folder, network and history."""
    out = tmp_path_factory.mktemp("unbroken")
    return out, *fit(source, val, out, plan, report=SPOKEN.append)


@pytest.mark.parametrize(
    ("seed", "epoch", "index", "same"), [(1, 2, 1, True), (9, 2, 1, False), (1, 3, 1, False), (1, 2, 0, False)]
)
def test_a_batch_is_decided_by_seed_epoch_and_index(source, seed, epoch, index, same):
    images, labels = Batches(source, 1, 2, 3)[1]
    others, other_labels = Batches(source, seed, epoch, 3)[index]
    assert (images.shape, labels.shape) == ((128, 28, 28, 1), (128, 26))
    assert np.array_equal(images, others) == same
    assert np.array_equal(labels, other_labels) == same


def test_pictures_of_a_batch_are_those_of_its_labels():
    inks = [np.pad(np.full((20, width), 255, np.uint8), 4) for width in (2, 20)]
    bars = ImageSource("bars", "train", inks, np.array([0, 1]), ("thin", "thick"))
    images, labels = Batches(bars, 1, 0, 1)[0]
    ink = (images > 60).mean((1, 2, 3))
    assert ink[labels[:, 1] == 1].min() > ink[labels[:, 0] == 1].max()


def test_an_epoch_draws_as_many_letters_as_the_source_has(source):
    assert Plan.of(source).steps == 5


@pytest.mark.parametrize("ahead", [False, True], ids=["in an epoch", "between history and network"])
def test_a_run_that_was_broken_off_goes_on_to_the_same_weights(source, val, plan, unbroken, tmp_path, ahead):
    _, network, history = unbroken

    def break_off(said: str) -> None:
        if said.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(source, val, tmp_path, plan, report=break_off)
    assert len(read_history(tmp_path / "history.csv")) == 1
    if ahead:
        write_history(history, tmp_path / "history.csv")
    resumed, whole = fit(source, val, tmp_path, plan, resume=True, report=SPOKEN.append)
    assert [line.epoch for line in whole] == [1, 2]
    np.testing.assert_allclose([line.loss for line in whole], [line.loss for line in history], rtol=1e-4)
    for one, other in zip(resumed.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_epoch_that_did_best_on_validation_is_returned(unbroken):
    out, network, history = unbroken
    best = keras.saving.load_model(out / "best.keras", compile=False)
    for one, other in zip(best.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert history == read_history(out / "history.csv")


def test_a_run_leaves_no_temporary_files(unbroken):
    assert {path.name for path in unbroken[0].iterdir()} == {"last.keras", "best.keras", "history.csv", "plan.json"}


def test_a_folder_that_holds_a_run_is_not_trained_into(source, val, plan, unbroken):
    before = (unbroken[0] / "last.keras").read_bytes()
    with pytest.raises(LettercastError, match="add --resume to go on, or choose another --out"):
        fit(source, val, unbroken[0], plan)
    assert (unbroken[0] / "last.keras").read_bytes() == before


def test_a_run_that_was_planned_otherwise_is_not_gone_on_with(source, val, unbroken):
    with pytest.raises(LettercastError, match="was started with other settings"):
        fit(source, val, unbroken[0], Plan.of(source, size="nano", epochs=3, seed=3, steps=3), resume=True)


def test_a_folder_without_a_run_cannot_be_resumed(source, val, plan, tmp_path):
    with pytest.raises(LettercastError, match="nothing to resume"):
        fit(source, val, tmp_path / "new", plan, resume=True)


def test_validation_letters_that_training_does_not_know_are_refused(source, plan, tmp_path):
    digits = ImageSource("digits", "val", [np.full((9, 9), 255, np.uint8)], np.array([0]), ("7",))
    with pytest.raises(LettercastError, match=r"digits: has classes that strokes.npz has not"):
        fit(source, digits, tmp_path, plan)
