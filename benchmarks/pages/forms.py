"""Printed forms with a box, a tick or a line for each letter: where their letters stand, and how their print is drawn."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.pixels import Pixels
from ...train.data.drawing import Stroke
from .writing import REFERENCE_PX, FormBox, Hand, Layout, Writing, Written, invent_words, shape

# A row has at least this many boxes, and words have these lengths, because names are written letter by letter.
MIN_BOXES, WORD_LETTERS = 4, (3, 8)
CAPTIONS = ("SURNAME", "First name", "Street, No.", "City", "Date of birth", "PLACE", "Please use capitals", "Signature", "Title")
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
# Polylines through this many points follow a bent sheet.
POINTS = 12


@dataclass(frozen=True)
class Form:
    """A form with a place for each letter.

    form is `apart` (boxes with gaps), `shared` (boxes that share their sides), `comb` (a line with ticks), `open` (a comb whose
    ticks are as high as the letters), `lines` (a short line for each letter), or empty for no form. In heights of a capital:
    box_height and box_width of a box or of the room for a letter, box_gap between boxes that are apart, tick the height of a
    tick, off the standard deviation of a letter's place. A letter is at most `fill` of its box wide. captions are printed
    `below` or `above` each row, `letters` below each box, or nowhere. side_inks are the names of the colours of the print,
    side its opacity and side_px its width in pixels at 1280. dash is the share of gaps in dashed sides. heading prints a large
    heading. empty is the share of rows without any letter, and joint of rows that follow each other without a gap (`shared`).
    """

    form: str = ""
    box_height: float = 1.6
    box_width: float = 1.35
    box_gap: float = 0.25
    tick: float = 0.4
    off: float = 0.04
    fill: float = 0.75
    captions: str = ""
    side_inks: tuple[str, ...] = ("black",)
    side: float = 0.9
    side_px: float = 2.0
    dash: float = 0.0
    heading: bool = False
    empty: float = 0.0
    joint: bool = False


SIDE_INKS = {
    "black": (0.15, 0.15, 0.15),
    "grey": (0.52, 0.52, 0.52),
    "blue": (0.68, 0.45, 0.22),
    "green": (0.38, 0.58, 0.25),
    "red": (0.32, 0.3, 0.78),
    "orange": (0.25, 0.5, 0.85),
}


def write_form(hand: Hand, form: Form, layout: Layout, size: tuple[int, int], rng: np.random.Generator) -> Writing:
    """Write words into the rows of a form; a word ends with an empty box, and the boxes after the last word stay empty.

    Args:
        hand: the hand that writes.
        form: the form.
        layout: gives size, margin and the number of letters.
        size: (width, height) of the sheet in pixels.
        rng: decides words, shapes and places independently.
    """
    for_words, for_shapes, for_places = rng.spawn(3)
    unit, (width, height) = layout.size * size[0] / REFERENCE_PX, size
    box_width, box_height = form.box_width * unit, form.box_height * unit
    step = box_width + (form.box_gap * unit if form.form in ("apart", "lines") else 0)
    margin = layout.margin * width
    room = 0.0 if form.joint else (0.9 if form.captions else 0.5) * unit
    top, left_most = margin + (2.2 if form.heading else 0.9) * unit, margin
    most = int((width - 2 * margin) / step)
    put = partial(_put, form=form, unit=unit, rng=for_places)
    boxes: list[FormBox] = []
    lines: list[tuple[tuple[Written, ...], ...]] = []
    written, row = 0, 0
    while top + box_height < height - margin and written < layout.max_letters:
        count = most if form.joint else max(MIN_BOXES, most - int(for_places.integers(0, 1 + most // 3)))
        own = [
            FormBox(row, i, (left_most + i * step, top, left_most + i * step + box_width, top + box_height)) for i in range(count)
        ]
        boxes += own
        words: list[tuple[Written, ...]] = []
        at = 0
        is_empty = for_places.random() < form.empty
        while not is_empty and written < layout.max_letters:
            length = min(int(for_words.integers(WORD_LETTERS[0], WORD_LETTERS[1] + 1)), layout.max_letters - written)
            if at + length > count:
                if at == 0:
                    length = count
                else:
                    break
            text = invent_words(hand, layout.case, length, for_words)
            letters = "".join(text)[:length]
            words.append(tuple(put(shape(hand, c, for_shapes), c, own[at + k]) for k, c in enumerate(letters)))
            at += length + 1
            written += length
        lines.append(tuple(words))
        top += box_height + room
        row += 1
    feet = tuple(sorted({one.sides[3] for one in boxes}))
    return Writing(size, tuple(lines), feet, (), tuple(boxes))


def _put(strokes: list[Stroke], letter: str, box: FormBox, *, form: Form, unit: float, rng: np.random.Generator) -> Written:
    """Put one letter into its box, not quite in the middle; a letter that is too wide is made narrower."""
    left, top, right, bottom = box.sides
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    size = unit * float(np.exp(0.06 * rng.normal()))
    narrow = min(1.0, form.fill * (right - left) / max(1e-6, size * float(high[0] - low[0])))
    x = (left + right) / 2 + form.off * unit * rng.normal()
    y = (
        bottom - 0.18 * unit if form.form in ("comb", "open", "lines") else (top + bottom + size) / 2
    ) + form.off * unit * rng.normal()
    middle = np.array([(low[0] + high[0]) / 2, 0], np.float32)
    scale = np.array([size * narrow, size], np.float32)
    return Written(letter, tuple(((s - middle) * scale + np.array([x, y])).astype(np.float32) for s in strokes), size)


def draw_form(writing: Writing, form: Form, seen: Any, rng: np.random.Generator) -> Pixels:
    """Draw the print of a form as the camera sees it; returns its ink (H, W) float32 of 0..1."""
    width, height = writing.size
    fine = 2
    unit = width / REFERENCE_PX
    mask = np.zeros((fine * height, fine * width), np.uint8)
    lines = [line for row in _rows(writing) for line in _lines(row, form)]
    for line in lines:
        for part in _dashes(line, form.dash, 9 * unit) if form.dash else [line]:
            at = seen(np.linspace(part[0], part[1], POINTS)) * fine + (fine - 1) / 2
            thickness = max(1, round(fine * form.side_px * unit))
            cv2.polylines(mask, [np.rint(at * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    printed = _draw_print(writing, form, fine, rng)
    if printed.any():
        mask = cv2.max(mask, as_seen(printed, seen, fine))
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.float32) / 255


def _rows(writing: Writing) -> list[list[FormBox]]:
    rows: dict[int, list[FormBox]] = {}
    for box in writing.boxes:
        rows.setdefault(box.row, []).append(box)
    return list(rows.values())


def _lines(row: list[FormBox], form: Form) -> list[NDArray[np.float64]]:
    """Return the lines (2, 2) of one row of a form."""
    left, top, right, bottom = row[0].sides[0], row[0].sides[1], row[-1].sides[2], row[0].sides[3]
    if form.form == "apart":
        corners = [[(a, t), (b, t), (b, u), (a, u), (a, t)] for a, t, b, u in (one.sides for one in row)]
        return [np.array(pair, float) for box in corners for pair in pairwise(box)]
    if form.form == "lines":
        return [np.array([(one.sides[0], bottom), (one.sides[2], bottom)], float) for one in row]
    sides = [one.sides[0] for one in row] + [right]
    lines = [[(left, bottom), (right, bottom)]]
    high = top
    if form.form == "shared":
        lines.append([(left, top), (right, top)])
    else:
        high = bottom - (bottom - top) * (1.0 if form.form == "open" else form.tick)
    lines += [[(x, high), (x, bottom)] for x in sides]
    return [np.array(line, float) for line in lines]


def _dashes(line: NDArray[np.float64], share: float, period: float) -> list[NDArray[np.float64]]:
    """Cut a line into dashes; share is that of the gaps."""
    length = float(np.hypot(*(line[1] - line[0])))
    starts = np.arange(0, length, period)
    ends = np.minimum(starts + (1 - share) * period, length)
    return [line[0] + np.array([[a], [b]]) / length * (line[1] - line[0]) for a, b in zip(starts, ends, strict=True)]


def _draw_print(writing: Writing, form: Form, fine: int, rng: np.random.Generator) -> Pixels:
    """Draw captions and heading on the flat sheet, (fine * H, fine * W) uint8."""
    width, height = writing.size
    flat = np.zeros((fine * height, fine * width), np.uint8)
    rows = _rows(writing)
    if not rows or not (form.captions or form.heading):
        return flat
    font = int(rng.choice(FONTS))
    tall = rows[0][0].sides[3] - rows[0][0].sides[1]

    def put(text: str, x: float, y: float, capital: float) -> None:
        scale = fine * capital / 21
        cv2.putText(flat, text, (round(fine * x), round(fine * y)), font, scale, 255, max(1, round(2 * scale)), cv2.LINE_AA)

    size = float(rng.uniform(0.14, 0.24)) * tall
    for row in rows:
        left, top, _, bottom = row[0].sides
        if form.captions == "letters":
            for one in row:
                put(chr(65 + one.column % 26), (one.sides[0] + one.sides[2] - size) / 2, bottom + 1.6 * size, size)
        elif form.captions:
            y = bottom + 1.7 * size if form.captions == "below" else top - 0.7 * size
            put(str(rng.choice(CAPTIONS)), left, y, size)
    if form.heading:
        put(
            "Application form" if rng.random() < 0.5 else "REGISTRATION",
            rows[0][0].sides[0],
            rows[0][0].sides[1] - 0.75 * tall,
            0.5 * tall,
        )
    return flat


def as_seen(flat: Pixels, seen: Any, fine: int) -> Pixels:
    """Return a flat drawing, `fine` times larger than the sheet, as the camera sees it."""
    depth, rate, phase, lean = seen.wave
    if depth:
        y, x = np.mgrid[0 : flat.shape[0], 0 : flat.shape[1]].astype(np.float32)
        back = y - fine * depth * np.sin(rate / fine * (x + lean * y) + phase)
        flat = cv2.remap(flat, x, back.astype(np.float32), cv2.INTER_LINEAR)
    grow = np.diag([fine, fine, 1.0])
    return cv2.warpPerspective(flat, grow @ seen.matrix @ np.linalg.inv(grow), (flat.shape[1], flat.shape[0]))
