"""The `lettercast` command: it finds the subcommand, runs it, and turns errors into one line and an exit code."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from textwrap import fill

from .. import DONE, INTERRUPTED, UNUSABLE, LettercastError, __version__
from .parser import Parser

COMMANDS = (
    "train",
    "evaluate",
    "export",
    "read",
    "review",
    "classify",
    "sheet",
    "learn",
    "hand",
    "benchmark",
    "doctor",
    "bundle",
)
# The extra that installs what a command needs; the other commands need "train".
EXTRAS: dict[str, str] = {
    **dict.fromkeys(("read", "classify", "sheet", "learn", "hand", "doctor", "bundle"), "reader"),
    **dict.fromkeys(("export", "benchmark"), "export"),
    "review": "bulk",
}

EXAMPLES = """\
examples:
  lettercast read                      read letters from camera 0, in a window
  lettercast read page.jpg --json      read a photograph, print JSON
  lettercast classify 7.png --model digits.tflite
                                       name an image with your own model
  lettercast export                    convert the shipped model to every format
  lettercast benchmark dist            compare exported files with the original
  lettercast doctor                    check this device and the shipped model
  lettercast bundle                    write one file for a Raspberry Pi
  lettercast train --data my_letters/  train on your own folder of class folders

lettercast COMMAND --help shows the options and more examples.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; without arguments, print the help."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    if not words:
        parser.print_help()
        return DONE
    options = parser.parse_args(words)
    return answer(import_module(f".{options.command}", __package__).run, options)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        "lettercast",
        description=fill("Read handwritten letters on small devices: train a model, export and check it, read from a camera."),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lettercast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in COMMANDS:
        import_module(f".{name}", __package__).add(commands)
    return parser


def answer(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command, and turn its errors into one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    if "threads" in options:
        # NumPy reads this when it is imported; otherwise its matrix products take every core.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(options.threads))
    try:
        code = run(options)
        # A full disk raises here, and not when the process ends.
        sys.stdout.flush()
        return code
    except LettercastError as error:
        print(f"lettercast: {' '.join(str(error).split())}", file=sys.stderr)
        return UNUSABLE
    except ImportError as error:
        print(f"lettercast: {options.command} {missing_package(options.command, error)}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # The program that reads our output has closed the pipe, and has all it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except OSError as error:
        print(f"lettercast: {error.filename or 'input and output'}: {error.strerror or error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt as stop:
        print(": ".join(["lettercast: interrupted", *map(str, stop.args)]), file=sys.stderr)
        return INTERRUPTED


def missing_package(command: str, error: ImportError) -> str:
    """Return which package is missing, and how to install it."""
    from ..runtime.model.installed import LIBGL

    if "libGL" in str(error) or "libgthread" in str(error):
        return f"needs OpenCV, and the library libGL is missing here: {LIBGL}"
    if error.name in ("jax", "torch"):
        return f"needs {error.name}, because KERAS_BACKEND is set to it: pip install {error.name}, or unset KERAS_BACKEND"
    extra = EXTRAS.get(command, "train")
    return f"needs {error.name}, which is not installed: pip install 'lettercast[{extra}]'"
