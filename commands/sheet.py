"""The command `sheet`: it writes a sheet to write on, from whose photograph `learn` takes the letters of your hand."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import DONE, LettercastError
from ..runtime.arguments import find_model, is_there, label_names
from .parser import add_command

PAPERS = ("a4", "letter")
MODELS = (".tflite", ".onnx")
EXAMPLES = """\
examples:
  lettercast sheet my_sheet.pdf
      A to Z and a to z, three boxes each, on A4
  lettercast sheet my_sheet.pdf --paper letter
      the same on the paper of North America
  lettercast sheet my_sheet.pdf --labels letters-digits
      digits as well, on two pages
  lettercast sheet digits.pdf --labels 0,1,2,3,4,5,6,7,8,9
      boxes for other labels; give learn the same --labels
"""


def add(commands: Any) -> None:
    """Add the subcommand `sheet` to the parser."""
    command = add_command(
        commands,
        "sheet",
        help="write a sheet to print and to write letters on",
        description="Write a PDF with three boxes for each letter. Print it, fill it in with your usual pen, photograph it with "
        "a phone, and give the photograph to lettercast learn. Marks in its corners let learn find the boxes, however crooked "
        "the photograph is.",
        examples=EXAMPLES,
    )
    command.add_argument("file", type=Path, metavar="FILE.pdf", help="the PDF to write")
    command.add_argument("--paper", choices=PAPERS, default="a4", help="size of the paper (default: %(default)s)")
    add_labels(command)
    command.add_argument("--overwrite", action="store_true", help="replace FILE.pdf if it exists")


def add_labels(command: argparse.ArgumentParser) -> None:
    """Add the option for sheets of other labels than A to Z."""
    command.add_argument(
        "--labels",
        type=labels_or_model,
        metavar="L",
        help="labels of the boxes instead of A to Z and a to z: a,b,c, a text file with one per line, or a model, such as "
        "letters-digits, for its classes",
    )


def labels_or_model(text: str) -> list[str] | Path:
    """Parse labels, or the name or path of a model whose classes they are."""
    try:
        path = find_model(text)
    except LettercastError:
        return label_names(text)
    # A text file is found as well.
    return path if path.suffix.lower() in MODELS else label_names(text)


def chosen_labels(options: argparse.Namespace) -> Sequence[str] | None:
    """Return the labels of `--labels`; None without it."""
    if not isinstance(options.labels, Path):
        return options.labels
    from ..runtime.model.engine import open_engine
    from ..runtime.sheet.layout import labels_for

    return labels_for(open_engine(options.labels).facts.labels)


def run(options: argparse.Namespace) -> int:
    """Write the sheet, and print what to do with it."""
    from ..runtime.sheet.layout import COPIES, LETTERS, sheet_pages
    from ..runtime.sheet.pdf import write_pdf

    if is_there(options.file.is_dir):
        raise LettercastError(f"{options.file}: is a folder; name the PDF to write in it")
    if is_there(options.file.exists) and not options.overwrite:
        raise LettercastError(f"{options.file}: exists already; give another name, or --overwrite")
    pages = sheet_pages(chosen_labels(options) or LETTERS, options.paper)
    write_pdf(options.file, pages)
    count = f"{len(pages)} page" + "s" * (len(pages) > 1)
    print(f"{options.file}: {count}, {len(pages[0].labels)} labels, {COPIES} boxes each")
    print("next: print it, fill it in, photograph each page, and give the photographs to lettercast learn")
    return DONE
