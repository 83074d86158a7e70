"""Models that are measured against each other: exported ones with each engine that runs them, and their Keras originals."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...export.formats import FORMATS
from ...export.original import as_exported
from ...runtime.glyph import glyph
from ...runtime.model.engine import OPENERS, Engine, blaming, open_engine
from ...runtime.model.facts import LETTERS, Facts, keras_facts
from ...runtime.model.installed import ENGINES, Package, look_for
from ...runtime.pixels import Pixels
from ...train.data.drawing import shown
from ...train.predict import assumed_facts, keras_engine, load_keras, picture_shape
from .measure import Footprint, Latency, Run

# Letters of a camera's page are about so high, twice what the network sees.
INK_PX = 56
# Letters classified at once: a line or two of a page.
BATCH = 15
# Different letters that take turns while a model is timed.
TIMED_LETTERS = 150
KERAS = "keras"


@dataclass
class Contender:
    """One model with one engine, and what was measured of it so far.

    original is the Keras model that it was made from. skipped says why it was not measured at all, failure what broke, note
    what was left out. probabilities are (n, classes) float32.
    """

    path: Path
    package: Package | None = None
    engine: Engine | None = None
    original: "Contender | None" = None
    note: str = ""
    skipped: str = ""
    failure: str = ""
    truth: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float32] | None = None
    footprint: Footprint | None = None
    letter: Latency | None = None
    batch: Latency | None = None

    @property
    def runs(self) -> bool:
        """Whether there is anything to measure, still."""
        return self.engine is not None and not self.failure

    @property
    def format(self) -> str:
        """The format that its facts name."""
        return self.engine.facts.format if self.engine else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its outputs."""
        return self.engine.facts.labels if self.engine else ()

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Keep what goes wrong with this model as its failure, so that the others go on."""
        try:
            with blaming(self.path):
                yield
        except LettercastError as error:
            self.failure = str(error).removeprefix(f"{self.path}: ")


def open_contenders(models: Sequence[Path], originals: Sequence[Path], threads: int) -> list[Contender]:
    """Open models with each engine that is installed for them, after the originals that any of them was made from."""
    opened = [contender for path in models for contender in open_exported(path, threads)]
    by_digest = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in originals}
    first: dict[Path, Contender] = {}
    for contender in opened:
        if contender.engine is None:
            continue
        facts = contender.engine.facts
        path = by_digest.get(facts.source_sha256)
        if path is None:
            contender.note = f"agreement left out: {facts.name} was made from none of the originals; name it with --original"
            continue
        contender.original = first.setdefault(path, Contender(path))
        if contender.original.engine is None:
            contender.original.engine = open_original(path, facts)
    return [*first.values(), *opened]


def open_exported(path: Path, threads: int) -> list[Contender]:
    """Open an exported model with each engine that is installed; where there is none, or it cannot be opened, that is said."""
    if path.suffix.lower() not in OPENERS:
        return [Contender(path, failure=f"is no {' or '.join(OPENERS)} model; name a Keras model with --original")]
    packages = ENGINES[path.suffix.lower()]
    installed = [package for package in packages if look_for(package).module]
    if not installed:
        choices = " or ".join(f"pip install '{package.extra}'" for package in packages)
        return [Contender(path, skipped=f"no engine for {path.suffix} models is installed: {choices}")]
    contenders = [Contender(path, package) for package in installed]
    for contender in contenders:
        with contender.trying():
            contender.engine = open_engine(path, threads, contender.package)
    return contenders


def open_original(path: Path, exported: Facts) -> Engine:
    """Open a Keras model as the exports with these facts have it: the same labels, scaling and softmax."""
    network = load_keras(path)
    facts = keras_facts(path) or replace(assumed_facts(path, network), labels=exported.labels)
    return keras_engine(as_exported(network, exported.made), facts)


def pictures_taken(contenders: Sequence[Contender]) -> tuple[int, int, int] | None:
    """Return the (H, W, C) of models that are shown pictures as they are, None for letters; the first that runs decides.

    Raises LettercastError where none runs.
    """
    engines = [contender.engine for contender in contenders if contender.engine]
    if not engines:
        raise nothing_to_measure(contenders)
    return picture_shape(engines[0].facts)


def nothing_to_measure(contenders: Sequence[Contender]) -> LettercastError:
    """Return the error where no contender can be measured, with the reason for each."""
    return LettercastError("; ".join(f"{c.path}: {c.skipped or c.failure}" for c in contenders if c.skipped or c.failure))


def tie_of(contender: Contender) -> float:
    """Return the difference of probabilities that counts as a tie in its format."""
    return FORMATS[contender.format].tolerance.tie if contender.format in FORMATS else 0.0


def runs_of(engine: Engine, pictures: Pixels) -> tuple[Run, Run]:
    """Return what is timed, for one letter and for 15: a reader's way, from a letter's ink to probabilities.

    A Keras model is given the finished picture, as are models of other pictures than letters. pictures are (N, H, W, C) uint8.
    """
    taken = pictures[:TIMED_LETTERS]
    if engine.facts.takes == LETTERS and engine.facts.format != KERAS:
        inks = [cv2.resize(picture[..., 0], (INK_PX, INK_PX), interpolation=cv2.INTER_LINEAR) for picture in taken]
        ready = lambda first, count: np.stack([glyph(inks[(first + i) % len(inks)]) for i in range(count)])[..., None]  # noqa: E731
    else:
        own = shown(engine.facts, taken)
        # Twice in a row, so that a batch may run past the end.
        own = np.concatenate([own] * (1 + -(-BATCH // len(own))))
        ready = lambda first, count: own[first % len(taken) :][:count]  # noqa: E731
    return lambda number: engine(ready(number, 1)), lambda number: engine(ready(BATCH * number, BATCH))
