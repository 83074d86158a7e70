"""Read an archive of pages with several processes, and go on where an earlier run stopped."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import LettercastError
from ..runtime.arguments import DEFAULT_NAME, UPPER
from ..runtime.text.language import find_language
from .dataset import Dataset, Done, check_place, open_dataset
from .documents import INSTALL_PDF
from .files import find_files, is_pdf, shown
from .pool import Lost, Pool
from .records import Place, count, encode, error_record
from .tables import import_pyarrow
from .worker import Opened, Options, Ready, Task


@dataclass(frozen=True)
class Progress:
    """How far a run is: the pages that it read, all that it knows it has to read, and those with an error."""

    pages: int
    total: int
    errors: int


@dataclass(frozen=True)
class Archive:
    """An archive: its folder, its pages, those of them with an error, its letters, and the pages that this run read."""

    path: Path
    pages: int
    errors: int
    letters: int
    read_now: int


def read_archive(
    sources: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    model: str | Path = DEFAULT_NAME,
    engine: str | None = None,
    words: str | Path | None = None,
    language: str | None = None,
    case: str = UPPER,
    processes: int | None = None,
    max_pages: int | None = None,
    retry_errors: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Archive:
    """Read the pages of images, TIFFs and PDFs into Parquet files.

    If `out` exists, pages that are in it are not read again. A page that cannot be read gets a row with its error, and the others
    follow. `out` gets two tables, `pages` and `letters`; docs/archives.md names their columns.

    Args:
        sources: images, PDFs, folders with all folders inside them, patterns such as `scans/**/*.jpg`, and `.txt` files with one
            path per line.
        out: the folder to write, such as `letters.parquet`.
        model: the name of a model that comes with lettercast, or the path of a `.tflite` or `.onnx` file.
        engine: litert, tflite-runtime, onnxruntime or opencv; by default the first one that is installed and fits.
        words: a UTF-8 text file with one word per line.
        language: the name of a language, such as `en`, or the path of a fitted one.
        case: `upper` or `written`.
        processes: how many pages are read at once; by default one for each core.
        max_pages: the run ends after so many pages.
        retry_errors: pages of these sources that have an error in `out` are read again.
        on_progress: is called after each page.

    Raises:
        LettercastError: a source names nothing that can be read, `out` is something else or was read with other settings, a
            package is missing, or the disk is full; what was read so far stays.
    """
    files = find_files([str(source) for source in ([sources] if isinstance(sources, str | Path) else sources)])
    import_pyarrow()
    if any(map(is_pdf, files)) and not find_spec("pypdfium2"):
        raise LettercastError(INSTALL_PDF)
    check_place(Path(out))
    options = Options(model, engine, words, language, case)
    with Pool(processes or os.cpu_count() or 1, options) as pool:
        ready = pool.wait_until_ready()
        constants = {"model": ready.model, "model_sha256": ready.model_sha256}
        retried = [shown(path) for path in files] if retry_errors else ()
        with open_dataset(Path(out), settings_of(options, ready), constants, retried) as dataset:
            queue = Queue(files, dataset.done, max_pages)
            del files
            before = dataset.done.pages
            for progress in _read(pool, queue, dataset, ready.engine):
                if on_progress:
                    on_progress(progress)
        done = dataset.done
    return Archive(Path(out), done.pages, done.errors, done.letters, done.pages - before)


class Queue(Iterator[Task | None]):
    """The pages that are still to be read: files in their order, and before the next file the further pages of the last ones.

    Args:
        files: the paths of files.
        done: the pages that are there.
        max_pages: it gives out at most so many.
    """

    def __init__(self, files: Sequence[str], done: Done, max_pages: int | None = None) -> None:
        self._done, self._left = done, max_pages
        self._files = deque(path for path in files if shown(path) not in done.files)
        self._pages = deque[Task]()
        self._opened = dict[str, int]()
        self.total = len(self._files)
        if max_pages is not None:
            self.total = min(self.total, max_pages)

    def __next__(self) -> Task | None:
        """Return the next page, or None if there is none at this time: more may follow once a file is opened."""
        if self._left == 0:
            return None
        if not self._pages and self._files:
            self._pages.extend(self._pages_of(self._files.popleft()))
        if not self._pages:
            return None
        if self._left is not None:
            self._left -= 1
        return self._pages.popleft()

    def open(self, task: Task, pages: int) -> None:
        """Add the further pages of a file whose number of pages is known now."""
        if task.path not in self._opened:
            self._opened[task.path] = pages
            self._add([Task(task.path, number, pages) for number in range(2, pages + 1)])

    def pages(self, path: str) -> int | None:
        """Return how many pages a file has, as far as that is known."""
        return self._opened.get(path)

    def _pages_of(self, path: str) -> list[Task]:
        """Return the pages to read of a file: those that an earlier run did not read, or the first one of a new file."""
        known = self._done.parts_of_files.get(shown(path))
        if not known:
            return [Task(path)]
        pages, numbers = known
        self._opened[path] = pages
        missing = [Task(path, number, pages) for number in range(1, pages + 1) if number not in numbers]
        self.total += len(missing) - 1
        return missing

    def _add(self, tasks: list[Task]) -> None:
        self._pages.extend(tasks)
        self.total += len(tasks) if self._left is None else 0


def _read(pool: Pool, queue: Queue, dataset: Dataset, engine: str) -> Iterator[Progress]:
    """Read the pages of a queue into an archive; yields how far it is after each page."""
    pages = errors = 0
    for event in pool.read(queue):
        if isinstance(event, Lost):
            task = event.task
            # Without the number of its pages, the others would be taken for pages that were read.
            record = error_record(Place(task.path, task.number, queue.pages(task.path)), event.reason, engine)
            line, counted = encode(record), count(record)
        else:
            task, message = event
            if isinstance(message, Opened):
                queue.open(task, message.pages)
                continue
            line, counted = message.line, message.counted
        dataset.add(counted, line)
        pages, errors = pages + 1, errors + (counted.error is not None)
        yield Progress(pages, queue.total, errors)


def settings_of(options: Options, ready: Ready) -> dict[str, Any]:
    """Return what the rows of an archive depend on, by name; files of words and languages by their content."""
    words, language = options.words, options.language
    return {
        "model": ready.model,
        "model_sha256": ready.model_sha256,
        # Its version does not change what is read, and stands in each row.
        "engine": ready.engine.rpartition(" ")[0] or ready.engine,
        "words": words and f"a list {_digest(Path(words))}",
        "language": language and f"{language} {_digest(find_language(language))}",
        "case": options.case,
    }


def _digest(path: Path) -> str:
    """Return the beginning of the SHA-256 of a file, as a person can compare it."""
    return f"({sha256(path.read_bytes()).hexdigest()[:12]})"
