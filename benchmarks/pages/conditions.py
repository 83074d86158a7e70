"""Measure the character error rate of generated pages by condition and strength.

Maintainer's command:

    python -m lettercast.benchmarks.pages.conditions [--data strokes.npz] [--pages N] [--model M] [--json FILE]
"""

import argparse
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import device_model, natural, positive
from ...runtime.files import write_bytes
from ...runtime.glyph import glyph
from ...runtime.model.engine import open_engine
from ...runtime.reader import Reader
from ...runtime.text import UNKNOWN
from ...train.data.drawing import draw_plain
from .scenes import (
    ALL_AT_ONCE,
    CODES,
    CONDITIONS,
    OF_LETTERS,
    PHONE_PX,
    PLAIN,
    SIZE_OF,
    STRENGTHS,
    WEBCAM_PX,
    Photo,
    photograph,
    scene_of,
)
from .scoring import Score, difference_interval, error_interval, score
from .writing import Hand, open_hands

# Three of four pages come from a phone, the other one from a webcam or a preview.
SIZES = (PHONE_PX, PHONE_PX, WEBCAM_PX, PHONE_PX)
PAGES = 4
# These threads draw the next pages while one page is read.
DRAWING_THREADS = 2
TABLE_COLUMNS = 128


@dataclass(frozen=True)
class Cell:
    """One condition at one strength, with the scores of its pages."""

    condition: str
    strength: str
    scores: tuple[Score, ...]

    def total(self, count: str) -> int:
        """Return the sum of one count of Score over the pages."""
        return sum(getattr(one, count) for one in self.scores)

    @property
    def error(self) -> float:
        """Character error rate 0..1; the errors of a page are limited to its letters."""
        return self.total("lost") / max(1, self.total("letters"))

    @property
    def cer(self) -> float:
        """Character error rate as in `evaluate --pages`; it is above 1 if there are more errors than letters."""
        return self.total("errors") / max(1, self.total("letters"))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the error, 0..1."""
        return error_interval([one.lost for one in self.scores], [one.letters for one in self.scores])

    @property
    def gaps_right(self) -> float | None:
        """Correct gaps as a share of all true or read gaps between words; None without any gap."""
        either = self.total("gaps") + self.total("gaps_invented")
        return self.total("gaps_found") / either if either else None

    @property
    def miscounted(self) -> float | None:
        """Words of forms with a wrong number of letters as a share of all; None without forms."""
        return self.total("words_wrong") / self.total("words") if self.total("words") else None

    def against(self, plain: "Cell") -> tuple[float, float]:
        """Return the 95 % interval of the error that this condition adds to that of the same letters on plain pages."""
        return difference_interval([one.rate for one in self.scores], [one.rate for one in plain.scores])

    def to_dict(self) -> dict[str, Any]:
        """Return the rates and the sums of all counts as a JSON object."""
        sums = {name: self.total(name) for name in asdict(self.scores[0])}
        return {
            "condition": self.condition,
            "strength": self.strength,
            "error": self.error,
            "cer": self.cer,
            "interval": list(self.interval),
            "gaps_right": self.gaps_right,
            "miscounted": self.miscounted,
            "pages": len(self.scores),
            **sums,
        }


@dataclass(frozen=True)
class Conditions:
    """All conditions for one model and one source of letters.

    alone is the error of the network on the same letters as single clean drawings, 0..1; pages cannot have less.
    """

    model: str
    data: str
    split: str
    seed: int
    alone: float
    cells: tuple[Cell, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        facts = {name: getattr(self, name) for name in ("model", "data", "split", "seed", "alone")}
        plain = self.cells[0]
        cells = [{**cell.to_dict(), "against_plain": list(cell.against(plain))} for cell in self.cells]
        return {**facts, "cells": cells}


def take_page(hands: Sequence[Hand], condition: str, strength: str, number: int, *, seed: int) -> Photo:
    """Photograph page `number` of a condition.

    A number has the same hand and letters in all conditions, and the same random camera at all strengths of a condition.
    """
    writer = np.random.default_rng([seed, number])
    # Every hand writes once before any hand writes again.
    hand = hands[int(np.random.default_rng(seed).permutation(len(hands))[number % len(hands)])]
    camera = np.random.default_rng([seed, number, zlib.crc32(condition.encode())])
    size = SIZE_OF.get(condition, SIZES[number % len(SIZES)])
    return photograph(hand, scene_of(condition, strength, camera), size, writer=writer, camera=camera)


def cells_of(conditions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the plain page, then every condition with its strengths."""
    yield PLAIN, ""
    yield from ((condition, strength) for condition in conditions for strength in STRENGTHS)


