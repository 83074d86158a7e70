"""The folder of an archive: two Parquet tables in parts, and a journal of what is not yet in a part.

    letters.parquet/settings.json             the model and the options of all rows
    letters.parquet/pages/part-000001.parquet
    letters.parquet/letters/part-000001.parquet
    letters.parquet/.journal                  a line of JSON for each page since the last part

A page is in the journal as soon as it is read. Once there are enough, they become a part: first the letters, then the pages,
whose name makes the part valid, and last the journal is emptied. Whatever is killed in between, the next start finds each page
once: a part of letters without pages is removed, and a page that is in a part is skipped in the journal.
"""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from .. import LettercastError
from ..runtime.console import first_line, say
from ..runtime.files import locked, make_folder, replacing, write_bytes
from .records import Counted, count
from .tables import LETTERS, PAGES, import_pyarrow, make_tables

SETTINGS, JOURNAL = "settings.json", ".journal"
# The layout of the folder and the columns of its tables.
SCHEMA = 1
# A part holds at most this many pages, or this much of a journal; each is a few megabytes.
MAX_PART_PAGES, MAX_PART_BYTES = 1000, 16_000_000
# The columns that Counted has, in its order.
COUNTED = ["path", "page", "pages", "error", "letters"]
# What the settings are called on the command line.
OPTION_NAMES = {
    "schema": "the layout",
    "model": "--model",
    "model_sha256": "--model",
    "engine": "--engine",
    "words": "--words",
    "language": "--language",
    "case": "--case",
}


@dataclass
class Done:
    """The pages that an archive holds: files that are read completely, and the pages of others."""

    files: set[str] = field(default_factory=set[str])
    parts_of_files: dict[str, tuple[int, set[int]]] = field(default_factory=dict[str, tuple[int, set[int]]])
    pages: int = 0
    errors: int = 0
    letters: int = 0

    def add(self, page: Counted) -> bool:
        """Count a page; returns False if it was there already."""
        path, number, pages, error, letters = page
        known, numbers = self.parts_of_files.get(path) or (pages, set[int]())
        if path in self.files or number in numbers:
            return False
        self.pages += 1
        self.errors += error is not None
        self.letters += letters
        numbers.add(number)
        if known is None or len(numbers) == known:
            self.parts_of_files.pop(path, None)
            self.files.add(path)
        else:
            self.parts_of_files[path] = known, numbers
        return True


