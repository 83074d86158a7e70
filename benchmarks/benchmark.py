"""One table over models: accuracy and agreement against the Keras original, size and latency."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import LettercastError
from ..export.formats import FORMATS
from ..export.gate import Parity, compare
from ..runtime.engine import OPENERS, load_engine, open_engine
from ..train.predict import open_keras, open_model
from ..train.source import Source, draw_all, relabel
from .latency import Latency, Started, measure, start

# Inferences a round: few where one takes tens of milliseconds.
RUNS, RUNS_KERAS = 40, 4


@dataclass(frozen=True)
class Row:
    """One model in the table; speedup is the original's p50 over this one's."""

    name: str
    engine: str
    size_bytes: int
    parity: Parity
    latency: Latency
    speedup: float

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it stands in `lettercast benchmark --json`."""
        return {**asdict(self), "parity": self.parity.to_dict()}


@dataclass(frozen=True)
class Benchmark:
    """All rows of one run, the original first, on n letters of one source; threads are those of the exported models."""

    data: str
    split: str
    threads: int
    machine: str
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `lettercast benchmark --json FILE` writes."""
        return {**asdict(self), "rows": [row.to_dict() for row in self.rows]}


def find_models(paths: Sequence[Path]) -> list[Path]:
    """Return the models among files and folders; raises LettercastError where there is none."""
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
    models: Sequence[Path], original: Path, source: Source, threads: int = 1, report: Callable[[str], None] = lambda said: None
) -> Benchmark:
    """Measure exported models against the Keras model that they were made from, on the same letters in the same run.

    Raises LettercastError where a model cannot be opened or was made from another original.
    """
    report(f"loading {original.name}")
    keras_model = open_keras(original)
    engines = [open_engine(path, threads) for path in models]
    digest = hashlib.sha256(original.read_bytes()).hexdigest()
    for path, engine in zip(models, engines, strict=True):
        if engine.facts.source_sha256 != digest:
            raise LettercastError(f"{path}: was not made from {original}; name its original with --original")
    truth = relabel(source, keras_model.facts.labels)
    if (truth < 0).any():
        raise LettercastError(f"--data {source.name}: has classes that the model does not know")
    pictures = draw_all(source)
    report(f"classifying {len(pictures)} letters with {len(models) + 1} models")
    probabilities = [keras_model(pictures), *(engine(pictures) for engine in engines)]
    ties = [FORMATS[e.facts.format].tolerance.tie if e.facts.format in FORMATS else 0.0 for e in (keras_model, *engines)]
    parities = [compare(truth, probabilities[0], p, tie) for p, tie in zip(probabilities, ties, strict=True)]
    report("measuring latency")
    started: list[Started] = [start(_loader(path, threads), pictures[:1]) for path in (original, *models)]
    latencies = measure(started, pictures, [RUNS_KERAS, *[RUNS] * len(models)])
    rows = [
        Row(path.name, model.name, path.stat().st_size, parity, latency, latencies[0].p50_ms / latency.p50_ms)
        for path, model, parity, latency in zip((original, *models), (keras_model, *engines), parities, latencies, strict=True)
    ]
    machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"
    return Benchmark(source.name, source.split, threads, machine, tuple(rows))


def _loader(path: Path, threads: int) -> Callable[[], Callable]:
    return lambda: load_engine(path, threads) if path.suffix.lower() in OPENERS else open_model(path, threads)