def run_conditions(
    reader: Reader,
    data: str = "pen",
    split: str = "val",
    *,
    pages: int = PAGES,
    seed: int = 0,
    conditions: Sequence[str] = (),
    progress: Callable[[str], None] = lambda cell: None,
) -> Conditions:
    """Read `pages` pages of every condition and strength, by default of all that the model has the classes for.

    Raises LettercastError if the data has no strokes, or the conditions need digits that the model does not read.
    """
    hands = open_hands(data, split)
    cells = []
    for condition, strength in cells_of(conditions_for(reader, conditions)):
        progress(f"{condition} {strength}")
        with ThreadPoolExecutor(DRAWING_THREADS) as pool:
            photos = pool.map(partial(take_page, hands, condition, strength, seed=seed), range(pages))
            scores = tuple(score(reader.read(photo.image), photo.text, photo.letters, photo.boxes) for photo in photos)
        cells.append(Cell(condition, strength, scores))
    alone = error_alone(reader, [take_page(hands, PLAIN, "", number, seed=seed) for number in range(pages)])
    return Conditions(reader.engine.facts.name, Path(data).name, split, seed, alone, tuple(cells))


def conditions_for(reader: Reader, conditions: Sequence[str] = ()) -> list[str]:
    """Return these conditions, or all for which the model has the classes; raises LettercastError if it lacks digits for one."""
    has_digits = bool(reader.alphabet and len(reader.alphabet.digits))
    if CODES in conditions and not has_digits:
        raise LettercastError(f"{reader.engine.facts.name}: reads no digits; measure '{CODES}' with a model of 0 to 9 and A to Z")
    return list(conditions) or [*OF_LETTERS, *((CODES,) if has_digits else ())]


def error_alone(reader: Reader, photos: Sequence[Photo]) -> float:
    """Return the network's error 0..1 on the photographs' letters as single clean drawings."""
    letters = [one for photo in photos for one in photo.writing.letters]
    probabilities = reader.engine(np.stack([glyph(draw_plain(one.strokes)) for one in letters])[..., None])
    facts = reader.engine.facts
    names = [facts.labels[int(row.argmax())] if row.max() >= facts.reject_below else UNKNOWN for row in probabilities]
    return float(np.mean([one.letter.upper() != name.upper() for one, name in zip(letters, names, strict=True)]))


def conditions_table(result: Conditions) -> Table:
    """Return one line per condition and strength, with the error that it adds to the plain page."""
    plain = result.cells[0]
    table = Table(
        title=f"character error rate of pages: {result.model} on {result.data}, {result.split}, seed {result.seed}",
        caption=f"""\
The network's error on single clean drawings of the plain page's letters is {100 * result.alone:.1f} %.
error: edits in % of letters, at most 100 % per page
vs plain: points above the same letters on the plain page, red if the difference is significant (95 %)
missed: letters without a box of their own; misread: found, but with another name; extra: boxes without a letter
gaps: correct gaps in % of all true or read gaps between words
words: words in boxes of forms with a wrong number of letters, in %""",
        caption_justify="left",
    )
    counts = ("missed", "misread", "extra", "gaps %", "words %", "letters")
    for name in ("condition", "strength", "error %", "(95 %)", "vs plain", *counts):
        table.add_column(name, justify="left" if name in ("condition", "strength") else "right", no_wrap=True)
    for cell in result.cells:
        letters = max(1, cell.total("letters"))
        worse = cell.error - plain.error
        low, high = cell.against(plain)
        gaps = "-" if cell.gaps_right is None else f"{100 * cell.gaps_right:.0f}"
        table.add_row(
            cell.condition if cell.strength in ("", STRENGTHS[0]) else "",
            cell.strength,
            f"{100 * cell.error:.1f}",
            f"({100 * cell.interval[0]:.1f}..{100 * cell.interval[1]:.1f})",
            "" if cell is plain else Text(f"{100 * worse:+.1f} ±{50 * (high - low):.1f}", "red" if low > 0 else ""),
            *(f"{100 * cell.total(count) / letters:.1f}" for count in ("missed", "misread", "extra")),
            gaps,
            "-" if cell.miscounted is None else f"{100 * cell.miscounted:.0f}",
            str(cell.total("letters")),
            end_section=cell.strength in ("", STRENGTHS[-1]),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.pages.conditions", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", default="pen", metavar="D", help="the handwriting: pen (the default) or an .npz of strokes")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="whose strokes to use (default: val)")
    parser.add_argument(
        "--pages", type=positive, default=PAGES, metavar="N", help="pages of each condition and strength (default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=(*CONDITIONS, ALL_AT_ONCE),
        metavar="NAME",
        help="only this condition; repeatable",
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="another seed draws other pages (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        with console.status("opening") as status:
            result = run_conditions(
                Reader(open_engine(options.model)),
                options.data,
                options.split,
                pages=options.pages,
                seed=options.seed,
                conditions=options.only or (),
                progress=status.update,
            )
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console(width=TABLE_COLUMNS).print(conditions_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
