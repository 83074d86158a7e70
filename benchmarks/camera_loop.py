"""The whole camera loop on a film: milliseconds of each stage.

Maintainer's command:

    python -m lettercast.benchmarks.camera_loop [FILM] [--model M] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .. import UNUSABLE, LettercastError
from ..runtime.engine import open_engine
from ..runtime.files import write_bytes
from ..runtime.reader import Reader
from ..runtime.track import Tracker
from ..runtime.video import video_frames
from ..train.pen import load_pen
from ..values import device_model
from .film import Shake, card, film, write_film
from .hands import PenHand
from .stages import STAGES, WHOLE, TimedReader, one_thread, time_stages

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    from rich.console import Console

    from .page_tables import loop_table

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.camera_loop", description=(__doc__ or "").splitlines()[0]
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
