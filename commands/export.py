"""The command `export`: it converts a model, and checks each format against the original."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import DONE, INTERRUPTED, MISSED, UNUSABLE
from ..runtime.arguments import (
    DEFAULT_NAME,
    KERAS,
    amount,
    byte_size,
    comma_list,
    file_to_read,
    finite,
    keras_model,
    label_names,
    natural,
    positive,
    shipped_models,
)
from .parser import add_command, add_custom, add_devices
from .terminal import import_keras, show

if TYPE_CHECKING:
    from ..export.artifact import Exports

EXAMPLES = """\
examples:
  lettercast export
      letters-base in every format, into dist/
  lettercast export letters-nano --formats tflite-int8
      one model in one format
  lettercast export my.keras --check my_letters/
      your own model, checked on your own letters
  lettercast export my.keras --check my_letters/ --explain
      in which layers the quantized formats lose answers
  lettercast export my.keras --check my_letters/ --repair
      find another file in place of one that loses too much
  lettercast export my.keras --check my_letters/ --max-size 400k --device pi4
      the fastest file of at most 400 kB for a device
  lettercast export --for pi5,browser
      the formats that suit two devices, and which file to take for each
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
        help="letters-base (the default), letters-nano (smaller), letters-digits (digits as well) or a .keras or .h5 file",
    )
    command.add_argument(
        "--formats", type=comma_list, metavar="F,...", help="formats, separated by commas (default: those of --for, or all)"
    )
    add_devices(command, "devices to export for, which also recommends a file for each", aliases=["--device"])
    command.add_argument(
        "--calibrate",
        metavar="D",
        help="images that set the scales of quantized formats: their training split, or all that have no "
        "splits (default: pen for letters, --check for other images)",
    )
    command.add_argument(
        "--check",
        metavar="D",
        help="images to compare on: their test split, or all that have no splits; a tenth of each class if --calibrate "
        "names the same (default: pen for letters, --calibrate for other images)",
    )
    command.add_argument(
        "--labels",
        type=label_names,
        metavar="A,B,...",
        help="names of the outputs, or a file with one per line (default: the model's own, or the classes of --check)",
    )
    add_custom(command)
    command.add_argument(
        "--pixels",
        metavar="P",
        help="preprocessing that the model was trained with and does not do itself: a range A..B, caffe, torch, mnist, "
        "standardized or 'mean M std S', with bgr, inverted or transposed behind it, such as 'caffe' or '-1..1 bgr' (default: of "
        "0..255, 0..1 and -1..1 the range with which it classifies the calibration images best)",
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
        "--check-pages",
        type=file_to_read,
        metavar="CSV",
        help="also read whole pages with the original and with each file, and compare the character error rates: a CSV with the "
        "columns file and text, as in evaluate --pages",
    )
    command.add_argument(
        "--max-cer-rise",
        type=amount,
        metavar="POINTS",
        help="how much the character error rate may rise on the pages of --check-pages (default: it is only reported)",
    )
    command.add_argument(
        "--max-size",
        type=byte_size,
        metavar="SIZE",
        help="write one file of at most this size, such as 400k or 1.5M: the fastest that is proven to be within --max-drop, of "
        "all formats and of files with 4-bit weights or some layers in float",
    )
    command.add_argument(
        "--explain",
        action="store_true",
        help="show for each quantized format in which layers it loses answers: a table, and a chart of all layers in the page "
        "MODEL-export.html of --out",
    )
    command.add_argument(
        "--repair",
        action="store_true",
        help="if a quantized file misses the gate or is unproven, search the smallest one that is proven: some layers in float, "
        "or other weights; one half of the --check images chooses, the other half proves",
    )
    command.add_argument(
        "--recipe",
        type=file_to_read,
        metavar="FILE",
        help="make a file again as a repaired one was made: an exported file, or the JSON of its recipe",
    )
    command.add_argument(
        "--finetune",
        metavar="D",
        help="training images on which the weights of quantized files learn to bear their rounding, with the original as teacher",
    )
    command.add_argument(
        "--epochs", type=positive, metavar="N", help="how often --finetune shows each of its images (default: 3)"
    )
    command.add_argument(
        "--seed",
        type=natural,
        default=argparse.SUPPRESS,
        metavar="N",
        help="of the halves of the --check images and of --finetune; the same seed makes the same file, and a recipe has its own "
        "(default: 7)",
    )
    command.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="folder of the exported files (default: %(default)s)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace files of the same name")
    command.add_argument("--json", action="store_true", help="print one JSON object, and the tables on stderr")


