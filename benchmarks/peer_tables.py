"""What peers made of the same pictures, and of the same network, as tables for a person."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from .columns import Cell, fill, in_ms, known
from .contender import BATCH
from .peer_engines import EngineRow
from .peer_reading import LetterRow, PageRow


def peer_pages_table(name: str, rows: Sequence[PageRow], absent: Mapping[str, str]) -> Table:
    """Return one line a reader of a set of pages, and how often slower and worse than the first it is."""
    first = rows[0]
    table = Table(
        title=f"{name}: {len(first.pages.pages)} pages, {first.pages.letters} letters, one thread each",
        caption="as it comes: its own settings; at its best: those that err least on such pages\n"
        "errors, times: as multiples of the first reader's; empty: a white page, with what it costs to start",
        caption_justify="left",
    )
    columns: dict[str, Cell[PageRow]] = {
        "reader": lambda row: row.peer,
        "setting": lambda row: row.setting,
        "error %": lambda row: f"{100 * row.pages.cer:.1f}",
        "errors": lambda row: _times(row.pages.cer, first.pages.cer),
        "ms a page": lambda row: f"{row.ms:.1f}",
        "times": lambda row: _times(row.ms, first.ms),
        "empty ms": lambda row: f"{row.empty_ms:.1f}",
    }
    return _add_absent(fill(table, columns, rows, columns), absent)


def peer_letters_table(name: str, rows: Sequence[LetterRow], absent: Mapping[str, str]) -> Table:
    """Return one line a reader of single letters."""
    first = rows[0]
    table = Table(title=f"single letters, {name}: {first.letters}, one thread each")
    columns: dict[str, Cell[LetterRow]] = {
        "reader": lambda row: row.peer,
        "setting": lambda row: row.setting,
        "error %": lambda row: f"{100 * row.error:.1f}",
        "errors": lambda row: _times(row.error, first.error),
        "ms a letter": lambda row: in_ms(row.latency.p50_ms),
        "times": lambda row: _times(row.latency.p50_ms, first.latency.p50_ms),
    }
    return _add_absent(fill(table, columns, rows, columns), absent)


def peer_engines_table(rows: Sequence[EngineRow]) -> Table:
    """Return one line a model in an engine."""
    missing = "\n".join(f"{row.model} in {row.engine}: {row.missing}" for row in rows if row.missing)
    table = Table(
        title=f"the network alone in each engine, one thread: one letter, and {BATCH}",
        caption=Text(
            "\n".join(filter(None, ["agree, difference: with ONNX Runtime on the ONNX model of that precision", missing]))
        ),
        caption_justify="left",
    )
    columns: dict[str, Cell[EngineRow]] = {
        "model": lambda row: row.model,
        "engine": lambda row: row.engine,
        "p50 ms": lambda row: known(row.letter, lambda letter: in_ms(letter.p50_ms)),
        f"{BATCH}: p50 ms": lambda row: known(row.batch, lambda batch: in_ms(batch.p50_ms)),
        "agree %": lambda row: known(row.agreement, lambda agreement: f"{agreement:.2f}"),
        "difference": lambda row: known(row.difference, lambda difference: f"{difference:.1e}"),
    }
    return fill(table, columns, rows, columns)


def _add_absent(table: Table, absent: Mapping[str, str]) -> Table:
    """Add a line for each peer that took no part, and why below."""
    for name, why in absent.items():
        table.add_row(name, why.partition(":")[0])
    said = [f"{name}: {why}" for name, why in absent.items()]
    # Not a string, in which brackets would be markup.
    table.caption = Text("\n".join([*([str(table.caption)] if table.caption else []), *said]))
    table.caption_justify = "left"
    return table


def _times(value: float, first: float) -> str:
    """Return how many times the first figure another is; of none there is no multiple."""
    return f"{value / first:.1f} x" if first else "-"
