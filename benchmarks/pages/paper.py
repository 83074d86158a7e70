"""A sheet of paper with ink on it, as reflectance: its textures, its place before the camera, and its inks and rules."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from .writing import REFERENCE_PX, Writing

# float32 throughout. NumPy's annotations widen it at every sum, so this alias does not name the type.
Field: TypeAlias = NDArray[Any]
# Reflectance of inks and papers for blue, green and red light.
INKS = {
    "blue-black": (0.27, 0.17, 0.14),
    "black": (0.13, 0.13, 0.13),
    "blue": (0.55, 0.25, 0.15),
    "red": (0.25, 0.18, 0.72),
    "green": (0.28, 0.48, 0.14),
    "violet": (0.55, 0.22, 0.42),
    "orange": (0.15, 0.48, 0.92),
    "light blue": (0.88, 0.68, 0.38),
    "pink": (0.68, 0.45, 0.90),
    "graphite": (0.32, 0.31, 0.31),
    "chalk": (0.80, 0.84, 0.84),
    "glow": (0.92, 0.92, 0.92),
}
PAPERS = {
    "white": (0.84, 0.89, 0.91),
    "cream": (0.68, 0.83, 0.88),
    "blue": (0.82, 0.70, 0.58),
    "pink": (0.72, 0.68, 0.86),
    "yellow": (0.42, 0.80, 0.88),
    "grey": (0.58, 0.60, 0.60),
    "brown": (0.36, 0.50, 0.62),
    "blackboard": (0.19, 0.20, 0.18),
    "green board": (0.25, 0.33, 0.20),
    "screen": (0.06, 0.055, 0.05),
}
RULE_INKS = {"grey": (0.62, 0.62, 0.62), "blue": (0.85, 0.68, 0.52), "black": (0.22, 0.22, 0.22)}
MARGIN_INK = (0.50, 0.48, 0.85)
DESKS = {"wood": (0.25, 0.42, 0.58), "cloth": (0.40, 0.36, 0.34), "gradient": (0.75, 0.78, 0.80), "room": (0.3, 0.32, 0.36)}


@dataclass(frozen=True)
class Drawing:
    """How sheets are framed and drawn. The values were chosen by hand.

    focal is the focal length of a phone, and framing the bare paper that the photographer leaves around the writing, both in
    widths of the image. Ink is drawn `finer` times larger than the image, with coordinates of subpixel_bits binary places, for
    pens of parts of a pixel. Rules and edges are lines through rule_points points, so that they bend with the sheet.
    """

    focal: float = 0.9
    framing: float = 0.03
    finer: int = 2
    subpixel_bits: int = 4
    rule_points: int = 24


DRAWING = Drawing()


@dataclass(frozen=True)
class Paper:
    """The ink and the paper; if a field has several names, one is drawn per page.

    pen is the width of strokes in heights of a capital, cover the opacity of the ink, and dry the share of ink that the paper's
    texture leaves out. rulings are `none`, `lines`, `squares` or `cells`; rule is their opacity and rule_px their width in
    pixels at 1280. grain is the strength of the paper's texture, dust the number of specks, smudge the darkness of smears, and
    wiped the chalk that a sponge left behind.
    """

    inks: tuple[str, ...] = ("blue-black", "black")
    pen: float = 0.085
    cover: float = 0.95
    dry: float = 0.0
    papers: tuple[str, ...] = ("white",)
    rulings: tuple[str, ...] = ("none",)
    rule: float = 0.5
    rule_px: float = 2.0
    margin_rule: bool = False
    grain: float = 0.006
    dust: int = 0
    smudge: float = 0.0
    wiped: float = 0.0


@dataclass(frozen=True)
class View:
    """How the sheet lies before the camera: turn and tilt in degrees; bend and visible desk in widths of the image.

    With framing the camera comes so close that only this much paper is left beside the writing, at the left, the right and the
    top, in widths of the image; if it is negative, the image cuts letters off.
    """

    turn: float = 0.7
    tilt: float = 2.0
    bend: float = 0.0
    desk: float = 0.0
    framing: float | None = None


@dataclass(frozen=True)
class Projection:
    """A map from points of the sheet to points of the image: first the bend, then a perspective by matrix (3, 3).

    wave is the bend: its depth in pixels, radians per pixel across, phase and lean.
    """

    matrix: NDArray[np.float64]
    wave: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __call__(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map points (n, 2)."""
        depth, rate, phase, lean = self.wave
        bent = points.astype(np.float64)
        bent[:, 1] += depth * np.sin(rate * (bent[:, 0] + lean * bent[:, 1]) + phase)
        seen = np.column_stack([bent, np.ones(len(bent))]) @ self.matrix.T
        return seen[:, :2] / seen[:, 2:]


