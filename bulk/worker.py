"""A process that reads pages: it takes tasks through a pipe, and sends back records."""

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import LettercastError
from ..runtime.arguments import DEFAULT_NAME, UPPER, find_model
from .documents import Document, file_facts, open_document
from .records import Counted, Place, count, encode, error_record, read_record

if TYPE_CHECKING:
    from ..runtime.reader import Reader


@dataclass(frozen=True)
class Options:
    """How pages are read: the model's name or path, the engine's name, and words, language and case as Reader takes them."""

    model: str | Path = DEFAULT_NAME
    engine: str | None = None
    words: str | Path | None = None
    language: str | None = None
    case: str = UPPER


@dataclass(frozen=True)
class Task:
    """A page to read: the path of its file, its number in it from 1, and the pages of the file if they are known."""

    path: str
    number: int = 1
    pages: int | None = None


@dataclass(frozen=True)
class Ready:
    """A process can read: what it reads with, as the columns model, model_sha256 and engine have it."""

    model: str
    model_sha256: str
    engine: str


@dataclass(frozen=True)
class Failed:
    """A process cannot read with these options, because of this."""

    reason: str


@dataclass(frozen=True)
class Opened:
    """The file of a task has this many pages; the record of the task follows."""

    pages: int


@dataclass(frozen=True)
class Read:
    """The record of a task: as a line of a journal, and what of it is counted."""

    line: bytes
    counted: Counted


Message = Ready | Failed | Opened | Read


def work(connection: "Connection[Message, Task]", options: Options) -> None:
    """Read the pages of tasks until the connection or the process at its other end ends."""
    # The process that started this one is told, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        reader, ready = open_reader(options)
    except (LettercastError, ImportError) as error:
        connection.send(Failed(str(error)))
        return
    connection.send(ready)
    _silence()
    pages = Pages(reader, ready.engine, connection)
    with suppress(EOFError, OSError):
        while True:
            pages.read(connection.recv())


def open_reader(options: Options) -> "tuple[Reader, Ready]":
    """Open the reader of these options, for one thread; raises LettercastError as Reader does."""
    import cv2

    from ..runtime.model.engine import open_engine
    from ..runtime.model.installed import ENGINE_NAMES
    from ..runtime.reader import Reader

    cv2.setNumThreads(1)
    path = find_model(options.model)
    engine = open_engine(path, 1, ENGINE_NAMES[options.engine] if options.engine else None)
    reader = Reader(engine, 1, options.words, options.language, options.case)
    return reader, Ready(engine.facts.name, sha256(path.read_bytes()).hexdigest(), engine.name)


class Pages:
    """Pages of files; the last file of several pages stays open for its next page."""

    def __init__(self, reader: "Reader", engine: str, connection: "Connection[Message, Task]") -> None:
        self._reader, self._engine, self._connection = reader, engine, connection
        self._open: tuple[str, Document] | None = None

    def read(self, task: Task) -> None:
        """Read the page of a task, and send its record, or that of the reason why it cannot be read."""
        record = self._read(task)
        self._connection.send(Read(encode(record), count(record)))

    def _read(self, task: Task) -> dict[str, Any]:
        place = Place(task.path, task.number, task.pages)
        try:
            place = replace(place, facts=file_facts(Path(task.path)))
            document = self._document(task.path)
            if task.pages is None and document.pages > 1:
                self._connection.send(Opened(document.pages))
            place = replace(place, pages=task.pages or document.pages)
            if task.number > document.pages:
                raise LettercastError(f"{task.path}: had {task.pages} pages before, and has {document.pages} now")
            image, dpi = document.page(task.number)
            return read_record(place, self._reader.read(image), dpi, self._engine)
        except ConnectionError:
            raise
        except Exception as error:
            # Whatever a file makes libraries raise, MemoryError among it, is about this page alone.
            return error_record(place, error, self._engine)

    def _document(self, path: str) -> Document:
        if self._open and self._open[0] == path:
            return self._open[1]
        if self._open:
            self._open[1].close()
            self._open = None
        document = open_document(Path(path))
        if document.pages > 1:
            self._open = path, document
        return document


def _silence() -> None:
    """Drop what libraries print about damaged files: the terminal shows the progress."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    os.close(null)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even in the middle of a page."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
