"""Export a Keras image classifier to an int8 TFLite file that is proven to give the same answers.

    python examples/export_my_model.py                                   # trains a small model on scikit-learn's digits
    python examples/export_my_model.py --model my.keras --data images/   # your own model and images

Your images are a folder with one folder of images for each class, or an .npz with `image`, `label` and `classes`. A part of
them is held out for the proof; the others set the scales of the int8 file. Without --model the digits are used.

It needs lettercast[export].
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lettercast import LettercastError
from lettercast.benchmarks import show
from lettercast.export import export
from lettercast.runtime import open_engine
from lettercast.train import evaluate

EPOCHS = 20
FILTERS = 16
SEED = 1
CLASSES = tuple("0123456789")
CHECK_SHARE = 0.3
SHOWN_IMAGES = 5


def load_digits() -> tuple[tuple, tuple]:
    """Return the training and the check images, each as `(images (N, 8, 8) uint8, labels (N,), class names)`."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    # The data set has pixels 0..16. Cameras, image files and the exported model have pixels 0..255.
    images = (digits.images * (255 / 16)).astype(np.uint8)
    x_train, x_check, y_train, y_check = train_test_split(
        images, digits.target, test_size=CHECK_SHARE, stratify=digits.target, random_state=SEED
    )
    return (x_train, y_train, CLASSES), (x_check, y_check, CLASSES)


def train_digits(images: np.ndarray, labels: np.ndarray, epochs: int):
    """Build and train a small convolutional network; returns the Keras model."""
    # Imported here, as TensorFlow takes seconds to start, and asked to report errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            # With the scaling inside the model, nobody can forget it on the device.
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(FILTERS, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(2 * FILTERS, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(len(CLASSES), activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[..., None], labels, epochs=epochs, verbose=0)
    return model


def run_on_device(path: Path, check, split: str | None) -> float:
    """Classify the check images with the exported file, as a device does; returns the accuracy, 0..1."""
    # This is all that a device needs: `open_engine` is part of lettercast[reader], which has no TensorFlow.
    engine = open_engine(path)
    # `evaluate` brings the images to the size of the model and compares the answers with the labels.
    result = evaluate(engine, check, split)
    probabilities = engine(result.images[:SHOWN_IMAGES])
    for truth, row in zip(result.truth[:SHOWN_IMAGES], probabilities, strict=True):
        best = row.argmax()
        print(f"  shown {engine.facts.labels[truth]}: the file answers {engine.facts.labels[best]} with {100 * row[best]:.0f} %")
    return result.accuracy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit code: 0 if the file was written, 1 if the proof failed, 2 if the input is invalid."""
    parser = argparse.ArgumentParser(description="Export a Keras image classifier to int8 TFLite, with proof.")
    parser.add_argument("--model", help="your .keras file (default: train a model on digits)")
    parser.add_argument("--data", help="your images: a folder of class folders or an .npz; needed with --model")
    parser.add_argument("--out", type=Path, default=Path("dist-example"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help="epochs on the digits (default: %(default)s)")
    parser.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy that the export may cost (default: 0.3)")
    parser.add_argument("--min-agreement", type=float, metavar="PERCENT", help="answers that must stay the same (default: 99)")
    options = parser.parse_args(arguments)
    if bool(options.model) != bool(options.data):
        parser.error("give --model and --data together, or neither of them")
    try:
        if options.model:
            # One name for both: the training split calibrates the file, the held-out split checks it.
            model, calibration, check = options.model, None, options.data
        else:
            calibration, check = load_digits()
            model = train_digits(*calibration[:2], epochs=options.epochs)
        exports = export(
            model,
            formats="tflite-int8",
            calibrate=calibration,
            check=check,
            max_drop=options.max_drop,
            min_agreement=options.min_agreement,
            out=options.out,
            overwrite=True,
        )
        show(exports)
        if not exports.passed:
            # No file is written: a model that answers differently must not reach a device unnoticed.
            reasons = [*exports.faults, *(miss for artifact in exports for miss in artifact.misses)]
            print("error: not exported: " + "; ".join(reasons), file=sys.stderr)
            return 1
        (artifact,) = exports
        print(f"{artifact.path}, {artifact.size_bytes / 1000:.0f} kB, run on this machine:")
        # The file itself says on which images it was checked.
        split = open_engine(artifact.path).facts.gate["split"] if options.model else "all"
        accuracy = run_on_device(artifact.path, check, split)
    except (LettercastError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    parity = artifact.parity
    print(f"accuracy of the Keras model {parity.original_accuracy:.2f} %, of the exported file {100 * accuracy:.2f} %")
    print(f"same answer on {parity.agreement:.2f} % of {parity.n} images that neither training nor calibration used")
    return 0


if __name__ == "__main__":
    sys.exit(main())
