"""Compare lettercast in one run with other readers of text on the same images, and with other engines for the same network.

Maintainer's command; without PAGES it reads an example page and generated pages:

    python -m lettercast.benchmarks.peers.run [PAGES] [--letters D ...] [--models DIR] [--rounds N] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ... import INTERRUPTED, UNUSABLE, LettercastError
from ...export.exporter import DEFAULT_MODEL, export_model
from ...export.formats import FORMATS
from ...runtime.arguments import device_model, positive
from ...runtime.files import write_bytes
from ...runtime.glyph import glyph
from ...runtime.model.engine import open_engine
from ...runtime.pixels import Pixels
from ...runtime.reader import Reader
from ...runtime.sources.images import read_image
from ...train.data.drawing import draw_plain
from ...train.data.open import held_out_split, open_source
from ...train.data.pen import PenSource
from ...train.data.source import ImageSource, Source, StrokeSource, draw_some
from ...train.pages import PagesResult, compare_page, read_labels
from ..columns import Cell, fill, in_ms, known
from ..pages.conditions import take_page
from ..pages.scenes import PLAIN, STRENGTHS
from ..pages.writing import open_hands
from ..parity.benchmark import find_models
from ..parity.contender import BATCH
from ..parity.measure import Latency, Machine, latency_of, this_machine
from ..speed.camera_loop import one_thread
from .engines import COMPARED, EngineRow, compare_engines
from .ocr import AS_IT_COMES, Peer, open_peers

SEED = 0
# Pages that readers of text are made for: upright and in focus, on each kind of paper.
MILD = STRENGTHS[0]
GENERATED = (
    (PLAIN, ""),
    ("ruled", MILD),
    ("squared", MILD),
    ("grid card", MILD),
    ("soft shadow", MILD),
    ("tinted paper", MILD),
    ("marker", MILD),
    ("coloured ink", MILD),
)
LABELS = "labels.csv"
EXAMPLE, EXAMPLE_TEXT = Path(__file__).parents[2] / "docs" / "example-page.jpg", "HANDWRITING|ON A DEVICE"
WHITE = 255
# Readers take turns after this many pages or letters. The first one after a turn of another reader has cold caches.
PAGES_PER_TURN, LETTERS_PER_TURN = 5, 26
ROUNDS, LETTERS_TAKEN = 3, 208
# Engines are compared on this many letters: every class 15 times.
ENGINE_LETTERS = 390
TABLE_COLUMNS = 120


@dataclass(frozen=True)
class NamedPage:
    """A page (H, W, 3) BGR uint8 with its true text, with `|` between lines."""

    name: str
    text: str
    image: Pixels


@dataclass(frozen=True)
class PageRow:
    """The results of one reader on a set of pages; empty_ms is its time for a white page of the same size, with its start."""

    peer: str
    setting: str
    pages: PagesResult
    empty_ms: float

    @property
    def ms(self) -> float:
        """Median milliseconds per page."""
        return median(page.ms for page in self.pages.pages)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        figures = self.pages.to_dict()
        own = {"peer": figures.pop("model"), "setting": self.setting, "empty_ms": self.empty_ms}
        return {**own, **figures, "ms_by_page": [page.ms for page in self.pages.pages]}


@dataclass(frozen=True)
class LetterRow:
    """The results of one reader on a set of single letters, and the latency of one letter."""

    peer: str
    setting: str
    letters: int
    wrong: int
    latency: Latency

    @property
    def error(self) -> float:
        """Share of letters that were misread or not read, 0..1."""
        return self.wrong / self.letters


@dataclass(frozen=True)
class Peers:
    """All results of one run: rows by set of pages and by set of letters, lettercast first, and rows of engines.

    absent names each missing peer, with the reason and how to install it.
    """

    machine: Machine
    rounds: int
    pages: dict[str, tuple[PageRow, ...]]
    letters: dict[str, tuple[LetterRow, ...]]
    engines: tuple[EngineRow, ...]
    absent: dict[str, str]
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return all results as a JSON object."""
        return {
            "machine": self.machine.to_dict(),
            "rounds": self.rounds,
            "pages": {name: [row.to_dict() for row in rows] for name, rows in self.pages.items()},
            "letters": {name: [{**asdict(row), "error": row.error} for row in rows] for name, rows in self.letters.items()},
            "engines": [row.to_dict() for row in self.engines],
            "absent": self.absent,
            "interrupted": self.interrupted,
        }


