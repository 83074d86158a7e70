"""The argument parser: it reports a mistake in one line, and suggests what you may have meant."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any, NoReturn

from .. import UNUSABLE
from ..runtime.arguments import SPLIT_CHOICES, comma_list
from ..runtime.model.installed import ENGINE_NAMES

# A range of numbers from one below zero, and what may follow it.
RANGE = re.compile(r"-[\d.]+\.\.-?\d")


class Parser(argparse.ArgumentParser):
    """Report mistakes in one line, and suggest what you may have meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Parse words; report unknown ones as an error of the subcommand that they were given to."""
        options, unknown = super().parse_known_args(args if args is None else with_ranges(args), namespace)
        if unknown:
            self.error(f"unknown '{unknown[0]}': {hint(unknown[0], self._option_string_actions)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and exit with code 2."""
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w-]+", wrong[2])
            message = f"unknown '{wrong[1]}': {hint(wrong[1], choices)}"
        print(f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help", file=sys.stderr)
        sys.exit(UNUSABLE)


def with_ranges(words: Iterable[str]) -> list[str]:
    """Return words in which a range such as -1..1 belongs to the option before it; argparse takes it for an option."""
    joined: list[str] = []
    for word in words:
        if RANGE.match(word) and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def hint(word: str, choices: Iterable[str]) -> str:
    """Return a suggestion for a misspelt word, or the list of choices."""
    near = difflib.get_close_matches(word, choices, 1)
    return f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(choices)}"


def add_command(commands: Any, name: str, *, help: str, description: str, examples: str, usage: str | None = None) -> Parser:
    """Add a subcommand with its summary, its description, and examples that you can type."""
    form = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(name, help=help, usage=usage, description=fill(description), epilog=examples, formatter_class=form)


def add_letters(command: argparse.ArgumentParser) -> None:
    """Add the options that choose the letters to measure on."""
    command.add_argument(
        "--data", default="pen", metavar="D", help="labelled letters; see lettercast train --help (default: %(default)s)"
    )
    command.add_argument(
        "--split",
        choices=SPLIT_CHOICES,
        help="which split of --data (default: the split that training left out, or all of data without splits)",
    )


def add_custom(command: argparse.ArgumentParser) -> None:
    """Add the option that names the code of a Keras model's own layers."""
    command.add_argument(
        "--custom",
        metavar="FILE.py",
        help="Python file or module that defines layers or functions of a Keras model's own; it is imported, so its code runs",
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Add the option that chooses the engine of a model."""
    command.add_argument(
        "--engine",
        choices=tuple(ENGINE_NAMES),
        metavar="E",
        help=f"engine that runs the model: {', '.join(ENGINE_NAMES)} (default: the first one that is installed and fits)",
    )


def add_hand(command: argparse.ArgumentParser) -> None:
    """Add the option that chooses the hand of a writer."""
    command.add_argument(
        "--hand",
        metavar="H",
        help="read as one writer writes: the name of a hand of lettercast hand, or its file (default: none)",
    )


def add_devices(command: argparse.ArgumentParser, purpose: str, default: str = "", aliases: Sequence[str] = ()) -> None:
    """Add the option `--for`, the devices to recommend a file for; purpose and default are parts of its help.

    aliases are other names of the option.
    """
    names = "pi5, pi4, zero2, x86, x86-vnni, android, ios, mcu (microcontroller) or browser"
    command.add_argument(
        "--for", *aliases, type=comma_list, dest="devices", metavar="DEVICE,...", help=f"{purpose}: {names}{default}"
    )
