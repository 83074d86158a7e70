"""Time each stage of reading a video like `lettercast read` does, from the frame to the letters drawn on it.

Maintainer's command:

    python -m lettercast.benchmarks.speed.camera_loop [VIDEO] [--model M] [--json FILE]
"""

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
from ...runtime.model.engine import Engine, open_engine
from ...runtime.page.find import Candidate
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...runtime.sources.video import video_frames
from ...runtime.text import Page
from ...train.data.pen import load_pen
from ..pages.film import Shake, card, shoot_video, write_video
from ..pages.writing import PenHand

# Classification is the time in the engine, whoever calls it. Composition is everything else: comparing a frame with the last one
# that was searched, tracking from frame to frame, second looks, cuts, lines, spaces and case.
STAGES = ("capture", "segmentation", "preprocessing", "classification", "composition", "drawing")
WHOLE = "whole"
# The frame rate that the drawn status bar shows.
SHOWN_FPS = 30.0
# The first frames fill caches and pools, so they do not count.
WARM_FRAMES = 30
VIDEO_FRAMES, VIDEO_SEED = 150, 3


@dataclass(frozen=True)
class LoopResult:
    """Times of the camera loop: mean, median and 90th percentile of each stage in ms.

    The frames per second go by the mean of the whole, because only some frames are searched. `searched` is their share.
    """

    model: str
    frames: int
    letters: float
    size: tuple[int, int]
    mean_ms: dict[str, float]
    median_ms: dict[str, float]
    p90_ms: dict[str, float]
    fps: float
    searched: float


class TimedReader(Reader):
    """A reader that adds up the seconds of segmentation, preprocessing and classification; it reads like the given one."""

    def __init__(self, reader: Reader) -> None:
        self.reset()
        classify = reader.engine.classify

        def timed(images: Pixels) -> NDArray[np.float32]:
            start = time.perf_counter()
            rows = classify(images)
            self.seconds["classification"] += time.perf_counter() - start
            return rows

        super().__init__(replace(reader.engine, classify=timed))
        self.words = reader.words

    def reset(self) -> None:
        """Set the sums to 0."""
        self.seconds = dict.fromkeys(("segmentation", "preprocessing", "classification"), 0.0)

    def find(self, image: Pixels, engine: Engine | None = None) -> list[Candidate]:
        """Find candidates and make their images, like Reader does, and time both."""
        start, before = time.perf_counter(), self.seconds["classification"]
        candidates = super().find(image, engine)
        found = time.perf_counter()
        self.seconds["segmentation"] += found - start - (self.seconds["classification"] - before)
        for candidate in candidates:
            # The image is made at the first access and then cached.
            _ = candidate.glyph_image
        self.seconds["preprocessing"] += time.perf_counter() - found
        return candidates


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit OpenCV and NumPy to one thread inside the block, so that times do not depend on the load of other cores."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


def time_stages(
    reader: TimedReader, read: Callable[[Pixels], Page], images: Iterator[Pixels]
) -> Iterator[tuple[Page, dict[str, float]]]:
    """Read images and draw the letters on each; yield each page with the milliseconds of every stage.

    Args:
        reader: the reader with the timers.
        read: a function that reads an image with this reader: its own `read`, or a tracker's.
        images: BGR images (H, W, 3) uint8; the time to get the next one counts as capture.
    """
    while True:
        reader.reset()
        start = time.perf_counter()
        image = next(images, None)
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


def time_loop(reader: Reader, path: Path) -> LoopResult:
    """Read a video frame by frame as `lettercast read` does, and time each stage."""
    timed = TimedReader(reader)
    frames = list(time_stages(timed, Tracker(timed).read, (frame.image for frame in video_frames(path))))
    return summarize(reader.engine.facts.name, frames)


def summarize(model: str, frames: Sequence[tuple[Page, dict[str, float]]]) -> LoopResult:
    """Return the figures of frames from their pages and stage times in ms; the first frames do not count, if there are more."""
    rows = [[*ms.values(), sum(ms.values())] for _, ms in frames]
    counted = np.array(rows[WARM_FRAMES:] or rows)
    mean, median, high = counted.mean(0), np.median(counted, 0), np.percentile(counted, 90, axis=0)
    names = (*STAGES, WHOLE)
    return LoopResult(
        model,
        len(counted),
        float(np.mean([len(page.letters) for page, _ in frames])),
        frames[-1][0].size,
        dict(zip(names, mean.round(3).tolist(), strict=True)),
        dict(zip(names, median.round(3).tolist(), strict=True)),
        dict(zip(names, high.round(3).tolist(), strict=True)),
        float(1000 / mean[-1]),
        float((counted[:, STAGES.index("segmentation")] > 0).mean()),
    )


def make_card_video(folder: Path, frames: int = VIDEO_FRAMES) -> Path:
    """Write a video of a card with 15 letters before a hand-held camera, and return its path."""
    path = folder / "card.mp4"
    _, shots = shoot_video(PenHand(load_pen()), card(), Shake(), seed=VIDEO_SEED, frames=frames)
    write_video(path, shots)
    return path


def loop_table(result: LoopResult) -> Table:
    """Return one line per stage of a frame and one for the whole; the caption has the frames per second."""
    width, height = result.size
    table = Table(
        title=f"stages of a frame: {result.model}, {width}x{height}, {result.letters:.1f} letters, one thread",
        caption=f"{result.fps:.0f} frames a second, measured on {result.frames} frames; {result.searched:.0%} of them searched",
    )
    table.add_column("stage", no_wrap=True)
    for name in ("mean ms", "median ms", "p90 ms", "share %"):
        table.add_column(name, justify="right", no_wrap=True)
    stages = sum(result.mean_ms[name] for name in STAGES)
    for name in (*STAGES, WHOLE):
        share = 100 * result.mean_ms[name] / stages
        times = (f"{one[name]:.2f}" for one in (result.mean_ms, result.median_ms, result.p90_ms))
        table.add_row(name, *times, f"{share:.0f}" if name != WHOLE else "", end_section=name == STAGES[-1])
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.camera_loop", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "video",
        type=Path,
        nargs="?",
        metavar="VIDEO",
        help="a video to read (default: a generated 640x480 video of a card with 15 letters)",
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args(arguments)
    try:
        with one_thread(), tempfile.TemporaryDirectory() as folder:
            path = options.video or make_card_video(Path(folder))
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
