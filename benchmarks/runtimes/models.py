"""The files that runtimes are tried on: every format of the shipped models and of a small user's model of RGB images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...export.exporter import export
from ...runtime.files import make_folder
from ...runtime.model.facts import PICTURES, Facts
from ...runtime.model.golden import golden_path, load_golden
from ...runtime.pixels import Pixels
from ...train.data.drawing import shown
from ...train.data.open import open_source
from ...train.data.source import draw_some

SHIPPED = ("letters-base", "letters-nano")
# Of each model of letters so many of the pen's test letters are classified: every class ten times.
LETTERS_TAKEN = 260
RGB_NAME, RGB_SIDE, SEED = "digits-rgb", 16, 0
RGB_TRAINED, RGB_EPOCHS = 1200, 8
# The matrix compares runtimes with each other, so that a format which misses its tolerance is tried, too.
ANY_DROP, ANY_AGREEMENT = 100.0, 0.0


def export_all(folder: Path, report: Callable[[str], None]) -> list[Path]:
    """Export the shipped models and a model of RGB images to every format; return the paths of all files."""
    make_folder(folder)
    paths: list[Path] = []

    def made(model: str | Path, out: str, data: str | None = None) -> list[Path]:
        exports = export(
            model,
            check=data,
            out=folder / out,
            max_drop=ANY_DROP,
            min_agreement=ANY_AGREEMENT,
            overwrite=True,
            progress=False,
        )
        return [artifact.path for artifact in exports]

    for name in SHIPPED:
        report(f"exporting {name}")
        paths += made(name, name)
    report(f"training and exporting {RGB_NAME}")
    model, data = make_rgb_model(folder)
    return paths + made(model, RGB_NAME, str(data))


def make_rgb_model(folder: Path) -> tuple[Path, Path]:
    """Train a small network on coloured digits: depthwise and batch-normalized convolutions, a sum of branches, and logits.

    Returns the paths of the model, which takes pixels 0..1, and of its images.
    """
    import keras
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(SEED)
    ink = np.kron(digits.images / 16, np.ones((RGB_SIDE // 8, RGB_SIDE // 8)))[..., None]
    dark, light = rng.uniform(0, 110, (2, len(ink), 1, 1, 3)) + np.array([0, 140]).reshape(2, 1, 1, 1, 1)
    images = np.rint(light + ink * (dark - light)).astype(np.uint8)
    split = np.repeat([0, 2], [RGB_TRAINED, len(images) - RGB_TRAINED])
    data = folder / f"{RGB_NAME}.npz"
    np.savez(data, image=images, label=digits.target, split=split, classes=np.array(list("0123456789")))
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    inputs = keras.Input((RGB_SIDE, RGB_SIDE, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    trunk = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(trunk)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x))
    x = layers.MaxPooling2D()(layers.Add()([trunk, x]))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    outputs = layers.Dense(10)(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    network = keras.Model(inputs, outputs, name="digits_rgb")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=keras.optimizers.Adam(0.005), loss=loss)
    network.fit(images[:RGB_TRAINED] / 255, digits.target[:RGB_TRAINED], epochs=RGB_EPOCHS, verbose=0)
    path = folder / f"{RGB_NAME}.keras"
    network.save(path)
    return path, data


def images_for(path: Path, facts: Facts) -> Pixels:
    """Return the images (N, H, W, C) uint8 that a file is compared on: the pen's test letters, or its own golden cases."""
    if facts.takes == PICTURES:
        return load_golden(golden_path(path)).images
    return shown(facts, draw_some(open_source("pen", "test"), range(LETTERS_TAKEN), None))
