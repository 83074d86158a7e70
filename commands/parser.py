"""The parser of the command's words: what is wrong is said in one line, with what was perhaps meant."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from textwrap import fill
from typing import Any, NoReturn

from .. import UNUSABLE
from ..runtime.arguments import SPLIT_CHOICES


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and what was perhaps meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Parse words; those that nobody knows are an error of the verb that they were given to."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown '{unknown[0]}': {hint(unknown[0], self._option_string_actions)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and end the process."""
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w-]+", wrong[2])
            message = f"unknown '{wrong[1]}': {hint(wrong[1], choices)}"
        print(f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help", file=sys.stderr)
        sys.exit(UNUSABLE)


def hint(word: str, choices: Iterable[str]) -> str:
    """Say what a word was perhaps meant to be, or what there is."""
    near = difflib.get_close_matches(word, choices, 1)
    return f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(choices)}"


def add_verb(verbs: Any, name: str, *, help: str, description: str, examples: str, usage: str | None = None) -> Parser:
    """Add a verb with its one line among the others, its description, and examples as they are typed."""
    form = argparse.RawDescriptionHelpFormatter
    return verbs.add_parser(name, help=help, usage=usage, description=fill(description), epilog=examples, formatter_class=form)


def add_letters(verb: argparse.ArgumentParser) -> None:
    """Add the letters that a verb measures on."""
    verb.add_argument("--data", default="pen", metavar="D", help="as for train (default: %(default)s)")
    verb.add_argument("--split", choices=SPLIT_CHOICES, help="default: test where the data has it, else all")
