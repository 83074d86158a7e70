"""The original: a Keras model brought to lettercast's convention, its calibration set, and its answers on the check set.

The convention is pixels 0..255 in, probabilities out, in float32, without layers that only training needs.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError, __version__
from ..runtime.arguments import checked, label_names, plain_name
from ..runtime.console import say
from ..runtime.model.facts import PICTURES, Facts, keras_facts
from ..runtime.pixels import Pixels
from ..train.data.open import Data, default_split, held_out_split, is_same, open_source, seen_data, split_beside
from ..train.data.source import Source, describe, draw_all, draw_some, relabel
from ..train.predict import assumed_facts, classify, load_keras, model_facts, picture_shape
from .convention import to_convention
from .convert.network import dequantized, for_inference, is_single, quantized_layers
from .detection import chance_limit

if TYPE_CHECKING:
    import keras

CALIBRATION_LETTERS, CALIBRATION_SEED = 500, 7
# A check set must show every class of a model with at most so many; one with more, such as ImageNet's thousand, is also checked
# on a part of them.
MAX_DEMANDED = 100
# Names of outputs that no image belongs to.
UNUSED = ("unused", "none", "-", "n/a")
# Names that a message lists.
SHOWN = 3
VERSIONS = ("keras", "tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy")
# What Keras saves about a layer and what does not change its answers, such as how it is trained.
UNTOLD = re.compile(
    r"(compile|build|quantization)_config|module|registered_name|shared_object_id|trainable|seed|"
    r".*_(initializer|regularizer|constraint)"
)


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

    Letters come from the built-in pen if you name none. For images one name serves as both sets, each with its own split. All of
    data without splits of its own is taken, unless it serves as both sets, or the model was trained on it.
    """
    facts = model_facts(path)
    shape, seen = picture_shape(facts), seen_data(facts)
    if shape and not (calibrate or check):
        size = " x ".join(map(str, shape))
        raise LettercastError(f"{path}: takes images of {size}; name some with --check, a folder of class folders or an .npz")
    first, second = calibrate or (shape and check) or "pen", check or (shape and calibrate) or "pen"
    split = held_out_split(second) if is_same(first, second) else default_split(second, seen)
    return open_source(first, split_beside(first, [second]), shape), open_source(second, split, shape)


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
    network_hash = hash_network(network)
    own = keras_facts(path)
    if own and pixels is not None:
        raise LettercastError(f"--pixels {pixels}: {path} says itself what it takes, lettercast trained it; leave --pixels out")
    facts = own or assumed_facts(path, network)
    facts = replace(facts, labels=name_outputs(facts, labels, None if own else check))
    truth = relabel(check, facts.labels)
    refuse_other_classes(check, truth, facts.labels)
    images = draw_all(check)
    if images.shape[1:] != facts.input_shape:
        raise LettercastError(f"{path}: takes {facts.input_shape} images; letters are drawn as {images.shape[1:]}")
    calibration, classes = draw_calibration(calibrate, facts.labels)
    refuse_shared(calibrate.name, calibration, check.name, images)
    if check.is_named:
        refuse_missing_classes(check, truth, classes, facts)
    made, advice = {}, None
    if own is None:
        # Numbers stay numbers under other names, so that only the order of numbers can be advised.
        names = facts.labels if calibrate.is_named else tuple(map(str, range(len(facts.labels))))
        network, made, advice = to_convention(path, network, calibration, classes, names, pixels=pixels)
    if quantized := quantized_layers(network):
        stored, network = network, dequantized(network)
        share = float((classify(stored, images).argmax(1) == classify(network, images).argmax(1)).mean())
        kind = (
            f"Keras quantized {len(quantized)} of its layers ({', '.join(sorted({one.quantization_mode for one in quantized}))})"
        )
        say(f"{kind}; exported files take their weights and do not round activations: {100 * share:.2f} % of the answers agree")
        made["quantization"] = f"{kind}, here with activations that are not rounded; {100 * share:.2f} % of the answers agree"
    if not is_single(network):
        network = for_inference(network)
        say(
            "the model computes in other precisions than float32; the exported files, and what they are compared with, in float32"
        )
    report(f"classifying {len(images)} {facts.unit} with the original")
    probabilities = classify(network, images)
    if not np.isfinite(probabilities).all():
        raise LettercastError(f"{path}: gives NaN outputs; train it again")
    refuse_chance(path, check.name, truth, probabilities, advice)
    if not check.is_named:
        # Numbers may be in another order than the outputs, which is known only now.
        refuse_missing_classes(check, truth, classes, facts)
    if "pen" not in (calibrate.name, check.name):
        say(f"calibrates on {describe(calibrate, facts.unit, len(calibration))}; checks on {describe(check, facts.unit)}")
    count = f"{len(calibration)} {facts.unit}"
    made["calibration"] = f"{calibrate.name}, {calibrate.split}, {count}, seed {CALIBRATION_SEED}"
    facts = replace(
        facts,
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        network_sha256=network_hash,
        versions={"lettercast": __version__, **{package: version(package) for package in VERSIONS}},
        made={**facts.made, **made},
    )
    return Original(for_inference(network), facts, calibration, images, truth, probabilities)


