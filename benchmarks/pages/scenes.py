"""Photographs of generated pages, and the conditions that make them hard to read, each at three strengths.

Write an example page:

    python -m lettercast.benchmarks.pages.scenes page.jpg [LINE ...]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.files import write_bytes
from ...runtime.pixels import Pixels
from ...train.data.pen import load_pen
from .camera import Exposure, expose
from .forms import SIDE_INKS, Form, draw_form, write_form
from .paper import Field, Paper, Projection, View, draw_sheet, look_at
from .writing import Hand, Layout, PenHand, Writing, Written, write_page

PHONE_PX, WEBCAM_PX, LARGE_PX = (1280, 960), (640, 480), (4000, 3000)
EXAMPLE_PX, EXAMPLE_SEED = (1280, 500), 12
Changes: TypeAlias = dict[str, Any]
STRENGTHS = ("mild", "moderate", "strong")
PLAIN = "plain"
COLOURS = ("blue", "red", "green", "violet")
CELLS = {"cells": True, "rulings": ("cells",), "rule": 0.9, "pitch": 2.3}
BOARD = {"inks": ("chalk",), "papers": ("blackboard", "green board"), "grain": 0.03}
# Letters of a few pixels in the middle of a sharp, large photograph.
MEGAPIXELS = "12 megapixels"
# Number plates and other codes, for models that read digits.
CODES = "codes"
FAR_OFF = {"defocus": 0.15, "margin": 0.32, "max_letters": 120, "turn": 0.4, "tilt": 1.0}
PENCIL_ON_SQUARES = {"rulings": ("squares",), "rule_px": 1.6, "inks": ("graphite",), "cover": 0.55, "pen": 0.06, "size": 42.0}
SCREEN = {"inks": ("glow",), "papers": ("screen",), "grain": 0.0}
# The same boxes on three sheets: an office form on a desk, one that is photographed in haste, and one filled in carelessly.
_FORM_INKS = ("black", "blue", "grey", "green", "red", "orange")
_FORM: tuple[Changes, Changes, Changes] = (
    {"size": 52.0, "max_letters": 60, "side_px": 1.5, "shadow": 0.15, "soft": 120.0},
    {
        **{"size": 46.0, "max_letters": 60, "box_height": 1.45, "box_width": 1.15, "fill": 0.85, "off": 0.08, "empty": 0.1},
        **{"captions": "below", "side_inks": _FORM_INKS, "inks": ("blue-black", "black", "blue")},
        **{"turn": 2.5, "tilt": 10.0, "shadow": 0.3, "soft": 60.0},
    },
    {
        **{"size": 40.0, "max_letters": 60, "box_height": 1.25, "box_width": 1.0, "fill": 1.0, "off": 0.11, "empty": 0.15},
        **{"captions": "above", "heading": True, "side_inks": _FORM_INKS, "side_px": 3.0, "pen": 0.1},
        **{"inks": ("blue-black", "black", "blue", "green")},
        **{"turn": 5.0, "tilt": 18.0, "shadow": 0.45, "soft": 20.0, "noise": 3.0},
    },
)
FORMS: dict[str, tuple[Changes, Changes, Changes]] = {
    kind: (
        {**_FORM[0], "form": kind, **mild},
        {**_FORM[1], "form": kind, **moderate},
        {**_FORM[2], "form": kind, **strong},
    )
    for kind, mild, moderate, strong in (
        ("apart", {}, {"captions": "letters"}, {}),
        ("shared", {}, {}, {"joint": True, "captions": ""}),
        ("comb", {}, {"form": "open"}, {"tick": 0.3}),
        ("lines", {}, {}, {}),
    )
}
# The differences from a clean page at each strength. You meet mild conditions daily and moderate ones now and then; strong
# ones are the worst that anyone would still expect to be read.
CONDITIONS: dict[str, tuple[Changes, Changes, Changes]] = {
    "soft shadow": ({"shadow": 0.3, "soft": 120.0}, {"shadow": 0.45, "soft": 90.0}, {"shadow": 0.65, "soft": 60.0}),
    "hard shadow": ({"shadow": 0.25, "soft": 8.0}, {"shadow": 0.4, "soft": 5.0}, {"shadow": 0.6, "soft": 3.0}),
    "folds": ({"folds": 1, "fold": 0.08}, {"folds": 2, "fold": 0.16}, {"folds": 4, "fold": 0.26}),
    "rotation": ({"turn": 4.0}, {"turn": 8.0}, {"turn": 15.0}),
    "perspective": ({"tilt": 12.0}, {"tilt": 24.0}, {"tilt": 38.0}),
    "bent page": ({"bend": 0.008}, {"bend": 0.018}, {"bend": 0.035}),
    "desk around": ({"desk": 0.02}, {"desk": 0.06}, {"desk": 0.12, "turn": 6.0, "tilt": 15.0}),
    "far sheet": ({"desk": 0.1}, {"desk": 0.15, "turn": 3.0}, {"desk": 0.2, "turn": 6.0}),
    "defocus": ({"defocus": 2.0}, {"defocus": 4.0}, {"defocus": 7.0}),
    "motion blur": ({"motion": 4.0}, {"motion": 8.0}, {"motion": 13.0}),
    "noise": ({"noise": 5.0}, {"noise": 9.0}, {"noise": 15.0}),
    "JPEG": ({"jpeg": 60}, {"jpeg": 35}, {"jpeg": 15}),
    "dim light": ({"level": 0.6, "noise": 2.5}, {"level": 0.35, "noise": 3.5}, {"level": 0.18, "noise": 4.5}),
    "glaring light": ({"level": 1.2}, {"level": 1.5, "falloff": 0.3}, {"level": 2.0, "falloff": 0.5}),
    "desk lamp": ({"lamp": 0.5}, {"lamp": 0.7}, {"lamp": 0.85}),
    "few letters": (
        {"max_letters": 3, "lamp": 0.5},
        {"max_letters": 2, "size": 60.0, "lamp": 0.7},
        {"max_letters": 1, "size": 40.0, "lamp": 0.85},
    ),
    "tinted paper": (
        {"papers": ("cream", "blue")},
        {"papers": ("yellow", "pink", "grey")},
        {"papers": ("brown",), "grain": 0.025},
    ),
    "ruled": (
        {"rulings": ("lines",), "rule": 0.35, "margin_rule": True},
        {"rulings": ("lines",), "rule": 0.65, "margin_rule": True},
        {"rulings": ("lines",), "rule": 1.0, "rule_px": 3.0, "margin_rule": True, "turn": 3.0},
    ),
    "squared": (
        {"rulings": ("squares",), "rule": 0.3, "rule_px": 1.5},
        {"rulings": ("squares",), "rule": 0.55},
        {"rulings": ("squares",), "rule": 0.85, "turn": 3.0},
    ),
    "grid card": (
        {**CELLS, "spacing": 0.5, "rule_px": 1.5},
        {**CELLS, "spacing": 0.3, "pitch": 1.8, "turn": 2.0},
        {**CELLS, "spacing": 0.1, "pitch": 1.45, "rule_px": 3.0, "turn": 4.0, "tilt": 10.0},
    ),
    "pencil": (
        {"inks": ("graphite",), "cover": 0.8, "dry": 0.15},
        {"inks": ("graphite",), "cover": 0.55, "dry": 0.25},
        {"inks": ("graphite",), "cover": 0.35, "dry": 0.3},
    ),
    "pencil on squares": (
        {**PENCIL_ON_SQUARES, "rule": 0.35},
        {**PENCIL_ON_SQUARES, "rule": 0.45, "turn": 4.0},
        {**PENCIL_ON_SQUARES, "rule": 0.5, "turn": 9.0, "climb": 1.3},
    ),
    "coloured ink": ({"inks": ("blue",)}, {"inks": COLOURS}, {"inks": ("orange", "light blue", "pink")}),
    "thin pen": ({"pen": 0.05}, {"pen": 0.035}, {"pen": 0.022}),
    "marker": ({"pen": 0.13}, {"pen": 0.18}, {"pen": 0.24}),
    "chalk": (
        {**BOARD, "dry": 0.15, "pen": 0.1},
        {**BOARD, "dry": 0.3, "cover": 0.85, "wiped": 0.12, "pen": 0.1},
        {**BOARD, "dry": 0.4, "cover": 0.75, "wiped": 0.3, "pen": 0.1},
    ),
    "dark screen": (
        SCREEN,
        {**SCREEN, "noise": 6.0, "cover": 0.7},
        {**SCREEN, "noise": 9.0, "cover": 0.5, "pen": 0.05, "smudge": 0.4},
    ),
    "small writing": ({"size": 44.0}, {"size": 32.0}, {"size": 22.0}),
    "large writing": ({"size": 110.0}, {"size": 170.0}, {"size": 260.0, "pitch": 1.5, "margin": 0.04}),
    "mixed sizes": (
        {"size_spread": 0.12, "line_spread": 0.15},
        {"size_spread": 0.2, "line_spread": 0.3},
        {"size": 60.0, "size_spread": 0.3, "line_spread": 0.5},
    ),
    "uneven lines": ({"jitter": 0.08, "climb": 0.4}, {"jitter": 0.14, "climb": 0.7}, {"jitter": 0.2, "climb": 1.0}),
    "crowded lines": ({"pitch": 1.7}, {"pitch": 1.4}, {"pitch": 1.2}),
    "tight letters": ({"spacing": 0.22}, {"spacing": 0.2, "kerned": True}, {"spacing": 0.13, "kerned": True, "word_gap": 0.9}),
    "wide letters": (
        {"case": "title", "spacing": 0.7, "word_gap": 2.6},
        {"case": "title", "spacing": 1.0, "word_gap": 3.2},
        {"case": "title", "spacing": 1.3, "word_gap": 3.8, "turn": 3.0},
    ),
    "touching letters": ({"touching": 0.06}, {"touching": 0.15, "spacing": 0.25}, {"touching": 0.35, "spacing": 0.2}),
    "long tails": (
        {"case": "any", "tail": 0.35, "pitch": 1.6},
        {"case": "any", "tail": 0.65, "pitch": 1.6},
        {"case": "any", "tail": 0.95, "pitch": 1.7},
    ),
    "odd letters": (
        {"odd": 0.1, "odd_size": 1.5},
        {"odd": 0.15, "odd_size": 2.0, "pitch": 2.4},
        {"odd": 0.3, "odd_size": 2.2, "pitch": 2.6, "climb": 0.5},
    ),
    "at the edge": ({"framing": 0.01}, {"framing": 0.0}, {"framing": -0.006}),
    MEGAPIXELS: ({**FAR_OFF, "size": 8.0}, {**FAR_OFF, "size": 5.2}, {**FAR_OFF, "size": 3.7}),
    "faint thin pen": (
        {"pen": 0.03, "cover": 0.55},
        {"pen": 0.02, "cover": 0.42},
        {"pen": 0.014, "cover": 0.3},
    ),
    "small letters": ({"case": "title"}, {"case": "lower"}, {"case": "any"}),
    CODES: (
        {"case": "codes"},
        {"case": "codes", "size": 52.0, "spacing": 0.25, "turn": 3.0},
        {"case": "codes", "size": 38.0, "spacing": 0.22, "pen": 0.05, "turn": 5.0, "shadow": 0.4, "noise": 4.0},
    ),
    "dust and smudges": ({"dust": 12, "smudge": 0.05}, {"dust": 40, "smudge": 0.1}, {"dust": 120, "smudge": 0.2}),
    "boxes apart": FORMS["apart"],
    "boxes joined": FORMS["shared"],
    "comb": FORMS["comb"],
    "letter lines": FORMS["lines"],
}
# A real photograph has several of these conditions at once.
ALL_AT_ONCE, AT_ONCE = "several at once", 4
# These conditions do not combine with others.
UNMIXED = (
    "desk lamp", "few letters",
    "glaring light", "grid card", "marker", "chalk", "dark screen", "large writing", "mixed sizes",
    "small letters", "boxes apart", "boxes joined", "comb", "letter lines", "long tails", "odd letters",
    "at the edge", MEGAPIXELS, "faint thin pen", "wide letters", "pencil on squares", CODES,
)  # fmt: skip
# What a model of letters can read.
OF_LETTERS = (*(name for name in CONDITIONS if name != CODES), ALL_AT_ONCE)
MIXABLE = tuple(name for name in CONDITIONS if name not in UNMIXED)
# Photographs of these conditions have this size, and all others are a phone's or a webcam's.
SIZE_OF = {MEGAPIXELS: LARGE_PX}


@dataclass(frozen=True)
class Scene:
    """Everything that decides a photograph except chance; the defaults are a clean page in even light."""

    layout: Layout = field(default_factory=Layout)
    paper: Paper = field(default_factory=Paper)
    view: View = field(default_factory=View)
    exposure: Exposure = field(default_factory=Exposure)
    form: Form = field(default_factory=Form)

    def change(self, **values: Any) -> "Scene":
        """Return a scene with other values, by the names of the fields of its parts, which all differ."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        unknown = set(values) - {one.name for part in parts.values() for one in fields(part)}
        if unknown:
            raise TypeError(f"a scene has no {', '.join(sorted(unknown))}")
        own = {name: {one.name for one in fields(part)} & set(values) for name, part in parts.items()}
        return Scene(**{name: replace(part, **{one: values[one] for one in own[name]}) for name, part in parts.items()})


