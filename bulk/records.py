"""Records: what was read from one page, as JSON that a journal can hold and tables are made of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .. import LettercastError, __version__
from ..runtime.console import first_line
from ..runtime.text import Letter, Line, Page
from .documents import FileFacts
from .files import shown

LETTER_COLUMNS = (
    "outside",
    "line",
    "word",
    "position",
    "letter",
    "confidence",
    "x",
    "y",
    "width",
    "height",
    "alternatives",
    "seen",
    "listed",
    "form_row",
    "form_column",
)
LISTED = LETTER_COLUMNS.index("listed")


@dataclass(frozen=True)
class Place:
    """Where a page stands: the path of its file, its number from 1, the pages and facts of the file as far as they are known."""

    path: str
    number: int
    pages: int | None = None
    facts: FileFacts | None = None


def read_record(place: Place, page: Page, dpi: float | None, engine: str) -> dict[str, Any]:
    """Return the record of a page that was read.

    Args:
        place: where it stands.
        page: what was read.
        dpi: dots per inch at which the page of a PDF was drawn.
        engine: the name and the version of the engine.
    """
    rows = [row for outside, lines in ((False, page.lines), (True, page.outside)) for row in _letter_rows(lines, outside)]
    return _record(place, engine) | {
        "text": page.text,
        "listed_text": page.listed_text if any(row[LISTED] for row in rows) else None,
        "width": page.size[0],
        "height": page.size[1],
        "dpi": dpi,
        "left_out": page.left_out,
        "letters": [list(column) for column in zip(*rows, strict=True)],
    }


def error_record(place: Place, error: Exception | str, engine: str) -> dict[str, Any]:
    """Return the record of a page that could not be read because of this error; takes what read_record takes."""
    is_ours = isinstance(error, LettercastError | str)
    reason = " ".join(str(error).split()) if is_ours else f"cannot be read ({type(error).__name__}: {first_line(error)})"
    # The path has a column of its own.
    return _record(place, engine) | {"error": shown(reason.removeprefix(f"{Path(place.path)}: "))}


class Counted(NamedTuple):
    """What is counted of a record: its page, the pages of its file if they are known, why it was not read, and its letters."""

    path: str
    page: int
    pages: int | None
    error: str | None
    letters: int


def count(record: dict[str, Any]) -> Counted:
    """Return what is counted of a record."""
    columns = record.get("letters")
    return Counted(record["path"], record["page"], record["pages"], record.get("error"), len(columns[0]) if columns else 0)


def encode(record: dict[str, Any]) -> bytes:
    """Return a record as one line of JSON, with its end."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _record(place: Place, engine: str) -> dict[str, Any]:
    return {
        "path": shown(place.path),
        "page": place.number,
        "pages": place.pages,
        "bytes": place.facts and place.facts.size_bytes,
        "modified": place.facts and place.facts.modified_ns // 1000,
        "engine": engine,
        "version": __version__,
    }


def _letter_rows(lines: tuple[Line, ...], outside: bool) -> Iterator[tuple[Any, ...]]:
    """Yield the values of LETTER_COLUMNS for each letter."""
    for line_number, line in enumerate(lines, 1):
        for word_number, word in enumerate(line.words, 1):
            for position, letter in enumerate(word.letters, 1):
                yield (outside, line_number, word_number, position, *_of_letter(letter, word.listed))


def _of_letter(letter: Letter, listed: str | None) -> tuple[Any, ...]:
    seen = letter.seen_letter if letter.seen else None
    known = (letter.letter, letter.confidence, *letter.box, list(letter.alternatives))
    return (*known, seen, listed, letter.row, letter.column)
