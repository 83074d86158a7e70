"""Exporting: each format built, checked against the original, given its facts and written atomically."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError, __version__
from ..runtime.engine import first_line, open_engine
from ..runtime.facts import Facts, keras_facts
from ..runtime.files import make_folder
from ..runtime.pixels import Pixels
from ..runtime.quiet import quiet
from ..train.predict import assumed_facts, classify, load_keras
from ..train.source import Source, draw_all, draw_some, relabel
from .formats import Format
from .gate import Parity, Tolerance, compare
from .golden import write_with_golden

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = Path(__file__).with_name("models") / "letters-base.keras"
CALIBRATION_LETTERS, CALIBRATION_SEED = 500, 7
VERSIONS = ("keras", "tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy")


@dataclass(frozen=True)
class Artifact:
    """One exported model: misses is empty, and the file written, only where the gate was passed."""

    format: Format
    path: Path
    size_bytes: int
    parity: Parity
    tolerance: Tolerance
    misses: tuple[str, ...]


def export_model(
    path: Path,
    formats: Sequence[Format],
    calibrate: Source,
    check: Source,
    out: Path,
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda said: None,
) -> list[Artifact]:
    """Export a Keras model to several formats, each behind the gate.

    Args:
        path: the `.keras` model; its name and labels go into every file.
        calibrate: training letters that decide the scales of quantized formats.
        check: held-out letters on which each export is compared with the original.
        max_drop, min_agreement: points and percent, in place of the formats' own tolerances.

    Returns:
        One Artifact a format, in the order given; a format that misses its tolerances writes no file, and one
        that it replaces stays.

    Raises:
        LettercastError: the model, the letters or the folder cannot be used.
    """
    original = open_original(path, calibrate, check, report)
    targets = [out / row.file_name(original.facts.name) for row in formats]
    taken = [str(target) for target in targets if target.exists()]
    if taken and not overwrite:
        raise LettercastError(f"{taken[0]}: exists already; add --overwrite, or choose another --out")
    make_folder(out)
    artifacts = []
    for row, target in zip(formats, targets, strict=True):
        report(f"building {row.name}")
        model = _build(row, original, path)
        facts = replace(original.facts, format=row.name, input_dtype=row.input_dtype)
        report(f"checking {row.name} on {len(original.truth)} letters")
        answers = _run(row.embed(model, facts), row, original.pictures)
        parity = compare(original.truth, original.probabilities, answers, row.tolerance.tie)
        tolerance = replace(row.tolerance, **_given(max_drop=max_drop, min_agreement=min_agreement))
        misses = tuple(parity.misses(tolerance))
        gate = {"data": check.name, "split": check.split, **parity.to_dict(), "tolerance": asdict(tolerance)}
        finished = row.embed(model, replace(facts, gate=gate))
        if not misses:
            write_with_golden(target, finished, original.pictures, answers)
        artifacts.append(Artifact(row, target, len(finished), parity, tolerance, misses))
    return artifacts


@dataclass(frozen=True)
class Original:
    """The Keras model that exports are made from and compared with, and its own answers on the check letters.

    calibration and pictures are (N, 28, 28, 1) uint8, truth (N,) int64, probabilities (N, classes) float32.
    """

    network: "keras.Model"
    facts: Facts
    calibration: Pixels
    pictures: Pixels
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def open_original(path: Path, calibrate: Source, check: Source, report: Callable[[str], None]) -> Original:
    """Load the Keras model and classify the check letters with it; raises LettercastError where they do not fit it."""
    network = load_keras(path)
    facts = keras_facts(path) or assumed_facts(path, network)
    truth = relabel(check, facts.labels)
    if (truth < 0).any():
        raise LettercastError(f"--check {check.name}: has classes that the model does not know ({' '.join(facts.labels)})")
    pictures = draw_all(check)
    if pictures.shape[1:] != facts.input_shape:
        raise LettercastError(f"{path}: takes {facts.input_shape} pictures; letters are drawn as {pictures.shape[1:]}")
    report(f"classifying {len(pictures)} letters with the original")
    probabilities = classify(network, pictures)
    calibration = draw_calibration(calibrate)
    said = f"{calibrate.name}, {calibrate.split}, {len(calibration)} letters, seed {CALIBRATION_SEED}"
    facts = replace(
        facts,
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        versions={"lettercast": __version__, **{package: version(package) for package in VERSIONS}},
        made={**facts.made, "calibration": said},
    )
    return Original(network, facts, calibration, pictures, truth, probabilities)


def _build(row: Format, original: Original, path: Path) -> bytes:
    try:
        with quiet():
            return row.build(original.network, original.calibration)
    except Exception as error:  # converters raise whatever their layers raise
        said = f"{row.name} cannot hold this network ({first_line(error)})"
        raise LettercastError(f"{path}: {said}; leave it out with --formats") from error


def draw_calibration(source: Source) -> Pixels:
    """Draw (500, 28, 28, 1) uint8 letters as training draws them, every class alike; raises LettercastError off training."""
    if source.split != "train":
        raise LettercastError(f"--calibrate {source.name}: takes training letters, not split '{source.split}'")
    rng = np.random.default_rng(CALIBRATION_SEED)
    labels = source.labels
    rank = rng.permutation(len(labels))
    by_class = [rank[labels[rank] == label] for label in range(len(source.classes))]
    share = -(-CALIBRATION_LETTERS // len(source.classes))
    chosen = np.concatenate([members[:share] for members in by_class])
    return draw_some(source, rng.permutation(chosen)[:CALIBRATION_LETTERS], CALIBRATION_SEED)


def _run(model: bytes, row: Format, pictures: Pixels) -> NDArray[np.float32]:
    """Classify the pictures with the very engine that the device runs, several of them side by side, one thread each."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder) / f"candidate.{row.suffix}"
        path.write_bytes(model)
        shares = np.array_split(pictures, min(os.cpu_count() or 1, len(pictures)))
        engines = [open_engine(path) for _ in shares]
        return np.concatenate(list(pool.map(lambda engine, share: engine(share), engines, shares)))


def _given(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
