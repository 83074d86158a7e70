"""The original: a Keras model brought to lettercast's convention, its calibration set, and its answers on the check set.

The convention is pixels 0..255 in, probabilities out, in float32, without layers that only training needs.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError, __version__
from ..runtime.console import say
from ..runtime.model.facts import Facts, keras_facts
from ..runtime.pixels import Pixels
from ..train.data.open import Data, held_out_split, open_source, whole
from ..train.data.source import Source, draw_all, draw_some, relabel
from ..train.predict import assumed_facts, classify, load_keras, model_facts, picture_shape
from .convention import to_convention
from .detection import chance_limit
from .inference import for_inference, is_single

if TYPE_CHECKING:
    import keras

CALIBRATION_LETTERS, CALIBRATION_SEED = 500, 7
VERSIONS = ("keras", "tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy")


@dataclass(frozen=True)
class Original:
    """A Keras model without its training-only layers, and its probabilities on the check set.

    calibration and images (the check set) are (N, H, W, C) uint8, truth is (N,) int64, probabilities are (N, classes) float32.
    """

    network: "keras.Model"
    facts: Facts
    calibration: Pixels
    images: Pixels
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def open_letters(path: Path, calibrate: Data | None, check: Data | None) -> tuple[Source, Source]:
    """Open the calibration set and the check set of a model: letters, or images if the model takes other images.

    Letters come from the built-in pen if you name none. For images one name serves as both sets, each with its own split.
    """
    shape = picture_shape(model_facts(path))
    if shape and not (calibrate or check):
        size = " x ".join(map(str, shape))
        raise LettercastError(f"{path}: takes images of {size}; name some with --check, a folder of class folders or an .npz")
    if calibrate is not None and check is not None:
        # Arrays that you give separately belong to one set as a whole.
        calibrate, check = whole(calibrate, "train"), whole(check, "test")
    checked = check or (shape and calibrate) or "pen"
    return open_source(calibrate or (shape and check) or "pen", "train", shape), open_source(
        checked, held_out_split(checked), shape
    )


def open_original(
    path: Path,
    calibrate: Source,
    check: Source,
    report: Callable[[str], None],
    *,
    labels: Sequence[str] | None = None,
    pixels: str | None = None,
) -> Original:
    """Load a Keras model, bring it to pixels 0..255 in and probabilities out, and classify the check set with it.

    Args:
        path: the `.keras` file.
        calibrate, check: letters, or images if the model takes other images (see `train.predict.picture_shape`).
        labels: names of the outputs in their order; by default those of its facts, A to Z for 26 outputs, the classes of the
            check set if their number fits, or numbers.
        pixels: the name of a preprocessing, see `to_convention`; by default the plain range of pixels with which the model
            classifies its calibration set best.

    Raises:
        LettercastError: model, labels and images do not fit each other.
    """
    network = load_keras(path)
    own = keras_facts(path)
    if own and pixels is not None:
        raise LettercastError(f"--pixels {pixels}: {path} says itself what it takes, lettercast trained it; leave --pixels out")
    facts = own or assumed_facts(path, network)
    facts = replace(facts, labels=name_outputs(facts, labels, None if own else check))
    truth = relabel(check, facts.labels)
    if (truth < 0).any():
        named = f"has {' '.join(check.classes[:3])} ..., and the model's outputs are {' '.join(facts.labels[:3])} ..."
        raise LettercastError(f"--check {check.name}: {named}; name them alike with --labels, or `classes` in an .npz")
    images = draw_all(check)
    if images.shape[1:] != facts.input_shape:
        raise LettercastError(f"{path}: takes {facts.input_shape} images; letters are drawn as {images.shape[1:]}")
    calibration, classes = draw_calibration(calibrate, facts.labels)
    refuse_shared(calibrate.name, calibration, check.name, images)
    made, advice = {}, None
    if own is None:
        network, made, advice = to_convention(path, network, calibration, classes, facts.labels, pixels=pixels)
    if not is_single(network):
        network = for_inference(network)
        say("the model computes in half precision; the exported files, and what they are compared with, in float32")
    report(f"classifying {len(images)} letters with the original")
    probabilities = classify(network, images)
    if not np.isfinite(probabilities).all():
        raise LettercastError(f"{path}: gives NaN outputs; train it again")
    refuse_chance(path, check.name, truth, probabilities, advice)
    count = f"{len(calibration)} {facts.takes}"
    made["calibration"] = f"{calibrate.name}, {calibrate.split}, {count}, seed {CALIBRATION_SEED}"
    facts = replace(
        facts,
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        versions={"lettercast": __version__, **{package: version(package) for package in VERSIONS}},
        made={**facts.made, **made},
    )
    return Original(for_inference(network), facts, calibration, images, truth, probabilities)


def refuse_chance(
    path: Path, check: str, truth: NDArray[np.int64], probabilities: NDArray[np.float32], advice: str | None
) -> None:
    """Raise LettercastError if a model is hardly more often right than a guess: its labels or its preprocessing are wrong.

    A file that equals such a model would be proven equal, and useless. Takes truth (N,) and probabilities (N, classes), and
    what the calibration images say about its preprocessing: "" if it is no guess on them, None if they were not asked.
    """
    right, chance = float((probabilities.argmax(1) == truth).mean()), 1 / probabilities.shape[1]
    if right < chance_limit(probabilities.shape[1]):
        reason = f"is right on {100 * right:.1f} % of --check {check}, and a guess on {100 * chance:.1f} %"
        if advice is None:
            raise LettercastError(f"{path}: {reason}; give --check images of the kind that it was trained with, and their labels")
        if not advice:
            better = "although it is right more often on the calibration images"
            raise LettercastError(f"{path}: {reason}, {better}; give --check images of the same kind, and their labels")
        mend = "name its outputs in their order with --labels, its pixels with --pixels, or put its preprocessing into the model"
        raise LettercastError(f"{path}: {reason}, {advice}; {mend}")


def name_outputs(facts: Facts, labels: Sequence[str] | None, check: Source | None) -> tuple[str, ...]:
    """Return the names of a model's outputs; raises LettercastError if `labels` has another number of names, or one twice."""
    count = len(facts.labels)
    if labels is None:
        is_numbered = facts.labels == tuple(map(str, range(count)))
        return check.classes if check and is_numbered and len(check.classes) == count else facts.labels
    if len(labels) != count or len(set(labels)) != count:
        raise LettercastError(f"--labels: {len(set(labels))} different names, the model has {count} outputs; name each once")
    return tuple(labels)


