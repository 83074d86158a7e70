"""The report of a benchmark as one self-contained HTML page, its plots, and the sections of `benchmark --also`."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

from .. import LettercastError, __version__
from ..export.devices import find_devices
from ..export.html import figure_of, html_table, note, section, svg, whole_page
from ..runtime.arguments import FOLDER, amount, checked, find_model, shipped_models, thread_count
from ..runtime.arguments import KERAS as KERAS_MODEL
from ..runtime.console import progress as show_progress
from ..runtime.model.engine import open_engine
from ..runtime.model.facts import LETTERS
from ..runtime.reader import DEFAULT_MODEL, Reader
from ..train.custom import use_custom
from ..train.data.open import Data, default_split, open_source, say_held_out, seen_data
from .parity.benchmark import Benchmark, Row, find_models, run_benchmark
from .parity.compare import recommend
from .parity.contender import KERAS, Contender, open_contenders, pictures_taken
from .parity.tables import confidence_table, parity_table, recommendation_table, speed_table
from .peers.engines import COMPARED
from .peers.run import peer_engines_table, peer_letters_table, peer_pages_table, run_peers
from .speed.camera_loop import loop_table, make_card_video, one_thread, time_loop
from .speed.growth import GROWTH_PLAN, GrowthPlan, growth_figure, growth_tables, measure_growth
from .speed.limit import limit_tables, measure_limit
from .speed.page_limit import measure_page, page_figure, page_table

BLUE, ORANGE, GREEN, GREY = "#2f6f9f", "#d9822b", "#3a8f5c", "#8a8a8a"
COLOURS = "grey: Keras; blue: TFLite; orange: ONNX"
WIDTH_IN = 8.2
# Names in plots have at most this many characters, names of classes this many.
MAX_LABEL, MAX_CLASS = 36, 14
# Labels of neighbouring points alternate between these heights above and below the points, so that they do not overlap.
LABEL_STEPS_PT = (14, -18, 30, -34, 46, -50, 62, -66)
# The peak of an engine is measured for these kinds of arithmetic.
LIMITED = ("int8", "float32")
# If there are several models, this format reads the pages.
PAGE_FORMAT = "tflite-int8"
NO_PAGE_MODEL = "none of these models reads letters on pages"
LETTER_TIMES = "Times of one letter cover the way from its ink to probabilities. "
HOW = (
    "The engines take turns. Import, load, first inference and peak memory come from a separate process, with Python, NumPy and "
    "the engine. Faster: than the original's predict on one image."
)
INTERVALS = (
    "Drop: Tango's score interval for paired proportions. Accuracy and agreement: Wilson's interval. Change of the rejected "
    "share: Tango's interval. Change of the expected calibration error: a paired bootstrap of 1000 resamples."
)
Report = Callable[[str], None]


@dataclass(frozen=True)
class Section:
    """One measurement of `--also`: its figures for the JSON, its tables and plots; note says why there are no figures."""

    title: str
    figures: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    plots: tuple[Figure, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the section as a JSON object."""
        return {**self.figures, "note": self.note}


