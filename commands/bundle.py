"""The command `bundle`: it writes the reader as a single file."""

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
"""


def add(commands: Any) -> None:
    """Add the subcommand `bundle` to the parser."""
    command = add_command(
        commands,
        "bundle",
        help="write one file that reads letters on a device",
        description="Write the reader with one model as a single file. Run it with python3 reader.pyz [SOURCE ...] [OPTION ...] "
        "and the options of read. It needs Python 3.11 or later, NumPy, OpenCV, and LiteRT for a .tflite model.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "model",
        type=measured_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano, or a .tflite or .onnx file",
    )
    command.add_argument(
        "--out", type=Path, default=Path("reader.pyz"), metavar="FILE", help="the file to write (default: %(default)s)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Write the bundle, and print its size and what to do next."""
    with importing():
        from ..export.bundle import write_bundle

        size = write_bundle(options.model or device_model(DEFAULT_NAME), options.out, overwrite=options.overwrite)
    print(f"{options.out}: {size:,} bytes")
    print(f"next: python3 {shlex.quote(str(options.out))} doctor")
    return DONE
