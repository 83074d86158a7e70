"""Find the words of a list that probably stand on a page, from the letters that were read.

The whole probabilities of every letter decide, not only the likeliest letters. Words that are not in the list, such as names
and codes, have a chance of their own, so that they stay unchanged.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError


@dataclass(frozen=True)
class WordTuning:
    """How letters are misread, and how likely a word of the list is.

    Tuned on pages of validation writers and on names and codes that are not in the list; docs/words.md has the figures.
    """

    # The chance that a letter is any other one, however sure the model is of it; and if the model takes it for a non-letter.
    slip: float = 0.05
    unknown_slip: float = 0.9
    # The chance that a letter of a word was read as part of its neighbour, and that a part of a letter was read as one more.
    missing: float = 0.002
    extra: float = 0.003
    # Shorter words are too ambiguous if one letter may be missing or extra.
    min_letters_for_edits: int = 3
    # The chance that a word is in the list; in other words, each letter is chosen from this many.
    listed: float = 0.7
    choices: float = 7.0
    # A word of the list is reported from this probability; words less likely than the best by this factor (log) are ignored.
    min_probability: float = 0.5
    max_log_distance: float = 4.0
    # At least this share of all strings is left to words that are not in the list.
    min_unlisted: float = 1e-3


WORD_TUNING = WordTuning()
# Characters inside words that are not read: apostrophes, hyphens and, in decomposed Unicode, accents.
SILENT = "'\u2019-\u00ad" + "".join(map(chr, range(0x300, 0x370)))
NO_LETTER, SILENT_LETTER, BREAK = 255, 254, 253
# Words that share this many first letters are scored together; the other letters count by bits of their hash.
HEAD_LETTERS, REST_BITS = 3, 40
CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Group:
    """The n words of one length: letters (length, n) uint8 are indices of labels, places (n,) indices into the list.

    Words with the same first letters stand together; starts (m + 1,) are the first index of each such block, and n.
    """

    letters: NDArray[np.uint8]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class WordList:
    """The words of a text, from starts to stops, grouped by their number of letters."""

    text: str
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    groups: dict[int, Group]

    def __len__(self) -> int:
        return sum(len(group.places) for group in self.groups.values())

    def word(self, place: int) -> str:
        """Return the word at this place of the list, spelled as there."""
        return unicodedata.normalize("NFC", self.text[self.starts[place] : self.stops[place]])


@dataclass(frozen=True)
class Match:
    """The likeliest word of a list and its probability 0..1; word is None if something else is likelier."""

    word: str | None
    probability: float


def load_words(source: str | Path | Iterable[str], labels: Sequence[str]) -> WordList:
    """Load the words that a model with these labels can read.

    Args:
        source: a UTF-8 text file with one word per line, in any case, and comments from # to the end of a line; or the words.
        labels: the model's classes. Words with other letters are skipped; accents, apostrophes and hyphens do not count.

    Raises:
        LettercastError: if the file cannot be read or is not text, or if no word remains.
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
        raise LettercastError(f"{name}: no word of the letters {''.join(labels)} in it; give one word per line")
    return words


def read_text(path: Path) -> str:
    """Read a UTF-8 file; raises LettercastError if it cannot be read or is not text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror}; give a text file with one word per line") from error
    except UnicodeDecodeError as error:
        raise LettercastError(f"{path}: not UTF-8 text; save it as UTF-8, with one word per line") from error
    if "\0" in text:
        raise LettercastError(f"{path}: not text; give a text file with one word per line")
    return text


def kinds_of_letters(labels: Sequence[str]) -> NDArray[np.uint8]:
    """Return (CODE_POINTS,) uint8: each character's label by index, whatever its case, or NO_LETTER, SILENT_LETTER or BREAK."""
    kinds = np.full(CODE_POINTS, NO_LETTER, np.uint8)
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = BREAK
    kinds[[ord(mark) for mark in SILENT]] = SILENT_LETTER
    single = {label: i for i, label in enumerate(labels[:BREAK]) if len(label) == 1}
    either = {form: i for label, i in single.items() for form in (label.lower(), label.upper()) if len(form) == 1}
    for letter, i in (either | single).items():
        kinds[ord(letter)] = i
    return kinds


