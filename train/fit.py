"""Training: every epoch is drawn again and saved, and the best one on validation is returned."""

import io
import math
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.glyph import GLYPH_PX
from ..runtime.model.facts import Facts
from ..runtime.pixels import Pixels
from .data.clutter import Draw, Drawn, draw_order, drawing
from .data.source import Source, draw_all, relabel
from .evaluation import best_temperature, rejection_threshold, temperature_for
from .network import build_network, fold, soften, with_classes
from .plan import BATCH, Epoch, Plan, locked, read_history, write_history
from .predict import KERAS_BATCH, Teacher, classify, save_keras
from .rehearse import MIN_TO_CALIBRATE, Rehearsal

MAX_WORKERS = 16


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, whatever its plan says.

    Chosen by hand; no search over these values is recorded. The models of docs/model-card.md were trained with them.
    """

    label_smoothing: float = 0.05
    """Share of a target that is spread evenly over all classes."""
    teacher_share: float = 0.7
    """Share of a target that is the teacher's answer; the rest is the label."""
    weight_decay: float = 0.05
    warm_up_epochs: float = 1.0
    warm_up_factor: float = 50
    """Warm-up starts from the peak of the learning rate divided by this."""


RECIPE = Recipe()


class Batches(keras.utils.PyDataset):
    """One epoch of drawn letters.

    The plan and the epoch alone decide which letter is drawn at which place, so that a resumed run sees the same ones. A
    share of the places is clutter, whose target is the same for every class. With a cache folder, images and the teacher's
    answers are made once; if the plan repeats them, they come in another order.

    The target of a built-in letter in a Rehearsal is the teacher's answer alone, which keeps what it knows and how sure it is,
    and that of your own letters the label alone (Li and Hoiem 2017, Learning without Forgetting).
    """

    def __init__(
        self,
        source: Source,
        plan: Plan,
        epoch: int,
        teacher: Teacher | None = None,
        folder: Path | None = None,
        *,
        draw: Draw | None = None,
        non_letters: Source | None = None,
    ) -> None:
        workers = max(1, min(MAX_WORKERS, (os.cpu_count() or 1) - 1))
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=16)
        self.source, self.plan, self.teacher = source, plan, teacher
        self.draw = draw or partial(draw_order, Drawn(source, plan.strength, non_letters))
        count, classes = plan.steps * BATCH, len(source.classes)
        repeated = 0 < plan.cycle <= epoch
        drawn = epoch % plan.cycle if plan.cycle else epoch
        self.entropy = [plan.draw_seed, drawn]
        self.order = np.random.default_rng([plan.seed, epoch]).permutation(count) if repeated else np.arange(count)
        self.letters = np.random.default_rng(self.entropy).choice(len(source.labels), count, p=source.weights)
        # Asked once per epoch: a mixture of sources computes its labels each time.
        self.labels = source.labels[self.letters]
        name = f"{plan.drawings}-{drawn}"
        self.drawings = Cached(folder and folder / f"{name}.npz", (count, GLYPH_PX, GLYPH_PX, 1), np.uint8)
        answered = folder / f"{name}-{(plan.teacher or plan.init)[:16]}.npz" if folder and teacher else None
        self.answers = Cached(answered, (count, classes), np.float16)

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, index: int) -> tuple[Pixels, NDArray[np.float32]]:
        """Return images (128, 28, 28, 1) uint8 and targets (128, classes) float32 whose rows sum to 1."""
        places = self.order[index * BATCH : (index + 1) * BATCH]
        images = self.drawings.get(places, lambda: self.draw(self.entropy, [self._entry_at(int(place)) for place in places]))
        count = len(self.source.classes)
        targets = np.eye(count, dtype=np.float32)[self.labels[places]]
        if teacher := self.teacher:
            # Rounded as in the cache, so that a run is the same with and without one.
            answers = self.answers.get(places, lambda: teacher(images, self.labels[places]).astype(np.float16)).astype(np.float32)
            if isinstance(self.source, Rehearsal):
                share = (self.letters[places] >= self.source.own).astype(np.float32)[:, None]
            else:
                share = np.float32(RECIPE.teacher_share)
            targets = (1 - share) * targets + share * answers
        else:
            targets = (1 - RECIPE.label_smoothing) * targets + RECIPE.label_smoothing / count
        targets[[self._is_clutter(place) for place in places]] = 1 / count
        return images, targets

    def save(self) -> None:
        """Save this epoch's drawings and answers if there is a cache folder."""
        self.drawings.save()
        self.answers.save()

    def release(self) -> None:
        """Let go of this epoch's drawings and answers; call it when the epoch is over."""
        # With TensorFlow, Keras' fit keeps every dataset that it ever had.
        self.drawings.values = self.answers.values = None

    def _entry_at(self, place: int) -> tuple[int, int]:
        return place, -1 if self._is_clutter(place) else int(self.letters[place])

    def _is_clutter(self, place: int) -> bool:
        # Every n-th place: the letters are in random order, so the place gives nothing away.
        return int((place + 1) * self.plan.clutter) > int(place * self.plan.clutter)


