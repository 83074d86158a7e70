"""A benchmark as one page of HTML that needs no other file."""

import io
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from .. import LettercastError, __version__
from ..runtime.model.engine import open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.reader import Reader
from .parity.benchmark import Benchmark, Row
from .parity.compare import recommend
from .parity.contender import BATCH, KERAS, Contender
from .parity.tables import parity_table, recommendation_table, speed_table
from .peers.engines import COMPARED
from .peers.run import peer_engines_table, peer_letters_table, peer_pages_table, run_peers
from .speed.camera_loop import loop_table, make_film, one_thread, time_loop
from .speed.growth import COUNTS, SIZES, growth_figure, growth_tables, measure_growth
from .speed.limit import limit_tables, measure_limit

matplotlib.use("Agg")
BLUE, ORANGE, GREEN, GREY = "#2f6f9f", "#d9822b", "#3a8f5c", "#8a8a8a"
WIDTH_IN = 8.2
# Where names stand above and below points that are near each other.
LABEL_STEPS_PT = (14, -18, 30, -34, 46, -50, 62, -66)
# Ids are made from this and not by chance, so that the same figures make the same page.
SALT = "lettercast"


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element, without what belongs to a file of its own."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    element = text.getvalue()[text.getvalue().index("<svg") :]
    # As wide as there is room, and no larger than it was drawn.
    return re.sub(r'(<svg[^>]*?) width="([^"]*pt)" height="[^"]*pt"', r'\1 style="max-width: \2"', element, count=1)


def colour(row: Row) -> str:
    """Return the colour of a row's kind of file."""
    return GREY if row.format == KERAS else BLUE if row.name.endswith(".tflite") else ORANGE


def common_start(names: Sequence[str]) -> str:
    """Return what all names begin with, up to its last dash."""
    same = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), 0)
    return names[0][: names[0].rfind("-", 0, same) + 1] if names else ""


