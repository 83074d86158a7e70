"""How alike two letters are, by what the last layer of a network sees of them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..files import load_npz, packaged
from ..model.facts import Facts
from .file import model_key

Floats: TypeAlias = NDArray[np.float32]
# The files of the shipped models are called so, after the model's name.
ENDING = ".writers.npz"
MAX_BYTES = 20_000_000


@dataclass(frozen=True)
class Check:
    """Letters of other writers, as the network sees them, to see that a hand does not spoil them.

    places (n, width) in the space, probabilities (n, classes) of the model alone, truth (n,) the right places among its labels.
    """

    places: Floats
    probabilities: Floats
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """Where letters lie, so that two of one writer's that are meant to be the same lie close to each other.

    A letter lies at (features - mean) @ matrix. Without a matrix it lies in the direction of its features, at length 1. The
    evidence that letters at p and q are the same is tilt * (p . q) + bias - sum(curve * (p * p + q * q)) / 2.

    Attributes:
        weight: how much the evidence of an own letter counts against the network.
        check: letters of other writers, if the model came with some.
    """

    tilt: float
    bias: float
    weight: float
    mean: Floats | None = None
    matrix: Floats | None = None
    curve: Floats | None = None
    check: Check | None = None

    def place(self, features: Floats) -> Floats:
        """Return where letters lie, (n, width), by their features (n, features)."""
        places: Floats
        if self.matrix is None or self.mean is None:
            length = np.sqrt((features * features).sum(1, keepdims=True))
            places = features / np.maximum(length, np.float32(1e-9))
        else:
            places = np.matmul(features, self.matrix, dtype=np.float32)
            places -= self.mean @ self.matrix
        return places

    def own_evidence(self, places: Floats) -> Floats:
        """Return the part of the evidence (n,) that letters at places (n, width) have by themselves."""
        if self.curve is None:
            return np.zeros(len(places), np.float32)
        part: Floats = np.matmul(places * places, self.curve * np.float32(-0.5), dtype=np.float32)
        return part


# For a model without statistics of writers. Chosen on validation writers of UNIPEN with letters-base and letters-nano.
PLAIN = Space(tilt=16.0, bias=-10.0, weight=1.0)


@lru_cache(maxsize=4)
def load_space(name: str, key: str) -> Space:
    """Return the space of a model, given its name and key: fitted on writers if the model came with statistics, else PLAIN."""
    path = packaged(f"models/{name}{ENDING}")
    if not path.is_file():
        return PLAIN
    try:
        arrays = load_npz(path, MAX_BYTES)
        return _from_arrays(arrays) if str(arrays["key"]) == key else PLAIN
    except (OSError, ValueError, KeyError) as error:
        raise LettercastError(f"{path}: damaged ({error}); install lettercast again") from error


def space_of(facts: Facts) -> Space:
    """Return the space of a model like load_space."""
    return load_space(facts.name, model_key(facts))


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> Space:
    """Return the space in a file of `python -m lettercast.train.fit_hand`, most of whose numbers are int8 with scales."""
    check = Check(
        arrays["check_places"] * arrays["check_scale"],
        (arrays["check_probabilities"] / np.float32(np.iinfo(np.uint8).max)).astype(np.float32),
        arrays["check_truth"].astype(np.int64),
    )
    return Space(
        1.0,
        float(arrays["bias"]),
        float(arrays["weight"]),
        arrays["mean"].astype(np.float32),
        arrays["matrix"] * arrays["scale"],
        arrays["curve"],
        check,
    )