class Cached:
    """An array (count, ...) that is filled place by place, or was saved to a file before."""

    def __init__(self, path: Path | None, shape: tuple[int, ...], dtype: type) -> None:
        self.path = path
        found = load_cached(path, shape) if path else None
        self.is_saved = found is not None
        # Threads fill it at different places, so it exists from the beginning.
        self.values = found if found is not None or not path else np.zeros(shape, dtype)
        self.made = np.zeros(shape[0], bool)

    def get(self, places: NDArray[np.int64], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the values at some places; `make` makes them unless they were saved before."""
        if self.values is not None and self.is_saved:
            return self.values[places]
        values = make()
        if self.values is not None:
            self.values[places], self.made[places] = values, True
        return values

    def save(self) -> None:
        """Write the array if it has a file and is complete."""
        if self.path and self.values is not None and not self.is_saved and self.made.all():
            data = io.BytesIO()
            np.savez(data, values=self.values)
            write_bytes(self.path, data.getvalue())


def load_cached(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Load an array of this shape; None if there is no such file or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive["values"]
    except Exception:  # a damaged archive may raise anything
        return None
    return values if values.shape == shape else None


class DelayedInterrupt(keras.callbacks.Callback):
    """Delays Ctrl-C until the current batch is trained: TensorFlow may swallow an interrupt in the middle, or break.

    A context and a callback of `fit`. Ctrl-C after the last batch, while the epoch is saved, takes effect at the end of the
    context; a second Ctrl-C takes effect at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = False

    def __enter__(self) -> "DelayedInterrupt":
        # A shell's background job ignores Ctrl-C, and only the main thread receives it.
        is_main = threading.current_thread() is threading.main_thread()
        self.is_delaying = is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self.is_delaying:
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_delaying:
            signal.signal(signal.SIGINT, self.before)
        if self.is_asked and kind is None:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


# What Keras and zipfile raise for foreign and truncated files.
DAMAGED = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile)
MODEL_FILE, LAST_FILE, BEST_FILE, HISTORY_FILE, PLAN_FILE = "model.keras", "last.keras", "best.keras", "history.csv", "plan.json"
# The fitted model, if the one that it started from reads better and is kept as MODEL_FILE.
FITTED_FILE = "fitted.keras"


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
    non_letters: Source | None = None,
    chooses: bool = True,
    report: Callable[[str], None] = print,
    verbose: bool = True,
) -> tuple[keras.Model, list[Epoch]]:
    """Train a network and return its best epoch on `val`, by accuracy and among equals by loss, or its last, and the history.

    Args:
        train, val: letters; the network has the classes of `train`.
        out: folder for `last.keras`, `best.keras` and `history.csv`; none is ever half-written.
        resume: continue after the last finished epoch in `out`.
        init: network to start from, with its labels; its classifier keeps what it knows of the classes of `train`.
        teacher: returns probabilities (N, classes) for images and their labels (N,), which the network learns beside the labels.
        cache: folder that keeps drawings and answers for epochs and runs that draw the same.
        non_letters: images of what is no letter, beside the clutter that is made up.
        chooses: whether `val` chooses the epoch that is returned; if not, it is the last.

    Raises:
        LettercastError: `out` contains a run and resume is False, or a run with another plan; another process trains there;
            or the loss becomes infinite or NaN.
    """
    if len(train.classes) < 2:
        raise LettercastError(f"{train.name}: has only one class; training needs at least two")
    _check(out, resume)
    network, history = _resumed(out, plan) if resume else _begun(plan, train, init)
    with locked(out):
        if not resume:
            plan.save(out / PLAN_FILE)
        x_val, y_val = draw_all(val), relabel(val, train.classes)
        if (y_val < 0).any():
            raise LettercastError(f"{val.name}: has classes that {train.name} lacks; train on both")
        y_val = keras.utils.to_categorical(y_val, len(train.classes))
        started, begun = time.monotonic(), len(history)
        with (
            ending_early(history),
            drawing(Drawn(train, plan.strength, non_letters), (plan.epochs - begun) * plan.steps * BATCH) as draw,
        ):
            for epoch in range(begun, plan.epochs):
                left = time_left(time.monotonic() - started, epoch - begun, plan.epochs - epoch)
                report(f"epoch {epoch + 1} of {plan.epochs}{left}")
                seed_dropout(network, plan.seed, epoch)
                batches = Batches(train, plan, epoch, teacher, cache, draw=draw)
                with DelayedInterrupt() as interrupt:
                    line = _fit_epoch(network, batches, (x_val, y_val), epoch, interrupt, verbose=verbose)
                    if not math.isfinite(line.loss + line.val_loss):
                        reason = f"the loss is infinite or NaN in epoch {epoch + 1}"
                        raise LettercastError(f"{out}: {reason}; try a --rate below {plan.rate:g} in another --out")
                    if not chooses or all(line.is_better_than(earlier) for earlier in history):
                        save_keras(network, out / BEST_FILE)
                    history.append(line)
                    # The network last: if a kill leaves it one epoch behind, that epoch is trained again with the same result.
                    write_history(history, out / HISTORY_FILE)
                    save_keras(network, out / LAST_FILE)
                    batches.save()
                batches.release()
        return best_network(out), history


