"""The Keras model that exports are made from: brought to lettercast's convention, with the letters it is measured on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError, __version__
from ..runtime.console import say
from ..runtime.model.facts import Facts, keras_facts
from ..runtime.pixels import Pixels
from ..train.data.open import Data, held_out_split, open_source, whole
from ..train.data.source import Source, draw_all, draw_some, relabel
from ..train.predict import assumed_facts, classify, load_keras, model_facts, picture_shape

if TYPE_CHECKING:
    import keras

FLOAT32 = "float32"
# Layers of Keras that change pictures in training and hand them on as they are ever after. RandomCrop is none: it cuts the middle
# out then.
TRAINING_ONLY = (
    "AugMix",
    "CutMix",
    "GaussianDropout",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)


def for_inference(network: "keras.Model") -> "keras.Model":
    """Return a network that answers alike in float32, without layers that training alone needs; the same one where it is that.

    Converters to ONNX have no operations for random numbers, and lose the constants of a Normalization layer, which becomes
    a Rescaling; those to TFLite mix no precisions.
    """
    import keras

    dropped = tuple(kind for name in TRAINING_ONLY if (kind := getattr(keras.layers, name, None)))
    replaced = (*dropped, keras.layers.Normalization)
    source = network.inputs[0]
    is_float = source.dtype == FLOAT32
    if is_float and is_single(network) and not any(isinstance(layer, replaced) for layer in flat_layers(network)):
        return network
    kept: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def clone(layer: "keras.layers.Layer") -> "keras.layers.Layer":
        if isinstance(layer, dropped):
            return keras.layers.Identity(name=layer.name)
        if isinstance(layer, keras.layers.Normalization):
            return as_rescaling(layer)
        copy = layer.__class__.from_config({**layer.get_config(), **({} if is_single(network) else {"dtype": FLOAT32})})
        kept.append((layer, copy))
        return copy

    inputs = None if is_float else keras.Input(source.shape[1:], dtype=FLOAT32, name=source.name)
    made = keras.models.clone_model(network, input_tensors=inputs, clone_function=clone, recursive=True)
    for layer, copy in kept:
        copy.set_weights(layer.get_weights())
    return made


def is_single(network: "keras.Model") -> bool:
    """Whether all layers compute in float32, and none in half precision."""
    return all(layer.compute_dtype == FLOAT32 for layer in flat_layers(network) if layer.weights)


def flat_layers(network: "keras.Model") -> "Iterator[keras.layers.Layer]":
    """Yield all layers, those of networks within it included."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from flat_layers(layer)
        else:
            yield layer


def as_rescaling(layer: "keras.layers.Normalization") -> "keras.layers.Rescaling":
    """Return the Rescaling that does what a Normalization does with the mean and variance that it has learnt.

    Keras divides by the standard deviation, at least by its epsilon.
    """
    import keras

    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value), np.float64).ravel() for value in (layer.mean, layer.variance))
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    scales, offsets = (scale, -mean * scale) if not layer.invert else (1 / scale, mean)
    return keras.layers.Rescaling(scales.tolist(), offsets.tolist(), name=layer.name)


if TYPE_CHECKING:
    import keras

CALIBRATION_LETTERS, CALIBRATION_SEED = 500, 7
VERSIONS = ("keras", "tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy")
# What a network may have been taught with, as the scale and offset that bring pixels 0..255 there.
PIXEL_RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
# How the facts of exported files say what stands before and behind the network.
SCALED_INSIDE, LOGITS = ", scaled inside the exported files", "logits, with a softmax inside the exported files"
# A range other than 0..255 must divide the loss on the calibration pictures by this factor.
CLEARLY_BETTER = 1.2
# Probabilities stray from 0..1 by rounding only.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Original:
    """A Keras model, without what training alone needs, and its own answers on the check letters.

    calibration and pictures are (N, H, W, C) uint8, truth (N,) int64, probabilities (N, classes) float32.
    """

    network: "keras.Model"
    facts: Facts
    calibration: Pixels
    pictures: Pixels
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def open_letters(path: Path, calibrate: Data | None, check: Data | None) -> tuple[Source, Source]:
    """Open what calibrates a model's exports, and what they are checked on: letters, or pictures for a model of these.

    Letters are those of the pen where none are named; of pictures one name stands for both, by their splits.
    """
    shape = picture_shape(model_facts(path))
    if shape and not (calibrate or check):
        size = " x ".join(map(str, shape))
        raise LettercastError(f"{path}: takes pictures of {size}; name some with --check, a folder of class folders or an .npz")
    if calibrate is not None and check is not None:
        # Of arrays that were given apart, all belong to one side.
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
    """Load a Keras model, bring it to pixels 0..255 in and probabilities out, and classify the check letters with it.

    Args:
        path: the `.keras` file.
        calibrate, check: letters, or pictures where the model is shown these (see `train.predict.picture_shape`).
        labels: names of the outputs, in their order; else its own facts, A to Z for 26 outputs, the check's classes where
            they are as many, or numbers.
        pixels: a key of PIXEL_RANGES; else the one at which the model reads its calibration letters.

    Raises:
        LettercastError: model, labels and letters do not fit each other.
    """
    network = load_keras(path)
    own = keras_facts(path)
    facts = own or assumed_facts(path, network)
    facts = replace(facts, labels=name_outputs(facts, labels, None if own else check))
    truth = relabel(check, facts.labels)
    if (truth < 0).any():
        named = f"has {' '.join(check.classes[:3])} ..., and the model's outputs are {' '.join(facts.labels[:3])} ..."
        raise LettercastError(f"--check {check.name}: {named}; name them alike with --labels, or `classes` in an .npz")
    pictures = draw_all(check)
    if pictures.shape[1:] != facts.input_shape:
        raise LettercastError(f"{path}: takes {facts.input_shape} pictures; letters are drawn as {pictures.shape[1:]}")
    calibration, classes = draw_calibration(calibrate, facts.labels)
    refuse_shared(calibrate.name, calibration, check.name, pictures)
    said = {}
    if own is None:
        network, said = to_convention(network, calibration, classes, pixels)
    if not is_single(network):
        network = for_inference(network)
        say("the model computes in half precision; the exported files, and what they are compared with, in float32")
    report(f"classifying {len(pictures)} letters with the original")
    probabilities = classify(network, pictures)
    if not np.isfinite(probabilities).all():
        raise LettercastError(f"{path}: gives answers that are no numbers; train it again")
    count = f"{len(calibration)} {facts.takes}"
    said["calibration"] = f"{calibrate.name}, {calibrate.split}, {count}, seed {CALIBRATION_SEED}"
    facts = replace(
        facts,
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        versions={"lettercast": __version__, **{package: version(package) for package in VERSIONS}},
        made={**facts.made, **said},
    )
    return Original(for_inference(network), facts, calibration, pictures, truth, probabilities)