def run_peers(
    models: Sequence[Path],
    exported: Sequence[Path],
    folder: Path | None,
    letters: Sequence[str],
    *,
    rounds: int = ROUNDS,
    report: Callable[[str], None] = lambda message: None,
) -> Peers:
    """Compare lettercast with every installed peer.

    Args:
        models: models of lettercast to read with; tables compare with the first one.
        exported: float32 and int8 models to compare engines on.
        folder: a folder of pages with a labels.csv, or that file; None for the example page and generated pages.
        letters: sources of single letters; their held-out letters are read.
        rounds: how often to read every page.
        report: a function that shows progress.

    After Ctrl-C it returns the results so far. Raises LettercastError if models, pages or letters cannot be used.
    """
    machine, sets = this_machine(), page_sets(folder)
    sources = [open_source(spec, held_out_split(spec)) for spec in letters]
    others, absent = open_peers()
    peers = [*map(lettercast_peer, models), *others]
    pages, by_letter, engines, interrupted = {}, {}, (), False
    try:
        for name, some in sets.items():
            pages[name] = compare_pages(peers, some, rounds, report)
        for source in sources:
            report(f"single letters of {source.name}")
            by_letter[f"{source.name}, {source.split}"] = compare_letters(peers, *some_letters(source, LETTERS_TAKEN))
        images = draw_some(open_source("pen", "test"), range(ENGINE_LETTERS), None)
        engines = compare_engines(exported, images, report=report)
    except KeyboardInterrupt:
        interrupted = True
    return Peers(machine, rounds, pages, by_letter, engines, absent, interrupted)


def page_sets(folder: Path | None) -> dict[str, list[NamedPage]]:
    """Return sets of pages by name: those of a folder, the example page, and generated pages."""
    sets = labelled_pages(folder) if folder else {}
    # The example page is part of the sources, but not of the installed package.
    if EXAMPLE.is_file():
        sets["example page"] = [NamedPage(EXAMPLE.name, EXAMPLE_TEXT, read_image(EXAMPLE))]
    return {**sets, "generated pages": generated_pages()}


def labelled_pages(folder: Path) -> dict[str, list[NamedPage]]:
    """Return the pages of a folder with a labels.csv, or of that file, by the folder's name.

    Raises LettercastError if the CSV or an image cannot be used.
    """
    labels = folder / LABELS if folder.is_dir() else folder
    pages = [NamedPage(file, text, read_image(labels.parent / file)) for file, text in read_labels(labels)]
    return {labels.parent.resolve().name: pages}


def generated_pages(conditions: Sequence[tuple[str, str]] = GENERATED) -> list[NamedPage]:
    """Photograph a page in the handwriting of the pen for each (condition, strength)."""
    hands = open_hands("pen", "test")
    photos = [take_page(hands, condition, strength, i, seed=SEED) for i, (condition, strength) in enumerate(conditions)]
    return [
        NamedPage(condition, photo.text.replace("\n", "|"), photo.image)
        for (condition, _), photo in zip(conditions, photos, strict=True)
    ]


def some_letters(source: Source, count: int) -> tuple[list[Pixels], list[str]]:
    """Return the ink (H, W) uint8 of random letters in the size of the source, and their names as capitals."""
    rng = np.random.default_rng(SEED)
    chosen = rng.choice(len(source.labels), min(count, len(source.labels)), replace=False)
    return [ink_of(source, int(i)) for i in chosen], [source.classes[source.labels[i]].upper() for i in chosen]