def seed_dropout(network: keras.Model, seed: int, epoch: int) -> None:
    """Make seed and epoch alone decide an epoch's dropout: Keras does not save the state of its generators."""
    for place, layer in enumerate(network.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.random.default_rng([seed, epoch, place]).integers(0, 2**32, 2, dtype=np.uint32))


def time_left(elapsed_s: float, done: int, left: int) -> str:
    """Estimate in words how long the remaining epochs take; empty before the first is done."""
    if done == 0:
        return ""
    minutes = elapsed_s / done * left / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than 1 min left"


def calibrate(network: keras.Model, facts: Facts, val: Source) -> Facts:
    """Scale the network's logits so that confidence matches accuracy on `val`; return its facts with temperature and threshold.

    With fewer than 100 letters, facts and network stay as they are.
    """
    images, truth = draw_all(val), relabel(val, facts.labels)
    if len(truth) < MIN_TO_CALIBRATE:
        return facts
    temperature = best_temperature(classify(network, images), truth)
    soften(network, temperature)
    threshold = rejection_threshold(classify(network, images), labels=facts.labels)
    return replace(facts, temperature=temperature, reject_below=threshold)


def carry_confidence(network: keras.Model, start: keras.Model, check: Source, labels: Sequence[str]) -> None:
    """Scale the network's logits so that its confidence exceeds its accuracy on `check` as far as that of `start` does.

    Letters of `check` may be easier than those that are read, so that they cannot tell how sure the network may be; but where
    `start` was calibrated on better ones, the network is then as true as it.
    """
    images, truth = draw_all(check), relabel(check, labels)
    before, after = classify(start, images), classify(network, images)
    excess = float((before.max(1) - (before.argmax(1) == truth)).mean())
    goal = float(np.clip((after.argmax(1) == truth).mean() + excess, 0, 1))
    soften(network, temperature_for(after, goal))


