"""Run for hours with a camera that fails again and again and browsers that come and go, and watch for leaks.

Maintainer's command:

    python -m lettercast.benchmarks.soak [--hours H] [--film VIDEO] [--model M] [--json FILE]
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
from ..runtime.retry import Backoff
from ..runtime.sources.camera import Camera, Timeouts
from ..runtime.web.server import WebView
from .parity.measure import Machine, this_machine
from .speed.camera_loop import make_card_video, one_thread

# How the camera fails: it returns no frame, like an unplugged one; its driver raises; or read() hangs and returns much later.
UNPLUGGED, DRIVER, HANGS = "unplugged", "driver failed", "hung"
# How many times the process is measured in a run, and how many bytes a browser reads at once.
SAMPLES, READ_BYTES, MEGABYTE = 240, 1 << 14, 1 << 20


@dataclass(frozen=True)
class SoakPlan:
    """How the camera and the browsers behave, in seconds, and what counts as flat.

    The camera runs at `fps` for min_s to max_s and then fails; opening it fails up to max_failures times. A hanging read()
    takes hang_s. A browser stays for visit_s and comes back after away_s. In a share `settling` of the time caches and pools
    fill; after that memory may grow by max_growth_mb. A run of less than min_hours cannot tell whether memory grows.
    """

    fps: float = 30.0
    min_s: float = 5.0
    max_s: float = 40.0
    max_failures: int = 3
    hang_s: float = 3.0
    visit_s: float = 3.0
    away_s: float = 2.0
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(silence_s=1.0, retries=Backoff(0.05, 0.8), release_s=0.2))
    settling: float = 0.1
    max_growth_mb: float = 4.0
    min_hours: float = 0.1


SOAK_PLAN = SoakPlan()
VERDICTS = {
    True: "flat: nothing grows",
    False: "memory, descriptors or threads grow",
    None: f"too short to tell whether anything grows; use --hours {SOAK_PLAN.min_hours} or more",
}


@dataclass(frozen=True)
class Held:
    """What this process holds at a time: resident memory in MB, open descriptors and threads."""

    seconds: float
    memory_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """A long run: frames read, camera failures by kind, failed openings, visits of browsers, and samples of what was held."""

    machine: Machine
    model: str
    hours: float
    frames: int
    losses: dict[str, int]
    failed_openings: int
    visits: int
    held: tuple[Held, ...]

    def settled_and_last(self, name: str) -> tuple[float, float]:
        """Return the medians of a quantity in the first and in the last tenth of the samples after settling."""
        values = [getattr(held, name) for held in self.held if held.seconds >= SOAK_PLAN.settling * 3600 * self.hours]
        tenth = max(1, len(values) // 10)
        return median(values[:tenth]), median(values[-tenth:])

    @property
    def growth(self) -> dict[str, float]:
        """Growth of each quantity from the first to the last tenth."""
        grown = {name: self.settled_and_last(name) for name in ("memory_mb", "descriptors", "threads")}
        return {name: last - settled for name, (settled, last) in grown.items()}

    @property
    def is_flat(self) -> bool | None:
        """Whether nothing grows, None if the run was too short to tell; a browser may hold two descriptors and a thread."""
        if self.hours < SOAK_PLAN.min_hours:
            return None
        grown = self.growth
        return grown["memory_mb"] <= SOAK_PLAN.max_growth_mb and grown["descriptors"] <= 2 and grown["threads"] <= 1


@dataclass
class LossyCamera:
    """A camera that shows a video in a loop and fails again and again, at random times that the seed decides."""

    video: Path
    rng: np.random.Generator
    plan: SoakPlan = SOAK_PLAN
    losses: Counter[str] = field(default_factory=Counter)
    failed_openings: int = 0
    _failures_left: int = 0

    def connect(self) -> "LossyCapture":
        """Open the camera; raises LettercastError while it is away."""
        if self._failures_left:
            self._failures_left -= 1
            self.failed_openings += 1
            raise LettercastError("the camera is away")
        lasts_s = self.rng.uniform(self.plan.min_s, self.plan.max_s)
        return LossyCapture(self, str(self.rng.choice([UNPLUGGED, DRIVER, HANGS])), time.monotonic() + lasts_s)

    def lose(self, how: str) -> None:
        """Count a failure, and decide how often opening the camera fails next."""
        self.losses[how] += 1
        self._failures_left = int(self.rng.integers(0, self.plan.max_failures + 1))


class LossyCapture:
    """The open camera."""

    def __init__(self, camera: LossyCamera, end: str, until: float) -> None:
        self._camera, self._end, self._until = camera, end, until
        self._capture = cv2.VideoCapture(str(camera.video))
        self._next = time.monotonic()

    def read(self) -> tuple[bool, Any]:
        """Return the next image at the camera's frame rate, until the camera fails."""
        self._next += 1 / self._camera.plan.fps
        time.sleep(max(0.0, self._next - time.monotonic()))
        if time.monotonic() >= self._until:
            self._camera.lose(self._end)
            if self._end == DRIVER:
                raise OSError("no such device")
            if self._end == HANGS:
                time.sleep(self._camera.plan.hang_s)
            return False, None
        is_read, image = self._capture.read()
        if not is_read:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            is_read, image = self._capture.read()
        return is_read, image

    def release(self) -> None:
        """Close the video."""
        self._capture.release()


