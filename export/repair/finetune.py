"""Quantization-aware fine-tuning: the weights of a user's model learn to give the original's answers in spite of rounding.

The original teaches: its probabilities are what the rounded network learns, so that no labels are needed, and nothing is learned
but to agree with it. Source: Polino et al. 2018, Model compression via distillation and quantization.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.pixels import Pixels
from ...train.data.open import Data, letters_name, open_source, split_beside
from ...train.data.source import PictureSource, Source, draw_some, relabel
from ...train.fit import DelayedInterrupt, time_left
from ...train.predict import classify, picture_shape
from ..original import Original, refuse_other_classes, refuse_shared
from .fold import folded
from .recipe import Finetuning
from .simulate import Levels, Simulated

# How often each of so many images is seen, and how many of them at a time.
EPOCHS, IMAGES, BATCH = 3, 10_000, 50
# In steps of weights of 8 bits, see `Simulated`. Chosen on a squeeze-excite net of Fashion images at 64x64: with 5,000 images and
# one epoch, agreement rises from 99.20 to 99.57 %, and the divergence halves. Rates that are alike for all weights, of 3e-5 and
# 1e-4, made MobileNetV2 and MobileNetV3Small worse than no training.
RATE = 0.01
# Images that the original answers at a time: Keras copies them.
PART = 5_000
# Of the images, this share is held out, and chooses the best epoch.
HELD_OUT = 0.1
MIN_IMAGES = 100
SEED = 7
OPTION = "--finetune"
# Probabilities below this count as this in a loss.
MIN_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Epoch:
    """What one epoch reached on the held-out images: the agreement with the original in percent, and the mean divergence.

    Epoch 0 is the network before training. The divergence is that of Kullback and Leibler, in nats. It chooses the best epoch,
    because one of a thousand images more or less that agrees may be chance.
    """

    number: int
    agreement: float
    divergence: float


@dataclass(frozen=True)
class Finetuned:
    """A network whose weights were trained with rounding, and how it came about.

    Attributes:
        network: float32, with its batch normalizations folded, for every format.
        best: the epoch that its weights are of; 0 if none was better than the original.
        history: of the epochs that were trained, and epoch 0 first.
        was_interrupted: whether Ctrl-C ended the training early. Another run can then not be the same to the bit.
    """

    network: keras.Model
    best: Epoch
    history: tuple[Epoch, ...]
    was_interrupted: bool = False


class TeacherBatches(keras.utils.PyDataset):
    """Batches of images with the original's probabilities, in another order each epoch.

    Only the images of a batch are floats, so that 60,000 images of 64 x 64 pixels need 0.7 GB and not 2.9.
    """

    def __init__(self, images: Pixels, answers: NDArray[np.float32], places: NDArray[np.int64], seed: int) -> None:
        super().__init__()
        self.images, self.answers = images, answers
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(places)

    def __len__(self) -> int:
        return math.ceil(len(self.order) / BATCH)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return images (n, H, W, C) and probabilities (n, classes)."""
        places = self.order[index * BATCH : (index + 1) * BATCH]
        return self.images[places].astype(np.float32), self.answers[places]

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(self.order)


def open_images(
    data: Data, original: Original, *, n: int = IMAGES, seed: int = SEED, check: Data | None = None
) -> tuple[Pixels, Source]:
    """Open the images that a model is fine-tuned on: of its training split if the data has splits, or is the check set too.

    Args:
        data: as `--data` takes it. Labels are not learned, but must be classes of the model.
        original: the model, with its check set.
        n: take so many images; all if there are fewer. Letters are drawn anew and distorted, so that there are always n.
        seed: chooses the images, and distorts letters.
        check: what the check set was opened from.

    Returns:
        The images (N, H, W, C) uint8, and the source that they are from.

    Raises:
        LettercastError: the data cannot be used, has other classes than the model, or images of the check set.
    """
    facts = original.facts
    source = open_source(data, split_beside(data, [] if check is None else [check]), picture_shape(facts))
    refuse_other_classes(source, relabel(source, facts.labels), facts.labels, OPTION)
    rng = np.random.default_rng(seed)
    if isinstance(source, PictureSource):
        chosen = rng.permutation(len(source.labels))[:n]
    else:
        chosen = rng.choice(len(source.labels), n, p=source.weights)
    images = draw_some(source, chosen, seed)
    refuse_shared(source.name, images, letters_name(check or "pen"), original.images, OPTION)
    return images, source


