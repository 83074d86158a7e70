"""What was measured of the reader as tables for a person: pages, conditions, frames, growth, and another processor."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from .blank import Blank
from .camera_loop import LoopResult
from .columns import Cell, fill
from .conditions import Conditions
from .curve import describe
from .emulated_pi import Answer, EmulatedPi, Reading
from .growth import Growth
from .pages import PagesResult
from .scenes import STRENGTHS
from .stages import STAGES, WHOLE


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


def loop_table(result: LoopResult) -> Table:
    """Return one line a stage of a camera's frame, and below them the whole, with frames per second."""
    width, height = result.size
    table = Table(
        title=f"{result.model}, {width}x{height}, {result.letters:.1f} letters, one thread",
        caption=f"{result.fps:.0f} frames a second, of {result.frames} frames",
    )
    table.add_column("stage", no_wrap=True)
    for name in ("median ms", "90 % within ms", "% of all"):
        table.add_column(name, justify="right", no_wrap=True)
    stages = sum(result.median_ms[name] for name in STAGES)
    for name in (*STAGES, WHOLE):
        share = 100 * result.median_ms[name] / stages
        cells = (f"{result.median_ms[name]:.2f}", f"{result.p90_ms[name]:.2f}", f"{share:.0f}" if name != WHOLE else "")
        table.add_row(name, *cells, end_section=name == STAGES[-1])
    return table


def growth_tables(result: Growth) -> list[Table]:
    """Return the growth over letters, and that over megapixels: one column a point, the last one the slope of the line."""
    tables = []
    for curve in (result.letters, result.pixels):
        table = Table(
            title=f"{result.model}, one thread: ms a page by {curve.over}",
            caption=describe(curve),
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        table.add_column(curve.over, no_wrap=True)
        for point in curve.points:
            table.add_column(f"{point.x:.2g}" if point.x < 10 else f"{point.x:.0f}", justify="right", no_wrap=True)
        table.add_column("each", justify="right", no_wrap=True)
        for name in (*STAGES, WHOLE):
            cells = (f"{point.ms[name]:.1f}" if point.ms[name] < 10 else f"{point.ms[name]:.0f}" for point in curve.points)
            table.add_row(name, *cells, f"{curve.fits[name].slope:.3f}", end_section=name == STAGES[-1])
        table.add_row("letters found", *(f"{point.found:.0f}" for point in curve.points))
        tables.append(table)
    return tables


def emulated_tables(result: EmulatedPi) -> list[Table]:
    """Return how artifacts answered on an emulated Pi, and the pages that were not read there as here."""
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    answered = Table(title=f"golden cases, {result.platform}", caption=packages, caption_justify="left")
    answers: dict[str, Cell[Answer]] = {
        "model": lambda one: one.model,
        "cases": lambda one: str(one.n),
        "answer": lambda one: Text(one.verdict, "" if one.verdict in ("equal", "close") else "red"),
        "other labels": lambda one: str(one.strays),
        "difference": lambda one: f"{one.difference:.1e}",
    }
    tables = [fill(answered, answers, result.answers, answers)]
    if result.readings:
        total = sum(one.letters for one in result.readings)
        alike = total - sum(one.differ for one in result.readings)
        pages = f"{len(result.readings)} pages read by {result.model} there and here"
        read = Table(title=f"{pages}: {alike} of {total} letters alike; pages that differ")
        readings: dict[str, Cell[Reading]] = {
            "picture": lambda one: one.picture,
            "letters": lambda one: str(one.letters),
            "other letters": lambda one: Text(str(one.differ), "red" if one.differ else ""),
            "other boxes": lambda one: str(one.moved_boxes),
            "difference": lambda one: f"{one.confidence:.1e}",
        }
        tables.append(fill(read, readings, [one for one in result.readings if one.differ or one.moved_boxes], readings))
    return tables
