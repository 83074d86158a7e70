"""Benchmark exported models against their Keras original: accuracy, agreement, size, latency and memory."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from ... import LettercastError
from ...export.gate import ImageSet, Parity, compare
from ...runtime.model.engine import OPENERS
from ...runtime.pixels import Pixels
from ...train.data.drawing import shown
from ...train.data.source import Source, draw_all, relabel
from .contender import BATCH, KERAS, Contender, nothing_to_measure, runs_of, tie_of
from .measure import SECONDS, Footprint, Latency, Machine, footprint, take_turns, this_machine

SCHEMA = 2


@dataclass(frozen=True)
class Accuracy:
    """Accuracy in percent, with its 95 % confidence interval (Wilson's)."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One model with one engine. A figure is None if it was not measured; note, skipped or failure say why.

    letter and batch are the latencies of one letter and of 15; speedup is the original's p50 of one letter over this one's.
    moved lists the changes of the confusion matrix: true class, predicted class, and how many more letters than the original.
    """

    name: str
    format: str
    engine: str
    size_bytes: int
    accuracy: Accuracy | None = None
    parity: Parity | None = None
    letter: Latency | None = None
    batch: Latency | None = None
    footprint: Footprint | None = None
    speedup: float | None = None
    moved: tuple[tuple[str, str, int], ...] = ()
    note: str = ""
    skipped: str = ""
    failure: str = ""

    @property
    def letters_per_second(self) -> float | None:
        """Letters per second in batches of 15."""
        return 1000 * BATCH / self.batch.p50_ms if self.batch else None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as in `lettercast benchmark --json`."""
        parity = self.parity.to_dict() if self.parity else None
        return {**asdict(self), "parity": parity, "letters_per_second": self.letters_per_second}


@dataclass(frozen=True)
class Benchmark:
    """All rows of one run, originals first, on n images of one source; threads apply to the exported models.

    also holds the figures of the run's other measurements (`--also`) by name. unit is `letters` or `images`, which the models
    take. devices are the names of those to recommend a file for, by default all. date is in ISO format, and command is what
    was typed; both are "" if unknown.
    """

    data: str
    split: str
    n: int
    threads: int
    machine: Machine
    rows: tuple[Row, ...]
    interrupted: bool = False
    also: dict[str, Any] = field(default_factory=dict)
    unit: str = "letters"
    devices: tuple[str, ...] = ()
    date: str = ""
    command: str = ""

    @property
    def images(self) -> str:
        """The images that were classified, in words."""
        return ImageSet(self.data, self.split, self.n).describe(self.unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `lettercast benchmark --json FILE`; docs/benchmark.schema.json describes its fields."""
        own = {name: getattr(self, name) for name in ("data", "split", "n", "unit", "threads", "interrupted", "date", "command")}
        return {
            "schema": SCHEMA,
            **own,
            "machine": self.machine.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
            **{name: section.to_dict() for name, section in self.also.items()},
        }


def find_models(paths: Sequence[Path]) -> list[Path]:
    """Return the models among files and folders; raises LettercastError if one of the paths has none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix.lower() in OPENERS)
            if not inside:
                raise LettercastError(f"{path}: no {' or '.join(OPENERS)} model in this folder; run `lettercast export` first")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise LettercastError(f"{path}: no such model or folder; run `lettercast export` first")
    return list(dict.fromkeys(found))


def run_benchmark(
    contenders: Sequence[Contender],
    source: Source,
    *,
    threads: int = 1,
    seconds: float = SECONDS,
    report: Callable[[str], None] = lambda message: None,
) -> Benchmark:
    """Measure models from `open_contenders` on the same letters in the same run.

    After Ctrl-C it returns the figures so far. Raises LettercastError if no model can be measured.
    """
    machine = this_machine()
    images = draw_all(source)
    interrupted = False
    try:
        classify(contenders, source, images, report)
        for contender in contenders:
            if contender.runs:
                report(f"loading {contender.path.name} in a separate process")
                with contender.trying():
                    contender.footprint = footprint(contender.path, threads, contender.package, BATCH)
        time_all([contender for contender in contenders if contender.runs], images, seconds, report)
    except KeyboardInterrupt:
        interrupted = True
    rows = tuple(row_of(contender) for contender in contenders)
    units = [contender.engine.facts.unit for contender in contenders if contender.engine]
    return Benchmark(source.name, source.split, len(images), threads, machine, rows, interrupted, unit=units[0])


def classify(contenders: Sequence[Contender], source: Source, images: Pixels, report: Callable[[str], None]) -> None:
    """Let every contender classify all images; one that does not fit the images or their classes fails."""
    for contender in contenders:
        if contender.engine is None:
            continue
        facts = contender.engine.facts
        contender.truth = relabel(source, facts.labels)
        unknown = sorted({source.classes[label] for label in source.labels[contender.truth < 0]})
        if unknown:
            contender.failure = f"does not know class {', '.join(unknown[:5])} of --data {source.name}"
            continue
        own = shown(facts, images)
        if own.shape[1:] != facts.input_shape:
            contender.failure = f"takes images of shape {facts.input_shape}, but those of {source.name} are {own.shape[1:]}"
            continue
        report(f"classifying {len(images)} {facts.unit} with {contender.path.name}")
        with contender.trying():
            contender.probabilities = contender.engine(own)
    if not any(contender.runs for contender in contenders):
        raise nothing_to_measure(contenders)


def time_all(contenders: Sequence[Contender], images: Pixels, seconds: float, report: Callable[[str], None]) -> None:
    """Time every contender on one letter and on 15; all contenders take turns."""
    runs = [run for c in contenders if c.engine for run in runs_of(c.engine, images)]
    for i, latencies in enumerate(take_turns(runs, seconds)):
        report(f"measuring latency, round {i + 1}")
        for contender, letter, batch in zip(contenders, latencies[::2], latencies[1::2], strict=True):
            contender.letter, contender.batch = letter, batch


def row_of(contender: Contender) -> Row:
    """Return a contender's measurements as a row."""
    original, truth, probabilities = contender.original, contender.truth, contender.probabilities
    name, engine = contender.path.name, contender.engine
    accuracy = parity = speedup = None
    moved: tuple[tuple[str, str, int], ...] = ()
    if truth is not None and probabilities is not None:
        right = int((probabilities.argmax(1) == truth).sum())
        low, high = binomtest(right, len(truth)).proportion_ci(method="wilson")
        accuracy = Accuracy(100 * right / len(truth), 100 * low, 100 * high)
        reference = contender if contender.format == KERAS else original
        if reference and reference.probabilities is not None:
            reject_below = engine.facts.reject_below if engine else 0.0
            parity = compare(truth, reference.probabilities, probabilities, tie_of(contender), reject_below)
            if reference is contender:
                # A model equals itself for certain.
                own = dict.fromkeys(("drop_low", "drop_high", "rejected_change_low", "rejected_change_high"), 0.0)
                parity = replace(parity, **own, agreement_low=100.0)
            moved = confusion_changes(contender.labels, truth, reference.probabilities, probabilities)
    reference = original or contender
    if reference.letter and contender.letter and reference.format == KERAS:
        speedup = reference.letter.p50_ms / contender.letter.p50_ms
    return Row(
        name=name,
        format=contender.format,
        engine=engine.name if engine else "",
        size_bytes=contender.path.stat().st_size,
        accuracy=accuracy,
        parity=parity,
        letter=contender.letter,
        batch=contender.batch,
        footprint=contender.footprint,
        speedup=speedup,
        moved=moved,
        note=contender.note,
        skipped=contender.skipped,
        failure=contender.failure,
    )


def confusion_changes(
    labels: Sequence[str], truth: NDArray[np.int64], original: NDArray[np.float32], exported: NDArray[np.float32]
) -> tuple[tuple[str, str, int], ...]:
    """Return where the confusion matrices differ: true class, predicted class, and how many more the exported model has."""
    known = range(len(labels))
    before, after = (confusion_matrix(truth, rows.argmax(1), labels=known) for rows in (original, exported))
    change = after - before
    return tuple((labels[int(i)], labels[int(j)], int(change[i, j])) for i, j in np.argwhere(change))
