"""Whole photographed pages: what the reader reads on them, and its character error rate."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rapidfuzz.distance import Levenshtein

from .. import LettercastError
from ..runtime.reader import Reader
from ..runtime.sources.images import read_image


@dataclass(frozen=True)
class PageResult:
    """One page: its true text, the text that was read, the edits (insert, delete, substitute) between them, and the time."""

    file: str
    expected: str
    read: str
    errors: int
    ms: float

    @property
    def letters(self) -> int:
        """The number of true letters on the page."""
        return len(plain(self.expected))


@dataclass(frozen=True)
class PagesResult:
    """All pages of one label file, read with one model."""

    model: str
    pages: tuple[PageResult, ...]

    @property
    def letters(self) -> int:
        """The number of true letters on the pages."""
        return sum(page.letters for page in self.pages)

    @property
    def cer(self) -> float:
        """Character error rate 0..: edits (insert, delete, substitute) divided by the true letters."""
        return sum(page.errors for page in self.pages) / max(1, self.letters)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `lettercast evaluate --pages --json`."""
        return {
            "model": self.model,
            "cer": self.cer,
            "letters": self.letters,
            "errors": sum(page.errors for page in self.pages),
            "pages": len(self.pages),
            "ms_per_page": median(page.ms for page in self.pages),
            "wrong": [{"file": p.file, "expected": p.expected, "read": p.read} for p in self.pages if p.errors],
        }


def read_pages(reader: Reader, labels: Path, progress: Callable[[str], None] = lambda file: None) -> PagesResult:
    """Read every page of a CSV with the header `file,text`; `|` separates lines, and files are relative to the CSV's folder.

    Raises LettercastError if the CSV or an image cannot be used.
    """
    rows = read_labels(labels)
    pages = []
    for file, expected in rows:
        progress(file)
        page = reader.read(read_image(labels.parent / file))
        pages.append(compare_page(file, expected, page.text, page.segment_ms + page.classify_ms))
    return PagesResult(reader.engine.facts.name, tuple(pages))


def compare_page(file: str, expected: str, text: str, ms: float) -> PageResult:
    """Compare a page's expected text, with `|` between lines, to the text that was read, with line breaks."""
    read = text.replace("\n", "|")
    return PageResult(file, expected, read, Levenshtein.distance(plain(expected), plain(read)), ms)


def read_labels(labels: Path) -> list[tuple[str, str]]:
    """Read the rows of a CSV with the header `file,text`; raises LettercastError if it is not one."""
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["file"], row["text"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise LettercastError(f"{labels}: {error.strerror}; give a CSV with the columns file and text") from error
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise LettercastError(f"{labels}: not a CSV with the columns file and text") from error
    if not rows or not all(file and text and plain(text) for file, text in rows):
        raise LettercastError(f"{labels}: every row needs a file and a text with letters, and there must be at least one row")
    return rows


def plain(text: str) -> str:
    """Return the letters to compare, as capitals without spaces and line breaks."""
    return "".join(text.replace("|", "").split()).upper()
