"""Results as tables for a person, each kind printed in this one place."""

from rich.table import Table
from rich.text import Text

from ..export.artifact import Artifact
from ..train.evaluate import Evaluation
from .benchmark import Benchmark
from .pages import PagesResult


def evaluation_table(result: Evaluation) -> Table:
    """Return the figures of one evaluation, with every class."""
    table = Table(
        title=f"{result.model} ({result.engine}) on {result.data}, {result.split}: accuracy {100 * result.accuracy:.2f} %, "
        f"top-2 {100 * result.top2:.2f} %, {len(result.truth)} letters",
        caption=f"of the errors {100 * result.pair_share('I', 'L'):.0f} % are I/L, {100 * result.pair_share('G', 'Q'):.0f} % G/Q",
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


def artifact_table(artifacts: list[Artifact]) -> Table:
    """Return what was exported, and how it stands against the original."""
    parity = artifacts[0].parity
    table = Table(title=f"exported, checked on {parity.n} letters; the original reads {parity.original_accuracy:.2f} %")
    for name in ("file", "kB", "accuracy %", "drop in points (95 %)", "agreement %", "difference", "gate", "for"):
        table.add_column(name, justify="right" if name in ("kB", "accuracy %", "agreement %", "difference") else "left")
    for artifact in artifacts:
        parity = artifact.parity
        table.add_row(
            artifact.path.name,
            f"{artifact.size_bytes / 1000:.0f}",
            f"{parity.accuracy:.2f}",
            f"{parity.drop:+.2f} ({parity.drop_low:+.2f} to {parity.drop_high:+.2f})",
            f"{parity.agreement:.2f}",
            f"{parity.difference:.1e}",
            Text("missed", "red") if artifact.misses else Text("passed", "green"),
            artifact.format.device,
        )
    return table


def benchmark_table(result: Benchmark) -> Table:
    """Return one line a model, the original first."""
    table = Table(
        title=f"{result.rows[0].parity.n} letters of {result.data}, {result.split}; threads: {result.threads}, Keras as it comes",
        caption=result.machine,
    )
    for name in (
        "model",
        "engine",
        "kB",
        "accuracy %",
        "agreement %",
        "load ms",
        "first ms",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "times faster",
    ):
        table.add_column(name, justify="left" if name in ("model", "engine") else "right")
    for row in result.rows:
        latency = row.latency
        table.add_row(
            row.name,
            row.engine,
            f"{row.size_bytes / 1000:.0f}",
            f"{row.parity.accuracy:.2f}",
            f"{row.parity.agreement:.2f}",
            f"{latency.load_ms:.1f}",
            *(f"{value:.3f}" for value in (latency.first_ms, latency.p50_ms, latency.p90_ms, latency.p99_ms)),
            f"{row.speedup:.0f}",
        )
    return table
