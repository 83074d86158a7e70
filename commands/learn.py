"""The command `learn`: it takes the letters of your hand from photographs of filled-in sheets, and learns them."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import DONE, MISSED, LettercastError
from ..runtime.arguments import DEFAULT_NAME, device_model, is_there
from .hand import describe
from .parser import add_command, add_engine
from .sheet import add_labels, chosen_labels
from .terminal import importing, open_chosen

if TYPE_CHECKING:
    from ..runtime.model.engine import Engine
    from ..runtime.sheet.photographs import FilledPage

EXAMPLES = """\
examples:
  lettercast learn photo.jpg --name mine
      learn your hand; read with it: lettercast read --hand mine
  lettercast learn page1.jpg page2.jpg --name mine --out letters
      two photographs; their letters go into the folder letters
"""
USAGE = "%(prog)s PHOTO [PHOTO ...] --name NAME [OPTION ...]"


def add(commands: Any) -> None:
    """Add the subcommand `learn` to the parser."""
    command = add_command(
        commands,
        "learn",
        help="learn your hand from photographs of a filled-in sheet",
        usage=USAGE,
        description="Find the sheets of lettercast sheet in photographs, cut out their letters, and learn them. A contact sheet "
        "shows what was taken for what; empty boxes and letters that you crossed out are left out. The hand is kept only if it "
        "reads your letters better and the built-in ones hardly worse.",
        examples=EXAMPLES,
    )
    command.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="a photograph of one page of a sheet")
    command.add_argument("--name", required=True, metavar="NAME", help="name of the hand, or the path of its file (.hand)")
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="new folder for the letters, an image each, in a folder per label; the contact sheet is DIR.png (default: NAME)",
    )
    add_labels(command)
    command.add_argument(
        "--model",
        type=device_model,
        metavar="M",
        help=f"the model that is to read your hand: a name or a .tflite or .onnx file (default: {DEFAULT_NAME})",
    )
    add_engine(command)
    command.set_defaults(threads=1)


def run(options: argparse.Namespace) -> int:
    """Write the letters and their contact sheet, learn the hand, and print what to do next."""
    with importing():
        from ..runtime.files import write_bytes
        from ..runtime.hand.folder import hand_path
        from ..runtime.model.engine import Engine, open_engine
        from ..runtime.sheet.folder import check_free, contact_path, contact_sheet, png, write_letters
        from ..runtime.sheet.photographs import read_as_others, read_sheets

        chosen = open_chosen(options)
        engine = chosen if isinstance(chosen, Engine) else open_engine(chosen)
    check_letters(engine, options.name)
    out = options.out or Path(hand_path(options.name).stem)
    check_free(out)
    pages = read_sheets(options.photos, chosen_labels(options), engine)
    others = [read_as_others(page, engine) for page in pages]
    contact = contact_path(out)
    count = write_letters(out, pages)
    write_bytes(contact, png(contact_sheet(pages, others)))
    for page in pages:
        print(f"{page.source}: {page.describe()}")
    print(f"{out}: {count} letters, an image each; look at {contact}")
    doubtful = sum(map(bool, (name for page in others for name in page)))
    if doubtful:
        print(f"{engine.facts.name} reads {doubtful} of them as others; they have an orange frame there")
    return learn(pages, options, engine, out)


def check_letters(engine: "Engine", name: str) -> None:
    """Raise LettercastError if a model reads no letters, or if there is a hand of that name for another model."""
    from ..runtime.glyph import GLYPH_SHAPE
    from ..runtime.hand.apply import check_model
    from ..runtime.hand.file import load_hand
    from ..runtime.hand.folder import hand_path
    from ..runtime.model.facts import LETTERS

    facts = engine.facts
    if facts.takes != LETTERS or facts.input_shape != GLYPH_SHAPE:
        raise LettercastError(f"{facts.name}: takes no letters of {GLYPH_SHAPE} pixels; give --model a model of letters")
    if is_there(hand_path(name).is_file):
        check_model(load_hand(hand_path(name)), engine, name)


def learn(pages: "Sequence[FilledPage]", options: argparse.Namespace, engine: "Engine", out: Path) -> int:
    """Let the hand learn the letters of pages, and print what became of it; returns the exit code."""
    import numpy as np

    from ..runtime.hand.learn import places_of
    from ..runtime.hand.update import update_hand

    letters = [cut for page in pages for cut in page.letters]
    images, labels = np.stack([cut.glyph_image for cut in letters]), [cut.box.label for cut in letters]
    name, folder = shlex.quote(options.name), shlex.quote(str(out))
    try:
        places_of(labels, engine.facts)
    except LettercastError as error:
        print(f"lettercast: {error}; so no hand is learned", file=sys.stderr)
        print(f"next: lettercast hand {name} --from {folder} --model MODEL, with a model that knows them")
        print(f"      lettercast train --data {folder}")
        return MISSED
    update = update_hand(options.name, images, labels, engine)
    if not update.is_kept:
        stays = "the hand stays as it was" if update.learned.version > 1 else "there is no hand"
        print(f"lettercast: {options.name}: {stays}, because {update.learned.figures.fault}", file=sys.stderr)
        print(f"next: lettercast train --data {folder} --init {engine.facts.name}")
        return MISSED
    print(describe(update.path, update.learned))
    model = "" if engine.facts.name == DEFAULT_NAME else f" --model {shlex.quote(str(options.model))}"
    print(f"next: lettercast read --hand {name}{model}")
    print(f"if an image is wrong, remove it from {out}, then: lettercast hand {name} --undo")
    print(f"                lettercast hand {name} --from {folder}{model}")
    return DONE
