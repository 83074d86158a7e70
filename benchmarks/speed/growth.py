"""Measure how the reader's time grows with the letters on a page and the pixels of an image, stage by stage.

Maintainer's command:

    python -m lettercast.benchmarks.speed.growth [--rounds N] [--model M] [--json FILE] [--plot FILE.png]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model, positive
from ...runtime.files import write_bytes
from ...runtime.model.engine import open_engine
from ...runtime.reader import Reader
from ...runtime.sources.images import read_image
from ...train.data.pen import load_pen
from ...train.data.source import LETTERS
from ..pages.scenes import Photo, Scene, photograph
from ..pages.writing import PenHand
from .camera_loop import STAGES, WHOLE, TimedReader, one_thread, time_stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# At this size 500 letters fit on a page; pages with fewer letters have letters of the same size.
PAGE_PX, PAGE = (1600, 1200), Scene().change(size=26.0, pitch=1.9, margin=0.04)
CARD = Scene().change(size=100.0, pitch=1.9, margin=0.04)
WORD_LETTERS = 5
JPEG_QUALITY = 90
SEED = 1
LETTERS_AXIS, PIXELS_AXIS = "letters", "megapixels"
MEGA = 1_000_000


@dataclass(frozen=True)
class GrowthPlan:
    """The pages to time, and how often.

    counts are the letters on pages of one size. The fewer letters, the more pages with other handwriting: one ambiguous letter
    takes longer than ten clear ones, so each count has letters_per_count letters in all, on max_pages pages at most. sizes are
    (width, height) of card_pages images each of a card with card_letters letters, from 0.3 to 12 megapixels as phones, webcams
    and Pi cameras take them. Each page is read once per round, and once before the first round to warm up.
    """

    counts: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500)
    letters_per_count: int = 500
    max_pages: int = 20
    sizes: tuple[tuple[int, int], ...] = (
        (640, 480),
        (800, 600),
        (1024, 768),
        (1600, 1200),
        (2048, 1536),
        (2592, 1944),
        (3264, 2448),
        (4000, 3000),
    )
    card_letters: int = 15
    card_pages: int = 10
    rounds: int = 7

    def pages(self, count: int) -> int:
        """Return the number of pages with `count` letters each."""
        return min(self.max_pages, max(1, self.letters_per_count // count))


GROWTH_PLAN = GrowthPlan()


@dataclass(frozen=True)
class Fit:
    """The line fixed + slope * x through times in ms, by least squares of the relative residuals.

    A relative residual is a share of its time, so that short times count as much as long ones. r2 is weighted the same way,
    and largest_residual is the largest relative residual.
    """

    fixed: float
    slope: float
    r2: float
    largest_residual: float


@dataclass(frozen=True)
class Point:
    """Pages with `x` letters or megapixels: ms of each stage by round and page, and the letters found per page."""

    x: float
    found: float
    rounds: dict[str, tuple[tuple[float, ...], ...]]

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds per page of each stage and of the whole: the median over rounds of each page, then the mean over pages."""
        taken = {name: np.array(rounds) for name, rounds in self.rounds.items()}
        taken[WHOLE] = np.sum(list(taken.values()), 0)
        return {name: float(np.median(rounds, 0).mean()) for name, rounds in taken.items()}