def accuracy_against_latency(rows: Sequence[Row]) -> Figure:
    """Draw each model where its accuracy, with its interval, and the time of one letter are; fast and right is up and left."""
    shown = [row for row in rows if row.accuracy and row.letter]
    figure = Figure((WIDTH_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in shown:
        assert row.accuracy
        assert row.letter
        percent, p50 = row.accuracy.percent, row.letter.p50_ms
        span = [[percent - row.accuracy.low], [row.accuracy.high - percent]]
        axes.errorbar(p50, percent, yerr=span, fmt="o", color=colour(row), elinewidth=1, capsize=2, markersize=5)
    # One model's own name says nothing where all rows are its.
    name = common_start([row.name for row in shown])
    # Names stand in the order of the times, each a step higher or lower, so that near ones do not hide each other.
    for i, row in enumerate(sorted(shown, key=lambda row: row.letter.p50_ms if row.letter else 0)):
        assert row.accuracy
        assert row.letter
        step = LABEL_STEPS_PT[i % len(LABEL_STEPS_PT)]
        at = (row.letter.p50_ms, row.accuracy.percent)
        line = {"arrowstyle": "-", "color": colour(row), "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        said = row.name.removeprefix(name)
        axes.annotate(said, at, (7, step), textcoords="offset points", fontsize=7, color=colour(row), arrowprops=line)
    axes.set_xscale("log")
    axes.set(xlabel="one letter, p50 / ms (logarithmic)", ylabel="accuracy / %, 95 % interval")
    axes.margins(x=0.2, y=0.3)
    axes.grid(visible=True, alpha=0.25)
    return figure


def bars(rows: Sequence[Row], value: Callable[[Row], float | None], label: str, *, logarithmic: bool = False) -> Figure:
    """Draw one bar a model of a figure, with its number; models without the figure are left out."""
    known = [(row, number) for row in rows if (number := value(row)) is not None]
    figure = Figure((WIDTH_IN, 0.6 + 0.27 * max(1, len(known))), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(known))[::-1]
    drawn = axes.barh(places, [number for _, number in known], color=[colour(row) for row, _ in known], height=0.7)
    axes.bar_label(drawn, [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for _, number in known], padding=3, fontsize=8)
    axes.set_yticks(places, [row.name for row, _ in known], fontsize=8)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_difference(row: Row) -> Figure:
    """Draw how many more letters of each class (row) an export takes for each class (column) than its original does."""
    labels = sorted({label for written, taken, _ in row.moved for label in (written, taken)})
    counts = np.zeros((len(labels), len(labels)), int)
    for written, taken, more in row.moved:
        counts[labels.index(written), labels.index(taken)] = more
    side = max(3.5, min(WIDTH_IN, 0.26 * len(labels) + 1.2))
    figure = Figure((side, side), layout="constrained")
    axes = figure.subplots()
    most = max(1, int(np.abs(counts).max()))
    image = axes.imshow(counts, cmap="RdBu_r", vmin=-most, vmax=most)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set(xlabel="taken for", ylabel="written", title=f"{row.name}: more (red) and fewer (blue) than the original")
    axes.title.set_fontsize(9)
    figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


Report = Callable[[str], None]
# Arithmetic of which the most that an engine reaches is measured.
LIMITED = ("int8", "float32")
# Reads the pages, where there are several.
READS = "tflite-int8"
NONE_READS = "none of these models reads letters of pages"


@dataclass(frozen=True)
class Section:
    """Figures as they stand in the JSON, and how they are shown; note says why there are none."""

    title: str
    figures: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    plots: tuple[Figure, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the section as JSON object."""
        return {**self.figures, "note": self.note}


def reading_model(contenders: Sequence[Contender]) -> Path | None:
    """Return the model that reads pages: the first of int8 TFLite, or else the first that is shown letters."""
    able = [c for c in contenders if c.runs and c.format != KERAS and c.engine and c.engine.facts.takes == LETTERS]
    return next((c.path for c in able if c.format == READS), able[0].path if able else None)


def limit_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure what int8 and float32 models reach of the most that their engines do, each for so many seconds."""
    title = "How far from the limit"
    paths = {c.path: None for c in contenders if c.runs and c.format.partition("-")[2] in LIMITED}
    if not paths:
        return Section(title, note=f"there is no {' or '.join(LIMITED)} model among these")
    limit = measure_limit(list(paths), seconds=seconds, report=report)
    return Section(title, limit.to_dict(), tuple(limit_tables(limit)))


def reader_section(
    contenders: Sequence[Contender],
    seconds: float,
    report: Report,
    counts: Sequence[int] = COUNTS,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Section:
    """Time the reader's stages on frames of a camera, and how they grow with letters (counts) and pixels (sizes).

    Its time is that of a film and of pages, and not `seconds`.
    """
    title = "The whole way, from a camera's frame to letters drawn on it"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NONE_READS)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        reader = Reader(open_engine(path))
        report("timing frames of a film")
        loop = time_loop(reader, make_film(Path(folder)))
        growth = measure_growth(reader, Path(folder), counts=counts, sizes=sizes, report=report)
    figures = {"loop": asdict(loop), "growth": growth.to_dict()}
    return Section(title, figures, (loop_table(loop), *growth_tables(growth)), (growth_figure(growth),))


def peers_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Compare the reader with others on generated pages and the pen's letters, and engines on the same network."""
    title = "Peers on the same pictures"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NONE_READS)
    exported = [c.path for c in contenders if c.runs and c.format in COMPARED]
    with one_thread():
        peers = run_peers([path], exported, None, ["pen"], report=report)
    pages = [peer_pages_table(name, rows, peers.absent) for name, rows in peers.pages.items()]
    letters = [peer_letters_table(name, rows, peers.absent) for name, rows in peers.letters.items()]
    engines = [peer_engines_table(peers.engines)] if peers.engines else []
    return Section(title, peers.to_dict(), (*pages, *letters, *engines))


SECTIONS: dict[str, Callable[[Sequence[Contender], float, Report], Section]] = {
    "limit": limit_section,
    "reader": reader_section,
    "peers": peers_section,
}


def measure_section(name: str, contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure one section; what goes wrong with it is its note, so that the rest goes on."""
    try:
        return SECTIONS[name](contenders, seconds, report)
    except LettercastError as error:
        return Section(name, note=str(error))


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
