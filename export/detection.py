"""Which preprocessing and which order of labels a network was trained with, found by how well it classifies training images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..runtime.pixels import Pixels
from ..train.predict import are_logits, as_probabilities
from .preprocessing import PLAIN, Preprocessing, known

if TYPE_CHECKING:
    import keras

# A preprocessing is chosen before a simpler one only if it divides the loss on the calibration images by more than this factor.
# By more than the second for one that has no name.
MIN_LOSS_RATIO, MIN_UNUSUAL_RATIO = 1.2, 2.0
# A model must be right more often than a guess by this share, or twice as often.
MIN_ABOVE_CHANCE = 0.1
# Another preprocessing or order of labels is better if the model is right on so much more of the images, if it is wrong on at
# most this share of those that it was wrong on or right so many times as often, and if luck would give that to one model in so
# many.
MIN_GAIN, MAX_ERRORS, MIN_TIMES, MAX_LUCK = 0.05, 0.4, 2, 1e-4
# Less than that is only worth a note, and what luck often does is no difference.
NOTED_LUCK, NOTED_LOSS_RATIO, COMMON_LUCK = 1e-3, 10, 0.01
# A preprocessing that gives less than this share of another's accuracy is not that of the training.
MIN_SIMILAR = 0.8
# A loss below this says nothing about the preprocessing: every range that is large enough makes sure answers surer.
LOW_LOSS = 0.1
# A network is sure if its loss is this share of the loss of a guess.
SURE_SHARE = 0.1
# What is offered instead of a guess is right on this share of the images, or so many times as often as a guess.
MIN_FIT, MIN_FIT_CHANCES = 0.5, 10
# Each preprocessing is tried on images of so many values together, and those that fit best on more, so that images of 224 x 224
# take no longer than a minute; both numbers of images stay within limits.
TRIED_VALUES, MAX_TRIED = 2_500_000, 150
FINAL_VALUES, MAX_FINAL, FINALISTS = 10_000_000, 500, 5
MIN_TRIED = 60
# Images that are classified at a time.
BATCH = 50


@dataclass(frozen=True, eq=False)
class Trial:
    """What a network answers under one preprocessing: probabilities (N, classes) for images of known classes (N,).

    order, if there is one, holds the class of each of the network's outputs; probabilities are in the order of classes.
    """

    pixels: Preprocessing
    probabilities: NDArray[np.float32]
    classes: NDArray[np.int64]
    gives_logits: bool = False
    order: tuple[int, ...] = ()

    @cached_property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether each image is classified right; (N,)."""
        return np.isfinite(self.probabilities).all(1) & (self.probabilities.argmax(1) == self.classes)

    @property
    def accuracy(self) -> float:
        """The share of images that are classified right."""
        return float(self.is_right.mean())

    @property
    def is_near_chance(self) -> bool:
        """Whether the network is hardly better than a guess."""
        return self.accuracy < chance_limit(self.probabilities.shape[1])

    def first(self, count: int) -> "Trial":
        """Return the trial on the first images only."""
        return Trial(self.pixels, self.probabilities[:count], self.classes[:count], self.gives_logits)

    @cached_property
    def loss(self) -> float:
        """The mean cross-entropy; infinite if outputs are NaN."""
        return cross_entropy(self.probabilities, self.classes)


