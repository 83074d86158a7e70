"""The command `doctor`: it checks this device and the models on it."""

import argparse
import json
from pathlib import Path
from typing import Any

from .. import LettercastError
from ..runtime.arguments import DEFAULT_NAME, device_model, thread_count
from .parser import add_command, add_engine
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast doctor                      check this device and the shipped model
  lettercast doctor my.tflite --json     check your own model, print JSON
"""


def add(commands: Any) -> None:
    """Add the subcommand `doctor` to the parser."""
    command = add_command(
        commands,
        "doctor",
        help="check what is installed here, and whether models give the right results",
        description="Show what is installed here. Then run each model on the test images that were exported with it: its "
        "results are equal to those of the exporting machine, close, or wrong. The exit code is 1 if they are "
        "wrong, and 2 if something that it needs is missing.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "models",
        type=device_model,
        nargs="*",
        metavar="M",
        help="letters-base (the default), letters-nano, letters-digits, or a .tflite or .onnx file",
    )
    add_checkup(command)


def add_checkup(command: argparse.ArgumentParser) -> None:
    """Add the options that say how models are checked."""
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the engine (default: %(default)s)"
    )
    add_engine(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what is installed and how the models do; returns exit code 1 if one gives wrong results."""
    with importing():
        from ..runtime.model.doctor import examine
        from ..runtime.model.installed import ENGINE_NAMES

        engine = ENGINE_NAMES.get(options.engine)
        report = examine(options.models or [device_model(DEFAULT_NAME)], options.threads, engine)
    # Hands are arrays of NumPy.
    hands = describe_hands() if report.device.packages[0].module else {}
    if options.json:
        print(json.dumps({**report.to_dict(), "hands": hands}))
    else:
        from ..runtime.model.doctor import format_report, row

        print(format_report(report))
        for i, (name, what) in enumerate(hands.items()):
            print(row("", f"{name}: {what}") if i else "\n" + row("hands", f"{name}: {what}"))
    return report.exit_code


def describe_hands() -> dict[str, str]:
    """Return for each hand of the user by its name how many letters it has and for which model, or why it cannot be used."""
    from ..runtime.hand.folder import list_hands

    return {path.stem: describe_hand(path) for path in list_hands()}


def describe_hand(path: Path) -> str:
    """Return what a hand is, in a few words."""
    from ..runtime.hand.file import load_hand

    try:
        hand = load_hand(path)
    except LettercastError as error:
        return f"cannot be used: {str(error).removeprefix(f'{path}: ')}"
    return f"{hand.figures.letters} letters for {hand.model}"
