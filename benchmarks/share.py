"""Figures of a device that anyone may send: what the shipped models give and take there, and nothing about its owner.

`lettercast benchmark --share FILE` writes such a file; it needs no more than the reader does. Maintainers check files that
others sent, and print them as tables:

    python -m lettercast.benchmarks.share FILE ...
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from .. import DONE, UNUSABLE, LettercastError, __version__
from ..runtime.arguments import DEVICE, shipped_models
from ..runtime.files import packaged, read_text, write_bytes
from ..runtime.model.engine import Engine, open_engine
from ..runtime.model.golden import Verdict, golden_path, load_golden, replay
from ..runtime.model.installed import ENGINES, find_package
from ..runtime.model.processor import board, read_if_there
from ..runtime.pixels import Pixels
from ..runtime.reader import Reader
from .columns import Cell, fill, in_ms
from .parity.measure import Latency, measure, this_machine

SCHEMA, KIND = 1, "lettercast device"
SYSTEM_FILE = Path("/etc/os-release")
# The number of a kernel; behind it, whoever built the kernel may have written anything.
KERNEL = re.compile(r"^\w+ \d+(\.\d+)*")
# A frame of a camera with the golden letters in rows, each enlarged to about a tenth of the height.
PAGE_SHAPE, LETTER_PX, ROW_LETTERS, GAP_PX = (720, 1280), 84, 9, 40
# Ink on white paper: the golden letters are white on black.
PAPER = 235
MIN_PAGE_RUNS = 20


@dataclass(frozen=True)
class DeviceMachine:
    """A device: nothing in it names its owner, its network or its files."""

    board: str
    processor: str
    architecture: str
    bits: int
    vectors: tuple[str, ...]
    cores: int
    memory_mb: int | None
    distribution: str
    kernel: str
    python: str
    numpy: str
    opencv: str
    governor: str | None
    load: float | None


@dataclass(frozen=True)
class DeviceRow:
    """One shipped model in one engine: its golden cases, and the times of a letter and of a page with 26 letters."""

    model: str
    engine: str
    verdict: Verdict
    difference: float
    letter: Latency
    page: Latency


@dataclass(frozen=True)
class DeviceFigures:
    """All figures of a device; failures has one line for each model that an installed engine does not run."""

    lettercast: str
    machine: DeviceMachine
    rows: tuple[DeviceRow, ...]
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {"kind": KIND, "schema": SCHEMA, **asdict(self)}


def measure_device(seconds: float = 1.0) -> DeviceFigures:
    """Time the shipped models in every installed engine, each for at least `seconds`, and replay their golden cases.

    Raises LettercastError if no engine is installed.
    """
    machine, threads = describe_device(), cv2.getNumThreads()
    rows: list[DeviceRow] = []
    failures: list[str] = []
    models = (*shipped_models(DEVICE), *sorted(packaged("models").glob("*.onnx")))
    able = [(path, package) for path in models for package in ENGINES[path.suffix] if find_package(package).module]
    # Other cores would make times depend on what else runs.
    cv2.setNumThreads(1)
    try:
        for path, package in able:
            try:
                rows.append(measure_row(path, open_engine(path, package=package), seconds))
            except LettercastError as error:
                # A path would name the user.
                failures.append(f"{path.name}, {package.name}: {str(error).replace(str(path.parent), '').lstrip('/')}")
    finally:
        cv2.setNumThreads(threads)
    if not rows:
        raise LettercastError("no engine runs a shipped model here; see lettercast doctor")
    return DeviceFigures(__version__, machine, tuple(rows), tuple(failures))


def measure_row(path: Path, engine: Engine, seconds: float) -> DeviceRow:
    """Measure one model in one engine."""
    golden = load_golden(golden_path(path))
    test = replay(engine, golden)
    page, reader = draw_page(golden.images), Reader(engine)
    (letter,) = measure([lambda i: engine(golden.images[i % len(golden.images)][None])], seconds)
    (whole,) = measure([lambda _: reader.read(page)], seconds, MIN_PAGE_RUNS)
    return DeviceRow(path.name, engine.name, test.verdict, test.difference, letter, whole)


def draw_page(images: Pixels) -> Pixels:
    """Return a grey page (720, 1280) uint8 with letters (n, h, w, 1) uint8, white on black, as dark ink in rows."""
    page = np.full(PAGE_SHAPE, PAPER, np.uint8)
    for i, image in enumerate(images[:26]):
        ink = cv2.resize(image[..., 0], (LETTER_PX, LETTER_PX), interpolation=cv2.INTER_CUBIC)
        y, x = (GAP_PX + place * (LETTER_PX + GAP_PX) for place in divmod(i, ROW_LETTERS))
        corner = page[y : y + LETTER_PX, x : x + LETTER_PX]
        corner[:] = cv2.multiply(corner, 255 - ink, scale=1 / 255)
    return page


def describe_device() -> DeviceMachine:
    """Describe this device, without anything that its owner named."""
    machine = this_machine()
    kernel = KERNEL.match(machine.system)
    return DeviceMachine(
        board=board(),
        processor=machine.processor,
        architecture=machine.architecture,
        bits=64 if sys.maxsize > 2**32 else 32,
        vectors=machine.vectors,
        cores=machine.cores,
        memory_mb=machine.memory_mb,
        distribution=distribution(read_if_there(SYSTEM_FILE)),
        kernel=kernel[0] if kernel else "",
        python=machine.python,
        numpy=machine.numpy,
        opencv=machine.opencv,
        governor=machine.governor,
        load=machine.load,
    )


def distribution(text: str) -> str:
    """Return the name of a Linux distribution and its version, such as "debian 12", from the text of /etc/os-release."""
    found = dict(re.findall(r'^(ID|VERSION_ID)="?([\w.]+)"?$', text, re.MULTILINE))
    return " ".join(found[name] for name in ("ID", "VERSION_ID") if name in found)


def write_share(path: Path, figures: DeviceFigures) -> None:
    """Write the figures of a device as JSON; raises LettercastError if that fails."""
    write_bytes(path, (json.dumps(figures.to_dict(), indent=1) + "\n").encode())


def load_share(path: Path) -> DeviceFigures:
    """Load the figures of a device; raises LettercastError if a field is missing, or if there is one that they do not have."""
    try:
        raw: dict[str, Any] = json.loads(read_text(path))
        if (raw.pop("kind"), raw.pop("schema")) != (KIND, SCHEMA):
            raise ValueError("it is no file of `lettercast benchmark --share` of this version")
        rows = tuple(_row_of(row) for row in raw.pop("rows"))
        described: dict[str, Any] = raw.pop("machine")
        described["vectors"] = tuple(described["vectors"])
        machine = DeviceMachine(**described)
        figures = DeviceFigures(machine=machine, rows=rows, failures=tuple(raw.pop("failures")), **raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LettercastError(f"{path}: cannot be used as figures of a device ({error})") from error
    wrong = [one.name for one in fields(Latency) for row in rows for t in (row.letter, row.page) if not getattr(t, one.name) > 0]
    if wrong or not rows:
        raise LettercastError(f"{path}: has no times, or times that are not above 0")
    return figures


def _row_of(raw: dict[str, Any]) -> DeviceRow:
    """Return a row of the JSON; raises KeyError or TypeError if a field is missing or unknown."""
    times: dict[str, Any] = {name: Latency(**raw[name]) for name in ("letter", "page")}
    return DeviceRow(**{**raw, **times})


def share_table(figures: DeviceFigures) -> Table:
    """Return the figures of a device as a table."""
    machine = figures.machine
    name = machine.board or machine.processor
    where = f"{name}, {machine.architecture}, {machine.bits} bit, {machine.distribution}, OpenCV {machine.opencv}"
    columns: dict[str, Cell[DeviceRow]] = {
        "model": lambda row: row.model,
        "engine": lambda row: row.engine,
        "result": lambda row: row.verdict,
        "difference": lambda row: f"{row.difference:.1e}",
        "letter p50 ms": lambda row: in_ms(row.letter.p50_ms),
        "p99": lambda row: in_ms(row.letter.p99_ms),
        "page p50 ms": lambda row: in_ms(row.page.p50_ms),
        "page p99": lambda row: in_ms(row.page.p99_ms),
    }
    table = Table(title=where, caption="\n".join(figures.failures) or None, caption_justify="left")
    return fill(table, columns, figures.rows, columns)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check files that others sent, and print them as tables."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.share", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file of lettercast benchmark --share")
    options = parser.parse_args(arguments)
    try:
        for path in options.files:
            Console().print(share_table(load_share(path)))
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    return DONE


if __name__ == "__main__":
    sys.exit(main())
