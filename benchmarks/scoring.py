"""What was read of a page against what stands there: letters, their places and the gaps between words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from scipy.stats import t as student_t

from ..runtime.text import Line, Page
from .pages import plain
from .synthetic_page import PlacedLetter

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