class Dataset:
    """An archive that is open for writing; see `open_dataset`."""

    def __init__(self, folder: Path, constants: dict[str, str], retried: Collection[str] = ()) -> None:
        self.folder, self.constants, self.done = folder, constants, Done()
        self._retried = frozenset(retried)
        self._numbers = self._load_parts()
        self._journal, self._in_journal = self._open_journal()

    def add(self, page: Counted, line: bytes) -> None:
        """Write a page to the journal, and the journal to a part once it is long; a page that is there already is dropped.

        Args:
            page: what is counted of it.
            line: its record, as `encode` makes it.

        Raises:
            LettercastError: the disk is full, or the folder cannot be written.
        """
        if not self.done.add(page):
            return
        try:
            while line:
                # A disk that is almost full takes a part of the line; the next start drops it.
                line = line[self._journal.write(line) :]
        except OSError as error:
            raise self._cannot_write(error) from error
        self._in_journal += 1
        if self._in_journal >= MAX_PART_PAGES or os.fstat(self._journal.fileno()).st_size >= MAX_PART_BYTES:
            self.write_part()

    def write_part(self) -> None:
        """Make a part of the journal, if there is anything in it; raises LettercastError if that cannot be written."""
        if not self._in_journal:
            return
        number = self._numbers + 1
        with (self.folder / JOURNAL).open("rb") as journal:
            pages, letters = make_tables(journal, self.constants)
        for kind, table in ((LETTERS, letters), (PAGES, pages)):
            write_table(part_path(self.folder, kind, number), table)
        self._numbers, self._in_journal = number, 0
        try:
            self._journal.truncate(0)
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Close the journal; what is in it stays for the next start."""
        self._journal.close()

    def _load_parts(self) -> int:
        """Count the pages of all parts, remove parts that are damaged or half there, and return the highest number of a part."""
        pa = import_pyarrow()
        for kind in (PAGES, LETTERS):
            make_folder(self.folder / kind)
        for path in sorted((self.folder / LETTERS).glob("part-*.parquet")):
            if not (self.folder / PAGES / path.name).exists():
                path.unlink()
        number = 0
        for path in sorted((self.folder / PAGES).glob("part-*.parquet")):
            try:
                table = pa.parquet.read_table(path, columns=COUNTED)
                pa.parquet.read_metadata(self.folder / LETTERS / path.name)
            except (OSError, ValueError) as error:
                if is_of_disk(error):
                    raise LettercastError(f"{path}: {first_line(error)}; start again once the disk can be read") from error
                say(f"{path}: damaged, so its pages are read again ({error})")
                path.unlink()
                (self.folder / LETTERS / path.name).unlink(missing_ok=True)
                continue
            number = max(number, number_of(path))
            if self._retried and table["error"].null_count < len(table):
                table = without_errors(path, self._retried)
            for name, page, pages, error, letters in zip(*(column.to_pylist() for column in table.columns), strict=True):
                self.done.add(Counted(name, page, pages, error, letters or 0))
        return number

    def _open_journal(self) -> tuple[FileIO, int]:
        """Open the journal behind its last whole line, without lines of pages that are in a part."""
        path = self.folder / JOURNAL
        kept: list[bytes] = []
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                page = counted(line)
                if page and not (page.error and page.path in self._retried) and self.done.add(page):
                    kept.append(line)
            write_bytes(path, b"".join(kept))
        try:
            # Without a buffer, so that what is read outlives a killed process.
            journal = FileIO(path, "ab")
        except OSError as error:
            raise self._cannot_write(error) from error
        return journal, len(kept)

    def _cannot_write(self, error: OSError) -> LettercastError:
        return LettercastError(
            f"{self.folder}: {error.strerror or error}; make room, and start again: what was read so far stays"
        )


def counted(line: bytes) -> Counted | None:
    """Return what is counted of a line of a journal; None if the line is damaged or breaks off."""
    try:
        return count(json.loads(line)) if line.endswith(b"\n") else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def is_of_disk(error: Exception) -> bool:
    """Tell whether a part cannot be read because of its disk or its rights: then it may be whole."""
    return isinstance(error, OSError) and error.errno is not None and not isinstance(error, FileNotFoundError)


def number_of(path: Path) -> int:
    """Return the number of a part; 0 if it has another name, such as that of a copy."""
    digits = path.stem.partition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def without_errors(path: Path, retried: Collection[str]) -> Any:
    """Remove the rows with an error of these files from a part of the table of pages, and return the rest."""
    pa = import_pyarrow()
    table = pa.parquet.read_table(path)
    is_retried = pa.compute.is_in(table["path"], value_set=pa.array(sorted(retried), pa.string()))
    table = table.filter(pa.compute.invert(pa.compute.and_(pa.compute.is_valid(table["error"]), is_retried)))
    write_table(path, table)
    return table.select(COUNTED)


def write_table(path: Path, table: Any) -> None:
    """Write a Parquet file completely or not at all, even if there is a power cut."""
    with replacing(path) as temporary:
        import_pyarrow().parquet.write_table(table, temporary, compression="zstd")
        sync(temporary)


@contextmanager
def open_dataset(
    folder: Path, settings: dict[str, Any], constants: dict[str, str], retried: Collection[str] = ()
) -> Iterator[Dataset]:
    """Open the folder of an archive for writing, or make it; at the end, what is in the journal becomes a part.

    Args:
        folder: the folder.
        settings: what rows depend on, by name; an archive takes pages of the same settings only.
        constants: values of columns that are the same for all pages.
        retried: the paths of files whose pages with an error are forgotten, so that they are read again.

    Raises:
        LettercastError: it is no archive, was read with other settings, or another process writes there.
    """
    import_pyarrow()
    check_folder(folder, settings)
    with locked(folder, "another `lettercast read`"):
        # Another process may have made it meanwhile.
        check_folder(folder, settings)
        if not (folder / SETTINGS).exists():
            write_bytes(folder / SETTINGS, json.dumps({"schema": SCHEMA, **settings}, indent=1).encode())
        dataset = Dataset(folder, constants, retried)
        try:
            yield dataset
        except LettercastError:
            # The disk may be full; what is in the journal is safe.
            raise
        except BaseException:
            dataset.write_part()
            raise
        else:
            dataset.write_part()
        finally:
            dataset.close()


def check_place(folder: Path) -> None:
    """Check that a folder is an archive, or that it can become one; raises LettercastError if not."""
    other = "choose another --out"
    if folder.exists() and not folder.is_dir():
        raise LettercastError(f"{folder}: exists and is not a folder; {other}")
    # A hidden file may be what a killed process left.
    if folder.exists() and not (folder / SETTINGS).exists() and any(path.name[0] != "." for path in folder.iterdir()):
        raise LettercastError(f"{folder}: exists and is no archive that lettercast wrote; {other}")


def check_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Check that a folder can take pages that are read with these settings; raises LettercastError if not."""
    check_place(folder)
    if not (folder / SETTINGS).exists():
        return
    before, now = load_settings(folder), {"schema": SCHEMA, **settings}
    for name, value in now.items():
        if before.get(name) != value:
            was, is_now = (f"{values.get(name) or 'none':.40}" for values in (before, now))
            raise LettercastError(
                f"{folder}: was read with {OPTION_NAMES[name]} {was}, not {is_now}; give the same option, or choose another --out"
            )


def load_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of an archive; raises LettercastError if there are none, or if they are damaged."""
    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
        if not isinstance(settings, dict) or not isinstance(settings.get("schema"), int):
            raise ValueError("not an object with a schema")
    except OSError as error:
        raise LettercastError(f"{folder}: no archive that `lettercast read --out` wrote; give the folder of one") from error
    except (ValueError, RecursionError) as error:
        raise LettercastError(f"{folder / SETTINGS}: damaged ({error}); choose another folder") from error
    return settings


def part_path(folder: Path, kind: str, number: int) -> Path:
    """Return the path of a part."""
    return folder / kind / f"part-{number:06d}.parquet"


def sync(path: Path) -> None:
    """Flush a file to the disk, so that it is whole under its final name even after a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
