"""Score what the reader reads on pages: character error rate, letters and their boxes, gaps, and words of a word list.

Maintainer's command, which measures how much a list of words helps on generated pages:

    python -m lettercast.benchmarks.pages.scoring words.txt [--data strokes.npz] [--pages N]
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq, Levenshtein
from rich.table import Table
from scipy.stats import t as student_t

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import SPLIT_CHOICES, natural, positive
from ...runtime.console import progress as show_progress
from ...runtime.model.engine import Engine
from ...runtime.reader import Reader
from ...runtime.text import Line, Page
from ...runtime.text.words import read_text
from ...train.data.source import LETTERS
from ...train.pages import PagesResult, plain, read_pages
from ...train.predict import open_any
from .scenes import PHONE_PX, Photo, PlacedBox, PlacedLetter, Scene, photograph
from .writing import Hand, open_hands

if TYPE_CHECKING:
    import keras

RESAMPLES, RESAMPLING_SEED = 1000, 0
# Two standard deviations, for 95 %.
SIGMAS = 1.96
PAGES = 40
CASES = ("upper", "title", "lower")


@dataclass(frozen=True)
class Matching:
    """When a box counts as found: intersection over union is at least min_overlap.

    Boxes first grow by `slack` of their longer side, so that one pixel more or less does not lose an I. Chosen by hand.
    """

    min_overlap: float = 0.5
    slack: float = 0.08


MATCHING = Matching()


@dataclass(frozen=True)
class WordPages:
    """The pages of the benchmark of word lists. The values were chosen by hand, so that lines fit on a page.

    A page has `lines` lines of line_words words with word_letters letters. spacing between letters and word_gap between words
    are ranges in heights of a capital. Names have at least min_name_letters letters. Only writers with at least
    min_writer_letters different letters, in each case, can write enough words.
    """

    lines: int = 5
    line_words: int = 2
    word_letters: tuple[int, int] = (3, 10)
    spacing: tuple[float, float] = (0.15, 0.45)
    word_gap: tuple[float, float] = (1.0, 1.5)
    min_name_letters: int = 5
    min_writer_letters: int = 24


WORD_PAGES = WordPages()


@dataclass(frozen=True)
class Score:
    """The counts of one page: true letters, edits, errors of boxes, and gaps between words.

    errors are edits (insert, delete, substitute) of the text without spaces. missed counts letters without a box of their own,
    misread letters with a box but another name, and extra boxes without a letter. gaps counts the true gaps between
    neighbours that were found in one line, gaps_found those that were read, and gaps_invented gaps that were read inside words.
    On forms words counts the words in boxes, and words_wrong those with another number of letters, or split.
    """

    letters: int
    errors: int
    missed: int
    misread: int
    extra: int
    gaps: int
    gaps_found: int
    gaps_invented: int
    words: int = 0
    words_wrong: int = 0

    @property
    def lost(self) -> int:
        """Edits, at most all letters, so that hundreds of false letters on one page do not outweigh all other pages."""
        return min(self.errors, self.letters)

    @property
    def rate(self) -> float:
        """Share of lost letters on the page, 0..1."""
        return self.lost / max(1, self.letters)


@dataclass(frozen=True)
class WordScore:
    """Words of one kind: how many were written, read correctly, correct with the list, and made wrong by the list."""

    kind: str
    words: int
    read: int
    listed: int
    wronged: int


def evaluate_pages(
    model: "str | Path | Engine | keras.Model", labels: str | Path, *, threads: int = 1, progress: bool = True
) -> PagesResult:
    """Read whole photographed pages with a model, and count the character errors.

    Args:
        model: `letters-base`, `letters-nano`, the path of a `.keras`, `.tflite` or `.onnx` file, a Keras model, or an engine
            that is open already.
        labels: a CSV with the header `file,text`: an image, named from the CSV's folder, and what is written on it, lines
            separated by `|`. Spaces are ignored.
        threads: threads of the engine.
        progress: whether to show what is being done.

    Raises:
        LettercastError: the model does not read letters, or the CSV or an image cannot be used.

    Example:
        evaluate_pages("letters-base", "pages/labels.csv").cer
    """
    with show_progress(f"reading the pages of {labels}", progress) as report:
        reader = Reader(open_any(model, threads))
        return read_pages(reader, Path(labels), report)


def score(page: Page, text: str, placed: Sequence[PlacedLetter], boxes: Sequence[PlacedBox] = ()) -> Score:
    """Compare a page that was read with its true text and letters, and with the boxes of its form."""
    read = page.letters
    partner = match_boxes([one.box for one in placed], [one.box for one in read])
    misread = sum(read[b].letter.upper() != placed[a].letter.upper() for a, b in partner.items())
    gaps, found, invented = score_gaps(placed, page.lines, partner)
    return Score(
        len(plain(text)),
        Levenshtein.distance(plain(text), plain(page.text)),
        len(placed) - len(partner),
        misread,
        len(read) - len(partner),
        gaps,
        found,
        invented,
        *score_words(page, placed, boxes),
    )


def match_boxes(true: Sequence[Sequence[float]], read: Sequence[Sequence[float]]) -> dict[int, int]:
    """Match true boxes (x, y, width, height) to read ones; return true index to read index, each used at most once."""
    if not true or not read:
        return {}
    overlap = overlaps(np.array(true, float), np.array(read, float))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        a, b = divmod(int(flat), len(read))
        if overlap[a, b] < MATCHING.min_overlap:
            break
        if a not in pairs and b not in pairs.values():
            pairs[a] = b
    return pairs


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union (len(a), len(b)) of widened boxes (n, 4) of x, y, width, height."""
    (low_a, high_a), (low_b, high_b) = (_widened(boxes) for boxes in (a, b))
    shared = np.minimum(high_a[:, None], high_b[None]) - np.maximum(low_a[:, None], low_b[None])
    both = np.clip(shared, 0, None).prod(2)
    return both / ((high_a - low_a).prod(1)[:, None] + (high_b - low_b).prod(1)[None] - both)


