"""Measure how often the reader reports no letter on frames without letters: paper, desks, rooms and noise.

Maintainer's command:

    python -m lettercast.benchmarks.pages.blank [--frames N] [--model M] [--seed N] [--json FILE] [--save DIR]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model, natural, positive
from ...runtime.files import write_bytes
from ...runtime.model.engine import open_engine
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...runtime.text import UNKNOWN
from .camera import Exposure, compress, expose, with_noise
from .paper import PAPERS, TEXTURES, Paper, View, clouds, draw_sheet, look_at
from .scenes import PHONE_PX, WEBCAM_PX
from .writing import REFERENCE_PX, Writing

Size: TypeAlias = tuple[int, int]
FRAMES = 200
LIT_PAPERS = tuple(name for name in PAPERS if name != "screen")
# The rules of an empty sheet suit writing of this height in pixels at 1280.
RULED_FOR = (40.0, 90.0)


@dataclass(frozen=True)
class ExposureRanges:
    """The ranges of light and camera on frames without letters, as fields of Exposure. They were chosen by hand."""

    level: tuple[float, float] = (0.5, 1.1)
    falloff: tuple[float, float] = (0, 0.3)
    defocus: tuple[float, float] = (0.4, 2.5)
    noise: tuple[float, float] = (1, 5)
    jpeg: tuple[int, int] = (60, 96)


EXPOSURES = ExposureRanges()


@dataclass(frozen=True)
class Blank:
    """The number of letters reported on each frame, by kind of frame; `?` does not count."""

    model: str
    seed: int
    letters: dict[str, tuple[int, ...]]

    @property
    def silent(self) -> float:
        """Share of all frames without a reported letter, 0..1."""
        return float(np.mean([count == 0 for counts in self.letters.values() for count in counts]))

    def to_dict(self) -> dict[str, Any]:
        """Return all counts as a JSON object."""
        kinds = {kind: {"silent": float(np.mean(np.array(c) == 0)), "letters": list(c)} for kind, c in self.letters.items()}
        return {"model": self.model, "seed": self.seed, "silent": self.silent, "kinds": kinds}


def empty_sheet(size: Size, rng: np.random.Generator, paper: Paper, exposure: Exposure) -> Pixels:
    """Photograph a sheet without writing from a random direction; return (H, W, 3) BGR uint8."""
    width, height = size
    unit = rng.uniform(*RULED_FOR) * width / REFERENCE_PX
    feet = tuple(np.arange(2 * unit, height - unit, 2.2 * unit))
    columns = tuple(np.arange(0.08 * width, 0.95 * width, 2 * unit)) if "cells" in paper.rulings else ()
    writing = Writing(size, (), feet, columns)
    view = View(turn=rng.uniform(0, 6), tilt=rng.uniform(0, 20), bend=rng.uniform(0, 0.012))
    seen = look_at(view, size, np.array([size], float) * [[0.1], [0.9]], rng)
    return expose(draw_sheet(writing, paper, seen, False, rng), exposure, rng)


def textured(name: str) -> Callable[[Size, np.random.Generator], Pixels]:
    """Return a function that photographs one of TEXTURES in a random colour, light and focus."""

    def draw(size: Size, rng: np.random.Generator) -> Pixels:
        sheet = TEXTURES[name]((size[1], size[0]), rng)[..., None] * any_colour(rng)
        return expose(sheet, any_exposure(rng), rng)

    return draw


def any_colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the reflectance of a household object for blue, green and red light; bright colours are rare."""
    return (rng.uniform(0.15, 0.8) * (1 + rng.uniform(0, 0.35) * rng.uniform(-1, 1, 3))).astype(np.float32)


def any_exposure(rng: np.random.Generator, **values: Any) -> Exposure:
    """Return random light and camera; values override some fields."""
    drawn: dict[str, Any] = {
        "level": rng.uniform(*EXPOSURES.level),
        "falloff": rng.uniform(*EXPOSURES.falloff),
        "defocus": rng.uniform(*EXPOSURES.defocus),
        "noise": rng.uniform(*EXPOSURES.noise),
        "jpeg": int(rng.integers(*EXPOSURES.jpeg)),
    }
    return Exposure(**{**drawn, **values})


def blank_paper(size: Size, rng: np.random.Generator) -> Pixels:
    return empty_sheet(size, rng, Paper(papers=LIT_PAPERS, grain=rng.uniform(0.003, 0.015)), any_exposure(rng))


def ruled_paper(size: Size, rng: np.random.Generator) -> Pixels:
    paper = Paper(rulings=("lines",), rule=rng.uniform(0.3, 1), rule_px=rng.uniform(1.5, 3), margin_rule=bool(rng.random() < 0.5))
    return empty_sheet(size, rng, paper, any_exposure(rng))


def squared_paper(size: Size, rng: np.random.Generator) -> Pixels:
    kind = "squares" if rng.random() < 0.6 else "cells"
    paper = Paper(rulings=(kind,), rule=rng.uniform(0.3, 0.9), rule_px=rng.uniform(1.5, 3))
    return empty_sheet(size, rng, paper, any_exposure(rng))


def shadowed_paper(size: Size, rng: np.random.Generator) -> Pixels:
    exposure = any_exposure(rng, shadow=rng.uniform(0.2, 0.6), soft=float(np.exp(rng.uniform(1, 5))))
    return empty_sheet(size, rng, Paper(), exposure)


