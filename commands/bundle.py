"""The verb `bundle`: one file that reads."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from .. import DONE
from ..runtime.arguments import DEFAULT_NAME, device_model, measured_model
from .parser import add_verb
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast bundle                       the shipped model, as reader.pyz
  lettercast bundle my.tflite --out my.pyz
"""


def add(verbs: Any) -> None:
    """Add the verb `bundle`."""
    verb = add_verb(
        verbs,
        "bundle",
        help="one file that reads letters on a device",
        description="Write the reader with one model as a single file, which runs wherever Python 3.11, NumPy, OpenCV and an "
        "engine are: python3 reader.pyz [SOURCE ...] [OPTION ...], with the options of read.",
        examples=EXAMPLES,
    )
    verb.add_argument(
        "model",
        type=measured_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano, or a .tflite or .onnx file",
    )
    verb.add_argument("--out", type=Path, default=Path("reader.pyz"), metavar="FILE", help="default: %(default)s")
    verb.add_argument("--overwrite", action="store_true", help="replace FILE where it is there already")


def run(options: argparse.Namespace) -> int:
    """Write one file that reads letters wherever Python, NumPy, OpenCV and an engine are."""
    with importing():
        from ..export.bundle import write_bundle

        size = write_bundle(options.model or device_model(DEFAULT_NAME), options.out, overwrite=options.overwrite)
    print(f"{options.out}: {size:,} bytes")
    print(f"next: python3 {shlex.quote(str(options.out))} doctor")
    return DONE
