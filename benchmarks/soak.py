"""Hours before a camera that is lost again and again, with browsers that come and go: memory, descriptors and threads.

Maintainer's command:

    python -m lettercast.benchmarks.soak [--hours H] [--film FILM] [--model M] [--json FILE]
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from .. import DONE, MISSED, UNUSABLE, LettercastError
from ..runtime.arguments import amount, device_model
from ..runtime.files import write_bytes
from ..runtime.live.loop import Outputs, read_frames
from ..runtime.model.engine import open_engine
from ..runtime.pixels import Frame
from ..runtime.reader import Reader
from ..runtime.sources.camera import Camera, Timeouts
from ..runtime.web.server import WebView
from .parity.measure import Machine, this_machine
from .speed.camera_loop import make_film, one_thread

CAMERA_FPS = 30
# A camera is lost after so many seconds, and opening it fails so often before it is back.
LEAST_S, MOST_S, MOST_FAILURES = 5.0, 40.0, 3
# How it is lost: it gives nothing, as one that was unplugged; its driver raises; read() hangs, and wakes long after.
UNPLUGGED, DRIVER, HANGS = "unplugged", "driver failed", "hung"
PATIENCE = Timeouts(silence_s=1.0, retries_s=(0.05, 0.1, 0.2, 0.4, 0.8), release_s=0.2)
HANG_S = 3.0
# Browsers look on for so long, and stay away for so long.
VISIT_S, AWAY_S, READ_BYTES = 3.0, 2.0, 1 << 14
# Caches and pools have filled after a tenth of the time; then what is held may grow by no more than this.
SETTLING, FLAT_MB = 0.1, 4.0
# In less time they have not filled, and growth says nothing.
LEAST_HOURS = 0.1
VERDICTS = {True: "flat", False: "it grows", None: f"too short to tell whether it grows: --hours {LEAST_HOURS} or more"}
SAMPLES, MEGABYTE = 240, 1 << 20


@dataclass(frozen=True)
class Held:
    """What this process holds at a time: resident memory in MB, open descriptors, threads."""

    seconds: float
    memory_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """A long run: frames read, how the camera was lost and how often, visits of browsers, and what was held over time."""

    machine: Machine
    model: str
    hours: float
    frames: int
    losses: dict[str, int]
    failed_openings: int
    visits: int
    held: tuple[Held, ...]

    def settled_and_last(self, name: str) -> tuple[float, float]:
        """Return the medians of what was held in the first and in the last tenth after settling."""
        values = [getattr(held, name) for held in self.held if held.seconds >= SETTLING * 3600 * self.hours]
        tenth = max(1, len(values) // 10)
        return median(values[:tenth]), median(values[-tenth:])

    @property
    def growth(self) -> dict[str, float]:
        """Growth from the first to the last tenth, by what is held."""
        grown = {name: self.settled_and_last(name) for name in ("memory_mb", "descriptors", "threads")}
        return {name: last - settled for name, (settled, last) in grown.items()}

    @property
    def is_flat(self) -> bool | None:
        """Whether nothing grows, None where the run was too short to tell; a browser that looks on has two descriptors."""
        if self.hours < LEAST_HOURS:
            return None
        grown = self.growth
        return grown["memory_mb"] <= FLAT_MB and grown["descriptors"] <= 2 and grown["threads"] <= 1


@dataclass
class LossyCamera:
    """A camera that shows a film over and over, and is lost again and again, by chance from a seed."""

    film: Path
    rng: np.random.Generator
    losses: Counter[str] = field(default_factory=Counter)
    failed_openings: int = 0
    _failures_left: int = 0

    def connect(self) -> "LossyCapture":
        """Open it; raises LettercastError for as long as it is away."""
        if self._failures_left:
            self._failures_left -= 1
            self.failed_openings += 1
            raise LettercastError("the camera is away")
        lasts_s = self.rng.uniform(LEAST_S, MOST_S)
        return LossyCapture(self, str(self.rng.choice([UNPLUGGED, DRIVER, HANGS])), time.monotonic() + lasts_s)

    def lose(self, how: str) -> None:
        """Note that it was lost."""
        self.losses[how] += 1
        self._failures_left = int(self.rng.integers(0, MOST_FAILURES + 1))


class LossyCapture:
    """The camera while it is open."""

    def __init__(self, camera: LossyCamera, end: str, until: float) -> None:
        self._camera, self._end, self._until = camera, end, until
        self._capture = cv2.VideoCapture(str(camera.film))
        self._next = time.monotonic()

    def read(self) -> tuple[bool, Any]:
        """Return the next picture at a camera's pace, until the camera is lost."""
        self._next += 1 / CAMERA_FPS
        time.sleep(max(0.0, self._next - time.monotonic()))
        if time.monotonic() >= self._until:
            self._camera.lose(self._end)
            if self._end == DRIVER:
                raise OSError("no such device")
            if self._end == HANGS:
                time.sleep(HANG_S)
            return False, None
        answered, image = self._capture.read()
        if not answered:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            answered, image = self._capture.read()
        return answered, image

    def release(self) -> None:
        """Let go of the film."""
        self._capture.release()


