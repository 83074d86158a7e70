"""What was read of a page against what stands there: letters, their places and the gaps between words."""

import argparse
import csv
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

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
from ...runtime.sources.images import read_image
from ...runtime.text import Line, Page
from ...runtime.text.words import read_text
from ...train.data.source import LETTERS
from ...train.predict import open_any
from .scenes import PHONE_PX, PlacedLetter, Scene, photograph
from .writing import Hand, open_hands

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class PageResult:
    """One page: what stands there, what was read, and how many letters must be changed to make them equal."""

    file: str
    expected: str
    read: str
    errors: int
    ms: float


@dataclass(frozen=True)
class PagesResult:
    """All pages of one label file, read with one model."""

    model: str
    pages: tuple[PageResult, ...]

    @property
    def letters(self) -> int:
        """Letters that stand on the pages."""
        return sum(len(plain(page.expected)) for page in self.pages)

    @property
    def cer(self) -> float:
        """Character error rate: edits (insert, delete, substitute) over the letters that stand there."""
        return sum(page.errors for page in self.pages) / max(1, self.letters)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `lettercast evaluate --pages --json` prints."""
        return {
            "model": self.model,
            "cer": self.cer,
            "letters": self.letters,
            "errors": sum(page.errors for page in self.pages),
            "pages": len(self.pages),
            "ms_per_page": median(page.ms for page in self.pages),
            "wrong": [{"file": p.file, "expected": p.expected, "read": p.read} for p in self.pages if p.errors],
        }


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
        reader = Reader(model if isinstance(model, Engine) else open_any(model, threads))
        return read_pages(reader, Path(labels), report)


def read_pages(reader: Reader, labels: Path, progress: Callable[[str], None] = lambda file: None) -> PagesResult:
    """Read every page of a CSV of `file,text`, lines parted by `|`; files are named from the CSV's folder.

    Raises LettercastError where the CSV or a picture cannot be used.
    """
    rows = read_labels(labels)
    pages = []
    for file, expected in rows:
        progress(file)
        page = reader.read(read_image(labels.parent / file))
        pages.append(compare_page(file, expected, page.text, page.segment_ms + page.classify_ms))
    return PagesResult(reader.engine.facts.name, tuple(pages))


def compare_page(file: str, expected: str, text: str, ms: float) -> PageResult:
    """Return one page's result: expected has its lines parted by `|`, the text that was read by line breaks."""
    read = text.replace("\n", "|")
    return PageResult(file, expected, read, Levenshtein.distance(plain(expected), plain(read)), ms)


def read_labels(labels: Path) -> list[tuple[str, str]]:
    """Read the rows of a CSV with a header `file,text`."""
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["file"], row["text"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise LettercastError(f"{labels}: {error.strerror}; give a CSV with the columns file and text") from error
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise LettercastError(f"{labels}: not a CSV with the columns file and text") from error
    if not rows or not all(file and text and plain(text) for file, text in rows):
        raise LettercastError(f"{labels}: needs a file and a text of letters in every row, and at least one row")
    return rows


def plain(text: str) -> str:
    """Return the letters to compare: capitals, without spaces and line breaks."""
    return "".join(text.replace("|", "").split()).upper()


# A letter is found where its box and a box that was read share this much of what they cover together.
LEAST_OVERLAP = 0.5
# Boxes are widened by this share of their longer side first, so that a pixel more or less does not lose an I.
SLACK = 0.08
RESAMPLED, RESAMPLING_SEED = 1000, 0
# Two standard deviations, for 95 %.
SIGMAS = 1.96


@dataclass(frozen=True)
class Score:
    """One page, in counts: letters that stand there, edits, found and rightly read letters, and gaps between words.

    errors are edits (insert, delete, substitute) over the text without spaces; missed letters have no box of their own,
    and extra boxes no letter. Of gaps, `gaps` stand there between letters that were found in one line; `gaps_found` of them
    were read, and `gaps_invented` were read where none is.
    """

    letters: int
    errors: int
    missed: int
    misread: int
    extra: int
    gaps: int
    gaps_found: int
    gaps_invented: int

    @property
    def lost(self) -> int:
        """Edits, at most all letters: false letters by the hundred on one page must not drown what happens on others."""
        return min(self.errors, self.letters)

    @property
    def rate(self) -> float:
        """Share of the page's letters that are lost, 0..1."""
        return self.lost / max(1, self.letters)


def score(page: Page, text: str, placed: Sequence[PlacedLetter]) -> Score:
    """Compare what was read with what stands there."""
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
    )


