"""What tables share: columns by their names, and how figures are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from rich.table import Table
from rich.text import Text

T = TypeVar("T")
Cell: TypeAlias = Callable[[T], str | Text]
# Columns of a terminal from which on every column has room.
WIDE = 140
TEXT_COLUMNS = (
    "file",
    "model",
    "engine",
    "drop (95 %)",
    "gate",
    "for",
    "arithmetic",
    "product",
    "layer",
    "gives",
    "answer",
    "picture",
    "reader",
    "setting",
)


def fill(table: Table, columns: Mapping[str, Cell[T]], items: Sequence[T], shown: Iterable[str]) -> Table:
    """Add the columns that are shown, and one line an item; figures are never cut."""
    names = list(shown)
    for name in names:
        table.add_column(name, justify="left" if name in TEXT_COLUMNS else "right", no_wrap=name != "for")
    for item in items:
        table.add_row(*(columns[name](item) for name in names))
    return table


def in_ms(value: float) -> str:
    """Return milliseconds to three digits behind the point, one from ten on."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def known(value: T | None, cell: Cell[T]) -> str | Text:
    """Return the cell of a figure, a dash where it was not measured."""
    return "-" if value is None else cell(value)
