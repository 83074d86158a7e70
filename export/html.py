"""Self-contained HTML pages: their style, and sections, tables and plots as their parts."""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib derives ids from this salt instead of chance, so that the same figures make the same page.
SALT = "lettercast"
STYLE = """
:root { color-scheme: light; --ink: #222; --paper: #fff; --faint: #666; --line: #ddd; --rule: #eee; --head: #f5f7f9;
--bad: #b03020; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 76rem; margin: 2rem auto;
padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } code { font-size: 13px; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-size: 13px; } .wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { background: var(--head); } td.text, th.text, td.name, th.name { text-align: left; }
td.text { white-space: normal; min-width: 9rem; } td.name { white-space: normal; min-width: 13rem; } .bad { color: var(--bad); }
figure { margin: 0; max-width: 52rem; overflow-x: auto; } figure svg { width: 100%; min-width: 34rem; height: auto; }
p.note { color: var(--faint); font-size: 13px; white-space: pre-line; } p.doubt { color: var(--bad); font-size: 13px; }
"""


def whole_page(title: str, parts: Sequence[str], style: str = "") -> str:
    """Return an HTML page with this title and these parts of its body; style is added to that of all pages."""
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}{style}</style></head>\n<body>\n{body}\n</body></html>\n'


def section(title: str, *parts: str) -> str:
    """Return a section: its heading, and its parts, which are HTML."""
    return "\n".join([f"<h2>{escape(title)}</h2>", *parts])


def note(text: str, kind: str = "note") -> str:
    """Return a paragraph of plain text in small letters: a `note`, or a `doubt` in red."""
    return f'<p class="{kind}">{escape(text)}</p>'


def figure_of(element: str) -> str:
    """Return an SVG element as a figure that scrolls in a narrow window."""
    return f"<figure>{element}</figure>"


def svg(figure: "Figure") -> str:
    """Return a plot of Matplotlib as an SVG element for an HTML page, without the header of an SVG file."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    element = text.getvalue()[text.getvalue().index("<svg") :]
    # The element fills the width of the page, but does not grow beyond its own size.
    return re.sub(r'(<svg[^>]*?) width="([^"]*pt)" height="[^"]*pt"', r'\1 style="max-width: \2"', element, count=1)


def html_table(table: Table) -> str:
    """Return a terminal table as HTML: text to the left, figures to the right, and red cells stay red."""
    kinds = [_column_class(column) for column in table.columns]
    first = "".join(f"<th{kind}>{escape(str(column.header))}</th>" for kind, column in zip(kinds, table.columns, strict=True))
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = ("".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    return f'<div class="wide"><table><tr>{first}</tr>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _column_class(column: Column) -> str:
    """Return the class attribute of a column: none for figures, `name` for text on one line, `text` for text that wraps."""
    if column.justify != "left":
        return ""
    return ' class="name"' if column.no_wrap or column.overflow == "fold" else ' class="text"'


def _cell(cell: object) -> str:
    is_bad = isinstance(cell, Text) and cell.style == "red"
    return f'<span class="bad">{escape(str(cell))}</span>' if is_bad else escape(str(cell))
