"""What reading an archive costs: beside a bare loop over the same pages, and with several processes beside one.

    python -m lettercast.benchmarks.archives --pages 300

The overhead is processor time, which other programs change little. Rates are of the wall clock, and mean something only on a
machine that does nothing else. Needs Linux.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import active_children
from pathlib import Path
from statistics import median

import cv2
from rich.table import Table

from .. import DONE, UNUSABLE, LettercastError
from ..bulk import read_archive
from ..bulk.archive import Progress
from ..bulk.files import find_files
from ..runtime.arguments import device_model, positive, thread_count
from ..runtime.files import write_bytes
from ..runtime.reader import Reader
from .pages.conditions import PLAIN, take_page
from .pages.writing import open_hands

# Fewer pages would count the first use of the writer's libraries for more than it is in an archive.
PAGES, ROUNDS = 300, 3
# So many pages differ; the others are links to them.
DISTINCT_PAGES = 60
# The places of user and system time in /proc/PID/stat, counted from the state, which follows the name in brackets.
USER, SYSTEM = 11, 12


@dataclass(frozen=True)
class ArchiveFigures:
    """The medians of some rounds over the same pages.

    bare_ms, reading_ms and writing_ms are milliseconds of processor time per page: of `Reader.read` in a loop, of the process of
    an archive that reads, and of the one that writes. rates are pages per second by the number of processes, without their start.
    """

    pages: int
    rounds: int
    bare_ms: float
    reading_ms: float
    writing_ms: float
    rates: dict[int, float]

    @property
    def overhead(self) -> float:
        """What an archive takes more than the loop, as a share of the loop."""
        return (self.reading_ms + self.writing_ms) / self.bare_ms - 1


@dataclass(frozen=True)
class Run:
    """One run with an archive: processor time of all readers and of the writer, and wall-clock time, each in ms per page."""

    reading_ms: float
    writing_ms: float
    wall_ms: float


def measure_archive(folder: Path, model: str | Path, processes: int, rounds: int) -> ArchiveFigures:
    """Read the images of a folder in a loop, and into archives with one process and with several, in turns.

    Args:
        folder: images that can all be read.
        model: the model to read with.
        processes: how many processes to compare with one.
        rounds: how often.
    """
    files, reader = find_files([str(folder)]), Reader(model)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    bare: list[float] = []
    runs: dict[int, list[Run]] = {count: [] for count in sorted({1, processes})}
    try:
        for _ in range(rounds):
            began = time.process_time()
            for path in files:
                reader.read(path)
            bare.append((time.process_time() - began) / len(files) * 1000)
            for count, some in runs.items():
                some.append(run_archive(folder, model, count))
    finally:
        cv2.setNumThreads(threads)
    return ArchiveFigures(
        len(files),
        rounds,
        median(bare),
        median(run.reading_ms for run in runs[1]),
        median(run.writing_ms for run in runs[1]),
        {count: 1000 / median(run.wall_ms for run in some) for count, some in runs.items()},
    )


def run_archive(folder: Path, model: str | Path, processes: int) -> Run:
    """Read the images of a folder into an archive once, and measure from the first page to the last."""
    marks: list[tuple[int, float, float, float]] = []

    def mark(progress: Progress) -> None:
        if progress.pages in (processes, progress.total):
            readers = sum(processor_s(child.pid or 0) for child in active_children())
            marks.append((progress.pages, readers, time.process_time(), time.perf_counter()))

    with tempfile.TemporaryDirectory() as out:
        read_archive(folder, Path(out, "letters.parquet"), model=model, processes=processes, on_progress=mark)
    # The last part is written after the last page.
    writing_s = time.process_time() - marks[0][2]
    pages = marks[-1][0] - marks[0][0]
    per_page = 1000 / max(1, pages)
    return Run((marks[-1][1] - marks[0][1]) * per_page, writing_s * per_page, (marks[-1][3] - marks[0][3]) * per_page)


def processor_s(process: int) -> float:
    """Return the seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[USER]) + int(fields[SYSTEM])) / os.sysconf("SC_CLK_TCK")


def write_pages(folder: Path, count: int) -> None:
    """Write photographs of generated pages to a folder."""
    hands = open_hands("pen", "val")
    for number in range(count):
        path, same = folder / f"{number}.jpg", folder / f"{number % DISTINCT_PAGES}.jpg"
        if same.exists():
            path.hardlink_to(same)
        else:
            cv2.imwrite(str(path), take_page(hands, PLAIN, "", number, seed=0).image)


def archive_table(figures: ArchiveFigures) -> Table:
    """Return the figures as a table."""
    table = Table(title=f"{figures.pages} pages, medians of {figures.rounds} round{'s' * (figures.rounds > 1)}")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_row("a loop over Reader.read, processor time", f"{figures.bare_ms:.2f} ms a page")
    table.add_row("the process that reads", f"{figures.reading_ms:.2f} ms a page")
    table.add_row("the process that writes", f"{figures.writing_ms:.2f} ms a page")
    table.add_row("overhead", f"{figures.overhead:.1%}")
    for count, rate in figures.rates.items():
        more = f", {rate / figures.rates[1]:.2f} times one" if count > 1 else ""
        table.add_row(f"{count} process{'es' if count > 1 else ''}, wall clock", f"{rate:.1f} pages/s{more}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.archives", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a folder of images (default: generated pages)")
    parser.add_argument("--pages", type=positive, default=PAGES, metavar="N", help="generate N pages (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument(
        "--processes", type=thread_count, default=os.cpu_count(), metavar="N", help="compare N with one (default: all cores)"
    )
    parser.add_argument(
        "--model", type=device_model, default="letters-base", metavar="M", help="a model to read with (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as made:
            folder = options.folder or Path(made)
            if not options.folder:
                write_pages(folder, options.pages)
            figures = measure_archive(folder, options.model, options.processes, options.rounds)
        if options.json:
            write_bytes(options.json, json.dumps({**asdict(figures), "overhead": figures.overhead}, indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    Console().print(archive_table(figures))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
