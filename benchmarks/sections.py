"""What `lettercast benchmark --also` measures beside the models themselves, each with its figures, tables and plots."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from .. import LettercastError
from ..runtime.engine import open_engine
from ..runtime.facts import LETTERS
from ..runtime.reader import Reader
from .camera_loop import make_film, time_loop
from .contender import KERAS, Contender
from .growth import COUNTS, SIZES, growth_figure, measure_growth
from .limit import measure_limit
from .page_tables import growth_tables, loop_table
from .peer_engines import COMPARED
from .peer_tables import peer_engines_table, peer_letters_table, peer_pages_table
from .peers import run_peers
from .stages import one_thread
from .tables import limit_tables

Report = Callable[[str], None]
# Arithmetic of which the most that an engine reaches is measured.
LIMITED = ("int8", "float32")
# Reads the pages, where there are several.
READS = "tflite-int8"
NONE_READS = "none of these models reads letters of pages"


@dataclass(frozen=True)
class Section:
    """Figures as they stand in the JSON, and how they are shown; note says why there are none."""

    title: str
    figures: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    plots: tuple[Figure, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the section as JSON object."""
        return {**self.figures, "note": self.note}


def reading_model(contenders: Sequence[Contender]) -> Path | None:
    """Return the model that reads pages: the first of int8 TFLite, or else the first that is shown letters."""
    able = [c for c in contenders if c.runs and c.format != KERAS and c.engine and c.engine.facts.takes == LETTERS]
    return next((c.path for c in able if c.format == READS), able[0].path if able else None)


def limit_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure what int8 and float32 models reach of the most that their engines do, each for so many seconds."""
    title = "How far from the limit"
    paths = {c.path: None for c in contenders if c.runs and c.format.partition("-")[2] in LIMITED}
    if not paths:
        return Section(title, note=f"there is no {' or '.join(LIMITED)} model among these")
    limit = measure_limit(list(paths), seconds=seconds, report=report)
    return Section(title, limit.to_dict(), tuple(limit_tables(limit)))


def reader_section(
    contenders: Sequence[Contender],
    seconds: float,
    report: Report,
    counts: Sequence[int] = COUNTS,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Section:
    """Time the reader's stages on frames of a camera, and how they grow with letters (counts) and pixels (sizes).

    Its time is that of a film and of pages, and not `seconds`.
    """
    title = "The whole way, from a camera's frame to letters drawn on it"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NONE_READS)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        reader = Reader(open_engine(path))
        report("timing frames of a film")
        loop = time_loop(reader, make_film(Path(folder)))
        growth = measure_growth(reader, Path(folder), counts=counts, sizes=sizes, report=report)
    figures = {"loop": asdict(loop), "growth": growth.to_dict()}
    return Section(title, figures, (loop_table(loop), *growth_tables(growth)), (growth_figure(growth),))


def peers_section(contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Compare the reader with others on generated pages and the pen's letters, and engines on the same network."""
    title = "Peers on the same pictures"
    path = reading_model(contenders)
    if not path:
        return Section(title, note=NONE_READS)
    exported = [c.path for c in contenders if c.runs and c.format in COMPARED]
    with one_thread():
        peers = run_peers([path], exported, None, ["pen"], report=report)
    pages = [peer_pages_table(name, rows, peers.absent) for name, rows in peers.pages.items()]
    letters = [peer_letters_table(name, rows, peers.absent) for name, rows in peers.letters.items()]
    engines = [peer_engines_table(peers.engines)] if peers.engines else []
    return Section(title, peers.to_dict(), (*pages, *letters, *engines))


SECTIONS: dict[str, Callable[[Sequence[Contender], float, Report], Section]] = {
    "limit": limit_section,
    "reader": reader_section,
    "peers": peers_section,
}


def measure_section(name: str, contenders: Sequence[Contender], seconds: float, report: Report) -> Section:
    """Measure one section; what goes wrong with it is its note, so that the rest goes on."""
    try:
        return SECTIONS[name](contenders, seconds, report)
    except LettercastError as error:
        return Section(name, note=str(error))
