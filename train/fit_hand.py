"""Maintainer's command: what one writer's letters have in common, measured on the writers of a strokes file.

python -m lettercast.train.fit_hand unipen_letters.npz letters-base
"""

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.arguments import find_model
from ..runtime.files import packaged, write_bytes
from ..runtime.hand.apply import open_tap
from ..runtime.hand.file import model_key
from ..runtime.hand.space import ENDING
from ..runtime.model.engine import Engine, open_engine
from .data.open import open_source
from .data.source import Source, draw_all, draw_some, relabel
from .rehearse import check_letters

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class HandFit:
    """How the likeness of letters is fitted; width, calm and weight were chosen on UNIPEN's validation writers."""

    width: int = 64
    """Directions that are kept."""
    ridge: float = 0.01
    """What is added to the scatter in every direction, as a share of its mean."""
    calm: float = 0.4
    """Evidence is multiplied by this, because directions are not as independent as the model takes them to be."""
    weight: float = 0.02
    """How much an own letter counts against the network."""
    max_letters: int = 200
    """Letters of one writer; some have thousands."""


FIT = HandFit()


def fit_hand(engine: Engine, source: Source, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Return the arrays of a space: the two-covariance model of speaker recognition (Ioffe 2006), for writers of letters.

    What one writer writes as one letter in one case scatters about a mean of its own, and these means scatter, too. Directions
    are those in which the means scatter most against the letters around them.

    The letters for checking are the built-in ones that `train --init` checks on: letters of the training writers would not do,
    because the network reads even their doubtful ones right, so that whatever changes anything would seem to spoil some.

    Raises LettercastError if the source does not know its writers, or the engine shows no features.
    """
    if source.writers is None or source.upper is None:
        raise LettercastError(f"{source.name}: names no writers; give a strokes file that does")
    rng, see = np.random.default_rng(seed), open_tap(engine)
    chosen = pick(source.writers, source.labels, FIT.max_letters, rng)
    group = groups(source.writers[chosen], 2 * source.labels[chosen] + source.upper[chosen])
    mean, matrix, between = directions(see(draw_some(source, chosen, None))[1].astype(float), group)
    matrix, curve, bias = evidence(matrix, between)
    check = check_letters("0" in engine.facts.labels)
    probabilities, features = see(draw_all(check))
    scaled, scale = quantized(matrix)
    places, place_scale = quantized((features - mean) @ matrix)
    return {
        "key": np.array(model_key(engine.facts)),
        "bias": np.array(bias, np.float32),
        "weight": np.array(FIT.weight, np.float32),
        "mean": mean.astype(np.float16),
        "matrix": scaled,
        "scale": scale,
        "curve": curve.astype(np.float32),
        "check_places": places,
        "check_scale": place_scale,
        "check_probabilities": np.rint(255 * probabilities).astype(np.uint8),
        "check_truth": relabel(check, engine.facts.labels).astype(np.uint8),
    }


def pick(owners: NDArray[Any], kinds: NDArray[Any], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return places, in order, of at most so many things of each owner, evenly of all kinds."""
    chosen: list[int] = []
    for owner in np.unique(owners):
        own = rng.permutation(np.flatnonzero(owners == owner))
        rank = np.zeros(len(own), int)
        for kind in np.unique(kinds[own]):
            rank[kinds[own] == kind] = np.arange((kinds[own] == kind).sum())
        chosen += own[np.argsort(rank, kind="stable")][:most].tolist()
    return np.sort(np.array(chosen, np.int64))


def groups(writers: NDArray[Any], forms: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number (n,) of each letter's group: the letters of one writer that have one form; -1 if it is alone."""
    _, group, count = np.unique(np.stack([writers, forms]), axis=1, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    numbers = np.cumsum(count > 1) - 1
    return np.where(count > 1, numbers, -1)[group].astype(np.int64)


def directions(features: Floats, group: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return the mean (w,), directions (w, d) in which groups scatter by 1, and how much their means scatter there (d,)."""
    from scipy.linalg import eigh

    features, group = features[group >= 0], group[group >= 0]
    count = np.bincount(group)
    means = np.zeros((len(count), features.shape[1]))
    np.add.at(means, group, features)
    means /= count[:, None]
    # A group of n scatters about its own mean by (n - 1) / n of the variance.
    apart = (features - means[group]) * np.sqrt(count / (count - 1))[group][:, None]
    within, between = apart.T @ apart / len(apart), np.cov(means.T, bias=True)
    within += np.eye(len(within)) * FIT.ridge * np.trace(within) / len(within)
    width = min(FIT.width, len(within))
    strength, matrix = eigh(between, within, subset_by_index=[len(within) - width, len(within) - 1])
    return features.mean(0), matrix[:, ::-1], strength[::-1]


def evidence(matrix: Floats, between: Floats) -> tuple[Floats, Floats, float]:
    """Return a matrix, a curve and a bias for `runtime.hand.space.Space`.

    They give the logarithm of how much likelier two letters p and q are if they share a mean than if each has its own, in each
    direction (b p q - b**2 (p**2 + q**2) / (2 (1 + b))) / (1 + 2 b) - log((1 + 2 b) / (1 + b)**2) / 2 with variance b between.
    """
    total, both = 1 + between, 1 + 2 * between
    tilt = FIT.calm * between / both
    bias = -FIT.calm * np.log(both / total**2).sum() / 2
    return matrix * np.sqrt(tilt), between / total, float(bias)


def quantized(values: Floats) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return columns (n, width) as int8, and the scale (width,) of each."""
    scale = np.maximum(np.abs(values).max(0), 1e-9) / 127
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the statistics for a model and write them into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", help="a strokes .npz that is split by writer")
    parser.add_argument("model", help="letters-base, letters-nano, letters-digits, or a .tflite or .onnx file")
    parser.add_argument("--out", type=Path, help="the file (default: the one of this package)")
    options = parser.parse_args(arguments)
    try:
        engine = open_engine(find_model(options.model))
        buffer = io.BytesIO()
        arrays = fit_hand(engine, open_source(options.strokes, "train"))
        np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
        out = options.out or packaged(f"models/{engine.facts.name}{ENDING}")
        write_bytes(out, buffer.getvalue())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    print(f"{out}: {len(buffer.getvalue()) / 1000:.0f} kB, {len(arrays['check_truth'])} letters for checking")
    return 0


if __name__ == "__main__":
    sys.exit(main())
