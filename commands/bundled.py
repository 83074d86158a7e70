"""The command of a bundle, `python3 reader.pyz`: it reads with the model inside, and runs the doctor."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import UNUSABLE, __version__
from ..runtime.arguments import device_model
from ..runtime.files import packaged
from ..runtime.model.installed import ENGINES, describe_missing_packages
from . import doctor, read
from .cli import answer
from .parser import Parser
from .terminal import importing

DOCTOR = "doctor"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, or run the doctor if that is the first word; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in ([DOCTOR], [f"--{DOCTOR}"]):
        return answer(doctor.run, build_doctor().parse_args(words[1:]))
    parser = build_reader()
    return answer(run_equipped, parser.parse_args(words))


def run_equipped(options: argparse.Namespace) -> int:
    """Read if everything that it needs is installed; otherwise print one line for each package that is missing."""
    with importing():
        lacking = describe_missing_packages(options.model.suffix.lower())
    for said in lacking:
        print(f"lettercast: {said}", file=sys.stderr)
    return UNUSABLE if lacking else read.run(options)


def model_inside() -> Path:
    """Return the one model of the bundle."""
    return next(path for path in packaged("models").iterdir() if path.suffix in ENGINES)


def build_reader() -> Parser:
    """Return the parser of `lettercast read`, with the model inside as the default."""
    model = model_inside()
    parser = Parser(
        usage="%(prog)s [SOURCE ...] [OPTION ...]",
        description=f"Read letters with {model.name}. In the window, h shows the keys and q or Esc quits.",
        epilog="%(prog)s doctor checks this device, and whether the model gives the same results as where it was exported.",
    )
    parser.add_argument("--version", action="version", version=f"lettercast {__version__} with {model.name}")
    read.add_reading(parser, f"{model.name} (the default)")
    parser.set_defaults(command="read", model=model)
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
