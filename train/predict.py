"""One call for every kind of model: `.keras`, `.tflite` and `.onnx`."""

import re
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.arguments import MEASURED, find_model
from ..runtime.files import replacing
from ..runtime.glyph import GLYPH_SHAPE
from ..runtime.model.engine import OPENERS, Classify, Engine, first_line, open_engine
from ..runtime.model.facts import FACTS_KEY, LETTERS, PICTURES, Facts, keras_facts
from ..runtime.pixels import Pixels
from .data.source import LETTERS as ALPHABET
from .plan import BATCH

if TYPE_CHECKING:
    import keras

# Images that Keras classifies at a time.
KERAS_BATCH = 512


def open_model(path: Path, threads: int = 1) -> Engine:
    """Open a `.keras`, `.tflite` or `.onnx` model; raises LettercastError if it cannot be used."""
    if path.suffix.lower() == ".keras":
        return open_keras(path)
    if path.suffix.lower() not in OPENERS:
        raise LettercastError(f"{path}: not a readable model; give a .keras, {' or '.join(OPENERS)} file")
    return open_engine(path, threads)


def open_any(model: "str | Path | Engine | keras.Model", threads: int = 1) -> Engine:
    """Open a model by its name, its path, or as a Keras model in memory; an engine is returned as it is.

    Raises LettercastError if the model cannot be used.
    """
    if isinstance(model, Engine):
        return model
    if isinstance(model, str | Path):
        return open_model(find_model(model, MEASURED), threads)
    path = Path(getattr(model, "name", "model"))
    check_layers(path, model)
    return keras_engine(model, assumed_facts(path, model))


def open_keras(path: Path) -> Engine:
    """Open a `.keras` model, in Keras' safe mode."""
    network = load_keras(path)
    return keras_engine(network, keras_facts(path) or assumed_facts(path, network))


def keras_engine(network: "keras.Model", facts: Facts) -> Engine:
    """Return a Keras model behind the interface that every engine has."""
    import keras

    return Engine(f"keras {keras.__version__} on {keras.backend.backend()}", facts, lambda images: classify(network, images))


def classify(network: "keras.Model", images: Pixels) -> NDArray[np.float32]:
    """Return a network's probabilities (N, classes) float32 for images (N, H, W, C) uint8."""
    return np.asarray(network.predict(images, batch_size=KERAS_BATCH, verbose=0), np.float32)


def open_teacher(paths: Sequence[Path], classes: Sequence[str]) -> Classify:
    """Return a function that gives the mean probabilities of `.keras` models, for another network to learn from.

    Raises LettercastError unless the labels of each are the classes of the letters, in the same order.
    """
    networks = [load_keras(path) for path in paths]
    for path, network in zip(paths, networks, strict=True):
        if (taken := tuple(network.inputs[0].shape[1:])) != GLYPH_SHAPE:
            raise LettercastError(f"{path}: takes {taken} images, but letters are {GLYPH_SHAPE}; choose another teacher")
        if (labels := model_facts(path).labels) != tuple(classes):
            raise LettercastError(
                f"{path}: has the classes {' '.join(labels)}, but the letters are {' '.join(classes)}; choose another teacher"
            )

    lock = threading.Lock()

    def answer(images: Pixels) -> NDArray[np.float32]:
        # With JAX, only one call at a time may use a network's variables.
        with lock:
            return np.asarray(np.mean([network.predict_on_batch(images) for network in networks], 0), np.float32)

    # Builds their graphs before several threads call.
    answer(np.zeros((BATCH, *GLYPH_SHAPE), np.uint8))
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


def load_keras(path: Path) -> "keras.Model":
    """Load a Keras model with one image input and one output of probabilities; raises LettercastError if it is not one."""
    import keras

    if not path.is_file():
        raise LettercastError(f"{path}: no such file; give a .keras model, e.g. one that `lettercast train` made")
    facts = keras_facts(path)
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras passes on what its layers raise
        if "Lambda" in str(error):
            reason = "has a Lambda layer, which is code inside the file and is never run"
            raise LettercastError(f"{path}: {reason}; use a layer of Keras instead, such as Rescaling") from error
        raise LettercastError(f"{path}: Keras cannot load it ({first_line(error)}); save it again with model.save()") from error
    shapes = check_layers(path, network)
    if facts and (facts.input_shape, (len(facts.labels),)) != tuple(shapes):
        raise LettercastError(f"{path}: its facts do not match its network ({shapes[0]} to {shapes[1]}); train it again")
    return network


def check_layers(path: Path, network: "keras.Model") -> list[tuple[Any, ...]]:
    """Return the shapes of a network's inputs and outputs; raises LettercastError if it does not classify images of one size."""
    if not getattr(network, "inputs", None):
        raise LettercastError(f"{path}: is not a built Keras model; give its Input a shape, or a model's name or path")
    shapes = [tuple(tensor.shape[1:]) for tensor in (*network.inputs, *network.outputs)]
    check_shapes(path, shapes[: len(network.inputs)], shapes[len(network.inputs) :])
    return shapes


def check_shapes(path: Path, inputs: Sequence[tuple[Any, ...]], outputs: Sequence[tuple[Any, ...]]) -> None:
    """Raise LettercastError unless a network classifies images of one size; its shapes come without the batch."""
    if len(inputs) != 1 or len(outputs) != 1:
        reason = f"has {len(inputs)} inputs and {len(outputs)} outputs"
    elif len(inputs[0]) != 3 or inputs[0][2] not in (1, 3):
        reason = f"takes {inputs[0]}, not grey or RGB images"
    elif None in inputs[0]:
        reason = f"takes images of any size {inputs[0]}; give its Input a fixed shape"
    elif len(outputs[0]) != 1 or (outputs[0][0] or 0) < 2:
        reason = f"returns {outputs[0]}, not probabilities of two or more classes"
    else:
        return
    raise LettercastError(
        f"{path}: needs one input of images of a fixed size and one output of two or more probabilities; it {reason}"
    )


def model_facts(path: Path) -> Facts:
    """Return the facts of a `.keras` model: its own, or assumed ones."""
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
