"""The words that the `lettercast` command takes, verb by verb."""

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from . import UNUSABLE, __version__
from .values import (
    SERVE_HOST,
    SERVE_PORT,
    comma_list,
    device_model,
    finite,
    keras_model,
    label_names,
    measured_model,
    model_or_folder,
    natural,
    picture_size,
    positive,
    serve_address,
    thread_count,
)

SPLIT_CHOICES = ("train", "val", "test", "all")

EXAMPLES = """\
examples:
  lettercast read                           letters before camera 0, in a window
  lettercast read page.jpg --json           letters of a photograph as JSON
  lettercast export                         the shipped model to every format, each proven equal
  lettercast benchmark dist                 accuracy, agreement, size and latency of what was exported
  lettercast doctor                         what is installed here, and whether the model runs as it should
  lettercast bundle                         reader.pyz: one file to copy to a Raspberry Pi
  lettercast train --data my_letters/       a model of your own from a folder of class folders
"""

TRAIN_EXAMPLES = """\
examples:
  lettercast train --data my_letters/ --init letters-base     minutes: the shipped model fitted to your letters
  lettercast train --data strokes.npz@0.9 my_letters/@0.1     from scratch, nine letters of ten from the first
  lettercast train --data my_letters/ --resume                go on after a break, to the same end
"""


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and what was perhaps meant."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w-]+", wrong[2])
            near = difflib.get_close_matches(wrong[1], choices, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(choices)}"
            message = f"unknown '{wrong[1]}': {hint}"
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(UNUSABLE)


def build_parser() -> Parser:
    """Return the parser of all verbs."""
    parser = Parser(
        "lettercast",
        description="Handwritten letters: train, export with proof, read from a camera.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lettercast {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    add_train(verbs)
    add_evaluate(verbs)
    add_export(verbs)
    add_read(verbs)
    add_benchmark(verbs)
    add_doctor(verbs)
    add_bundle(verbs)
    return parser


def add_train(verbs: Any) -> None:
    """Add the verb `train`."""
    verb = verbs.add_parser(
        "train",
        help="train a model",
        description="Train a letter model; every epoch is saved, --resume goes on.",
        epilog=TRAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--data",
        nargs="+",
        default=["pen"],
        metavar="D",
        help="pen (built in), emnist (downloaded once), an .npz of strokes or images, an A-Z .csv, a folder of class folders "
        "or of EMNIST files; D@0.3 gives D a share of what is drawn",
    )
    verb.add_argument(
        "--val", nargs="+", metavar="D", help="letters that choose the best epoch (default: the val split of --data)"
    )
    verb.add_argument("--size", metavar="S", help="base, nano or large (default: base)")
    verb.add_argument("--epochs", type=positive, metavar="N", default=20, help="default: %(default)s")
    verb.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="batches of 128 letters an epoch (default: as many as the data has, at least 50)",
    )
    verb.add_argument("--seed", type=natural, metavar="N", default=1, help="default: %(default)s")
    verb.add_argument("--out", type=Path, default=Path("runs/letters"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--resume", action="store_true", help="go on with the run in --out")
    verb.add_argument(
        "--init",
        type=keras_model,
        metavar="M",
        help="go on from letters-base, letters-nano or a .keras file: a few epochs fit it to letters of your own",
    )
    verb.add_argument(
        "--teacher",
        type=keras_model,
        nargs="+",
        metavar="M",
        help="learn the mean answer of these models beside the labels",
    )
    verb.add_argument("--rate", type=finite, metavar="R", help="peak of the learning rate (default: 0.002, with --init 0.0005)")
    verb.add_argument("--clutter", type=finite, metavar="S", help="share of non-letters among what is drawn (default: 0.05)")
    verb.add_argument("--cycle", type=natural, metavar="N", default=0, help="draw the letters of N epochs, then the same again")
    verb.add_argument("--draw-seed", type=natural, metavar="N", help="seed of what is drawn (default: --seed)")
    verb.add_argument("--cache", type=Path, metavar="DIR", help="keep drawings there for --cycle, --resume and other runs")


def add_evaluate(verbs: Any) -> None:
    """Add the verb `evaluate`."""
    verb = verbs.add_parser(
        "evaluate",
        help="measure a model",
        description="Measure a .keras, .tflite or .onnx model on labelled letters, or on whole photographed pages.",
    )
    verb.add_argument(
        "model", type=measured_model, metavar="M", help="letters-base, letters-nano, or a .keras, .tflite or .onnx file"
    )
    add_letters(verb)
    verb.add_argument("--pages", type=Path, metavar="CSV", help="read pages instead: a CSV of file,text with lines parted by |")
    verb.add_argument("--threads", type=thread_count, metavar="N", default=1, help="of the model (default: %(default)s)")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument(
        "--report", type=Path, metavar="DIR", help="write figures as PNG and JSON: confusion, mistakes, reliability, writers"
    )


def add_letters(verb: argparse.ArgumentParser) -> None:
    """Add the letters that a verb measures on."""
    verb.add_argument("--data", default="pen", metavar="D", help="as for train (default: %(default)s)")
    verb.add_argument("--split", choices=SPLIT_CHOICES, help="default: test where the data has it, else all")


def add_export(verbs: Any) -> None:
    """Add the verb `export`."""
    verb = verbs.add_parser(
        "export",
        help="convert a model, each format behind the parity gate",
        description="Convert a Keras model to TFLite and ONNX. A format that misses the gate writes no file: exit code 1.",
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
        "--min-agreement", type=finite, metavar="PERCENT", help="answers that must stay the same (default: by format)"
    )
    verb.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--overwrite", action="store_true", help="replace files of the same name")


def add_read(verbs: Any) -> None:
    """Add the verb `read`."""
    verb = verbs.add_parser(
        "read",
        help="read letters from a camera, images or video",
        usage="%(prog)s [SOURCE ...] [OPTION ...]",
        description="Read letters. In the window h shows the keys, q or Esc quits.",
    )
    add_reading(verb)


def add_reading(verb: argparse.ArgumentParser, models: str = "letters-base (the default), letters-nano") -> None:
    """Add what can be read, and how; models are those to be had by name."""
    verb.add_argument(
        "sources",
        nargs="*",
        default=["0"],
        metavar="SOURCE",
        help="image, folder, film, http or rtsp URL, camera number, or picamera (picamera:1) for that on a Pi's ribbon cable; "
        "a file named 0 is written ./0 (default: camera 0)",
    )
    verb.add_argument(
        "--camera-size",
        type=picture_size,
        metavar="WxH",
        default="1280x720",
        help="asked of cameras, which give the nearest they have (default: %(default)s)",
    )
    verb.add_argument(
        "--model",
        type=device_model,
        metavar="M",
        help=f"{models}, or a .tflite or .onnx file",
    )
    verb.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="say which words of a list were probably written, beside what was read; UTF-8 text, a word a line, # comments",
    )
    verb.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="of the network and of OpenCV (default: %(default)s)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object a frame, and open no window")
    verb.add_argument("--no-window", action="store_true", help="print text only")
    verb.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write each picture, and each frame of a film or camera, with boxes and letters as PNG there; replaces nothing",
    )
    verb.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write a film of all that is read with boxes and letters, .mp4, .avi or .mkv; a picture stays a second",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace FILE of --record where it is there already")
    verb.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    verb.add_argument(
        "--serve",
        type=serve_address,
        nargs="?",
        const=f"{SERVE_HOST}:{SERVE_PORT}",
        metavar="HOST:PORT",
        help="show picture and text in a browser, and open no window; alone: on this machine only, at port 8080; 0.0.0.0 is "
        "for the whole network, with a token; the last picture stays until Ctrl-C, except with --max-frames",
    )
    verb.add_argument("--token", metavar="T", help="what a browser must show (default: one made at random, none on loopback)")


