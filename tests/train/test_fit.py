"""Training runs: what they leave, how they resume, and what they refuse."""

import gc
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow

from lettercast import LettercastError
from lettercast.runtime.model.facts import Facts
from lettercast.train.data.open import open_source
from lettercast.train.data.source import ImageSource, draw_all
from lettercast.train.evaluation import reliability
from lettercast.train.fit import Cached, calibrate, fit, time_left
from lettercast.train.network import SIZES, Size, build_network, soften
from lettercast.train.plan import Plan, read_history, write_history
from lettercast.train.predict import classify

# Small enough for a test, with every kind of layer that the real sizes have, dropout included.
TINY = Size(((4,), (8,)), 0.3)
FACTS = Facts("letters", "keras", tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), (28, 28, 1), "float32")


# Said of the data pipeline, which is compiled all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")


@pytest.fixture(scope="module", autouse=True)
def tiny_and_eager():
    """Offer the size `tiny`, and train without compiling: runs of a few batches would spend most of their time on it."""
    SIZES["tiny"] = TINY
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)
    del SIZES["tiny"]


@pytest.fixture(scope="module")
def source(strokes_source):
    return strokes_source


@pytest.fixture(scope="module")
def val(strokes_file):
    return open_source(str(strokes_file), "val")


@pytest.fixture(scope="module")
def plan(source) -> Plan:
    return Plan.of(source, size="tiny", epochs=2, seed=3, steps=2)


def silent(line: str) -> None:
    """Report nothing."""


def stop_at_epoch_2(line: str) -> None:
    """Interrupt a run when its second epoch begins."""
    if line.startswith("epoch 2"):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(source, val, plan, tmp_path_factory):
    """A run of two epochs that nobody interrupted: its folder, network and history."""
    out = tmp_path_factory.mktemp("finished")
    return out, *fit(source, val, out, plan, report=silent)


@pytest.fixture(scope="module")
def interrupted(source, val, plan, tmp_path_factory) -> Path:
    """The folder of the same run, interrupted after its first epoch."""
    out = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        fit(source, val, out, plan, report=stop_at_epoch_2)
    return out


@pytest.fixture(scope="module")
def cache(source, val, plan, finished, tmp_path_factory) -> Path:
    """The cache that a run with the same plan filled."""
    folder = tmp_path_factory.mktemp("cached")
    _, history = fit(source, val, folder / "run", plan, cache=folder / "cache", report=silent)
    assert losses(history) == pytest.approx(losses(finished[2]), rel=1e-4)
    return folder / "cache"


@pytest.fixture
def copy_of(tmp_path) -> Callable[[Path], Path]:
    """Return a function that copies a run, so that a test may change it."""
    return lambda run: shutil.copytree(run, tmp_path / "copy")


def losses(history) -> list[float]:
    return [line.loss for line in history]


def test_network_learns_letters_from_scratch(source, val, tmp_path):
    plan = Plan.of(source, size="tiny", epochs=2, seed=3, steps=4, rate=0.02)
    network, history = fit(source, val, tmp_path, plan, report=silent)
    accuracy = (network.predict(draw_all(val), verbose=0).argmax(1) == val.labels).mean()
    assert accuracy == pytest.approx(max(line.val_accuracy for line in history), abs=0.02)
    # Guessing reads one letter of 26.
    assert accuracy > 0.15


@pytest.mark.parametrize("history_is_ahead", [False, True], ids=["in an epoch", "between writing history and network"])
def test_resumed_run_ends_with_the_same_losses_and_weights(source, val, plan, finished, interrupted, copy_of, history_is_ahead):
    _, network, history = finished
    run = copy_of(interrupted)
    assert len(read_history(run / "history.csv")) == 1
    if history_is_ahead:
        write_history(history, run / "history.csv")
    resumed, whole = fit(source, val, run, plan, resume=True, report=silent)
    assert [line.epoch for line in whole] == [1, 2]
    # Other dropout changes the loss of such a short run by about a hundredth.
    np.testing.assert_allclose(losses(whole), losses(history), rtol=1e-4)
    for one, other in zip(resumed.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_run_returns_its_best_epoch_on_validation(finished):
    out, network, history = finished
    best = keras.saving.load_model(out / "best.keras", compile=False)
    images = np.random.default_rng(1).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    np.testing.assert_allclose(network.predict(images, verbose=0), best.predict(images, verbose=0), atol=1e-5)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
    assert history == read_history(out / "history.csv")


def test_run_leaves_no_temporary_files(finished):
    assert {path.name for path in finished[0].iterdir()} == {"last.keras", "best.keras", "history.csv", "plan.json"}


def test_folder_with_a_run_is_not_trained_into(source, val, plan, finished):
    before = (finished[0] / "last.keras").read_bytes()
    with pytest.raises(LettercastError, match="add --resume to continue, or choose another --out"):
        fit(source, val, finished[0], plan)
    assert (finished[0] / "last.keras").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"epochs": 3}, r"epochs 2, not 3; use that again, or choose another --out"), ({"letters": "ab" * 32}, "letters")],
    ids=["another setting", "other letters under the same name"],
)
def test_run_with_another_plan_is_not_resumed(source, val, plan, finished, change, difference):
    with pytest.raises(LettercastError, match=f"was started with {difference}"):
        fit(source, val, finished[0], replace(plan, **change), resume=True)


def test_folder_without_a_run_cannot_be_resumed(source, val, plan, tmp_path):
    with pytest.raises(LettercastError, match="nothing to resume"):
        fit(source, val, tmp_path / "new", plan, resume=True)


