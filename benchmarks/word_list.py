"""Reading with a list of words on generated pages: words read right before and after, and what the list changes wrongly.

Every other word of the list is given to the reader, so that those between are words that it does not have.

Maintainer's command:

    python -m lettercast.benchmarks.word_list words.txt [--data strokes.npz] [--split val] [--pages N]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rapidfuzz.distance import LCSseq

from .. import UNUSABLE, LettercastError
from ..runtime.reader import Reader
from ..runtime.words import read_text
from ..train.source import LETTERS
from ..values import SPLIT_CHOICES, natural, positive
from .hands import Hand, open_hands
from .pages import plain
from .synthetic_page import PHONE_PX, Scene, photograph

PAGES = 40
LINES, LINE_WORDS = 5, 2
# Words of a page, longest and shortest, so that a line has room for them.
SHORTEST, LONGEST = 3, 10
# Letters' and words' distances on a page, in heights of a capital.
SPACING, WORD_GAP = (0.15, 0.45), (1.0, 1.5)
CASES = ("upper", "title", "lower")
NAMES_FROM = 5
# Writers of fewer letters than this, in either case, can write too few words.
ENOUGH_LETTERS = 24


@dataclass(frozen=True)
class WordScore:
    """Words of one kind: how many were written, read right, right with the list's help, and changed to a wrong one."""

    kind: str
    words: int
    read: int
    listed: int
    wronged: int


def kinds_of_words(words: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Return words to write by kind: of the list, not of the list, names not of the list, and letters by chance."""
    usable = [word for word in words if word.isascii() and word.isalpha() and SHORTEST <= len(word) <= LONGEST]
    given = {plain(word) for word in usable[::2]}
    others = [word for word in usable[1::2] if plain(word) not in given]
    rng = np.random.default_rng(seed)
    strings = ["".join(rng.choice(LETTERS, rng.integers(SHORTEST, LONGEST + 1))) for _ in range(len(others))]
    names = [word for word in others if word[0].isupper() and len(word) >= NAMES_FROM]
    kinds = {"in the list": usable[::2], "not in the list": others, "names not in the list": names}
    return {kind: own for kind, own in kinds.items() if own} | {"letters by chance": strings}


def score_kind(reader: Reader, hands: Sequence[Hand], kind: str, words: Sequence[str], *, pages: int, seed: int) -> WordScore:
    """Write words on pages, photograph and read them; words that were not parted as written count as misread."""
    count = read = listed = wronged = 0
    for number in range(pages):
        hand, case = hands[number % len(hands)], CASES[number % len(CASES)]
        rng = np.random.default_rng([seed, number])
        lines = [" ".join(choose(hand, case, words, rng) for _ in range(LINE_WORDS)) for _ in range(LINES)]
        writer, camera = rng.spawn(2)
        scene = Scene().change(spacing=rng.uniform(*SPACING), word_gap=rng.uniform(*WORD_GAP))
        photo = photograph(hand, scene, PHONE_PX, writer=writer, camera=camera, text=lines)
        page = reader.read(photo.image)
        truth = photo.text.upper().split()
        words_read = [word for line in page.lines for word in line.words]
        told = [plain(word.listed or word.text) for word in words_read]
        count += len(truth)
        read += LCSseq.similarity(truth, [word.text.upper() for word in words_read])
        listed += LCSseq.similarity(truth, told)
        wronged += sum(one not in (word.text.upper(), *truth) for one, word in zip(told, words_read, strict=True))
    return WordScore(kind, count, read, listed, wronged)


def choose(hand: Hand, case: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Return a word by chance that the hand can write, in capitals, in small letters, or with a capital first."""
    small, large = set(hand.letters(False)), set(hand.letters(True))
    for i in rng.permutation(len(words)):
        own = words[int(i)]
        word = {"upper": own.upper(), "title": own.title(), "lower": own.lower()}[case]
        if all(letter.upper() in (large if letter.isupper() else small) for letter in word):
            return word
    raise LettercastError("no word of the list can be written with a writer's letters; give a longer list")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.word_list", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("words", type=Path, help="UTF-8 text, a word a line")
    parser.add_argument("--data", default="pen", metavar="D", help="who writes: pen, or an .npz of strokes (default: pen)")
    parser.add_argument("--split", choices=SPLIT_CHOICES, default="val")
    parser.add_argument("--pages", type=positive, default=PAGES, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N")
    options = parser.parse_args(arguments)
    try:
        kinds = kinds_of_words(read_text(options.words).split(), options.seed)
        reader = Reader(words=kinds.get("in the list", ()))
        hands = [
            hand
            for hand in open_hands(options.data, options.split)
            if min(len(hand.letters(True)), len(hand.letters(False))) >= ENOUGH_LETTERS
        ]
        if not hands:
            raise LettercastError(
                f"{options.data}: no writer of {ENOUGH_LETTERS} letters in split '{options.split}'; try another"
            )
        for kind, words in kinds.items():
            one = score_kind(reader, hands, kind, words, pages=options.pages, seed=options.seed)
            shares = [f"{100 * part / one.words:5.1f} %" for part in (one.read, one.listed, one.wronged)]
            print(f"{kind:22} {one.words} words: read {shares[0]}, with the list {shares[1]}, changed wrongly {shares[2]}")
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
