"""Photographs of filled-in sheets become letters with known names, and what was left out is remembered."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ... import LettercastError
from ..model.engine import Engine
from ..pixels import Pixels
from ..sources.images import read_image
from .crossed import find_crossed, probabilities_of
from .cut import CROSSED, EMPTY, LETTER, Cut, cut_letters
from .find import flatten
from .layout import SheetPage

# Two photographs show the same sheet if their letters correlate at least this much; other letters of one writer have 0.6.
MIN_SAME, SAME_BLUR_PX = 0.88, 1.0
# At least so many boxes must be filled in on both.
MIN_COMPARED = 3


@dataclass(frozen=True)
class FilledPage:
    """One page of a sheet, as it was filled in: its photograph's name, and what stands in each box."""

    source: str
    page: SheetPage
    cuts: tuple[Cut, ...]

    @property
    def letters(self) -> tuple[Cut, ...]:
        """The letters, without empty and crossed-out boxes."""
        return tuple(cut for cut in self.cuts if cut.state == LETTER)

    def describe(self) -> str:
        """Return how many boxes hold a letter, are empty and are crossed out, in words."""
        count = Counter(cut.state for cut in self.cuts)
        parts = [
            f"{count[LETTER]} letter{'s' * (count[LETTER] != 1)}",
            *(f"{count[state]} {state}" for state in (EMPTY, CROSSED)),
        ]
        return f"page {self.page.number + 1} of {self.page.count}, {', '.join(parts)}"


def read_sheets(paths: Iterable[Path], labels: Sequence[str] | None = None, engine: Engine | None = None) -> list[FilledPage]:
    """Cut the letters out of photographs of sheets; a sheet that was photographed twice counts once.

    Args:
        paths: image files, each of one page.
        labels: the labels of a sheet of other labels than A to Z.
        engine: a model of letters that helps to tell crossed-out letters; without one, only their shapes do.

    Raises:
        LettercastError: an image cannot be read or shows no sheet, two sheets have other labels, or nothing is filled in.
    """
    pages: list[FilledPage] = []
    for path in paths:
        image = read_image(path)
        try:
            page = read_sheet(image, str(path), labels)
        except LettercastError as error:
            raise LettercastError(f"{path}: {error}") from error
        if pages and page.page.labels != pages[0].page.labels:
            raise LettercastError(f"{path}: a sheet of other labels than {pages[0].source}; learn from each alone")
        same = next((i for i, other in enumerate(pages) if is_same(page, other)), None)
        if same is None:
            pages.append(page)
        else:
            pages[same] = merged(pages[same], page)
    if not any(page.letters for page in pages):
        raise LettercastError(f"{', '.join(page.source for page in pages)}: no box is filled in; write the letters first")
    return [replace(page, cuts=without_crossed(page.cuts, engine)) for page in pages]


def read_sheet(image: Pixels, source: str, labels: Sequence[str] | None = None) -> FilledPage:
    """Cut the letters out of one photograph (H, W[, C]) uint8; raises LettercastError as flatten does."""
    sheet = flatten(image, labels)
    return FilledPage(source, sheet.page, tuple(cut_letters(sheet)))


def without_crossed(cuts: Sequence[Cut], engine: Engine | None) -> tuple[Cut, ...]:
    """Return cuts of which those that look crossed out are CROSSED."""
    crossed = find_crossed(cuts, engine)
    return tuple(replace(cut, state=CROSSED) if is_out else cut for cut, is_out in zip(cuts, crossed, strict=True))


def read_as_others(page: FilledPage, engine: Engine) -> list[str]:
    """Return what a model reads in each box if that is not the box's label, whatever its case; "" elsewhere.

    A model that takes other images, or lacks a label of the sheet, says nothing.
    """
    names = engine.facts.labels
    others = [""] * len(page.cuts)
    places = [i for i, cut in enumerate(page.cuts) if cut.state == LETTER]
    if probabilities_of([page.cuts[i] for i in places], engine) is None:
        return others
    rows = engine(np.stack([page.cuts[i].glyph_image for i in places]))
    for i, best in zip(places, rows.argmax(1).tolist(), strict=True):
        label = page.cuts[i].box.label
        others[i] = "" if names[best] in (label, label.upper()) else names[best]
    return others


def is_same(one: FilledPage, other: FilledPage) -> bool:
    """Return whether two photographs show the same sheet of paper."""
    if (one.page.code, one.page.labels) != (other.page.code, other.page.labels):
        return False
    both = [(a, b) for a, b in zip(one.cuts, other.cuts, strict=True) if a.state == b.state == LETTER]
    return len(both) >= MIN_COMPARED and float(np.median([correlation(a, b) for a, b in both])) >= MIN_SAME


def correlation(one: Cut, other: Cut) -> float:
    """Return how much two letters correlate, a little blurred: -1 to 1."""
    a, b = (cv2.GaussianBlur(cut.glyph_image[..., 0].astype(np.float32), (0, 0), SAME_BLUR_PX).ravel() for cut in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(1e-6, float(np.linalg.norm(a) * np.linalg.norm(b))))


def merged(first: FilledPage, second: FilledPage) -> FilledPage:
    """Return the first page, with letters of the second where the first shows none."""
    cuts = zip(first.cuts, second.cuts, strict=True)
    return replace(first, cuts=tuple(b if a.state != LETTER and b.state == LETTER else a for a, b in cuts))