def try_out(network: "keras.Model", images: Pixels, classes: NDArray[np.int64], pixels: Preprocessing) -> Trial:
    """Classify images (N, H, W, C) uint8 of known classes (N,) under a preprocessing."""
    # Images in batches of one size, which Keras compiles once; its predict() takes longer to start than small networks to run.
    padded = np.resize(np.arange(len(images)), -(-len(images) // BATCH) * BATCH)
    batches = [network.predict_on_batch(pixels.apply(images[part])) for part in padded.reshape(-1, BATCH)]
    rows = np.concatenate([np.asarray(batch, np.float32) for batch in batches])[: len(images)]
    return Trial(pixels, as_probabilities(rows), classes, are_logits(rows))


def cross_entropy(probabilities: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return the mean negative log-probability of the right classes (N,) for probabilities (N, classes)."""
    right = probabilities[np.arange(len(classes)), classes]
    return float(np.nan_to_num(-np.log(np.clip(right, 1e-12, 1)), nan=np.inf).mean())


def chance_limit(classes: int) -> float:
    """Return the share of right answers below which a model of so many classes is hardly better than a guess."""
    return min(2 / classes, 1 / classes + MIN_ABOVE_CHANCE)


def plain_fits(network: "keras.Model", images: Pixels, classes: NDArray[np.int64]) -> list[Trial]:
    """Return how a network classifies images with each plain range of pixels, the range that fits it best first.

    Among those that are about as often right as the best the loss decides, because a network that gets a larger range than it
    was trained with may be as often right, but is too sure. The simplest of nearly the lowest loss comes first.
    """
    trials = [try_out(network, images, classes, Preprocessing(base)) for base in PLAIN]
    top = max(trials, key=lambda trial: (trial.accuracy, -trial.loss))
    fits = [trial for trial in trials if is_about_as_good(trial, top)]
    lowest = min((trial.loss for trial in fits), default=math.inf)
    best = next((trial for trial in fits if trial.loss <= MIN_LOSS_RATIO * lowest), trials[0])
    # A network that is sure with small numbers was trained with them: the larger ones only make it surer still.
    limit = SURE_SHARE * math.log(trials[0].probabilities.shape[1])
    small = [trial for trial in fits if best is trials[0] and MIN_LOSS_RATIO * best.loss < trial.loss <= limit]
    best = min(small, key=lambda trial: trial.loss, default=best)
    return [best, *(trial for trial in trials if trial is not best)]


def is_about_as_good(one: Trial, top: Trial) -> bool:
    """Whether a network may have been trained as in one trial although it is more often right in another."""
    if one.is_near_chance or one.accuracy < MIN_SIMILAR * top.accuracy:
        return False
    return MAX_ERRORS * (1 - one.accuracy) <= 1 - top.accuracy or not is_clearly_more(top.is_right, one.is_right, MAX_LUCK)


def better_fits(network: "keras.Model", images: Pixels, chosen: Trial) -> tuple[list[Trial], list[Trial], bool]:
    """Find the known preprocessings with which a network is more often right, and less sure of wrong answers, than as chosen.

    Returns:
        Those, the best first; all that were tried, on a part of the images; and whether one is so much better that the network
        was trained with it. Among those that are about equally often right, the simplest of nearly the lowest loss comes first.
    """
    classes = chosen.classes
    count = int(np.clip(TRIED_VALUES // images[0].size, MIN_TRIED, MAX_TRIED))
    final_count = int(np.clip(FINAL_VALUES // images[0].size, MIN_TRIED, MAX_FINAL))
    # Whoever does several things to images without the network knowing it gets answers near chance.
    candidates = [one for one in known(images) if one.modifiers <= 1 or chosen.is_near_chance]
    trials = [try_out(network, images[:count], classes[:count], one) for one in candidates]
    top = max(trial.accuracy for trial in trials)
    by_accuracy = sorted(trials, key=lambda trial: (-trial.accuracy, trial.loss))[:FINALISTS]
    by_loss = sorted((trial for trial in trials if trial.accuracy >= top - MIN_GAIN), key=lambda trial: trial.loss)[:FINALISTS]
    finalists = [trial.pixels for trial in trials if trial in by_accuracy or trial in by_loss]
    images, now = images[:final_count], chosen.first(final_count)
    finals = [try_out(network, images, now.classes, pixels) for pixels in finalists if pixels != chosen.pixels]
    clear = [one for one in finals if is_better(one, now, MAX_LUCK / len(candidates))]
    noted = [one for one in finals if is_worth_a_note(one, now)]
    return ranked(clear if now.is_near_chance else [one for one in finals if one in clear or one in noted]), trials, bool(clear)


def ranked(trials: list[Trial]) -> list[Trial]:
    """Return trials, the simplest first, in the order in which they explain a network: the best first, without needless steps."""
    if not trials:
        return []
    # Rows and columns that are swapped for nothing, say.
    simpler = [(trial, [other for other in trials if other.pixels.is_part_of(trial.pixels)]) for trial in trials]
    kept = [
        trial for trial, parts in simpler if all(is_clearly_more(trial.is_right, part.is_right, COMMON_LUCK) for part in parts)
    ]
    top = max(kept, key=lambda trial: trial.accuracy)
    equals = [trial for trial in kept if not is_clearly_more(top.is_right, trial.is_right, COMMON_LUCK)]
    lowest = min(trial.loss for trial in equals)
    usual = [trial for trial in equals if trial.pixels.is_usual and trial.loss <= max(LOW_LOSS, MIN_UNUSUAL_RATIO * lowest)]
    equals = usual or equals
    limit = max(LOW_LOSS, MIN_LOSS_RATIO * min(trial.loss for trial in equals))
    best = next((trial for trial in equals if trial.loss <= limit), top)
    return [best, *sorted((one for one in kept if one is not best), key=lambda one: (-one.accuracy, one.loss))]


def is_worth_a_note(one: Trial, other: Trial) -> bool:
    """Whether a network may have been trained as in one trial, because it is a little more often right, or much surer of it."""
    if one.loss < other.loss and is_clearly_more(one.is_right, other.is_right, NOTED_LUCK):
        return True
    return one.pixels.is_usual and one.accuracy >= other.accuracy and NOTED_LOSS_RATIO * one.loss < other.loss


def is_better(one: Trial, other: Trial, luck: float = MAX_LUCK) -> bool:
    """Whether one trial is so much more often right than another that the network was trained so; luck is the largest p value.

    It must be less sure of wrong answers than a guess. A badly trained network is a little better under some preprocessing, too,
    so this one must be right on half of the images, or, if the other is no guess, much less often wrong or twice as often right.
    """
    if one.is_near_chance or one.accuracy < other.accuracy + MIN_GAIN or one.loss > math.log(one.probabilities.shape[1]):
        return False
    if other.is_near_chance:
        is_proven = luck_of(int(one.is_right.sum()), len(one.classes), guess(one.classes)) <= luck
        return is_proven and one.accuracy >= min(MIN_FIT, MIN_FIT_CHANCES / one.probabilities.shape[1])
    is_rarer = 1 - one.accuracy <= MAX_ERRORS * (1 - other.accuracy)
    is_far_more = one.accuracy >= max(MIN_FIT, MIN_TIMES * other.accuracy)
    return (is_rarer or is_far_more) and is_clearly_more(one.is_right, other.is_right, luck)


def guess(classes: NDArray[np.int64]) -> float:
    """Return the largest share of images of one class: who always answers it is right so often."""
    return float(np.bincount(classes).max() / len(classes))


def is_clearly_more(ones: NDArray[np.bool_], others: NDArray[np.bool_], luck: float) -> bool:
    """Whether paired answers (N,) are more often right than others, by McNemar's exact test; luck is its largest p value."""
    won, lost = int((ones & ~others).sum()), int((others & ~ones).sum())
    return won > lost and luck_of(won, won + lost, 0.5) <= luck


def luck_of(hits: int, tries: int, share: float) -> float:
    """Return the probability of so many hits or more if each try hits with the probability `share`."""
    from scipy.stats import binom

    return float(binom.sf(hits - 1, tries, share))


def in_order(trials: Sequence[Trial]) -> Trial | None:
    """Return the best of the trials whose outputs are clearly in another order than the classes, in order; None if none is."""
    orders = ((trial, order) for trial in trials if (order := better_order(trial)) is not None)
    found = [
        replace(trial, probabilities=trial.probabilities[:, np.argsort(order)], order=tuple(order.tolist()))
        for trial, order in orders
    ]
    return ranked(found)[0] if found else None


def better_order(trial: Trial) -> NDArray[np.intp] | None:
    """Return the class (classes,) that each output stands for, if the outputs are clearly in another order than the classes.

    The order is found on half of the images, and must prove right on the other half: each output that moves must mostly mean
    its new class. None if the outputs are in order, or in none.
    """
    half = len(trial.classes) // 2
    found = _matching(trial.probabilities[:half], trial.classes[:half])
    answers, classes = trial.probabilities[half:].argmax(1), trial.classes[half:]
    is_right = found[answers] == classes
    moved = [output for output in np.unique(answers) if found[output] != output]
    is_proven = is_right.mean() >= trial.is_right[half:].mean() + MIN_GAIN and is_clearly_more(
        is_right, trial.is_right[half:], MAX_LUCK
    )
    if not (is_proven and all(is_right[answers == output].mean() > 0.5 for output in moved)):
        return None
    return _matching(trial.probabilities, trial.classes)


def _matching(probabilities: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the class of each output that makes most answers right; an output that is never an answer stays if it can."""
    from scipy.optimize import linear_sum_assignment

    count = probabilities.shape[1]
    pairs = np.zeros((count, count))
    np.add.at(pairs, (np.nan_to_num(probabilities).argmax(1), classes), 1)
    return linear_sum_assignment(-(pairs + 0.1 * np.eye(count)))[1]
