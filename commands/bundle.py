"""The command `bundle`: it writes a model, and what uses it, as a single file."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from .. import DONE
from ..runtime.arguments import DEFAULT_NAME, device_model, measured_model
from .parser import add_command
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast bundle                             the shipped model, as reader.pyz
  lettercast bundle my.tflite --out my.pyz      a model of your own
  lettercast bundle digits.tflite               one of other images, as classifier.pyz
"""


def add(commands: Any) -> None:
    """Add the subcommand `bundle` to the parser."""
    command = add_command(
        commands,
        "bundle",
        help="write one file that reads or classifies on a device",
        description="Write one model, and what uses it, as a single file. Run it with python3 reader.pyz [SOURCE ...] and the "
        "options of read; if the model takes other images than letters, with python3 classifier.pyz IMAGE and the options of "
        "classify. It needs Python 3.11 or later, NumPy, OpenCV, and LiteRT for a .tflite model.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "model",
        type=measured_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano (smaller), letters-digits (digits as well), or a .tflite or .onnx file",
    )
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="the file to write (default: reader.pyz, or classifier.pyz for other images)"
    )
    command.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="L",
        help="also put in this language, for read --language L; give it once for each (default: none)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Write the bundle, and print its size and what to do next."""
    with importing():
        from ..export.bundle import CLASSIFY, write_bundle

        bundle = write_bundle(
            options.model or device_model(DEFAULT_NAME), options.out, overwrite=options.overwrite, languages=options.language
        )
    print(f"{bundle.path}: {bundle.size_bytes:,} bytes")
    program = f"python3 {shlex.quote(str(bundle.path))}"
    print(f"next: {program} doctor")
    print(f"      {program}{' IMAGE' * (bundle.command == CLASSIFY)}")
    return DONE
