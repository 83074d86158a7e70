"""What readers of text are compared on: pages with known text, and single letters."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import LettercastError
from ..runtime.picture import read_image
from ..runtime.pixels import Pixels
from ..train.draw import draw_plain
from ..train.pen import PenSource
from ..train.source import ImageSource, Source, StrokeSource
from .conditions import take_page
from .hands import open_hands
from .pages import read_labels
from .scenes import PLAIN, STRENGTHS

SEED = 0
# Pages as readers of text are made for: upright, in focus, and on each kind of paper.
MILD = STRENGTHS[0]
GENERATED = (
    (PLAIN, ""),
    ("ruled", MILD),
    ("squared", MILD),
    ("grid card", MILD),
    ("soft shadow", MILD),
    ("tinted paper", MILD),
    ("marker", MILD),
    ("coloured ink", MILD),
)
LABELS = "labels.csv"
EXAMPLE, EXAMPLE_TEXT = Path(__file__).parents[1] / "docs" / "example-page.jpg", "HANDWRITING|ON A DEVICE"


@dataclass(frozen=True)
class NamedPage:
    """A page (H, W, 3) BGR uint8 with the text that stands there, lines parted by `|`."""

    name: str
    text: str
    image: Pixels


def some_letters(source: Source, count: int) -> tuple[list[Pixels], list[str]]:
    """Return the plain ink (H, W) uint8 of some letters, as large as the source has it, and what they are."""
    rng = np.random.default_rng(SEED)
    chosen = rng.choice(len(source.labels), min(count, len(source.labels)), replace=False)
    return [ink_of(source, int(i)) for i in chosen], [source.classes[source.labels[i]].upper() for i in chosen]


def ink_of(source: Source, index: int) -> Pixels:
    """Return the plain ink (H, W) uint8 of one letter."""
    match source:
        case StrokeSource():
            return draw_plain(source.strokes.letter(index))
        case ImageSource():
            return source.inks[index]
        case PenSource():
            return source.ink(index)
        case _:
            raise LettercastError(f"{source.name}: single letters come from one source at a time; name them one by one")


def page_sets(folder: Path | None) -> dict[str, list[NamedPage]]:
    """Return sets of pages: those of a folder with its labels.csv, the example page, and generated ones."""
    sets = {}
    if folder:
        labels = folder / LABELS if folder.is_dir() else folder
        rows = read_labels(labels)
        sets[labels.parent.resolve().name] = [NamedPage(file, text, read_image(labels.parent / file)) for file, text in rows]
    # It comes with the sources only.
    if EXAMPLE.is_file():
        sets["example page"] = [NamedPage(EXAMPLE.name, EXAMPLE_TEXT, read_image(EXAMPLE))]
    hands = open_hands("pen", "test")
    photos = [take_page(hands, condition, strength, i, seed=SEED) for i, (condition, strength) in enumerate(GENERATED)]
    sets["generated pages"] = [
        NamedPage(condition, photo.text.replace("\n", "|"), photo.image)
        for (condition, _), photo in zip(GENERATED, photos, strict=True)
    ]
    return sets