def measure_section(name: str, contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure one section; an error becomes its note, so that the other sections are still measured."""
    try:
        return SECTIONS[name](contenders, seconds, report)
    except LettercastError as error:
        return Section(name, note=str(error))


def reading_model(contenders: Sequence[Contender]) -> Path | None:
    """Return the model that reads pages: int8 TFLite if there is one, else the first model of letters, else None."""
    able = [c for c in contenders if c.runs and c.format != KERAS and c.engine and c.engine.facts.takes == LETTERS]
    return next((c.path for c in able if c.format == PAGE_FORMAT), able[0].path if able else None)


def limit_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure the share of the engine's peak throughput that int8 and float32 models reach, `seconds` for each.

    If one of them reads pages of letters, it is also measured how near each stage of a page comes to what it costs at least.
    """
    title = "Share of the peak throughput of one core"
    paths = {c.path: None for c in contenders if c.runs and c.format.partition("-")[2] in LIMITED}
    if not paths:
        return Section(title, note=f"there is no {' or '.join(LIMITED)} model among these")
    limit = measure_limit(list(paths), seconds=seconds, report=report)
    page, path = None, reading_model(contenders)
    if path in paths:
        reach = limit.models[list(paths).index(path)]
        with one_thread():
            page = measure_page(open_engine(path), reach.multiplications, reach.peak.gmacs, seconds=seconds, report=report)
    tables, figures = limit_tables(limit), limit.to_dict()
    if not page:
        return Section(title, figures, tuple(tables))
    return Section(title, figures | {"page": page.to_dict()}, (*tables, page_table(page)), (page_figure(page),))


def reader_section(
    contenders: Sequence[Contender],
    seconds: float,
    report: Report,
    video: Path | None = None,
    plan: GrowthPlan = GROWTH_PLAN,
) -> Section:
    """Time the reader's stages on the frames of a video, and how they grow with letters and pixels.

    It reads a video (by default a generated card) and the pages of a plan, however long that takes; `seconds` is not used.
    """
    title = "From the camera's frame to letters drawn on it"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NO_PAGE_MODEL)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        reader = Reader(open_engine(path))
        report("timing frames of a video")
        loop = time_loop(reader, video or make_card_video(Path(folder)))
        growth = measure_growth(reader, Path(folder), plan, report=report)
    figures = {"loop": asdict(loop), "growth": growth.to_dict()}
    return Section(title, figures, (loop_table(loop), *growth_tables(growth)), (growth_figure(growth),))


def peers_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Compare other readers on generated pages and the pen's letters, and other engines on the same network."""
    title = "Other readers and engines on the same images"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NO_PAGE_MODEL)
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


def colour(row: Row) -> str:
    """Return the colour of a row's kind of file: Keras, TFLite or ONNX."""
    return GREY if row.format == KERAS else BLUE if row.name.endswith(".tflite") else ORANGE


def common_start(names: Sequence[str]) -> str:
    """Return the common start of all names, up to its last dash."""
    same = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), 0)
    return names[0][: names[0].rfind("-", 0, same) + 1] if names else ""


def shortened(name: str, characters: int = MAX_LABEL) -> str:
    """Return a name that fits a plot: of a long one, the start and the end, which tells the format."""
    start = characters // 3
    return name if len(name) <= characters else f"{name[:start]}…{name[start + 1 - characters :]}"


