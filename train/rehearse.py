"""The letters of a run: those to train on, those held out, and built-in ones that a fitted model rehearses, to forget none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.model.facts import Facts
from .data.digits import open_digits
from .data.open import NAMED, Data, letters_of, open_sources, open_validation, own_splits, read_source, without_share
from .data.pen import open_pen
from .data.source import LETTERS, NOT_TEST, ImageSource, MixedSource, Source, relabel

# With fewer letters in val than this, a choice of the best epoch and a calibration would follow chance.
MIN_TO_CALIBRATE = 100
# Share of built-in letters among the training letters of a model that is fitted to few letters of all its classes. Chosen on a
# UNIPEN validation writer (docs/training.md): at 0.5 the fitted model reads the writer as well, and others twice as much worse.
REHEARSED = 0.75
# How many built-in letters of each class tell whether a model has forgotten any.
CHECK_PER_CLASS = 50
BUILT_IN = "built-in letters"


@dataclass(frozen=True)
class Rehearsal(MixedSource):
    """Your letters, and built-in letters that the trained model answers itself: it rehearses what it knows."""

    @property
    def own(self) -> int:
        """How many letters are yours; the built-in ones come after them."""
        return len(self.sources[0].labels)

    @property
    def name(self) -> str:
        return self.sources[0].name


@dataclass(frozen=True)
class Letters:
    """The letters of a run.

    train has those to train on and own how many of these are not built in; val gives the accuracy after every epoch, and the best
    one if `chooses`. held are letters of yours that neither train nor choose, or val if you have no others; None if there are
    none. check are built-in letters; None unless the model reads letters. rehearsed is the share of built-in letters in train.
    """

    train: Source
    own: int
    val: Source
    chooses: bool = True
    held: Source | None = None
    check: Source | None = None
    rehearsed: float = 0.0

    def are_few_for(self, facts: Facts) -> bool:
        """Whether these are few letters of classes that a model knows already, which a short run teaches it."""
        return not self.chooses and set(self.train.classes) <= set(facts.labels)


def open_letters(data: Sequence[Data], val: Sequence[Data]) -> Letters:
    """Open the letters of a run from scratch, of which the validation letters choose the best epoch; raises LettercastError."""
    train = open_sources(data, "train", val)
    return Letters(train, len(train.labels), open_validation(val, data) if val else open_validation(data))


def open_tuning(data: Sequence[Data], val: Sequence[Data], facts: Facts, rehearse: float | None) -> Letters:
    """Open the letters to fit a trained model to.

    Letters are held out of every class that has several, as `lettercast evaluate` finds them again; with splits of its own,
    data holds out its val. With few letters all others train, and no epoch is chosen. rehearse is the share of built-in letters;
    by default usual_share with few letters whose classes the model knows, else 0.

    Raises LettercastError if letters cannot be used, or cannot be rehearsed.
    """
    followed = open_validation(val, data) if val else read_val(data)
    chooses = followed is not None and len(followed.labels) >= MIN_TO_CALIBRATE
    own = open_sources(data, "train" if chooses or val else NOT_TEST, val)
    held = followed if val else read_held(data)
    knows = bool((relabel(own, facts.labels) >= 0).all())
    check = built_in(facts.labels, "test") if knows else None
    share = rehearse if rehearse is not None else usual_share(own, facts) if check and not chooses else 0.0
    if share and not check:
        reason = f"{facts.name} reads no letters" if knows else f"{own.name} has classes that {facts.name} does not know"
        raise LettercastError(f"--rehearse {share:g}: {reason}; leave --rehearse out")
    mine, own_count = own, len(own.labels)
    if share and (rehearsed := built_in(facts.labels, "train")):
        own = Rehearsal([own, rehearsed], [1 - share, share], own.split, facts.labels)
    val_source = followed if chooses else held or followed or check
    if val_source is None:
        raise LettercastError(f"{mine.name}: no letters to validate on; name some with --val, or add a second of each class")
    is_pen = all(spec == "pen" for spec in map(without_share, data))
    return Letters(own, own_count, val_source, chooses, held, None if is_pen else check, share)


def usual_share(own: Source, facts: Facts) -> float:
    """Return the share of built-in letters that leaves each of your classes as many drawings as if you had letters of all.

    Otherwise the model would read whatever is unclear as one of the few classes that it sees so often.
    """
    return round(1 - (1 - REHEARSED) * len(np.unique(own.labels)) / len(facts.labels), 3)


def read_val(data: Sequence[Data]) -> Source | None:
    """Read the validation letters of the data; None if it has none. Raises LettercastError if it cannot be read."""
    try:
        return open_validation(data)
    except LettercastError:
        for spec in data:
            read_source(without_share(spec), "all")
        return None


def read_held(data: Sequence[Data]) -> Source | None:
    """Read the letters that training on NOT_TEST or train left out; those of named sources only if there are no others."""
    specs = [without_share(spec) for spec in data]
    specs = [spec for spec in specs if spec not in NAMED] or specs
    found = []
    for spec in specs:
        splits = own_splits(spec)
        split = next((name for name in ("val", "test") if name in splits), None) if splits else "test"
        source = read_source(spec, split) if split else None
        found += [source] if source and len(source.labels) else []
    if len(found) < 2:
        return found[0] if found else None
    classes = tuple(dict.fromkeys(name for source in found for name in source.classes))
    return MixedSource(found, [1 / len(found)] * len(found), found[0].split, classes)


def built_in(labels: Sequence[str], split: str) -> Source | None:
    """Return the letters that come with lettercast, digits as well if they are labels; None if not all of A to Z are.

    Of test there are CHECK_PER_CLASS of each class, for every model the same.
    """
    if not set(LETTERS) <= set(labels):
        return None
    has_digits = {"0", "9"} <= set(labels)
    if split == "test":
        return check_letters(has_digits)
    pen = open_pen(split)
    if not has_digits:
        return pen
    share = 10 / (10 + len(LETTERS))
    return MixedSource([pen, open_digits(split)], [1 - share, share], split, tuple(labels))


def check_letters(has_digits: bool) -> ImageSource:
    """Return CHECK_PER_CLASS built-in letters of each class of A to Z, and of 0 to 9, which nobody trains on."""
    pen = open_pen("test")
    places = range(CHECK_PER_CLASS * len(LETTERS))
    inks, labels, classes = [pen.ink(place) for place in places], pen.labels[: len(places)], LETTERS
    if has_digits:
        digits = open_digits("test")
        some = first_of_each(digits.labels)
        inks += [digits.inks[place] for place in some]
        labels, classes = np.concatenate([labels, digits.labels[some] + len(LETTERS)]), LETTERS + digits.classes
    return ImageSource(BUILT_IN, "test", inks, labels, classes)


def first_of_each(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the first CHECK_PER_CLASS of each class."""
    return np.concatenate([np.flatnonzero(labels == label)[:CHECK_PER_CLASS] for label in np.unique(labels)])


def say_letters(letters: Letters, data: Sequence[Data], facts: Facts) -> list[str]:
    """Say how many letters a model is fitted to, of which classes, and which are held out."""
    known = f" ({facts.name} knows {len(facts.labels)})" if letters.train.classes == facts.labels else ""
    held = "none is held out, because no class has a second one"
    if letters.held:
        held = f"{len(letters.held.labels)} of {count_classes(letters.held.labels)} are held out to measure on"
    classes = count_classes(letters.train.labels[: letters.own])
    lines = [f"{letters_of(data)}: {letters.own} letters of {classes}{known} train, {held}"]
    if letters.rehearsed:
        share = f"{100 * letters.rehearsed:.0f} %"
        lines.append(f"{share} of the training images are {BUILT_IN}, so that {facts.name} forgets none (--rehearse)")
    return lines


def count_classes(labels: NDArray[np.int64]) -> str:
    """Return how many classes there are among labels (N,), in words."""
    count = len(np.unique(labels))
    return f"{count} class{'es' * (count != 1)}"
