"""Where the boxes and marks of a sheet to write on are: the one definition for printing it and for finding it on a photograph.

All lengths are millimetres from the left top of the page.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError

# Another place of a box or a mark is another version, because a sheet may be filled in years after it was printed.
VERSION, MAX_VERSION = 1, 5
PAPERS = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}
COPIES = 3
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
DIGITS = tuple("0123456789")
MAX_LABEL = 100
# Sheets whose labels are known from their marks, and the number of pages that each kind may have.
KNOWN = {"letters": LETTERS, "digits": (*DIGITS, *LETTERS)}
CUSTOM = "custom"
MAX_PAGES = {"letters": 4, "digits": 4, CUSTOM: 12}
KINDS = tuple(MAX_PAGES)

MARK_MM, MARGIN_MM, EDGE_MM = 12.0, 9.0, 8.0
BOX_MM, GAP_MM, GROUP_GAP_MM = 13.5, 1.7, 4.5
GROUPS, ROWS = 4, 13
GROUP_MM = COPIES * BOX_MM + (COPIES - 1) * GAP_MM
GRID_MM = GROUPS * GROUP_MM + (GROUPS - 1) * GROUP_GAP_MM
# The grid begins and ends this far from the top and the bottom of the page; above each box is room for its caption.
TOP_MM, BOTTOM_MM, CAPTION_MM = 24.0, 22.5, 3.8
# The corners from the left top one with the clock, and the middle of the lower edge, whose mark stands for the labels.
PLACES = ("left top", "right top", "right bottom", "left bottom", "bottom")
CORNER_PLACES, LABEL_PLACE = (0, 1, 2, 3), 4
CODES_OF_A_VERSION, CODES_OF_A_PAPER = 40, 20
LABEL_CODES = MAX_VERSION * CODES_OF_A_VERSION
MARK_IDS = LABEL_CODES * len(PLACES)


@dataclass(frozen=True)
class SheetBox:
    """A box for one letter: what is to be written, which of its copies it is, and its left and top."""

    label: str
    copy: int
    left: float
    top: float

    @property
    def corners(self) -> NDArray[np.float64]:
        """(4, 2) x and y, from the left top corner with the clock."""
        right, bottom = self.left + BOX_MM, self.top + BOX_MM
        return np.array([(self.left, self.top), (right, self.top), (right, bottom), (self.left, bottom)])


@dataclass(frozen=True)
class SheetPage:
    """One page of a sheet: its kind of labels, its paper, its number from 0, and the labels of the whole sheet."""

    kind: str
    paper: str
    number: int
    labels: tuple[str, ...]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return PAPERS[self.paper]

    @property
    def count(self) -> int:
        """The number of pages of the sheet."""
        return page_count(self.labels)

    @property
    def code(self) -> int:
        """What the marks at the corners stand for: version, paper, kind and number."""
        slot = sum(MAX_PAGES[kind] for kind in KINDS[: KINDS.index(self.kind)]) + self.number
        return CODES_OF_A_VERSION * (VERSION - 1) + CODES_OF_A_PAPER * list(PAPERS).index(self.paper) + slot

    @property
    def label_code(self) -> int:
        """What the mark at the bottom stands for: a checksum of the labels."""
        return zlib.crc32("\n".join(self.labels).encode()) % LABEL_CODES

    @property
    def mark_ids(self) -> tuple[int, ...]:
        """The ids of the marks at PLACES."""
        return tuple(mark_id(self.label_code if place == LABEL_PLACE else self.code, place) for place in range(len(PLACES)))

    @property
    def marks(self) -> NDArray[np.float64]:
        """(5, 4, 2) the corners of the marks at PLACES, from the left top one with the clock."""
        width, height = self.size
        right, bottom = width - MARGIN_MM - MARK_MM, height - EDGE_MM - MARK_MM
        starts = ((MARGIN_MM, EDGE_MM), (right, EDGE_MM), (right, bottom), (MARGIN_MM, bottom), ((width - MARK_MM) / 2, bottom))
        square = MARK_MM * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        return np.array(starts)[:, None] + square

    @cached_property
    def boxes(self) -> tuple[SheetBox, ...]:
        """The boxes, row by row; the copies of a label follow each other."""
        width, height = self.size
        left, pitch = (width - GRID_MM) / 2, (height - TOP_MM - BOTTOM_MM) / ROWS
        first = self.number * GROUPS * ROWS
        return tuple(
            SheetBox(
                label,
                copy,
                left + i % GROUPS * (GROUP_MM + GROUP_GAP_MM) + copy * (BOX_MM + GAP_MM),
                TOP_MM + i // GROUPS * pitch + CAPTION_MM,
            )
            for i, label in enumerate(self.labels[first : first + GROUPS * ROWS])
            for copy in range(COPIES)
        )


def page_count(labels: Sequence[str]) -> int:
    """Return how many pages a sheet of these labels has."""
    return -(-len(labels) // (GROUPS * ROWS))


def sheet_pages(labels: Sequence[str] = LETTERS, paper: str = "a4") -> list[SheetPage]:
    """Return the pages of a sheet.

    Raises LettercastError if there is no such paper, or if the labels need more pages than marks can tell apart.
    """
    if paper not in PAPERS:
        raise LettercastError(f"paper {paper}: no such paper; use {' or '.join(PAPERS)}")
    own = tuple(labels)
    kind = kind_of(own)
    count, most = page_count(own), MAX_PAGES[kind]
    if not own or count > most:
        raise LettercastError(f"a sheet has 1 to {most * GROUPS * ROWS} labels, not {len(own)}; make several sheets")
    # Letters lie in a folder that has the name of their label.
    unfit = [label for label in own if label.startswith(".") or any(one in label for one in "/\\:\0") or len(label) > MAX_LABEL]
    if unfit:
        raise LettercastError(
            f"label '{unfit[0][:40]}': is no name of a folder; use at most {MAX_LABEL} characters other than . / \\ :"
        )
    return [SheetPage(kind, paper, number, own) for number in range(count)]


def kind_of(labels: Sequence[str]) -> str:
    """Return the kind of a sheet of these labels."""
    return next((kind for kind, known in KNOWN.items() if known == tuple(labels)), CUSTOM)


def labels_for(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a sheet for a model of these classes: capitals and small letters where it reads A to Z."""
    own = tuple(classes)
    both = {tuple(LETTERS[:26]): LETTERS, (*DIGITS, *LETTERS[:26]): KNOWN["digits"]}
    return both.get(own, own)


def mark_id(code: int, place: int) -> int:
    """Return the id of the mark for a code at one of PLACES."""
    return len(PLACES) * code + place


def version_of(code: int) -> int:
    """Return the version of a sheet whose corner marks stand for this code."""
    return code // CODES_OF_A_VERSION + 1


def page_of(code: int, labels: Sequence[str] | None = None) -> SheetPage | None:
    """Return the page that corner marks with this code stand for; None if no page of this version has it.

    labels are those of a sheet of other labels than A to Z; without them its page has none, and no boxes.
    """
    paper, slot = divmod(code - CODES_OF_A_VERSION * (VERSION - 1), CODES_OF_A_PAPER)
    if version_of(code) != VERSION:
        return None
    for kind, pages in MAX_PAGES.items():
        if slot < pages:
            own = KNOWN.get(kind, tuple(labels or ()))
            return SheetPage(kind, list(PAPERS)[paper], slot, own) if slot < page_count(own) or not own else None
        slot -= pages
    return None
