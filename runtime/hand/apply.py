"""Reading with a hand: the network's probabilities and the likeness to own letters, mixed."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..model.engine import Engine, See
from ..pixels import Pixels
from .file import Hand, load_hand, model_key
from .folder import find_hand
from .space import ENDING, PLAIN, Floats, Space, space_of

# The most that one own letter, and all of a class together, can say against the network, whose probabilities are 1 in all.
# So a few own letters outvote it only where it is unsure. Chosen on UNIPEN's validation writers (docs/own-hand.md).
MAX_VOTE, MAX_ODDS = 0.75, 1.4


@dataclass(frozen=True)
class Adaptation:
    """Own letters in a space: places (n, width) and kinds (n, classes), 1 for the class of each; strength is 1 at most."""

    space: Space
    places: Floats
    kinds: Floats
    strength: float = 1.0

    @cached_property
    def offset(self) -> Floats:
        """The part of the votes, as logarithms, that each own letter has by itself, (1, n)."""
        weight = self.space.bias + math.log(self.space.weight / self.kinds.shape[1])
        return (self.space.own_evidence(self.places) + np.float32(weight))[None]

    @cached_property
    def columns(self) -> Floats:
        """The places as a matrix (width, n)."""
        return np.ascontiguousarray(np.float32(self.space.tilt) * self.places.T)

    def votes(self, places: Floats) -> Floats:
        """Return how strongly each of n own letters speaks for its class, (N, n), at places (N, width)."""
        votes: Floats = places @ self.columns
        votes += self.offset
        votes += self.space.own_evidence(places)[:, None]
        # No more than can count, so that nothing overflows.
        return np.exp(np.minimum(votes, 0, out=votes), out=votes)

    def odds(self, votes: Floats) -> Floats:
        """Return how strongly own letters speak for each class, (N, classes), by the votes (N, n) of each."""
        one, all_of_them = np.float32(self.strength * MAX_VOTE), np.float32(self.strength * MAX_ODDS)
        odds: Floats = np.minimum(np.minimum(votes, one) @ self.kinds, all_of_them)
        return odds

    def __call__(self, probabilities: Floats, features: Floats) -> Floats:
        """Return probabilities (N, classes) with the hand, by those of the network and by what its last layer sees."""
        return mix(probabilities, self.odds(self.votes(self.space.place(features))))


def mix(probabilities: Floats, odds: Floats) -> Floats:
    """Add odds (N, classes) to probabilities (N, classes), whose sums stay what they were.

    The network speaks for all writers, own letters for one; this is the mean of both, each weighed by how well it explains what
    is seen. Far from all own letters the odds are near 0, and the probabilities stay.
    """
    mixed = probabilities + odds
    scale = probabilities.sum(1, keepdims=True) / np.maximum(mixed.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    return (mixed * scale).astype(np.float32)


def kinds_of(truth: NDArray[np.int64], classes: int) -> Floats:
    """Return (n, classes) with 1 at the class (n,) of each letter."""
    return np.eye(classes, dtype=np.float32)[truth]


def open_tap(engine: Engine) -> See:
    """Open an engine's model so that it gives features as well; raises LettercastError if it cannot."""
    facts = engine.facts
    if engine.tap is None:
        raise LettercastError(
            f"{facts.name} ({facts.format}): {engine.name} shows no features; use a .tflite or .onnx file with a hand"
        )
    try:
        return engine.tap()
    except ValueError as error:
        raise LettercastError(f"{facts.name} ({facts.format}): {error}; use another model with a hand") from error


def with_hand(engine: Engine, hand: Hand | str | Path) -> Engine:
    """Return an engine that reads with a hand.

    Args:
        engine: the model.
        hand: a hand, its name, or the path of its file.

    Raises:
        LettercastError: there is no such hand, it is of another model, or the engine cannot show features.
    """
    where = hand.model if isinstance(hand, Hand) else str(hand)
    hand = hand if isinstance(hand, Hand) else load_hand(find_hand(hand))
    check_model(hand, engine, where)
    see = open_tap(engine)
    adaptation = adaptation_of(hand, engine, see)

    def classify(images: Pixels) -> NDArray[np.float32]:
        return adaptation(*see(images))

    # A tap would show the network without the hand.
    return replace(engine, classify=classify, tap=None)


def check_model(hand: Hand, engine: Engine, where: str) -> None:
    """Check that a hand is of an engine's model; raises LettercastError if not."""
    facts = engine.facts
    if hand.key != model_key(facts) or hand.labels != facts.labels or hand.images.shape[1:] != facts.input_shape:
        which = f"{hand.model}, not {facts.name}" if hand.model != facts.name else f"another {facts.name}"
        how = f"lettercast hand NEW_NAME --from {where} --model {facts.name}"
        raise LettercastError(f"hand {where}: learned for {which}; learn it for this model: {how}")


def adaptation_of(hand: Hand, engine: Engine, see: See) -> Adaptation:
    """Return what a hand changes, seen by the engine that reads."""
    space, used = space_of(engine.facts), hand.in_use
    if hand.is_fitted and space is PLAIN:
        name = f"{hand.model}{ENDING}"
        raise LettercastError(f"hand of {hand.model}: needs {name}, which is not here; bundle the model with --hand")
    _, features = see(hand.images[used])
    kinds = kinds_of(hand.truth[used], len(hand.labels))
    return Adaptation(space, space.place(features), kinds, hand.figures.strength)
