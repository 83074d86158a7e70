"""Maintainer's command: fit the network that tells capitals from small letters, on the training writers of a strokes file.

python -m lettercast.train.fit_case unipen_letters.npz
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.text.context import CASE_FILE, LABELS, CaseNet, case_input
from .data.open import open_source
from .data.source import Source, draw_all

HIDDEN, DROPOUT = 96, 0.1
EPOCHS, BATCH, RATE, DECAY = 12, 256, 3e-3, 1e-4
# Letters are drawn once as plain strokes, and with other pens through a camera, by these seeds.
DRAW_SEEDS = (None, 3)


def fit_case(source: Source, seed: int = 1) -> CaseNet:
    """Fit the network; only the written letter's own output is taught for each picture, both cases count alike.

    Raises LettercastError where the source does not know the case of its letters.
    """
    import keras

    if source.upper is None or not {True, False} <= set(source.upper.tolist()):
        raise LettercastError(f"{source.name}: needs letters of both cases, with `upper` known")
    keras.utils.set_random_seed(seed)
    inputs = np.concatenate([case_input(draw_all(source, drawn)) for drawn in DRAW_SEEDS])
    labels, upper = np.tile(source.labels, len(DRAW_SEEDS)), np.tile(source.upper, len(DRAW_SEEDS))
    network = keras.Sequential(
        [
            keras.Input(inputs.shape[1:]),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(len(LABELS)),
        ]
    )

    def loss(truth: Any, logits: Any) -> Any:
        own = keras.ops.take_along_axis(logits, keras.ops.cast(truth[:, :1], "int32"), axis=1)[:, 0]
        return keras.losses.binary_crossentropy(truth[:, 1:], own[:, None], from_logits=True)

    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(inputs) // BATCH)
    network.compile(keras.optimizers.AdamW(rate, weight_decay=DECAY), loss)
    truth = np.stack([labels, upper], 1).astype(np.float32)
    network.fit(inputs, truth, sample_weight=case_weights(labels, upper), batch_size=BATCH, epochs=EPOCHS, verbose=0)
    first, first_bias, second, second_bias = network.get_weights()
    return CaseNet((first, second), (first_bias, second_bias))


def case_weights(labels: NDArray[np.int64], upper: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weigh letters (n,) so that each letter's capitals count as much as its small ones."""
    capitals = np.bincount(labels, upper, len(LABELS)) / np.maximum(1, np.bincount(labels, minlength=len(LABELS)))
    share = np.where(upper, capitals[labels], 1 - capitals[labels])
    return (0.5 / share).astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the network and write it into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strokes", help="a strokes .npz with a split by writer")
    parser.add_argument("--out", type=Path, default=CASE_FILE)
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
