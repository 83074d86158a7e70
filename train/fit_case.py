"""Maintainer's command: fit the network that distinguishes capitals from small letters to the training writers of a strokes file.

python -m lettercast.train.fit_case unipen_letters.npz
"""

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.text.context import CASE_FILE, LABELS, CaseNet, case_input
from .data.open import open_source
from .data.source import Source, draw_all


@dataclass(frozen=True)
class CaseFit:
    """Size and training of the case network.

    Chosen by hand for UNIPEN's training writers; no search over these values is recorded.
    """

    hidden: int = 96
    dropout: float = 0.1
    epochs: int = 12
    batch: int = 256
    rate: float = 3e-3
    weight_decay: float = 1e-4
    draw_seeds: tuple[int | None, ...] = (None, 3)
    """Every letter is drawn once plainly, and once with another pen through a camera by this seed."""


FIT = CaseFit()


def fit_case(source: Source, seed: int = 1) -> CaseNet:
    """Fit the network: each image trains only the output of its own letter, and both cases count equally.

    Raises LettercastError if the source does not know the case of its letters.
    """
    import keras

    if source.upper is None or not {True, False} <= set(source.upper.tolist()):
        raise LettercastError(f"{source.name}: needs letters of both cases; give `upper` in the strokes file")
    if source.classes != LABELS:
        raise LettercastError(f"{source.name}: has other classes than A to Z, which have no case; give letters only")
    keras.utils.set_random_seed(seed)
    inputs = np.concatenate([case_input(draw_all(source, drawn)) for drawn in FIT.draw_seeds])
    labels, upper = np.tile(source.labels, len(FIT.draw_seeds)), np.tile(source.upper, len(FIT.draw_seeds))
    network = keras.Sequential(
        [
            keras.Input(inputs.shape[1:]),
            keras.layers.Dense(FIT.hidden, activation="relu"),
            keras.layers.Dropout(FIT.dropout),
            keras.layers.Dense(len(LABELS)),
        ]
    )

    def loss(truth: Any, logits: Any) -> Any:
        own = keras.ops.take_along_axis(logits, keras.ops.cast(truth[:, :1], "int32"), axis=1)[:, 0]
        return keras.losses.binary_crossentropy(truth[:, 1:], own[:, None], from_logits=True)

    rate = keras.optimizers.schedules.CosineDecay(FIT.rate, FIT.epochs * len(inputs) // FIT.batch)
    network.compile(keras.optimizers.AdamW(rate, weight_decay=FIT.weight_decay), loss)
    truth = np.stack([labels, upper], 1).astype(np.float32)
    network.fit(inputs, truth, sample_weight=case_weights(labels, upper), batch_size=FIT.batch, epochs=FIT.epochs, verbose=0)
    first, first_bias, second, second_bias = network.get_weights()
    return CaseNet((first, second), (first_bias, second_bias))


def case_weights(labels: NDArray[np.int64], upper: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return weights (n,) float32 such that the capitals of each letter count as much as its small ones."""
    capitals = np.bincount(labels, upper, len(LABELS)) / np.maximum(1, np.bincount(labels, minlength=len(LABELS)))
    share = np.where(upper, capitals[labels], 1 - capitals[labels])
    return (0.5 / share).astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the network and write it into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", help="a strokes .npz that is split by writer")
    parser.add_argument("--out", type=Path, default=CASE_FILE, help="the network (default: the one of this package)")
    options = parser.parse_args(arguments)
    try:
        net = fit_case(open_source(options.strokes, "train"))
        buffer = io.BytesIO()
        layers = [array for layer in zip(net.weights, net.biases, strict=True) for array in layer]
        np.savez_compressed(buffer, *(layer.astype(np.float16) for layer in layers))
        write_bytes(options.out, buffer.getvalue())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(buffer.getvalue()) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
