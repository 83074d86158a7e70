"""The history of a training run, one epoch a line."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..runtime.files import write_bytes


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
