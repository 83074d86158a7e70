"""Maintainer's command: fit a language, which weighs the alternatives of letters over a word, to a list of words.

python -m lettercast.train.fit_language /usr/share/dict/american-english en

Every tenth word is left out, to measure the language with it. The file holds counts of four letters in a row, and no words.
"""

import argparse
import io
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.files import write_bytes
from ..runtime.text.language import (
    CONTEXTS,
    FILE_NAME,
    FOLDER,
    LABELS,
    LOG_STEPS,
    MAX_STEP,
    ORDER,
    SYMBOLS,
    costs_of,
    packaged,
)
from ..runtime.text.words import load_words

# One word of this many is left out.
LEFT_OUT = 10
MIN_WORDS = 1000


@dataclass(frozen=True)
class LanguageFit:
    """A fitted language: steps (27^4,) uint8 of its counts, the words it was fitted to, and its perplexity on the others."""

    steps: NDArray[np.uint8]
    words: int
    left_out: int
    perplexity: float


def is_left_out(word: str) -> bool:
    """Tell whether the fit leaves a word (A to Z) out: by its checksum, so that all lists leave out the same ones."""
    return zlib.crc32(word.upper().encode()) % LEFT_OUT == 0


def fit_language(words: str | Path | Sequence[str]) -> LanguageFit:
    """Fit a language to a text file with one word per line, or to the words; each different word counts once.

    Raises LettercastError if there are too few words.
    """
    own: list[NDArray[np.int64]] = []
    others: list[NDArray[np.int64]] = []
    for group in load_words(words, LABELS).groups.values():
        letters = group.letters.T.astype(np.int64) + 1
        out = np.array([is_left_out("".join(LABELS[i - 1] for i in word)) for word in letters.tolist()])
        own, others = [*own, letters[~out]], [*others, letters[out]]
    count, left_out = sum(map(len, own)), sum(map(len, others))
    if count < MIN_WORDS or not left_out:
        raise LettercastError(f"{count} words are too few to fit a language; give at least {MIN_WORDS:,}")
    counts = np.bincount(strings_of(own), minlength=SYMBOLS**ORDER)
    steps = np.where(counts > 0, 1 + np.round(np.log2(np.maximum(counts, 1))), 0)
    steps = np.minimum(steps, MAX_STEP).astype(np.uint8)
    costs = np.frombuffer(costs_of(steps), np.uint8)[strings_of(others)]
    return LanguageFit(steps, count, left_out, float(np.exp(costs.mean() / LOG_STEPS)))


def strings_of(groups: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the number of each string of four letters in words (n, length), with what is before and after a word."""
    numbers = []
    for words in groups:
        padded = np.pad(words, ((0, 0), (ORDER - 1, 1)))
        number = np.zeros(len(words), np.int64)
        for i, column in enumerate(padded.T):
            number = (number % CONTEXTS) * SYMBOLS + column
            if i >= ORDER - 1:
                numbers.append(number)
    return np.concatenate(numbers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit a language and write it into the package; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path, help="a UTF-8 text file with one word per line")
    parser.add_argument("name", help="the name of the language, of two small letters such as en")
    parser.add_argument("--out", type=Path, help="the file to write (default: letters-NAME.npz of this package)")
    options = parser.parse_args(arguments)
    if not (options.name.isascii() and options.name.islower() and len(options.name) == 2):
        parser.error(f"'{options.name}' is no name of a language; give two small letters such as en")
    out = options.out or packaged(FOLDER) / FILE_NAME.format(options.name)
    try:
        fitted = fit_language(options.words)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, steps=fitted.steps)
        write_bytes(out, buffer.getvalue())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return 2
    print(
        f"{out}: {len(buffer.getvalue()) / 1000:.0f} kB of {fitted.words:,} words; "
        f"perplexity per letter on {fitted.left_out:,} others: {fitted.perplexity:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