def test_validation_letters_of_unknown_classes_are_refused(source, plan, tmp_path):
    digits = ImageSource("digits", "val", [np.full((9, 9), 255, np.uint8)], np.array([0]), ("7",))
    with pytest.raises(LettercastError, match=r"digits: has classes that strokes.npz lacks"):
        fit(source, digits, tmp_path, plan)


def test_training_starts_from_a_trained_network(source, val, finished, tmp_path):
    _, network, history = finished
    plan = Plan.of(source, size="tiny", epochs=1, seed=5, steps=1, rate=1e-6)
    tuned, tuned_history = fit(source, val, tmp_path, plan, init=(network, source.classes), report=silent)
    # So small a rate changes next to nothing.
    for one, other in zip(tuned.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert tuned_history[-1].val_loss == pytest.approx(min(line.val_loss for line in history), abs=0.05)


def test_network_learns_what_its_teacher_answers(source, val, finished, tmp_path):
    def teacher(images, labels):
        return np.repeat(np.eye(26, dtype=np.float32)[[3]], len(images), 0)

    plan = Plan.of(source, size="tiny", epochs=2, seed=3, steps=4, rate=0.02, teacher="d" * 64)
    init = finished[1], source.classes
    network, _ = fit(source, val, tmp_path, plan, init=init, teacher=teacher, report=silent)
    assert (network.predict(draw_all(val), verbose=0).argmax(1) == 3).mean() > 0.9


def test_training_keeps_no_epoch_in_memory(source, val, plan, tmp_path):
    fit(source, val, tmp_path / "run", plan, cache=tmp_path / "cache", report=silent)
    kept = [one for one in gc.get_objects() if isinstance(one, Cached) and one.path and one.path.parent == tmp_path / "cache"]
    # Keras may keep the epochs, but without their images.
    assert all(one.values is None for one in kept)


def test_infinite_loss_ends_the_training(source, val, plan, tmp_path):
    def broken(images, labels):
        return np.full((len(images), 26), np.nan, np.float32)

    with pytest.raises(LettercastError, match=r"the loss is infinite or NaN in epoch 1; try a --rate below 0.002"):
        fit(source, val, tmp_path, plan, teacher=broken, report=silent)
    assert not (tmp_path / "last.keras").exists()


def test_cached_drawings_train_the_same_network(source, val, plan, finished, cache, tmp_path):
    before = {path.name for path in cache.iterdir()}
    assert len(before) == 2
    _, history = fit(source, val, tmp_path, plan, cache=cache, report=silent)
    assert losses(history) == pytest.approx(losses(finished[2]), rel=1e-4)
    assert {path.name for path in cache.iterdir()} == before


def test_cached_drawings_are_not_used_for_other_letters_of_the_same_name(source, val, cache, tmp_path):
    turned = replace(source, strokes=replace(source.strokes, label=(source.strokes.label + 1) % 26))
    plan = Plan.of(turned, size="tiny", epochs=1, seed=3, steps=2)
    before = len(list(cache.iterdir()))
    own = shutil.copytree(cache, tmp_path / "cache")
    fit(turned, val, tmp_path / "run", plan, cache=own, report=silent)
    assert len(list(own.iterdir())) == before + 1


def test_epoch_is_kept_if_the_cache_cannot_be_written(source, val, plan, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(LettercastError, match="cache"):
        fit(source, val, tmp_path / "run", plan, cache=tmp_path / "cache", report=silent)
    assert len(read_history(tmp_path / "run" / "history.csv")) == 1
    _, history = fit(source, val, tmp_path / "run", plan, resume=True, report=silent)
    assert len(history) == plan.epochs


@pytest.mark.parametrize("damage", [None, b"PK\x03\x04 not a whole archive"], ids=["missing", "damaged"])
def test_finished_run_without_its_best_network_is_refused(source, val, plan, finished, copy_of, damage):
    run = copy_of(finished[0])
    (run / "best.keras").unlink()
    if damage:
        (run / "best.keras").write_bytes(damage)
    with pytest.raises(LettercastError, match=r"best.keras: missing or damaged .*; start again in another --out"):
        fit(source, val, run, plan, resume=True, report=silent)


@pytest.mark.parametrize(
    ("elapsed", "done", "left", "text"),
    [(0, 0, 9, ""), (120, 2, 10, ", about 10 min left"), (10, 2, 2, ", less than 1 min left")],
)
def test_time_left_follows_from_the_finished_epochs(elapsed, done, left, text):
    assert time_left(elapsed, done, left) == text


def test_calibration_makes_confidence_match_accuracy(check_source, model_file):
    network = keras.saving.load_model(model_file, compile=False)
    soften(network, 4.0)
    vague = reliability(classify(network, draw_all(check_source)), check_source.labels).error
    facts = calibrate(network, FACTS, check_source)
    probabilities = classify(network, draw_all(check_source))
    assert reliability(probabilities, check_source.labels).error < vague / 2
    assert facts.temperature < 0.5
    assert (probabilities.max(1) >= facts.reject_below).mean() == pytest.approx(0.98, abs=0.01)


def test_too_few_letters_change_neither_network_nor_facts():
    network = build_network("tiny", 26)
    before = network.get_weights()
    few = ImageSource("few", "val", [np.full((9, 9), 255, np.uint8)], np.array([0]), FACTS.labels)
    assert calibrate(network, FACTS, few) == FACTS
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
