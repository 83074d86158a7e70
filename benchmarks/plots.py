"""Plots of a benchmark as SVG, to stand within a page."""

import io
import re
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .benchmark import Row
from .contender import KERAS

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
