"""The boxes, letters and status drawn over an image: legible on any background, at any size, and for colour-blind eyes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from ..pixels import Pixels, median
from ..text import UNKNOWN, Box, Letter, Line, Page, Word

Colour = tuple[int, int, int]

# BGR colours of Okabe and Ito's palette, which colour-blind people can distinguish; in addition, doubtful boxes are dashed.
SURE, DOUBTFUL, REJECTED, LISTED = (233, 180, 86), (0, 159, 230), (170, 170, 170), (115, 158, 0)
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
    """Lengths in pixels, chosen by eye.

    Those of the bar and the help are for an image whose longer side is `side_px`, and grow with the image. Those of boxes and
    labels are for letters of the height `letter_px`, and grow with the letters.
    """

    side_px: int = 640
    # On small images the lengths shrink no further than by this factor.
    min_unit: float = 0.7
    letter_px: float = 38.0
    # At small letters the lengths shrink no further than by this factor, and they are at most this many times the image's.
    min_scale: float = 0.64
    max_scale: float = 1.8
    # Lines of a page whose letters differ less than by this factor have labels of one size.
    same_height: float = 1.4
    label_px: float = 11.0
    text_px: float = 15.0
    small_px: float = 8.0
    # In large labels the details have at least this share of the label's height.
    small_share: float = 0.55
    padding_px: float = 3.0
    margin_px: float = 3.5
    line_px: float = 1.5
    dash_px: float = 9.0
    help_opacity: float = 0.85


DESIGN = Design()
# Where lines are close together, their labels shrink by these factors until all fit between the lines.
SHRINKS = (1.0, 0.8, 0.64)
# A label stands below its letter only where there is room for this many, so that none of the next line's labels is near.
BELOW = 3
# Pixels of a box that differ from its paper by less are no ink.
MIN_INK = 24


@dataclass(frozen=True)
class Status:
    """What the bar shows beside the text: frames per second, words such as REC or FROZEN, and a hint such as `h help`."""

    fps: float | None = None
    marks: tuple[str, ...] = ()
    hint: str = ""


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
    scales = scales_of(page, unit)
    draw_boxes(canvas, page, scales)
    # Where labels lie is settled before any is drawn, because a label that comes first must not take the room of others.
    for label in place_labels(image, page, scales):
        draw_label(canvas, label)
    if status:
        draw_bar(drawn[height:], page, status, unit)
    return drawn


def scales_of(page: Page, unit: float) -> list[float]:
    """Return how many pixels of the image one pixel of the design takes at the letters of each line."""
    heights = [[letter.box[3] for letter in line.letters] for line in page.lines]
    usual = median([height for line in heights for height in line]) if page.letters else 1.0
    scales = []
    for line in heights:
        height = median(line) if line else usual
        if max(height, usual) < DESIGN.same_height * min(height, usual):
            height = usual
        scales.append(max(DESIGN.min_scale, min(height / DESIGN.letter_px, DESIGN.max_scale * unit)))
    return scales


@dataclass(frozen=True)
class Label:
    """A label on the image: its text in pixels of height, the colour of its edge, left and top, and details in small text."""

    text: str
    height: float
    colour: Colour
    left: int
    top: int
    details: str = ""

    @property
    def pad(self) -> float:
        """The empty border in pixels."""
        return DESIGN.padding_px / DESIGN.label_px * self.height

    @property
    def small(self) -> float:
        """The height of the details in pixels."""
        return max(DESIGN.small_share * self.height, min(DESIGN.small_px, DESIGN.small_px / DESIGN.label_px * self.height))

    @property
    def box(self) -> Box:
        """The box of the label."""
        wide = text_width(self.text, self.height) + 2 * self.pad
        if self.details:
            wide += self.pad + text_width(self.details, self.small)
        return self.left, self.top, math.ceil(wide), math.ceil(self.height + 2 * self.pad)

    def at(self, left: int, top: int) -> "Label":
        """Return the same label at another place."""
        return replace(self, left=left, top=top)


class Room:
    """The room for labels on an image: they hide neither letters nor each other.

    Comparing each label with all boxes would take longer than all the drawing on a full page, so there is a mask.
    """

    def __init__(self, shape: tuple[int, ...], page: Page) -> None:
        self.height, self.width = shape[:2]
        self.taken = np.zeros(shape[:2], np.uint8)
        for line in (*page.lines, *page.outside):
            for letter in line.letters:
                mark_taken(self.taken, letter.box)

    def is_free(self, box: Box) -> bool:
        """Tell whether a box lies in the image and hides nothing."""
        x, y, w, h = box
        is_inside = x >= 0 and y >= 0 and x + w <= self.width and y + h <= self.height
        return is_inside and not cv2.countNonZero(self.taken[y : y + h, x : x + w])

    def take(self, label: Label) -> Label:
        """Take the room of a label, and return it."""
        mark_taken(self.taken, label.box)
        return label


def place_labels(image: Pixels, page: Page, scales: Sequence[float]) -> list[Label]:
    """Return the labels of all letters and words where they hide neither writing nor each other.

    The labels of a line stand above it and are as large as the gap between the lines allows. A letter without room there gets
    its label below, or else on itself, where it has the least ink.
    """
    room = Room(image.shape, page)
    placed: list[tuple[Letter, Label]] = []
    left_over: list[tuple[Letter, float]] = []
    for line, scale in zip(page.lines, scales, strict=True):
        letters = [letter for letter in line.letters if letter.letter != UNKNOWN]
        for letter, label in zip(letters, best_row(room, letters, scale), strict=True):
            if label:
                placed.append((letter, room.take(label)))
            else:
                left_over.append((letter, scale))
    for letter, scale in left_over:
        label = place_below(room, letter, scale) or place_inside(image, letter, scale, [one for _, one in placed])
        if label:
            placed.append((letter, room.take(label)))
    words = [label for line, scale in zip(page.lines, scales, strict=True) for label in listed_labels(room, line, scale)]
    return [*words, *(with_details(room, label, letter) for letter, label in placed)]


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


def draw_boxes(canvas: Pixels, page: Page, scales: Sequence[float]) -> None:
    """Draw the boxes: solid if the letter is sure, dashed if it is doubtful, only the corners if it is rejected.

    Words of the list are underlined along the feet of their boxes, where the line hides nothing more.
    """
    strokes: dict[tuple[int, Colour], list[Pixels]] = {}
    for line, scale in zip(page.lines, scales, strict=True):
        # The line runs beside the ink and not over it.
        margin, thin = math.ceil(DESIGN.margin_px * scale), max(1, round(DESIGN.line_px * scale))
        for word in line.words:
            for letter in word.letters:
                x, y, w, h = letter.box
                box = (x - margin, y - margin, w + 2 * margin, h + 2 * margin)
                if letter.letter == UNKNOWN:
                    strokes.setdefault((thin, REJECTED), []).extend(corners(box))
                elif letter.confidence >= MIN_SURE:
                    strokes.setdefault((thin, SURE), []).extend(sides(box))
                else:
                    strokes.setdefault((thin, DOUBTFUL), []).extend(dashes(box, DESIGN.dash_px * scale))
            if word.listed:
                strokes.setdefault((2 * thin, LISTED), []).extend(feet(word, margin))
    # A dark edge keeps the coloured line legible on light and on coloured backgrounds.
    for (thick, colour), lines in strokes.items():
        cv2.polylines(canvas, lines, False, DARK, thick + (2 if thick < 4 else 2 * round(thick / 3)))
        cv2.polylines(canvas, lines, False, colour, thick)


def feet(word: Word, margin: int) -> list[Pixels]:
    """Return a line below each letter of a word, up to the next letter."""
    boxes = [letter.box for letter in word.letters]
    ends = [max(x + w, after[0] - margin) for (x, _, w, _), after in pairwise(boxes)] + [boxes[-1][0] + boxes[-1][2] + margin]
    return [polyline((x - margin, y + h + margin), (end, y + h + margin)) for (x, y, _, h), end in zip(boxes, ends, strict=True)]


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


def label_of(letter: Letter, height: float) -> Label:
    """Return the label of a letter, `height` pixels high, anywhere."""
    return Label(letter.letter, height, SURE if letter.confidence >= MIN_SURE else DOUBTFUL, 0, 0)


def best_row(room: Room, letters: Sequence[Letter], scale: float) -> list[Label | None]:
    """Return the labels above a line's letters, in the largest size in which all fit, or in which most do; else None."""
    best: list[Label | None] = [None] * len(letters)
    for shrink in SHRINKS:
        if scale * shrink < DESIGN.min_scale and shrink < 1:
            break
        row = place_row(room, letters, scale * shrink)
        if sum(map(bool, row)) > sum(map(bool, best)):
            best = row
        if all(row):
            break
    return best


