"""The doubtful letters of an archive, and the pages that could not be read."""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

import cv2

from .. import LettercastError
from ..runtime.console import first_line
from ..runtime.files import write_bytes
from ..runtime.pixels import Pixels
from ..runtime.text import UNKNOWN, Box
from .dataset import is_of_disk, load_settings
from .documents import file_facts, open_document
from .tables import LETTERS, PAGES, import_pyarrow, letter_schema, page_schema

# By default so many letters are shown, and so many of a page: one page full of stains would leave no room for others.
DOUBTS, DOUBTS_A_PAGE = 100, 5
# A crop shows so many sizes of a letter around it, and has this height.
AROUND, CROP_PX, JPEG_QUALITY = 1.0, 120, 85
BOX_COLOUR = (0, 120, 230)
STYLE = """
:root { color-scheme: light; } body { font: 15px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0; } p { color: #555; max-width: 60rem; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: .8rem;
grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
li { border: 1px solid #ddd; border-radius: 6px; padding: .6rem; overflow-wrap: anywhere; }
.crop { height: 120px; display: flex; align-items: center; justify-content: center; background: #f5f7f9; overflow: hidden; }
.crop img { max-width: 100%; max-height: 120px; } .gone { color: #b03020; font-size: 13px; padding: .5rem; }
.letter { font-size: 1.7rem; font-weight: 600; margin-right: .5rem; } .others { color: #555; }
.place { display: block; font-size: 12px; color: #666; margin-top: .3rem; } .place a { color: #1d5fa0; }
"""


@dataclass(frozen=True)
class Doubt:
    """A letter of an archive: its file and page, its line, word and position in the word from 1, and what was read."""

    path: str
    page: int
    line: int
    word: int
    position: int
    letter: str
    confidence: float
    box: Box
    alternatives: tuple[tuple[str, float], ...]


def review(
    folder: str | Path, out: str | Path | None = None, *, count: int = DOUBTS, a_page: int = DOUBTS_A_PAGE, letter: str = ""
) -> tuple[Path, list[Doubt]]:
    """Write an HTML page that shows the least sure letters of an archive, and return its path and these letters.

    Args:
        folder: the folder that `read_archive` wrote.
        out: the page to write; by default review.html in the folder.
        count: how many letters.
        a_page: at most so many of one page.
        letter: only letters that were read as this one.

    Raises:
        LettercastError: the folder is no archive, has no such letters, or the page cannot be written.
    """
    folder = Path(folder)
    doubts = find_doubts(folder, count, a_page=a_page, letter=letter)
    if not doubts:
        raise LettercastError(f"{folder}: no letters{f' that were read as {letter}' if letter else ''} in it; choose others")
    path = Path(out) if out else folder / "review.html"
    write_bytes(path, _html(folder, doubts).encode())
    return path, doubts


def find_doubts(folder: str | Path, count: int = DOUBTS, *, a_page: int = DOUBTS_A_PAGE, letter: str = "") -> list[Doubt]:
    """Return the letters of an archive of which the model was least sure, the least sure first; takes what `review` takes.

    Args:
        folder: the folder that `read_archive` wrote.
        count: how many letters.
        a_page: at most so many of one page.
        letter: only letters that were read as this one; by default all but non-letters.
    """
    pa = import_pyarrow()
    order = [(name, "ascending") for name in ("confidence", "path", "page", "line", "word", "position")]
    found: list[dict[str, Any]] = []
    for table in _parts(Path(folder), LETTERS):
        is_asked = pa.compute.equal(table["letter"], letter) if letter else pa.compute.not_equal(table["letter"], UNKNOWN)
        asked = table.filter(is_asked).sort_by(order)
        taken = Counter[tuple[str, int]]()
        chosen: list[int] = []
        for row, place in enumerate(_places(asked)):
            taken[place] += 1
            if taken[place] <= a_page:
                chosen.append(row)
                if len(chosen) == count:
                    break
        found = sorted(
            [*found, *asked.take(pa.array(chosen, pa.int64())).to_pylist()], key=lambda row: [row[name] for name, _ in order]
        )[:count]
    return [_doubt(row) for row in found]


def find_errors(folder: str | Path, count: int) -> list[tuple[str, str]]:
    """Return the paths of the first pages of an archive that could not be read, and why."""
    found: list[tuple[str, str]] = []
    for table in _parts(Path(folder), PAGES, ["path", "error"]):
        broken = table.filter(import_pyarrow().compute.is_valid(table["error"])).slice(0, count - len(found))
        found += zip(broken["path"].to_pylist(), broken["error"].to_pylist(), strict=True)
        if len(found) == count:
            break
    return found


