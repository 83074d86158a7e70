"""The `lettercast` command: its verbs, and how what goes wrong is said."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from .. import DONE, INTERRUPTED, UNUSABLE, LettercastError, __version__
from .parser import Parser

VERBS = ("train", "evaluate", "export", "read", "benchmark", "doctor", "bundle")
# The extra that brings what a verb needs; the others need "train".
EXTRAS = {"read": "reader", "doctor": "reader", "bundle": "reader", "export": "export", "benchmark": "export"}

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no traceback and no question reaches the user."""
    options = build_parser().parse_args(arguments)
    return answer(import_module(f".{options.verb}", __package__).run, options)


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
    for name in VERBS:
        import_module(f".{name}", __package__).add(verbs)
    return parser


def answer(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a verb; what goes wrong is said in one line and by the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    if "threads" in options:
        # NumPy's products take every core else; it looks here when it is imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(options.threads))
    try:
        code = run(options)
        # A full disk is told of here, and not when the process ends.
        sys.stdout.flush()
        return code
    except LettercastError as error:
        print(f"lettercast: {' '.join(str(error).split())}", file=sys.stderr)
        return UNUSABLE
    except ImportError as error:
        print(f"lettercast: {options.verb} {missing_package(options.verb, error)}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # The reader of our output has gone; what it took is all it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except OSError as error:
        print(f"lettercast: {error.filename or 'input and output'}: {error.strerror or error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt as stop:
        print(": ".join(["lettercast: interrupted", *map(str, stop.args)]), file=sys.stderr)
        return INTERRUPTED


def missing_package(verb: str, error: ImportError) -> str:
    """Say which package is missing, and the extra that brings it."""
    from ..runtime.model.installed import LIBGL

    if "libGL" in str(error) or "libgthread" in str(error):
        return f"needs OpenCV, which lacks libGL here: {LIBGL}"
    if error.name in ("jax", "torch"):
        return f"needs {error.name}, as KERAS_BACKEND asks for it: pip install {error.name}, or unset KERAS_BACKEND"
    extra = EXTRAS.get(verb, "train")
    return f"needs {error.name}, which is not installed: pip install 'lettercast[{extra}]'"
