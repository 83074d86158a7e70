"""The command of a bundle, `python3 reader.pyz`: reading with the model inside, and the doctor."""

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
    """Read, or call the doctor where that is the first word; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in ([DOCTOR], [f"--{DOCTOR}"]):
        return answer(doctor.run, build_doctor().parse_args(words[1:]))
    parser = build_reader()
    return answer(run_equipped, parser.parse_args(words))


def run_equipped(options: argparse.Namespace) -> int:
    """Read, where all that it takes is installed; else say what to install, a line each."""
    with importing():
        lacking = describe_missing_packages(options.model.suffix.lower())
    for said in lacking:
        print(f"lettercast: {said}", file=sys.stderr)
    return UNUSABLE if lacking else read.run(options)


def model_inside() -> Path:
    """Return the one model of the bundle."""
    return next(path for path in packaged("models").iterdir() if path.suffix in ENGINES)


def build_reader() -> Parser:
    """Return the parser of reading: that of `lettercast read`, with the model inside as the default."""
    model = model_inside()
    parser = Parser(
        usage="%(prog)s [SOURCE ...] [OPTION ...]",
        description=f"Read letters with {model.name}. In the window h shows the keys, q or Esc quits.",
        epilog="%(prog)s doctor: what is installed here, and whether the model answers as where it was exported",
    )
    parser.add_argument("--version", action="version", version=f"lettercast {__version__} with {model.name}")
    read.add_reading(parser, f"{model.name} (the default)")
    parser.set_defaults(verb="read", model=model)
    return parser


def build_doctor() -> Parser:
    """Return the parser of the doctor, who looks at the model inside, or at others."""
    parser = Parser(description="Say what is installed here, and whether models answer as where they were exported.")
    parser.prog += f" {DOCTOR}"
    parser.add_argument(
        "models", type=device_model, nargs="*", metavar="M", help="a .tflite or .onnx file (default: that inside)"
    )
    doctor.add_checkup(parser)
    parser.set_defaults(verb=DOCTOR, models=[model_inside()])
    return parser
