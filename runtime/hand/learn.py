"""Learning a hand: own letters are put where the network sees them, and measured by leaving each out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..glyph import glyph
from ..model.engine import Engine, See
from ..model.facts import LETTERS, Facts
from ..pixels import Pixels
from .apply import Adaptation, check_model, kinds_of, mix, open_tap
from .file import IN_USE, MAX_CHECK_DROP, Figures, Hand, model_key
from .space import PLAIN, Floats, Space, space_of

# The newest letters of each class; more make reading slower and the file larger, and teach little.
MAX_PER_CLASS = 12
# How much own letters may count; the first at which other writers' letters hardly suffer.
STRENGTHS = (1.0, 0.8, 0.65, 0.5, 0.25, 0.125)
# Added to probabilities before their geometric mean is taken, so that a single letter that is read as another does not decide it.
LEAST_GIVEN = 0.01
# Letters that were replaced are kept for undoing, the last ones.
MAX_REPLACED = 60
# A letter that is alone in its class is read as copies: turned by these angles in radians, slanted, and widened.
TURNS, SLANTS, WIDTHS = (-0.12, 0.12), (-0.2, 0.2), (0.85, 1.2)


def learn_hand(images: Pixels, labels: Sequence[str], engine: Engine, before: Hand | None = None) -> Hand:
    """Learn the letters of one writer.

    Args:
        images: (n, H, W, C) uint8 letters as the model takes them; a model of letters takes glyphs (n, 28, 28, 1).
        labels: what they show; small letters count as capitals if the model knows only these.
        engine: the model that is to read with the hand.
        before: a hand that the letters are added to; its letters that look exactly like new ones are replaced.

    Returns:
        The hand. `hand.figures` say what was measured, and `hand.figures.is_better` whether it should be kept.

    Raises:
        LettercastError: the model has no such label, there are no new letters, or the engine cannot show features.
        ValueError: the images have another shape or dtype.
    """
    facts = engine.facts
    if images.shape[1:] != facts.input_shape or images.dtype != np.uint8 or len(images) != len(labels):
        raise ValueError(f"{facts.name} takes (n, {facts.input_shape}) uint8 and n labels, not {images.shape} and {len(labels)}")
    if before is not None:
        check_model(before, engine, before.model)
    hand = add_letters(coarse(images), places_of(labels, facts), facts, before)
    space = space_of(facts)
    figures = measure(hand, space, open_tap(engine), facts)
    return replace(hand, history=(*hand.history, figures), is_fitted=space is not PLAIN)


def coarse(images: Pixels) -> Pixels:
    """Return images in 16 shades of grey, which makes files half as large and changes no reading."""
    return images // np.uint8(16) * np.uint8(17)


def places_of(labels: Sequence[str], facts: Facts) -> NDArray[np.int64]:
    """Return the places (n,) of labels among a model's; raises LettercastError if it lacks one."""
    places = {label: i for i, label in enumerate(facts.labels)}
    found = [places.get(label, places.get(label.upper(), -1)) for label in labels]
    if -1 in found:
        unknown = labels[found.index(-1)]
        raise LettercastError(f"{facts.name}: knows no class '{unknown}'; it knows {' '.join(facts.labels[:40])}")
    return np.array(found, np.int64)


def add_letters(images: Pixels, truth: NDArray[np.int64], facts: Facts, before: Hand | None) -> Hand:
    """Return a hand with the letters of another one, if any, and new ones, whose version is the next one."""
    version = before.version + 1 if before else 1
    known = {before.images[i].tobytes(): int(i) for i in np.flatnonzero(before.in_use)} if before else {}
    new = {image.tobytes(): i for i, image in enumerate(images)}
    chosen = [i for key, i in new.items() if not (before and key in known and before.truth[known[key]] == truth[i])]
    if not chosen:
        raise LettercastError(
            "the hand knows all of these letters already; give new ones" if before else "no letters to learn from"
        )
    fresh = np.full(len(chosen), version, np.int64)
    hand = Hand(facts.name, model_key(facts), facts.labels, images[chosen], truth[chosen], fresh, np.full_like(fresh, IN_USE))
    if before:
        until = before.until.copy()
        # The same image with another label was labelled wrongly.
        until[[known[images[i].tobytes()] for i in chosen if images[i].tobytes() in known]] = version
        hand = replace(
            hand,
            images=np.concatenate([before.images, hand.images]),
            truth=np.concatenate([before.truth, hand.truth]),
            since=np.concatenate([before.since, hand.since]),
            until=np.concatenate([until, hand.until]),
            history=before.history,
        )
    return _limited(hand, version)


