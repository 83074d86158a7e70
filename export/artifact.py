"""Exporting: each format built, checked against the original, given its facts and written atomically."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.console import quiet
from ..runtime.files import make_folder
from ..runtime.model.engine import first_line, open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.pixels import Pixels
from ..train.data.camera import shown
from ..train.data.source import Source
from .diagnose import diagnose
from .formats import Format
from .gate import Parity, Tolerance, compare
from .golden import write_with_golden
from .original import Original, open_original

if TYPE_CHECKING:
    import keras

# What a device takes where nothing speaks for another.
RECOMMENDED = "tflite-int8"
DEFAULT_MODEL = Path(__file__).with_name("models") / "letters-base.keras"


@dataclass(frozen=True)
class Artifact:
    """One exported model: misses is empty, and the file written, only where the gate was passed; else cause says why not.

    reads_letters tells whether the reader can take it: what it is shown are letters.
    """

    format: Format
    path: Path
    size_bytes: int
    parity: Parity
    tolerance: Tolerance
    misses: tuple[str, ...]
    cause: str = ""
    reads_letters: bool = True


@dataclass(frozen=True)
class Exports:
    """What became of the formats: those that were built, and a line for each that cannot hold the network."""

    artifacts: tuple[Artifact, ...]
    faults: tuple[str, ...]

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.artifacts)


def export_model(
    path: Path,
    formats: Sequence[Format],
    calibrate: Source,
    check: Source,
    out: Path,
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    labels: Sequence[str] | None = None,
    pixels: str | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda said: None,
) -> Exports:
    """Export a Keras model to several formats, each behind the gate.

    Args:
        path: the `.keras` model; its name and labels go into every file.
        calibrate: training letters that decide the scales of quantized formats.
        check: held-out letters on which each export is compared with the original.
        max_drop, min_agreement: points and percent, in place of the formats' own tolerances.
        labels, pixels: what a model without facts does not say of itself, as `open_original` takes it.

    Returns:
        Artifacts in the order given; a format that misses its tolerances or cannot hold the network writes no file, and
        one that it replaces stays.

    Raises:
        LettercastError: the model, the letters or the folder cannot be used.
    """
    original = open_original(path, calibrate, check, report, labels=labels, pixels=pixels)
    targets = [out / row.file_name(original.facts.name) for row in formats]
    taken = [str(target) for target in targets if target.exists()]
    if taken and not overwrite:
        raise LettercastError(f"{taken[0]}: exists already; add --overwrite, or choose another --out")
    make_folder(out)
    artifacts, faults = [], []
    for row, target in zip(formats, targets, strict=True):
        tolerance = replace(row.tolerance, **_given(max_drop=max_drop, min_agreement=min_agreement))
        try:
            report(f"building {row.name}, checking it on {len(original.truth)} letters")
            artifacts.append(_export(row, target, original, tolerance, check))
        except ImpossibleError as error:
            faults.append(f"{path}: {row.name} cannot hold this network ({error}); leave it out with --formats")
    return Exports(tuple(artifacts), tuple(faults))


class ImpossibleError(Exception):
    """A converter or its engine refuses a network; others may take it."""


def _export(row: Format, target: Path, original: Original, tolerance: Tolerance, check: Source) -> Artifact:
    """Build one format, put it before the gate, and write it if it passes; raises ImpossibleError."""
    stated = replace(original.facts, format=row.name, input_dtype=row.input_dtype)
    network, facts = row.prepare(original.network, stated)
    model = _build(row, network, original.calibration)
    found = row.inspect(model)
    facts = replace(facts, lowest_runtime=found.lowest_runtime)
    pictures = shown(facts, original.pictures)
    answers = _run(row.embed(model, facts), row, pictures)
    parity = compare(original.truth, original.probabilities, answers, row.tolerance.tie)
    misses = tuple(parity.misses(tolerance))
    gate = {"data": check.name, "split": check.split, **parity.to_dict(), "tolerance": asdict(tolerance)}
    finished = row.embed(model, replace(facts, gate=gate))
    if not misses:
        write_with_golden(target, finished, pictures, answers)
    cause = diagnose(original, answers, found, is_float="float" in row.name) if misses else ""
    return Artifact(row, target, len(finished), parity, tolerance, misses, cause, facts.takes == LETTERS)


def _build(row: Format, network: "keras.Model", calibration: Pixels) -> bytes:
    try:
        with quiet():
            return row.build(network, calibration)
    except Exception as error:  # converters raise whatever their layers raise
        # TensorFlow's converter begins with where in its own code it was; what is wrong comes last.
        said = str(error).partition("\n")[0]
        raise ImpossibleError(said.rpartition(": ")[2] if "error: loc(" in said else first_line(error)) from error


def _run(model: bytes, row: Format, pictures: Pixels) -> NDArray[np.float32]:
    """Classify the pictures with the very engine that the device runs, several of them side by side, one thread each."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder) / f"candidate.{row.suffix}"
        path.write_bytes(model)
        shares = np.array_split(pictures, min(os.cpu_count() or 1, len(pictures)))
        try:
            engines = [open_engine(path) for _ in shares]
            return np.concatenate(list(pool.map(lambda engine, share: engine(share), engines, shares)))
        except LettercastError as error:
            raise ImpossibleError(str(error).removeprefix(f"{path}: ").partition("; ")[0]) from error


def _given(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