def match_boxes(true: Sequence[Sequence[float]], read: Sequence[Sequence[float]]) -> dict[int, int]:
    """Return which box (x, y, width, height) that was read belongs to which true one: index to index, each used once."""
    if not true or not read:
        return {}
    overlap = overlaps(np.array(true, float), np.array(read, float))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        a, b = divmod(int(flat), len(read))
        if overlap[a, b] < LEAST_OVERLAP:
            break
        if a not in pairs and b not in pairs.values():
            pairs[a] = b
    return pairs


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (len(a), len(b)) intersection over union of boxes (n, 4) of x, y, width, height, each widened by SLACK."""
    (low_a, high_a), (low_b, high_b) = (_widened(boxes) for boxes in (a, b))
    shared = np.minimum(high_a[:, None], high_b[None]) - np.maximum(low_a[:, None], low_b[None])
    both = np.clip(shared, 0, None).prod(2)
    return both / ((high_a - low_a).prod(1)[:, None] + (high_b - low_b).prod(1)[None] - both)


def score_gaps(placed: Sequence[PlacedLetter], lines: Sequence[Line], partner: dict[int, int]) -> tuple[int, int, int]:
    """Return gaps that stand between letters found as neighbours, how many of them were read, and gaps read where none is."""
    line_of = [i for i, line in enumerate(lines) for _ in line.letters]
    after: list[bool] = [gap for line in lines for gap in gaps_after(line)]
    gaps = found = invented = 0
    for a, (one, following) in enumerate(pairwise(placed)):
        left, right = partner.get(a), partner.get(a + 1)
        if one.line != following.line or left is None or right is None or right != left + 1 or line_of[left] != line_of[right]:
            continue
        stands, was_read = one.word != following.word, after[left]
        gaps += stands
        found += stands and was_read
        invented += was_read and not stands
    return gaps, found, invented


def gaps_after(line: Line) -> list[bool]:
    """Tell for each letter of a line whether a word ends with it."""
    return [end for word in line.words for end in (*[False] * (len(word.letters) - 1), True)]


def error_interval(lost: Sequence[int], letters: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval of the share of lost letters over pages, whose letters err together.

    The wider of the bootstrap over pages (percentiles, fixed seed) and Wilson's interval over letters, as pages without
    any error tell the bootstrap nothing.
    """
    error, count = np.array(lost, float), np.array(letters, float)
    if not count.sum():
        return 0.0, 1.0
    chosen = np.random.default_rng(RESAMPLING_SEED).integers(0, len(count), (RESAMPLED, len(count)))
    low, high = np.percentile(error[chosen].sum(1) / np.maximum(count[chosen].sum(1), 1), (2.5, 97.5))
    n, share = count.sum(), error.sum() / count.sum()
    middle = (share + SIGMAS**2 / (2 * n)) / (1 + SIGMAS**2 / n)
    half = SIGMAS * np.sqrt(share * (1 - share) / n + SIGMAS**2 / (4 * n**2)) / (1 + SIGMAS**2 / n)
    return max(0.0, float(min(low, middle - half))), float(max(high, middle + half))


def difference_interval(rates: Sequence[float], plain: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference of pages that were seen twice, with the same letters (Student's t).

    Writers differ far more than pages of one writer, so pairs tell more than two rates side by side.
    """
    change = np.array(rates, float) - np.array(plain, float)
    if len(change) < 2:
        return -math.inf, math.inf
    half = float(student_t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / math.sqrt(len(change)))
    return float(change.mean()) - half, float(change.mean()) + half


def _widened(boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    slack = SLACK * boxes[:, 2:].max(1, keepdims=True)
    return boxes[:, :2] - slack, boxes[:, :2] + boxes[:, 2:] + slack


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


def pages_table(result: PagesResult) -> Table:
    """Return the pages that were not read without error."""
    figures = result.to_dict()
    table = Table(
        title=f"{result.model}: character error rate {100 * result.cer:.2f} % of {result.letters} letters "
        f"on {len(result.pages)} pages, median {figures['ms_per_page']:.1f} ms a page"
    )
    for name in ("page", "stands there", "read", "errors"):
        table.add_column(name)
    for page in result.pages:
        if page.errors:
            table.add_row(page.file, page.expected, page.read, str(page.errors))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.scoring", description=(__doc__ or "").splitlines()[0]
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
