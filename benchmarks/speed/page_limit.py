"""The least that reading a page can cost, and the share of it that each stage reaches.

At least, each stage reads its pixels once from memory and writes its own once, and the network multiplies.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from ...runtime.glyph import GLYPH_SHAPE, glyph
from ...runtime.model.engine import Engine
from ...runtime.page.find import FIND_TUNING, find_candidates, strokes_in
from ...runtime.page.ink import find_ink
from ...runtime.page.photo import Photo
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ..columns import Cell, fill, in_ms
from ..pages.scenes import Scene
from ..parity.measure import MIN_RUNS, SECONDS, Run, measure
from .growth import SEED, write_letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A card of 15 letters.
CARD_PX, CARD_LETTERS = (1225, 735), 15
# Far more than any cache holds.
COPY_BYTES = 64 << 20
# The figure shows no time shorter than this.
MIN_MS = 1e-3


@dataclass(frozen=True)
class Stage:
    """A stage of reading a page: its time, the bytes that it reads and writes at least, and the multiply-accumulates it needs."""

    name: str
    ms: float
    size_bytes: int
    multiplications: int
    least_ms: float

    @property
    def share(self) -> float:
        """The least time as a share of its time, 0..1."""
        return self.least_ms / self.ms if self.ms > 0 else 0.0


@dataclass(frozen=True)
class PageLimit:
    """The stages of reading a page with `letters` letters, width and height in pixels, on one thread.

    images is how often the network is asked about it. copy_gb_s are the bytes that the machine reads and writes per second when
    it copies memory, in billions, and peak_gmacs the multiply-accumulates of the engine's fastest product.
    """

    model: str
    width: int
    height: int
    letters: int
    images: int
    copy_gb_s: float
    peak_gmacs: float
    stages: tuple[Stage, ...]

    @property
    def whole(self) -> Stage:
        """All stages together."""
        sums = (
            sum(getattr(stage, name) for stage in self.stages) for name in ("ms", "size_bytes", "multiplications", "least_ms")
        )
        return Stage("whole page", *sums)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        stages = [{**asdict(stage), "share": stage.share} for stage in (*self.stages, self.whole)]
        return {**asdict(self), "stages": stages}


def measure_page(
    engine: Engine,
    multiplications: int,
    peak_gmacs: float,
    *,
    size: tuple[int, int] = CARD_PX,
    letters: int = CARD_LETTERS,
    seconds: float = SECONDS,
    report: Callable[[str], None] = lambda message: None,
) -> PageLimit:
    """Time the stages of reading a generated page in turns.

    Args:
        engine: a model that reads letters.
        multiplications: of the network for one letter.
        peak_gmacs: what the engine reaches at most, in billions of multiply-accumulates a second.
        size: width and height of the page in pixels.
        letters: how many the page has.
        seconds: how long to time each stage; 0 runs each once.
        report: a function that shows progress.
    """
    report("writing a page")
    image = write_letters(letters, Scene(), size, SEED).image
    images = images_asked(engine, image)
    photo, reader, source = Photo(image), Reader(engine), np.ones(COPY_BYTES, np.uint8)
    reduced, copied = photo.at_most(FIND_TUNING.max_side_px), np.empty_like(source)
    scale, found = min(1.0, FIND_TUNING.max_side_px / photo.longer), find_candidates(image)
    runs: list[Run] = [
        lambda number: np.copyto(copied, source),
        lambda number: Photo(image).at_most(FIND_TUNING.max_side_px),
        lambda number: find_ink(reduced),
        lambda number: strokes_in(reduced, scale),
        lambda number: find_candidates(image),
        lambda number: [glyph(one.ink) for one in found],
        lambda number: engine(images),
        lambda number: reader.read(image),
    ]
    report(f"timing the stages of a page, {seconds:g} s each")
    taken = [latency.p50_ms for latency in measure(runs, seconds, MIN_RUNS if seconds else 1)]
    copy, gray, ink, strokes, finding, glyphs, network, reading = taken
    gb_s = 2 * COPY_BYTES / copy / 1e6
    inked = sum(one.ink.nbytes for one in found)
    # Finding and reading are made of the others; what is left of them are stages, too.
    stages = (
        ("grey and smaller", gray, image.nbytes + reduced.nbytes, 0),
        ("ink", ink, 2 * reduced.nbytes, 0),
        ("rules", strokes - ink, 2 * reduced.nbytes, 0),
        ("strokes to letters", finding - gray - strokes, reduced.nbytes + inked, 0),
        ("letters to 28x28", glyphs, inked + len(found) * int(np.prod(GLYPH_SHAPE)), 0),
        ("network", network, images.nbytes, len(images) * multiplications),
        ("doubts, lines and words", reading - finding - glyphs - network, 0, 0),
    )
    made = tuple(
        Stage(name, max(0.0, ms), size_bytes, macs, max(size_bytes / gb_s, macs / peak_gmacs) / 1e6)
        for name, ms, size_bytes, macs in stages
    )
    return PageLimit(engine.facts.name, *size, letters, len(images), gb_s, peak_gmacs, made)


def images_asked(engine: Engine, image: Pixels) -> Pixels:
    """Return all images (n, 28, 28, 1) uint8 that a network is asked about while it reads a page (H, W, 3) uint8."""
    asked: list[Pixels] = [np.zeros((0, *engine.facts.input_shape), np.uint8)]

    def classify(images: Pixels) -> Pixels:
        asked.append(images)
        return engine.classify(images)

    Reader(replace(engine, classify=classify)).read(image)
    return np.concatenate(asked)


def page_table(result: PageLimit) -> Table:
    """Return a table of the stages."""
    machine = f"{result.copy_gb_s:.1f} GB/s copied, {result.peak_gmacs:.1f} GMAC/s at most"
    table = Table(
        title=f"a page of {result.letters} letters, {result.width} x {result.height} pixels, {result.model}, one thread",
        caption=f"least: each byte once through memory, and each product at the peak ({machine})",
    )
    columns: dict[str, Cell[Stage]] = {
        "stage": lambda stage: stage.name,
        "KB": lambda stage: f"{stage.size_bytes / 1000:.0f}" if stage.size_bytes else "",
        "MMAC": lambda stage: f"{stage.multiplications / 1e6:.1f}" if stage.multiplications else "",
        "least ms": lambda stage: in_ms(stage.least_ms) if stage.least_ms else "",
        "ms": lambda stage: in_ms(stage.ms),
        "share %": lambda stage: f"{100 * stage.share:.1f}" if stage.least_ms else "",
    }
    return fill(table, columns, (*result.stages, result.whole), columns)


def page_figure(result: PageLimit) -> "Figure":
    """Draw the time of each stage, and the least that it can take."""
    from matplotlib.figure import Figure

    stages: Sequence[Stage] = (*result.stages, result.whole)
    figure = Figure((9, 3.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(stages))
    least, ms = (np.maximum([getattr(stage, name) for stage in stages], MIN_MS) for name in ("least_ms", "ms"))
    has_least = np.array([stage.least_ms > 0 for stage in stages])
    axes.hlines(places[has_least], least[has_least], ms[has_least], color="0.75")
    axes.plot(least[has_least], places[has_least], "o", color="tab:green", label="least")
    axes.plot(ms, places, "o", color="tab:blue", label="taken")
    axes.set(xscale="log", xlabel="ms", yticks=places, yticklabels=[stage.name for stage in stages])
    axes.set_title(f"{result.letters} letters on {result.width} x {result.height} pixels, {result.model}, one thread", fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8)
    return figure