def place_row(room: Room, letters: Sequence[Letter], scale: float) -> list[Label | None]:
    """Return labels of one size above a line's letters, and None where one would hide something."""
    # A label may cover the upper side of its own box.
    gaps = (gap_of(scale), 1)
    row: list[Label | None] = []
    end = 0
    for letter in letters:
        x, y, w, _ = letter.box
        label = label_of(letter, DESIGN.label_px * scale)
        wide, high = label.box[2:]
        lefts = dict.fromkeys(min(max(0, left), room.width - wide) for left in (x, x + w - wide, max(end, x - wide // 2)))
        places = ((left, y - high - gap) for gap in gaps for left in lefts if left >= end)
        found = next((place for place in places if room.is_free((*place, wide, high))), None)
        row.append(label.at(*found) if found else None)
        end = found[0] + wide if found else end
    return row


def gap_of(scale: float) -> int:
    """Return the pixels between a letter and its label, which leave the side of the letter's box visible."""
    return round((DESIGN.margin_px + DESIGN.line_px) * scale) + 1


def place_below(room: Room, letter: Letter, scale: float) -> Label | None:
    """Return a letter's label below its box, or None if something is there or just below it.

    Between two lines there are only the labels of the lower one: nobody could tell which line a label belongs to.
    """
    x, y, w, h = letter.box
    gap = gap_of(scale)
    for shrink in SHRINKS:
        label = label_of(letter, DESIGN.label_px * max(DESIGN.min_scale, scale * shrink))
        wide, high = label.box[2:]
        for start in (x, x + w - wide):
            left = min(max(0, start), room.width - wide)
            top = y + h + gap
            below = min(BELOW * high, room.height - top)
            if below >= high and room.is_free((left, top, wide, below)):
                return label.at(left, top)
    return None


def place_inside(image: Pixels, letter: Letter, scale: float, labels: Sequence[Label]) -> Label | None:
    """Return a letter's label in the corner of its own box that has the least ink, or None if other labels leave no corner.

    The label shrinks until a corner is without ink.
    """
    x, y, w, h = letter.box
    own = image[max(0, y) : y + h, max(0, x) : x + w]
    grey = np.asarray(own.min(2) if own.ndim == 3 else own)
    if not grey.size:
        return None
    # The paper is what most pixels of the box show, so ink is what differs from it.
    differs = cv2.absdiff(grey, np.full_like(grey, int(np.median(grey))))
    limit = max(MIN_INK, int(differs.max()) // 3)
    near = [label.box for label in labels if overlap(label.box, letter.box)]
    best: tuple[int, Label] | None = None
    for shrink in SHRINKS:
        label = label_of(letter, DESIGN.label_px * max(DESIGN.min_scale, scale * shrink))
        wide, high = label.box[2:]
        for left in (x, max(x, x + w - wide)):
            for top in (y, max(y, y + h - high)):
                if left + wide > image.shape[1] or top + high > image.shape[0]:
                    continue
                if any(overlap((left, top, wide, high), box) for box in near):
                    continue
                ink = int((differs[top - y : top - y + high, left - x : left - x + wide] > limit).sum())
                if not ink:
                    return label.at(left, top)
                if shrink == SHRINKS[-1] and (best is None or ink < best[0]):
                    best = ink, label.at(left, top)
    return best[1] if best else None


def overlap(a: Box, b: Box) -> bool:
    """Tell whether two boxes have pixels in common."""
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def listed_labels(room: Room, line: Line, scale: float) -> Iterator[Label]:
    """Yield labels below words that are other words in the list than what was read, where there is room."""
    for word in line.words:
        if word.listed and word.listed.upper() != word.text.upper():
            left = word.letters[0].box[0]
            foot = max(y + h for _, y, _, h in (letter.box for letter in word.letters))
            gap = gap_of(scale) + round(2 * DESIGN.line_px * scale)
            for shrink in SHRINKS:
                height = DESIGN.label_px * max(DESIGN.min_scale, scale * shrink)
                label = Label(word.listed, height, LISTED, left, foot + gap)
                label = label.at(min(left, max(0, room.width - label.box[2])), label.top)
                if room.is_free(label.box):
                    yield room.take(label)
                    break


def with_details(room: Room, label: Label, letter: Letter) -> Label:
    """Return a letter's label with its probability and second guess, as far as there is room for them to its right."""
    chance = f"{min(99, int(100 * letter.confidence))}%"
    guess = [f"{chance} {name}?" for name, share in letter.alternatives[:1] if share >= MIN_SECOND_GUESS]
    x, y, w, h = label.box
    for details in (*guess, chance):
        detailed = replace(label, details=details)
        if room.is_free((x + w, y, detailed.box[2] - w, h)):
            return room.take(detailed)
    return label


def draw_label(canvas: Pixels, label: Label) -> None:
    """Draw a label: the letter or word, then its details in small text."""
    left, top, wide, high = label.box
    cv2.rectangle(canvas, (left, top), (left + wide - 1, top + high - 1), DARK, cv2.FILLED)
    edge = max(1, round(DESIGN.line_px / DESIGN.label_px * label.height))
    cv2.rectangle(canvas, (left, top), (left + edge - 1, top + high - 1), label.colour, cv2.FILLED)
    foot = top + (high + label.height) / 2
    draw_text(canvas, label.text, (left + label.pad, foot), label.height, LIGHT)
    if label.details:
        at = left + 2 * label.pad + text_width(label.text, label.height), top + (high + label.small) / 2
        draw_text(canvas, label.details, at, label.small, label.colour)


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
    text = LINE_BREAK.join(row for row in page.shown_text.split("\n") if row)
    small = DESIGN.small_px * unit
    if status.hint and right - pad - text_width(status.hint, small) >= width / 3:
        right -= text_width(status.hint, small)
        draw_text(strip, status.hint, (right, (high + small) / 2), small, REJECTED)
        right -= 2 * pad
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
