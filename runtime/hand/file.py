"""A hand as a file: letters of one writer, and what was measured each time that it learned some."""

import io
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..files import load_npz, write_bytes
from ..model.facts import Facts
from ..pixels import Pixels

ENDING = ".hand"
SCHEMA = 1
# Far more than the letters of one hand, of any model; a larger file is damaged or an attack.
MAX_UNPACKED_BYTES = 50_000_000
MAX_LETTERS = 5_000
# The built-in letters may read worse with a hand by this share.
MAX_CHECK_DROP = 0.005
# If as many own letters are right as before, but more surely, that counts only where most are: wrong labels look so, too.
MIN_READ = 0.5
# In `until`: still in use.
IN_USE = 0


@dataclass(frozen=True)
class Figures:
    """What was measured when a hand learned: shares 0..1 of letters that are read correctly.

    Attributes:
        date: UTC, as 2026-11-28T22:14:03Z.
        letters: letters that the hand learned from, all versions together.
        strength: how much they count, from 0 to 1; less than 1 where letters of other writers would suffer.
        held_out: own letters that were read, each without having learned it.
        copies: how many of those are distorted copies of learned letters, because these are alone in their class.
        own_plain, own_before, own_after: with the model alone, with the hand as it was, and as it is now.
        sure_before, sure_after: geometric mean of the probability given to the right label, with the hand as it was, and now.
        check: built-in letters of other writers that were read, 0 if the model has none.
        check_before, check_after: with the model alone, and with the hand.
    """

    date: str
    letters: int
    strength: float
    held_out: int
    copies: int
    own_plain: float
    own_before: float
    own_after: float
    sure_before: float
    sure_after: float
    check: int
    check_before: float
    check_after: float

    def __post_init__(self) -> None:
        numbers = [getattr(self, one.name) for one in fields(self) if one.name != "date"]
        if not isinstance(self.date, str) or any(
            not isinstance(one, int | float) or not 0 <= one < MAX_LETTERS * 10 for one in numbers
        ):
            raise ValueError("figures that are no numbers")

    @property
    def is_better(self) -> bool:
        """Whether own letters read better, and the built-in ones hardly worse."""
        return not self.fault

    @property
    def fault(self) -> str:
        """Why the hand is not to be kept, "" if it is."""
        if self.check_before - self.check_after > MAX_CHECK_DROP:
            drop = 100 * (self.check_before - self.check_after)
            return f"letters of other writers would read worse, by {drop:.1f} points of {100 * MAX_CHECK_DROP:.1f} allowed"
        best = max(self.own_plain, self.own_before)
        is_surer = self.own_after == best >= MIN_READ and self.sure_after > self.sure_before
        if self.own_after > best or is_surer:
            return ""
        return (
            f"letters of yours that it had not learned would read no better: {100 * self.own_after:.1f} %, now {100 * best:.1f} %"
        )


@dataclass(frozen=True)
class Hand:
    """What one writer's letters look like, for one model.

    Attributes:
        model, key: the model's name, and the hash of its network.
        labels: the model's labels.
        images: (n, H, W, C) uint8 letters as the model takes them.
        truth: (n,) their places among the labels.
        since, until: (n,) the version that brought a letter, and the one that took it out, 0 if none did.
        history: figures of each version, the first one first.
        is_fitted: whether statistics of writers that come with the model say how alike letters are.
    """

    model: str
    key: str
    labels: tuple[str, ...]
    images: Pixels
    truth: NDArray[np.int64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    history: tuple[Figures, ...] = field(default=())
    is_fitted: bool = False

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.ndim != 4 or self.images.dtype != np.uint8 or not 0 < count <= MAX_LETTERS:
            raise ValueError(f"images of shape {self.images.shape} {self.images.dtype}")
        if any(one.shape != (count,) or one.min() < 0 for one in (self.truth, self.since, self.until)):
            raise ValueError("not one label and one version for each image")
        if len(set(self.labels)) != len(self.labels) or self.truth.max() >= len(self.labels):
            raise ValueError("labels that do not fit")

    @property
    def version(self) -> int:
        """How often it learned."""
        return len(self.history)

    @property
    def figures(self) -> Figures:
        """What was measured when it last learned."""
        return self.history[-1]

    @property
    def in_use(self) -> NDArray[np.bool_]:
        """(n,) True for the letters that it reads with."""
        return self.until == IN_USE

    def counts(self) -> dict[str, int]:
        """Return how many letters it reads with, by label."""
        counts = np.bincount(self.truth[self.in_use], minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True) if count}


def model_key(facts: Facts) -> str:
    """Return what tells a model's network from others; files that were exported from the same network share it."""
    return facts.network_sha256 or facts.source_sha256 or f"{facts.name}-{facts.format}"


def save_hand(hand: Hand, path: Path) -> None:
    """Write a hand completely or not at all; raises LettercastError if the folder cannot be written or the disk is full."""
    facts = {
        "schema": SCHEMA,
        "model": hand.model,
        "key": hand.key,
        "labels": hand.labels,
        "fitted": hand.is_fitted,
        "history": [asdict(one) for one in hand.history],
    }
    data = io.BytesIO()
    np.savez_compressed(
        data,
        facts=np.array(json.dumps(facts)),
        images=hand.images,
        truth=hand.truth.astype(np.uint16),
        since=hand.since.astype(np.uint16),
        until=hand.until.astype(np.uint16),
    )
    write_bytes(path, data.getvalue())


def load_hand(path: Path) -> Hand:
    """Load a hand; raises LettercastError if there is none, or it is damaged or of a later version."""
    try:
        arrays = load_npz(path, MAX_UNPACKED_BYTES)
        facts: dict[str, Any] = json.loads(str(arrays["facts"]))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"schema {facts['schema']}, this version reads {SCHEMA}: update lettercast")
        names = {one.name for one in fields(Figures)}
        history = tuple(Figures(**{name: one[name] for name in names}) for one in facts["history"])
        if not history:
            raise ValueError("no history")
        truth, since, until = (arrays[name].astype(np.int64) for name in ("truth", "since", "until"))
        labels = tuple(str(label) for label in facts["labels"])
        return Hand(
            str(facts["model"]), str(facts["key"]), labels, arrays["images"], truth, since, until, history, bool(facts["fitted"])
        )
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: there is no such hand; make one with `lettercast hand`") from error
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; choose another hand") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LettercastError(f"{path}: not a hand, or a damaged one ({error}); make it again with `lettercast hand`") from error
