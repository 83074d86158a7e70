"""Golden cases: pictures with what a model answered where it was exported, to be asked again on the device."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..files import load_npz
from ..pixels import Pixels
from .engine import Engine

GOLDEN_ENDING = ".golden.npz"
# An engine that is farther off than this in any probability computes another function, whatever letter it names.
FARTHEST = 0.1
# Cases are 32 pictures at most.
MOST_BYTES = 64_000_000

Verdict = Literal["equal", "close", "wrong"]


@dataclass(frozen=True)
class Golden:
    """Cases of one model: pictures (n, H, W, C) uint8 and the probabilities (n, classes) float32 that it gave to them.

    engine and machine say where; model_sha256 is that of the model's file.
    """

    pictures: Pixels
    probabilities: NDArray[np.float32]
    engine: str
    machine: str
    model_sha256: str

    def __post_init__(self) -> None:
        if self.pictures.ndim != 4 or self.pictures.dtype != np.uint8 or len(self.pictures) == 0:
            raise ValueError(f"pictures of shape {self.pictures.shape} {self.pictures.dtype}")
        if self.probabilities.ndim != 2 or self.probabilities.dtype != np.float32 or not np.isfinite(self.probabilities).all():
            raise ValueError(f"probabilities of shape {self.probabilities.shape} {self.probabilities.dtype}")
        if len(self.probabilities) != len(self.pictures):
            raise ValueError(f"{len(self.pictures)} pictures, {len(self.probabilities)} answers")
        if not all(isinstance(said, str) for said in (self.engine, self.machine, self.model_sha256)):
            raise ValueError("engine, machine and model_sha256 are text")

    def is_of(self, model: bytes) -> bool:
        """Tell whether these are cases of this very file."""
        return self.model_sha256 == hashlib.sha256(model).hexdigest()


@dataclass(frozen=True)
class Stray:
    """A case that goes wrong here: the label that it should have, the one it has here, and how far a probability is off."""

    expected: str
    given: str
    difference: float


@dataclass(frozen=True)
class Replay:
    """How the answers of an engine compare with golden ones: to the bit, by the same letters, or not.

    n counts the cases; difference is the largest of any probability, 1 where an answer is no number.
    """

    n: int
    difference: float
    strays: tuple[Stray, ...]

    @property
    def verdict(self) -> Verdict:
        """Equal, close where only probabilities differ and little, or wrong."""
        if self.strays:
            return "wrong"
        return "close" if self.difference else "equal"


def golden_path(model: Path) -> Path:
    """Return where the golden cases of a model lie: beside it, by its whole name, as formats differ in the ending only."""
    return model.parent / f"{model.name}{GOLDEN_ENDING}"


def load_golden(path: Path) -> Golden:
    """Open golden cases; raises LettercastError where the file is none, or damaged."""
    try:
        arrays = load_npz(path, MOST_BYTES)
        about = json.loads(str(arrays["about"]))
        return Golden(arrays["pictures"], arrays["probabilities"], **about)
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or error}; export the model again") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LettercastError(f"{path}: cannot be used as golden cases ({error}); export the model again") from error


def replay(engine: Engine, golden: Golden) -> Replay:
    """Classify golden pictures and compare; raises LettercastError where the cases do not fit the model."""
    facts = engine.facts
    if golden.pictures.shape[1:] != facts.input_shape or golden.probabilities.shape[1] != len(facts.labels):
        raise LettercastError(f"{facts.name}: golden cases of another input or other labels; export the model again")
    answers = engine(golden.pictures)
    differences = np.nan_to_num(np.abs(answers - golden.probabilities), nan=1.0, posinf=1.0).max(1)
    expected, given = golden.probabilities.argmax(1), answers.argmax(1)
    strays = tuple(
        Stray(facts.labels[expected[i]], facts.labels[given[i]], float(differences[i]))
        for i in np.flatnonzero((expected != given) | (differences > FARTHEST))
    )
    return Replay(len(golden.pictures), float(differences.max()), strays)