def hash_network(network: "keras.Model") -> str:
    """Return the SHA-256 of a network's layers, connections and weights, in hexadecimal.

    It stays the same if the network is saved again, compiled or loaded in another process, all of which change its file.
    Names of layers have no say.
    """
    import keras

    told = keras.saving.serialize_keras_object(network)
    names = {name: f"layer {number}" for number, name in enumerate(dict.fromkeys(_names(told)))}
    digest = hashlib.sha256(json.dumps(_told(told, names), default=str).encode())
    for weights in network.get_weights():
        digest.update(f"{weights.dtype} {weights.shape}".encode())
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def _names(value: Any) -> Iterator[str]:
    """Yield the names of the layers in a serialised network, in their order."""
    if isinstance(value, dict):
        config = value.get("config")
        # The name of a dtype is its meaning.
        if isinstance(config, dict) and "name" in config and not str(value.get("class_name")).endswith("Policy"):
            yield str(config["name"])
        value = [value[name] for name in sorted(value) if not UNTOLD.fullmatch(name)]
    for one in value if isinstance(value, list | tuple) else ():
        yield from _names(one)


def _told(value: Any, names: Mapping[str, str]) -> Any:
    """Return a serialised network with other names, and without what does not change its answers."""
    if isinstance(value, dict):
        return {name: _told(value[name], names) for name in sorted(value) if not UNTOLD.fullmatch(name)}
    if isinstance(value, list | tuple):
        return [_told(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


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


def refuse_other_classes(check: Source, truth: NDArray[np.int64], outputs: Sequence[str], option: str = "--check") -> None:
    """Raise LettercastError if data has classes that are none of a model's outputs; truth (N,) is -1 for those."""
    if (truth >= 0).all():
        return
    if not check.is_named:
        low, high = check.labels.min(), check.labels.max()
        mend = "subtract 1 from them" if low == 1 and high == len(outputs) else "give the images of this model"
        reason = f"its labels go from {low} to {high}, and the model's {len(outputs)} outputs count from 0"
        raise LettercastError(f"{option} {check.name}: {reason}; {mend}")
    unknown = [name for name in check.classes if name in {check.classes[label] for label in check.labels[truth < 0]}]
    named = f"has {quoted(unknown)}, and the model's outputs are {quoted(outputs)}"
    if len(check.classes) != len(outputs) and not any(name in outputs for name in check.classes):
        named = f"has {len(check.classes)} classes, {quoted(unknown)}, and the model {len(outputs)} outputs, {quoted(outputs)}"
    raise LettercastError(f"{option} {check.name}: {named}; name them alike with --labels, or `classes` in an .npz")


def refuse_missing_classes(check: Source, truth: NDArray[np.int64], calibrated: NDArray[np.int64], facts: Facts) -> None:
    """Raise LettercastError if a class has no image in the check set, which cannot prove anything about it then.

    Letters may be missing, because people check on those that they have; and outputs that are called unused, or come before the
    first label of data that counts from 1; and some classes of a model with very many. A line on stderr says which. Takes the
    classes of the check set (N,) and of the calibration set (M,), both as indices of outputs.
    """
    missing = [name for place, name in enumerate(facts.labels) if place not in set(truth.tolist())]
    if not missing:
        return
    counts_from_1 = not check.is_named and missing == [facts.labels[0]] and 0 not in calibrated
    is_unused = counts_from_1 or all(name.lower() in UNUSED for name in missing)
    if facts.takes != PICTURES or is_unused or len(facts.labels) > MAX_DEMANDED:
        say(f"--check {check.name}: has no {facts.unit} of {quoted(missing)}, so nothing is proven about them")
        return
    mend = "add some, or call an output without images `unused` with --labels"
    raise LettercastError(f"--check {check.name}: has no image of {quoted(missing)}, so it cannot prove that class; {mend}")


def quoted(names: Sequence[str]) -> str:
    """Return the first of some names in quotes, and how many others there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def name_outputs(facts: Facts, labels: Sequence[str] | None, check: Source | None) -> tuple[str, ...]:
    """Return the names of a model's outputs; raises LettercastError if `labels` has another number of names, or one twice.

    labels may also be the path of a file of names.
    """
    count = len(facts.labels)
    if labels is None:
        is_numbered = facts.labels == tuple(map(str, range(count)))
        return check.classes if check and is_numbered and len(check.classes) == count else facts.labels
    names = checked("--labels", label_names, labels) if isinstance(labels, str | Path) else [plain_name(name) for name in labels]
    if twice := [name for name in names if names.count(name) > 1]:
        raise LettercastError(f"--labels: has '{twice[0]}' {names.count(twice[0])} times; give every output its own name")
    if len(names) != count:
        raise LettercastError(f"--labels: has {len(names)} names, and the model has {count} outputs; name each, in their order")
    return tuple(names)


def draw_calibration(source: Source, labels: Sequence[str]) -> tuple[Pixels, NDArray[np.int64]]:
    """Draw 500 training letters (500, H, W, C) uint8, equally many of each class, and their classes among labels (500,).

    Raises LettercastError for a split that is held out, and for fewer than two classes.
    """
    if source.split not in ("train", "all"):
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


def refuse_shared(calibrated: str, calibration: Pixels, checked: str, images: Pixels, option: str = "--calibrate") -> None:
    """Raise LettercastError if images of calibration or training are in the check set, which would make the gate too lenient."""
    seen, held_out = ({image.tobytes() for image in some} for some in (calibration, images))
    shared = len(seen & held_out)
    # A few images may be equal by chance, or blank.
    if shared > 0.01 * min(len(seen), len(held_out)) + 1:
        overlap = f"{shared} of its images are in {option} {calibrated}, too"
        raise LettercastError(f"--check {checked}: {overlap}; the gate needs images that {option} does not have")
