"""Training: batches drawn anew each epoch, every epoch saved, best on validation kept."""

import json
import math
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from .. import LettercastError
from ..runtime.files import make_folder
from .history import Epoch, read_history, write_history
from .network import build_network
from .source import Source, draw_all, draw_some, relabel

BATCH = 128
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
WARM_UP_EPOCHS = 1.0
MODEL_FILE, LAST_FILE, BEST_FILE, HISTORY_FILE, PLAN_FILE = "model.keras", "last.keras", "best.keras", "history.csv", "plan.json"


@dataclass(frozen=True)
class Plan:
    """What decides a training run, besides the letters themselves; steps are batches an epoch."""

    size: str
    epochs: int
    seed: int
    steps: int
    data: str

    @classmethod
    def of(cls, train: Source, *, size: str = "base", epochs: int = 20, seed: int = 1, steps: int | None = None) -> "Plan":
        """Plan a run; without steps an epoch draws as many letters as the source has."""
        return cls(size, epochs, seed, steps or math.ceil(len(train.labels) / BATCH), train.name)

    @property
    def momentum(self) -> float:
        """Return the momentum of running means: they must settle in a small part of the run, however short it is."""
        return min(0.99, max(0.9, 1 - 20 / (self.epochs * self.steps)))


class Batches(keras.utils.PyDataset):
    """One epoch of drawn letters; batch i depends on the seed, the epoch and i alone, so a resumed run draws the same."""

    def __init__(self, source: Source, seed: int, epoch: int, steps: int):
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=16)
        self.source, self.steps = source, steps
        self.entropy = [seed, epoch]
        rng = np.random.default_rng(self.entropy)
        self.order = rng.choice(len(source.labels), steps * BATCH, p=source.weights)
        self.labels = source.labels

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        images = draw_some(self.source, chosen, [*self.entropy, index])
        return images, keras.utils.to_categorical(self.labels[chosen], len(self.source.classes))


def fit(
    train: Source, val: Source, out: Path, plan: Plan, *, resume: bool = False, report: Callable[[str], None] = print
) -> tuple[keras.Model, list[Epoch]]:
    """Train a network and return the epoch that did best on `val`, with the history.

    Args:
        train, val: sources; the network's classes are those of `train`.
        out: folder for `last.keras`, `best.keras` and `history.csv`, each replaced atomically.
        resume: go on after the last finished epoch in `out`.

    Raises:
        LettercastError: `out` holds a run already and resume is False, or holds one that was planned otherwise.
    """
    if len(train.classes) < 2:
        raise LettercastError(f"{train.name}: has one class only; a network needs two or more to tell apart")
    network, history = _resumed(out, plan) if resume else _begun(out, plan, train)
    x_val, y_val = draw_all(val), relabel(val, train.classes)
    if (y_val < 0).any():
        raise LettercastError(f"{val.name}: has classes that {train.name} has not; train on both")
    y_val = keras.utils.to_categorical(y_val, len(train.classes))
    # Bars on a terminal, one line an epoch in a log file.
    bars = 1 if sys.stdout.isatty() else 2
    for epoch in range(len(history), plan.epochs):
        report(f"epoch {epoch + 1} of {plan.epochs}")
        keras.utils.set_random_seed((plan.seed * 100_003 + epoch) % 2**32)
        log = network.fit(
            Batches(train, plan.seed, epoch, plan.steps), validation_data=(x_val, y_val), validation_batch_size=512, verbose=bars
        ).history
        line = Epoch(epoch + 1, *(float(log[key][-1]) for key in ("loss", "accuracy", "val_loss", "val_accuracy")))
        if all(line.val_accuracy > earlier.val_accuracy for earlier in history):
            save_keras(network, out / BEST_FILE)
        history.append(line)
        # The network last: where a kill leaves it one epoch behind, that epoch is trained again to the same end.
        write_history(history, out / HISTORY_FILE)
        save_keras(network, out / LAST_FILE)
    return keras.saving.load_model(out / BEST_FILE, compile=False), history


def compile_network(network: keras.Model, plan: Plan) -> None:
    """Give the network its loss and an AdamW whose rate warms up and falls along a cosine."""
    warm_up = round(WARM_UP_EPOCHS * plan.steps)
    rate = keras.optimizers.schedules.CosineDecay(
        PEAK_RATE / 50, max(1, plan.steps * plan.epochs - warm_up), alpha=0.0, warmup_target=PEAK_RATE, warmup_steps=warm_up
    )
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )


def save_keras(network: keras.Model, path: Path) -> None:
    """Save a model under a temporary name and rename it, so that `path` is never half-written."""
    temporary = path.with_name(f".{path.stem}.partial.keras")
    network.save(temporary)
    temporary.replace(path)


def _begun(out: Path, plan: Plan, train: Source) -> tuple[keras.Model, list[Epoch]]:
    if (out / LAST_FILE).exists() or (out / MODEL_FILE).exists():
        raise LettercastError(f"{out}: holds a training run already; add --resume to go on, or choose another --out")
    keras.utils.set_random_seed(plan.seed)
    network = build_network(plan.size, len(train.classes), plan.momentum)
    compile_network(network, plan)
    make_folder(out)
    (out / PLAN_FILE).write_text(json.dumps(asdict(plan)))
    return network, []


def _resumed(out: Path, plan: Plan) -> tuple[keras.Model, list[Epoch]]:
    if not (out / LAST_FILE).exists():
        raise LettercastError(f"{out}: nothing to resume there; start without --resume")
    try:
        planned = Plan(**json.loads((out / PLAN_FILE).read_text()))
        network = keras.saving.load_model(out / LAST_FILE)
        history = read_history(out / HISTORY_FILE)
        finished = int(network.optimizer.iterations) // planned.steps
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise LettercastError(f"{out}: the run there is damaged ({error}); start anew in another --out") from error
    if len(history) < finished:
        raise LettercastError(f"{out}: {HISTORY_FILE} lacks finished epochs; start anew in another --out")
    if planned != plan:
        raise LettercastError(f"{out}: was started with other settings ({planned}); use them again, or another --out")
    return network, history[:finished]
