"""What was read, drawn over the picture: legible on any ground and at any size, and without telling colours apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..pixels import Pixels
from ..text import UNKNOWN, Box, Letter, Page

Colour = tuple[int, int, int]

# BGR of Okabe and Ito's palette, which colour-blind eyes tell apart; besides, doubtful boxes are dashed.
SURE, DOUBTFUL, UNREAD = (233, 180, 86), (0, 159, 230), (170, 170, 170)
DARK, LIGHT, ALERT = (24, 24, 24), (255, 255, 255), (0, 94, 213)
SURE_FROM = 0.8
# A second guess below this is not worth the room.
LEAST_SECOND = 0.05
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of a capital in pixels at scale 1 of this font.
FONT_PX = 21.0
# Lengths in pixels for a picture of this longer side; they grow with it.
DESIGN_SIDE_PX = 640
SMALLEST_UNIT = 0.7
LABEL_PX, LARGEST_LABEL_PX, TEXT_PX, SMALL_PX = 11.0, 20.0, 15.0, 8.0
PAD_PX, MARGIN_PX, LINE_PX, DASH_PX = 3.0, 3.5, 1.5, 9.0
# A label's height as a share of its letter's box.
LABEL_SHARE = 0.3
# Opacity of the help over the picture.
HELP_OPACITY = 0.85
# Between the lines of a page, where they are written in one.
LINE_BREAK = "  /  "


@dataclass(frozen=True)
class Status:
    """What the picture says of itself beside the letters: frames per second, and words such as REC or FROZEN."""

    fps: float | None = None
    marks: tuple[str, ...] = ()


def annotate(image: Pixels, page: Page, status: Status | None = None) -> Pixels:
    """Return a BGR copy of the image with a box and a label at every letter; a status adds a bar below with it and the text.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8.
    """
    unit, (height, width) = unit_of(image), image.shape[:2]
    # The bar's room at once, as a second copy of the picture would take longer than all the drawing.
    picture = np.empty((height + (bar_height(unit) if status else 0), width, 3), np.uint8)
    canvas = picture[:height]
    copy_bgr(image, canvas)
    draw_frames(canvas, page.letters, unit)
    draw_labels(canvas, page, unit)
    if status:
        draw_bar(picture[height:], page, status, unit)
    return picture


def draw_labels(canvas: Pixels, page: Page, unit: float) -> None:
    """Draw a label at every letter, where it hides as little of other letters and labels as may be."""
    # What a label should not hide: all letters, and the labels before it. A mask, as on a full page going through their boxes
    # for every label takes longer than all the drawing.
    taken = np.zeros(canvas.shape[:2], np.uint8)
    for letter in page.letters:
        fill(taken, letter.box)
    for line in page.lines:
        letters = line.letters
        ends = [letter.box[0] for letter in letters[1:]] + [canvas.shape[1]]
        for letter, end in zip(letters, ends, strict=True):
            if letter.letter != UNKNOWN:
                fill(taken, draw_label(canvas, letter, end - letter.box[0], taken, unit))


def fill(mask: Pixels, box: Box) -> None:
    """Set a mask (H, W) to 1 inside a box."""
    x, y, w, h = box
    # By its corners: OpenCV finds the form that takes a box after it failed with another, and a signal that is handled while it
    # writes down that failure ends the process by a segmentation fault.
    cv2.rectangle(mask, (x, y), (x + w - 1, y + h - 1), 1, cv2.FILLED)


def add_bar(canvas: Pixels, page: Page, status: Status) -> Pixels:
    """Return a BGR picture with a bar below it for the text and the status: nothing of the picture is hidden."""
    return np.concatenate([canvas, bar(page, status, canvas.shape[1], unit_of(canvas))])


def copy_bgr(image: Pixels, canvas: Pixels) -> None:
    """Copy a grey, BGR or BGRA image to a canvas (H, W, 3)."""
    if image.ndim == 2 or image.shape[2] == 1:
        cv2.cvtColor(image, cv2.COLOR_GRAY2BGR, dst=canvas)
    else:
        canvas[:] = image[:, :, :3]


def unit_of(picture: Pixels) -> float:
    """Return how many pixels one pixel of the design is."""
    return max(SMALLEST_UNIT, max(picture.shape[:2]) / DESIGN_SIDE_PX)


def draw_frames(canvas: Pixels, letters: Sequence[Letter], unit: float) -> None:
    """Draw the boxes: solid where the letter is sure, dashed where it is doubtful, four corners where it is none."""
    strokes: dict[Colour, list[Pixels]] = {SURE: [], DOUBTFUL: [], UNREAD: []}
    # The line runs beside the ink, not over it.
    margin = math.ceil(MARGIN_PX * unit)
    for letter in letters:
        x, y, w, h = letter.box
        box = (x - margin, y - margin, w + 2 * margin, h + 2 * margin)
        if letter.letter == UNKNOWN:
            strokes[UNREAD] += corners(box)
        elif letter.confidence >= SURE_FROM:
            strokes[SURE] += sides(box)
        else:
            strokes[DOUBTFUL] += dashes(box, DASH_PX * unit)
    thin = max(1, round(LINE_PX * unit))
    # A dark edge keeps the coloured line legible on light and on coloured ground.
    for colour, lines in strokes.items():
        cv2.polylines(canvas, lines, False, DARK, thin + max(2, round(unit)))
        cv2.polylines(canvas, lines, False, colour, thin)


def sides(box: Box) -> list[Pixels]:
    """Return the outline of a box as one line of points (5, 1, 2) int32."""
    x, y, w, h = box
    return [_points((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y))]


def dashes(box: Box, dash: float) -> list[Pixels]:
    """Return the outline of a box as dashes, each about so many pixels long as the gap to the next."""
    x, y, w, h = box
    lines = []
    left_top, right_top, left_bottom, right_bottom = (x, y), (x + w, y), (x, y + h), (x + w, y + h)
    for start, end in (
        (left_top, right_top),
        (left_bottom, right_bottom),
        (left_top, left_bottom),
        (right_top, right_bottom),
    ):
        # An odd number of steps begins and ends with a dash: the corners stay.
        steps = max(1, round(max(w, h, 1) / (2 * dash))) * 2 + 1
        at = np.linspace(start, end, steps + 1).round().astype(np.int32)
        lines += [at[i : i + 2, None] for i in range(0, steps, 2)]
    return lines


def corners(box: Box) -> list[Pixels]:
    """Return the four corners of a box."""
    x, y, w, h = box
    arm = max(2, min(w, h) // 4)
    return [
        _points((cx + dx * arm, cy), (cx, cy), (cx, cy + dy * arm))
        for cx, dx in ((x, 1), (x + w, -1))
        for cy, dy in ((y, 1), (y + h, -1))
    ]


def draw_label(canvas: Pixels, letter: Letter, room: int, taken: Pixels, unit: float) -> Box:
    """Draw a letter's label at its box: the letter and, in the room to the next one, how sure it is and the second guess.

    Returns where the label stands; `taken` (H, W) uint8 is above 0 where it should hide nothing.
    """
    height = min(max(LABEL_PX * unit, LABEL_SHARE * letter.box[3]), LARGEST_LABEL_PX * unit)
    pad, small = PAD_PX * unit, max(SMALL_PX * unit, 0.4 * height)
    colour = SURE if letter.confidence >= SURE_FROM else DOUBTFUL
    details = [f"{min(99, int(100 * letter.confidence))}%"]
    if letter.alternatives and letter.alternatives[0][1] >= LEAST_SECOND:
        details.append(f"{letter.alternatives[0][0]}?")
    own = text_width(letter.letter, height)
    detailed = own + pad + max(text_width(detail, small) for detail in details)
    tall = max(height, 2 * small + pad) if len(details) > 1 else height
    if detailed + 2 * pad > room:
        details, detailed, tall = [], own, height
    wide, high = round(detailed + 2 * pad), round(tall + 2 * pad)
    left, top = label_place(taken, letter.box, (wide, high), round((MARGIN_PX + LINE_PX) * unit) + 1)
    cv2.rectangle(canvas, (left, top), (left + wide, top + high), DARK, cv2.FILLED)
    cv2.line(canvas, (left, top), (left, top + high), colour, max(1, round(LINE_PX * unit)))
    put(canvas, letter.letter, (left + pad, top + pad + (tall + height) / 2), height, LIGHT)
    for row, detail in enumerate(details):
        bottom = top + pad + (tall + small) / 2 if len(details) == 1 else top + pad + small + row * (small + pad)
        put(canvas, detail, (left + 2 * pad + own, bottom), small, colour)
    return left, top, wide, high


def label_place(taken: Pixels, box: Box, size: tuple[int, int], gap: int) -> tuple[int, int]:
    """Return left and top of a label of this size (width, height): above its box, or below where it would hide less there."""
    (x, y, _, h), (wide, high) = box, size
    left = min(max(0, x), max(0, taken.shape[1] - wide - 1))
    above, below = y - high - gap, y + h + gap
    places = [top for top in (above, below) if 0 <= top < taken.shape[0] - high]
    if not places:
        return left, min(max(0, above), max(0, taken.shape[0] - high - 1))
    return left, min(places, key=lambda top: cv2.countNonZero(taken[top : top + high, left : left + wide]))


def bar(page: Page, status: Status, width: int, unit: float) -> Pixels:
    """Return a bar (h, width, 3) of constant height: the text that was read, marks, frames per second and milliseconds."""
    strip = np.empty((bar_height(unit), width, 3), np.uint8)
    draw_bar(strip, page, status, unit)
    return strip


def bar_height(unit: float) -> int:
    """Return the height in pixels of the bar; even, as films must be."""
    return 2 * round((TEXT_PX + 4 * PAD_PX) * unit / 2)


def draw_bar(strip: Pixels, page: Page, status: Status, unit: float) -> None:
    """Fill the place of the bar (h, width, 3) with what it says."""
    high, width = strip.shape[:2]
    size, pad = LABEL_PX * unit, 2 * PAD_PX * unit
    cv2.rectangle(strip, (0, 0), (width, high), DARK, cv2.FILLED)
    right = width - pad
    rate = [] if status.fps is None else [f"{status.fps:.0f} fps"]
    for words in (f"{page.segment_ms + page.classify_ms:.1f} ms", *rate, *status.marks):
        right -= text_width(words, size)
        if words in status.marks:
            edges = (round(right - pad), 0), (round(right + text_width(words, size) + pad), high)
            cv2.rectangle(strip, *edges, ALERT, cv2.FILLED)
        put(strip, words, (right, (high + size) / 2), size, LIGHT)
        right -= 2 * pad
    text = LINE_BREAK.join(row for row in page.text.split("\n") if row)
    room = right - pad
    # A text too long for the bar is written smaller, and one that would be illegible then is cut.
    tall = max(size, TEXT_PX * unit * min(1.0, room / max(1.0, text_width(text, TEXT_PX * unit))))
    put(strip, fitting(text, tall, room), (pad, (high + tall) / 2), tall, LIGHT)


def fitting(text: str, size: float, room: float) -> str:
    """Return text, cut with dots where it is wider than room pixels."""
    if text_width(text, size) <= room:
        return text
    most = next((n for n in range(len(text), 0, -1) if text_width(text[:n] + "...", size) <= room), 0)
    return text[:most] + "..."


def draw_help(canvas: Pixels, rows: Sequence[tuple[str, str]]) -> None:
    """Draw a table of keys and what they do in the middle of the picture."""
    unit = unit_of(canvas)
    size, pad = 1.2 * LABEL_PX * unit, 3 * PAD_PX * unit
    keys = max(text_width(key, size) for key, _ in rows)
    wide = keys + max(text_width(does, size) for _, does in rows) + 4 * pad
    # A small picture still shows all of it.
    shrink = min(1.0, canvas.shape[1] / wide, canvas.shape[0] / (len(rows) * (size + pad) + 2 * pad))
    size, pad, keys, wide = size * shrink, pad * shrink, keys * shrink, wide * shrink
    high = len(rows) * (size + pad) + pad
    left, top = (canvas.shape[1] - wide) / 2, (canvas.shape[0] - high) / 2
    part = canvas[round(top) : round(top + high), round(left) : round(left + wide)]
    part[:] = cv2.addWeighted(part, 1 - HELP_OPACITY, np.full_like(part, DARK), HELP_OPACITY, 0)
    for i, (key, does) in enumerate(rows):
        bottom = top + (i + 1) * (size + pad)
        put(canvas, key, (left + pad, bottom), size, SURE)
        put(canvas, does, (left + 3 * pad + keys, bottom), size, LIGHT)


def put(canvas: Pixels, text: str, at: tuple[float, float], size: float, colour: Colour) -> None:
    """Write text from its lower left corner; size is the height of its capitals in pixels."""
    thick = max(1, round(size / 9))
    cv2.putText(canvas, text, (round(at[0]), round(at[1])), FONT, size / FONT_PX, colour, thick, cv2.LINE_AA)


@lru_cache(maxsize=1024)
def text_width(text: str, size: float) -> float:
    """Return the width of text in pixels; size is the height of its capitals."""
    return cv2.getTextSize(text, FONT, size / FONT_PX, max(1, round(size / 9)))[0][0]


def _points(*points: tuple[int, int]) -> Pixels:
    return np.array(points, np.int32)[:, None]
