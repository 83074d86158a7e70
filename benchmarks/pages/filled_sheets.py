"""Photographs of filled-in sheets to write on: what stands in each box is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ...runtime.sheet.drawing import Colour, Rectangle, Text, draw_page
from ...runtime.sheet.layout import BOX_MM, SheetBox, SheetPage
from ...train.data.drawing import Stroke
from .camera import Exposure, expose
from .forms import as_seen
from .paper import Paper, View, draw_sheet, look_at
from .writing import REFERENCE_PX, Hand, Writing, Written, shape

# The width of a photographed sheet in pixels, about half of what a phone gives.
PHOTO_PX = 1500
LETTER, EMPTY, CROSSED = "letter", "empty", "crossed out"
Strokes: TypeAlias = tuple[Stroke, ...]
# The height of a Helvetica capital in points of its size, and in pixels of OpenCV's font at scale 1.
CAPITAL_PT, CAPITAL_PX = 0.72, 21


@dataclass(frozen=True)
class Filling:
    """How boxes are filled in. The values were chosen by hand.

    empty and crossed are the shares of boxes that are left empty and crossed out. capital is the smallest and the largest height
    of a capital of one writer in millimetres, and spread the standard deviation of the logarithm of a letter's size. foot is the
    distance of the line of writing from the lower side, and off the standard deviation of a letter's place, in sides of a box.
    """

    empty: float = 0.05
    crossed: float = 0.05
    capital: tuple[float, float] = (6.0, 9.5)
    spread: float = 0.07
    foot: float = 0.24
    off: float = 0.05


@dataclass(frozen=True)
class FilledBox:
    """A box, what stands in it (LETTER, EMPTY or CROSSED), and the strokes of its letter in millimetres of the page."""

    box: SheetBox
    state: str
    strokes: Strokes = ()
    crossing: Strokes = ()
    capital: float = 0.0


@dataclass(frozen=True)
class FilledSheet:
    """A photograph (H, W, 3) BGR uint8 of a filled-in page, its boxes, and the width of its pen in heights of a capital.

    blurs are the radii of what the lens makes of a point in each box, in millimetres of the page.
    """

    image: Pixels
    page: SheetPage
    boxes: tuple[FilledBox, ...]
    pen: float
    blurs: tuple[float, ...]


def fill_in(page: SheetPage, hand: Hand, filling: Filling, rng: np.random.Generator) -> tuple[FilledBox, ...]:
    """Write into the boxes of a page; those of letters that the hand lacks stay empty."""
    known = {*hand.letters(True), *(letter.lower() for letter in hand.letters(False))}
    capital = float(rng.uniform(*filling.capital))
    filled: list[FilledBox] = []
    for box in page.boxes:
        chance = rng.random()
        if chance < filling.empty or not (box.label in known or box.label.isdigit()):
            filled.append(FilledBox(box, EMPTY))
            continue
        size = capital * float(np.exp(filling.spread * rng.normal()))
        strokes = _put(shape(hand, box.label, rng), box, size, filling, rng)
        is_crossed = chance < filling.empty + filling.crossed
        crossing = cross_out(strokes, rng) if is_crossed else ()
        filled.append(FilledBox(box, CROSSED if is_crossed else LETTER, strokes, crossing, size))
    return tuple(filled)


def _put(strokes: Sequence[Stroke], box: SheetBox, size: float, filling: Filling, rng: np.random.Generator) -> Strokes:
    """Put a letter of this size into its box, not quite in the middle."""
    x = np.concatenate(strokes)[:, 0]
    middle = np.array([(x.min() + x.max()) / 2, 0], np.float32)
    at = np.array([box.left + BOX_MM / 2, box.top + (1 - filling.foot) * BOX_MM]) + filling.off * BOX_MM * rng.normal(size=2)
    return tuple(((stroke - middle) * np.float32(size) + at).astype(np.float32) for stroke in strokes)


def cross_out(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """Return strokes in millimetres that cross a letter out: one or two slanting lines, two or three level ones, or a zigzag."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 + rng.uniform(0.5, 2.0, 2), 3.0)
    corners = middle + half * np.array([(-1, -1), (1, 1), (-1, 1), (1, -1)])
    corners = corners + rng.normal(0, 0.6, corners.shape)
    way = int(rng.integers(4))
    if way == 0:
        lines = [corners[2:]]
    elif way == 1:
        lines = [corners[:2], corners[2:]]
    elif way == 2:
        heights = middle[1] + half[1] * np.linspace(-0.4, 0.4, int(rng.integers(2, 4))) + rng.normal(0, 0.3)
        lines = [np.array([(middle[0] - half[0], y), (middle[0] + half[0], y + rng.normal(0, 0.5))]) for y in heights]
    else:
        count = int(rng.integers(6, 12))
        x = middle[0] + half[0] * np.linspace(-1, 1, count)
        y = middle[1] + half[1] * np.where(np.arange(count) % 2, -0.8, 0.8) * rng.uniform(0.8, 1.2, count)
        lines = [np.column_stack([x, y])]
    return tuple(line.astype(np.float32) for line in lines)


