"""What the folder of a training run keeps: the settings that decide the run, its history, and a lock."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .. import LettercastError
from ..runtime import files
from ..runtime.files import write_bytes
from .data.source import Source


@dataclass(frozen=True)
class Epoch:
    """One line of the history; accuracies are 0..1."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float

    def is_better_than(self, other: "Epoch") -> bool:
        """Return whether this epoch's validation accuracy is higher, or its loss lower at the same accuracy."""
        # A few validation letters are soon all right, long before the network knows the others.
        return (self.val_accuracy, -self.val_loss) > (other.val_accuracy, -other.val_loss)


def write_history(history: list[Epoch], path: Path) -> None:
    """Write the history as CSV, one line per epoch; the file is never half-written."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [f.name for f in fields(Epoch)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in history)
    write_bytes(path, text.getvalue().encode())


def read_history(path: Path) -> list[Epoch]:
    """Read the file of write_history."""
    with path.open(newline="") as file:
        return [Epoch(int(row.pop("epoch")), **{k: float(v) for k, v in row.items()}) for row in csv.DictReader(file)]


BATCH = 128
# Peak of the learning rate from scratch, and from a trained network.
PEAK_RATE, TUNING_RATE = 2e-3, 5e-4
CLUTTER_SHARE = 0.05
SHA256_DIGITS = 64
# Raise it with every change of how letters are drawn or teachers answer, so that older caches are not used.
DRAWING_VERSION = 4
# Every drawing of a letter is different, so an epoch draws the letters of a small source several times.
MIN_STEPS = 50


@dataclass(frozen=True)
class Plan:
    """Settings of one run.

    steps is the number of batches per epoch and rate the peak of the learning rate. data and val name the letters, with
    their shares; clutter is the share of non-letters among them. draw_seed decides the drawings, which repeat after `cycle`
    epochs; 0 never repeats them. strength is that of their distortion, 0..1. init and teacher are the SHA-256 of the models
    that the run starts from and learns from, empty if there is none; letters and val_letters are the digests of the letters
    behind data and val, and non_letters that of images of non-letters, if there are any. rehearse is the share of built-in
    letters, whose targets are the answers of the model that the run starts from.
    """

    size: str
    epochs: int
    seed: int
    steps: int
    data: str
    val: str = ""
    rate: float = PEAK_RATE
    clutter: float = CLUTTER_SHARE
    draw_seed: int = 1
    cycle: int = 0
    strength: float = 1.0
    init: str = ""
    teacher: str = ""
    letters: str = ""
    val_letters: str = ""
    non_letters: str = ""
    rehearse: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.clutter < 1:
            raise LettercastError(f"--clutter {self.clutter:g}: must be a share from 0 to below 1")
        if not 0 <= self.strength <= 1:
            raise LettercastError(f"--strength {self.strength:g}: must be 0 to 1")
        if not 0 <= self.rehearse < 1:
            raise LettercastError(f"--rehearse {self.rehearse:g}: must be a share from 0 to below 1")
        if not 0 < self.rate < 1:
            raise LettercastError(f"--rate {self.rate:g}: must be a learning rate above 0 and below 1")

    @classmethod
    def of(
        cls, train: Source, *, size: str = "base", epochs: int = 20, seed: int = 1, steps: int | None = None, **more: Any
    ) -> "Plan":
        """Plan a run. By default an epoch draws as many letters as the source has, at least 50 batches, and draw_seed is seed."""
        settings: dict[str, Any] = {"data": train.name, "draw_seed": seed, "letters": train.digest}
        settings |= {name: value for name, value in more.items() if value is not None}
        return cls(size, epochs, seed, steps or max(MIN_STEPS, math.ceil(len(train.labels) / BATCH)), **settings)

    @property
    def momentum(self) -> float:
        """Momentum of the running means, low enough for them to settle in a small part of the run, however short it is."""
        return min(0.99, max(0.9, 1 - 20 / (self.epochs * self.steps)))

    @property
    def drawings(self) -> str:
        """A name of what this plan draws: equal for plans that draw the same images."""
        parts = [DRAWING_VERSION, self.steps, self.letters, self.clutter, self.draw_seed, self.strength]
        parts += [self.non_letters] if self.non_letters else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the plan as JSON; the file is never half-written."""
        write_bytes(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan; raises LettercastError if the file is not one."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LettercastError(f"{path}: not the plan of a training run ({error}); start again in another --out") from error

    def differences(self, other: "Plan") -> str:
        """List the settings that differ from another plan's, as `name a, not b`; empty if none differs."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return "; ".join(f"{name} {_short(mine)}, not {_short(theirs)}" for name, mine, theirs in pairs if mine != theirs)


def fingerprint(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of model files, one after the other; empty without files."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise LettercastError(f"{path}: {error.strerror or error}; give a .keras model") from error
    return digest.hexdigest() if paths else ""


def _short(value: object) -> str:
    """Return a setting as text; of a SHA-256, its beginning."""
    return f"{value:.12}" if isinstance(value, str) and len(value) == SHA256_DIGITS else str(value)


def locked(folder: Path) -> AbstractContextManager[None]:
    """Create the folder of a run and lock it for this process, as `runtime.files.locked` does."""
    return files.locked(folder, "another training run")
