"""How the reader's time grows: with letters on the page, and with pixels of the photograph, stage by stage.

Maintainer's command:

    python -m lettercast.benchmarks.speed.growth [--rounds N] [--model M] [--json FILE] [--plot FILE.png]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Fit:
    """The line fixed + slope * x through times in ms: least squares of the residuals as shares of the times, so that a short time
    counts like a long one; r2 is weighted alike, largest_residual is the largest of these shares.
    """

    fixed: float
    slope: float
    r2: float
    largest_residual: float


@dataclass(frozen=True)
class Point:
    """Pages of `x` letters or megapixels: ms of each stage as rounds of pages, and how many letters were found on a page."""

    x: float
    found: float
    rounds: dict[str, tuple[tuple[float, ...], ...]]

    @property
    def ms(self) -> dict[str, float]:
        """Milliseconds a page of each stage and of the whole: each page's median over the rounds, their mean over pages."""
        taken = {name: np.array(rounds) for name, rounds in self.rounds.items()}
        taken[WHOLE] = np.sum(list(taken.values()), 0)
        return {name: float(np.median(rounds, 0).mean()) for name, rounds in taken.items()}


@dataclass(frozen=True)
class Curve:
    """Growth over letters or megapixels."""

    over: str
    points: tuple[Point, ...]

    @property
    def fits(self) -> dict[str, Fit]:
        """The line through each stage and through the whole."""
        x = np.array([point.x for point in self.points])
        return {name: fit_line(x, np.array([point.ms[name] for point in self.points])) for name in (*STAGES, WHOLE)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        points = [{**asdict(point), "ms": point.ms} for point in self.points]
        return {"over": self.over, "points": points, "fits": {name: asdict(fit) for name, fit in self.fits.items()}}


def point_of(x: float, pages: Sequence[Sequence[dict[str, float]]], found: Sequence[int]) -> Point:
    """Return the point of pages, each with its rounds, and of the letters found on each."""
    turned = list(zip(*pages, strict=True))
    rounds = {name: tuple(tuple(round(ms[name], 4) for ms in turn) for turn in turned) for name in STAGES}
    return Point(x, float(np.mean(found)), rounds)


def fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    """Fit a line through times y, all above 0, as Fit says."""
    weight = 1 / y
    (fixed, slope), *_ = np.linalg.lstsq(np.stack([weight, x * weight], 1), np.ones(len(y)), rcond=None)
    residual = (fixed + slope * x - y) * weight
    around_mean = (y - np.average(y, weights=weight**2)) * weight
    spread = float(around_mean @ around_mean)
    r2 = 1 - float(residual @ residual) / spread if spread else 1.0
    return Fit(float(fixed), float(slope), r2, float(np.abs(residual).max()))


def describe(curve: Curve) -> str:
    """Return the line through the whole, and how well it fits, for a person."""
    fit, unit = curve.fits[WHOLE], curve.over.removesuffix("s")
    return (
        f"{fit.fixed:.2f} ms + {fit.slope:.3f} ms a {unit}, R² {fit.r2:.4f}, largest residual {100 * fit.largest_residual:.0f} %"
    )


if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
# Fewer letters stand on more pages, so that each count is one of many hands: one doubtful letter takes longer than ten others.
LETTERS_A_COUNT, MOST_PAGES = 500, 20
# What phones, webcams and Pi cameras give, 0.3 to 12 megapixels.
SIZES = ((640, 480), (800, 600), (1024, 768), (1600, 1200), (2048, 1536), (2592, 1944), (3264, 2448), (4000, 3000))
CARD_LETTERS, CARD_PAGES = 15, 10
# All 500 letters find room at this size, on which fewer stand as small.
PAGE_PX, PAGE = (1600, 1200), Scene().change(size=26.0, pitch=1.9, margin=0.04)
CARD = Scene().change(size=100.0, pitch=1.9, margin=0.04)
WORD_LETTERS = 5
JPEG_QUALITY = 90
ROUNDS, SEED = 7, 1
LETTERS_AXIS, PIXELS_AXIS = "letters", "megapixels"
MEGA = 1_000_000


@dataclass(frozen=True)
class Growth:
    """Both curves of one model, on one thread."""

    model: str
    engine: str
    letters: Curve
    pixels: Curve

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        facts = {"model": self.model, "engine": self.engine}
        return {**facts, "letters": self.letters.to_dict(), "pixels": self.pixels.to_dict()}


def write_letters(count: int, scene: Scene, size: tuple[int, int], seed: int) -> Photo:
    """Photograph a page (width, height) with so many letters of the pen; the same seed writes them alike at every size."""
    for_words, writer, camera = np.random.default_rng(seed).spawn(3)
    text = "".join(for_words.choice(LETTERS, count).tolist())
    words = " ".join(text[i : i + WORD_LETTERS] for i in range(0, count, WORD_LETTERS))
    photo = photograph(PenHand(load_pen()), scene, size, writer=writer, camera=camera, text=(words,))
    if len(photo.letters) != count:
        raise ValueError(f"{count} letters have no room on {size[0]} x {size[1]} pixels")
    return photo


def pages_of(count: int) -> int:
    """Return how many pages are written with so many letters each."""
    return min(MOST_PAGES, max(1, LETTERS_A_COUNT // count))


def write_pages(
    folder: Path, counts: Sequence[int], sizes: Sequence[tuple[int, int]], report: Callable[[str], None]
) -> dict[tuple[str, float], list[Path]]:
    """Write pages of so many letters each, and photographs of 15 letters of such sizes, into a folder.

    Returns their paths by what they are points of: letters or megapixels, and how many.
    """
    jobs = [((LETTERS_AXIS, float(n)), n, PAGE, PAGE_PX, page) for n in counts for page in range(pages_of(n))]
    jobs += [((PIXELS_AXIS, w * h / MEGA), CARD_LETTERS, CARD, (w, h), page) for w, h in sizes for page in range(CARD_PAGES)]
    paths: dict[tuple[str, float], list[Path]] = {}
    for i, (key, count, scene, size, page) in enumerate(jobs):
        report(f"writing page {i + 1} of {len(jobs)}")
        path = folder / f"{i}.jpg"
        photo = write_letters(count, scene, size, SEED + page)
        write_bytes(path, cv2.imencode(".jpg", photo.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        paths.setdefault(key, []).append(path)
    return paths


def measure_growth(
    reader: Reader,
    folder: Path,
    *,
    counts: Sequence[int] = COUNTS,
    sizes: Sequence[tuple[int, int]] = SIZES,
    rounds: int = ROUNDS,
    report: Callable[[str], None] = lambda said: None,
) -> Growth:
    """Write pages into a folder and time the reading of each, all of them once a round in an order by chance.

    Args:
        counts: letters on pages of one size.
        sizes: (width, height) of photographs of the same 15 letters.
        rounds: how often each page is read; one more warms up.
    """
    paths = write_pages(folder, counts, sizes, report)
    timed, order = TimedReader(reader), np.random.default_rng(SEED)
    every = [path for own in paths.values() for path in own]
    taken: dict[Path, list[dict[str, float]]] = {path: [] for path in every}
    found: dict[Path, int] = {}
    for turn in range(rounds + 1):
        report(f"round {turn} of {rounds}")
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
    """Draw the stages on top of each other, with the line through the whole: over letters, and over megapixels."""
    from matplotlib.figure import Figure

    figure = Figure((11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, curve in zip(panels, (growth.letters, growth.pixels), strict=True):
        x = [point.x for point in curve.points]
        axes.stackplot(x, [[point.ms[name] for point in curve.points] for name in STAGES], labels=STAGES, alpha=0.75)
        fit, ends = curve.fits[WHOLE], np.array([min(x), max(x)])
        axes.plot(ends, fit.fixed + fit.slope * ends, "k--", linewidth=1, label="fit")
        axes.plot(x, [point.ms[WHOLE] for point in curve.points], "k.", markersize=5)
        axes.set(xlabel=curve.over, ylabel="ms a page", title=describe(curve), xlim=(0, None), ylim=(0, None))
        axes.title.set_fontsize(9)
    panels[0].legend(loc="upper left", fontsize=8)
    return figure


def growth_tables(result: Growth) -> list[Table]:
    """Return the growth over letters, and that over megapixels: one column a point, the last one the slope of the line."""
    tables = []
    for curve in (result.letters, result.pixels):
        table = Table(
            title=f"{result.model}, one thread: ms a page by {curve.over}",
            caption=describe(curve),
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column(curve.over, no_wrap=True)
        for point in curve.points:
            table.add_column(f"{point.x:.2g}" if point.x < 10 else f"{point.x:.0f}", justify="right", no_wrap=True)
        table.add_column("each", justify="right", no_wrap=True)
        for name in (*STAGES, WHOLE):
            cells = (f"{point.ms[name]:.1f}" if point.ms[name] < 10 else f"{point.ms[name]:.0f}" for point in curve.points)
            table.add_row(name, *cells, f"{curve.fits[name].slope:.3f}", end_section=name == STAGES[-1])
        table.add_row("letters found", *(f"{point.found:.0f}" for point in curve.points))
        tables.append(table)
    return tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.growth", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--rounds", type=positive, default=ROUNDS, metavar="N", help="of reading every page (default: %(default)s)"
    )
    parser.add_argument("--model", type=device_model, default="letters-base", metavar="M")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw them there")
    options = parser.parse_args(arguments)
    try:
        with one_thread(), tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("opening") as said:
            reader = Reader(open_engine(options.model))
            growth = measure_growth(reader, Path(folder), rounds=options.rounds, report=said.update)
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