def accuracy_against_latency(rows: Sequence[Row], one: str = "letter") -> Figure:
    """Draw each model's accuracy with its interval over the time of one letter or image; the best are at the upper left."""
    shown = [row for row in rows if row.accuracy and row.letter]
    figure = Figure((WIDTH_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in shown:
        assert row.accuracy
        assert row.letter
        percent, p50 = row.accuracy.percent, row.letter.p50_ms
        span = [[percent - row.accuracy.low], [row.accuracy.high - percent]]
        axes.errorbar(p50, percent, yerr=span, fmt="o", color=colour(row), elinewidth=1, capsize=2, markersize=5)
    # If all rows are exports of one model, its name is left out of the labels.
    name = common_start([row.name for row in shown])
    # Labels in the order of the times, each at the next step, so that neighbours do not overlap.
    for i, row in enumerate(sorted(shown, key=lambda row: row.letter.p50_ms if row.letter else 0)):
        assert row.accuracy
        assert row.letter
        step = LABEL_STEPS_PT[i % len(LABEL_STEPS_PT)]
        at = (row.letter.p50_ms, row.accuracy.percent)
        line = {"arrowstyle": "-", "color": colour(row), "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        label = shortened(row.name.removeprefix(name))
        # On white, where it lies on another model's interval.
        paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        axes.annotate(
            label, at, (7, step), textcoords="offset points", fontsize=7, color=colour(row), arrowprops=line, bbox=paper
        )
    axes.set_xscale("log")
    axes.set(xlabel=f"one {one}, p50 / ms (logarithmic)", ylabel="accuracy / %, 95 % interval")
    axes.margins(x=0.2, y=0.3)
    axes.grid(visible=True, alpha=0.25)
    return figure


def bars(rows: Sequence[Row], value: Callable[[Row], float | None], label: str, *, logarithmic: bool = False) -> Figure:
    """Draw a bar with its number for each model that has the figure."""
    known = [(row, number) for row in rows if (number := value(row)) is not None]
    figure = Figure((WIDTH_IN, 0.6 + 0.27 * max(1, len(known))), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(known))[::-1]
    drawn = axes.barh(places, [number for _, number in known], color=[colour(row) for row, _ in known], height=0.7)
    axes.bar_label(drawn, [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for _, number in known], padding=3, fontsize=8)
    axes.set_yticks(places, [shortened(row.name) for row, _ in known], fontsize=8)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_difference(row: Row) -> Figure:
    """Draw the export's confusion matrix minus the original's: true classes as rows, predicted classes as columns."""
    labels = sorted({label for written, taken, _ in row.moved for label in (written, taken)})
    counts = np.zeros((len(labels), len(labels)), int)
    for written, taken, more in row.moved:
        counts[labels.index(written), labels.index(taken)] = more
    side = max(3.5, min(WIDTH_IN, 0.26 * len(labels) + 1.2))
    figure = Figure((side, side), layout="constrained")
    axes = figure.subplots()
    largest = max(1, int(np.abs(counts).max()))
    image = axes.imshow(counts, cmap="RdBu_r", vmin=-largest, vmax=largest)
    shown = [shortened(label, MAX_CLASS) for label in labels]
    # Words would run into each other.
    axes.set_xticks(range(len(labels)), shown, fontsize=7, rotation=90 if max(map(len, shown), default=0) > 2 else 0)
    axes.set_yticks(range(len(labels)), shown, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true class", title=f"{shortened(row.name)}\nmore (red), fewer (blue) than the original")
    axes.title.set_fontsize(9)
    figure.colorbar(image, ax=axes, shrink=0.7, ticks=MaxNLocator(integer=True))
    return figure


def html_page(result: Benchmark) -> str:
    """Return a self-contained HTML page: the machine, which file to take, all tables and plots, and the sections of `--also`."""
    rows = result.rows
    title = f"Benchmark on {result.images}"
    has_parity = any(row.parity for row in rows)
    notes = [f"{row.name}: {text}" for row in rows for text in (row.failure, row.skipped, row.note) if text]
    vectors = ", ".join(result.machine.vectors) or "unknown"
    versions = f"lettercast {__version__} on {result.machine}; vector instructions: {vectors}"
    doubts = [f"Doubtful: {doubt}" for doubt in result.machine.doubts()]
    doubts += ["Interrupted: some figures are missing."] if result.interrupted else []
    parts = [
        f"<h1>{escape(title)}</h1>",
        *([note(f"Measured on {result.date.replace('T', ', ').replace('+00:00', ' UTC')}")] if result.date else []),
        *([f'<p class="note"><code>{escape(result.command)}</code></p>'] if result.command else []),
        note(f"{versions}; threads: {result.threads}, Keras chooses its own"),
        *(note(doubt, "doubt") for doubt in doubts),
        section("Which file to take", html_table(recommendation_table(recommend(result)))),
        section("Accuracy and parity", html_table(parity_table(result)), *map(note, notes)),
        *([section("Confidence", html_table(confidence_table(result)), note(INTERVALS))] if has_parity else []),
        section(
            "Latency and memory", html_table(speed_table(result)), note((LETTER_TIMES if result.unit == "letters" else "") + HOW)
        ),
        *_plots(result),
        *(_section_of(one) for one in result.also.values()),
    ]
    return whole_page(title, parts)


def _section_of(one: Section) -> str:
    """Return one section of `--also` as HTML: plots, and each table with its title and caption."""
    parts = [note(one.note)] if one.note else []
    parts += [figure_of(svg(plot)) for plot in one.plots]
    for table in one.tables:
        parts += [f"<h3>{escape(str(table.title))}</h3>", html_table(table), note(str(table.caption or ""))]
    return section(one.title, *parts)


def _plots(result: Benchmark) -> list[str]:
    """Return a section for each plot with figures."""
    sections, rows, one = [], result.rows, result.unit.removesuffix("s")
    timed = [row for row in rows if row.letter]
    if timed:
        drawn = svg(accuracy_against_latency(rows, one))
        sections.append(
            section("Accuracy against latency", figure_of(drawn), note(f"The best models are at the upper left; {COLOURS}."))
        )
        drawn = [
            svg(bars(timed, lambda row: row.letter and row.letter.p50_ms, f"one {one}, p50 / ms", logarithmic=True)),
            svg(bars(timed, lambda row: row.size_bytes / 1000, "size / kB")),
            svg(bars(timed, lambda row: row.footprint and row.footprint.peak_mb, "peak memory of a separate process / MB")),
        ]
        sections.append(section("By format", *map(figure_of, drawn), note(COLOURS)))
    changed = [row for row in rows if row.moved and row.parity]
    if changed:
        worst = min(changed, key=lambda row: row.parity.agreement if row.parity else 100.0)
        text = "Confusion matrix of the export with the lowest agreement, minus that of the original; only classes with changes."
        sections.append(section("Changed predictions", figure_of(svg(confusion_difference(worst))), note(text)))
    return sections


def benchmark(
    models: str | Path | Sequence[str | Path] | None = None,
    *,
    original: str | Path | None = None,
    custom: str | Path | None = None,
    data: Data = "pen",
    split: str | None = None,
    threads: int = 1,
    seconds: float = 1.0,
    also: Sequence[str] = (),
    devices: str | Sequence[str] = (),
    progress: bool = True,
) -> Benchmark:
    """Measure accuracy, agreement, size, latency and memory of exported models against their Keras original, in one run.

    Args:
        models: exported files, folders of them, or `letters-base` or `letters-nano`; by default the folder `dist`, or the model
            that comes with lettercast if there is no such folder.
        original: the Keras model that they were exported from, by its name or path; by default those that come with lettercast.
        custom: the Python file or module that defines layers and functions of a model's own, which is imported; it need not
            be given for a Keras model, or for what you registered with Keras yourself.
        data: labelled images, as `lettercast.train.evaluate` takes them.
        split: train, val, test or all; by default the split that training left out.
        threads: threads of the exported models; Keras runs as it comes.
        seconds: how long to time each model at least.
        also: further measurements: `limit` (share of the processor's peak throughput), `reader` (stages and growth of reading)
            and `peers` (other readers and engines on the same images).
        devices: names from `lettercast.export.devices.DEVICES` to recommend a file for; by default all.
        progress: whether to show what is being done.

    Returns:
        Benchmark: one row per model and engine, originals first. What could not be measured has a row that says why. After
        Ctrl-C it holds what was measured until then, and `interrupted` is True.

    Raises:
        LettercastError: the models or the data cannot be used.

    Example:
        result = benchmark("dist", data="my_letters/")
        print(result.rows[1].letter.p50_ms)
    """
    unknown = [name for name in also if name not in SECTIONS]
    if unknown:
        raise LettercastError(f"--also {unknown[0]}: there is no such measurement; choose from {', '.join(SECTIONS)}")
    asked = tuple([devices] if isinstance(devices, str) else devices)
    find_devices(asked)
    threads, seconds = checked("threads", thread_count, threads), checked("seconds", amount, seconds)
    use_custom(custom)
    given = [models] if isinstance(models, str | Path) else list(models or [])
    paths = find_models([find_model(one, FOLDER) for one in given] or [Path("dist") if Path("dist").is_dir() else DEFAULT_MODEL])
    originals = [find_model(original, KERAS_MODEL)] if original else shipped_models(KERAS_MODEL)
    with show_progress("loading", progress) as report:
        contenders = open_contenders(paths, originals, threads)
        trained_on = " + ".join(seen_data(c.engine.facts) for c in contenders if c.engine)
        shape = pictures_taken(contenders)
        source = open_source(data, split or default_split(data, trained_on), shape)
        say_held_out(source, "images" if shape else "letters")
        result = run_benchmark(contenders, source, threads=threads, seconds=seconds, report=report)
        sections: dict[str, Section] = {}
        try:
            for name in () if result.interrupted else also:
                sections[name] = measure_section(name, contenders, seconds, report)
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(result, also=sections, devices=asked, date=date)