@dataclass
class Visitors:
    """A browser that comes, looks on and hangs up without a word, over and over, in a thread of its own."""

    url: str
    visits: int = 0

    def __enter__(self) -> "Visitors":
        self._is_leaving = threading.Event()
        self._thread = threading.Thread(target=self._come_and_go, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving.set()
        self._thread.join()

    def _come_and_go(self) -> None:
        paths = ("stream.mjpg", "events", "", "snapshot.jpg", "page.json", "none")
        while not self._is_leaving.wait(AWAY_S):
            path = paths[self.visits % len(paths)]
            self.visits += 1
            try:
                with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                    end = time.monotonic() + VISIT_S
                    while answer.read1(READ_BYTES) and time.monotonic() < end:
                        pass
            except OSError:
                # No picture yet, or nothing at this address: a browser would show as much.
                continue


def soak(reader: Reader, film: Path, hours: float, seed: int = 0) -> Soak:
    """Read a film from a camera that is lost over and over, shown to browsers, and watch what the process holds."""
    camera, held, frames = LossyCamera(film, np.random.default_rng(seed)), [], 0
    began = time.monotonic()

    def until_late(source: Camera) -> Iterator[Frame]:
        nonlocal frames
        for frame in source:
            seconds = time.monotonic() - began
            if seconds >= len(held) * 3600 * hours / SAMPLES:
                held.append(held_now(seconds))
            if seconds >= 3600 * hours:
                return
            frames += 1
            yield frame

    with ExitStack() as opened:
        nowhere = opened.enter_context(Path(os.devnull).open("w"))
        opened.enter_context(redirect_stdout(nowhere))
        opened.enter_context(redirect_stderr(nowhere))
        view = opened.enter_context(WebView("127.0.0.1", 0))
        source = opened.enter_context(closing(Camera("lossy", camera.connect, PATIENCE)))
        visitors = opened.enter_context(Visitors(view.url))
        read_frames(reader, until_late(source), Outputs(json=True, window=False, view=view))
    name = reader.engine.facts.name
    return Soak(this_machine(), name, hours, frames, dict(camera.losses), camera.failed_openings, visitors.visits, tuple(held))


def held_now(seconds: float) -> Held:
    """Return what this process holds, by Linux's own account of it."""
    return Held(round(seconds, 1), round(resident_mb(), 2), count_in("/proc/self/fd"), count_in("/proc/self/task"))


def count_in(folder: str) -> int:
    """Return how many entries a folder has."""
    return sum(1 for _ in Path(folder).iterdir())


def resident_mb() -> float:
    """Return this process's resident memory in MB, from Linux's own account of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def describe(result: Soak) -> str:
    """Return the figures as lines for a person."""
    lost = ", ".join(f"{how} {count}" for how, count in sorted(result.losses.items()))
    lines = [
        f"{result.model}, {result.hours:g} h: {result.frames} frames; camera lost {sum(result.losses.values())} times ({lost}), "
        f"{result.failed_openings} openings failed; {result.visits} visits of browsers"
    ]
    for name, unit in (("memory_mb", " MB"), ("descriptors", ""), ("threads", "")):
        settled, last = result.settled_and_last(name)
        most = max(getattr(held, name) for held in result.held)
        lines.append(f"{name.partition('_')[0]}: {settled:g}{unit} settled, {last:g}{unit} in the end, {most:g}{unit} at most")
    return "\n".join([*lines, VERDICTS[result.is_flat]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; exit code 1 where what is held grows."""
    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=amount, default=1.0, metavar="H")
    parser.add_argument("--film", type=Path, metavar="FILM", help="default: a card of 15 letters in a hand, 640x480")
    parser.add_argument("--model", type=device_model, default="letters-base", metavar="M")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    try:
        with one_thread(), tempfile.TemporaryDirectory() as folder:
            path = options.film or make_film(Path(folder))
            result = soak(Reader(open_engine(options.model)), path, options.hours)
        if options.json:
            write_bytes(options.json, json.dumps({**asdict(result), "growth": result.growth}, indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    print(describe(result))
    return MISSED if result.is_flat is False else DONE


if __name__ == "__main__":
    sys.exit(main())