def described(source: Source, n: int, epochs: int, rate: float, seed: int) -> Finetuning:
    """Return what a recipe says about a fine-tuning."""
    return Finetuning(source.name, source.split, n, epochs, rate, seed)


def finetune(
    network: keras.Model,
    images: Pixels,
    calibration: Pixels,
    *,
    levels: Levels | None = None,
    epochs: int = EPOCHS,
    rate: float = RATE,
    seed: int = SEED,
    report: Callable[[str], None] = lambda line: None,
) -> Finetuned:
    """Train the weights of a network to give its own answers although they and its activations are rounded.

    Two runs on one machine give the same weights to the bit: the seed decides the order of the images, and nothing else is
    random.

    Args:
        network: from pixels 0..255 to probabilities; it stays as it is.
        images: (N, H, W, C) uint8 to train on. A tenth of them is held out and chooses the best epoch.
        calibration: (M, H, W, C) uint8 that set the ranges of activations, as in the exported file.
        levels: to how many integers the weights of each layer are rounded, by default those of 8 bits.
        epochs, rate: how often each image is seen, and the learning rate in steps of weights of 8 bits, which falls along a
            cosine to 0.
        report: gets a line before each epoch, and one at the end.

    Raises:
        LettercastError: there are too few images, or the loss becomes infinite or NaN.
    """
    if len(images) < MIN_IMAGES:
        raise LettercastError(f"{OPTION}: has {len(images)} images, and training needs at least {MIN_IMAGES}; give more")
    # For layers that draw random numbers even at inference.
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(images))
    held_out, rest = np.split(order, [max(1, round(HELD_OUT * len(images)))])
    report(f"asking the original about {len(images):,} images")
    answers = np.concatenate([classify(network, images[start : start + PART]) for start in range(0, len(images), PART)])
    plain = folded(network)
    # A model may have been saved with frozen layers.
    plain.trainable = True
    # Layers that cannot be copied are the original's own, which must not change.
    rounded = Simulated(plain, levels or Levels(), {id(variable) for variable in network.variables})
    rounded.calibrate(calibration)
    batches = TeacherBatches(images, answers, rest, seed)
    schedule = keras.optimizers.schedules.CosineDecay(rate, max(1, epochs * len(batches)))
    # Compiled by XLA, results would depend on its version, and starting takes longer than what it gains on a CPU.
    rounded.compile(keras.optimizers.Adam(schedule), keras.losses.KLDivergence(), jit_compile=False)
    history = [measure(rounded, 0, images[held_out], answers[held_out])]
    best, weights = history[0], rounded.trained_weights()
    was_interrupted, started = False, time.monotonic()
    try:
        for number in range(1, epochs + 1):
            left = time_left(time.monotonic() - started, number - 1, epochs + 1 - number)
            report(f"fine-tuning, epoch {number} of {epochs}, agreement {history[-1].agreement:.2f} %{left}")
            with DelayedInterrupt() as interrupt:
                log = rounded.fit(batches, shuffle=False, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN(), interrupt])
                if not np.isfinite(log.history["loss"]).all():
                    raise FloatingPointError("the loss is infinite or NaN")
                rounded.calibrate(calibration)
                history.append(measure(rounded, number, images[held_out], answers[held_out]))
                if history[-1].divergence < best.divergence:
                    best, weights = history[-1], rounded.trained_weights()
    except KeyboardInterrupt:
        was_interrupted = True
    except FloatingPointError as error:
        reason = f"{error} in epoch {len(history)}"
        raise LettercastError(f"{OPTION}: {reason}; train with a lower rate than {rate:g}, or repair without it") from error
    plain.trainable = True
    plain.set_weights(weights)
    report(f"epoch {best.number} is best, agreement {best.agreement:.2f} %, without training {history[0].agreement:.2f} %")
    return Finetuned(plain, best, tuple(history), was_interrupted)


def measure(rounded: keras.Model, number: int, images: Pixels, answers: NDArray[np.float32]) -> Epoch:
    """Compare what a rounded network answers to images (N, H, W, C) with the original's probabilities (N, classes)."""
    found = classify(rounded, images)
    agreement = 100 * float((found.argmax(1) == answers.argmax(1)).mean())
    ratio = np.log(np.maximum(answers, MIN_PROBABILITY) / np.maximum(found, MIN_PROBABILITY))
    return Epoch(number, agreement, float((answers * ratio).sum(1).mean()))
