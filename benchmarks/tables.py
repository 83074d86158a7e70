"""Results as tables for a person, each kind printed in this one place."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from rich.table import Table
from rich.text import Text

from ..export.artifact import Artifact
from ..train.evaluate import Evaluation
from .benchmark import Benchmark, Row
from .blank import Blank
from .conditions import Conditions
from .pages import PagesResult
from .scenes import STRENGTHS

T = TypeVar("T")
Cell: TypeAlias = Callable[[T], str | Text]
# Columns of a terminal from which on every column has room, and what is shown below that.
WIDE = 140
NARROW_EXPORT = ("file", "kB", "drop (95 %)", "agree %", "gate")
NARROW_BENCHMARK = ("model", "accuracy %", "agree %", "p50 ms", "p99 ms", "faster")
TEXT_COLUMNS = ("file", "model", "engine", "drop (95 %)", "gate", "for")


def evaluation_table(result: Evaluation) -> Table:
    """Return the figures of one evaluation, with every class."""
    table = Table(
        title=f"{result.model} ({result.engine}) on {result.data}, {result.split}: accuracy {100 * result.accuracy:.2f} %, "
        f"top-2 {100 * result.top2:.2f} %, {len(result.truth)} letters",
        caption="\n".join(result.notes()),
        caption_justify="left",
    )
    for name in ("class", "precision", "recall", "f1-score", "letters"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for label, scores in result.per_class().items():
        shares = (f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1-score"))
        table.add_row(label, *shares, f"{scores['support']:.0f}")
    return table


def pages_table(result: PagesResult) -> Table:
    """Return the pages that were not read without error."""
    figures = result.to_dict()
    table = Table(
        title=f"{result.model}: character error rate {100 * result.cer:.2f} % of {result.letters} letters "
        f"on {len(result.pages)} pages, median {figures['ms_per_page']:.1f} ms a page"
    )
    for name in ("page", "stands there", "read", "errors"):
        table.add_column(name)
    for page in result.pages:
        if page.errors:
            table.add_row(page.file, page.expected, page.read, str(page.errors))
    return table


def conditions_table(result: Conditions) -> Table:
    """Return one line a condition and strength, with what it costs against the plain page."""
    plain = result.cells[0]
    table = Table(
        title=f"{result.model}: character error rate of pages by {result.data}, {result.split}, seed {result.seed}",
        caption=f"""\
the network alone errs on {100 * result.alone:.1f} % of the plain page's letters
error: edits in % of letters, at most 100 of a page
vs plain: points above the same letters on the plain page, red where that is no chance (95 %)
missed: letters without a box of their own; misread: found, and taken for another; extra: boxes without a letter
gaps: of those between words that stand there or were read, the share that both stands there and was read""",
        caption_justify="left",
    )
    for name in ("condition", "strength", "error %", "(95 %)", "vs plain", "missed", "misread", "extra", "gaps %", "letters"):
        table.add_column(name, justify="left" if name in ("condition", "strength") else "right", no_wrap=True)
    for cell in result.cells:
        letters = max(1, cell.total("letters"))
        worse = cell.error - plain.error
        low, high = cell.against(plain)
        gaps = "-" if cell.gaps_right is None else f"{100 * cell.gaps_right:.0f}"
        table.add_row(
            cell.condition if cell.strength in ("", STRENGTHS[0]) else "",
            cell.strength,
            f"{100 * cell.error:.1f}",
            f"({100 * cell.interval[0]:.1f}..{100 * cell.interval[1]:.1f})",
            "" if cell is plain else Text(f"{100 * worse:+.1f} ±{50 * (high - low):.1f}", "red" if low > 0 else ""),
            *(f"{100 * cell.total(count) / letters:.1f}" for count in ("missed", "misread", "extra")),
            gaps,
            str(cell.total("letters")),
            end_section=cell.strength in ("", STRENGTHS[-1]),
        )
    return table


def blank_table(result: Blank) -> Table:
    """Return one line a kind of frame without letters."""
    table = Table(
        title=f"{result.model}: no letter reported on {100 * result.silent:.1f} % of frames without letters, seed {result.seed}"
    )
    for name in ("frames of", "silent %", "frames", "most letters", "letters in all"):
        table.add_column(name, justify="left" if name == "frames of" else "right")
    for kind, counts in result.letters.items():
        silent = sum(count == 0 for count in counts) / len(counts)
        shown = Text(f"{100 * silent:.0f}", "" if silent == 1 else "red")
        table.add_row(kind, shown, str(len(counts)), str(max(counts)), str(sum(counts)))
    return table


def artifact_table(artifacts: list[Artifact], width: int = WIDE) -> Table:
    """Return what was exported, and how it stands against the original."""
    parity = artifacts[0].parity
    table = Table(title=f"exported, checked on {parity.n} letters; the original reads {parity.original_accuracy:.2f} %")
    columns: dict[str, Cell[Artifact]] = {
        "file": lambda artifact: artifact.path.name,
        "kB": lambda artifact: f"{artifact.size_bytes / 1000:.0f}",
        "accuracy %": lambda artifact: f"{artifact.parity.accuracy:.2f}",
        "drop (95 %)": _drop,
        "agree %": lambda artifact: f"{artifact.parity.agreement:.2f}",
        "gate": lambda artifact: Text("missed", "red") if artifact.misses else Text("passed", "green"),
        "difference": lambda artifact: f"{artifact.parity.difference:.1e}",
        "for": lambda artifact: artifact.format.device,
    }
    return _fill(table, columns, artifacts, NARROW_EXPORT if width < WIDE else columns)


def benchmark_table(result: Benchmark, width: int = WIDE) -> Table:
    """Return one line a model, the original first."""
    table = Table(
        title=f"{result.rows[0].parity.n} letters of {result.data}, {result.split}; threads: {result.threads}, Keras as it comes",
        caption=result.machine,
    )
    columns: dict[str, Cell[Row]] = {
        "model": lambda row: row.name,
        "engine": lambda row: row.engine,
        "kB": lambda row: f"{row.size_bytes / 1000:.0f}",
        "accuracy %": lambda row: f"{row.parity.accuracy:.2f}",
        "agree %": lambda row: f"{row.parity.agreement:.2f}",
        "load ms": lambda row: _ms(row.latency.load_ms),
        "first ms": lambda row: _ms(row.latency.first_ms),
        "p50 ms": lambda row: _ms(row.latency.p50_ms),
        "p90 ms": lambda row: _ms(row.latency.p90_ms),
        "p99 ms": lambda row: _ms(row.latency.p99_ms),
        "faster": lambda row: f"{row.speedup:.0f} x",
    }
    return _fill(table, columns, result.rows, NARROW_BENCHMARK if width < WIDE else columns)


def _fill(table: Table, columns: Mapping[str, Cell[T]], items: Sequence[T], shown: Iterable[str]) -> Table:
    """Add the columns that are shown, and one line an item; figures are never cut."""
    names = list(shown)
    for name in names:
        table.add_column(name, justify="left" if name in TEXT_COLUMNS else "right", no_wrap=name != "for")
    for item in items:
        table.add_row(*(columns[name](item) for name in names))
    return table


def _drop(artifact: Artifact) -> str:
    parity = artifact.parity
    return f"{parity.drop:+.2f} ({parity.drop_low:+.2f}..{parity.drop_high:+.2f})"


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"
