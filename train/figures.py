"""Figures as PNG: learning curves and the confusion matrix."""

import io
from pathlib import Path

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from ..runtime.files import write_bytes
from .evaluate import Evaluation
from .history import Epoch

matplotlib.use("Agg")
DPI = 130


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix in percent of each true class; what is right stands on the diagonal."""
    counts = evaluation.confusion
    percent = 100 * counts / np.maximum(1, counts.sum(1, keepdims=True))
    side = max(5.0, 0.36 * len(evaluation.labels) + 2)
    figure = Figure((side, side), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        percent,
        ax=axes,
        cmap="rocket_r",
        vmin=0,
        vmax=20,
        square=True,
        linewidths=0.3,
        linecolor="#eeeeee",
        annot=np.where(percent >= 1, np.round(percent).astype(int).astype(str), ""),
        fmt="",
        annot_kws={"size": 6},
        xticklabels=evaluation.labels,
        yticklabels=evaluation.labels,
        cbar_kws={"label": "percent of the true class (colour ends at 20)", "shrink": 0.7},
    )
    axes.set(xlabel="read as", ylabel="written")
    axes.tick_params(axis="y", rotation=0)
    axes.set_title(
        f"{evaluation.model} on {evaluation.data}, {evaluation.split}: "
        f"{100 * evaluation.accuracy:.2f} % of {len(evaluation.truth)}"
    )
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
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return its path."""
    png = io.BytesIO()
    figure.savefig(png, dpi=DPI, format="png")
    write_bytes(path, png.getvalue())
    return path