@dataclass(frozen=True)
class PlacedLetter:
    """A letter on a photograph in its case, with its box (x, y, width, height) in pixels and the index of its line and word."""

    letter: str
    box: tuple[float, float, float, float]
    line: int
    word: int


@dataclass(frozen=True)
class PlacedBox:
    """The room for one letter of a form on a photograph: its row and column from 0, and its corners (4, 2) in pixels."""

    row: int
    column: int
    corners: NDArray[np.float64]


@dataclass(frozen=True)
class Page:
    """A written page before the camera, without light: its sheet (H, W, 3) of reflectance, and what a Photo knows."""

    sheet: Field
    text: str
    letters: tuple[PlacedLetter, ...]
    writing: Writing
    boxes: tuple[PlacedBox, ...] = ()


@dataclass(frozen=True)
class Photo:
    """A photograph (H, W, 3) BGR uint8 of a page with known text and letters, in reading order."""

    image: Pixels
    text: str
    letters: tuple[PlacedLetter, ...]
    writing: Writing
    boxes: tuple[PlacedBox, ...] = ()


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
        hand: the hand that writes.
        scene: the page and the camera.
        size: (width, height) of the photograph in pixels.
        writer: decides the words and the shapes of letters.
        camera: decides everything else, so that the same letters can appear on many photographs.
        text: lines to write; by default random words.
    """
    for_light, for_rest = camera.spawn(2)
    page = lay_out(hand, scene, size, writer=writer, camera=for_rest, text=text)
    return Photo(expose(page.sheet, scene.exposure, for_light), page.text, page.letters, page.writing, page.boxes)


def lay_out(
    hand: Hand,
    scene: Scene,
    size: tuple[int, int],
    *,
    writer: np.random.Generator,
    camera: np.random.Generator,
    text: Sequence[str] = (),
) -> Page:
    """Write a page and place it before the camera, without light; the arguments are those of `photograph`."""
    form = scene.form
    if form.form:
        writing = write_form(hand, form, scene.layout, size, writer)
    else:
        writing = write_page(hand, scene.layout, size, writer, text)
    for_view, for_sheet, for_print = camera.spawn(3)
    points = [*(s for one in writing.letters for s in one.strokes), *(one.corners for one in writing.boxes)]
    points = np.concatenate(points or [np.array([size], float) / 2])
    seen = look_at(scene.view, size, points, for_view)
    printed = None
    if form.form:
        colour = SIDE_INKS[str(for_print.choice(form.side_inks))]
        printed = form.side * draw_form(writing, form, seen, for_print), colour
    sheet = draw_sheet(writing, scene.paper, seen, scene.view.desk > 0, for_sheet, printed=printed)
    placed = tuple(
        PlacedLetter(one.letter, _box(one, scene.paper.pen, seen), line, word)
        for line, words in enumerate(writing.lines)
        for word, letters in enumerate(words)
        for one in letters
    )
    boxes = tuple(PlacedBox(one.row, one.column, seen(one.corners)) for one in writing.boxes)
    return Page(sheet, writing.text, placed, writing, boxes)


def _box(one: Written, pen: float, seen: Projection) -> tuple[float, float, float, float]:
    """Return the box (x, y, width, height) of a letter's ink in the image: its strokes plus half a pen on every side."""
    ink = seen(np.concatenate(one.strokes))
    half = pen * one.size / 2
    (left, top), (right, bottom) = ink.min(0) - half, ink.max(0) + half
    return float(left), float(top), float(right - left), float(bottom - top)


