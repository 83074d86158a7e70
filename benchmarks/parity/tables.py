"""Tables for the terminal and the report: exports, evaluations, benchmarks, comparisons and recommendations."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...export.artifact import Artifact, Exports
from ...export.gate import MISSED, PROVEN, UNPROVEN, Parity, round_up
from ...train.evaluation import Evaluation
from ..columns import WIDE, Cell, fill, in_ms, known
from ..pages.scoring import PagesResult, pages_table
from .benchmark import Benchmark, Row
from .compare import FIGURES, Change, Comparison, Recommendation, recommend
from .contender import BATCH

VERDICT_COLOURS = {PROVEN: "green", UNPROVEN: "yellow", MISSED: "red"}
# The columns for a terminal without room for all of them.
NARROW_EXPORT = ("file", "kB", "drop (95 %)", "agree %", "gate")
NARROW_PARITY = ("model", "accuracy % (95 %)", "agree %")
NARROW_SPEED = ("model", "p50 ms", "p99 ms", "peak MB", "faster")


def evaluation_table(result: Evaluation) -> Table:
    """Return the figures of one evaluation, one line per class."""
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


def artifact_table(artifacts: Sequence[Artifact], width: int = WIDE) -> Table:
    """Return one line per exported file, with its size, its parity with the original and the verdict of the gate."""
    parity = artifacts[0].parity
    is_narrow = width < WIDE
    # A narrow table has no column for the devices, so the caption names them.
    devices = "\n".join(f"{artifact.path.name}: {artifact.format.device}" for artifact in artifacts)
    table = Table(
        title=f"exported and checked on {parity.n} images; accuracy of the original {parity.original_accuracy:.2f} %",
        caption=devices if is_narrow else None,
        caption_justify="left",
    )
    columns: dict[str, Cell[Artifact]] = {
        "file": lambda artifact: artifact.path.name,
        "kB": lambda artifact: f"{artifact.size_bytes / 1000:.0f}",
        "accuracy %": lambda artifact: f"{artifact.parity.accuracy:.2f}",
        "drop (95 %)": lambda artifact: _drop(artifact.parity),
        "agree %": lambda artifact: f"{artifact.parity.agreement:.2f}",
        "gate": _verdict,
        "difference": lambda artifact: f"{artifact.parity.difference:.1e}",
        "for": lambda artifact: artifact.format.device,
    }
    return fill(table, columns, artifacts, NARROW_EXPORT if is_narrow else columns)


def parity_table(result: Benchmark, width: int = WIDE) -> Table:
    """Return one line per model, originals first: its accuracy and its parity with the original."""
    table = Table(title=f"accuracy and parity on {result.n} images of {result.data}, {result.split}")
    columns: dict[str, Cell[Row]] = {
        "model": lambda row: row.name,
        "engine": lambda row: row.engine,
        "kB": lambda row: f"{row.size_bytes / 1000:.0f}",
        "accuracy % (95 %)": lambda row: known(row.accuracy, lambda a: f"{a.percent:.2f} ({a.low:.2f}..{a.high:.2f})"),
        "drop (95 %)": lambda row: known(row.parity, _drop),
        "agree %": lambda row: known(row.parity, lambda parity: f"{parity.agreement:.2f}"),
        "difference": lambda row: known(row.parity, lambda parity: f"{parity.difference:.1e}"),
    }
    return fill(table, columns, result.rows, NARROW_PARITY if width < WIDE else columns)


def speed_table(result: Benchmark, width: int = WIDE) -> Table:
    """Return one line per model, originals first: its speed and memory; the caption holds failures, notes and doubts."""
    table = Table(
        title=f"speed: 1 letter from ink to probabilities, and {BATCH} at once; threads: {result.threads}, Keras chooses its own",
        caption="\n".join(benchmark_notes(result)),
        caption_justify="left",
    )
    columns: dict[str, Cell[Row]] = {
        "model": lambda row: row.name,
        "import ms": lambda row: known(row.footprint, lambda cost: f"{cost.import_ms:.0f}"),
        "load ms": lambda row: known(row.footprint, lambda cost: in_ms(cost.load_ms)),
        "first ms": lambda row: known(row.footprint, lambda cost: in_ms(cost.first_ms)),
        "p50 ms": lambda row: known(row.letter, lambda letter: in_ms(letter.p50_ms)),
        "p90 ms": lambda row: known(row.letter, lambda letter: in_ms(letter.p90_ms)),
        "p99 ms": lambda row: known(row.letter, lambda letter: in_ms(letter.p99_ms)),
        f"{BATCH}: p50 ms": lambda row: known(row.batch, lambda batch: in_ms(batch.p50_ms)),
        "letters/s": lambda row: known(row.letters_per_second, lambda count: f"{count:,.0f}"),
        "peak MB": lambda row: known(row.footprint and row.footprint.peak_mb, lambda peak: f"{peak:.0f}"),
        "faster": lambda row: known(row.speedup, lambda speedup: f"{speedup:.0f} x"),
    }
    return fill(table, columns, result.rows, NARROW_SPEED if width < WIDE else columns)


def benchmark_notes(result: Benchmark) -> list[str]:
    """Return the caption's lines: the machine, its doubts, and each model's failure, skipped engine or note."""
    lines = [str(result.machine)]
    lines += [f"doubtful: {doubt}" for doubt in result.machine.doubts()]
    for kind in ("failure", "skipped", "note"):
        lines += [f"{row.name}: {getattr(row, kind)}" for row in result.rows if getattr(row, kind)]
    return [*lines, "interrupted: some figures are missing"] if result.interrupted else lines


def comparison_table(result: Comparison, width: int = WIDE) -> Table:
    """Return one line per model, or per figure in a narrow terminal: its figures and changes, red beyond the tolerance."""
    elsewhere = "" if result.same_machine else ", on another machine: of the times, only the ratio to Keras is judged"
    table = Table(
        title=f"changes since {result.before}{elsewhere}",
        caption="\n".join([*(f"gone: {name}" for name in result.gone), *(f"new: {name}" for name in result.new)]),
        caption_justify="left",
    )
    models: dict[str, dict[str, Text]] = {model: {} for model in dict.fromkeys(change.model for change in result.changes)}
    for change in result.changes:
        models[change.model][change.figure] = _change(change)
    is_narrow = width < WIDE
    table.add_column("model", no_wrap=not is_narrow, overflow="fold")
    for name in ("figure", "now (change)") if is_narrow else FIGURES:
        table.add_column(name, justify="left" if name == "figure" else "right", no_wrap=True)
    for model, cells in models.items():
        if is_narrow:
            for number, (figure, cell) in enumerate(cells.items(), 1):
                table.add_row(model if number == 1 else "", figure, cell, end_section=number == len(cells))
        else:
            table.add_row(model, *(cells.get(figure, "-") for figure in FIGURES))
    return table


def recommendation_table(found: Sequence[Recommendation]) -> Table:
    """Return the file to take for each kind of device, and the reason."""
    table = Table(title="which file to take, by these figures")
    for name in ("for", "take", "why"):
        table.add_column(name, no_wrap=name == "take")
    for one in found:
        table.add_row(one.device, one.name, one.reason)
    return table


def show(result: Evaluation | Exports | Benchmark | PagesResult) -> None:
    """Print a result as the tables that the command prints: on stdout, or below the cell in Jupyter.

    Raises TypeError if there are no tables for it.
    """
    console = Console(markup=False, highlight=False)
    for table in tables_of(result, console.width):
        console.print(table)


def tables_of(result: Evaluation | Exports | Benchmark | PagesResult, width: int = WIDE) -> list[Table]:
    """Return the tables of a result for a terminal of `width` columns; raises TypeError if there are none for it."""
    match result:
        case Evaluation():
            return [evaluation_table(result)]
        case Exports():
            return [artifact_table(result.artifacts, width)] if result.artifacts else []
        case Benchmark():
            also = (table for section in result.also.values() for table in section.tables)
            found = recommend(result.rows)
            return [
                parity_table(result, width),
                speed_table(result, width),
                *also,
                *([recommendation_table(found)] if found else []),
            ]
        case PagesResult():
            return [pages_table(result)]
    raise TypeError(f"no tables for {type(result).__name__}")


def _verdict(artifact: Artifact) -> Text:
    """Return the verdict of the gate, and how many images would prove an unproven one."""
    needed = f", needs {round_up(artifact.needed):,.0f}" if artifact.needed else ""
    return Text(f"{artifact.verdict}{needed}", VERDICT_COLOURS[artifact.verdict])


def _drop(parity: Parity) -> str:
    return f"{parity.drop:+.2f} ({parity.drop_low:+.2f}..{parity.drop_high:+.2f})"


def _change(change: Change) -> Text:
    """Return the current figure with its change, red if it became worse."""
    sign = " %" if change.unit == "%" else ""
    return Text(f"{change.now:.4g} ({change.by:+.{0 if sign else 2}f}{sign})", "red" if change.is_worse else "")