def clouds(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> Field:
    """Return smooth noise (H, W) float32 with mean 0, a standard deviation of about 1, and blobs of `cell` pixels."""
    coarse = (max(2, round(shape[0] / cell) + 1), max(2, round(shape[1] / cell) + 1))
    noise = rng.standard_normal(coarse, np.float32)
    return np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def streaks(shape: tuple[int, int], cell: float, rng: np.random.Generator, stretch: float = 6.0) -> Field:
    """Return smooth noise with blobs of `cell` pixels in height and `stretch` times as much in length."""
    short = (shape[0], max(2, round(shape[1] / stretch)))
    return np.asarray(cv2.resize(clouds(short, cell, rng), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Return x (1, W) and y (H, 1) in widths of the image."""
    x = np.arange(shape[1], dtype=np.float32)[None] / shape[1]
    return x, np.arange(shape[0], dtype=np.float32)[:, None] / shape[1]


def wood(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return boards with their grain, (H, W) float32 around 1 like all textures."""
    if rng.random() < 0.5:
        return wood((shape[1], shape[0]), rng).T
    fibres = 0.05 * streaks(shape, 2, rng, 20) + 0.06 * streaks(shape, 7, rng, 20) + 0.05 * streaks(shape, 24, rng, 20)
    x, y = grid(shape)
    rings = np.sin(
        rng.uniform(20, 50) * (y + 0.05 * np.sin(2.5 * x + rng.uniform(0, 6)) + 0.03 * clouds(shape, shape[1] / 3, rng))
    )
    board = np.floor(y * rng.uniform(2, 6))
    seams = np.where(np.diff(board, axis=0, prepend=board[:1]) > 0, 0.4, 0)
    seams = cv2.GaussianBlur(np.repeat(seams, shape[1], 1).astype(np.float32), (0, 0), 1.5 * shape[1] / 1280 + 0.3)
    return 1 + fibres + 0.06 * rings + 0.05 * np.sin(7 * board) - seams


def cloth(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return woven cloth with soft folds."""
    x, y = grid(shape)
    threads = rng.uniform(300, 700)
    bend = 0.004 * clouds(shape, shape[1] / 5, rng)
    weave = np.sin((x + bend) * threads) * np.sin((y + bend) * threads)
    folds = clouds(shape, shape[1] / 4, rng)
    return 1 + (0.1 + 0.05 * clouds(shape, 3, rng)) * weave + 0.1 * folds


def gravel(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return stones of several sizes."""
    stone = rng.uniform(8, 24) * shape[1] / 1280
    return 1 + 0.22 * clouds(shape, stone, rng) + 0.12 * clouds(shape, stone / 3, rng)


def gradient(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return a bare wall with light from one side."""
    x, y = grid(shape)
    angle = rng.uniform(0, 2 * np.pi)
    return (1 + 0.5 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.4))).astype(np.float32)


def room(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return furniture and windows far out of focus."""
    image = np.full(shape, 0.9, np.float32)
    for _ in range(int(rng.integers(6, 16))):
        corner = rng.uniform(-0.1, 1, 2) * shape
        extent = rng.uniform(0.08, 0.6, 2) * shape
        (top, left), (bottom, right) = corner.astype(int), (corner + extent).astype(int)
        cv2.rectangle(image, (int(left), int(top)), (int(right), int(bottom)), float(rng.uniform(0.2, 1.4)), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.008, 0.03) * shape[1]), np.float32)


def carpet(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return the loops of a carpet."""
    return 1 + 0.2 * clouds(shape, 4 * shape[1] / 1280, rng) + 0.1 * clouds(shape, 60 * shape[1] / 1280, rng)


TEXTURES: dict[str, Callable[[tuple[int, int], np.random.Generator], Field]] = {
    "wood": wood,
    "cloth": cloth,
    "gravel": gravel,
    "gradient": gradient,
    "room": room,
    "carpet": carpet,
}


def look_at(view: View, size: tuple[int, int], writing: NDArray[Any], rng: np.random.Generator) -> Projection:
    """Place the camera: turn and tilt in random directions, and far enough away that the writing is in the image.

    Args:
        view: the amounts of turn, tilt and bend; signs and the axis of the tilt are random.
        size: (width, height) of sheet and image in pixels.
        writing: (n, 2) points of the sheet that must be in the image.
        rng: decides the directions; it draws as many numbers for every view.
    """
    width, height = size
    sign, axis, phase, rate, lean = rng.random(5)
    wave = (view.bend * width, 2 * math.pi * (0.6 + 0.6 * rate) / width, 2 * math.pi * phase, 0.4 * lean - 0.2)
    turn = math.radians(view.turn) * (1 if sign < 0.5 else -1)
    angle = 2 * math.pi * axis
    turned = cv2.Rodrigues(np.array([0, 0, turn]))[0]
    tilted = cv2.Rodrigues(math.radians(view.tilt) * np.array([math.cos(angle), math.sin(angle), 0]))[0]
    focal = DRAWING.focal * width
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    # At a distance of one focal length the sheet fills the image.
    plane = (tilted @ turned)[:, :2]
    seen = np.column_stack([plane, [0, 0, focal]])
    matrix = np.linalg.inv(centre) @ np.diag([focal, focal, 1]) @ seen @ centre
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    flat = Projection(matrix, wave)
    must, margin = (flat(corners), view.desk * width) if view.desk else (flat(writing), DRAWING.framing * width)
    low, high = must.min(0), must.max(0)
    if view.framing is not None:
        margin = view.framing * width
        scale = float((width - 2 * margin) / (high[0] - low[0]))
        shift = margin - scale * low
        return Projection(np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ matrix, wave)
    room = np.array([width, height]) - 2 * margin
    scale = min(1.0, float((room / (high - low)).min()))
    # Move the writing to the middle of the image only as far as the frame needs.
    middle = scale * (low + high) / 2 + (1 - scale) * np.array([width, height]) / 2
    half = scale * (high - low) / 2
    shift = (
        np.clip(middle, margin + half, np.maximum(margin + half, np.array([width, height]) - margin - half))
        - scale * (low + high) / 2
    )
    framed = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    return Projection(framed @ matrix, wave)


def draw_sheet(
    writing: Writing,
    paper: Paper,
    seen: Projection,
    has_edge: bool,
    rng: np.random.Generator,
    *,
    printed: tuple[Field, tuple[float, float, float]] | None = None,
) -> Field:
    """Return the sheet's reflectance (H, W, 3) float32 of 0..1 for blue, green and red light.

    printed is what is printed below the writing: its opacity (H, W) float32 of 0..1, and its colour.
    """
    width, height = writing.size
    shape, unit = (height, width), width / REFERENCE_PX
    pick, rough, specks, desk = rng.spawn(4)
    base = np.array(_one(PAPERS, paper.papers, pick), np.float32)
    ink_colour = np.array(_one(INKS, paper.inks, pick), np.float32)
    bare = 1 + paper.grain * (clouds(shape, 2, rough) + clouds(shape, 40 * unit, rough))
    if paper.smudge:
        # A hand leaves long soft smears, and a fingerprint here and there.
        prints = np.clip(clouds(shape, 55 * unit, rough) - 1.4, 0, 1)
        bare = bare - paper.smudge * (np.clip(streaks(shape, 60 * unit, rough) - 0.9, 0, 1) + prints)
    sheet = bare[..., None] * base
    ruling = str(pick.choice(paper.rulings))
    if ruling != "none":
        colour = np.array(RULE_INKS["black"] if ruling == "cells" else _one(RULE_INKS, ("grey", "blue"), pick), np.float32)
        _cover(sheet, draw_rules(writing, ruling, paper.rule_px * unit, seen) * np.float32(paper.rule), colour)
    if paper.margin_rule:
        x = 0.6 * min((float(s[:, 0].min()) for one in writing.letters for s in one.strokes), default=0.1 * width)
        mask = _draw_lines([np.array([[x, -height], [x, 2 * height]])], paper.rule_px * unit, seen, shape)
        _cover(sheet, mask * np.float32(paper.rule), np.array(MARGIN_INK, np.float32))
    if printed:
        _cover(sheet, printed[0], np.array(printed[1], np.float32))
    if paper.wiped:
        swept = np.clip(0.5 + 0.3 * streaks(shape, 60 * unit, rough) + 0.15 * streaks(shape, 5 * unit, rough, 30), 0, 1)
        _cover(sheet, paper.wiped * swept, ink_colour)
    ink = draw_ink(writing, paper.pen, seen) * np.float32(paper.cover)
    ink *= 1 - 0.12 * np.clip(1 + clouds(shape, 50 * unit, rough), 0, 2)
    if paper.dry:
        ink *= np.clip(1 - paper.dry * (1 + 1.2 * clouds(shape, max(1.0, 1.6 * unit), rough)), 0, 1)
    _cover(sheet, ink, ink_colour)
    if paper.dust:
        _cover(sheet, draw_dust(shape, paper.dust, unit, specks), np.array([0.25, 0.27, 0.3], np.float32))
    return _on_desk(sheet, seen, desk) if has_edge else sheet


def draw_ink(writing: Writing, pen: float, seen: Projection) -> Field:
    """Draw the strokes of every letter, `pen` capitals wide; return the ink (H, W) float32 of 0..1."""
    width, height = writing.size
    fine = np.zeros((DRAWING.finer * height, DRAWING.finer * width), np.uint8)
    for one in writing.letters:
        thickness = max(1, round(DRAWING.finer * pen * one.size))
        for stroke in one.strokes:
            _draw_line(fine, seen(stroke), thickness)
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.float32) / 255


def draw_rules(writing: Writing, ruling: str, width_px: float, seen: Projection) -> Field:
    """Draw the printed rules of a sheet, far beyond its writing; return them (H, W) float32 of 0..1."""
    width, height = writing.size
    feet = np.array(writing.feet or (height / 2,))
    pitch = float(np.diff(feet).min(initial=height / 2))
    down: list[float] = []
    if ruling == "cells":
        # A foot is the lower side of a row of cells.
        across = [feet[0] - pitch, *feet]
        down = list(writing.columns)
        low, high, left, right = across[0], across[-1], min(down), max(down)
    else:
        step = pitch if ruling == "lines" else pitch / max(2, round(pitch / (0.55 * _size(writing))))
        first = feet[0] - step * np.ceil((feet[0] + height) / step)
        across = list(np.arange(first, 2 * height, step))
        if ruling == "squares":
            down = list(np.arange(-width + step / 3, 2 * width, step))
        low, high, left, right = -height, 2 * height, -width, 2 * width
    lines = [np.column_stack([np.linspace(left, right, DRAWING.rule_points), np.full(DRAWING.rule_points, y)]) for y in across]
    lines += [np.column_stack([np.full(DRAWING.rule_points, x), np.linspace(low, high, DRAWING.rule_points)]) for x in down]
    return _draw_lines(lines, width_px, seen, (height, width))


def draw_dust(shape: tuple[int, int], count: int, unit: float, rng: np.random.Generator) -> Field:
    """Draw specks of dust, a third of them short hairs; return them (H, W) float32 of 0..1."""
    fine = np.zeros((DRAWING.finer * shape[0], DRAWING.finer * shape[1]), np.uint8)
    for _ in range(count):
        at = rng.uniform(0, 1, 2) * (shape[1], shape[0])
        dark = int(rng.uniform(60, 210))
        if rng.random() < 0.33:
            turn, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5)
            way = np.cumsum([[np.cos(turn + bend * i), np.sin(turn + bend * i)] for i in range(5)], 0)
            _draw_line(fine, at + way * rng.uniform(1, 4) * unit, 1, dark)
        else:
            radius = float(np.exp(rng.normal(0.2, 0.5))) * unit
            _draw_line(fine, np.stack([at, at + rng.normal(0, radius, 2)]), max(1, round(DRAWING.finer * radius)), dark)
    return np.asarray(cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32) / 255


def _cover(sheet: Field, share: Field, colour: NDArray[np.float32]) -> None:
    """Blend a colour into the sheet with an opacity (H, W)."""
    sheet += share[..., None] * (colour - sheet)


def _on_desk(sheet: Field, seen: Projection, rng: np.random.Generator) -> Field:
    """Cut the sheet along its edges and lay it on a desk with a shadow."""
    height, width = sheet.shape[:2]
    sides = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0]], float)
    rim = np.concatenate([np.linspace(sides[i], sides[i + 1], DRAWING.rule_points) for i in range(4)])
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(
        mask, [np.rint(seen(rim) * (1 << DRAWING.subpixel_bits)).astype(np.int32)], 255, cv2.LINE_AA, DRAWING.subpixel_bits
    )
    inside = (mask.astype(np.float32) / 255)[..., None]
    name = str(rng.choice(list(DESKS)))
    desk = TEXTURES[name]((height, width), rng)[..., None] * np.array(DESKS[name], np.float32)
    cast = cv2.GaussianBlur(np.roll(mask, (width // 200, width // 300), (0, 1)), (0, 0), width / 250).astype(np.float32) / 255
    return inside * sheet + (1 - inside) * desk * (1 - 0.5 * cast[..., None])


def _draw_lines(lines: list[NDArray[Any]], width_px: float, seen: Projection, shape: tuple[int, int]) -> Field:
    fine = np.zeros((DRAWING.finer * shape[0], DRAWING.finer * shape[1]), np.uint8)
    for line in lines:
        _draw_line(fine, seen(line), max(1, round(DRAWING.finer * width_px)))
    return np.asarray(cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32) / 255


def _draw_line(fine: Pixels, points: NDArray[Any], thickness: int, value: int = 255) -> None:
    at = (
        np.rint((points * DRAWING.finer + (DRAWING.finer - 1) / 2) * (1 << DRAWING.subpixel_bits))
        .astype(np.int32)
        .reshape(-1, 1, 2)
    )
    if len(at) == 1:
        at = np.repeat(at, 2, 0)
    cv2.polylines(fine, [at], False, value, thickness, cv2.LINE_AA, DRAWING.subpixel_bits)


def _one(
    table: dict[str, tuple[float, float, float]], names: tuple[str, ...], rng: np.random.Generator
) -> tuple[float, float, float]:
    return table[str(rng.choice(names))]


def _size(writing: Writing) -> float:
    return float(np.median([one.size for one in writing.letters])) if writing.letters else 0.05 * writing.size[0]
