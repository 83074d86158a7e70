"""Parts that all tables share: columns by name, and how figures are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from rich.table import Table
from rich.text import Text

T = TypeVar("T")
Cell: TypeAlias = Callable[[T], str | Text]
# From this width on, a terminal has room for every column.
WIDE = 140
# Columns of text are aligned to the left, columns of figures to the right.
TEXT_COLUMNS = (
    "file",
    "model",
    "engine",
    "drop (95 %)",
    "agree % (95 %)",
    "ECE change",
    "rejected change",
    "gate",
    "for",
    "arithmetic",
    "product",
    "layer",
    "kind",
    "output",
    "stage",
    "result",
    "image",
    "reader",
    "setting",
    "tried",
)


def fill(table: Table, columns: Mapping[str, Cell[T]], items: Sequence[T], shown: Iterable[str]) -> Table:
    """Add the shown columns to a table, and one line per item; in a narrow terminal text wraps, so that figures stay whole."""
    names = list(shown)
    for name in names:
        if name in TEXT_COLUMNS:
            table.add_column(name, overflow="ellipsis" if name == "for" else "fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for item in items:
        table.add_row(*(columns[name](item) for name in names))
    return table


def in_ms(value: float) -> str:
    """Return milliseconds with three decimals, from 10 ms on with one."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def known(value: T | None, cell: Cell[T]) -> str | Text:
    """Return the cell of a figure, a dash if the figure was not measured."""
    return "-" if value is None else cell(value)