def draw_calibration(source: Source, labels: Sequence[str]) -> tuple[Pixels, NDArray[np.int64]]:
    """Draw 500 training letters (500, H, W, C) uint8, equally many of each class, and their classes among labels (500,).

    Raises LettercastError for a split other than training, and for fewer than two classes.
    """
    if source.split != "train":
        raise LettercastError(f"--calibrate {source.name}: takes training letters, not split '{source.split}'")
    classes = relabel(source, labels)
    known = np.unique(classes[classes >= 0])
    if len(known) < 2:
        raise LettercastError(f"--calibrate {source.name}: has {len(known)} of the model's classes; scales need them all")
    rng = np.random.default_rng(CALIBRATION_SEED)
    rank = rng.permutation(len(classes))
    share = -(-CALIBRATION_LETTERS // len(known))
    chosen = rng.permutation(np.concatenate([rank[classes[rank] == label][:share] for label in known]))[:CALIBRATION_LETTERS]
    return draw_some(source, chosen, CALIBRATION_SEED), classes[chosen]


def refuse_shared(calibrated: str, calibration: Pixels, checked: str, images: Pixels) -> None:
    """Raise LettercastError if calibration images are in the check set, which would make the gate too lenient."""
    seen = {image.tobytes() for image in calibration}
    shared = len(seen & {image.tobytes() for image in images})
    # A few images may be equal by chance, or blank.
    if shared > 0.01 * len(seen) + 1:
        overlap = f"{shared} of its images are in --calibrate {calibrated}, too"
        raise LettercastError(f"--check {checked}: {overlap}; the gate needs images that calibration did not see")
