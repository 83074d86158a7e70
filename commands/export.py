"""The command `export`: it converts a model, and checks each format against the original."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from .. import DONE, MISSED, UNUSABLE
from ..runtime.arguments import DEFAULT_NAME, amount, comma_list, finite, keras_model, label_names
from .parser import add_command
from .terminal import import_keras, show, table_width

EXAMPLES = """\
examples:
  lettercast export
      letters-base in every format, into dist/
  lettercast export letters-nano --formats tflite-int8
      one model in one format
  lettercast export my.keras --check my_letters/
      your own model, checked on your own letters
"""


def add(commands: Any) -> None:
    """Add the subcommand `export` to the parser."""
    command = add_command(
        commands,
        "export",
        help="convert a model, and check each file against it",
        description="Convert a Keras model to TFLite and ONNX. Each format is first compared with the original on images that "
        "it was not trained on. A format that misses its tolerance is not written, and the exit code is 1. If the images are too "
        "few to prove the tolerance, you are told how many would do. The model may read letters or classify any images.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "model",
        type=keras_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano (smaller) or a .keras file",
    )
    command.add_argument("--formats", type=comma_list, metavar="F,...", help="formats, separated by commas (default: all)")
    command.add_argument(
        "--calibrate",
        metavar="D",
        help="images that set the scales of quantized formats; their training split is used (default: pen for "
        "letters, --check for other images)",
    )
    command.add_argument(
        "--check",
        metavar="D",
        help="images to compare on; their test split is used (default: pen for letters, --calibrate for other images)",
    )
    command.add_argument(
        "--labels",
        type=label_names,
        metavar="A,B,...",
        help="names of the outputs, or a file with one per line (default: the model's own, or the classes of --check)",
    )
    command.add_argument(
        "--pixels",
        metavar="P",
        help="preprocessing that the model was trained with and does not do itself: a range A..B, caffe, torch, standardized, or "
        "'mean M std S', with bgr, inverted or transposed behind it, such as 'caffe' or '-1..1 bgr' (default: of 0..255, 0..1 "
        "and -1..1 the range with which it classifies the calibration images best)",
    )
    command.add_argument(
        "--max-drop",
        type=finite,
        metavar="POINTS",
        help="most accuracy that a format may lose, in percentage points (default: 0 for float32, 0.1 for "
        "float16, 0.3 for the others, 0.5 for tflite-mobile)",
    )
    command.add_argument(
        "--min-agreement",
        type=amount,
        metavar="PERCENT",
        help="share of answers that must stay the same (default: 100 for float32, 99.9 for float16, 99 for the "
        "others, 98.5 for tflite-mobile, and only while the accuracy drop is unproven)",
    )
    command.add_argument(
        "--require-proof",
        action="store_true",
        help="write a format only if the images of --check prove that its accuracy drop is within the tolerance",
    )
    command.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="folder of the exported files (default: %(default)s)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace files of the same name")


def run(options: argparse.Namespace) -> int:
    """Export a model; returns exit code 1 if a format misses the gate."""
    from ..export.formats import find_formats
    from ..export.preprocessing import find_preprocessing

    # Before Keras is imported, which takes seconds.
    find_formats(options.formats)
    if options.pixels is not None:
        find_preprocessing(options.pixels)
    import_keras()
    from ..benchmarks.parity.tables import artifact_table
    from ..export.artifact import RECOMMENDED, export
    from ..export.gate import UNPROVEN

    options.model = options.model or DEFAULT_NAME
    exports = export(**{name: value for name, value in vars(options).items() if name != "command"})
    artifacts = exports.artifacts
    if artifacts:
        show(artifact_table(artifacts, table_width()))
    for fault in exports.faults:
        print(f"lettercast: {fault}", file=sys.stderr)
    for artifact in artifacts:
        for miss in artifact.misses:
            print(f"lettercast: {artifact.format.name} missed the gate: {miss}; no file written", file=sys.stderr)
        if artifact.verdict == UNPROVEN and not artifact.misses:
            shortfall = artifact.parity.shortfall(artifact.tolerance)
            print(f"lettercast: {artifact.format.name}: the accuracy drop is unproven: {shortfall}", file=sys.stderr)
        if artifact.cause:
            print(f"lettercast: {artifact.format.name}: {artifact.cause}", file=sys.stderr)
    if not exports.passed:
        return UNUSABLE if exports.faults else MISSED
    original = f" --original {shlex.quote(str(options.model))}" if options.model else ""
    checked = options.check or options.calibrate
    letters = f" --data {shlex.quote(checked)}" if checked else ""
    print(f"next: lettercast benchmark {shlex.quote(str(options.out))}{original}{letters}")
    first = next((artifact for artifact in artifacts if artifact.format.name == RECOMMENDED), artifacts[0])
    path = shlex.quote(str(first.path))
    print(f"      lettercast read --model {path}" if first.reads_letters else f"      lettercast evaluate {path}{letters}")
    return DONE
