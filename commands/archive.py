"""Reading an archive: what the command `read` does with --out."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .. import DONE, UNUSABLE, LettercastError
from ..runtime.arguments import DEFAULT_NAME, thread_count
from .terminal import importing

if TYPE_CHECKING:
    from ..bulk.archive import Archive, Progress

# Options of `read` that show or send frames one by one, by their attribute.
OF_FRAMES = ("json", "save", "record", "overwrite", "serve", "token", "mqtt", "webhook", "queue", "wait", "hand")
# In a file or a pipe, a line after so many pages takes the place of the bar.
PAGES_A_LINE = 1000
# Rates are those of the last so many seconds.
RATE_S, REDRAW_S = 60.0, 0.2
NAMED_ERRORS = 3


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of reading an archive."""
    group = command.add_argument_group("archives", "Read many pages into tables that other programs query.")
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write what is read to this folder, such as letters.parquet: a row a page and a row a letter, as Parquet files; "
        "SOURCE is then an image, a TIFF or PDF of several pages, a folder with all folders inside it, a pattern such as "
        "'scans/**/*.jpg', or a .txt file with one path per line; if the folder exists, reading goes on where it stopped",
    )
    group.add_argument(
        "--processes",
        type=thread_count,
        metavar="N",
        help="pages that are read at once, for --out (default: one for each core)",
    )
    group.add_argument(
        "--retry-errors", action="store_true", help="for --out: also read pages again that could not be read before"
    )


def run(options: argparse.Namespace) -> int:
    """Read all pages of the sources into Parquet files, and show how far it is."""
    if unfit := next((name for name in OF_FRAMES if getattr(options, name)), None):
        raise LettercastError(f"--{unfit}: is for frames one by one; leave it out, or leave --out out")
    if options.threads > 1:
        raise LettercastError("--threads: each process of --out has one thread; give --processes instead")
    if options.sources == ["0"]:
        raise LettercastError("--out: reads files, no cameras; name images, PDFs or folders of them")
    with importing():
        from ..bulk.archive import read_archive
        from ..bulk.tables import import_pyarrow

        import_pyarrow()
    try:
        with shown_progress() as show:
            archive = read_archive(
                options.sources,
                options.out,
                model=DEFAULT_NAME if options.model is None else options.model,
                engine=options.engine,
                words=options.words,
                language=options.language,
                case=options.case,
                processes=options.processes,
                max_pages=options.max_frames,
                retry_errors=options.retry_errors,
                on_progress=show,
            )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"what was read is in {options.out}, and the same command goes on") from stop
    return report(archive)


def report(archive: "Archive") -> int:
    """Print what an archive holds and what to do next, and the first errors on stderr; returns the exit code."""
    from ..bulk.doubts import find_errors
    from ..runtime.console import say

    new = f", {archive.read_now:,} of them read now" if archive.read_now < archive.pages else ""
    print(f"{archive.path}: {counted(archive.pages, 'page')}{new}; {counted(archive.letters, 'letter')}")
    if archive.errors:
        named = "; ".join(f"{path}: {error}" for path, error in find_errors(archive.path, NAMED_ERRORS))
        say(f"{archive.errors:,} of {counted(archive.pages, 'page')} could not be read, such as {named}")
    if archive.pages and archive.errors == archive.pages:
        return UNUSABLE
    print(f"next: lettercast review {archive.path}")
    return DONE


def counted(number: int, name: str) -> str:
    """Return a number and the name of what is counted."""
    return f"{number:,} {name}{'s' * (number != 1)}"


@contextmanager
def shown_progress() -> "Iterator[Callable[[Progress], None]]":
    """Yield a function that shows how far a run is: as a bar in a terminal, else as a line now and then; both on stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = ("{task.fields[rate]}", "{task.fields[errors]}")
    bar = Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        *map(TextColumn, columns),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=RATE_S,
    )
    with bar:
        task = bar.add_task("", total=None, rate="starting", errors="")

        drawn = 0.0

        def show(progress: "Progress") -> None:
            nonlocal drawn
            # The speed takes longer to compute than a page to pass on.
            if time.monotonic() - drawn < REDRAW_S and progress.pages < progress.total:
                return
            drawn = time.monotonic()
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(
                task,
                total=progress.total,
                completed=progress.pages,
                rate=f"{speed:.1f} pages/s" if speed else "",
                errors=f"{progress.errors:,} errors" if progress.errors else "",
            )

        yield show


class Lines:
    """Says how far a run is after every PAGES_A_LINE pages."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, progress: "Progress") -> None:
        """Take how far it is."""
        if progress.pages % PAGES_A_LINE:
            return
        from ..runtime.console import say

        rate = progress.pages / (time.monotonic() - self._began)
        left = round((progress.total - progress.pages) / rate / 60)
        errors = f", {progress.errors:,} errors" if progress.errors else ""
        say(f"{progress.pages:,} of {progress.total:,} pages{errors}, {rate:.1f} pages/s, {counted(left, 'minute')} left")