def run(options: argparse.Namespace) -> int:
    """Export a model; returns exit code 1 if a format misses the gate."""
    from ..export.devices import find_devices
    from ..export.formats import find_formats
    from ..export.preprocessing import find_preprocessing

    # Before Keras is imported, which takes seconds.
    find_formats(options.formats)
    if options.pixels is not None:
        find_preprocessing(options.pixels)
    find_devices(options.devices)
    import_keras()
    from ..benchmarks.parity.tables import tables_of
    from ..export.exporter import export
    from ..export.gate import UNPROVEN
    from ..runtime.console import table_width

    options.model = options.model or DEFAULT_NAME
    exports = export(**{name: value for name, value in vars(options).items() if name not in ("command", "json")})
    # With --json, stdout is for the JSON alone.
    told = sys.stderr if options.json else sys.stdout
    if options.json:
        print(json.dumps(exports.to_dict()))
    for table in tables_of(exports, table_width(told)):
        show(table, told)
    for fault in exports.faults:
        print(f"lettercast: {fault}", file=sys.stderr)
    for artifact in exports:
        for miss in artifact.misses:
            print(f"lettercast: {artifact.format.name} missed the gate: {miss}; no file written", file=sys.stderr)
        if artifact.verdict == UNPROVEN and not artifact.misses:
            shortfall = artifact.parity.shortfall(artifact.tolerance)
            print(f"lettercast: {artifact.format.name}: the accuracy drop is unproven: {shortfall}", file=sys.stderr)
        if artifact.cause:
            print(f"lettercast: {artifact.format.name}: {artifact.cause}", file=sys.stderr)
    if exports.choice and not exports.artifacts:
        print(f"lettercast: {exports.choice.describe_nearest()}; no file written", file=sys.stderr)
    if exports.page:
        print(f"page: {exports.page}", file=told)
    for line in next_commands(exports, options):
        print(line, file=told)
    if exports.is_interrupted:
        return INTERRUPTED
    return DONE if exports.passed else UNUSABLE if exports.faults else MISSED


def next_commands(exports: "Exports", options: argparse.Namespace) -> list[str]:
    """Return what to type next: the commands that measure the files that passed; none if no format passed."""
    passed = [artifact for artifact in exports if not artifact.misses]
    if not passed:
        return []
    checked = options.check or options.calibrate
    data = f" --data {shlex.quote(checked)}" if checked else ""
    devices = f" --for {','.join(options.devices)}" if options.devices else ""
    custom = f" --custom {shlex.quote(options.custom)}" if options.custom else ""
    named = f" --original {shlex.quote(str(options.model))}{custom}"
    # Shipped originals are found by themselves.
    original = "" if options.model in (DEFAULT_NAME, *shipped_models(KERAS)) else named
    names = [one.name for one in exports.recommended]
    first = min(passed, key=lambda artifact: names.index(artifact.path.name) if artifact.path.name in names else len(names))
    path = shlex.quote(str(first.path))
    return [
        f"next: lettercast benchmark {shlex.quote(str(options.out))}{original}{data}{devices}",
        f"      lettercast read --model {path}" if first.reads_letters else f"      lettercast classify my.png --model {path}",
        *([f"      lettercast bundle {path} --target mcu"] if options.devices and "mcu" in options.devices else []),
    ]
