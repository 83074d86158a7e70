"""The command `hand`: it learns the letters of one writer, shows what was learned, and takes it back."""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import DONE, MISSED, LettercastError
from ..runtime.arguments import DEFAULT_NAME, device_model, thread_count
from .parser import add_command, add_engine
from .terminal import importing, open_chosen

if TYPE_CHECKING:
    from ..runtime.hand.file import Figures, Hand
    from ..runtime.model.engine import Engine

EXAMPLES = """\
examples:
  lettercast hand mine --from my_letters/
      learn from a folder of class folders, such as my_letters/A/one.png
  lettercast hand mine
      what it learned, and what that gained
  lettercast read page.jpg --hand mine
      read with it
  lettercast hand mine --undo
      take back what it learned last
  lettercast hand
      the hands that there are
"""


def add(commands: Any) -> None:
    """Add the subcommand `hand` to the parser."""
    command = add_command(
        commands,
        "hand",
        help="learn the letters of one writer, or show what was learned",
        description="Learn the letters of one writer on this device, in seconds and without TensorFlow, and read with them: "
        "--hand NAME of read, classify, evaluate and bundle. A hand is kept only if letters of yours that it has not learned "
        "read better, and the built-in letters hardly worse; otherwise the exit code is 1, and the hand stays as it was.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="name of the hand, or the path of its file, which ends in .hand (default: list all)",
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="learn the images of a folder of class folders, in addition to what the hand knows; or the letters of another hand, "
        "for another model",
    )
    what.add_argument("--undo", action="store_true", help="take back what the hand learned last")
    what.add_argument("--delete", action="store_true", help="delete the hand")
    command.add_argument(
        "--model",
        type=device_model,
        metavar="M",
        help=f"the model that is to read with the hand: a name or a .tflite or .onnx file (default: {DEFAULT_NAME})",
    )
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the engine (default: %(default)s)"
    )
    add_engine(command)
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Learn, show, take back, delete or list; returns the exit code."""
    with importing():
        from ..runtime.hand import folder
        from ..runtime.hand.file import load_hand
    if options.name is None:
        if options.source or options.undo or options.delete:
            raise LettercastError("hand: say which one; lettercast hand lists those that there are")
        return list_all(options)
    if options.source:
        return learn(options)
    path = folder.find_hand(options.name)
    if options.delete:
        with folder.locked(path):
            folder.remove_hand(path)
        print(f"{path}: deleted")
        return DONE
    hand = folder.undo_hand(options.name) if options.undo else load_hand(path)
    if hand is None:
        print(f"{path}: deleted, because it had learned only once")
        return DONE
    print(json.dumps(to_dict(path, hand)) if options.json else describe(path, hand))
    return DONE


def list_all(options: argparse.Namespace) -> int:
    """Print the hands that have a name."""
    from ..runtime.hand.file import load_hand
    from ..runtime.hand.folder import hands_folder, list_hands

    hands = [(path, load_hand(path)) for path in list_hands()]
    if options.json:
        print(json.dumps([to_dict(path, hand) for path, hand in hands]))
    elif not hands:
        print(f"{hands_folder()}: no hands yet; learn one: lettercast hand NAME --from FOLDER")
    for path, hand in [] if options.json else hands:
        print(summary(path.stem, hand))
    return DONE


def learn(options: argparse.Namespace) -> int:
    """Learn the letters of a folder or of another hand, and print what became of it; returns MISSED if it is not kept."""
    with importing():
        from ..runtime.hand.update import update_hand
        from ..runtime.model.engine import Engine, open_engine

        chosen = open_chosen(options)
        engine = chosen if isinstance(chosen, Engine) else open_engine(chosen, options.threads)
    images, labels = letters_from(options.source, engine)
    update = update_hand(options.name, images, labels, engine)
    figures = update.learned.figures
    if options.json:
        print(json.dumps({**to_dict(update.path, update.learned), "kept": update.is_kept, "reason": figures.fault}))
    elif update.is_kept:
        print(describe(update.path, update.learned))
        model = "" if engine.facts.name == DEFAULT_NAME else f" --model {shlex.quote(str(options.model))}"
        print(f"next: lettercast read --hand {shlex.quote(options.name)}{model}")
    if update.is_kept:
        return DONE
    if not options.json:
        print(describe_version(update.learned.version, figures))
    stays = "the hand stays as it was" if update.learned.version > 1 else "there is no hand"
    print(f"lettercast: {options.name}: {stays}, because {figures.fault}; write more letters", file=sys.stderr)
    return MISSED


def letters_from(source: str, engine: "Engine") -> tuple[Any, list[str]]:
    """Return images (n, H, W, C) uint8 as the model takes them, and their labels, of a folder or of another hand."""
    from ..runtime.hand.file import ENDING, load_hand
    from ..runtime.hand.folder import find_hand, hand_path

    if source.endswith(ENDING) or (not Path(source).exists() and hand_path(source).is_file()):
        hand = load_hand(find_hand(source))
        return hand.images[hand.in_use], [hand.labels[i] for i in hand.truth[hand.in_use]]
    from ..runtime.classifier import letters_in_folders

    return letters_in_folders(Path(source), engine.facts)


def describe(path: Path, hand: "Hand") -> str:
    """Return a hand as text: its letters, and what each version gained."""
    counts = ", ".join(f"{label} {count}" for label, count in hand.counts().items())
    lines = [f"{path}: {sum(hand.counts().values())} letters for {hand.model}", f"letters  {counts}"]
    lines += [describe_version(version, one) for version, one in enumerate(hand.history, 1)]
    return "\n".join(lines)


def describe_version(version: int, one: "Figures") -> str:
    """Return what a hand gained when it learned, as one line."""
    read = f"{percent(one.own_before)} -> {percent(one.own_after)}"
    if one.own_after == one.own_before and one.is_better:
        read = f"{percent(one.own_after)} as before, but more surely"
    own = f"{'copies of your' if one.copies == one.held_out else 'your other'} letters {read}"
    others = f", built-in letters {percent(one.check_before)} -> {percent(one.check_after)}" if one.check else ""
    return f"version {version}, {one.date}: {one.letters} letters, {own}{others}"


def summary(name: str, hand: "Hand") -> str:
    """Return a hand as one line."""
    one = hand.figures
    gain = f"{percent(one.own_plain)} -> {percent(one.own_after)}"
    return f"{name}: {one.letters} letters for {hand.model}, {gain}, version {hand.version} of {one.date[:10]}"


def to_dict(path: Path, hand: "Hand") -> dict[str, Any]:
    """Return a hand as JSON-ready values."""
    history = [asdict(one) for one in hand.history]
    return {"path": str(path), "model": hand.model, "letters": hand.counts(), "history": history}


def percent(share: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * share:.1f} %"
