"""The command `benchmark`: it compares exported models with their original."""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import DONE, MISSED, LettercastError
from ..runtime.arguments import amount, comma_list, file_to_read, keras_model, model_or_folder, thread_count
from .parser import add_command, add_custom, add_devices, add_letters
from .terminal import import_keras, importing, show

EXAMPLES = """\
examples:
  lettercast benchmark dist
      every exported file against its original
  lettercast benchmark dist --html report.html
      the same as a page with plots
  lettercast benchmark dist --against before.json
      exit code 1 if a model is worse than in an earlier run, or gone
  lettercast benchmark --share my-pi.json
      figures of this device to send to lettercast, without your name or files
"""


def add(commands: Any) -> None:
    """Add the subcommand `benchmark` to the parser."""
    command = add_command(
        commands,
        "benchmark",
        help="compare exported models with their original",
        description="Measure accuracy, agreement, size and latency of exported models against the Keras original, in one run.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "models",
        type=model_or_folder,
        nargs="*",
        metavar="DIR|MODEL",
        help="exported files or folders of them (default: dist, or the shipped model if there is no dist)",
    )
    command.add_argument(
        "--original",
        type=keras_model,
        metavar="M",
        help="the .keras file that they were exported from (default: the shipped ones)",
    )
    add_letters(command)
    add_custom(command)
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the exported models (default: %(default)s)"
    )
    command.add_argument(
        "--seconds", type=amount, default=1.0, metavar="S", help="time each model for at least this long (default: %(default)g)"
    )
    command.add_argument(
        "--also",
        type=comma_list,
        default=[],
        metavar="WHAT,...",
        help="limit: share of this processor's peak throughput, layer by layer; reader: the stages of a camera frame, and how "
        "they grow with letters and pixels; peers: other readers and engines on the same images",
    )
    add_devices(command, "devices to recommend a file for", " (default: this processor, and all others by what suits them)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots, as a single file")
    command.add_argument("--min-accuracy", type=amount, metavar="PERCENT", help="exit with code 1 if a model is less accurate")
    command.add_argument(
        "--max-p99", type=amount, metavar="MS", help="exit with code 1 if a model's p99 latency of one letter is longer"
    )
    command.add_argument(
        "--against",
        type=file_to_read,
        metavar="OLD.json",
        help="show what changed since an earlier --json file; exit with code 1 if a model became worse or is gone",
    )
    command.add_argument(
        "--tolerance",
        type=amount,
        default=10.0,
        metavar="PERCENT",
        help="how much times, sizes and memory may grow before --against calls it worse (default: %(default)g)",
    )
    command.add_argument(
        "--share",
        type=Path,
        metavar="FILE",
        help="only time the shipped models in every engine of this device, and write the figures as JSON that you may send: it "
        "holds no names of yours, no paths and no host name; needs no more packages than read",
    )


def run(options: argparse.Namespace) -> int:
    """Print the tables; returns exit code 1 if a model failed, misses a threshold, is gone, or became worse than allowed."""
    if options.share:
        return share(options)
    from ..export.devices import find_devices

    # Before Keras is imported, which takes seconds.
    find_devices(options.devices)
    import_keras()
    from ..benchmarks.parity.compare import compare_runs, load_run, missed_thresholds, recommend
    from ..benchmarks.parity.tables import comparison_table, measured_tables, recommendation_table
    from ..benchmarks.report import benchmark, html_page
    from ..runtime.console import table_width
    from ..runtime.files import write_bytes

    if options.against:
        # A file that cannot be compared with is known before anything is measured.
        load_run(options.against)
    result = benchmark(
        options.models or None,
        original=options.original,
        custom=options.custom,
        data=options.data,
        split=options.split,
        threads=options.threads,
        seconds=options.seconds,
        also=options.also,
        devices=options.devices or (),
    )
    if sys.argv[1:2] == [options.command]:
        # Not if Python calls this.
        result = replace(result, command=shlex.join(["lettercast", *sys.argv[1:]]))
    if options.json:
        write_bytes(options.json, json.dumps(result.to_dict(), indent=2).encode())
    if options.html:
        write_bytes(options.html, html_page(result).encode())
    for table in measured_tables(result, table_width()):
        show(table)
    for section in result.also.values():
        print(f"{section.title}{': ' if section.note else ''}{section.note}")
        for table in section.tables:
            show(table)
    if result.interrupted:
        raise KeyboardInterrupt
    show(recommendation_table(recommend(result), table_width()))
    missed = missed_thresholds(result, options.min_accuracy, options.max_p99)
    if options.against:
        against = compare_runs(options.against, result, options.tolerance)
        show(comparison_table(against, table_width()))
        missed += against.misses
    for line in missed:
        print(f"lettercast: {line}", file=sys.stderr)
    return MISSED if missed or any(row.failure for row in result.rows) else DONE


def share(options: argparse.Namespace) -> int:
    """Write the figures of this device, and print them as a table."""
    if options.models or options.original or options.also:
        raise LettercastError("--share: measures the models that come with lettercast only; leave out models and --also")
    with importing():
        from ..benchmarks.share import measure_device, share_table, write_share
        from ..runtime.console import progress

    with progress("timing the shipped models"):
        figures = measure_device(options.seconds)
    write_share(options.share, figures)
    show(share_table(figures))
    print(f"{options.share}: look at it, then send it (docs/benchmarks.md says how)")
    return DONE