def _parts(folder: Path, kind: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the parts of a table of an archive; raises LettercastError if it is no archive, or a part is damaged."""
    pa = import_pyarrow()
    load_settings(folder)
    wanted = (letter_schema() if kind == LETTERS else page_schema()).names if columns is None else columns
    for path in sorted((folder / kind).glob("part-*.parquet")):
        if not (folder / PAGES / path.name).exists():
            # It is being written.
            continue
        try:
            table = pa.parquet.read_table(path, columns=wanted)
        except (OSError, ValueError) as error:
            if is_of_disk(error):
                raise LettercastError(f"{path}: {first_line(error)}; try again once it can be read") from error
            raise LettercastError(f"{path}: damaged; read again into the same --out, which repairs it") from error
        yield table


def _places(table: Any) -> Iterator[tuple[str, int]]:
    """Yield path and page of each row."""
    for batch in table.select(["path", "page"]).to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _doubt(row: dict[str, Any]) -> Doubt:
    box = (row["x"], row["y"], row["width"], row["height"])
    others = tuple((one["letter"], one["confidence"]) for one in row["alternatives"])
    named = {name: row[name] for name in ("path", "page", "line", "word", "position", "letter", "confidence")}
    return Doubt(**named, box=box, alternatives=others)


def _html(folder: Path, doubts: Sequence[Doubt]) -> str:
    crops = _crops(doubts)
    title = f"Least sure letters of {folder.name}"
    pages = len({(doubt.path, doubt.page) for doubt in doubts})
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    about = (
        f"{len(doubts):,} letters of {pages:,} pages, the least sure first. Below each image stand the letter that was read, how "
        "sure the model was of it, and what else it may be; then its place, and its box (x, y, width, height) in pixels."
    )
    cards = "\n".join(_card(doubt, crops.get(doubt)) for doubt in doubts)
    body = f"<h1>{escape(title)}</h1>\n<p>{escape(about)}</p>\n<ol>\n{cards}\n</ol>"
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'


def _card(doubt: Doubt, crop: bytes | str | None) -> str:
    """Return the list item of a letter; crop is a JPEG, or why there is none."""
    if isinstance(crop, bytes):
        data = base64.b64encode(crop).decode()
        image = f'<img alt="the letter on its page" src="data:image/jpeg;base64,{data}">'
    else:
        image = f'<span class="gone">{escape(crop or "")}</span>'
    others = ", ".join(f"{name} {share:.0%}" for name, share in doubt.alternatives)
    where = (
        f"page {doubt.page}, line {doubt.line}, word {doubt.word}, letter {doubt.position}; box {', '.join(map(str, doubt.box))}"
    )
    return (
        f'<li><div class="crop">{image}</div><span class="letter">{escape(doubt.letter)}</span>{doubt.confidence:.0%} '
        f'<span class="others">{escape(f"or {others}" if others else "")}</span>'
        f'<span class="place"><a href="{escape(_uri(doubt.path))}">{escape(doubt.path)}</a><br>{where}</span></li>'
    )


def _uri(path: str) -> str:
    """Return the address of a file, also of an archive that another system wrote."""
    pure = PureWindowsPath(path) if PureWindowsPath(path).drive else PurePosixPath(path)
    return pure.as_uri() if pure.is_absolute() else quote(path)


def _crops(doubts: Sequence[Doubt]) -> dict[Doubt, bytes | str]:
    """Return a JPEG of each letter on its page, or why there is none; each page is opened once."""
    by_page = defaultdict[tuple[str, int], list[Doubt]](list)
    for doubt in doubts:
        by_page[doubt.path, doubt.page].append(doubt)
    crops: dict[Doubt, bytes | str] = {}
    for (path, number), some in by_page.items():
        try:
            # What was an image may be a pipe now, which never ends.
            file_facts(Path(path))
            document = open_document(Path(path))
            if number > document.pages:
                raise LettercastError(f"{path}: it has {document.pages} pages now")
            image, _ = document.page(number)
        except LettercastError as error:
            crops |= dict.fromkeys(some, str(error))
            continue
        crops |= {doubt: _crop(image, doubt.box) for doubt in some}
    return crops


def _crop(image: Pixels, box: Box) -> bytes | str:
    """Return a JPEG of a box in an image with what is around it, or that it lies outside."""
    x, y, width, height = box
    if x + width > image.shape[1] or y + height > image.shape[0]:
        return "the file has changed since it was read"
    # Transparent paper is white.
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[:, :, 3:] / 255
        image = (image[:, :, :3] * alpha + 255 * (1 - alpha)).astype("uint8")
    around = round(AROUND * max(width, height))
    left, top = max(0, x - around), max(0, y - around)
    part = image[top : y + height + around, left : x + width + around]
    scale = CROP_PX / part.shape[0]
    size = max(1, round(part.shape[1] * scale)), CROP_PX
    part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    part = cv2.cvtColor(part, cv2.COLOR_GRAY2BGR) if part.ndim == 2 else part
    first = (round((x - left) * scale), round((y - top) * scale))
    last = (round((x - left + width) * scale), round((y - top + height) * scale))
    cv2.rectangle(part, first, last, BOX_COLOUR, 1)
    return cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
