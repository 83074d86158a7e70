"""One call for every kind of model: `.keras`, `.tflite` and `.onnx`."""

import re
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.arguments import MEASURED, find_model
from ..runtime.files import replacing
from ..runtime.glyph import GLYPH_SHAPE
from ..runtime.model.engine import OPENERS, Engine, first_line, open_engine
from ..runtime.model.facts import FACTS_KEY, LETTERS, PICTURES, Facts, keras_facts
from ..runtime.pixels import Pixels
from .data.source import LETTERS as ALPHABET
from .open_keras import load_keras, refuse_others
from .plan import BATCH
from .wrap import as_classifier

if TYPE_CHECKING:
    import keras

# Images that Keras classifies at a time.
KERAS_BATCH = 512
# Answers (N, classes) for images and their labels (N,).
Teacher: TypeAlias = Callable[[Pixels, NDArray[np.int64]], NDArray[np.float32]]
# Outputs outside of 0..1 by more than this are logits; probabilities leave the range by rounding only.
MAX_ROUNDING = 1e-3


def open_model(path: Path, threads: int = 1) -> Engine:
    """Open a Keras model, or an exported `.tflite` or `.onnx` file; raises LettercastError if it cannot be used."""
    return open_engine(path, threads) if path.suffix.lower() in OPENERS else open_keras(path)


def open_any(model: "str | Path | Engine | keras.Model", threads: int = 1) -> Engine:
    """Open a model by its name, its path, or as a Keras model in memory; an engine is returned as it is.

    Raises LettercastError if the model cannot be used.
    """
    if isinstance(model, Engine):
        return model
    if isinstance(model, str | Path):
        return open_model(find_model(model, MEASURED), threads)
    path = Path(getattr(model, "name", "model"))
    network = as_classifier(path, model)
    return keras_engine(network, assumed_facts(path, network))


def open_keras(path: Path) -> Engine:
    """Open a Keras model, in Keras' safe mode."""
    network = load_keras(path)
    return keras_engine(network, keras_facts(path) or assumed_facts(path, network))


def keras_engine(network: "keras.Model", facts: Facts) -> Engine:
    """Return a Keras model behind the interface that every engine has; one that gives logits gets a softmax behind it."""
    import keras

    def run(images: Pixels) -> NDArray[np.float32]:
        rows = classify(network, images)
        return as_probabilities(rows) if are_logits(rows) else rows

    return Engine(f"keras {keras.__version__} on {keras.backend.backend()}", facts, run)


def classify(network: "keras.Model", images: Pixels) -> NDArray[np.float32]:
    """Return a network's probabilities (N, classes) float32 for images (N, H, W, C) uint8."""
    return np.asarray(network.predict(images, batch_size=KERAS_BATCH, verbose=0), np.float32)


def are_logits(rows: NDArray[np.float32]) -> bool:
    """Whether outputs (N, classes) are logits and not probabilities."""
    return bool((rows < -MAX_ROUNDING).any() or (rows > 1 + MAX_ROUNDING).any())


def as_probabilities(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return outputs (N, classes), probabilities or logits, as probabilities whose sum is 1."""
    if are_logits(rows):
        rows = np.exp(rows - rows.max(1, keepdims=True))
    return rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)


def open_teacher(paths: Sequence[Path], classes: Sequence[str]) -> Teacher:
    """Return a function that gives the probabilities of `.keras` models, for another network to learn from.

    It takes images and their labels (N,). Of several models it gives a mean for each image, each model weighed by the
    probability that it gives to the label: models of different letters each teach what they read. A model that
    lacks a class says nothing of its images; where none knows the label, the answer is the label itself.

    Raises LettercastError if a model has a label that is no class of the letters.
    """
    networks = [load_keras(path) for path in paths]
    places = []
    for path, network in zip(paths, networks, strict=True):
        if (taken := tuple(network.inputs[0].shape[1:])) != GLYPH_SHAPE:
            raise LettercastError(f"{path}: takes {taken} images, but letters are {GLYPH_SHAPE}; choose another teacher")
        labels = model_facts(path).labels
        if unknown := sorted(set(labels) - set(classes)):
            reason = f"knows {' '.join(unknown[:8])}, but the letters are {' '.join(classes)}"
            raise LettercastError(f"{path}: {reason}; choose another teacher")
        places.append([classes.index(label) for label in labels])

    knows = np.zeros((len(networks), len(classes)), bool)
    for row, columns in zip(knows, places, strict=True):
        row[columns] = True
    lock = threading.Lock()

    def answer(images: Pixels, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        # With JAX, only one call at a time may use a network's variables.
        answers = np.zeros((len(networks), len(labels), len(classes)), np.float32)
        with lock:
            for row, columns, network in zip(answers, places, networks, strict=True):
                row[:, columns] = network.predict_on_batch(images)
        weights = np.where(knows[:, labels], answers[:, np.arange(len(labels)), labels] + 1e-6, 0)
        total = weights.sum(0)[:, None]
        mean = (answers * weights[..., None]).sum(0) / np.maximum(total, 1e-6)
        return np.where(total > 0, mean, np.eye(len(classes), dtype=np.float32)[labels]).astype(np.float32)

    # Builds their graphs before several threads call.
    answer(np.zeros((BATCH, *GLYPH_SHAPE), np.uint8), np.zeros(BATCH, np.int64))
    return answer


def save_keras(network: "keras.Model", path: Path, facts: Facts | None = None) -> None:
    """Save a model, with its facts as another entry of the archive; `path` is never half-written.

    Raises LettercastError if the folder cannot be written or the disk is full.
    """
    try:
        with replacing(path) as temporary:
            network.save(temporary)
            if facts:
                with zipfile.ZipFile(temporary, "a") as archive:
                    archive.writestr(f"{FACTS_KEY}.json", facts.to_json())
    except RuntimeError as error:  # from h5py, if it cannot write
        raise LettercastError(f"{path}: {first_line(error)}; make room, or choose another folder") from error


def model_facts(path: Path) -> Facts:
    """Return the facts of a Keras model: its own, or assumed ones."""
    refuse_others(path)
    return keras_facts(path) or assumed_facts(path, load_keras(path))


def assumed_facts(path: Path, network: Any) -> Facts:
    """Return the facts of a user's own Keras model: letters if it takes glyphs and has 26 outputs, else numbered classes."""
    _, height, width, channels = network.inputs[0].shape
    count = int(network.outputs[0].shape[-1])
    is_letters = count == len(ALPHABET) and (height, width, channels) == GLYPH_SHAPE
    labels = ALPHABET if is_letters else tuple(str(i) for i in range(count))
    takes = LETTERS if is_letters else PICTURES
    return Facts(safe_name(path.stem), "keras", labels, (height, width, channels), "float32", takes=takes)


def safe_name(name: str) -> str:
    """Return a name that can be part of a file's name: letters, digits, `.`, `_` and `-`, at most 100 characters."""
    return re.sub(r"[^\w.-]|^[.-]+", "_", name)[:100]


def picture_shape(facts: Facts) -> tuple[int, int, int] | None:
    """Return the (H, W, C) of a model that gets images as they are, None for a model of letters."""
    return facts.input_shape if facts.takes == PICTURES else None
