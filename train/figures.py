"""Figures as PNG: learning curves, and the results of an evaluation."""

import io
import math
import textwrap
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray
from scipy.stats import binomtest

from ..runtime.files import write_bytes
from .evaluation import MIN_LETTERS, Evaluation
from .plan import Epoch

DPI = 130
TITLE_CHARACTERS_PER_INCH = 9
BLUE, RED, GREY = "#2f6f9f", "#c0392b", "#8a8a8a"
# The gallery of mistakes: its cells, their width and height in widths of an image, and the characters that fit below one.
GALLERY_ROWS, GALLERY_COLUMNS = 8, 12
CELL_WIDTH, CELL_HEIGHT = 1.4, 1.55
MAX_LABEL_CHARACTERS = 5
# Area in points^2 of the dot of a writer without letters, and what the writer with the most letters gets in addition.
MIN_DOT_AREA, EXTRA_DOT_AREA = 12, 160
# Colours of a confusion matrix end here: one error in ten is pale, and stands out only if it is one in three.
MAX_COLOUR_PERCENT = 60
# With fewer letters of a class, its numbers are letters instead of percent: one of ten is no rate of 10 %.
MIN_FOR_PERCENT = 50
ROUND_NUMBERS = tuple(10**power for power in range(1, 7))


def save_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write every figure of an evaluation as PNG, writers.png only if the writers are known; returns the paths."""
    figures = {
        "confusion.png": confusion_figure(evaluation),
        "mistakes.png": mistakes_figure(evaluation),
        "reliability.png": reliability_figure(evaluation),
    }
    if evaluation.writers is not None:
        figures["writers.png"] = writers_figure(evaluation)
    return [save_figure(figure, folder / name) for name, figure in figures.items()]


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return its path."""
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI, format="png")
    write_bytes(path, png.getvalue())
    return path


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix; right answers are on the diagonal, and colours are percent of each true class.

    Numbers are percent as well, or letters if the classes have few.
    """
    counts = evaluation.confusion
    written = counts.sum(1, keepdims=True)
    percent = 100 * counts / np.maximum(1, written)
    is_few = np.median(written[written > 0]) < MIN_FOR_PERCENT
    shown = np.where(counts > 0, counts.astype(str), "") if is_few else np.where(percent >= 1, np.rint(percent).astype(int), "")
    side = max(5.0, 0.36 * len(evaluation.labels) + 2)
    figure = Figure((side, 0.9 * side), layout="compressed")
    axes = figure.subplots()
    # Escaped, because seaborn measures the names before parsing of formulas can be turned off.
    labels = [label.replace("$", r"\$") for label in evaluation.labels]
    sns.heatmap(
        percent,
        ax=axes,
        cmap="rocket_r",
        vmin=0,
        vmax=MAX_COLOUR_PERCENT,
        square=True,
        linewidths=0.3,
        linecolor="#eeeeee",
        annot=shown,
        fmt="",
        annot_kws={"size": 6},
        xticklabels=labels,
        yticklabels=labels,
        cbar_kws={"label": f"percent of the written class (colours end at {MAX_COLOUR_PERCENT})", "shrink": 0.7},
    )
    axes.set(xlabel=f"read as (numbers are {'letters' if is_few else 'percent'})", ylabel="written")
    axes.tick_params(axis="y", rotation=0)
    set_title(figure, evaluation, f"accuracy {100 * evaluation.accuracy:.2f} % of {len(evaluation.truth):,} letters")
    return figure


def mistakes_figure(evaluation: Evaluation) -> Figure:
    """Draw the misread letters with the highest confidence, row by row: `written → read, confidence`."""
    mistakes = evaluation.mistakes()
    shown = mistakes[: GALLERY_ROWS * GALLERY_COLUMNS]
    rows = max(1, math.ceil(len(shown) / GALLERY_COLUMNS))
    figure = Figure((10, 0.8 + 10 * CELL_HEIGHT * rows / (CELL_WIDTH * GALLERY_COLUMNS)), layout="compressed")
    axes = figure.subplots()
    apart = " " if max(map(len, evaluation.labels)) <= 2 else "\n"
    for place, index in enumerate(shown):
        row, column = divmod(place, GALLERY_COLUMNS)
        left, top = CELL_WIDTH * column, CELL_HEIGHT * row
        image = 255 - evaluation.images[index]
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
        written, read = (shorten(evaluation.labels[i]) for i in (evaluation.truth[index], evaluation.predicted[index]))
        text = f"{written} →{apart}{read}, {100 * evaluation.confidence[index]:.0f} %"
        axes.text(left + 0.5, top + 1.05, text, size=7.5, ha="center", va="top", parse_math=False)
    axes.set(xlim=(-0.2, CELL_WIDTH * GALLERY_COLUMNS - 0.2), ylim=(CELL_HEIGHT * rows, -0.1), aspect="equal")
    axes.set_axis_off()
    if len(mistakes) == 0:
        axes.text(0.5, 0.5, "no mistakes", transform=axes.transAxes, size=14, ha="center", va="center", color=GREY)
    number = f"the {len(shown)} most confident of " if len(shown) < len(mistakes) else ""
    set_title(figure, evaluation, f"{number}{len(mistakes):,} mistakes in {len(evaluation.truth):,} letters")
    return figure


def reliability_figure(evaluation: Evaluation) -> Figure:
    """Draw accuracy by confidence, with 95 % intervals (Wilson), and the number of letters per bin."""
    bins = evaluation.reliability
    edges = np.linspace(0, 100, len(bins.count) + 1)
    filled = bins.count > 0
    count, confidence, accuracy = bins.count[filled], 100 * bins.confidence[filled], 100 * bins.accuracy[filled]
    intervals = [binomtest(round(a / 100 * n), n).proportion_ci(method="wilson") for a, n in zip(accuracy, count, strict=True)]
    reach = np.array([[a - 100 * i.low, 100 * i.high - a] for a, i in zip(accuracy, intervals, strict=True)]).reshape(-1, 2)
    figure = Figure((8.5, 7.5), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    shares.plot([0, 100], [0, 100], color=GREY, linestyle="--", label="confidence equals accuracy")
    shares.errorbar(
        confidence,
        accuracy,
        np.maximum(0, reach.T),
        color=BLUE,
        marker="o",
        capsize=3,
        label="letters of one bin, with 95 % interval",
    )
    shares.set(xlim=(0, 100), ylim=(-2, 102), ylabel="accuracy / %")
    set_title(figure, evaluation, f"expected calibration error {100 * evaluation.ece:.2f} %")
    counts.bar(edges[:-1][filled], count, width=np.diff(edges)[filled], align="edge", color=BLUE, edgecolor="white")
    for middle, number in zip((edges[:-1] + edges[1:])[filled] / 2, count, strict=True):
        counts.annotate(f"{number:,}", (middle, number), (0, 2), textcoords="offset points", size=7, ha="center")
    # Starts below one: on a logarithmic axis that starts at one, a bar of one letter has no height.
    counts.set(yscale="log", ylim=(0.7, 4 * max(1, bins.count.max())), xlabel="confidence / %", ylabel="letters")
    counts.yaxis.set_major_formatter(lambda letters, _: f"{letters:,.0f}")
    counts.yaxis.set_minor_formatter(NullFormatter())
    for axes in (shares, counts):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        if evaluation.reject_below:
            axes.axvline(100 * evaluation.reject_below, color=RED)
    if evaluation.reject_below:
        lost = 100 * (1 - evaluation.kept)
        shares.lines[-1].set_label(f"rejected below {100 * evaluation.reject_below:.1f} %: {lost:.1f} % of the letters")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def writers_figure(evaluation: Evaluation) -> Figure:
    """Draw the accuracy of every writer, from worst to best; the area of a dot grows with the writer's letters.

    Raises ValueError if the writers are unknown.
    """
    writers, summary = evaluation.by_writer(), evaluation.writer_summary()
    if writers is None:
        raise ValueError(f"{evaluation.data}: the writers of these letters are unknown")
    figure = Figure((9, 5), layout="constrained")
    axes = figure.subplots()
    place, percent, most = np.arange(1, len(writers.number) + 1), 100 * writers.accuracy, int(writers.count.max())
    groups = {f"fewer than {MIN_LETTERS} letters, not counted": (~writers.counted, GREY)}
    if summary:
        groups[f"worst tenth, mean {100 * summary.worst_tenth:.1f} %"] = (writers.worst, RED)
        groups["the others"] = (writers.counted & ~writers.worst, BLUE)
        axes.axhline(100 * summary.median, color=GREY, linestyle="--", zorder=0)
        # In the margin, where no dot can be below it.
        text = f"median\n{100 * summary.median:.1f} %"
        axes.annotate(text, (1, 100 * summary.median), (6, 0), ("axes fraction", "data"), "offset points", va="center")
    for label, (group, color) in groups.items():
        if group.any():
            axes.scatter(place[group], percent[group], dot_area(writers.count[group], most), color, label=label, alpha=0.75, lw=0)
    for letters in [number for number in ROUND_NUMBERS if writers.count.min() <= number <= most] or [most]:
        axes.scatter([], [], dot_area(letters, most), "white", edgecolors="black", label=f"{letters:,} letters")
    beyond = 0.06 * max(10, 100 - percent.min())
    beside = 0.5 + 0.02 * len(place)
    axes.set(xlim=(1 - beside, len(place) + beside), ylim=(percent.min() - beyond, 100 + beyond))
    axes.set(xlabel="writers, from worst to best", ylabel="accuracy / %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", alpha=0.3)
    set_title(figure, evaluation, f"accuracy of {len(place)} {'writer' if len(place) == 1 else 'writers'}")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def curves_figure(history: list[Epoch]) -> Figure:
    """Draw loss and accuracy by epoch, on training and on validation letters."""
    figure = Figure((9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [line.epoch for line in history]
    for axes, name, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        axes.plot(epochs, [scale * getattr(line, name) for line in history], label="train (distorted)", marker=".")
        axes.plot(epochs, [scale * getattr(line, f"val_{name}") for line in history], label="validation", marker=".")
        axes.set(xlabel="epoch", ylabel=name + (" / %" if scale == 100 else ""))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def set_title(figure: Figure, evaluation: Evaluation, finding: str) -> None:
    """Write model, data and result above the first axes, in lines that fit the figure.

    A dollar sign in a user's names does not start a formula.
    """
    title = f"{evaluation.model} on {evaluation.data}, {evaluation.split}: {finding}"
    lines = textwrap.fill(title, round(TITLE_CHARACTERS_PER_INCH * figure.get_figwidth()))
    figure.axes[0].set_title(lines, parse_math=False)


def shorten(label: str) -> str:
    """Return a label, shortened if necessary to fit below an image."""
    return label if len(label) <= MAX_LABEL_CHARACTERS else f"{label[: MAX_LABEL_CHARACTERS - 1]}…"


def dot_area(letters: NDArray[np.int64] | int, most: int) -> NDArray[np.float64] | float:
    """Return the area in points^2 of the dot of a writer with this number of letters; `most` is the largest number."""
    return MIN_DOT_AREA + EXTRA_DOT_AREA * letters / most