def group_words(kinds: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> dict[int, Group]:
    """Group words by their number of letters; words with other letters are skipped.

    Among words with the same letters, the one without apostrophes and accents stays, or else the first.

    Args:
        kinds: (n,) of the text's characters, by kinds_of_letters.
        starts: (w,) of the words in the text.
        stops: (w,) of the words in the text.
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
    """Return a number for each word of letters (length, n) uint8: equal for equal words, near for words that begin alike."""
    head, rest = np.zeros((2, letters.shape[1]), np.uint64)
    for i, column in enumerate(letters):
        if i < HEAD_LETTERS:
            head = (head << np.uint64(8)) | column
        else:
            # The hash FNV-1a, because sorting numbers takes a tenth of the time of sorting words.
            rest = (rest ^ column) * np.uint64(0x100000001B3)
    return (head << np.uint64(REST_BITS)) | (rest >> np.uint64(64 - REST_BITS))


def find_word(words: WordList, probabilities: NDArray[np.float32], known: NDArray[np.bool_]) -> Match:
    """Find the likeliest word for letters that were read.

    Args:
        words: the list.
        probabilities: (n, classes) of the letters of one word, n at least 1.
        known: (n,) False if the model takes it for a non-letter.
    """
    tuning = WORD_TUNING
    count, classes = probabilities.shape
    slip = np.where(known, tuning.slip, tuning.unknown_slip)[:, None]
    log = np.log((1 - slip) * probabilities + slip / classes).astype(np.float32)
    # By Bayes: words of the list are equally likely. Other words are as long as those, and each letter is one of few. A
    # non-letter fits no word.
    alike = words.groups.get(count)
    other = float(
        np.log((1 - tuning.listed) / tuning.listed * (len(alike.places) if alike else 1))
        - known.sum() * np.log(tuning.choices)
        - (~known).sum() * np.log(classes)
    )
    lowest = other - tuning.max_log_distance
    places, scores = [-1], [other]
    for longer in (0, 1, -1) if count >= tuning.min_letters_for_edits else (0,):
        group = words.groups.get(count + longer)
        if group is None:
            continue
        alive, reached = score_words(group, log, longer, lowest)
        places += group.places[alive].tolist()
        scores += reached.tolist()
        lowest = max(scores) - tuning.max_log_distance
        if not longer:
            # Words that are not in the list are all strings but those of the list.
            scores[0] += float(np.log(max(1 - np.exp(reached).sum(dtype=np.float64), tuning.min_unlisted)))
    if len(places) == 1:
        return Match(None, 0.0)
    shares = np.exp(np.array(scores) - max(scores))
    best = 1 + int(shares[1:].argmax())
    probability = float(shares[best] / shares.sum())
    return Match(words.word(places[best]) if probability >= tuning.min_probability else None, probability)


def score_words(
    group: Group, log: NDArray[np.float32], longer: int, lowest: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the indices of a group's words that reach a log-probability of `lowest`, and their log-probabilities.

    Args:
        group: the words.
        log: (count, classes) log-probabilities of what was read.
        longer: the words' length minus count: 0, 1 if a letter is missing in what was read, or -1 if one is extra.
        lowest: scoring a word stops as soon as it falls below this.
    """
    cost = {0: 0.0, 1: np.log(WORD_TUNING.missing), -1: np.log(WORD_TUNING.extra / log.shape[1])}[longer]
    alive, stops = group.starts[:-1], group.starts[1:]
    straight = np.zeros(len(alive), np.float32)
    # The same after the missing or extra letter, on the likelier path.
    bent = np.full(len(alive), -np.inf, np.float32)
    for i, column in enumerate(group.letters):
        if i == HEAD_LETTERS:
            # From blocks of words to the words themselves.
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