def _limited(hand: Hand, version: int) -> Hand:
    """Return a hand of which each class has at most MAX_PER_CLASS letters in use, the newest ones."""
    until = hand.until.copy()
    for label in np.unique(hand.truth):
        own = np.flatnonzero((hand.truth == label) & (until == IN_USE))
        until[own[:-MAX_PER_CLASS]] = version
    # What the last version replaced is never forgotten, so that it can be undone.
    replaced = np.flatnonzero((until != IN_USE) & (until != version))
    stays = np.ones(len(until), bool)
    stays[replaced[np.argsort(until[replaced], kind="stable")][:-MAX_REPLACED]] = False
    # Letters that came and went with this version were never used.
    stays &= (until != version) | (hand.since != version)
    columns = {name: getattr(hand, name)[stays] for name in ("images", "truth", "since")}
    return replace(hand, until=until[stays], **columns)


@dataclass(frozen=True)
class HeldOut:
    """Own letters that are read without having been learned: probabilities (N, classes) with the model alone, truth (N,), and how
    strongly each of the n letters in use speaks for its class, votes (N, n); copies is how many are distorted copies.
    """

    probabilities: Floats
    votes: Floats
    truth: NDArray[np.int64]
    copies: int


def measure(hand: Hand, space: Space, see: See, facts: Facts) -> Figures:
    """Return how a hand reads its own letters, each held out once, and those of other writers."""
    used = np.flatnonzero(hand.in_use)
    probabilities, features = see(hand.images[used])
    own = Adaptation(space, space.place(features), kinds_of(hand.truth[used], len(hand.labels)))
    own, alone, checked = as_strong_as_allowed(own)
    held = hold_out(hand.images[used], own, probabilities, see, facts)
    was_used = hand.since[used] <= hand.version
    before = replace(own, strength=hand.figures.strength) if hand.history else own
    plain, _ = _read(held, own, np.zeros(len(used), bool))
    own_before, sure_before = _read(held, before, was_used)
    own_after, sure_after = _read(held, own, np.ones(len(used), bool))
    return Figures(
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        letters=len(used),
        strength=own.strength,
        held_out=len(held.truth),
        copies=held.copies,
        own_plain=plain,
        own_before=own_before,
        own_after=own_after,
        sure_before=sure_before,
        sure_after=sure_after,
        check=len(space.check.truth) if space.check else 0,
        check_before=alone,
        check_after=checked,
    )


def as_strong_as_allowed(own: Adaptation) -> tuple[Adaptation, float, float]:
    """Return a hand that hardly spoils letters of other writers, and the share of them that is right without and with it."""
    check = own.space.check
    if check is None:
        return own, 1.0, 1.0
    votes = own.votes(check.places)
    alone, read = (check.probabilities.argmax(1) == check.truth).mean(), 0.0
    for strength in STRENGTHS:
        own = replace(own, strength=strength)
        read = (mix(check.probabilities, own.odds(votes)).argmax(1) == check.truth).mean()
        if alone - read <= MAX_CHECK_DROP:
            break
    return own, float(alone), float(read)


def _read(held: HeldOut, own: Adaptation, which: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how many held-out letters are right, 0..1, and how sure of their labels it is, with some own letters."""
    mixed = mix(held.probabilities, own.odds(held.votes * which))
    given = mixed[np.arange(len(mixed)), held.truth]
    return float((mixed.argmax(1) == held.truth).mean()), float(np.exp(np.log(given + LEAST_GIVEN).mean()))


def hold_out(images: Pixels, own: Adaptation, probabilities: Floats, see: See, facts: Facts) -> HeldOut:
    """Return own letters (n, H, W, C), each held out; instead of one that is alone in its class, distorted copies of it."""
    truth = own.kinds.argmax(1)
    is_lone = np.bincount(truth, minlength=len(facts.labels))[truth] == 1
    votes = own.votes(own.places)
    np.fill_diagonal(votes, 0)
    if not is_lone.any():
        return HeldOut(probabilities, votes, truth, 0)
    copies = np.concatenate([distorted(image, facts) for image in images[is_lone]])
    seen, features = see(copies)
    return HeldOut(
        np.concatenate([probabilities[~is_lone], seen]),
        np.concatenate([votes[~is_lone], own.votes(own.space.place(features))]),
        np.concatenate([truth[~is_lone], np.repeat(truth[is_lone], len(copies) // is_lone.sum())]),
        len(copies),
    )


def distorted(image: Pixels, facts: Facts) -> Pixels:
    """Return copies (6, H, W, C) of a letter (H, W, C), as its writer may write it another time."""
    height, width = image.shape[:2]
    copies = []
    for a, b, c, d in _views():
        x, y = (width - 1) / 2, (height - 1) / 2
        matrix = np.array([[a, b, x - a * x - b * y], [c, d, y - c * x - d * y]])
        copy = cv2.warpAffine(image, matrix, (width, height))
        copies.append(glyph(copy)[..., None] if facts.takes == LETTERS else copy.reshape(image.shape))
    return np.stack(copies)


def _views() -> list[tuple[float, float, float, float]]:
    """Return the 2x2 matrices of the copies."""
    turned = [(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)) for angle in TURNS]
    return [*turned, *((1.0, slant, 0.0, 1.0) for slant in SLANTS), *((width, 0.0, 0.0, 1.0) for width in WIDTHS)]