def add_benchmark(verbs: Any) -> None:
    """Add the verb `benchmark`."""
    verb = verbs.add_parser(
        "benchmark",
        help="compare exported models with their original",
        description="Measure accuracy, agreement, size and latency of exported models against the Keras original, in one run.",
    )
    verb.add_argument(
        "models",
        type=model_or_folder,
        nargs="*",
        metavar="DIR|MODEL",
        help="default: dist, or the shipped model where there is none",
    )
    verb.add_argument(
        "--original", type=keras_model, metavar="M", help="letters-base (the default), letters-nano or a .keras file"
    )
    add_letters(verb)
    verb.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="of the exported models (default: %(default)s)"
    )
    verb.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    verb.add_argument("--min-accuracy", type=finite, metavar="PERCENT", help="exit 1 where a model is less accurate")


def add_doctor(verbs: Any) -> None:
    """Add the verb `doctor`."""
    verb = verbs.add_parser(
        "doctor",
        help="what is installed here, and whether models answer here as where they were exported",
        description="Say what is installed, then ask each model the golden cases that were exported with it: equal, close or "
        "wrong (exit code 1). Exit code 2 where something that reading needs is missing.",
    )
    verb.add_argument(
        "models",
        type=device_model,
        nargs="*",
        metavar="M",
        help="letters-base (the default), letters-nano, or a .tflite or .onnx file",
    )
    add_checkup(verb)


def add_checkup(verb: argparse.ArgumentParser) -> None:
    """Add how models are tried."""
    verb.add_argument("--threads", type=thread_count, metavar="N", default=1, help="of the models (default: %(default)s)")
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def add_bundle(verbs: Any) -> None:
    """Add the verb `bundle`."""
    verb = verbs.add_parser(
        "bundle",
        help="one file that reads letters on a device",
        description="Write the reader with one model as a single file, which runs wherever Python 3.11, NumPy, OpenCV and an "
        "engine are: python3 reader.pyz [SOURCE ...] [OPTION ...], with the options of read.",
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
