"""Training: batches drawn anew each epoch, every epoch saved, best on validation kept."""

import math
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.facts import Facts
from ..runtime.pixels import Pixels
from .batches import Batches, Teacher
from .confidence import best_temperature, rejection_threshold
from .drawing import drawing
from .history import Epoch, read_history, write_history
from .interrupt import HeldInterrupt
from .lock import alone
from .network import build_network, fold, soften, with_classes
from .plan import BATCH, Plan
from .predict import KERAS_BATCH, classify, save_keras
from .source import Source, draw_all, relabel

WEIGHT_DECAY = 0.05
WARM_UP_EPOCHS = 1.0
FEWEST_TO_CALIBRATE = 100
# What Keras and its archives raise on files that are none of theirs, or were cut short.
DAMAGED = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile)
MODEL_FILE, LAST_FILE, BEST_FILE, HISTORY_FILE, PLAN_FILE = "model.keras", "last.keras", "best.keras", "history.csv", "plan.json"


def fit(
    train: Source,
    val: Source,
    out: Path,
    plan: Plan,
    *,
    resume: bool = False,
    init: tuple[keras.Model, tuple[str, ...]] | None = None,
    teacher: Teacher | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
) -> tuple[keras.Model, list[Epoch]]:
    """Train a network and return the epoch that did best on `val`, with the history.

    Args:
        train, val: sources; the network's classes are those of `train`.
        out: folder for `last.keras`, `best.keras` and `history.csv`, each replaced atomically.
        resume: go on after the last finished epoch in `out`.
        init: network to go on from, with its labels; of its classifier the classes of `train` are kept.
        teacher: gives probabilities (N, classes) of pictures, which the network learns beside the labels.
        cache: folder that keeps drawings and targets, for epochs and other runs that draw the same.

    Raises:
        LettercastError: `out` holds a run already and resume is False, or one that was planned otherwise; another process
            trains there; or the loss is no number any more.
    """
    if len(train.classes) < 2:
        raise LettercastError(f"{train.name}: has one class only; a network needs two or more to tell apart")
    _check(out, resume)
    network, history = _resumed(out, plan) if resume else _begun(plan, train, init)
    with alone(out):
        if not resume:
            plan.save(out / PLAN_FILE)
        x_val, y_val = draw_all(val), relabel(val, train.classes)
        if (y_val < 0).any():
            raise LettercastError(f"{val.name}: has classes that {train.name} has not; train on both")
        y_val = keras.utils.to_categorical(y_val, len(train.classes))
        started, begun = time.monotonic(), len(history)
        with drawing(train, (plan.epochs - begun) * plan.steps * BATCH) as draw:
            for epoch in range(begun, plan.epochs):
                left = time_left(time.monotonic() - started, epoch - begun, plan.epochs - epoch)
                report(f"epoch {epoch + 1} of {plan.epochs}{left}")
                seed_dropout(network, plan.seed, epoch)
                batches = Batches(train, plan, epoch, teacher, cache, draw=draw)
                with HeldInterrupt() as interrupt:
                    line = _fit_epoch(network, batches, (x_val, y_val), epoch, interrupt)
                    if not math.isfinite(line.loss + line.val_loss):
                        reason = f"the loss is no number in epoch {epoch + 1}"
                        raise LettercastError(f"{out}: {reason}; try a --rate below {plan.rate:g} in another --out")
                    if all(line.val_accuracy > earlier.val_accuracy for earlier in history):
                        save_keras(network, out / BEST_FILE)
                    history.append(line)
                    # The network last: where a kill leaves it one epoch behind, that epoch is trained again to the same end.
                    write_history(history, out / HISTORY_FILE)
                    save_keras(network, out / LAST_FILE)
                    batches.keep()
        return _best(out), history


def seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    """Let an epoch's dropout be decided by seed and epoch alone: Keras does not save where its generators stand."""
    for place, layer in enumerate(network.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.random.default_rng([seed, epoch, place]).integers(0, 2**32, 2, dtype=np.uint32))


def time_left(elapsed_s: float, done: int, left: int) -> str:
    """Say how long the epochs that are left will take, by those done; empty before the first is done."""
    if done == 0:
        return ""
    minutes = elapsed_s / done * left / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than 1 min left"


def calibrate(network: keras.Model, facts: Facts, val: Source) -> Facts:
    """Make the network's probabilities mean what they say on `val`, and return its facts with temperature and threshold.

    Fewer than 100 letters tell nothing of either: then facts and network stay as they are.
    """
    pictures, truth = draw_all(val), relabel(val, facts.labels)
    if len(truth) < FEWEST_TO_CALIBRATE:
        return facts
    temperature = best_temperature(classify(network, pictures), truth)
    soften(network, temperature)
    return replace(facts, temperature=temperature, reject_below=rejection_threshold(classify(network, pictures)))


def compile_network(network: keras.Model, plan: Plan) -> None:
    """Give the network its loss and an AdamW whose rate warms up and falls along a cosine."""
    warm_up = round(WARM_UP_EPOCHS * plan.steps)
    rate = keras.optimizers.schedules.CosineDecay(
        plan.rate / 50, max(1, plan.steps * plan.epochs - warm_up), alpha=0.0, warmup_target=plan.rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    network.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
    )


def _fit_epoch(
    network: keras.Model, batches: Batches, validation: tuple[Pixels, NDArray[np.float32]], epoch: int, interrupt: HeldInterrupt
) -> Epoch:
    """Train the network for one epoch; returns what it came to."""
    log = network.fit(
        batches,
        shuffle=False,  # batches are drawn by chance already
        validation_data=validation,
        validation_batch_size=KERAS_BATCH,
        callbacks=[keras.callbacks.TerminateOnNaN(), interrupt],
        # Bars on a terminal, one line an epoch in a log file.
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    return Epoch(epoch + 1, *(float(log[key][-1]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")))


def _check(out: Path, resume: bool) -> None:
    if resume and not (out / LAST_FILE).exists():
        raise LettercastError(f"{out}: nothing to resume there; start without --resume")
    if not resume and ((out / LAST_FILE).exists() or (out / MODEL_FILE).exists()):
        raise LettercastError(f"{out}: holds a training run already; add --resume to go on, or choose another --out")


def _begun(plan: Plan, train: Source, init: tuple[keras.Model, tuple[str, ...]] | None) -> tuple[keras.Model, list[Epoch]]:
    keras.utils.set_random_seed(plan.seed)
    network = with_classes(*init, train.classes) if init else build_network(plan.size, len(train.classes), plan.momentum)
    compile_network(network, plan)
    return network, []


def _best(out: Path) -> keras.Sequential:
    try:
        return fold(keras.saving.load_model(out / BEST_FILE, compile=False))
    except DAMAGED as error:
        raise LettercastError(f"{out / BEST_FILE}: missing or damaged ({error}); start anew in another --out") from error


def _resumed(out: Path, plan: Plan) -> tuple[keras.Model, list[Epoch]]:
    planned = Plan.load(out / PLAN_FILE)
    try:
        network = keras.saving.load_model(out / LAST_FILE)
        history = read_history(out / HISTORY_FILE)
        finished = int(network.optimizer.iterations) // planned.steps
    except DAMAGED as error:
        raise LettercastError(f"{out}: the run there is damaged ({error}); start anew in another --out") from error
    if len(history) < finished:
        raise LettercastError(f"{out}: {HISTORY_FILE} lacks finished epochs; start anew in another --out")
    if planned != plan:
        raise LettercastError(f"{out}: was started with {planned.differences(plan)}; use that again, or another --out")
    return network, history[:finished]
