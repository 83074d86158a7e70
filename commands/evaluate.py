"""The command `evaluate`: it measures how well a model reads letters, or pages."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import DONE
from ..runtime.arguments import file_to_read, measured_model, thread_count
from .parser import add_command, add_custom, add_hand, add_letters
from .terminal import import_keras, importing, show

if TYPE_CHECKING:
    from ..runtime.model.engine import Engine

EXAMPLES = """\
examples:
  lettercast evaluate letters-base
      the shipped model on letters of the built-in pen
  lettercast evaluate my.tflite --data my_letters/
      a model of your own on a folder of class folders
  lettercast evaluate letters-base --pages pages/labels.csv
      character error rate of whole photographed pages
"""


def add(commands: Any) -> None:
    """Add the subcommand `evaluate` to the parser."""
    command = add_command(
        commands,
        "evaluate",
        help="measure how well a model reads",
        description="Measure a .keras, .h5, .tflite or .onnx model on labelled letters, or on whole photographed pages.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "model",
        type=measured_model,
        metavar="M",
        help="letters-base, letters-nano, letters-digits, or a .keras, .h5, .tflite or .onnx file",
    )
    add_letters(command)
    add_custom(command)
    command.add_argument(
        "--pages",
        type=file_to_read,
        metavar="CSV",
        help="read whole pages instead: a CSV with the columns file and text, where | separates the lines of a page",
    )
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the engine (default: %(default)s)"
    )
    add_hand(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write figures to this folder: confusion matrix, mistakes, reliability, writers (PNG), and all numbers (JSON)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the accuracy on letters, or the character error rate on pages."""
    if options.pages:
        return run_pages(options)
    with importing():
        from ..benchmarks.parity.tables import evaluation_table
        from ..runtime.files import write_bytes
        from ..runtime.model.engine import OPENERS
        from ..train.evaluation import evaluate

        if options.model.suffix.lower() not in OPENERS:
            import_keras()
    result = evaluate(chosen(options), options.data, options.split, threads=options.threads, custom=options.custom)
    if options.report:
        from ..train.figures import save_figures

        save_figures(result, options.report)
        write_bytes(options.report / "evaluation.json", json.dumps(result.to_dict(), indent=2).encode())
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        show(evaluation_table(result))
    return DONE


def chosen(options: argparse.Namespace) -> "Path | Engine":
    """Return the model to measure; opened if `--hand` names a hand."""
    if not options.hand:
        return options.model
    from ..runtime.hand.apply import with_hand
    from ..train.predict import open_model

    return with_hand(open_model(options.model, options.threads), options.hand)


def run_pages(options: argparse.Namespace) -> int:
    """Print the character error rate of photographed pages."""
    with importing():
        import cv2

        from ..benchmarks.pages.scoring import evaluate_pages, pages_table
        from ..runtime.model.engine import OPENERS
        from ..train.custom import use_custom

        if options.model.suffix.lower() not in OPENERS:
            import_keras()
    use_custom(options.custom)
    cv2.setNumThreads(options.threads)
    result = evaluate_pages(chosen(options), options.pages, threads=options.threads)
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        show(pages_table(result))
    return DONE