def photograph_sheet(
    page: SheetPage,
    boxes: Sequence[FilledBox],
    paper: Paper,
    *,
    view: View,
    exposure: Exposure,
    rng: np.random.Generator,
    width_px: int = PHOTO_PX,
) -> FilledSheet:
    """Photograph a filled-in page, upright; paper says which ink and pen it was filled in with."""
    scale = width_px / page.size[0]
    size = (width_px, round(page.size[1] * scale))
    for_view, for_sheet, for_light = rng.spawn(3)
    seen = look_at(view, size, np.array([(0, 0), size], float), for_view)
    # Pixels of the photograph a millimetre, where each box is.
    scales = [side_of(seen(scale * one.box.corners)) / BOX_MM for one in boxes]
    written = [
        Written(one.box.label, tuple(scale * stroke for stroke in (*one.strokes, *one.crossing)), near * one.capital)
        for one, near in zip(boxes, scales, strict=True)
        if one.strokes
    ]
    writing = Writing(size, ((tuple(written),),), (), ())
    fine = 2
    flat = print_page(page, (fine * size[0], fine * size[1]))
    opacity = cv2.resize(as_seen(255 - flat, seen, fine), size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    sheet = draw_sheet(writing, paper, seen, view.desk > 0, for_sheet, printed=(opacity, (0.06, 0.06, 0.06)))
    radius = exposure.defocus * width_px / REFERENCE_PX
    blurs = tuple(radius / near for near in scales)
    return FilledSheet(expose(sheet, exposure, for_light), page, tuple(boxes), paper.pen, blurs)


def side_of(quad: NDArray[np.float64]) -> float:
    """Return the side of a square of the same area as a quad (4, 2)."""
    x, y = quad.T
    return float(np.sqrt(0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))))


def print_page(page: SheetPage, size: tuple[int, int]) -> Pixels:
    """Return a page as a printer without colours prints it, (H, W) uint8 of this size (width, height): 255 is bare paper."""
    scale = size[0] / page.size[0]
    image = np.full((size[1], size[0]), 255, np.uint8)
    for item in draw_page(page):
        if isinstance(item, Rectangle):
            _print_rectangle(image, item, scale)
        else:
            _print_text(image, item, scale)
    return image


def _print_rectangle(image: Pixels, item: Rectangle, scale: float) -> None:
    bits = 4
    corners = np.array([(item.left, item.top), (item.left + item.width, item.top + item.height)])
    first, last = np.rint((corners * scale - 0.5) * (1 << bits)).astype(int).tolist()
    if item.outline is None:
        square = np.array([first, (last[0], first[1]), last, (first[0], last[1])])
        cv2.fillConvexPoly(image, square, grey(item.colour), cv2.LINE_AA, bits)
    else:
        cv2.rectangle(image, first, last, grey(item.colour), max(1, round(item.outline * scale)), cv2.LINE_AA, bits)


def _print_text(image: Pixels, item: Text, scale: float) -> None:
    capital = item.points * 25.4 / 72 * CAPITAL_PT * scale
    at = round(item.left * scale), round(item.foot * scale)
    thick = max(1, round(capital * (0.2 if item.is_bold else 0.12)))
    cv2.putText(image, item.text, at, cv2.FONT_HERSHEY_SIMPLEX, capital / CAPITAL_PX, grey(item.colour), thick, cv2.LINE_AA)


def grey(colour: Colour) -> int:
    """Return a colour as a printer without colours prints it, 0..255."""
    return round(255 * (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]))
