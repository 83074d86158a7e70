"""Training: batches drawn anew each epoch, every epoch saved, best on validation kept."""

import io
import math
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import make_folder, write_bytes
from ..runtime.glyph import GLYPH_PX
from ..runtime.model.facts import Facts
from ..runtime.pixels import Pixels
from .data.clutter import Draw, draw_order, drawing
from .data.source import Source, draw_all, relabel
from .evaluation import best_temperature, rejection_threshold
from .network import build_network, fold, soften, with_classes
from .plan import BATCH, Epoch, Plan, read_history, write_history
from .predict import KERAS_BATCH, classify, save_keras

LABEL_SMOOTHING = 0.05
# How much of a letter's target is the teacher's answer; the rest is the label itself.
TEACHER_SHARE = 0.7
MOST_WORKERS = 16

Teacher = Callable[[Pixels], NDArray[np.float32]]


class Batches(keras.utils.PyDataset):
    """One epoch of drawn letters.

    What stands at which place is decided by the plan and the epoch alone, so a resumed run sees the same. A share of
    the places is clutter, whose target is every class alike. With a folder to keep them in, pictures and the teacher's
    answers are made once; where the plan repeats them they come in another order.
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
    ) -> None:
        workers = max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=16)
        self.source, self.plan, self.teacher = source, plan, teacher
        self.draw = draw or partial(draw_order, source)
        count, classes = plan.steps * BATCH, len(source.classes)
        repeated = 0 < plan.cycle <= epoch
        drawn = epoch % plan.cycle if plan.cycle else epoch
        self.entropy = [plan.draw_seed, drawn]
        self.order = np.random.default_rng([plan.seed, epoch]).permutation(count) if repeated else np.arange(count)
        self.letters = np.random.default_rng(self.entropy).choice(len(source.labels), count, p=source.weights)
        # Once an epoch: a mixture of sources works its labels out anew each time that it is asked.
        self.labels = source.labels[self.letters]
        name = f"{plan.drawings}-{drawn}"
        self.drawings = Kept(folder and folder / f"{name}.npz", (count, GLYPH_PX, GLYPH_PX, 1), np.uint8)
        answered = folder / f"{name}-{plan.teacher[:16]}.npz" if folder and teacher else None
        self.answers = Kept(answered, (count, classes), np.float16)

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, index: int) -> tuple[Pixels, NDArray[np.float32]]:
        """Return pictures (128, 28, 28, 1) uint8 and targets (128, classes) float32 that sum to 1."""
        places = self.order[index * BATCH : (index + 1) * BATCH]
        pictures = self.drawings.get(places, lambda: self.draw(self.entropy, [self._standing_at(int(place)) for place in places]))
        count = len(self.source.classes)
        targets = np.eye(count, dtype=np.float32)[self.labels[places]]
        if teacher := self.teacher:
            # Rounded as they are kept, so that a run is the same whether they were kept or not.
            answers = self.answers.get(places, lambda: teacher(pictures).astype(np.float16)).astype(np.float32)
            targets = (1 - TEACHER_SHARE) * targets + TEACHER_SHARE * answers
        else:
            targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING / count
        targets[[self._is_clutter(place) for place in places]] = 1 / count
        return pictures, targets

    def keep(self) -> None:
        """Save what this epoch made, where there is a folder for it; call it when the epoch is over."""
        self.drawings.save()
        self.answers.save()

    def _standing_at(self, place: int) -> tuple[int, int]:
        return place, -1 if self._is_clutter(place) else int(self.letters[place])

    def _is_clutter(self, place: int) -> bool:
        # Every n-th place: letters stand in no order, so nothing is told by it.
        return int((place + 1) * self.plan.clutter) > int(place * self.plan.clutter)


class Kept:
    """An array (count, ...) that is made place by place, or was made before and lies in a file."""

    def __init__(self, path: Path | None, shape: tuple[int, ...], dtype: type) -> None:
        self.path = path
        found = load_kept(path, shape) if path else None
        self.is_saved = found is not None
        # Threads fill it at different places, so it is there from the beginning.
        self.values = found if found is not None or not path else np.zeros(shape, dtype)
        self.made = np.zeros(shape[0], bool)

    def get(self, places: NDArray[np.int64], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the values at some places, made now where they were never made."""
        if self.values is not None and self.is_saved:
            return self.values[places]
        values = make()
        if self.values is not None:
            self.values[places], self.made[places] = values, True
        return values

    def save(self) -> None:
        """Write the array, where it has a file and is whole."""
        if self.path and self.values is not None and not self.is_saved and self.made.all():
            data = io.BytesIO()
            np.savez(data, values=self.values)
            write_bytes(self.path, data.getvalue())


def load_kept(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Load an array of this shape; None where there is no such file, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive["values"]
    except Exception:  # a damaged archive raises what its damage leads to
        return None
    return values if values.shape == shape else None


try:
    import fcntl
except ImportError:
    # Windows has none; there nobody is kept out.
    fcntl = None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder and hold it for this process; it is let go of however the process ends, kill -9 included.

    Raises LettercastError where another process holds it.
    """
    make_folder(folder)
    with ExitStack() as holding:
        if fcntl:
            held = os.open(folder, os.O_RDONLY)
            holding.callback(os.close, held)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LettercastError(
                    f"{folder}: another training run writes there now; wait for it, or choose another --out"
                ) from error
            except OSError:
                # Some network drives cannot; there, too, nobody is kept out.
                pass
        yield


class HeldInterrupt(keras.callbacks.Callback):
    """Holds Ctrl-C back until the batch under way is trained: TensorFlow, cut short, may swallow it or break.

    A context and a callback of `fit`. What is asked for after the last batch, while the epoch is saved, comes at the
    context's end; asked for twice, it comes at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = False

    def __enter__(self) -> "HeldInterrupt":
        # A shell's background job ignores Ctrl-C, and only the main thread hears it.
        is_main = threading.current_thread() is threading.main_thread()
        self.is_holding = is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self.is_holding:
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_holding:
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


WEIGHT_DECAY = 0.05
WARM_UP_EPOCHS = 1.0
MIN_TO_CALIBRATE = 100
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
    verbose: bool = True,
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
                    line = _fit_epoch(network, batches, (x_val, y_val), epoch, interrupt, verbose=verbose)
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
    if len(truth) < MIN_TO_CALIBRATE:
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
    network: keras.Model,
    batches: Batches,
    validation: tuple[Pixels, NDArray[np.float32]],
    epoch: int,
    interrupt: HeldInterrupt,
    *,
    verbose: bool,
) -> Epoch:
    """Train the network for one epoch; returns what it came to."""
    log = network.fit(
        batches,
        shuffle=False,  # batches are drawn by chance already
        validation_data=validation,
        validation_batch_size=KERAS_BATCH,
        callbacks=[keras.callbacks.TerminateOnNaN(), interrupt],
        # Bars on a terminal, one line an epoch in a log file.
        verbose=(1 if sys.stdout.isatty() else 2) if verbose else 0,
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