def lamplit_paper(size: Size, rng: np.random.Generator) -> Pixels:
    return empty_sheet(size, rng, Paper(grain=rng.uniform(0.003, 0.015)), any_exposure(rng, lamp=rng.uniform(0.3, 0.9)))


def folded_paper(size: Size, rng: np.random.Generator) -> Pixels:
    return empty_sheet(size, rng, Paper(), any_exposure(rng, folds=int(rng.integers(1, 6)), fold=rng.uniform(0.1, 0.4)))


def dusty_paper(size: Size, rng: np.random.Generator) -> Pixels:
    return empty_sheet(size, rng, Paper(dust=int(rng.integers(10, 160)), smudge=rng.uniform(0.03, 0.25)), any_exposure(rng))


def wiped_board(size: Size, rng: np.random.Generator) -> Pixels:
    paper = Paper(inks=("chalk",), papers=("blackboard", "green board"), wiped=rng.uniform(0.1, 0.4), grain=0.03)
    return empty_sheet(size, rng, paper, any_exposure(rng))


def dark_noise(size: Size, rng: np.random.Generator) -> Pixels:
    """Photograph with a covered lens: sensor noise on black."""
    black = np.full((size[1], size[0], 3), rng.uniform(0, 12), np.float32)
    return compress(with_noise(black, rng.uniform(2, 15), rng), int(rng.integers(50, 96)))


def grey_noise(size: Size, rng: np.random.Generator) -> Pixels:
    """Photograph an even wall in bad light."""
    wall = np.full((size[1], size[0], 3), rng.uniform(40, 230), np.float32)
    return compress(with_noise(wall, rng.uniform(5, 25), rng), int(rng.integers(50, 96)))


def jpeg_blocks(size: Size, rng: np.random.Generator) -> Pixels:
    """Photograph soft clouds and compress them so strongly that blocks of 8 pixels are visible."""
    soft = clouds((size[1], size[0]), size[0] / 8, rng)[..., None] * rng.uniform(5, 40) + 255 * any_colour(rng)
    return compress(soft.astype(np.float32), int(rng.integers(4, 18)))


KINDS: dict[str, Callable[[Size, np.random.Generator], Pixels]] = {
    "blank paper": blank_paper,
    "ruled paper": ruled_paper,
    "squared paper": squared_paper,
    "shadow": shadowed_paper,
    "lamp": lamplit_paper,
    "folds": folded_paper,
    "dust": dusty_paper,
    "wiped board": wiped_board,
    "dark noise": dark_noise,
    "grey noise": grey_noise,
    "JPEG blocks": jpeg_blocks,
    **{name: textured(name) for name in TEXTURES},
}


def blank_frame(number: int, seed: int = 0, sizes: tuple[Size, Size] = (PHONE_PX, WEBCAM_PX)) -> tuple[str, Pixels]:
    """Draw a frame without letters; return its kind and the image (H, W, 3) BGR uint8.

    Kinds take turns. Frames of the first turn have the first size, those of the second turn the second, and so on.
    """
    names = list(KINDS)
    kind, turn = names[number % len(names)], number // len(names)
    return kind, KINDS[kind](sizes[turn % 2], np.random.default_rng([seed, number]))


def blank_frames(count: int = FRAMES, seed: int = 0) -> Iterator[tuple[str, Pixels]]:
    """Draw frames without letters; seed and number decide each frame."""
    return (blank_frame(number, seed) for number in range(count))


def run_blank(reader: Reader, frames: Iterator[tuple[str, Pixels]], seed: int = 0) -> Blank:
    """Read frames without letters and count the letters that are reported nevertheless."""
    letters: dict[str, list[int]] = {}
    for kind, image in frames:
        page = reader.read(image)
        letters.setdefault(kind, []).append(sum(one.letter != UNKNOWN for one in page.letters))
    return Blank(reader.engine.facts.name, seed, {kind: tuple(counts) for kind, counts in letters.items()})


def saved(frames: Iterator[tuple[str, Pixels]], folder: Path) -> Iterator[tuple[str, Pixels]]:
    """Write each frame as PNG into a folder and pass it on."""
    for number, (kind, image) in enumerate(frames):
        write_bytes(folder / f"{number:03d}-{kind.replace(' ', '-')}.png", cv2.imencode(".png", image)[1].tobytes())
        yield kind, image


def blank_table(result: Blank) -> Table:
    """Return one line per kind of frame."""
    table = Table(
        title=f"frames without letters: {result.model} reports no letter on {100 * result.silent:.1f} %, seed {result.seed}"
    )
    for name in ("kind", "no letter %", "frames", "max letters", "all letters"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind, counts in result.letters.items():
        silent = sum(count == 0 for count in counts) / len(counts)
        shown = Text(f"{100 * silent:.0f}", "" if silent == 1 else "red")
        table.add_row(kind, shown, str(len(counts)), str(max(counts)), str(sum(counts)))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.blank", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--frames", type=positive, default=FRAMES, metavar="N", help="the number of frames (default: %(default)s)"
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed draws other frames (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write every frame as PNG into this folder")
    options = parser.parse_args(arguments)
    try:
        frames = blank_frames(options.frames, options.seed)
        if options.save:
            frames = saved(frames, options.save)
        result = run_blank(Reader(open_engine(options.model)), frames, options.seed)
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console().print(blank_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
