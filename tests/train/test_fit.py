"""Training, its files, and going on after a break."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.model.facts import Facts
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource, draw_all
from lettercast.train.evaluation import reliability
from lettercast.train.fit import calibrate, fit, time_left
from lettercast.train.network import soften
from lettercast.train.plan import Plan, read_history, write_history
from lettercast.train.predict import classify

SPOKEN: list[str] = []


@pytest.fixture(scope="module")
def source(strokes_source):
    return strokes_source


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


def break_off(said: str) -> None:
    """Stop a run where its second epoch begins."""
    if said.startswith("epoch 2"):
        raise KeyboardInterrupt


def test_a_run_with_dropout_goes_on_to_the_same_losses(source, val, tmp_path):
    plan = Plan.of(source, size="base", epochs=2, seed=3, steps=3)
    _, history = fit(source, val, tmp_path / "whole", plan, report=SPOKEN.append)
    with pytest.raises(KeyboardInterrupt):
        fit(source, val, tmp_path / "broken", plan, report=break_off)
    _, resumed = fit(source, val, tmp_path / "broken", plan, resume=True, report=SPOKEN.append)
    # Other dropout changes the loss of so short a run by about a hundredth.
    np.testing.assert_allclose([line.loss for line in resumed], [line.loss for line in history], rtol=1e-4)


@pytest.mark.parametrize("ahead", [False, True], ids=["in an epoch", "between history and network"])
def test_a_run_that_was_broken_off_goes_on_to_the_same_weights(source, val, plan, unbroken, tmp_path, ahead):
    _, network, history = unbroken
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
    pictures = np.random.default_rng(1).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    np.testing.assert_allclose(network.predict(pictures, verbose=0), best.predict(pictures, verbose=0), atol=1e-5)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
    assert history == read_history(out / "history.csv")


def test_a_run_leaves_no_temporary_files(unbroken):
    assert {path.name for path in unbroken[0].iterdir()} == {"last.keras", "best.keras", "history.csv", "plan.json"}


def test_a_folder_that_holds_a_run_is_not_trained_into(source, val, plan, unbroken):
    before = (unbroken[0] / "last.keras").read_bytes()
    with pytest.raises(LettercastError, match="add --resume to go on, or choose another --out"):
        fit(source, val, unbroken[0], plan)
    assert (unbroken[0] / "last.keras").read_bytes() == before


def test_a_run_that_was_planned_otherwise_is_not_gone_on_with(source, val, unbroken):
    with pytest.raises(LettercastError, match=r"was started with epochs 2, not 3; use that again, or another --out"):
        fit(source, val, unbroken[0], Plan.of(source, size="nano", epochs=3, seed=3, steps=3), resume=True)


def test_a_folder_without_a_run_cannot_be_resumed(source, val, plan, tmp_path):
    with pytest.raises(LettercastError, match="nothing to resume"):
        fit(source, val, tmp_path / "new", plan, resume=True)


def test_validation_letters_that_training_does_not_know_are_refused(source, plan, tmp_path):
    digits = ImageSource("digits", "val", [np.full((9, 9), 255, np.uint8)], np.array([0]), ("7",))
    with pytest.raises(LettercastError, match=r"digits: has classes that strokes.npz has not"):
        fit(source, digits, tmp_path, plan)


def test_a_trained_network_is_gone_on_from(source, val, unbroken, tmp_path):
    _, network, history = unbroken
    plan = Plan.of(source, size="nano", epochs=1, seed=5, steps=1, rate=1e-6)
    tuned, tuned_history = fit(source, val, tmp_path, plan, init=(network, source.classes), report=SPOKEN.append)
    # So small a rate changes next to nothing.
    for one, other in zip(tuned.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert tuned_history[-1].val_loss == pytest.approx(min(line.val_loss for line in history), abs=0.05)


def test_what_a_teacher_says_is_learned(source, val, tmp_path):
    def teacher(pictures):
        return np.repeat(np.eye(26, dtype=np.float32)[[3]], len(pictures), 0)

    plan = Plan.of(source, size="nano", epochs=2, seed=3, steps=40, teacher="d" * 64)
    network, _ = fit(source, val, tmp_path, plan, teacher=teacher, report=SPOKEN.append)
    assert (network.predict(draw_all(val), verbose=0).argmax(1) == 3).mean() > 0.9


def test_a_loss_that_is_no_number_ends_the_training(source, val, plan, tmp_path):
    def broken(pictures):
        return np.full((len(pictures), 26), np.nan, np.float32)

    with pytest.raises(LettercastError, match=r"the loss is no number in epoch 1; try a --rate below 0.002"):
        fit(source, val, tmp_path, plan, teacher=broken, report=SPOKEN.append)
    assert not (tmp_path / "last.keras").exists()


def test_drawings_in_a_cache_train_the_same_network(source, val, tmp_path, plan):
    runs = [fit(source, val, tmp_path / name, plan, cache=tmp_path / "cache", report=SPOKEN.append)[1] for name in "ab"]
    assert [line.loss for line in runs[0]] == pytest.approx([line.loss for line in runs[1]], rel=1e-4)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("elapsed", "done", "left", "said"),
    [(0, 0, 9, ""), (120, 2, 10, ", about 10 min left"), (10, 2, 2, ", less than 1 min left")],
)
def test_the_time_left_follows_from_the_epochs_done(elapsed, done, left, said):
    assert time_left(elapsed, done, left) == said


def test_drawings_of_other_letters_under_the_same_name_are_not_taken(source, val, tmp_path):
    turned = replace(source, strokes=replace(source.strokes, label=(source.strokes.label + 1) % 26))
    for number, letters in enumerate((source, turned)):
        plan = Plan.of(letters, size="nano", epochs=1, steps=2)
        fit(letters, val, tmp_path / str(number), plan, cache=tmp_path / "cache", report=SPOKEN.append)
        assert len(list((tmp_path / "cache").iterdir())) == number + 1


def test_other_letters_under_the_same_name_are_not_gone_on_with(source, val, plan, unbroken):
    with pytest.raises(LettercastError, match="was started with letters"):
        fit(source, val, unbroken[0], replace(plan, letters="ab" * 32), resume=True)


@pytest.mark.parametrize("damage", [None, b"PK\x03\x04 not a whole archive"], ids=["missing", "damaged"])
def test_a_finished_run_without_its_best_network_says_so(source, val, plan, unbroken, tmp_path, damage):
    shutil.copytree(unbroken[0], tmp_path / "run")
    (tmp_path / "run" / "best.keras").unlink()
    if damage:
        (tmp_path / "run" / "best.keras").write_bytes(damage)
    with pytest.raises(LettercastError, match=r"best.keras: missing or damaged .*; start anew in another --out"):
        fit(source, val, tmp_path / "run", plan, resume=True, report=SPOKEN.append)


def test_an_epoch_is_not_lost_where_its_drawings_cannot_be_kept(source, val, plan, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(LettercastError, match="cache"):
        fit(source, val, tmp_path / "run", plan, cache=tmp_path / "cache", report=SPOKEN.append)
    assert len(read_history(tmp_path / "run" / "history.csv")) == 1
    _, history = fit(source, val, tmp_path / "run", plan, resume=True, report=SPOKEN.append)
    assert len(history) == plan.epochs


def test_calibration_makes_probabilities_mean_what_they_say(unbroken, check_source, model_file):
    network = keras.saving.load_model(model_file, compile=False)
    soften(network, 4.0)
    vague = reliability(classify(network, draw_all(check_source)), check_source.labels).error
    facts = calibrate(network, Facts("letters", "keras", check_source.classes, (28, 28, 1), "float32"), check_source)
    probabilities = classify(network, draw_all(check_source))
    assert reliability(probabilities, check_source.labels).error < vague / 2
    assert facts.temperature < 0.5
    assert (probabilities.max(1) >= facts.reject_below).mean() == pytest.approx(0.98, abs=0.01)


def test_too_few_letters_calibrate_nothing(unbroken, check_source, model_file):
    network = keras.saving.load_model(model_file, compile=False)
    before = network.get_weights()
    few = ImageSource("few", "val", [np.full((9, 9), 255, np.uint8)], np.array([0]), check_source.classes)
    facts = Facts("letters", "keras", check_source.classes, (28, 28, 1), "float32")
    assert calibrate(network, facts, few) == facts
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
