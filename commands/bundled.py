"""The command of a bundle, `python3 reader.pyz` or `python3 classifier.pyz`: it uses the model inside, and runs the doctor."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .. import UNUSABLE, __version__
from ..runtime.arguments import device_model
from ..runtime.files import packaged
from ..runtime.model.installed import ENGINES, describe_missing_packages
from . import doctor
from .cli import answer
from .parser import Parser
from .terminal import importing

DOCTOR = "doctor"
# A bundle holds one of them.
USES = ("read", "classify")
# How the file of a hand ends.
HAND = ".hand"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read or classify, or run the doctor if that is the first word; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in ([DOCTOR], [f"--{DOCTOR}"]):
        return answer(doctor.run, build_doctor().parse_args(words[1:]))
    parser = build_parser()
    return answer(run_equipped, parser.parse_args(words))


def run_equipped(options: argparse.Namespace) -> int:
    """Use the model if everything that it needs is installed; otherwise print one line for each package that is missing."""
    with importing():
        lacking = describe_missing_packages(options.model.suffix.lower())
    for said in lacking:
        print(f"lettercast: {said}", file=sys.stderr)
    return UNUSABLE if lacking else command_inside().run(options)


def model_inside() -> Path:
    """Return the one model of the bundle."""
    return next(path for path in packaged("models").iterdir() if path.suffix in ENGINES)


def hand_inside() -> Path | None:
    """Return the hand of the bundle; None if it has none."""
    return next((path for path in packaged("models").iterdir() if path.name.endswith(HAND)), None)


def command_inside() -> ModuleType:
    """Return the module of the command that the bundle holds."""
    return import_module(next(f".{name}" for name in USES if find_spec(f".{name}", __package__)), __package__)


def build_parser() -> Parser:
    """Return the parser of the command that the bundle holds, with the model inside as the default."""
    model, command = model_inside(), command_inside()
    name = command.__name__.rpartition(".")[2]
    parser = Parser(
        usage=command.USAGE,
        description=command.SUMMARY.format(model.name),
        epilog="%(prog)s doctor checks this device, and whether the model gives the same results as where it was exported.",
    )
    parser.add_argument("--version", action="version", version=f"lettercast {__version__} with {model.name}")
    command.add_options(parser, f"{model.name} (the default)")
    parser.set_defaults(command=name, model=model, hand=hand_inside())
    return parser


def build_doctor() -> Parser:
    """Return the parser of the doctor, which checks the model inside, or other models."""
    parser = Parser(
        description="Show what is installed here, and check whether models give the same results as where they were exported."
    )
    parser.prog += f" {DOCTOR}"
    parser.add_argument(
        "models", type=device_model, nargs="*", metavar="M", help="a .tflite or .onnx file (default: the model inside)"
    )
    doctor.add_checkup(parser)
    parser.set_defaults(command=DOCTOR, models=[model_inside()])
    return parser
