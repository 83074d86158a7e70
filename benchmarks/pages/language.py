"""Maintainer's command: measure how much a language helps to read generated pages.

python -m lettercast.benchmarks.pages.language /usr/share/dict/american-english en [--data strokes.npz] [--pages N]

The pages have words and names that the fit of the language left out, and random letters, which it should leave alone.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.table import Table

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model
from ...runtime.reader import Reader
from ...runtime.text.words import read_text
from ...train.data.source import LETTERS
from ...train.fit_language import is_left_out
from .conditions import TABLE_COLUMNS
from .scoring import WORD_PAGES, add_page_options, open_word_hands, word_photos
from .writing import Hand


@dataclass(frozen=True)
class LanguageScore:
    """Words of one kind on pages: their letters, the edits as seen and with the language, and the letters that it changed."""

    kind: str
    letters: int
    seen_errors: int
    errors: int
    changed: int


def kinds_of_words(words: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Return words to write by kind: those that a fit leaves out, of them in small letters and names, and random letters."""
    shortest, longest = WORD_PAGES.word_letters
    usable = [word for word in words if word.isascii() and word.isalpha() and shortest <= len(word) <= longest]
    left_out = [word for word in usable if is_left_out(word)]
    rng = np.random.default_rng(seed)
    strings = ["".join(rng.choice(LETTERS, rng.integers(shortest, longest + 1))) for _ in range(max(1000, len(left_out)))]
    kinds = {"words": [word for word in left_out if word.islower()], "names": [word for word in left_out if word.istitle()]}
    return {kind: own for kind, own in kinds.items() if own} | {"random letters": strings}


def score_language(
    reader: Reader, hands: Sequence[Hand], kind: str, words: Sequence[str], *, pages: int, seed: int
) -> LanguageScore:
    """Write words on pages, photograph and read them; spaces do not count."""
    letters = seen_errors = errors = changed = 0
    for photo in word_photos(hands, words, pages, seed):
        page = reader.read(photo.image)
        truth, seen, read = ("".join(text.upper().split()) for text in (photo.text, page.seen_text, page.text))
        letters += len(truth)
        seen_errors += Levenshtein.distance(truth, seen)
        errors += Levenshtein.distance(truth, read)
        changed += sum(bool(letter.seen) for letter in page.letters)
    return LanguageScore(kind, letters, seen_errors, errors, changed)


def language_table(scores: Sequence[LanguageScore]) -> Table:
    """Return one line per kind of words."""
    table = Table(title="character error rate / %, and letters that the language changed / %")
    for name in ("written", "letters", "as seen", "with the language", "changed"):
        table.add_column(name, justify="left" if name == "written" else "right")
    for one in scores:
        shares = (f"{100 * count / one.letters:.2f}" for count in (one.seen_errors, one.errors, one.changed))
        table.add_row(one.kind, f"{one.letters:,}", *shares)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per kind of words and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.language",
        description="Measure how much a language helps to read generated pages of words that its fit left out.",
    )
    parser.add_argument("words", type=Path, help="the words that the language was fitted to: UTF-8 text with one word per line")
    parser.add_argument("language", help="a language that comes with lettercast, or a file of a fitted one")
    parser.add_argument("--model", type=device_model, metavar="M", help="the model (default: letters-base)")
    add_page_options(parser)
    options = parser.parse_args(arguments)
    try:
        kinds = kinds_of_words(read_text(options.words).split(), options.seed)
        reader = Reader(options.model, language=options.language)
        hands = open_word_hands(options.data, options.split)
        scores = [
            score_language(reader, hands, kind, words, pages=options.pages, seed=options.seed) for kind, words in kinds.items()
        ]
        Console(width=TABLE_COLUMNS).print(language_table(scores))
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
