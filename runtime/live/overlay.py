"""The boxes, letters and status drawn over an image: legible on any background, at any size, and for colour-blind eyes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..pixels import Pixels
from ..text import UNKNOWN, Box, Letter, Page

Colour = tuple[int, int, int]

# BGR colours of Okabe and Ito's palette, which colour-blind people can distinguish; in addition, doubtful boxes are dashed.
SURE, DOUBTFUL, REJECTED = (233, 180, 86), (0, 159, 230), (170, 170, 170)
DARK, LIGHT, ALERT = (24, 24, 24), (255, 255, 255), (0, 94, 213)
MIN_SURE = 0.8
# A second guess that is less probable than this is not drawn.
MIN_SECOND_GUESS = 0.05
FONT = cv2.FONT_HERSHEY_SIMPLEX
# The height of a capital in pixels at scale 1 of this font.
FONT_PX = 21.0
# Separates the lines of a page in the bar.
LINE_BREAK = "  /  "


@dataclass(frozen=True)
class Design:
    """Lengths in pixels for an image whose longer side is `side_px`; they grow with the image. Chosen by eye."""

    side_px: int = 640
    # On small images the lengths shrink no further than by this factor.
    min_unit: float = 0.7
    label_px: float = 11.0
    max_label_px: float = 20.0
    # The height of a label as a share of its letter's box, between the two lengths above.
    label_share: float = 0.3
    text_px: float = 15.0
    small_px: float = 8.0
    padding_px: float = 3.0
    margin_px: float = 3.5
    line_px: float = 1.5
    dash_px: float = 9.0
    help_opacity: float = 0.85


DESIGN = Design()


@dataclass(frozen=True)
class Status:
    """What the bar shows beside the text: frames per second, and words such as REC or FROZEN."""

    fps: float | None = None
    marks: tuple[str, ...] = ()


def annotate(image: Pixels, page: Page, status: Status | None = None) -> Pixels:
    """Return a BGR copy of an image with a box and a label at every letter; with a status, a bar below shows it and the text.

    Args:
        image: (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, uint8.
    """
    unit, (height, width) = unit_of(image), image.shape[:2]
    # Allocated with the bar at once, because a second copy of the image would take longer than all the drawing.
    drawn = np.empty((height + (bar_height(unit) if status else 0), width, 3), np.uint8)
    canvas = drawn[:height]
    copy_bgr(image, canvas)
    draw_boxes(canvas, page.letters, unit)
    draw_labels(canvas, page, unit)
    if status:
        draw_bar(drawn[height:], page, status, unit)
    return drawn


def draw_labels(canvas: Pixels, page: Page, unit: float) -> None:
    """Draw a label at every letter, where it hides as little as possible of other letters and labels."""
    # A mask of what a label should not hide: all letters, and the labels drawn before it. On a full page comparing each label
    # with all boxes would take longer than all the drawing.
    taken = np.zeros(canvas.shape[:2], np.uint8)
    for letter in page.letters:
        mark_taken(taken, letter.box)
    for line in page.lines:
        letters = line.letters
        ends = [letter.box[0] for letter in letters[1:]] + [canvas.shape[1]]
        for letter, end in zip(letters, ends, strict=True):
            if letter.letter != UNKNOWN:
                mark_taken(taken, draw_label(canvas, letter, end - letter.box[0], taken, unit))


def mark_taken(mask: Pixels, box: Box) -> None:
    """Set a mask (H, W) to 1 inside a box."""
    x, y, w, h = box
    # Pass corners, not a box: OpenCV tries another overload before it finds the one for a box, and a signal that is handled
    # while it records that failure crashes the process with a segmentation fault.
    cv2.rectangle(mask, (x, y), (x + w - 1, y + h - 1), 1, cv2.FILLED)


def add_bar(canvas: Pixels, page: Page, status: Status) -> Pixels:
    """Return a BGR image with a bar for the text and the status below it, so that it hides nothing of the image."""
    return np.concatenate([canvas, bar(page, status, canvas.shape[1], unit_of(canvas))])


def copy_bgr(image: Pixels, canvas: Pixels) -> None:
    """Copy a grey, BGR or BGRA image to a canvas (H, W, 3)."""
    if image.ndim == 2 or image.shape[2] == 1:
        cv2.cvtColor(image, cv2.COLOR_GRAY2BGR, dst=canvas)
    else:
        canvas[:] = image[:, :, :3]


def unit_of(image: Pixels) -> float:
    """Return how many pixels of an image one pixel of the design takes."""
    return max(DESIGN.min_unit, max(image.shape[:2]) / DESIGN.side_px)


def draw_boxes(canvas: Pixels, letters: Sequence[Letter], unit: float) -> None:
    """Draw the boxes: solid if the letter is sure, dashed if it is doubtful, only the corners if it is rejected."""
    strokes: dict[Colour, list[Pixels]] = {SURE: [], DOUBTFUL: [], REJECTED: []}
    # The line runs beside the ink and not over it.
    margin = math.ceil(DESIGN.margin_px * unit)
    for letter in letters:
        x, y, w, h = letter.box
        box = (x - margin, y - margin, w + 2 * margin, h + 2 * margin)
        if letter.letter == UNKNOWN:
            strokes[REJECTED] += corners(box)
        elif letter.confidence >= MIN_SURE:
            strokes[SURE] += sides(box)
        else:
            strokes[DOUBTFUL] += dashes(box, DESIGN.dash_px * unit)
    thin = max(1, round(DESIGN.line_px * unit))
    # A dark edge keeps the coloured line legible on light and on coloured backgrounds.
    for colour, lines in strokes.items():
        cv2.polylines(canvas, lines, False, DARK, thin + max(2, round(unit)))
        cv2.polylines(canvas, lines, False, colour, thin)


def sides(box: Box) -> list[Pixels]:
    """Return the outline of a box as one line of points (5, 1, 2) int32."""
    x, y, w, h = box
    return [polyline((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y))]


def dashes(box: Box, dash: float) -> list[Pixels]:
    """Return the outline of a box as dashes of about this length, with gaps of the same length."""
    x, y, w, h = box
    lines = []
    left_top, right_top, left_bottom, right_bottom = (x, y), (x + w, y), (x, y + h), (x + w, y + h)
    for start, end in (
        (left_top, right_top),
        (left_bottom, right_bottom),
        (left_top, left_bottom),
        (right_top, right_bottom),
    ):
        # An odd number of steps begins and ends with a dash, so that every corner is drawn.
        steps = max(1, round(max(w, h, 1) / (2 * dash))) * 2 + 1
        at = np.linspace(start, end, steps + 1).round().astype(np.int32)
        lines += [at[i : i + 2, None] for i in range(0, steps, 2)]
    return lines


def corners(box: Box) -> list[Pixels]:
    """Return the four corners of a box."""
    x, y, w, h = box
    arm = max(2, min(w, h) // 4)
    return [
        polyline((cx + dx * arm, cy), (cx, cy), (cx, cy + dy * arm))
        for cx, dx in ((x, 1), (x + w, -1))
        for cy, dy in ((y, 1), (y + h, -1))
    ]


def draw_label(canvas: Pixels, letter: Letter, room: int, taken: Pixels, unit: float) -> Box:
    """Draw the label of a letter: the letter and, if there is room before the next letter, its probability and second guess.

    Args:
        canvas: (H, W, 3) BGR uint8.
        letter: the letter.
        room: the distance to the next letter in pixels.
        taken: (H, W) uint8, above 0 where the label should hide nothing.
        unit: pixels of the image per pixel of the design.

    Returns:
        The box of the label.
    """
    height = min(max(DESIGN.label_px * unit, DESIGN.label_share * letter.box[3]), DESIGN.max_label_px * unit)
    pad, small = DESIGN.padding_px * unit, max(DESIGN.small_px * unit, 0.4 * height)
    colour = SURE if letter.confidence >= MIN_SURE else DOUBTFUL
    details = [f"{min(99, int(100 * letter.confidence))}%"]
    if letter.alternatives and letter.alternatives[0][1] >= MIN_SECOND_GUESS:
        details.append(f"{letter.alternatives[0][0]}?")
    own = text_width(letter.letter, height)
    detailed = own + pad + max(text_width(detail, small) for detail in details)
    tall = max(height, 2 * small + pad) if len(details) > 1 else height
    if detailed + 2 * pad > room:
        details, detailed, tall = [], own, height
    wide, high = round(detailed + 2 * pad), round(tall + 2 * pad)
    left, top = label_place(taken, letter.box, (wide, high), round((DESIGN.margin_px + DESIGN.line_px) * unit) + 1)
    cv2.rectangle(canvas, (left, top), (left + wide, top + high), DARK, cv2.FILLED)
    cv2.line(canvas, (left, top), (left, top + high), colour, max(1, round(DESIGN.line_px * unit)))
    draw_text(canvas, letter.letter, (left + pad, top + pad + (tall + height) / 2), height, LIGHT)
    for row, detail in enumerate(details):
        bottom = top + pad + (tall + small) / 2 if len(details) == 1 else top + pad + small + row * (small + pad)
        draw_text(canvas, detail, (left + 2 * pad + own, bottom), small, colour)
    return left, top, wide, high


def label_place(taken: Pixels, box: Box, size: tuple[int, int], gap: int) -> tuple[int, int]:
    """Return left and top of a label of this size (width, height): above its box, or below if it hides less there."""
    (x, y, _, h), (wide, high) = box, size
    left = min(max(0, x), max(0, taken.shape[1] - wide - 1))
    above, below = y - high - gap, y + h + gap
    places = [top for top in (above, below) if 0 <= top < taken.shape[0] - high]
    if not places:
        return left, min(max(0, above), max(0, taken.shape[0] - high - 1))
    return left, min(places, key=lambda top: cv2.countNonZero(taken[top : top + high, left : left + wide]))


def bar(page: Page, status: Status, width: int, unit: float) -> Pixels:
    """Return a bar (h, width, 3) with the text that was read, marks, frames per second and milliseconds."""
    strip = np.empty((bar_height(unit), width, 3), np.uint8)
    draw_bar(strip, page, status, unit)
    return strip


def bar_height(unit: float) -> int:
    """Return the height of the bar in pixels; it is even because video codecs need that."""
    return 2 * round((DESIGN.text_px + 4 * DESIGN.padding_px) * unit / 2)


def draw_bar(strip: Pixels, page: Page, status: Status, unit: float) -> None:
    """Draw the bar on a strip (h, width, 3)."""
    high, width = strip.shape[:2]
    size, pad = DESIGN.label_px * unit, 2 * DESIGN.padding_px * unit
    cv2.rectangle(strip, (0, 0), (width, high), DARK, cv2.FILLED)
    right = width - pad
    rate = [] if status.fps is None else [f"{status.fps:.0f} fps"]
    for words in (f"{page.segment_ms + page.classify_ms:.1f} ms", *rate, *status.marks):
        right -= text_width(words, size)
        if words in status.marks:
            edges = (round(right - pad), 0), (round(right + text_width(words, size) + pad), high)
            cv2.rectangle(strip, *edges, ALERT, cv2.FILLED)
        draw_text(strip, words, (right, (high + size) / 2), size, LIGHT)
        right -= 2 * pad
    text = LINE_BREAK.join(row for row in page.text.split("\n") if row)
    room = right - pad
    # A text that is too long is drawn smaller; if it would be illegible then, it is cut.
    tall = max(size, DESIGN.text_px * unit * min(1.0, room / max(1.0, text_width(text, DESIGN.text_px * unit))))
    draw_text(strip, shortened(text, tall, room), (pad, (high + tall) / 2), tall, LIGHT)


def shortened(text: str, size: float, room: float) -> str:
    """Return the text, cut with dots at the end if it is wider than `room` pixels."""
    if text_width(text, size) <= room:
        return text
    length = next((n for n in range(len(text), 0, -1) if text_width(text[:n] + "...", size) <= room), 0)
    return text[:length] + "..."


def draw_help(canvas: Pixels, rows: Sequence[tuple[str, str]]) -> None:
    """Draw a table of keys and what they do in the centre of the image."""
    unit = unit_of(canvas)
    size, pad = 1.2 * DESIGN.label_px * unit, 3 * DESIGN.padding_px * unit
    keys = max(text_width(key, size) for key, _ in rows)
    wide = keys + max(text_width(does, size) for _, does in rows) + 4 * pad
    # On a small image the table shrinks until all of it fits.
    shrink = min(1.0, canvas.shape[1] / wide, canvas.shape[0] / (len(rows) * (size + pad) + 2 * pad))
    size, pad, keys, wide = size * shrink, pad * shrink, keys * shrink, wide * shrink
    high = len(rows) * (size + pad) + pad
    left, top = (canvas.shape[1] - wide) / 2, (canvas.shape[0] - high) / 2
    part = canvas[round(top) : round(top + high), round(left) : round(left + wide)]
    part[:] = cv2.addWeighted(part, 1 - DESIGN.help_opacity, np.full_like(part, DARK), DESIGN.help_opacity, 0)
    for i, (key, does) in enumerate(rows):
        bottom = top + (i + 1) * (size + pad)
        draw_text(canvas, key, (left + pad, bottom), size, SURE)
        draw_text(canvas, does, (left + 3 * pad + keys, bottom), size, LIGHT)


def draw_text(canvas: Pixels, text: str, at: tuple[float, float], size: float, colour: Colour) -> None:
    """Draw text from its lower left corner; size is the height of a capital in pixels."""
    thick = max(1, round(size / 9))
    cv2.putText(canvas, text, (round(at[0]), round(at[1])), FONT, size / FONT_PX, colour, thick, cv2.LINE_AA)


@lru_cache(maxsize=1024)
def text_width(text: str, size: float) -> float:
    """Return the width of text in pixels; size is the height of a capital in pixels."""
    return cv2.getTextSize(text, FONT, size / FONT_PX, max(1, round(size / 9)))[0][0]


def polyline(*points: tuple[int, int]) -> Pixels:
    return np.array(points, np.int32)[:, None]
