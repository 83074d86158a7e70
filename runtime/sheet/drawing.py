"""What is printed on a sheet: its boxes, marks and texts as rectangles and lines of text, in millimetres."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .layout import BOX_MM, COPIES, EDGE_MM, MARGIN_MM, MARK_MM, PLACES, VERSION, SheetBox, SheetPage
from .marks import MODULES, mark_modules

# Red, green and blue of 0..1.
Colour: TypeAlias = tuple[float, float, float]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
# Lighter than any pen, so that writing over a line stays apart from it.
LINE_COLOUR, CAPTION_COLOUR, TEXT_COLOUR = (0.55, 0.7, 0.85), (0.35, 0.45, 0.55), (0.2, 0.2, 0.2)
LINE_MM = 0.25
CAPTION_PT, HINT_PT, TITLE_PT, TEXT_PT = 9.0, 5.5, 12.0, 8.0
# The baseline of a caption above its box, the hint beside it, the room beside marks, and the pitch of lines of text.
CAPTION_ABOVE_MM, HINT_RIGHT_MM, BESIDE_MM, LINE_PITCH_MM = 1.0, 4.2, 4.0, 4.4
# Captions are cut to about the width of a box.
MAX_CAPTION = 7
TITLE = "Write each letter in its box, with your usual pen."
HELP = (
    "If one goes wrong, scribble over it, or leave its box empty. Then photograph the whole page, flat and sharp.",
    "On your computer: lettercast learn photo.jpg --name mine",
)


@dataclass(frozen=True)
class Rectangle:
    """A rectangle: filled, or an outline of this width around its middle."""

    left: float
    top: float
    width: float
    height: float
    colour: Colour
    outline: float | None = None


# The width of most letters, and how far they reach above and below their baseline, in sizes of the font.
LETTER_WIDTH, RISE, FALL = 0.68, 0.78, 0.24
MM_PER_POINT = 25.4 / 72


@dataclass(frozen=True)
class Text:
    """A line of text: where its baseline begins, and its size in points."""

    left: float
    foot: float
    text: str
    points: float
    colour: Colour
    is_bold: bool = False

    @property
    def area(self) -> tuple[float, float, float, float]:
        """The left, top, right and bottom of what it covers, at most."""
        size = self.points * MM_PER_POINT
        right = self.left + max(1.0, LETTER_WIDTH * len(self.text)) * size
        return self.left, self.foot - RISE * size, right, self.foot + FALL * size


Item: TypeAlias = Rectangle | Text


def draw_page(page: SheetPage) -> list[Item]:
    """Return what is printed on a page, in the order of printing."""
    return [*_boxes(page), *_texts(page), *_marks(page)]


def _boxes(page: SheetPage) -> Iterator[Item]:
    for box in page.boxes:
        yield Rectangle(box.left, box.top, BOX_MM, BOX_MM, LINE_COLOUR, LINE_MM)
        yield from captions_of(box, page)


def captions_of(box: SheetBox, page: SheetPage) -> list[Text]:
    """Return the texts above a box; what tells letters apart is printed once, so that long strokes have room above the others."""
    foot = box.top - CAPTION_ABOVE_MM
    texts = [Text(box.left, foot, shown(box.label), CAPTION_PT, CAPTION_COLOUR, is_bold=True)]
    hint = hint_of(box.label, page.labels)
    if hint and not box.copy:
        texts.append(Text(box.left + HINT_RIGHT_MM, foot, hint, HINT_PT, CAPTION_COLOUR))
    return texts


def _texts(page: SheetPage) -> Iterator[Item]:
    width, height = page.size
    left, top = MARGIN_MM + MARK_MM + BESIDE_MM, EDGE_MM + 4
    yield Text(left, top, TITLE, TITLE_PT, TEXT_COLOUR, is_bold=True)
    for i, line in enumerate(HELP, 1):
        yield Text(left, top + i * LINE_PITCH_MM, line, TEXT_PT, TEXT_COLOUR)
    foot = height - EDGE_MM
    count = f"page {page.number + 1} of {page.count}"
    yield Text(left, foot - LINE_PITCH_MM, f"lettercast sheet {VERSION}, {page.paper.upper()}, {count}", TEXT_PT, TEXT_COLOUR)
    yield Text(left, foot, labels_in_short(page), TEXT_PT, TEXT_COLOUR)
    right = (width + MARK_MM) / 2 + BESIDE_MM
    yield Text(right, foot, f"{len(page.labels)} labels, each {COPIES} times", TEXT_PT, TEXT_COLOUR)


def _marks(page: SheetPage) -> Iterator[Item]:
    step = MARK_MM / MODULES
    for place in range(len(PLACES)):
        left, top = page.marks[place, 0].tolist()
        yield Rectangle(left, top, MARK_MM, MARK_MM, BLACK)
        modules = mark_modules(page.mark_ids[place])
        for row in range(MODULES):
            start = 0
            while start < MODULES:
                end = start
                while end < MODULES and modules[row, end] > 0:
                    end += 1
                if end > start:
                    yield Rectangle(left + start * step, top + row * step, (end - start) * step, step, WHITE)
                start = end + 1


def shown(label: str) -> str:
    """Return a label as its caption shows it; letters that Helvetica of a PDF lacks are named by their number in Unicode."""
    if not is_printable(label):
        label = "+".join(f"U{ord(one):04X}" for one in label)
    return label if len(label) <= MAX_CAPTION else f"{label[: MAX_CAPTION - 1]}…"


def is_printable(text: str) -> bool:
    """Return whether the fonts that every PDF reader has contain a text."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


def hint_of(label: str, labels: tuple[str, ...]) -> str:
    """Return what tells a letter from the one that looks like it on the same sheet."""
    if len(label) != 1 or not label.isascii():
        return ""
    if label.isdigit() and "O" in labels:
        return "digit"
    if label.isalpha() and label.swapcase() in labels:
        return "capital" if label.isupper() else "small"
    return ""


def labels_in_short(page: SheetPage) -> str:
    """Return the labels of a sheet in a few words."""
    if page.kind == "letters":
        return "A to Z, a to z"
    if page.kind == "digits":
        return "0 to 9, A to Z, a to z"
    first, last = shown(page.labels[0]), shown(page.labels[-1])
    return f"{first} to {last}: keep the list of labels for learn"