def ink_of(source: Source, index: int) -> Pixels:
    """Return the undistorted ink (H, W) uint8 of one letter; raises LettercastError for several sources in one."""
    match source:
        case StrokeSource():
            return draw_plain(source.strokes.letter(index))
        case ImageSource():
            return source.inks[index]
        case PenSource():
            return source.ink(index)
        case _:
            raise LettercastError(f"{source.name}: several sources in one; name each source separately")


def lettercast_peer(model: Path) -> Peer:
    """Return lettercast's reader with one model as a peer."""
    reader = Reader(open_engine(model))
    labels = reader.engine.facts.labels

    def read_letter(ink: Pixels) -> str:
        return labels[int(reader.engine(glyph(ink)[None, ..., None])[0].argmax())].upper()

    return Peer(f"lettercast {reader.engine.facts.name}", AS_IT_COMES, lambda page: reader.read(page).text, read_letter)


def compare_pages(
    peers: Sequence[Peer], pages: Sequence[NamedPage], rounds: int, report: Callable[[str], None]
) -> tuple[PageRow, ...]:
    """Let every peer read every page in each round; peers take turns after PAGES_PER_TURN pages."""
    texts: dict[tuple[int, int], str] = {}
    seconds: dict[tuple[int, int], list[float]] = {}
    empty: list[list[float]] = [[] for _ in peers]
    white = np.full_like(pages[0].image, WHITE)
    for turn in range(rounds):
        for first in range(0, len(pages), PAGES_PER_TURN):
            report(f"round {turn + 1} of {rounds}: {pages[first].name}")
            own_turn = list(enumerate(pages))[first : first + PAGES_PER_TURN]
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
    """Let every peer that reads single letters read all of them; peers take turns after LETTERS_PER_TURN letters.

    Only the first letter of an output counts. inks are (H, W) uint8, white on black; truth holds capitals.
    """
    able = [(peer, peer.read_letter) for peer in peers if peer.read_letter]
    wrong, seconds = [0] * len(able), [[] for _ in able]
    letters = list(zip(inks, truth, strict=True))
    for first in range(0, len(letters), LETTERS_PER_TURN):
        for number, (_, read) in enumerate(able):
            for ink, letter in letters[first : first + LETTERS_PER_TURN]:
                text, took = timed_read(read, ink)
                seconds[number].append(took)
                wrong[number] += text[:1] != letter
    return tuple(
        LetterRow(peer.name, peer.setting, len(inks), wrong[number], latency_of(seconds[number]))
        for number, (peer, _) in enumerate(able)
    )


def timed_read(read: Callable[[Pixels], str], image: Pixels) -> tuple[str, float]:
    """Return the text that was read, and the seconds it took."""
    begun = time.perf_counter()
    text = read(image)
    return text, time.perf_counter() - begun


def export_compared(out: Path, report: Callable[[str], None]) -> None:
    """Export the shipped model to the formats on which engines are compared."""
    formats = [FORMATS[name] for name in COMPARED]
    export_model(DEFAULT_MODEL, formats, open_source("pen", "train"), open_source("pen", "test"), out, report=report)


def peer_pages_table(name: str, rows: Sequence[PageRow], absent: Mapping[str, str]) -> Table:
    """Return one line per reader of a set of pages, with errors and times as multiples of the first reader's."""
    first = rows[0]
    table = Table(
        title=f"{name}; pages: {len(first.pages.pages)}, letters: {first.pages.letters}; one thread each",
        caption="as it comes: default settings; at its best: the settings with the fewest errors on such pages\n"
        "errors x, time x: multiples of the first reader's; empty ms: a white page, with the reader's start",
        caption_justify="left",
    )
    columns: dict[str, Cell[PageRow]] = {
        "reader": lambda row: row.peer,
        "setting": lambda row: row.setting,
        "error %": lambda row: f"{100 * row.pages.cer:.1f}",
        "errors x": lambda row: _times(row.pages.cer, first.pages.cer),
        "ms per page": lambda row: f"{row.ms:.1f}",
        "time x": lambda row: _times(row.ms, first.ms),
        "empty ms": lambda row: f"{row.empty_ms:.1f}",
    }
    return _add_absent(fill(table, columns, rows, columns), absent)


