"""Building one format of a network, and judging it: it is compared with the original, and written if it passes the gate."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.console import quiet
from ..runtime.model.engine import first_line, open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.pixels import Pixels
from ..train.data.drawing import shown
from ..train.data.source import Source
from . import onnx_int8
from .artifact import Artifact
from .diagnose import Cause, diagnose
from .formats import Format
from .gate import UNPROVEN, Tolerance, compare
from .golden import write_with_golden
from .original import Original
from .pages import PageCheck
from .rounding import widen

if TYPE_CHECKING:
    import keras


class ImpossibleError(Exception):
    """A converter or its engine refuses a network that others may accept."""


def export_one(
    row: Format,
    target: Path,
    original: Original,
    tolerance: Tolerance,
    check: Source,
    *,
    pages: PageCheck | None,
    require_proof: bool,
) -> tuple[Artifact, Cause | None]:
    """Build one format, compare it with the original, and write it if it passes the gate; raises ImpossibleError.

    Returns the artifact, and why it misses the gate if it does.
    """
    stated = replace(original.facts, format=row.name, input_dtype=row.input_dtype)
    network, facts = row.prepare(original.network, stated)
    model = _build(row, network, original.calibration)
    found = row.inspect(model)
    facts = replace(facts, lowest_runtime=found.lowest_runtime)
    images = shown(facts, original.images)
    answers = _run(row.embed(model, facts), row, images)
    if not row.is_quantized:
        tolerance = widen(tolerance, original.network, original.images, original.probabilities, answers, is_half="16" in row.name)
    parity = compare(original.truth, original.probabilities, answers, tolerance.tie, facts.reject_below)
    misses = tuple(parity.misses(tolerance))
    is_integer = row.suffix == "onnx" and row.is_quantized
    elsewhere = tuple(onnx_int8.misses(model, found, images, answers)) if is_integer else ()
    misses += elsewhere
    cause = diagnose(original, answers, found, row.name) if misses else None
    if require_proof and parity.verdict(tolerance) == UNPROVEN:
        misses = (*elsewhere, f"the accuracy drop is unproven: {parity.shortfall(tolerance)}")
    gate = {"data": check.name, "split": check.split, **parity.to_facts(tolerance)}
    if is_integer:
        gate["saturates"] = bool(found.saturating)
    read = None
    if pages and not misses and facts.takes == LETTERS:
        read = pages.check(row.embed(model, facts), row.suffix)
        misses, gate["pages"] = read.misses, read.to_dict()
    finished = row.embed(model, replace(facts, gate=gate))
    if not misses:
        write_with_golden(target, finished, images, answers)
    reads_letters = facts.takes == LETTERS
    artifact = Artifact(
        row,
        target,
        len(finished),
        parity,
        tolerance,
        misses,
        reads_letters=reads_letters,
        pages=read,
        is_alike_everywhere=not elsewhere,
    )
    return artifact, cause


def _build(row: Format, network: "keras.Model", calibration: Pixels) -> bytes:
    try:
        with quiet():
            return row.build(network, calibration)
    except Exception as error:  # converters raise any type of error
        # TensorFlow's converter starts with places in its own code and ends with the reason.
        message = str(error).partition("\n")[0]
        raise ImpossibleError(message.rpartition(": ")[2] if "error: loc(" in message else first_line(error)) from error


def _run(model: bytes, row: Format, images: Pixels) -> NDArray[np.float32]:
    """Classify the images with the engine that the device runs, in parallel with one engine per thread."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        path = Path(folder) / f"candidate.{row.suffix}"
        path.write_bytes(model)
        shares = np.array_split(images, min(os.cpu_count() or 1, len(images)))
        try:
            engines = [open_engine(path) for _ in shares]
            return np.concatenate(list(pool.map(lambda engine, share: engine(share), engines, shares)))
        except LettercastError as error:
            raise ImpossibleError(str(error).removeprefix(f"{path}: ").partition("; ")[0]) from error
