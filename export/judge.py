"""Building one format of a network, and judging it: it is compared with the original, and written if it passes the gate."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.console import quiet
from ..runtime.model.engine import first_line, open_content
from ..runtime.model.facts import LETTERS, Facts
from ..runtime.pixels import Pixels
from ..train.data.drawing import shown
from ..train.data.source import Source
from .artifact import Artifact
from .convert import onnx_int8
from .convert.rounding_error import widen
from .diagnose import Cause, diagnose
from .formats import Format
from .gate import UNPROVEN, Inspection, Tolerance, compare
from .golden import write_with_golden
from .original import Original
from .pages import PageCheck
from .repair.proof import level_of
from .repair.recipe import Recipe

if TYPE_CHECKING:
    import keras


class ImpossibleError(Exception):
    """A converter or its engine refuses a network that others may accept."""


@dataclass(frozen=True)
class Candidate:
    """One format of a network that is built and not judged yet.

    facts are those of its file, without what the gate says. model is the content of the file without the facts. recipe says how
    it was made, None for the format's own way.
    """

    row: Format
    facts: Facts
    model: bytes
    found: Inspection
    recipe: Recipe | None = None

    def content(self, gate: dict[str, Any] | None = None) -> bytes:
        """Return the content of the file with its facts, with what the gate says if it was judged."""
        return self.row.embed(self.model, replace(self.facts, gate=gate or {}))

    def classify(self, images: Pixels) -> NDArray[np.float32]:
        """Return the probabilities (n, classes) of images (n, H, W, C) uint8, as the model is shown them."""
        return _run(self.content(), self.row, images)

    def judged_after(self, looks: int) -> "Candidate":
        """Return the candidate with a recipe, if it has one, that says how many files its images judged, this one included."""
        if not self.recipe:
            return self
        recipe = replace(self.recipe, looks=looks)
        return replace(self, recipe=recipe, facts=replace(self.facts, recipe=recipe.to_dict()))

    def widened(self, tolerance: Tolerance, original: Original, answers: NDArray[np.float32]) -> Tolerance:
        """Return a tolerance with what rounding alone explains, if the format is one of floats; answers are of the candidate."""
        if self.row.is_quantized:
            return tolerance
        is_half = "16" in self.row.name
        return widen(tolerance, original.network, original.images, original.probabilities, answers, is_half=is_half)

    @property
    def is_onnx_integer(self) -> bool:
        """Whether it is computed with integers by ONNX Runtime, whose sums some processors cut off."""
        return self.row.suffix == "onnx" and self.row.is_quantized

    def unlike_elsewhere(self, images: Pixels, answers: NDArray[np.float32]) -> tuple[str, ...]:
        """Return a line for each reason why other processors would give other answers (n, classes) to images."""
        return tuple(onnx_int8.misses(self.model, self.found, images, answers)) if self.is_onnx_integer else ()


def build(row: Format, original: Original) -> Candidate:
    """Build one format in its own way; raises ImpossibleError if it cannot hold the network."""
    network, facts = row.prepare(original.network, stated(row, original))
    return candidate_of(row, facts, _build(row, network, original.calibration))


def stated(row: Format, original: Original) -> Facts:
    """Return the facts of the original as one of its formats states them."""
    return replace(original.facts, format=row.name, input_dtype=row.input_dtype)


def candidate_of(row: Format, facts: Facts, model: bytes, recipe: Recipe | None = None) -> Candidate:
    """Return the content of a file as a candidate of a format, with the oldest runtime that opens it, and the recipe."""
    found = row.inspect(model)
    made_by = recipe.to_dict() if recipe else {}
    return Candidate(row, replace(facts, lowest_runtime=found.lowest_runtime, recipe=made_by), model, found, recipe)


def judge(
    candidate: Candidate,
    target: Path,
    original: Original,
    tolerance: Tolerance,
    check: Source,
    *,
    pages: PageCheck | None,
    require_proof: bool,
    looks: int = 0,
    max_bytes: int | None = None,
) -> tuple[Artifact, Cause | None]:
    """Compare a candidate with the original, and write it if it passes the gate; raises ImpossibleError.

    looks is how many candidates the images of the original judged, this one included; 0 if no other was tried. max_bytes is the
    largest size of the finished file, None for any.

    Returns the artifact, and why it misses the gate if it does.
    """
    row, facts, found = candidate.row, candidate.facts, candidate.found
    images = shown(facts, original.images)
    answers = candidate.classify(images)
    tolerance = candidate.widened(tolerance, original, answers)
    level = level_of(looks)
    parity = compare(original.truth, original.probabilities, answers, tolerance.tie, facts.reject_below, level=level)
    misses = tuple(parity.misses(tolerance))
    elsewhere = candidate.unlike_elsewhere(images, answers)
    misses += elsewhere
    cause = diagnose(original, answers, found, row.name) if misses else None
    if require_proof and parity.verdict(tolerance) == UNPROVEN:
        misses = (*elsewhere, f"the accuracy drop is unproven: {parity.shortfall(tolerance)}")
    gate = {"data": check.name, "split": check.split, **parity.to_facts(tolerance)}
    if looks:
        gate["looks"] = looks
    if candidate.is_onnx_integer:
        gate["saturates"] = bool(found.saturating)
    read = None
    if pages and not misses and facts.takes == LETTERS:
        read = pages.check(candidate.content(), row.suffix)
        misses, gate["pages"] = read.misses, read.to_dict()
    finished = candidate.content(gate)
    if max_bytes is not None and len(finished) > max_bytes:
        misses = (*misses, f"size {len(finished):,} bytes, at most {max_bytes:,} allowed")
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
        recipe=candidate.recipe,
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
    shares = np.array_split(images, min(os.cpu_count() or 1, len(images)))
    try:
        engines = [open_content(model, row.suffix) for _ in shares]
        with ThreadPoolExecutor() as pool:
            return np.concatenate(list(pool.map(lambda engine, share: engine(share), engines, shares)))
    except LettercastError as error:
        raise ImpossibleError(str(error).partition(": ")[2].partition("; ")[0]) from error
