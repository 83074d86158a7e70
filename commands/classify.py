"""The command `classify`: it names what images show, with a model of any images."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import DONE
from ..runtime.arguments import DEFAULT_NAME, device_model, positive, thread_count
from .parser import add_command, add_engine, add_hand
from .terminal import importing, open_chosen

if TYPE_CHECKING:
    from ..runtime.classifier import Classification

EXAMPLES = """\
examples:
  lettercast classify 7.png --model digits.tflite
      what one image shows
  lettercast classify photos/ --model digits.tflite --json
      every image of a folder, one JSON object each
  lettercast classify letter.png
      an image of a single letter, with letters-base
"""
USAGE = "%(prog)s IMAGE [IMAGE ...] [OPTION ...]"
# What a bundle says that it does with its model.
SUMMARY = "Name what each image shows, with {}."
# Longer paths and labels are printed in full, but they do not widen the columns of the others.
MAX_COLUMN = 40
# Smaller probabilities are printed as 0.0 %.
MIN_SHOWN = 0.0005


def add(commands: Any) -> None:
    """Add the subcommand `classify` to the parser."""
    command = add_command(
        commands,
        "classify",
        help="name what an image shows, with a model of any images",
        usage=USAGE,
        description="Name what each image shows, with its probability. The model may classify any images; with a model of "
        "letters, each image shows one letter. Images are prepared as evaluate and export prepare them.",
        examples=EXAMPLES,
    )
    add_options(command, "a .tflite or .onnx file, letters-base (the default), letters-nano or letters-digits")
    command.set_defaults(model=DEFAULT_NAME)


def add_options(command: argparse.ArgumentParser, models: str) -> None:
    """Add the options of classifying; `models` is the help of --model."""
    command.add_argument("images", nargs="+", metavar="IMAGE", help="an image, or a folder of images")
    command.add_argument("--model", type=device_model, metavar="M", help=models)
    command.add_argument(
        "--top", type=positive, metavar="K", default=3, help="name the K likeliest labels of each image (default: %(default)s)"
    )
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the engine and of OpenCV (default: %(default)s)"
    )
    add_engine(command)
    add_hand(command)
    command.add_argument("--json", action="store_true", help="print one JSON object per image")


def run(options: argparse.Namespace) -> int:
    """Print what each image shows; images that cannot be read get a line on stderr, and the others follow."""
    with importing():
        import cv2

        from ..runtime.classifier import Classifier
        from ..runtime.sources.source import chain_streams, find_images, still_frames

        # Opening the model imports its engine.
        classifier = Classifier(open_chosen(options), options.threads)
    cv2.setNumThreads(options.threads)
    paths = find_images(options.images)
    names, labels = column(list(map(str, paths))), column(classifier.engine.facts.labels)
    for frame in chain_streams([still_frames(paths)]):
        found = classifier.classify(frame.image, options.top)
        record = json.dumps({"source": frame.source, **found.to_dict()})
        print(record if options.json else describe(frame.source, found, names, labels), flush=True)
    return DONE


def column(texts: Sequence[str]) -> int:
    """Return the width of a column that holds the texts, except those that are too long."""
    return max((len(text) for text in texts if len(text) <= MAX_COLUMN), default=0)


def describe(source: str, found: "Classification", names: int = 0, labels: int = 0) -> str:
    """Return what an image shows as it is printed, in columns of these widths."""
    others = ", ".join(f"{label}: {percent(share)}" for label, share in found.alternatives if share >= MIN_SHOWN)
    parts = ["rejected"] * found.rejected + [f"({others})"] * bool(others)
    return f"{source:<{names}}  {found.label:<{labels}}  {percent(found.confidence):>7}  {' '.join(parts)}".rstrip()


def percent(probability: float) -> str:
    """Return a probability in percent with one decimal."""
    return f"{100 * probability:.1f} %"