def scene_of(condition: str, strength: str, rng: np.random.Generator) -> Scene:
    """Return the scene of a condition at a strength; rng draws the conditions of ALL_AT_ONCE."""
    scene = Scene()
    if condition == PLAIN:
        return scene
    names = rng.choice(MIXABLE, AT_ONCE, replace=False) if condition == ALL_AT_ONCE else [condition]
    for name in names:
        scene = scene.change(**CONDITIONS[str(name)][STRENGTHS.index(strength)])
    return scene


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one page as an image file and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.scenes", description="Write an example page in the handwriting of the pen."
    )
    parser.add_argument("out", type=Path, help="the image to write, .jpg or .png")
    parser.add_argument("lines", nargs="*", metavar="LINE", help="a line to write on the page (default: random words)")
    options = parser.parse_args(arguments)
    scene = Scene().change(
        size=82, pitch=2.1, spacing=0.3, margin=0.05, rulings=("lines",), shadow=0.35, turn=1.5, noise=3.0, jpeg=88
    )
    writer, camera = np.random.default_rng(EXAMPLE_SEED).spawn(2)
    photo = photograph(PenHand(load_pen()), scene, EXAMPLE_PX, writer=writer, camera=camera, text=options.lines)
    write_bytes(options.out, cv2.imencode(options.out.suffix, photo.image)[1].tobytes())
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
