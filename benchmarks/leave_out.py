"""Measure how well training carries over to letters of another origin: train without each source, and read its letters.

Maintainer's command, with the sources and shares of a training run:

    python -m lettercast.benchmarks.leave_out --data strokes.npz@0.6 phone_crops@0.2 scans.npz@0.2 [--size nano] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import UNUSABLE, LettercastError
from ..runtime.arguments import natural, positive
from ..runtime.files import write_bytes
from ..train.data.open import data_path, letters_name, letters_of, open_source, read_source
from ..train.data.source import draw_some, relabel
from ..train.fit import LAST_FILE, MODEL_FILE
from ..train.predict import model_facts, open_keras
from ..train.run import train

# So many letters of a source measure it; they are chosen by a fixed seed.
MAX_LETTERS, SEED = 5000, 5
# What chooses the best epoch if no other source has validation letters.
NEUTRAL = "pen"


@dataclass(frozen=True)
class LeftOut:
    """How a model that never saw a source reads it: its name, the number of letters, and how many of them are right."""

    source: str
    letters: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of the letters that are right, 0..1."""
        return self.right / self.letters


def leave_out(
    specs: Sequence[str], out: Path, *, size: str = "nano", epochs: int = 8, steps: int = 200, seed: int = 1
) -> list[LeftOut]:
    """Train one model without each source, and measure it on the letters of that source, of all its splits.

    Args:
        specs: sources as `--data` takes them, with shares; those of the others grow alike where one is left out.
        out: folder of the runs; a finished run is not trained again, an interrupted one goes on.
        size, epochs, steps, seed: of every run, as `train` takes them.

    Raises:
        LettercastError: fewer than two sources, two with one name, or the data or the folder cannot be used.
    """
    names = [letters_name(data_path(spec)) for spec in specs]
    if len(specs) < 2 or len(set(names)) < len(names):
        raise LettercastError("--data: name at least two sources, each of another name, so that each can be left out")
    for spec in specs:
        # A source that cannot be read is named before the hours of training.
        open_source(data_path(spec), "all")
    found = []
    for spec, name in zip(specs, names, strict=True):
        others = [other for other in specs if other is not spec]
        plan: dict[str, Any] = {"size": size, "epochs": epochs, "steps": steps, "seed": seed}
        found.append(measure(_trained(out / name, others, plan), data_path(spec), name))
        print(f"without {name}: {100 * found[-1].accuracy:.1f} % of its letters", flush=True)
    return found


def _trained(folder: Path, specs: Sequence[str], plan: dict[str, Any]) -> Path:
    """Return the model of a run, which is trained or finished first; raises LettercastError if it is one of another plan."""
    model = folder / MODEL_FILE
    if not model.exists():
        train(list(specs), val=validation_of(specs), out=folder, resume=(folder / LAST_FILE).exists(), **plan, progress=False)
    facts = model_facts(model)
    made = {**facts.made, "size": facts.name.removeprefix("letters-")}
    if any(made.get(name) != value for name, value in {**plan, "data": letters_of(specs)}.items()):
        raise LettercastError(f"{folder}: holds a run with other settings; choose another --out")
    return model


def validation_of(specs: Sequence[str]) -> list[str]:
    """Return those sources that hold out validation letters, or the built-in pen: a left-out source chooses nothing."""
    paths = [data_path(spec) for spec in specs]
    return [path for path in paths if len(read_source(path, "val").labels)] or [NEUTRAL]


def measure(model: Path, spec: str, name: str) -> LeftOut:
    """Measure a Keras model on the letters of one source, drawn plainly."""
    source, original = open_source(spec, "all"), open_keras(model)
    chosen = np.random.default_rng(SEED).permutation(len(source.labels))[:MAX_LETTERS]
    answers = original(draw_some(source, chosen, None)).argmax(1)
    return LeftOut(name, len(chosen), int((answers == relabel(source, original.facts.labels)[chosen]).sum()))


def table_of(found: Sequence[LeftOut]) -> Table:
    """Return the accuracy of each source by the model that never saw it, and their mean."""
    table = Table(title="letters of an origin that training never saw", title_justify="left", box=None)
    table.add_column("left out")
    for head in ("letters", "accuracy %"):
        table.add_column(head, justify="right")
    for line in found:
        table.add_row(line.source, f"{line.letters:,}", f"{100 * line.accuracy:.1f}")
    table.add_row("mean", "", f"{100 * mean_accuracy(found):.1f}")
    return table


def mean_accuracy(found: Sequence[LeftOut]) -> float:
    """Return the mean of the accuracies, 0..1: each source counts alike, whatever its size."""
    return float(np.mean([line.accuracy for line in found]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.leave_out", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", nargs="+", required=True, metavar="D", help="sources with shares, as `train` takes them")
    parser.add_argument("--size", default="nano", metavar="S", help="size of the networks (default: nano)")
    parser.add_argument("--epochs", type=positive, default=8, metavar="N", help="epochs of each run (default: 8)")
    parser.add_argument("--steps", type=positive, default=200, metavar="N", help="batches of an epoch (default: 200)")
    parser.add_argument("--seed", type=natural, default=1, metavar="N", help="seed of each run (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/leave_out"), metavar="DIR", help="folder of the runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    plan = {name: getattr(options, name) for name in ("size", "epochs", "steps", "seed")}
    try:
        found = leave_out(options.data, options.out, **plan)
        if options.json:
            lines = {line.source: {"letters": line.letters, "accuracy": line.accuracy} for line in found}
            report = {**plan, "data": options.data, "mean": mean_accuracy(found), "left_out": lines}
            write_bytes(options.json, json.dumps(report, indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console().print(table_of(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
