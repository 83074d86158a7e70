"""A list of words that may stand on a page, and the likeliest of them for letters that were read.

The whole probabilities of every letter decide, not only the letters that were read. Words that are in no list, names and
codes, have a chance of their own, so that they stay as they are.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError

# The chance that a letter is just any one, however sure the model is of it; and where the model takes it for none.
SLIP, UNKNOWN_SLIP = 0.05, 0.9
# The chance that a letter of a word was read as part of its neighbour, and that a part of a letter was read as one more.
MISSING, EXTRA = 0.002, 0.003
# Fewer letters than these say too little where one more may be wrong.
FEWEST_FOR_EDITS = 3
# The chance that a word stands in the list, and among how many letters each one is chosen in a word that does not.
LISTED, CHOICE = 0.7, 7.0
# A word of the list is told where it is likelier than all else; what is this much less likely (log) plays no part.
LEAST_SURE, NEGLIGIBLE = 0.5, 4.0
LEAST_LEFT = 1e-3
# Stand inside of words, and are not read: apostrophes, hyphens and, in decomposed Unicode, accents.
SILENT = "'\u2019-\u00ad" + "".join(map(chr, range(0x300, 0x370)))
NO_LETTER, SILENT_LETTER, BREAK = 255, 254, 253
# Words that begin with the same letters, so many, are looked at together; other letters are known by bits of their hash.
HEAD_LETTERS, REST_BITS = 3, 40
CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Group:
    """Words of one length, n of them: letters (length, n) uint8 count labels, places (n,) tell where each stands in the list.

    Words that begin alike stand together; starts (m + 1,) are where each beginning starts, and n.
    """

    letters: NDArray[np.uint8]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class WordList:
    """The words of a text, from starts to stops, grouped by how many letters they have."""

    text: str
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    groups: dict[int, Group]

    def __len__(self) -> int:
        return sum(len(group.places) for group in self.groups.values())

    def word(self, place: int) -> str:
        """Return a word as the list writes it."""
        return unicodedata.normalize("NFC", self.text[self.starts[place] : self.stops[place]])


@dataclass(frozen=True)
class Match:
    """The likeliest word of a list and its probability 0..1; word is None where something else is likelier."""

    word: str | None
    probability: float


def load_words(source: str | Path | Iterable[str], labels: Sequence[str]) -> WordList:
    """Load words that a model with these labels can read.

    Args:
        source: a UTF-8 text file with a word a line, in any case; from # to the end of a line is a comment. Or the words.
        labels: the model's classes. Words of other letters are left out; accents, apostrophes and hyphens are not read.

    Raises:
        LettercastError: the file cannot be read or is no text, or no word is left.
    """
    if isinstance(source, str | Path):
        name, text = str(source), read_text(Path(source))
    else:
        name, text = "words", "\n".join(source)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    if "#" in text:
        text = re.sub("#.*", "", text)
    kinds = kinds_of_letters(labels)[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    inside = np.diff(np.concatenate([[False], kinds != BREAK, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(inside == 1), np.flatnonzero(inside == -1)
    words = WordList(text, starts, stops, group_words(kinds, starts, stops))
    if not words.groups:
        raise LettercastError(f"{name}: no word of the letters {''.join(labels)} in it; give one word a line")
    return words


def read_text(path: Path) -> str:
    """Read a UTF-8 file; raises LettercastError where it is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror}; give a text file with a word a line") from error
    except UnicodeDecodeError as error:
        raise LettercastError(f"{path}: not UTF-8 text; save it as such, with a word a line") from error
    if "\0" in text:
        raise LettercastError(f"{path}: not text; give a text file with a word a line")
    return text


def kinds_of_letters(labels: Sequence[str]) -> NDArray[np.uint8]:
    """Return (CODE_POINTS,) uint8: the label that each character is, whatever its case, or that it is none."""
    kinds = np.full(CODE_POINTS, NO_LETTER, np.uint8)
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = BREAK
    kinds[[ord(mark) for mark in SILENT]] = SILENT_LETTER
    single = {label: i for i, label in enumerate(labels[:BREAK]) if len(label) == 1}
    either = {form: i for label, i in single.items() for form in (label.lower(), label.upper()) if len(form) == 1}
    for letter, i in (either | single).items():
        kinds[ord(letter)] = i
    return kinds


