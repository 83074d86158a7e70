"""Tables for the terminal and the report: exports, evaluations, benchmarks, comparisons and recommendations."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...export.artifact import Artifact, Exports
from ...export.devices import Recommendation
from ...export.gate import MISSED, PROVEN, UNPROVEN, Parity, round_up
from ...export.pages import PageParity
from ...export.repair.choice import Choice, kilobytes, name_of
from ...export.repair.explain import LOSES_LITTLE, LOSES_MUCH, LOSES_SOME, Explanation, LayerLoss
from ...export.repair.page import shorten_middle
from ...export.repair.tries import Try
from ...runtime.console import table_width
from ...train.evaluation import Evaluation
from ..columns import WIDE, Cell, fill, in_ms, known
from ..pages.scoring import PagesResult, pages_table
from .benchmark import Benchmark, Row
from .compare import FIGURES, Change, Comparison, recommend
from .contender import BATCH

VERDICT_COLOURS = {PROVEN: "green", UNPROVEN: "yellow", MISSED: "red"}
LOSS_COLOURS = {LOSES_MUCH: "red", LOSES_SOME: "yellow", LOSES_LITTLE: ""}
# Layers that the table of an explanation shows, and the characters that a narrow one has for their names.
MAX_LAYERS, MAX_LAYER_NAME = 10, 30
# The columns for a terminal without room for all of them.
NARROW_EXPORT = ("file", "kB", "drop (95 %)", "agree %", "gate")
NARROW_LAYERS = ("layer", "dB", "dB alone", "agree %", "weights %")
NARROW_PARITY = ("model", "accuracy % (95 %)", "agree %")
# Names of files up to this length stay whole in a narrow table of recommendations, and of exports, which has more columns.
MAX_WHOLE_COLUMNS, MAX_WHOLE_FILE = 40, 27
NARROW_SPEED = ("model", "p50 ms", "p99 ms", "peak MB", "faster")


def evaluation_table(result: Evaluation) -> Table:
    """Return the figures of one evaluation, one line per class."""
    table = Table(
        title=f"{result.model} ({result.engine}) on {result.data}, {result.split}: accuracy {100 * result.accuracy:.2f} %, "
        f"top-2 {100 * result.top2:.2f} %, {len(result.truth)} {result.unit}",
        caption="\n".join(result.notes()),
        caption_justify="left",
    )
    for name in ("class", "precision", "recall", "f1-score", result.unit):
        table.add_column(name, justify="left" if name == "class" else "right")
    for label, scores in result.per_class().items():
        shares = (f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1-score"))
        table.add_row(label, *shares, f"{scores['support']:.0f}")
    return table


def artifact_table(exports: Exports, width: int = WIDE) -> Table:
    """Return one line per exported file, with its size, its parity with the original and the verdict of the gate."""
    artifacts = exports.artifacts
    parity = artifacts[0].parity
    sets = {"checked on": exports.check, "calibrated on": exports.calibration}
    used = "; ".join(f"{use} {images.describe(exports.takes)}" for use, images in sets.items() if images)
    table = Table(
        title=f"{exports.model}: {used}; accuracy of the original {parity.original_accuracy:.2f} %",
        caption="\n".join(halved_notes(exports)) or None,
        caption_justify="left",
    )
    columns: dict[str, Cell[Artifact]] = {
        "file": lambda artifact: artifact.path.name,
        "kB": lambda artifact: f"{artifact.size_bytes / 1000:.0f}",
        "accuracy %": lambda artifact: f"{artifact.parity.accuracy:.2f}",
        "drop (95 %)": lambda artifact: _drop(artifact.parity),
        "agree %": lambda artifact: f"{artifact.parity.agreement:.2f}",
        "agree % (95 %)": lambda artifact: _agreement(artifact.parity),
        "gate": _verdict,
        "difference": lambda artifact: f"{artifact.parity.difference:.1e}",
        "for": lambda artifact: artifact.suits,
    }
    if width >= WIDE:
        return fill(table, columns, artifacts, [name for name in columns if name != "agree %"])
    fill(table, columns, artifacts, NARROW_EXPORT)
    table.columns[0].width = min(MAX_WHOLE_FILE, max(len(artifact.path.name) for artifact in artifacts))
    return table


def halved_notes(exports: Exports) -> list[str]:
    """Return a line for each file that a part of the check images proved, because the others had chosen it."""
    chosen = [one for one in exports if exports.check and one.parity.n != exports.check.n]
    return [
        f"{one.path.name}: on the {one.parity.n:,} {exports.takes} that did not choose it; interval of {one.parity.level:g} %"
        for one in chosen
    ]


def take_table(exports: Exports, width: int = WIDE) -> Table | None:
    """Return the file to take for each device that was asked for, or for each file the devices that it is for; None if none."""
    found = exports.recommended
    if exports.devices or not found:
        return recommendation_table(found, width) if found else None
    table = Table(title="which file to take; why: --for DEVICE")
    table.add_column("take", overflow="fold")
    table.add_column("on")
    for name in dict.fromkeys(one.name for one in found):
        table.add_row(name, ", ".join(one.device for one in found if one.name == name))
    return table


# What the tables of a budget and of a repair say about a file that was tried, beside its name.
TRY_COLUMNS: dict[str, Cell[Try]] = {
    "kB": lambda one: f"{one.size_bytes / 1000:.1f}",
    "latency": lambda one: known(one.latency_ratio, lambda ratio: f"{ratio:.2f}"),
    "drop": lambda one: _drop(one.proof or one.parity),
    "agree %": lambda one: f"{(one.proof or one.parity).agreement:.2f}",
    "verdict": lambda one: f"{one.verdict}{', kept' if one.is_kept else '' if one.proof else ' (search half)'}",
}


def choice_table(choice: Choice, width: int = WIDE) -> Table:
    """Return one line per file that a budget tried: its size, latency, accuracy drop and verdict; stars mark the front."""
    limits = f"at most {kilobytes(choice.budget.max_bytes)} and {choice.max_drop:g} points"
    table = Table(
        title=f"{limits}; latency as a multiple of {choice.tries[0].recipe.format}, {choice.timing}; * no other is better"
    )
    columns: dict[str, Cell[Try]] = {"file": lambda one: f"{'*' if one in choice.front else ''}{name_of(one)}", **TRY_COLUMNS}
    return fill(table, columns, choice.tries, [name for name in columns if width >= WIDE or name != "agree %"])


def repair_table(artifact: Artifact, width: int = WIDE) -> Table | None:
    """Return one line per file that a repair tried: its size, latency, accuracy drop and verdict; None if it tried none."""
    if not artifact.tries:
        return None
    table = Table(title=f"{artifact.format.name}, repaired: latency as a multiple of the file that missed, measured here")
    columns: dict[str, Cell[Try]] = {"tried": lambda one: one.recipe.describe(), **TRY_COLUMNS}
    return fill(table, columns, artifact.tries, [name for name in columns if width >= WIDE or name != "drop"])


def export_pages_table(exports: Exports) -> Table | None:
    """Return the character error rate of each file on whole pages, against that of the original; None if none were read."""
    found = {artifact.path.name: artifact.pages for artifact in exports if artifact.pages}
    if not found:
        return None
    one = next(iter(found.values()))
    table = Table(
        title=f"{one.pages} pages of {one.data}, {one.letters:,} letters: character error rate, "
        f"{one.original_error:.2f} % with the original"
    )
    columns: dict[str, Cell[tuple[str, PageParity]]] = {
        "file": lambda pair: pair[0],
        "errors %": lambda pair: f"{pair[1].error:.2f}",
        "rise (95 %)": lambda pair: _change_of(pair[1].rise, pair[1].rise_low, pair[1].rise_high),
        "pages read differently": lambda pair: str(pair[1].changed),
    }
    return fill(table, columns, list(found.items()), columns)


def explanation_table(found: Explanation, width: int = WIDE) -> Table:
    """Return one line per layer of a quantized format, the layer that loses most first, with its noise and what float saves."""
    is_narrow = width < WIDE
    more = len(found.layers) - MAX_LAYERS
    notes = [
        "dB: signal-to-noise ratio of the layer's output in the whole file, and if it alone is quantized",
        f"agree %: estimate on {found.images} images, if it stays in float with the layers that would round its output; "
        f"{found.agreement:.2f} if none does; {found.measured} of {len(found.layers)} layers were tried",
        "weights %: share of the weights that would then be in float",
        *([f"{more} more layers in the page and in --json"] if more > 0 else []),
    ]
    table = Table(title=found.sentence(), caption="\n".join(notes), caption_justify="left", title_justify="left")
    columns: dict[str, Cell[LayerLoss]] = {
        "layer": lambda layer: Text(shorten_middle(layer.name, MAX_LAYER_NAME if is_narrow else 2 * MAX_LAYER_NAME)),
        "kind": lambda layer: layer.kind,
        "dB": lambda layer: known(layer.whole_db, lambda ratio: f"{ratio:.1f}"),
        "dB alone": lambda layer: known(layer.alone_db, lambda ratio: f"{ratio:.1f}"),
        "agree %": lambda layer: known(layer.agreement, lambda share: f"{share:.2f}"),
        "gain": lambda layer: known(layer.gain, _signed),
        "weights %": lambda layer: f"{layer.group_weights:.1f}",
        "result": lambda layer: Text(layer.verdict, LOSS_COLOURS[layer.verdict]),
    }
    return fill(table, columns, found.layers[:MAX_LAYERS], NARROW_LAYERS if is_narrow else columns)


def parity_table(result: Benchmark, width: int = WIDE) -> Table:
    """Return one line per model, originals first: its accuracy and its parity with the original."""
    table = Table(title=f"accuracy and parity on {result.images}")
    columns: dict[str, Cell[Row]] = {
        "model": lambda row: row.name,
        "engine": lambda row: row.engine,
        "kB": lambda row: f"{row.size_bytes / 1000:.0f}",
        "accuracy % (95 %)": lambda row: known(row.accuracy, lambda a: f"{a.percent:.2f} ({a.low:.2f}..{a.high:.2f})"),
        "drop (95 %)": lambda row: known(row.parity, _drop),
        "agree %": lambda row: known(row.parity, lambda parity: f"{parity.agreement:.2f}"),
        "agree % (95 %)": lambda row: known(row.parity, _agreement),
        "difference": lambda row: known(row.parity, lambda parity: f"{parity.difference:.1e}"),
    }
    return fill(table, columns, result.rows, NARROW_PARITY if width < WIDE else [name for name in columns if name != "agree %"])


def confidence_table(result: Benchmark) -> Table:
    """Return one line per model with an original: its calibration error and rejected share, and their changes."""
    table = Table(title="confidence: expected calibration error (ECE) and rejected share; changes in points (95 %)")
    columns: dict[str, Cell[tuple[Row, Parity]]] = {
        "model": lambda pair: pair[0].name,
        "engine": lambda pair: pair[0].engine,
        "ECE %": lambda pair: f"{pair[1].calibration_error:.2f}",
        "ECE change": lambda pair: _change_of(
            pair[1].calibration_error - pair[1].original_calibration_error,
            pair[1].calibration_change_low,
            pair[1].calibration_change_high,
        ),
        "rejected %": lambda pair: f"{pair[1].rejected:.2f}",
        "rejected change": lambda pair: _change_of(
            pair[1].rejected - pair[1].original_rejected, pair[1].rejected_change_low, pair[1].rejected_change_high
        ),
    }
    return fill(table, columns, [(row, row.parity) for row in result.rows if row.parity], columns)


def speed_table(result: Benchmark, width: int = WIDE) -> Table:
    """Return one line per model, originals first: its speed and memory; the caption holds failures, notes and doubts."""
    timed = "1 letter from ink to probabilities" if result.unit == "letters" else "1 image"
    table = Table(
        title=f"speed: {timed}, and {BATCH} at once; threads: {result.threads}, Keras chooses its own",
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
        f"{result.unit}/s": lambda row: known(row.letters_per_second, lambda count: f"{count:,.0f}"),
        "peak MB": lambda row: known(row.footprint and row.footprint.peak_mb, lambda peak: f"{peak:.0f}"),
        "faster": lambda row: known(row.speedup, lambda speedup: f"{speedup:.0f} x"),
    }
    return fill(table, columns, result.rows, NARROW_SPEED if width < WIDE else columns)


def measured_tables(result: Benchmark, width: int = WIDE) -> list[Table]:
    """Return the tables of accuracy, confidence (if there is room for it) and speed."""
    has_room = width >= WIDE and any(row.parity for row in result.rows)
    return [parity_table(result, width), *([confidence_table(result)] if has_room else []), speed_table(result, width)]


def benchmark_notes(result: Benchmark) -> list[str]:
    """Return the caption's lines: the machine, its doubts, and each model's failure, skipped engine or note."""
    lines = [str(result.machine)]
    lines += [f"doubtful: {doubt}" for doubt in result.machine.doubts()]
    for kind in ("failure", "skipped", "note"):
        # Several engines run one file, and one note on it is enough.
        lines += dict.fromkeys(f"{row.name}: {getattr(row, kind)}" for row in result.rows if getattr(row, kind))
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


def recommendation_table(found: Sequence[Recommendation], width: int = WIDE) -> Table:
    """Return the file to take for each device, and the reason; a narrow table has both in one column."""
    table = Table(title="which file to take")
    is_narrow = width < WIDE
    # Names of files stay whole, unless they are longer than half a terminal.
    longest = max((len(one.name) for one in found), default=0)
    table.add_column("take", overflow="fold", width=max(4, min(longest, MAX_WHOLE_COLUMNS)) if is_narrow else None)
    for name in ("on, and why",) if is_narrow else ("on", "why"):
        table.add_column(name)
    for one in found:
        table.add_row(one.name or "none", *([f"{one.device}: {one.reason}"] if is_narrow else [one.device, one.reason]))
    return table


def show(result: Evaluation | Exports | Benchmark | PagesResult) -> None:
    """Print a result as the tables that the command prints: on stdout, or below the cell in Jupyter.

    Raises TypeError if there are no tables for it.
    """
    console = Console(width=table_width(), markup=False, highlight=False)
    for table in tables_of(result, table_width()):
        console.print(table)


def tables_of(result: Evaluation | Exports | Benchmark | PagesResult, width: int = WIDE) -> list[Table]:
    """Return the tables of a result for a terminal of `width` columns; raises TypeError if there are none for it."""
    match result:
        case Evaluation():
            return [evaluation_table(result)]
        case Exports():
            why = [explanation_table(one.explanation, width) for one in result if one.explanation]
            tried = [choice_table(result.choice, width)] if result.choice and result.choice.tries else []
            repairs = [repair_table(one, width) for one in result]
            more = (export_pages_table(result), *why, *repairs, take_table(result, width))
            return [*tried, artifact_table(result, width), *(table for table in more if table)] if result.artifacts else tried
        case Benchmark():
            also = (table for section in result.also.values() for table in section.tables)
            return [*measured_tables(result, width), *also, recommendation_table(recommend(result), width)]
        case PagesResult():
            return [pages_table(result)]
    raise TypeError(f"no tables for {type(result).__name__}")


def _verdict(artifact: Artifact) -> Text:
    """Return the verdict of the gate, and how many images would prove an unproven one."""
    needed = f", needs {round_up(artifact.needed):,.0f}" if artifact.needed else ""
    return Text(f"{artifact.verdict}{needed}", VERDICT_COLOURS[artifact.verdict])


def _drop(parity: Parity) -> str:
    return _change_of(parity.drop, parity.drop_low, parity.drop_high)


def _agreement(parity: Parity) -> str:
    return f"{parity.agreement:.2f} ({parity.agreement_low:.2f}..{parity.agreement_high:.2f})"


def _change_of(points: float, low: float, high: float) -> str:
    """Return a change in points with its interval; a change that rounds to zero has no minus sign."""
    return f"{_signed(points)} ({_signed(low)}..{_signed(high)})"


def _signed(value: float, digits: int = 2) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def _change(change: Change) -> Text:
    """Return the current figure with its change, red if it became worse."""
    sign = " %" if change.unit == "%" else ""
    return Text(
        f"{plain(change.figure, change.now)} ({_signed(change.by, 0 if sign else 2)}{sign})", "red" if change.is_worse else ""
    )


def plain(figure: str, value: float) -> str:
    """Return a value of one of FIGURES as people write it."""
    match figure:
        case "bytes":
            return f"{value:,.0f}"
        case "p50 ms":
            return in_ms(value)
        case "peak MB":
            return f"{value:.1f}"
        case "faster":
            return f"{value:,.0f} x"
        case _:
            return f"{value:.2f}"