def peer_letters_table(name: str, rows: Sequence[LetterRow], absent: Mapping[str, str]) -> Table:
    """Return one line per reader of single letters."""
    first = rows[0]
    table = Table(title=f"single letters of {name}: {first.letters} letters, one thread each")
    columns: dict[str, Cell[LetterRow]] = {
        "reader": lambda row: row.peer,
        "setting": lambda row: row.setting,
        "error %": lambda row: f"{100 * row.error:.1f}",
        "errors x": lambda row: _times(row.error, first.error),
        "ms per letter": lambda row: in_ms(row.latency.p50_ms),
        "time x": lambda row: _times(row.latency.p50_ms, first.latency.p50_ms),
    }
    return _add_absent(fill(table, columns, rows, columns), absent)


def peer_engines_table(rows: Sequence[EngineRow]) -> Table:
    """Return one line per model and engine."""
    missing = "\n".join(f"{row.model} in {row.engine}: {row.missing}" for row in rows if row.missing)
    table = Table(
        title=f"the network alone in each engine, one thread: 1 letter, and {BATCH} at once",
        caption=Text(
            "\n".join(
                filter(None, ["agree %, difference: compared with ONNX Runtime on the ONNX model of the same precision", missing])
            )
        ),
        caption_justify="left",
    )
    columns: dict[str, Cell[EngineRow]] = {
        "model": lambda row: row.model,
        "engine": lambda row: row.engine,
        "p50 ms": lambda row: known(row.letter, lambda letter: in_ms(letter.p50_ms)),
        f"{BATCH}: p50 ms": lambda row: known(row.batch, lambda batch: in_ms(batch.p50_ms)),
        "agree %": lambda row: known(row.agreement, lambda agreement: f"{agreement:.2f}"),
        "difference": lambda row: known(row.difference, lambda difference: f"{difference:.1e}"),
    }
    return fill(table, columns, rows, columns)


def _add_absent(table: Table, absent: Mapping[str, str]) -> Table:
    """Add a line for each missing peer, and the reasons to the caption."""
    for name, why in absent.items():
        table.add_row(name, why.partition(":")[0])
    reasons = [f"{name}: {why}" for name, why in absent.items()]
    # A Text, because brackets are markup in a string.
    table.caption = Text("\n".join([*([str(table.caption)] if table.caption else []), *reasons]))
    table.caption_justify = "left"
    return table


def _times(value: float, first: float) -> str:
    """Return a figure as a multiple of the first one, a dash if that is 0."""
    return f"{value / first:.1f} x" if first else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.peers.run", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "pages", type=Path, nargs="?", metavar="PAGES", help="a folder of pages with a labels.csv (file,text), or that file"
    )
    parser.add_argument("--letters", nargs="+", default=["pen"], metavar="D", help="sources of single letters (default: pen)")
    parser.add_argument(
        "--model", type=device_model, nargs="+", metavar="M", help="models to read with (default: letters-base letters-nano)"
    )
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="exports to compare engines on (default: letters-base, exported for this run)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=ROUNDS, metavar="N", help="how often to read every page (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    models = options.model or [device_model(name) for name in ("letters-base", "letters-nano")]
    try:
        with one_thread(), console.status("opening") as status, tempfile.TemporaryDirectory() as folder:
            if options.models is None:
                export_compared(Path(folder), status.update)
            exported = find_models([options.models or Path(folder)])
            result = run_peers(models, exported, options.pages, options.letters, rounds=options.rounds, report=status.update)
        if options.json:
            write_bytes(options.json, json.dumps(result.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    table_console = Console(width=TABLE_COLUMNS)
    for name, rows in result.pages.items():
        table_console.print(peer_pages_table(name, rows, result.absent))
    for name, rows in result.letters.items():
        table_console.print(peer_letters_table(name, rows, result.absent))
    if result.engines:
        table_console.print(peer_engines_table(result.engines))
    return INTERRUPTED if result.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
