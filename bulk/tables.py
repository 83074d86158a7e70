"""The two tables of an archive: their columns, and how records become rows."""

import json
from collections.abc import Iterable
from importlib import import_module
from itertools import repeat
from types import ModuleType
from typing import Any

from .. import LettercastError
from .records import LETTER_COLUMNS

INSTALL = "--out needs pyarrow, which is not installed: pip install 'lettercast[bulk]'"
PAGES, LETTERS = "pages", "letters"


def import_pyarrow() -> ModuleType:
    """Import pyarrow with its Parquet files; raises LettercastError if it is not installed."""
    try:
        for name in ("compute", "parquet"):
            import_module(f"pyarrow.{name}")
        return import_module("pyarrow")
    except ImportError as error:
        raise LettercastError(INSTALL) from error


def page_schema() -> Any:
    """Return the columns of the table of pages: text is null where error is not."""
    pa = import_pyarrow()
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("page", pa.int32(), nullable=False),
            ("pages", pa.int32()),
            ("text", pa.string()),
            ("listed_text", pa.string()),
            ("letters", pa.int32()),
            ("left_out", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("dpi", pa.float32()),
            ("bytes", pa.int64()),
            # Without a time zone, because DuckDB needs an extension for those that have one.
            ("modified", pa.timestamp("us")),
            ("error", pa.string()),
            ("model", pa.string()),
            ("model_sha256", pa.string()),
            ("engine", pa.string()),
            ("version", pa.string()),
        ]
    )


def letter_schema() -> Any:
    """Return the columns of the table of letters; line, word and position count from 1, boxes are in pixels of the page."""
    pa = import_pyarrow()
    alternative = pa.struct([("letter", pa.string()), ("confidence", pa.float32())])
    kinds = {
        "outside": pa.bool_(),
        "letter": pa.string(),
        "confidence": pa.float32(),
        "alternatives": pa.list_(alternative),
        "seen": pa.string(),
        "listed": pa.string(),
    }
    own = [(name, kinds.get(name, pa.int32())) for name in LETTER_COLUMNS]
    return pa.schema([pa.field("path", pa.string(), nullable=False), pa.field("page", pa.int32(), nullable=False), *own])


def make_tables(lines: Iterable[bytes], constants: dict[str, str]) -> tuple[Any, Any]:
    """Return the tables of pages and of letters of these records, in the order of paths and pages.

    Args:
        lines: records as `encode` makes them.
        constants: values of columns that are the same for all pages.
    """
    pa = import_pyarrow()
    pages: list[dict[str, Any]] = []
    letters: dict[str, list[Any]] = {name: [] for name in ("path", "page", *LETTER_COLUMNS)}
    for page in sorted(map(json.loads, lines), key=lambda page: (page["path"], page["page"])):
        columns = page.pop("letters", None)
        count = len(columns[0]) if columns else 0
        pages.append(page | constants | {"letters": None if columns is None else count})
        letters["path"].extend(repeat(page["path"], count))
        letters["page"].extend(repeat(page["page"], count))
        for name, values in zip(LETTER_COLUMNS, columns or (), strict=False):
            letters[name].extend(values)
    letters["alternatives"] = [[{"letter": one, "confidence": share} for one, share in some] for some in letters["alternatives"]]
    return pa.Table.from_pylist(pages, schema=page_schema()), pa.Table.from_pydict(letters, schema=letter_schema())
