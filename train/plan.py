"""What decides a training run, besides the letters themselves."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .. import LettercastError
from ..runtime.files import write_bytes
from .data.source import Source


@dataclass(frozen=True)
class Epoch:
    """One line of the history; accuracies are shares of 1."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


def write_history(history: list[Epoch], path: Path) -> None:
    """Write the history as CSV, one epoch a line, atomically."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [f.name for f in fields(Epoch)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in history)
    write_bytes(path, text.getvalue().encode())


def read_history(path: Path) -> list[Epoch]:
    """Read a history that write_history wrote."""
    with path.open(newline="") as file:
        return [Epoch(int(row.pop("epoch")), **{k: float(v) for k, v in row.items()}) for row in csv.DictReader(file)]


BATCH = 128
# The peak of the learning rate, from scratch and from a trained network.
PEAK_RATE, TUNING_RATE = 2e-3, 5e-4
CLUTTER_SHARE = 0.05
SHA256_DIGITS = 64
# Counts up with every change of how letters are drawn: what was kept before is not taken for what is drawn now.
DRAWN_BY = 1
# Each letter is drawn otherwise each time, so small collections are gone through several times an epoch.
FEWEST_STEPS = 50


@dataclass(frozen=True)
class Plan:
    """Settings of one run.

    steps are batches an epoch and rate the learning rate at its peak. data and val name the letters, with their
    shares; clutter is the share of non-letters among them. After `cycle` epochs the same drawings, made by draw_seed,
    come again; 0 draws anew for ever. init and teacher are SHA-256 of the models that the run begins with and learns
    from, empty where there is none; letters and val_letters are those of what data and val hold.
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
    init: str = ""
    teacher: str = ""
    letters: str = ""
    val_letters: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.clutter < 1:
            raise LettercastError(f"--clutter {self.clutter:g}: a share from 0 to below 1 is needed")
        if not 0 < self.rate < 1:
            raise LettercastError(f"--rate {self.rate:g}: a learning rate above 0 and below 1 is needed")

    @classmethod
    def of(
        cls, train: Source, *, size: str = "base", epochs: int = 20, seed: int = 1, steps: int | None = None, **more: Any
    ) -> "Plan":
        """Plan a run; without steps an epoch draws as many letters as the source has, or 50 batches; the seed also draws."""
        settings: dict[str, Any] = {"data": train.name, "draw_seed": seed, "letters": train.digest}
        settings |= {name: value for name, value in more.items() if value is not None}
        return cls(size, epochs, seed, steps or max(FEWEST_STEPS, math.ceil(len(train.labels) / BATCH)), **settings)

    @property
    def momentum(self) -> float:
        """Return the momentum of running means: they must settle in a small part of the run, however short it is."""
        return min(0.99, max(0.9, 1 - 20 / (self.epochs * self.steps)))

    @property
    def drawings(self) -> str:
        """Return a name for what this plan draws: equal for plans that draw the same pictures."""
        told = [DRAWN_BY, self.steps, self.letters, self.clutter, self.draw_seed]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the plan as JSON, atomically."""
        write_bytes(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan; raises LettercastError where the file is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LettercastError(f"{path}: not the plan of a training run ({error}); start anew in another --out") from error

    def differences(self, other: "Plan") -> str:
        """Say which settings differ from another plan's, as `name a, not b`; empty where none does."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return "; ".join(f"{name} {_short(mine)}, not {_short(theirs)}" for name, mine, theirs in pairs if mine != theirs)


def fingerprint(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of model files, one after the other; nothing where none is given."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise LettercastError(f"{path}: {error.strerror or error}; give a .keras model") from error
    return digest.hexdigest() if paths else ""


def _short(value: object) -> str:
    """Return a setting in words, of a SHA-256 only the beginning."""
    return f"{value:.12}" if isinstance(value, str) and len(value) == SHA256_DIGITS else str(value)
