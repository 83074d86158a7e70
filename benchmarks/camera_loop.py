"""The whole camera loop on a film: milliseconds of each stage, and memory over minutes of it.

Maintainer's command:

    python -m lettercast.benchmarks.camera_loop [FILM] [--minutes N] [--model M] [--json FILE]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import LettercastError
from ..arguments import UNUSABLE, device_model, finite
from ..runtime.engine import open_engine
from ..runtime.files import write_bytes
from ..runtime.frame import Frame
from ..runtime.loop import Outputs, read_frames
from ..runtime.overlay import Status, annotate
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from ..runtime.track import Tracker
from ..runtime.video import video_frames
from ..train.pen import load_pen
from .film import Shake, card, film, write_film
from .hands import PenHand

STAGES = ("capture", "segment", "classify", "draw")
# The first frames fill caches and pools.
WARM_FRAMES = 30
FILM_FRAMES, FILM_SEED = 150, 3
# Memory is looked at this often, and after this time it should grow no more.
WATCH_S, SETTLED_S = 5.0, 60.0
MEGABYTE = 1 << 20


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


@dataclass(frozen=True)
class Soak:
    """Minutes of looped film: frames given and read, and resident memory in MB, settled and in the end."""

    minutes: float
    given: int
    read: int
    settled_mb: float
    end_mb: float
    most_mb: float

    @property
    def growth_mb(self) -> float:
        """Growth of the memory after it had settled."""
        return self.end_mb - self.settled_mb


@dataclass
class Watcher:
    """A viewer for whom every frame is drawn; it notes the memory from time to time."""

    started: float
    samples: list[tuple[float, float]]
    viewers: int = 1

    def publish(self, picture: Pixels | None, page: dict[str, Any]) -> None:
        """Note the memory."""
        seconds = time.perf_counter() - self.started
        if not self.samples or seconds - self.samples[-1][0] >= WATCH_S:
            self.samples.append((seconds, resident_mb()))


def time_loop(reader: Reader, path: Path) -> LoopResult:
    """Read a film frame by frame as `lettercast read` does, and time each stage."""
    tracker, rows, letters, size = Tracker(reader), [], [], (0, 0)
    frames = video_frames(path)
    while True:
        start = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            break
        captured = time.perf_counter()
        page = tracker.read(frame.image)
        drawing = time.perf_counter()
        annotate(frame.image, page, Status(30.0))
        done = time.perf_counter()
        rows.append(
            (1000 * (captured - start), page.segment_ms, page.classify_ms, 1000 * (done - drawing), 1000 * (done - start))
        )
        letters.append(len(page.letters))
        size = page.size
    kept = np.array(rows[WARM_FRAMES:] or rows)
    median, high = np.median(kept, 0), np.percentile(kept, 90, axis=0)
    names = (*STAGES, "whole")
    return LoopResult(
        reader.engine.facts.name,
        len(kept),
        float(np.mean(letters)),
        size,
        dict(zip(names, median.round(3).tolist(), strict=True)),
        dict(zip(names, high.round(3).tolist(), strict=True)),
        float(1000 / median[-1]),
    )


def soak(reader: Reader, path: Path, minutes: float) -> Soak:
    """Read a film over and over for some minutes, every frame drawn, and watch the memory."""
    given = 0
    watcher = Watcher(time.perf_counter(), [])

    def looped() -> Iterator[Frame]:
        nonlocal given
        while time.perf_counter() - watcher.started < 60 * minutes:
            for frame in video_frames(path):
                given += 1
                yield frame

    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        read = read_frames(reader, looped(), Outputs(window=False, view=watcher))
    samples = [*watcher.samples, (60 * minutes, resident_mb())]
    settled = next(mb for seconds, mb in samples if seconds >= min(SETTLED_S, 30 * minutes))
    return Soak(minutes, given, read, settled, samples[-1][1], max(mb for _, mb in samples))


def resident_mb() -> float:
    """Return this process's resident memory in MB, from Linux's own account of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def make_film(folder: Path) -> Path:
    """Write a film of a card with fifteen letters before a hand-held camera."""
    path = folder / "card.mp4"
    _, frames = film(PenHand(load_pen()), card(), Shake(), seed=FILM_SEED, frames=FILM_FRAMES)
    write_film(path, frames)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.camera_loop", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("film", type=Path, nargs="?", metavar="FILM", help="default: a card of 15 letters in a hand, 640x480")
    parser.add_argument("--minutes", type=finite, default=0.0, metavar="N", help="read it over and over, and watch the memory")
    parser.add_argument("--model", type=device_model, default="letters-base", metavar="M")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = options.film or make_film(Path(folder))
            reader = Reader(open_engine(options.model))
            timed = time_loop(reader, path)
            soaked = soak(reader, path, options.minutes) if options.minutes > 0 else None
        figures = {"loop": asdict(timed), "soak": soaked and {**asdict(soaked), "growth_mb": soaked.growth_mb}}
        if options.json:
            write_bytes(options.json, json.dumps(figures, indent=2).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    width, height = timed.size
    print(f"{timed.model}, {width}x{height}, {timed.letters:.1f} letters, one thread: {timed.fps:.0f} frames a second")
    print("median ms: " + ", ".join(f"{name} {ms:.2f}" for name, ms in timed.median_ms.items()))
    if soaked:
        print(
            f"{soaked.minutes:g} minutes: {soaked.read} of {soaked.given} frames read, {soaked.settled_mb:.1f} MB settled, "
            f"{soaked.end_mb:.1f} MB in the end, {soaked.growth_mb:+.1f} MB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