def _widened(boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    slack = MATCHING.slack * boxes[:, 2:].max(1, keepdims=True)
    return boxes[:, :2] - slack, boxes[:, :2] + boxes[:, 2:] + slack


def score_gaps(placed: Sequence[PlacedLetter], lines: Sequence[Line], partner: dict[int, int]) -> tuple[int, int, int]:
    """Return the true gaps between letters found as neighbours, how many of them were read, and the gaps read inside words."""
    line_of = [i for i, line in enumerate(lines) for _ in line.letters]
    after: list[bool] = [gap for line in lines for gap in gaps_after(line)]
    gaps = found = invented = 0
    for a, (one, following) in enumerate(pairwise(placed)):
        left, right = partner.get(a), partner.get(a + 1)
        if one.line != following.line or left is None or right is None or right != left + 1 or line_of[left] != line_of[right]:
            continue
        is_gap, was_read = one.word != following.word, after[left]
        gaps += is_gap
        found += is_gap and was_read
        invented += was_read and not is_gap
    return gaps, found, invented


def score_words(page: Page, placed: Sequence[PlacedLetter], boxes: Sequence[PlacedBox]) -> tuple[int, int]:
    """Return how many words stand in the boxes of a form, and how many of them have another number of letters, or are split.

    A row's letters are those whose middles lie between the tops and bottoms of its boxes. They belong to the word that is nearest
    along the row, so that false letters in empty boxes count as well.
    """
    words = wrong = 0
    read = [(one, (one.box[0] + one.box[2] / 2, one.box[1] + one.box[3] / 2)) for one in page.letters]
    ends = {id(word.letters[-1]) for line in page.lines for word in line.words if word.letters}
    for row in sorted({one.row for one in boxes}):
        corners = np.concatenate([one.corners for one in boxes if one.row == row])
        hull = cv2.convexHull(corners.astype(np.float32))
        inside = [(x, one) for one, (x, y) in read if cv2.pointPolygonTest(hull, (x, y), False) >= 0]
        inside.sort(key=lambda pair: pair[0])
        own = [one for one in placed if one.line == row]
        spans = [
            (min(one.box[0] for one in own if one.word == word), max(one.box[0] + one.box[2] for one in own if one.word == word))
            for word in sorted({one.word for one in own})
        ]
        if not spans:
            # A letter in an empty row is a word too many.
            words, wrong = words + bool(inside), wrong + bool(inside)
            continue
        counts, splits = [0] * len(spans), [0] * len(spans)
        for k, (x, one) in enumerate(inside):
            word = min(range(len(spans)), key=lambda i: max(spans[i][0] - x, x - spans[i][1], 0))
            counts[word] += 1
            splits[word] += id(one) in ends and k + 1 < len(inside) and inside[k + 1][0] <= spans[word][1]
        true = [sum(one.word == word for one in own) for word in sorted({one.word for one in own})]
        words += len(spans)
        wrong += sum(count != want or split > 0 for count, want, split in zip(counts, true, splits, strict=True))
    return words, wrong


def gaps_after(line: Line) -> list[bool]:
    """Return for each letter of a line whether it ends a word."""
    return [end for word in line.words for end in (*[False] * (len(word.letters) - 1), True)]


def error_interval(lost: Sequence[int], letters: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval of the share of lost letters; the errors of letters on one page are not independent.

    It is the wider one of the bootstrap over pages (percentiles, fixed seed) and Wilson's interval over letters, because the
    bootstrap has no width if no page has an error.
    """
    error, count = np.array(lost, float), np.array(letters, float)
    if not count.sum():
        return 0.0, 1.0
    chosen = np.random.default_rng(RESAMPLING_SEED).integers(0, len(count), (RESAMPLES, len(count)))
    low, high = np.percentile(error[chosen].sum(1) / np.maximum(count[chosen].sum(1), 1), (2.5, 97.5))
    n, share = count.sum(), error.sum() / count.sum()
    middle = (share + SIGMAS**2 / (2 * n)) / (1 + SIGMAS**2 / n)
    half = SIGMAS * np.sqrt(share * (1 - share) / n + SIGMAS**2 / (4 * n**2)) / (1 + SIGMAS**2 / n)
    return max(0.0, float(min(low, middle - half))), float(max(high, middle + half))


def difference_interval(rates: Sequence[float], plain: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference between pairs of pages with the same letters (Student's t).

    Pairs are more precise than two separate rates, because writers differ far more than pages of one writer.
    """
    change = np.array(rates, float) - np.array(plain, float)
    if len(change) < 2:
        return -math.inf, math.inf
    half = float(student_t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / math.sqrt(len(change)))
    return float(change.mean()) - half, float(change.mean()) + half


def kinds_of_words(words: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Return words to write by kind: in the list, not in the list, names not in the list, and random letters."""
    usable = [
        word
        for word in words
        if word.isascii() and word.isalpha() and WORD_PAGES.word_letters[0] <= len(word) <= WORD_PAGES.word_letters[1]
    ]
    given = {plain(word) for word in usable[::2]}
    others = [word for word in usable[1::2] if plain(word) not in given]
    rng = np.random.default_rng(seed)
    strings = [
        "".join(rng.choice(LETTERS, rng.integers(WORD_PAGES.word_letters[0], WORD_PAGES.word_letters[1] + 1)))
        for _ in range(len(others))
    ]
    names = [word for word in others if word[0].isupper() and len(word) >= WORD_PAGES.min_name_letters]
    kinds = {"in the list": usable[::2], "not in the list": others, "names not in the list": names}
    return {kind: own for kind, own in kinds.items() if own} | {"random letters": strings}


def score_kind(reader: Reader, hands: Sequence[Hand], kind: str, words: Sequence[str], *, pages: int, seed: int) -> WordScore:
    """Write words on pages, photograph and read them; words with missing or extra gaps count as misread."""
    count = read = listed = wronged = 0
    for photo in word_photos(hands, words, pages, seed):
        page = reader.read(photo.image)
        truth = photo.text.upper().split()
        words_read = [word for line in page.lines for word in line.words]
        with_list = [plain(word.listed or word.text) for word in words_read]
        count += len(truth)
        read += LCSseq.similarity(truth, [word.text.upper() for word in words_read])
        listed += LCSseq.similarity(truth, with_list)
        wronged += sum(one not in (word.text.upper(), *truth) for one, word in zip(with_list, words_read, strict=True))
    return WordScore(kind, count, read, listed, wronged)


def word_photos(hands: Sequence[Hand], words: Sequence[str], pages: int, seed: int) -> Iterator[Photo]:
    """Write words on pages, with hands and cases in turns, and photograph them."""
    for number in range(pages):
        hand, case = hands[number % len(hands)], CASES[number % len(CASES)]
        rng = np.random.default_rng([seed, number])
        lines = [" ".join(choose(hand, case, words, rng) for _ in range(WORD_PAGES.line_words)) for _ in range(WORD_PAGES.lines)]
        writer, camera = rng.spawn(2)
        scene = Scene().change(spacing=rng.uniform(*WORD_PAGES.spacing), word_gap=rng.uniform(*WORD_PAGES.word_gap))
        yield photograph(hand, scene, PHONE_PX, writer=writer, camera=camera, text=lines)


def open_word_hands(data: str, split: str) -> list[Hand]:
    """Return the hands that have enough letters of both cases to write words; raises LettercastError if there are none."""
    least = WORD_PAGES.min_writer_letters
    hands = [one for one in open_hands(data, split) if min(len(one.letters(True)), len(one.letters(False))) >= least]
    if not hands:
        raise LettercastError(
            f"{data}: no writer has {least} capitals and as many small letters in split '{split}'; try another --split"
        )
    return hands


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add what pages of words are made of: --data, --split, --pages and --seed."""
    parser.add_argument("--data", default="pen", metavar="D", help="the handwriting: pen (the default) or an .npz of strokes")
    parser.add_argument("--split", choices=SPLIT_CHOICES, default="val", help="whose strokes to use (default: %(default)s)")
    parser.add_argument(
        "--pages", type=positive, default=PAGES, metavar="N", help="pages of each kind of words (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed writes other pages (default: %(default)s)"
    )


def choose(hand: Hand, case: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Return a random word that the hand has the letters for, in a case of CASES; raises LettercastError if there is none."""
    small, large = set(hand.letters(False)), set(hand.letters(True))
    for i in rng.permutation(len(words)):
        own = words[int(i)]
        word = {"upper": own.upper(), "title": own.title(), "lower": own.lower()}[case]
        if all(letter.upper() in (large if letter.isupper() else small) for letter in word):
            return word
    raise LettercastError("a writer lacks letters for every word of the list; use a longer list")


def pages_table(result: PagesResult) -> Table:
    """Return one line per page with errors."""
    figures = result.to_dict()
    table = Table(
        title=f"{result.model}: character error rate {100 * result.cer:.2f} % of {result.letters} letters "
        f"on {len(result.pages)} pages, median {figures['ms_per_page']:.1f} ms per page"
    )
    for name in ("page", "true text", "read", "errors"):
        table.add_column(name)
    for page in result.pages:
        if page.errors:
            table.add_row(page.file, page.expected, page.read, str(page.errors))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per kind of words and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.scoring",
        description="Measure how much a list of words helps to read generated pages; half of the words are kept from the reader.",
    )
    parser.add_argument("words", type=Path, help="a UTF-8 text file with one word per line")
    add_page_options(parser)
    options = parser.parse_args(arguments)
    try:
        kinds = kinds_of_words(read_text(options.words).split(), options.seed)
        reader = Reader(words=kinds.get("in the list", ()))
        hands = open_word_hands(options.data, options.split)
        for kind, words in kinds.items():
            one = score_kind(reader, hands, kind, words, pages=options.pages, seed=options.seed)
            shares = [f"{100 * part / one.words:5.1f} %" for part in (one.read, one.listed, one.wronged)]
            print(
                f"{kind:22} {one.words} words: correct {shares[0]}, with the list {shares[1]}, made wrong by the list {shares[2]}"
            )
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
