"""The verb `export`: formats behind the gate."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from .. import DONE, MISSED, UNUSABLE
from ..runtime.arguments import DEFAULT_NAME, amount, comma_list, finite, keras_model, label_names
from .parser import add_verb
from .terminal import import_keras, show, table_width

EXAMPLES = """\
examples:
  lettercast export                                           letters-base to every format, into dist/
  lettercast export letters-nano --formats tflite-int8        one model, one format
  lettercast export my.keras --check my_letters/              your own, proven on your own letters
"""


def add(verbs: Any) -> None:
    """Add the verb `export`."""
    verb = add_verb(
        verbs,
        "export",
        help="convert a model, each format behind the parity gate",
        description="Convert a Keras model to TFLite and ONNX. A format that misses the gate writes no file: exit code 1.",
        examples=EXAMPLES,
    )
    verb.add_argument(
        "model",
        type=keras_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano or a .keras file",
    )
    verb.add_argument("--formats", type=comma_list, metavar="F,...", help="default: all")
    verb.add_argument(
        "--calibrate",
        metavar="D",
        help="letters whose training split sets the scales of int8 (default: pen; for a model of pictures that of --check)",
    )
    verb.add_argument(
        "--check",
        metavar="D",
        help="letters whose test split the gate compares on (default: pen; for a model of pictures that of --calibrate)",
    )
    verb.add_argument(
        "--labels",
        type=label_names,
        metavar="A,B,...",
        help="names of the outputs, or a file with one a line (default: the model's own, or the classes of --check)",
    )
    verb.add_argument(
        "--pixels",
        choices=("0..255", "0..1", "-1..1"),
        help="what the model was taught with (default: as it reads the calibration's letters best)",
    )
    verb.add_argument("--max-drop", type=finite, metavar="POINTS", help="accuracy that a format may cost (default: by format)")
    verb.add_argument(
        "--min-agreement", type=amount, metavar="PERCENT", help="answers that must stay the same (default: by format)"
    )
    verb.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--overwrite", action="store_true", help="replace files of the same name")


def run(options: argparse.Namespace) -> int:
    """Export a model; returns exit code 1 if a format misses the gate."""
    from ..export.formats import find_formats

    # Before Keras is imported, which takes seconds.
    find_formats(options.formats)
    import_keras()
    from ..benchmarks.parity.tables import artifact_table
    from ..export.artifact import RECOMMENDED, export

    options.model = options.model or DEFAULT_NAME
    exports = export(**{name: value for name, value in vars(options).items() if name != "verb"})
    artifacts = exports.artifacts
    if artifacts:
        show(artifact_table(artifacts, table_width()))
    for fault in exports.faults:
        print(f"lettercast: {fault}", file=sys.stderr)
    for artifact in artifacts:
        for miss in artifact.misses:
            print(f"lettercast: {artifact.format.name} missed the gate: {miss}; no file written", file=sys.stderr)
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