def compile_network(network: keras.Model, plan: Plan) -> None:
    """Compile the network with its loss and an AdamW optimizer whose rate warms up and falls along a cosine."""
    warm_up = round(RECIPE.warm_up_epochs * plan.steps)
    rate = keras.optimizers.schedules.CosineDecay(
        plan.rate / RECIPE.warm_up_factor,
        max(1, plan.steps * plan.epochs - warm_up),
        alpha=0.0,
        warmup_target=plan.rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=RECIPE.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    network.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
    )


def _fit_epoch(
    network: keras.Model,
    batches: Batches,
    validation: tuple[Pixels, NDArray[np.float32]],
    epoch: int,
    interrupt: DelayedInterrupt,
    *,
    verbose: bool,
) -> Epoch:
    """Train the network for one epoch; returns its line of the history."""
    log = network.fit(
        batches,
        shuffle=False,  # batches are in random order already
        validation_data=validation,
        validation_batch_size=KERAS_BATCH,
        callbacks=[keras.callbacks.TerminateOnNaN(), interrupt],
        # A bar on a terminal, one line per epoch in a log file.
        verbose=(1 if sys.stdout.isatty() else 2) if verbose else 0,
    ).history
    return Epoch(epoch + 1, *(float(log[key][-1]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")))


def _check(out: Path, resume: bool) -> None:
    if resume and not (out / LAST_FILE).exists():
        raise LettercastError(f"{out}: nothing to resume there; start without --resume")
    if not resume and ((out / LAST_FILE).exists() or (out / MODEL_FILE).exists()):
        raise LettercastError(f"{out}: contains a training run already; add --resume to continue, or choose another --out")


def _begun(plan: Plan, train: Source, init: tuple[keras.Model, tuple[str, ...]] | None) -> tuple[keras.Model, list[Epoch]]:
    keras.utils.set_random_seed(plan.seed)
    network = with_classes(*init, train.classes) if init else build_network(plan.size, len(train.classes), plan.momentum)
    compile_network(network, plan)
    return network, []


class EndedEarly(KeyboardInterrupt):
    """Ctrl-C after at least one finished epoch; history has one line for each."""

    def __init__(self, history: list[Epoch]) -> None:
        super().__init__()
        self.history = history


@contextmanager
def ending_early(history: list[Epoch]) -> Iterator[None]:
    """Turn Ctrl-C into EndedEarly with the epochs that are finished by then."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not history:
            raise KeyboardInterrupt("in the first epoch") from stop
        raise EndedEarly(history) from stop


def best_network(out: Path) -> keras.Sequential:
    """Load the network that a run in `out` has chosen so far; raises LettercastError if there is none."""
    try:
        return fold(keras.saving.load_model(out / BEST_FILE, compile=False))
    except DAMAGED as error:
        raise LettercastError(f"{out / BEST_FILE}: missing or damaged ({error}); start again in another --out") from error


def _resumed(out: Path, plan: Plan) -> tuple[keras.Model, list[Epoch]]:
    planned = Plan.load(out / PLAN_FILE)
    try:
        network = keras.saving.load_model(out / LAST_FILE)
        history = read_history(out / HISTORY_FILE)
        finished = int(network.optimizer.iterations) // planned.steps
    except DAMAGED as error:
        raise LettercastError(f"{out}: the run there is damaged ({error}); start again in another --out") from error
    if len(history) < finished:
        raise LettercastError(f"{out}: {HISTORY_FILE} lacks finished epochs; start again in another --out")
    if planned != plan:
        raise LettercastError(f"{out}: was started with {planned.differences(plan)}; use that again, or choose another --out")
    return network, history[:finished]
