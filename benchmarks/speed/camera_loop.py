"""The stages of reading pictures, timed one by one: from the file or film to the picture with letters drawn on it."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from threadpoolctl import threadpool_limits

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model
from ...runtime.files import write_bytes
from ...runtime.live.overlay import Status, annotate
from ...runtime.live.track import Tracker
from ...runtime.model.engine import open_engine
from ...runtime.page.find import Spot
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...runtime.sources.video import video_frames
from ...runtime.text import Page
from ...train.data.pen import load_pen
from ..pages.film import Shake, card, film, write_film
from ..pages.writing import PenHand

# Classification is the engine, whoever calls it; composition is all else from pictures of letters to words: what was read in
# the frame before, second looks, cuts, lines, spaces, case.
STAGES = ("capture", "segmentation", "preprocessing", "classification", "composition", "drawing")
WHOLE = "whole"
# The frames a second that the bar shows.
SHOWN_FPS = 30.0


class TimedReader(Reader):
    """A reader that reads as the one it is made from, and adds up the seconds of segmentation, preprocessing, classification."""

    def __init__(self, reader: Reader) -> None:
        self.forget()
        classify = reader.engine.classify

        def timed(pictures: Pixels) -> NDArray[np.float32]:
            start = time.perf_counter()
            rows = classify(pictures)
            self.seconds["classification"] += time.perf_counter() - start
            return rows

        super().__init__(replace(reader.engine, classify=timed))
        self.words = reader.words

    def forget(self) -> None:
        """Begin anew."""
        self.seconds = dict.fromkeys(("segmentation", "preprocessing", "classification"), 0.0)

    def find(self, image: Pixels) -> list[Spot]:
        """Find what may be letters, as Reader does, with their pictures."""
        start, before = time.perf_counter(), self.seconds["classification"]
        spots = super().find(image)
        found = time.perf_counter()
        self.seconds["segmentation"] += found - start - (self.seconds["classification"] - before)
        for spot in spots:
            # Made at the first look, and kept.
            _ = spot.picture
        self.seconds["preprocessing"] += time.perf_counter() - found
        return spots


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV and NumPy's matrix products to one thread, whose times do not hang on what else the other cores do."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


def time_stages(
    reader: TimedReader, read: Callable[[Pixels], Page], pictures: Iterator[Pixels]
) -> Iterator[tuple[Page, dict[str, float]]]:
    """Read pictures and draw what was read on each; yields that, and the milliseconds of each stage.

    Args:
        reader: whose stages are timed.
        read: what reads a picture with that reader: its own `read`, or a tracker's.
        pictures: taking the next one is the capture.
    """
    while True:
        reader.forget()
        start = time.perf_counter()
        image = next(pictures, None)
        if image is None:
            return
        captured = time.perf_counter()
        page = read(image)
        done = time.perf_counter()
        annotate(image, page, Status(SHOWN_FPS))
        drawn = time.perf_counter()
        own = reader.seconds
        rest = done - captured - sum(own.values())
        seconds = {"capture": captured - start, **own, "composition": rest, "drawing": drawn - done}
        yield page, {name: 1000 * seconds[name] for name in STAGES}


# The first frames fill caches and pools.
WARM_FRAMES = 30
FILM_FRAMES, FILM_SEED = 150, 3


@dataclass(frozen=True)
class LoopResult:
    """Stages of the loop: median and 90th percentile in milliseconds, and frames per second by the median of the whole."""

    model: str
    frames: int
    letters: float
    size: tuple[int, int]
    median_ms: dict[str, float]
    p90_ms: dict[str, float]
    fps: float


def time_loop(reader: Reader, path: Path) -> LoopResult:
    """Read a film frame by frame as `lettercast read` does, and time each stage."""
    timed = TimedReader(reader)
    read = list(time_stages(timed, Tracker(timed).read, (frame.image for frame in video_frames(path))))
    rows = [[*ms.values(), sum(ms.values())] for _, ms in read]
    kept = np.array(rows[WARM_FRAMES:] or rows)
    median, high = np.median(kept, 0), np.percentile(kept, 90, axis=0)
    names = (*STAGES, WHOLE)
    return LoopResult(
        reader.engine.facts.name,
        len(kept),
        float(np.mean([len(page.letters) for page, _ in read])),
        read[-1][0].size,
        dict(zip(names, median.round(3).tolist(), strict=True)),
        dict(zip(names, high.round(3).tolist(), strict=True)),
        float(1000 / median[-1]),
    )


def make_film(folder: Path) -> Path:
    """Write a film of a card with fifteen letters before a hand-held camera."""
    path = folder / "card.mp4"
    _, frames = film(PenHand(load_pen()), card(), Shake(), seed=FILM_SEED, frames=FILM_FRAMES)
    write_film(path, frames)
    return path


def loop_table(result: LoopResult) -> Table:
    """Return one line a stage of a camera's frame, and below them the whole, with frames per second."""
    width, height = result.size
    table = Table(
        title=f"{result.model}, {width}x{height}, {result.letters:.1f} letters, one thread",
        caption=f"{result.fps:.0f} frames a second, of {result.frames} frames",
    )
    table.add_column("stage", no_wrap=True)
    for name in ("median ms", "90 % within ms", "% of all"):
        table.add_column(name, justify="right", no_wrap=True)
    stages = sum(result.median_ms[name] for name in STAGES)
    for name in (*STAGES, WHOLE):
        share = 100 * result.median_ms[name] / stages
        cells = (f"{result.median_ms[name]:.2f}", f"{result.p90_ms[name]:.2f}", f"{share:.0f}" if name != WHOLE else "")
        table.add_row(name, *cells, end_section=name == STAGES[-1])
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.camera_loop", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("film", type=Path, nargs="?", metavar="FILM", help="default: a card of 15 letters in a hand, 640x480")
    parser.add_argument("--model", type=device_model, default="letters-base", metavar="M")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    try:
        with one_thread(), tempfile.TemporaryDirectory() as folder:
            path = options.film or make_film(Path(folder))
            timed = time_loop(Reader(open_engine(options.model)), path)
        if options.json:
            write_bytes(options.json, json.dumps(asdict(timed), indent=2).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console().print(loop_table(timed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
