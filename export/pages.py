"""Whole pages: whether the reader reads them as well with an exported file as with its original."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError
from ..runtime.model.engine import Engine, open_content
from ..runtime.model.facts import LETTERS
from ..runtime.reader import Reader
from ..train.pages import PagesResult, read_pages
from ..train.predict import keras_engine
from .gate import drop_interval
from .original import Original

RESAMPLES, RESAMPLING_SEED = 2000, 0


@dataclass(frozen=True)
class PageParity:
    """How the reader with an exported file compares with the reader with the original on the same photographed pages.

    error and original_error are character error rates in percent of the letters. rise is their difference in points,
    positive if the exported file reads worse, with its 95 % interval. changed counts the pages whose text differs. max_rise is
    the limit of the rise in points, None if there is none.
    """

    data: str
    pages: int
    letters: int
    original_error: float
    error: float
    rise: float
    rise_low: float
    rise_high: float
    changed: int
    max_rise: float | None = None

    @property
    def misses(self) -> tuple[str, ...]:
        """A line if the rise exceeds its limit; without a limit nothing is missed."""
        if self.max_rise is None or self.rise <= self.max_rise:
            return ()
        return (f"character error rate on pages {self.rise:+.2f} points, at most {self.max_rise:g} allowed",)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, rounded to six digits, for the facts and the JSON."""
        return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class PageCheck:
    """Photographed pages to check exported files on: their labels, what is read with the original, and the limit of the rise."""

    labels: Path
    original: PagesResult
    max_rise: float | None
    report: Callable[[str], None]

    def check(self, model: bytes, suffix: str) -> PageParity:
        """Read the pages with an exported file, given its content and its suffix, and compare."""
        read = _read(open_content(model, suffix), self.labels, self.report)
        return compare_pages(self.labels.name, self.original, read, self.max_rise)


def open_pages(
    labels: Path | None, original: Original, max_rise: float | None, report: Callable[[str], None]
) -> PageCheck | None:
    """Read the pages of a CSV of labels with the original; None if no CSV is given.

    Raises:
        LettercastError: the model takes no letters, a page cannot be used, or there is a limit and no CSV.
    """
    if labels is None:
        if max_rise is not None:
            raise LettercastError("--max-cer-rise: is a limit for pages; name some with --check-pages")
        return None
    if original.facts.takes != LETTERS:
        raise LettercastError(f"--check-pages: pages hold letters, and {original.facts.name} takes other images; leave it out")
    return PageCheck(labels, _read(keras_engine(original.network, original.facts), labels, report), max_rise, report)


def _read(engine: Engine, labels: Path, report: Callable[[str], None]) -> PagesResult:
    return read_pages(Reader(engine), labels, lambda file: report(f"reading {file} with {engine.facts.format}"))


def compare_pages(data: str, original: PagesResult, exported: PagesResult, max_rise: float | None = None) -> PageParity:
    """Compare what two models read on the same pages, in the same order."""
    pairs = list(zip(original.pages, exported.pages, strict=True))
    edits = np.array([[before.errors, after.errors] for before, after in pairs])
    letters = np.array([before.letters for before, _ in pairs])
    before, after = 100 * edits.sum(0) / letters.sum()
    low, high = rise_interval(edits[:, 1] - edits[:, 0], letters)
    changed = sum(before.read != after.read for before, after in pairs)
    rates = (float(before), float(after), float(after - before), 100 * low, 100 * high)
    return PageParity(data, len(pairs), int(letters.sum()), *rates, changed, max_rise)


def rise_interval(more: NDArray[np.int64], letters: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 95 % interval of the rise of the character error rate, as shares of the letters.

    It is the wider one of two. The bootstrap draws pages with both their readings, because the errors on one page belong
    together (percentiles of 2,000 draws, seed 0). It has no width if no page differs, so Tango's interval of paired
    proportions bounds it, as if letters were independent: see `drop_interval`.

    Args:
        more: (n,) edits that a page needs more with the exported file than with the original.
        letters: (n,) true letters of a page.
    """
    draws = np.random.default_rng(RESAMPLING_SEED).multinomial(len(more), np.full(len(more), 1 / len(more)), RESAMPLES)
    low, high = np.percentile(draws @ more / (draws @ letters), (2.5, 97.5))
    lost, won = int(more[more > 0].sum()), int(-more[more < 0].sum())
    # False letters can make more edits than there are letters.
    least, most = drop_interval(lost, won, max(int(letters.sum()), lost + won))
    return min(float(low), least), max(float(high), most)