@dataclass(frozen=True)
class Curve:
    """Growth over letters or over megapixels."""

    over: str
    points: tuple[Point, ...]

    @property
    def fits(self) -> dict[str, Fit]:
        """The line through the times of each stage and of the whole."""
        x = np.array([point.x for point in self.points])
        return {name: fit_line(x, np.array([point.ms[name] for point in self.points])) for name in (*STAGES, WHOLE)}

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as a JSON object."""
        points = [{**asdict(point), "ms": point.ms} for point in self.points]
        return {"over": self.over, "points": points, "fits": {name: asdict(fit) for name, fit in self.fits.items()}}


@dataclass(frozen=True)
class Growth:
    """Both curves of one model, on one thread."""

    model: str
    engine: str
    letters: Curve
    pixels: Curve

    def to_dict(self) -> dict[str, Any]:
        """Return both curves as a JSON object."""
        facts = {"model": self.model, "engine": self.engine}
        return {**facts, "letters": self.letters.to_dict(), "pixels": self.pixels.to_dict()}


def point_of(x: float, pages: Sequence[Sequence[dict[str, float]]], found: Sequence[int]) -> Point:
    """Return a point of the curve from the stage times of each page in each round, and the letters found on each page."""
    by_round = list(zip(*pages, strict=True))
    rounds = {name: tuple(tuple(round(ms[name], 4) for ms in turn) for turn in by_round) for name in STAGES}
    return Point(x, float(np.mean(found)), rounds)


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    """Fit a line through times y > 0, weighted as Fit describes."""
    weight = 1 / y
    (fixed, slope), *_ = np.linalg.lstsq(np.stack([weight, x * weight], 1), np.ones(len(y)), rcond=None)
    residual = (fixed + slope * x - y) * weight
    around_mean = (y - np.average(y, weights=weight**2)) * weight
    spread = float(around_mean @ around_mean)
    r2 = 1 - float(residual @ residual) / spread if spread else 1.0
    return Fit(float(fixed), float(slope), r2, float(np.abs(residual).max()))


def describe(curve: Curve) -> str:
    """Return the line through the whole, and how well it fits, in words."""
    fit, unit = curve.fits[WHOLE], curve.over.removesuffix("s")
    line = f"{fit.fixed:.2f} ms + {fit.slope:.3f} ms per {unit}"
    return f"{line}, R² {fit.r2:.4f}, largest residual {100 * fit.largest_residual:.0f} %"


def write_letters(count: int, scene: Scene, size: tuple[int, int], seed: int) -> Photo:
    """Photograph a page of size (width, height) with `count` letters of the pen; a seed writes the same letters at every size.

    Raises ValueError if the letters do not fit on the page.
    """
    for_words, writer, camera = np.random.default_rng(seed).spawn(3)
    text = "".join(for_words.choice(LETTERS, count).tolist())
    words = " ".join(text[i : i + WORD_LETTERS] for i in range(0, count, WORD_LETTERS))
    photo = photograph(PenHand(load_pen()), scene, size, writer=writer, camera=camera, text=(words,))
    if len(photo.letters) != count:
        raise ValueError(f"{count} letters do not fit on {size[0]} x {size[1]} pixels")
    return photo


def write_pages(folder: Path, plan: GrowthPlan, report: Callable[[str], None]) -> dict[tuple[str, float], list[Path]]:
    """Write the images of a plan into a folder.

    Returns their paths by axis (letters or megapixels) and x.
    """
    jobs = [((LETTERS_AXIS, float(n)), n, PAGE, PAGE_PX, page) for n in plan.counts for page in range(plan.pages(n))]
    jobs += [
        ((PIXELS_AXIS, w * h / MEGA), plan.card_letters, CARD, (w, h), page)
        for w, h in plan.sizes
        for page in range(plan.card_pages)
    ]
    paths: dict[tuple[str, float], list[Path]] = {}
    for i, (key, count, scene, size, page) in enumerate(jobs):
        report(f"writing page {i + 1} of {len(jobs)}")
        path = folder / f"{i}.jpg"
        photo = write_letters(count, scene, size, SEED + page)
        write_bytes(path, cv2.imencode(".jpg", photo.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        paths.setdefault(key, []).append(path)
    return paths


def measure_growth(
    reader: Reader, folder: Path, plan: GrowthPlan = GROWTH_PLAN, *, report: Callable[[str], None] = lambda message: None
) -> Growth:
    """Write the pages of a plan into a folder and time the reading of each; every round has its own random order."""
    paths = write_pages(folder, plan, report)
    timed, order = TimedReader(reader), np.random.default_rng(SEED)
    every = [path for own in paths.values() for path in own]
    taken: dict[Path, list[dict[str, float]]] = {path: [] for path in every}
    found: dict[Path, int] = {}
    for turn in range(plan.rounds + 1):
        report(f"round {turn} of {plan.rounds}")
        shuffled = [every[k] for k in order.permutation(len(every))]
        for path, (page, ms) in zip(shuffled, time_stages(timed, timed.read, map(read_image, shuffled)), strict=True):
            found[path] = len(page.letters)
            if turn:
                taken[path].append(ms)
    letters, pixels = (
        Curve(
            axis,
            tuple(
                point_of(x, [taken[p] for p in own], [found[p] for p in own]) for (over, x), own in paths.items() if over == axis
            ),
        )
        for axis in (LETTERS_AXIS, PIXELS_AXIS)
    )
    return Growth(reader.engine.facts.name, reader.engine.name, letters, pixels)


def growth_figure(growth: Growth) -> "Figure":
    """Draw the stacked stages and the line through the whole, over letters and over megapixels."""
    from matplotlib.figure import Figure

    figure = Figure((11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, curve in zip(panels, (growth.letters, growth.pixels), strict=True):
        x = [point.x for point in curve.points]
        axes.stackplot(x, [[point.ms[name] for point in curve.points] for name in STAGES], labels=STAGES, alpha=0.75)
        fit, ends = curve.fits[WHOLE], np.array([min(x), max(x)])
        axes.plot(ends, fit.fixed + fit.slope * ends, "k--", linewidth=1, label="fit")
        axes.plot(x, [point.ms[WHOLE] for point in curve.points], "k.", markersize=5)
        axes.set(xlabel=curve.over, ylabel="ms per page", title=describe(curve), xlim=(0, None), ylim=(0, None))
        axes.title.set_fontsize(9)
    panels[0].legend(loc="upper left", fontsize=8)
    return figure


def growth_tables(result: Growth) -> list[Table]:
    """Return a table over letters and one over megapixels: a column per point, and the slope of the line as the last one."""
    tables = []
    for curve in (result.letters, result.pixels):
        table = Table(
            title=f"{result.model}, one thread: ms per page by {curve.over}",
            caption=describe(curve),
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column(curve.over, no_wrap=True)
        for point in curve.points:
            table.add_column(f"{point.x:.2g}" if point.x < 10 else f"{point.x:.0f}", justify="right", no_wrap=True)
        table.add_column("slope", justify="right", no_wrap=True)
        for name in (*STAGES, WHOLE):
            cells = (f"{point.ms[name]:.1f}" if point.ms[name] < 10 else f"{point.ms[name]:.0f}" for point in curve.points)
            table.add_row(name, *cells, f"{curve.fits[name].slope:.3f}", end_section=name == STAGES[-1])
        table.add_row("letters found", *(f"{point.found:.0f}" for point in curve.points))
        tables.append(table)
    return tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.growth", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=GROWTH_PLAN.rounds,
        metavar="N",
        help="how often to read each page (default: %(default)s)",
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves")
    options = parser.parse_args(arguments)
    try:
        with one_thread(), tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("opening") as status:
            reader = Reader(open_engine(options.model))
            growth = measure_growth(reader, Path(folder), replace(GROWTH_PLAN, rounds=options.rounds), report=status.update)
        if options.json:
            write_bytes(options.json, json.dumps(growth.to_dict(), indent=1).encode())
        if options.plot:
            from ...train.figures import save_figure

            save_figure(growth_figure(growth), options.plot)
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    for table in growth_tables(growth):
        Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
