"""Readers of text on the same pages and letters, taking turns: what they read, and how long it took."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..runtime.engine import open_engine
from ..runtime.glyph import glyph
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from .latency import Latency, summed_up
from .pages import PagesResult, compare_page
from .peer_ocr import AS_IT_COMES, Peer
from .peer_sets import NamedPage

WHITE = 255
# A turn is so many pages or letters: after another reader's the first of them finds the caches cold.
PAGES_A_TURN, LETTERS_A_TURN = 5, 26


@dataclass(frozen=True)
class PageRow:
    """What one reader made of a set of pages; empty_ms is its time for a white page of the same size, start included."""

    peer: str
    setting: str
    pages: PagesResult
    empty_ms: float

    @property
    def ms(self) -> float:
        """Median milliseconds of a page."""
        return median(page.ms for page in self.pages.pages)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON object."""
        figures = self.pages.to_dict()
        own = {"peer": figures.pop("model"), "setting": self.setting, "empty_ms": self.empty_ms}
        return {**own, **figures, "ms_by_page": [page.ms for page in self.pages.pages]}


@dataclass(frozen=True)
class LetterRow:
    """What one reader made of a set of single letters, and how long one took."""

    peer: str
    setting: str
    letters: int
    wrong: int
    latency: Latency

    @property
    def error(self) -> float:
        """Share of letters that were not read, or not read right."""
        return self.wrong / self.letters


def own_peer(model: Path) -> Peer:
    """Return lettercast's reader with one model as a peer among others."""
    reader = Reader(open_engine(model))
    labels = reader.engine.facts.labels

    def read_letter(ink: Pixels) -> str:
        return labels[int(reader.engine(glyph(ink)[None, ..., None])[0].argmax())].upper()

    return Peer(f"lettercast {reader.engine.facts.name}", AS_IT_COMES, lambda page: reader.read(page).text, read_letter)


def compare_pages(
    peers: Sequence[Peer], pages: Sequence[NamedPage], rounds: int, report: Callable[[str], None]
) -> tuple[PageRow, ...]:
    """Have every peer read every page in each round, taking turns of five pages."""
    texts: dict[tuple[int, int], str] = {}
    seconds: dict[tuple[int, int], list[float]] = {}
    empty: list[list[float]] = [[] for _ in peers]
    white = np.full_like(pages[0].image, WHITE)
    for turn in range(rounds):
        for first in range(0, len(pages), PAGES_A_TURN):
            report(f"round {turn + 1} of {rounds}: {pages[first].name}")
            own_turn = list(enumerate(pages))[first : first + PAGES_A_TURN]
            for number, peer in enumerate(peers):
                for at, page in own_turn:
                    texts[number, at], took = timed_read(peer.read_page, page.image)
                    seconds.setdefault((number, at), []).append(took)
        for peer, taken in zip(peers, empty, strict=True):
            taken.append(timed_read(peer.read_page, white)[1])
    rows = []
    for number, peer in enumerate(peers):
        results = tuple(
            compare_page(page.name, page.text, texts[number, at], 1000 * median(seconds[number, at]))
            for at, page in enumerate(pages)
        )
        rows.append(PageRow(peer.name, peer.setting, PagesResult(peer.name, results), 1000 * median(empty[number])))
    return tuple(rows)


def compare_letters(peers: Sequence[Peer], inks: Sequence[Pixels], truth: Sequence[str]) -> tuple[LetterRow, ...]:
    """Have every peer that reads single letters read each of them, taking turns of 26; only the first letter read counts.

    inks are (H, W) uint8, white on black; truth holds capitals.
    """
    able = [(peer, peer.read_letter) for peer in peers if peer.read_letter]
    wrong, seconds = [0] * len(able), [[] for _ in able]
    letters = list(zip(inks, truth, strict=True))
    for first in range(0, len(letters), LETTERS_A_TURN):
        for number, (_, read) in enumerate(able):
            for ink, letter in letters[first : first + LETTERS_A_TURN]:
                said, took = timed_read(read, ink)
                seconds[number].append(took)
                wrong[number] += said[:1] != letter
    return tuple(
        LetterRow(peer.name, peer.setting, len(inks), wrong[number], summed_up(seconds[number]))
        for number, (peer, _) in enumerate(able)
    )


def timed_read(read: Callable[[Pixels], str], picture: Pixels) -> tuple[str, float]:
    """Return what was read, and the seconds it took."""
    begun = time.perf_counter()
    text = read(picture)
    return text, time.perf_counter() - begun
