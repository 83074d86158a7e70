"""lettercast's convention: pixels 0..255 in, probabilities out; layers in front of and behind a network bring it there."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.console import say
from ..runtime.pixels import Pixels
from ..train.predict import classify
from .detection import LOW_LOSS, MIN_GAIN, Trial, better_fits, in_order, is_about_as_good, plain_fits, try_out
from .preprocessing import MEAN, find_preprocessing

if TYPE_CHECKING:
    import keras

# What the facts of exported files say about the layers in front of and behind the network.
INSIDE, LOGITS = ", done inside the exported files", "logits, with a softmax inside the exported files"
# A model that is right on this share of the images it was trained on, and sure, needs no other preprocessing.
MIN_CLEARLY_RIGHT = 0.98
# A model that is wrong more often than this, and more sure of it than a guess, gets something that it was not trained with.
MAX_SURELY_WRONG = 0.5
# So many ways to preprocess the images, and so many labels, are named in a message.
SHOWN_FITS, MAX_NAMED = 3, 30


def to_convention(
    path: Path,
    network: "keras.Model",
    calibration: Pixels,
    classes: NDArray[np.int64],
    labels: Sequence[str],
    *,
    pixels: str | None = None,
) -> "tuple[keras.Model, dict[str, str], str]":
    """Put the preprocessing of pixels 0..255 in front of a network, and a softmax behind it if it gives logits.

    Args:
        path: of the model, for messages.
        calibration: training images (N, H, W, C) uint8.
        classes: what they show, as indices into labels, which name the outputs.
        pixels: the name of a preprocessing; by default one of PLAIN, as the calibration images decide.

    Returns:
        The network, the facts about these layers, and what the calibration images say if the network is near chance.

    Raises:
        LettercastError: the network was trained with another preprocessing or another order of labels, or was not trained with
            images like these.
    """
    others: list[Trial] = []
    if pixels is None:
        chosen, *others = plain_fits(network, calibration, classes)
    else:
        asked = find_preprocessing(pixels)
        shape = calibration.shape[1:]
        if reason := asked.misfit((shape[0], shape[1], shape[2])):
            raise LettercastError(f"--pixels {shlex.quote(pixels)}: {reason}; choose another")
        chosen = try_out(network, calibration, classes, asked)
    advice = ""
    if chosen.accuracy < MIN_CLEARLY_RIGHT or chosen.loss > LOW_LOSS:
        advice = doubt(path, network, calibration, labels, chosen, others=others, is_asked=pixels is not None)
    made = {} if chosen.pixels.is_identity else {"pixels": f"{chosen.pixels.name}{INSIDE}"}
    is_close = any(is_about_as_good(other, chosen) for other in others)
    if pixels is not None and made:
        say(f"the exported files take pixels 0..255 and turn them into {chosen.pixels.name} for the model, as --pixels asks")
    elif others and not chosen.is_near_chance and (made or is_close):
        rest = ", ".join(f"{score(other)} with {other.pixels.name}" for other in others)
        then = "the exported files take 0..255 and scale them for the model" if made else "--pixels chooses another range"
        best = f"pixels {chosen.pixels.name} fit the model best of the plain ranges"
        say(f"{best}: on the calibration images it is right on {score(chosen)}, and on {rest}; {then}")
    if chosen.gives_logits:
        made["outputs"] = LOGITS
        say("the model gives logits; the exported files have a softmax behind it")
    return as_exported(network, made), made, advice


def doubt(
    path: Path,
    network: "keras.Model",
    calibration: Pixels,
    labels: Sequence[str],
    chosen: Trial,
    *,
    others: Sequence[Trial],
    is_asked: bool,
) -> str:
    """Look for another preprocessing or order of labels with which a network is clearly more often right than as chosen.

    others are the plain ranges that were not chosen; is_asked tells that the user chose.

    Returns:
        What the calibration images say about a network that is near chance, for a message; "" if it is not.

    Raises:
        LettercastError: there is one, or the network is surely wrong on most images. A preprocessing that was asked for stays
            unless it is near chance, and what is better is only said.
    """
    fits, every, is_clear = better_fits(network, calibration, chosen)
    write = (lambda trial: percent(trial.accuracy)) if is_clear or chosen.is_near_chance else score
    right = f"is right on {write(chosen)} of the calibration images"
    now = f"{right} with pixels {chosen.pixels.name}, and a guess on {percent(1 / len(labels))}"
    found = [f"{write(trial)} with {as_option(trial)}" for trial in fits[:SHOWN_FITS]]
    # In another order of the outputs a range may fit that seems to be a guess.
    ordered = in_order([chosen, *others] if chosen.is_near_chance else [chosen])
    if ordered is None and chosen.is_near_chance and not is_clear:
        ordered = in_order(every)
    if ordered is not None:
        is_clear = True
        # Swapped channels may look like swapped labels of red and blue, so both are named, the channels first.
        is_first = not fits or ordered.accuracy > fits[0].accuracy + MIN_GAIN
        option = "" if ordered.pixels in [trial.pixels for trial in (chosen, *others)] else f" and {as_option(ordered)}"
        text = f"{percent(ordered.accuracy)} with {named_in(ordered.order, labels)}{option}"
        found.insert(0 if is_first else len(found), text)
    if found:
        better = f"{now}; it is right on {', '.join(found)}"
        if not is_clear or (is_asked and not chosen.is_near_chance):
            say(f"the model {better}; choose what it was trained with")
            return ""
        keep = "" if chosen.is_near_chance else f", or {as_option(chosen)} to export it so"
        raise LettercastError(f"{path}: {better}; choose what it was trained with{keep}")
    if chosen.is_near_chance:
        best = max(every, key=lambda trial: trial.accuracy)
        tried = f"the best of {len(every)} is {as_option(best)} with {percent(best.accuracy)}"
        return f"and no known preprocessing fits the calibration images: {tried}"
    if chosen.loss > math.log(len(labels)):
        losses = f"its loss is {chosen.loss:.2g}, that of a guess {math.log(len(labels)):.2g}"
        sure = f"{now}, and more sure of wrong answers than a guess ({losses})"
        if not is_asked and chosen.accuracy < MAX_SURELY_WRONG:
            mend = f"put its preprocessing into the model, or give {as_option(chosen)} if it was trained so"
            raise LettercastError(f"{path}: {sure}, and no known preprocessing fits better; {mend}")
        say(f"the model {sure}")
    return ""


def named_in(order: Sequence[int], labels: Sequence[str]) -> str:
    """Return the option that gives labels in an order (classes,), or what moves if there are too many for one line."""
    named = [str(labels[place]) for place in order]
    if len(named) <= MAX_NAMED and not any("," in name for name in named):
        return f"--labels {shlex.quote(','.join(named))}"
    moved = [f"{name} for {labels[output]}" for output, name in enumerate(named) if name != labels[output]]
    return f"a file of --labels that has {', '.join(moved[:3])}{', ...' if len(moved) > 3 else ''}"


def as_option(trial: Trial) -> str:
    """Return the option that names a trial's preprocessing."""
    note = " (numbers of these images; give those of your training)" if trial.pixels.base.startswith(MEAN) else ""
    return f"--pixels {shlex.quote(trial.pixels.name)}{note}"


def score(trial: Trial) -> str:
    """Return accuracy and loss as text."""
    return f"{percent(trial.accuracy)} (loss {trial.loss:.2g})"


def percent(share: float) -> str:
    """Return a share as text, in percent."""
    return f"{100 * share:.1f} %"


def as_exported(network: "keras.Model", made: Mapping[str, Any]) -> "keras.Model":
    """Return the network with the preprocessing and the softmax that the facts of its exports (`made`) name."""
    import keras

    pixels = str(made.get("pixels", "")).partition(", ")[0]
    is_logits = made.get("outputs") == LOGITS
    if not (is_logits or pixels):
        return network
    inputs = keras.Input(network.inputs[0].shape[1:], name="pixels")
    outputs = network(find_preprocessing(pixels).layers(inputs) if pixels else inputs)
    return keras.Model(inputs, keras.layers.Softmax()(outputs) if is_logits else outputs, name=network.name)


def classify_scaled(network: "keras.Model", images: Pixels, scale: float, offset: float) -> NDArray[np.float32]:
    """Return the outputs (N, classes) of a network for images (N, H, W, C) uint8 that are scaled to another range of pixels."""
    return classify(network, images.astype(np.float32) * np.float32(scale) + np.float32(offset))
