"""Peers on the same pictures in the same run: other readers of text, and other engines for the same network.

Maintainer's command; without PAGES, pages are generated only:

    python -m lettercast.benchmarks.peers [PAGES] [--letters D ...] [--models DIR] [--rounds N] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import INTERRUPTED, UNUSABLE, LettercastError
from ..export.artifact import DEFAULT_MODEL, export_model
from ..export.formats import FORMATS
from ..runtime.files import write_bytes
from ..train.data import held_out_split, open_source
from ..train.source import draw_some
from ..values import device_model, positive
from .benchmark import find_models
from .machine import Machine, this_machine
from .peer_engines import COMPARED, EngineRow, compare_engines
from .peer_ocr import open_peers
from .peer_reading import LetterRow, PageRow, compare_letters, compare_pages, own_peer
from .peer_sets import page_sets, some_letters
from .stages import one_thread

ROUNDS, LETTERS_TAKEN = 3, 208
# Pictures on which engines are compared: every class 15 times.
ENGINE_LETTERS = 390
TABLE_COLUMNS = 120


@dataclass(frozen=True)
class Peers:
    """Everything of one run: rows by set of pages and by set of letters, lettercast first, and engines.

    absent says of each peer that took no part why, and how to install it.
    """

    machine: Machine
    rounds: int
    pages: dict[str, tuple[PageRow, ...]]
    letters: dict[str, tuple[LetterRow, ...]]
    engines: tuple[EngineRow, ...]
    absent: dict[str, str]
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
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
    report: Callable[[str], None] = lambda said: None,
) -> Peers:
    """Compare lettercast with every peer that is installed.

    Args:
        models: what lettercast reads with; the first is what others are measured by.
        exported: float32 and int8 models on which engines are compared.
        folder: pages with a labels.csv, or that file; None for generated pages only.
        letters: sources of single letters, of which held-out ones are read.
        rounds: how often every page is read.

    Interrupted, it returns what was measured until then. Raises LettercastError where models, pages or letters cannot be used.
    """
    machine, sets = this_machine(), page_sets(folder)
    sources = [open_source(spec, held_out_split(spec)) for spec in letters]
    others, absent = open_peers()
    peers = [*map(own_peer, models), *others]
    pages, by_letter, engines, interrupted = {}, {}, (), False
    try:
        for name, some in sets.items():
            pages[name] = compare_pages(peers, some, rounds, report)
        for source in sources:
            report(f"single letters of {source.name}")
            by_letter[f"{source.name}, {source.split}"] = compare_letters(peers, *some_letters(source, LETTERS_TAKEN))
        pictures = draw_some(open_source("pen", "test"), range(ENGINE_LETTERS), None)
        engines = compare_engines(exported, pictures, report=report)
    except KeyboardInterrupt:
        interrupted = True
    return Peers(machine, rounds, pages, by_letter, engines, absent, interrupted)


def export_compared(out: Path, report: Callable[[str], None]) -> None:
    """Export the model that ships to the formats that engines are compared on."""
    formats = [FORMATS[name] for name in COMPARED]
    export_model(DEFAULT_MODEL, formats, open_source("pen", "train"), open_source("pen", "test"), out, report=report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; returns the exit code."""
    from rich.console import Console

    from .peer_tables import peer_engines_table, peer_letters_table, peer_pages_table

    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="?", metavar="PAGES", help="a folder of pages with a labels.csv: file,text")
    parser.add_argument("--letters", nargs="+", default=["pen"], metavar="D", help="sources of single letters (default: pen)")
    parser.add_argument("--model", type=device_model, nargs="+", metavar="M", help="default: letters-base letters-nano")
    parser.add_argument("--models", type=Path, metavar="DIR", help="exports for the engines (default: exported for this run)")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    models = options.model or [device_model(name) for name in ("letters-base", "letters-nano")]
    try:
        with one_thread(), console.status("opening") as said, tempfile.TemporaryDirectory() as folder:
            if options.models is None:
                export_compared(Path(folder), said.update)
            exported = find_models([options.models or Path(folder)])
            result = run_peers(models, exported, options.pages, options.letters, rounds=options.rounds, report=said.update)
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