@dataclass
class Visitors:
    """A browser that connects, watches and hangs up again and again, in a thread of its own."""

    url: str
    plan: SoakPlan = SOAK_PLAN
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
        while not self._is_leaving.wait(self.plan.away_s):
            path = paths[self.visits % len(paths)]
            self.visits += 1
            try:
                with urllib.request.urlopen(self.url + path, timeout=10) as response:
                    end = time.monotonic() + self.plan.visit_s
                    while response.read1(READ_BYTES) and time.monotonic() < end:
                        pass
            except OSError:
                # There is no image yet, or nothing at this address; a browser would show that error.
                continue


def soak(reader: Reader, video: Path, hours: float, seed: int = 0, plan: SoakPlan = SOAK_PLAN) -> Soak:
    """Read a video from a failing camera, stream it to browsers, and sample what the process holds."""
    camera, held, frames = LossyCamera(video, np.random.default_rng(seed), plan), [], 0
    began = time.monotonic()

    def until_end(source: Camera) -> Iterator[Frame]:
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
        source = opened.enter_context(closing(Camera("lossy", camera.connect, plan.timeouts)))
        visitors = opened.enter_context(Visitors(view.url, plan))
        read_frames(reader, until_end(source), Outputs(json=True, window=False, view=view))
    name = reader.engine.facts.name
    return Soak(this_machine(), name, hours, frames, dict(camera.losses), camera.failed_openings, visitors.visits, tuple(held))


def held_now(seconds: float) -> Held:
    """Return what this process holds now, from /proc."""
    return Held(round(seconds, 1), round(resident_mb(), 2), count_in("/proc/self/fd"), count_in("/proc/self/task"))


def count_in(folder: str) -> int:
    """Return the number of entries in a folder."""
    return sum(1 for _ in Path(folder).iterdir())


def resident_mb() -> float:
    """Return this process's resident memory in MB, from /proc."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def describe(result: Soak) -> str:
    """Return the figures as lines of text, with the verdict as the last one."""
    lost = ", ".join(f"{how} {count}" for how, count in sorted(result.losses.items()))
    lines = [
        f"{result.model}, {result.hours:g} h: {result.frames} frames; camera lost {sum(result.losses.values())} times ({lost}), "
        f"{result.failed_openings} failed openings; {result.visits} visits of browsers"
    ]
    for name, unit in (("memory_mb", " MB"), ("descriptors", ""), ("threads", "")):
        settled, last = result.settled_and_last(name)
        peak = max(getattr(held, name) for held in result.held)
        lines.append(
            f"{name.partition('_')[0]}: {settled:g}{unit} after settling, {last:g}{unit} at the end, {peak:g}{unit} peak"
        )
    return "\n".join([*lines, VERDICTS[result.is_flat]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures and return the exit code: 1 if memory, descriptors or threads grow."""
    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=amount, default=1.0, metavar="H", help="how long to run (default: %(default)g)")
    parser.add_argument(
        "--film",
        type=Path,
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
            path = options.film or make_card_video(Path(folder))
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