def name_outputs(facts: Facts, labels: Sequence[str] | None, check: Source | None) -> tuple[str, ...]:
    """Return the names of a model's outputs; raises LettercastError where those given are not as many, or one twice."""
    count = len(facts.labels)
    if labels is None:
        is_numbered = facts.labels == tuple(map(str, range(count)))
        return check.classes if check and is_numbered and len(check.classes) == count else facts.labels
    if len(labels) != count or len(set(labels)) != count:
        raise LettercastError(f"--labels: {len(set(labels))} different names, the model has {count} outputs; name each once")
    return tuple(labels)


def draw_calibration(source: Source, labels: Sequence[str]) -> tuple[Pixels, NDArray[np.int64]]:
    """Draw 500 letters (500, H, W, C) uint8 as training draws them, every class alike, and their classes among labels (500,).

    Raises LettercastError off training, and where there are fewer than two classes.
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


def refuse_shared(calibrated: str, calibration: Pixels, checked: str, pictures: Pixels) -> None:
    """Raise LettercastError where pictures that set the scales are among those that the gate compares on."""
    seen = {picture.tobytes() for picture in calibration}
    shared = len(seen & {picture.tobytes() for picture in pictures})
    # A few may be equal by chance, or empty.
    if shared > 0.01 * len(seen) + 1:
        said = f"{shared} of its pictures are in --calibrate {calibrated}, too"
        raise LettercastError(f"--check {checked}: {said}; the gate needs pictures that calibration did not see")


def to_convention(
    network: "keras.Model", calibration: Pixels, classes: NDArray[np.int64], pixels: str | None
) -> "tuple[keras.Model, dict[str, str]]":
    """Put in front of a user's network what brings pixels 0..255 to its own range, and behind it a softmax if it has none.

    Returns the network, and what was done, for the facts.
    """
    answers = {
        name: classify_scaled(network, calibration, *PIXEL_RANGES[name]) for name in ([pixels] if pixels else PIXEL_RANGES)
    }
    losses = {name: cross_entropy(rows, classes) for name, rows in answers.items()}
    best = min(losses, key=lambda name: losses[name])
    if pixels is None and CLEARLY_BETTER * losses[best] > losses["0..255"]:
        best = "0..255"
    is_logits = are_logits(answers[best])
    said = {}
    if best != "0..255":
        found = "as asked" if pixels else f"its loss is {losses[best]:.2g} so, {losses['0..255']:.2g} with 0..255"
        said["pixels"] = f"{best}{SCALED_INSIDE}"
        say(f"the model takes pixels {best} ({found}); the exported files scale pixels 0..255 themselves")
    if is_logits:
        said["outputs"] = LOGITS
        say("the model gives logits; the exported files have a softmax behind it")
    return as_exported(network, said), said


def as_exported(network: "keras.Model", made: Mapping[str, Any]) -> "keras.Model":
    """Put before and behind a network what the facts of its exports (`made`) say that these have inside."""
    import keras

    pixels = str(made.get("pixels", "")).removesuffix(SCALED_INSIDE)
    is_logits = made.get("outputs") == LOGITS
    if not (is_logits or pixels in PIXEL_RANGES):
        return network
    inputs = keras.Input(network.inputs[0].shape[1:], name="pixels")
    outputs = network(keras.layers.Rescaling(*PIXEL_RANGES[pixels])(inputs) if pixels in PIXEL_RANGES else inputs)
    return keras.Model(inputs, keras.layers.Softmax()(outputs) if is_logits else outputs, name=network.name)


def classify_scaled(network: "keras.Model", pictures: Pixels, scale: float, offset: float) -> NDArray[np.float32]:
    """Return the answers (N, classes) of a network to pictures (N, H, W, C) uint8 in another range of pixels."""
    return classify(network, pictures.astype(np.float32) * np.float32(scale) + np.float32(offset))


def are_logits(rows: NDArray[np.float32]) -> bool:
    """Tell whether answers (N, classes) are no probabilities."""
    return bool((rows < -ROUNDING).any() or (rows > 1 + ROUNDING).any())


def cross_entropy(rows: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return the mean negative log-probability of the right classes (N,), of answers (N, classes) that may be logits."""
    if are_logits(rows):
        rows = np.exp(rows - rows.max(1, keepdims=True))
        rows = rows / rows.sum(1, keepdims=True)
    return float(-np.log(np.clip(rows[np.arange(len(rows)), classes], 1e-12, 1)).mean())
