"""A benchmark as one page of HTML that needs no other file."""

from collections.abc import Sequence
from html import escape

from rich.table import Table
from rich.text import Text

from .. import __version__
from .benchmark import Benchmark, Row
from .contender import BATCH
from .plots import accuracy_against_latency, bars, confusion_difference, svg
from .recommend import recommend
from .sections import Section
from .tables import parity_table, recommendation_table, speed_table

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 13px; } .wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th { background: #f5f7f9; } td.text, th.text, td.name, th.name { text-align: left; }
td.text { white-space: normal; min-width: 9rem; } .bad { color: #b03020; }
figure { margin: 0; max-width: 52rem; } figure svg { width: 100%; height: auto; }
p.note { color: #666; font-size: 13px; } p.doubt { color: #b03020; font-size: 13px; }
"""
HOW = f"""\
One letter from its ink to probabilities, {BATCH} at once, engines taking turns; load, first inference and peak memory in a
process of its own, with Python, NumPy and the engine. Faster: than the original's predict on one picture."""
COLOURS = "grey: Keras; blue: TFLite; orange: ONNX"


def html_page(result: Benchmark, sections: Sequence[Section] = ()) -> str:
    """Return the page: figures as tables and plots, what they were measured on, and what to take by them."""
    rows = result.rows
    title = f"Models on {result.n} pictures of {result.data}, {result.split}"
    said = [f"{row.name}: {text}" for row in rows for text in (row.failure, row.skipped, row.note) if text]
    vectors = ", ".join(result.machine.vectors) or "unknown"
    on = f"lettercast {__version__} on {result.machine}; vector instructions: {vectors}"
    doubts = [f"Doubtful: {doubt}" for doubt in result.machine.doubts()]
    doubts += ["Interrupted: not all was measured."] if result.interrupted else []
    parts = [
        f"<h1>{escape(title)}</h1>",
        _note(f"{on}; threads: {result.threads}, Keras as it comes"),
        *(_note(doubt, "doubt") for doubt in doubts),
        *([_section("What to take", _table(recommendation_table(found)))] if (found := recommend(rows)) else []),
        _section("Accuracy and parity", _table(parity_table(result)), *map(_note, said)),
        _section("Latency and memory", _table(speed_table(result)), _note(HOW)),
        *_plots(rows),
        *(_section_of(section) for section in sections),
    ]
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'


def _section_of(section: Section) -> str:
    """Return what else was measured, each table under its title and with what stands below it."""
    parts = [_note(section.note)] if section.note else []
    parts += [_figure(svg(plot)) for plot in section.plots]
    for table in section.tables:
        parts += [f"<h3>{escape(str(table.title))}</h3>", _table(table), _note(str(table.caption or ""))]
    return _section(section.title, *parts)


def _plots(rows: Sequence[Row]) -> list[str]:
    """Return a section for each plot that there are figures for."""
    sections = []
    timed = [row for row in rows if row.letter]
    if timed:
        drawn = svg(accuracy_against_latency(rows))
        sections.append(_section("Accuracy against latency", _figure(drawn), _note(f"Up and left is better; {COLOURS}.")))
        drawn = [
            svg(bars(timed, lambda row: row.letter and row.letter.p50_ms, "one letter, p50 / ms", logarithmic=True)),
            svg(bars(timed, lambda row: row.size_bytes / 1000, "size / kB")),
            svg(bars(timed, lambda row: row.footprint and row.footprint.peak_mb, "peak memory of a process / MB")),
        ]
        sections.append(_section("By format", *map(_figure, drawn), _note(COLOURS)))
    changed = [row for row in rows if row.moved and row.parity]
    if changed:
        least = min(changed, key=lambda row: row.parity.agreement if row.parity else 100.0)
        said = "Confusion matrix of the export that agrees least, less the original's; classes that changed only."
        sections.append(_section("Where answers moved", _figure(svg(confusion_difference(least))), _note(said)))
    return sections


def _section(title: str, *parts: str) -> str:
    return "\n".join([f"<h2>{escape(title)}</h2>", *parts])


def _note(text: str, kind: str = "note") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def _figure(element: str) -> str:
    return f"<figure>{element}</figure>"


def _table(table: Table) -> str:
    """Return a table of a terminal as one of a page: text aligned to the left, figures to the right, red what is red there."""
    kinds = [
        "" if column.justify != "left" else ' class="name"' if column.no_wrap else ' class="text"' for column in table.columns
    ]
    first = "".join(f"<th{kind}>{escape(str(column.header))}</th>" for kind, column in zip(kinds, table.columns, strict=True))
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = ("".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    return f'<div class="wide"><table><tr>{first}</tr>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _cell(cell: object) -> str:
    is_bad = isinstance(cell, Text) and cell.style == "red"
    return f'<span class="bad">{escape(str(cell))}</span>' if is_bad else escape(str(cell))
