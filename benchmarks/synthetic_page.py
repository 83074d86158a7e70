"""Pages written by a hand and photographed by a camera that does not exist: known text, and known boxes of every letter.

Maintainer's command, for the example page:

    python -m lettercast.benchmarks.synthetic_page docs/example-page.jpg "HANDWRITING" "ON A DEVICE"
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..runtime.files import write_bytes
from ..runtime.pixels import Pixels
from ..train.pen import load_pen
from .exposure import Exposure, expose
from .hands import Hand, PenHand
from .paper import Paper, draw_sheet
from .texture import Field
from .view import Projection, View, look_at
from .writing import Layout, Writing, Written, write_page

PHONE_PX, WEBCAM_PX = (1280, 960), (640, 480)
EXAMPLE_PX, EXAMPLE_SEED = (1280, 500), 12


@dataclass(frozen=True)
class Scene:
    """All that decides a photograph but chance; the defaults are a clean page in even light."""

    layout: Layout = field(default_factory=Layout)
    paper: Paper = field(default_factory=Paper)
    view: View = field(default_factory=View)
    exposure: Exposure = field(default_factory=Exposure)

    def change(self, **values: Any) -> "Scene":
        """Return another scene; values are named as the fields of layout, paper, view and exposure, whose names all differ."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        unknown = set(values) - {one.name for part in parts.values() for one in fields(part)}
        if unknown:
            raise TypeError(f"a scene has no {', '.join(sorted(unknown))}")
        own = {name: {one.name for one in fields(part)} & set(values) for name, part in parts.items()}
        return Scene(**{name: replace(part, **{one: values[one] for one in own[name]}) for name, part in parts.items()})


@dataclass(frozen=True)
class PlacedLetter:
    """A letter that stands on a photograph: itself in its case, its box (x, y, width, height) in pixels, its line and word."""

    letter: str
    box: tuple[float, float, float, float]
    line: int
    word: int


@dataclass(frozen=True)
class Page:
    """A written page before the camera, not lit yet: sheet (H, W, 3) of reflected shares, and what a Photo knows."""

    sheet: Field
    text: str
    letters: tuple[PlacedLetter, ...]
    writing: Writing


@dataclass(frozen=True)
class Photo:
    """A photograph (H, W, 3) BGR uint8 of a page with known text and letters, in reading order."""

    image: Pixels
    text: str
    letters: tuple[PlacedLetter, ...]
    writing: Writing


def photograph(
    hand: Hand,
    scene: Scene,
    size: tuple[int, int],
    *,
    writer: np.random.Generator,
    camera: np.random.Generator,
    text: Sequence[str] = (),
) -> Photo:
    """Write a page and photograph it.

    Args:
        hand: who writes.
        scene: what the page and the camera are like.
        size: (width, height) of the photograph in pixels.
        writer: decides words and shapes of letters.
        camera: decides all else, so that the same letters can be seen on many pages.
        text: lines to write; without it, words by chance.
    """
    for_light, for_rest = camera.spawn(2)
    page = lay_out(hand, scene, size, writer=writer, camera=for_rest, text=text)
    return Photo(expose(page.sheet, scene.exposure, for_light), page.text, page.letters, page.writing)


def lay_out(
    hand: Hand,
    scene: Scene,
    size: tuple[int, int],
    *,
    writer: np.random.Generator,
    camera: np.random.Generator,
    text: Sequence[str] = (),
) -> Page:
    """Write a page and lay it before the camera, without taking the photograph; arguments as of `photograph`."""
    writing = write_page(hand, scene.layout, size, writer, text)
    for_view, for_sheet = camera.spawn(2)
    points = np.concatenate([s for one in writing.letters for s in one.strokes] or [np.array([size], float) / 2])
    seen = look_at(scene.view, size, points, for_view)
    sheet = draw_sheet(writing, scene.paper, seen, scene.view.desk > 0, for_sheet)
    placed = tuple(
        PlacedLetter(one.letter, _box(one, scene.paper.pen, seen), line, word)
        for line, words in enumerate(writing.lines)
        for word, letters in enumerate(words)
        for one in letters
    )
    return Page(sheet, writing.text, placed, writing)


def _box(one: Written, pen: float, seen: Projection) -> tuple[float, float, float, float]:
    """Return the box (x, y, width, height) of a letter's ink in the picture, half a pen beyond its strokes."""
    ink = seen(np.concatenate(one.strokes))
    half = pen * one.size / 2
    (left, top), (right, bottom) = ink.min(0) - half, ink.max(0) + half
    return float(left), float(top), float(right - left), float(bottom - top)


def main(out: str, *lines: str) -> int:
    """Write one page as a picture; returns the exit code."""
    scene = Scene().change(
        size=82, pitch=2.1, spacing=0.3, margin=0.05, rulings=("lines",), shadow=0.35, turn=1.5, noise=3.0, jpeg=88
    )
    writer, camera = np.random.default_rng(EXAMPLE_SEED).spawn(2)
    photo = photograph(PenHand(load_pen()), scene, EXAMPLE_PX, writer=writer, camera=camera, text=lines)
    write_bytes(Path(out), cv2.imencode(Path(out).suffix, photo.image)[1].tobytes())
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
