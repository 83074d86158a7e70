"""Golden cases: images with the probabilities that a model gave where it was exported, to check the model on a device."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..files import load_npz
from ..pixels import Pixels
from .facts import Facts

GOLDEN_ENDING = ".golden.npz"
# An engine whose probabilities are further off computes another function, even if the labels agree.
MAX_DIFFERENCE = 0.1
# A file holds at most 32 images.
MAX_BYTES = 64_000_000

Verdict = Literal["equal", "close", "wrong"]


class Model(Protocol):
    """What can be compared with golden cases: an engine, which opens models with this module's help."""

    @property
    def facts(self) -> Facts:
        """The facts of the model."""
        ...

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """Return (N, classes) probabilities of (N, H, W, C) uint8 images."""
        ...


@dataclass(frozen=True)
class Golden:
    """Golden cases of one model: images (n, H, W, C) uint8 and their probabilities (n, classes) float32.

    engine and machine say where the model gave them, model_sha256 is the hash of the model file.
    """

    images: Pixels
    probabilities: NDArray[np.float32]
    engine: str
    machine: str
    model_sha256: str

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8 or len(self.images) == 0:
            raise ValueError(f"images of shape {self.images.shape} {self.images.dtype}")
        if self.probabilities.ndim != 2 or self.probabilities.dtype != np.float32 or not np.isfinite(self.probabilities).all():
            raise ValueError(f"probabilities of shape {self.probabilities.shape} {self.probabilities.dtype}")
        if len(self.probabilities) != len(self.images):
            raise ValueError(f"{len(self.images)} images, {len(self.probabilities)} rows of probabilities")
        if not all(isinstance(text, str) for text in (self.engine, self.machine, self.model_sha256)):
            raise ValueError("engine, machine and model_sha256 must be text")

    def is_of(self, model: bytes) -> bool:
        """Tell whether these are the golden cases of this model file, given its content."""
        return self.model_sha256 == hashlib.sha256(model).hexdigest()

    def first(self, values: int) -> "Golden":
        """Return as many cases as have this many values of pixels together, at least two, spread over all."""
        count = max(2, values // self.images[0].size)
        chosen = np.linspace(0, len(self.images) - 1, min(count, len(self.images))).astype(int)
        return replace(self, images=self.images[chosen], probabilities=self.probabilities[chosen])


@dataclass(frozen=True)
class Mismatch:
    """A golden case that fails on this device: the expected and the actual label, and the largest error of a probability."""

    expected: str
    actual: str
    difference: float


@dataclass(frozen=True)
class Replay:
    """How the probabilities of an engine compare with the golden ones.

    n counts the cases; difference is the largest error of any probability, 1 if the engine returns NaN.
    """

    n: int
    difference: float
    mismatches: tuple[Mismatch, ...]

    @property
    def verdict(self) -> Verdict:
        """Return "equal" to the bit, "close" if only probabilities differ, and only a little, or "wrong"."""
        if self.mismatches:
            return "wrong"
        return "close" if self.difference else "equal"


def golden_path(model: Path) -> Path:
    """Return where the golden cases of a model lie: beside it, under its full name, because formats share the stem."""
    return model.parent / f"{model.name}{GOLDEN_ENDING}"


def golden_of(model: Path, content: bytes) -> "Golden | None":
    """Return the golden cases beside a model file with this content; None if it has none.

    Raises LettercastError if they belong to another model.
    """
    path = golden_path(model)
    if not path.exists():
        return None
    golden = load_golden(path)
    if not golden.is_of(content):
        raise LettercastError(f"{path}: golden cases belong to another model; export it again, or copy both files")
    return golden


def load_golden(path: Path) -> Golden:
    """Load golden cases; raises LettercastError if the file is missing, damaged or something else."""
    try:
        arrays = load_npz(path, MAX_BYTES)
        about = json.loads(str(arrays["about"]))
        return Golden(arrays["pictures"], arrays["probabilities"], **about)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or error}; export the model again") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LettercastError(f"{path}: cannot be used as golden cases ({error}); export the model again") from error


def replay(model: Model, golden: Golden, max_difference: float = MAX_DIFFERENCE) -> Replay:
    """Classify golden images and compare; raises LettercastError if the cases do not fit the model.

    A case is a mismatch if its label differs, or a probability by more than `max_difference`.
    """
    facts = model.facts
    if golden.images.shape[1:] != facts.input_shape or golden.probabilities.shape[1] != len(facts.labels):
        raise LettercastError(f"{facts.name}: golden cases of another input shape or other labels; export the model again")
    probabilities = model(golden.images)
    differences = np.nan_to_num(np.abs(probabilities - golden.probabilities), nan=1.0, posinf=1.0).max(1)
    expected, actual = golden.probabilities.argmax(1), probabilities.argmax(1)
    mismatches = tuple(
        Mismatch(facts.labels[expected[i]], facts.labels[actual[i]], float(differences[i]))
        for i in np.flatnonzero((expected != actual) | (differences > max_difference))
    )
    return Replay(len(golden.images), float(differences.max()), mismatches)
