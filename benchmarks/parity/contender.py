"""The models of a benchmark: each exported file with each engine that runs it, and the Keras originals."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...export.convention import as_exported
from ...export.formats import FORMATS
from ...export.original import hash_network
from ...runtime.glyph import glyph
from ...runtime.model.engine import DNN_DIFFERENCES, OPENERS, Engine, open_engine, wrapping_errors
from ...runtime.model.facts import LETTERS, Facts, keras_facts
from ...runtime.model.installed import ENGINES, OPENCV, Package, find_package
from ...runtime.pixels import Pixels
from ...train.data.drawing import shown
from ...train.predict import assumed_facts, keras_engine, load_keras, picture_shape
from .measure import Footprint, Latency, Run

# A letter on a camera's page is about this high, twice the height of the network's input.
INK_PX = 56
# Letters classified in one batch: a line or two of a page.
BATCH = 15
# Timing cycles through this many different letters.
TIMED_LETTERS = 150
KERAS = "keras"


@dataclass
class Contender:
    """One model with one engine, and its measurements so far.

    original is the Keras model that it was made from. skipped says why nothing was measured, failure what broke, and note
    what was left out. truth holds the label index of each letter; probabilities are (n, classes) float32.
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
        """Whether the model is open and has not failed."""
        return self.engine is not None and not self.failure

    @property
    def format(self) -> str:
        """The format in the model's facts, "" while no engine is open."""
        return self.engine.facts.format if self.engine else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the outputs."""
        return self.engine.facts.labels if self.engine else ()

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Turn a LettercastError inside the block into this model's failure, so that the other models are still measured."""
        try:
            with wrapping_errors(self.path):
                yield
        except LettercastError as error:
            self.failure = str(error).removeprefix(f"{self.path}: ")


def open_contenders(models: Sequence[Path], originals: Sequence[Path], threads: int) -> list[Contender]:
    """Open each model with each installed engine; return the originals of these models first, then the exported ones."""
    opened = [contender for path in models for contender in open_exported(path, threads)]
    find = finder(originals)
    first: dict[Path, Contender] = {}
    for contender in opened:
        if contender.engine is None:
            continue
        facts = contender.engine.facts
        path = find(facts)
        if path is None:
            contender.note = (
                f"no agreement: {facts.name} was made from none of the originals; name its .keras file with --original"
            )
            continue
        contender.original = first.setdefault(path, Contender(path))
        if contender.original.engine is None:
            contender.original.engine = open_original(path, facts)
    return [*first.values(), *opened]


def finder(originals: Sequence[Path]) -> Callable[[Facts], Path | None]:
    """Return a function that finds the original of exported facts: by the hash of its file, else of its layers and weights."""
    by_file = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in originals}

    @cache
    def by_network() -> dict[str, Path]:
        # Loads every original, which takes a second each.
        return {hash_network(load_keras(path)): path for path in originals}

    def find(facts: Facts) -> Path | None:
        path = by_file.get(facts.source_sha256)
        return path or (by_network().get(facts.network_sha256) if facts.network_sha256 else None)

    return find


def open_exported(path: Path, threads: int) -> list[Contender]:
    """Open an exported model with each installed engine; skipped or failure say why a model is not open."""
    if path.suffix.lower() not in OPENERS:
        return [Contender(path, failure=f"not a {' or '.join(OPENERS)} model; name a Keras model with --original")]
    packages = ENGINES[path.suffix.lower()]
    installed = [package for package in packages if find_package(package).module]
    if not installed:
        choices = " or ".join(f"pip install '{package.extra}'" for package in packages)
        return [Contender(path, skipped=f"no engine for {path.suffix} models is installed: {choices}")]
    contenders = [Contender(path, package) for package in installed]
    for contender in contenders:
        with contender.trying():
            contender.engine = open_engine(path, threads, contender.package)
    # OpenCV is for devices without another engine, and for these formats: a file that it cannot run has no fault.
    return [
        contender
        for contender in contenders
        if contender.package != OPENCV or len(contenders) == 1 or contender.format in DNN_DIFFERENCES
    ]


def open_original(path: Path, exported: Facts) -> Engine:
    """Open a Keras model with the labels, scaling and softmax of its export."""
    network = load_keras(path)
    facts = keras_facts(path) or replace(assumed_facts(path, network), labels=exported.labels)
    return keras_engine(as_exported(network, exported.made), facts)


def pictures_taken(contenders: Sequence[Contender]) -> tuple[int, int, int] | None:
    """Return the input shape (H, W, C) of models of whole images, None for models of letters; the first open one decides.

    Raises LettercastError if no model is open.
    """
    engines = [contender.engine for contender in contenders if contender.engine]
    if not engines:
        raise nothing_to_measure(contenders)
    return picture_shape(engines[0].facts)


def nothing_to_measure(contenders: Sequence[Contender]) -> LettercastError:
    """Return the error for a run without any model to measure, with the reason of each."""
    return LettercastError("; ".join(f"{c.path}: {c.skipped or c.failure}" for c in contenders if c.skipped or c.failure))


def tie_of(contender: Contender) -> float:
    """Return the difference of probabilities that counts as a tie in the contender's format."""
    return FORMATS[contender.format].tolerance.tie if contender.format in FORMATS else 0.0


def runs_of(engine: Engine, images: Pixels) -> tuple[Run, Run]:
    """Return the calls to time, for one letter and for 15: from a letter's ink to its probabilities, as a reader does.

    Keras models and models of whole images get the finished image instead. images are (N, H, W, C) uint8.
    """
    taken = images[:TIMED_LETTERS]
    if engine.facts.takes == LETTERS and engine.facts.format != KERAS:
        inks = [cv2.resize(image[..., 0], (INK_PX, INK_PX), interpolation=cv2.INTER_LINEAR) for image in taken]
        ready = lambda first, count: np.stack([glyph(inks[(first + i) % len(inks)]) for i in range(count)])[..., None]  # noqa: E731
    else:
        own = shown(engine.facts, taken)
        # Repeated, so that a batch may start near the end.
        own = np.concatenate([own] * (1 + -(-BATCH // len(own))))
        ready = lambda first, count: own[first % len(taken) :][:count]  # noqa: E731
    return lambda number: engine(ready(number, 1)), lambda number: engine(ready(BATCH * number, BATCH))
