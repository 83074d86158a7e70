"""The files of an archive: images, TIFFs and PDFs in folders and the folders inside them, by patterns, or from a list."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .. import LettercastError
from ..runtime.files import read_text
from ..runtime.model.installed import ENGINES
from ..runtime.sources.images import IMAGE_SUFFIXES, OTHER_SUFFIXES, count_endings, is_image
from ..runtime.sources.source import URL, describe_missing, natural_order

KINDS = "images, PDFs, folders of them, a pattern such as 'scans/**/*.jpg', or a .txt file with one path per line"
PDF_SUFFIX, LIST_SUFFIX = ".pdf", ".txt"
PAGE_SUFFIXES = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES, PDF_SUFFIX)


def find_files(sources: Sequence[str]) -> list[str]:
    """Return the absolute paths of the files that sources name, each once, page2 before page10 within a folder.

    A folder stands for the images and PDFs in it and in all folders inside it, but for hidden ones. A file or folder that cannot
    be read is among them, so that reading it says why.

    Raises:
        LettercastError: a source does not exist, is of another kind, or names no images.
    """
    # Links keep their own names.
    return list(dict.fromkeys(os.path.abspath(path) for source in sources for path in _files_of(source)))  # noqa: PTH100


def shown(path: str) -> str:
    """Return a path as UTF-8 text can hold it: bytes that are no text become escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_pdf(path: str) -> bool:
    """Return whether a file is named like a PDF."""
    return path.lower().endswith(PDF_SUFFIX)


def _files_of(source: str) -> Iterable[str]:
    path = Path(source)
    if not source.strip() or URL.match(source) or (source.isdecimal() and not path.exists()):
        raise LettercastError(f"'{source}': --out reads files; give {KINDS}")
    if path.is_dir():
        return _checked(source, _walk(source), [path])
    if path.exists():
        return _of_file(source, path)
    if glob.has_magic(source):
        matches = map(Path, glob.iglob(source, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        found = sorted(matches, key=lambda one: (one.parent, natural_order(one)))
        files = (file for one in found for file in (_walk(str(one)) if one.is_dir() else _pages_among([one])))
        return _checked(source, files, found)
    raise LettercastError(describe_missing(source, KINDS))


def _of_file(source: str, path: Path) -> list[str]:
    suffix = path.suffix.lower()
    if suffix in ENGINES:
        raise LettercastError(f"{source}: this is a model; put --model before it, and give {KINDS}")
    if suffix == LIST_SUFFIX and path.is_file():
        named = [line.strip() for line in read_text(path).split("\n")]
        if not any(named):
            raise LettercastError(f"{source}: the list is empty; write one path per line")
        return [name for name in named if name]
    if not path.is_file() or not (suffix == PDF_SUFFIX or is_image(path)):
        raise LettercastError(f"{source}: neither an image nor a PDF; give {KINDS}")
    return [source]


def _checked(source: str, files: Iterable[str], near: Iterable[Path]) -> list[str]:
    """Return files as a list; raises LettercastError if there are none."""
    if found := list(files):
        return found
    others = count_endings(
        one for path in near for one in (path.iterdir() if path.is_dir() else [path]) if one.is_file() and one.name[0] != "."
    )
    held = f", only {others}" if others else ""
    raise LettercastError(f"{source}: no images or PDFs there{held}; give {KINDS}")


def _walk(folder: str) -> Iterator[str]:
    """Yield the images and PDFs of a folder and of those inside it; a folder that cannot be listed stands for itself."""
    barred: list[str] = []
    for root, names, files in os.walk(folder, onerror=lambda error: barred.append(str(error.filename))):
        yield from barred
        barred.clear()
        names[:] = [path.name for path in sorted(map(Path, names), key=natural_order) if path.name[0] != "."]
        yield from _pages_among(sorted((Path(root, name) for name in files if name[0] != "."), key=natural_order))
    yield from barred


def _pages_among(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the files that have the suffix of an image or PDF, or no suffix and the first bytes of an image."""
    for path in paths:
        suffix = path.suffix.lower()
        if (suffix in PAGE_SUFFIXES or (not suffix and path.is_file() and is_image(path))) and not path.is_dir():
            yield str(path)