def group_words(kinds: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> dict[int, Group]:
    """Group words by how many letters they have; words of other letters are left out.

    Of words of the same letters the one without apostrophes and accents is kept, or the first.

    Args:
        kinds: (n,) of the text's characters.
        starts: (w,) where words start in the text.
        stops: (w,) where they end.
    """
    if not len(starts):
        return {}
    is_letter = kinds < BREAK
    lengths = np.add.reduceat(is_letter, starts, dtype=np.int64)
    usable = (lengths > 0) & ~np.logical_or.reduceat(kinds == NO_LETTER, starts)
    letters, first = kinds[is_letter], np.cumsum(lengths) - lengths
    shortest_first = np.argsort(stops - starts, kind="stable")
    groups = {}
    for length in np.unique(lengths[usable]).tolist():
        places = shortest_first[(usable & (lengths == length))[shortest_first]]
        rows = np.stack([letters[first[places] + i] for i in range(length)])
        keys, once = np.unique(spelling_keys(rows), return_index=True)
        changes = np.flatnonzero(np.diff(keys >> np.uint64(REST_BITS)))
        groups[length] = Group(np.ascontiguousarray(rows[:, once]), places[once], np.concatenate([[0], changes + 1, [len(keys)]]))
    return groups


def spelling_keys(letters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return (n,) numbers for words of letters (length, n) uint8: equal ones are equal, words that begin alike are near."""
    head, rest = np.zeros((2, letters.shape[1]), np.uint64)
    for i, column in enumerate(letters):
        if i < HEAD_LETTERS:
            head = (head << np.uint64(8)) | column
        else:
            # FNV-1a: to sort numbers takes a tenth of the time of sorting words.
            rest = (rest ^ column) * np.uint64(0x100000001B3)
    return (head << np.uint64(REST_BITS)) | (rest >> np.uint64(64 - REST_BITS))


def find_word(words: WordList, probabilities: NDArray[np.float32], known: NDArray[np.bool_]) -> Match:
    """Find the likeliest word for letters that were read.

    Args:
        words: the list.
        probabilities: (n, classes) of the letters of one word, n at least 1.
        known: (n,) False where the model takes a letter for none.
    """
    count, classes = probabilities.shape
    slip = np.where(known, SLIP, UNKNOWN_SLIP)[:, None]
    log = np.log((1 - slip) * probabilities + slip / classes).astype(np.float32)
    # By Bayes: words of the list are equally likely; others are as long as those, and of letters that say little. What is
    # no letter fits no word.
    alike = words.groups.get(count)
    other = float(
        np.log((1 - LISTED) / LISTED * (len(alike.places) if alike else 1))
        - known.sum() * np.log(CHOICE)
        - (~known).sum() * np.log(classes)
    )
    lowest = other - NEGLIGIBLE
    places, scores = [-1], [other]
    for longer in (0, 1, -1) if count >= FEWEST_FOR_EDITS else (0,):
        group = words.groups.get(count + longer)
        if group is None:
            continue
        alive, reached = score_words(group, log, longer, lowest)
        places += group.places[alive].tolist()
        scores += reached.tolist()
        lowest = max(scores) - NEGLIGIBLE
        if not longer:
            # Other words are what the list's own leave of all strings.
            scores[0] += float(np.log(max(1 - np.exp(reached).sum(dtype=np.float64), LEAST_LEFT)))
    if len(places) == 1:
        return Match(None, 0.0)
    shares = np.exp(np.array(scores) - max(scores))
    best = 1 + int(shares[1:].argmax())
    sure = float(shares[best] / shares.sum())
    return Match(words.word(places[best]) if sure >= LEAST_SURE else None, sure)


def score_words(
    group: Group, log: NDArray[np.float32], longer: int, lowest: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which words of a group reach a log-probability of `lowest`, and theirs.

    Args:
        group: the words.
        log: (count, classes) log-probabilities of what was read.
        longer: the words' length less count: 0, 1 where a letter is missing in what was read, -1 where one is too many.
        lowest: words are given up as soon as they fall below it.
    """
    cost = {0: 0.0, 1: np.log(MISSING), -1: np.log(EXTRA / log.shape[1])}[longer]
    alive, stops = group.starts[:-1], group.starts[1:]
    straight = np.zeros(len(alive), np.float32)
    # The same after the letter that is missing or too many, come to by the likelier way.
    bent = np.full(len(alive), -np.inf, np.float32)
    for i, column in enumerate(group.letters):
        if i == HEAD_LETTERS:
            # From beginnings to their words.
            sizes = stops - alive
            alive = np.repeat(stops - np.cumsum(sizes), sizes) + np.arange(sizes.sum())
            straight, bent = np.repeat(straight, sizes), np.repeat(bent, sizes)
            stops = alive + 1
        letter = column[alive]
        if longer > 0:
            bent = np.maximum(bent + log[i - 1][letter], straight + cost)
        elif longer < 0:
            bent = np.maximum(bent, straight + cost) + log[i + 1][letter]
        straight = straight + log[i][letter] if i < len(log) else np.full_like(straight, -np.inf)
        high = np.maximum(bent, straight + cost) >= lowest
        alive, stops, straight, bent = alive[high], stops[high], straight[high], bent[high]
    return alive, bent if longer > 0 else np.maximum(bent, straight + cost)
