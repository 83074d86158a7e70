"""The verb `doctor`: what is installed, and whether models answer as they should."""

import argparse
import json
from typing import Any

from ..runtime.arguments import DEFAULT_NAME, device_model, thread_count
from .parser import add_verb
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast doctor                       what is installed, and the shipped model
  lettercast doctor my.tflite --json      a model of your own, for programs
"""


def add(verbs: Any) -> None:
    """Add the verb `doctor`."""
    verb = add_verb(
        verbs,
        "doctor",
        help="what is installed here, and whether models answer here as where they were exported",
        description="Say what is installed, then ask each model the golden cases that were exported with it: equal, close or "
        "wrong (exit code 1). Exit code 2 where something that reading needs is missing.",
        examples=EXAMPLES,
    )
    verb.add_argument(
        "models",
        type=device_model,
        nargs="*",
        metavar="M",
        help="letters-base (the default), letters-nano, or a .tflite or .onnx file",
    )
    add_checkup(verb)


def add_checkup(verb: argparse.ArgumentParser) -> None:
    """Add how models are tried."""
    verb.add_argument("--threads", type=thread_count, metavar="N", default=1, help="of the models (default: %(default)s)")
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Say what is installed and whether the models answer here as where they were exported; exit code 1 where one does not."""
    with importing():
        from ..runtime.model.doctor import examine

        report = examine(options.models or [device_model(DEFAULT_NAME)], options.threads)
    if options.json:
        print(json.dumps(report.to_dict()))
    else:
        from ..runtime.model.doctor import format_report

        print(format_report(report))
    return report.exit_code
