"""Which format to take for which kind of device, by what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from ..export.formats import FORMATS
from ..runtime.installed import LITERT, ONNX_RUNTIME
from .benchmark import Row
from .contender import KERAS

# What a device may lose against the original: points of accuracy, and the agreement in percent that is left.
LARGEST_DROP, LEAST_AGREEMENT = FORMATS["tflite-int8"].tolerance.max_drop, FORMATS["tflite-int8"].tolerance.min_agreement
# Arithmetic without any floating point, which is all that many accelerators and microcontrollers have.
ALL_INTEGER = ("tflite-int8", "tflite-int16x8")
APPS = "tflite-mobile"
# Figures that differ by less than this share may differ by chance; then the one that agrees most is taken.
ALIKE = 0.1


@dataclass(frozen=True)
class Recommendation:
    """The file to take for a kind of device, the figures that speak for it, and what must still be measured there."""

    device: str
    name: str
    reason: str


@dataclass(frozen=True)
class Device:
    """A kind of device: which rows it can run, the figure that is least in the best of them, and how that is said."""

    name: str
    can_run: Callable[[Row], bool]
    least: Callable[[Row], Any]
    said: Callable[[Row], str]
    caveat: str = ""


def p50(row: Row) -> float:
    """Return the median milliseconds of one letter, without end where it was not measured."""
    return row.letter.p50_ms if row.letter else float("inf")


def agreement(row: Row) -> float:
    """Return the percent of letters on which a row agrees with its original."""
    return row.parity.agreement if row.parity else 0.0


def fast(row: Row) -> str:
    """Say how fast a row is, and how large."""
    return f"{p50(row):.3f} ms a letter on this machine, {row.size_bytes / 1000:.0f} kB"


def small(row: Row) -> str:
    """Say how small a row is."""
    return f"{row.size_bytes / 1000:.0f} kB"


def is_litert(row: Row) -> bool:
    """Whether LiteRT ran it, and it shows letters as a reader does."""
    return row.engine.startswith(LITERT.name) and row.format != APPS


DEVICES = (
    Device("Raspberry Pi and other boards, LiteRT", is_litert, p50, fast, "another processor: measure there, too"),
    Device("microcontrollers and NPUs: integers only", lambda row: row.format in ALL_INTEGER, p50, fast),
    Device("apps, MediaPipe Tasks", lambda row: row.format == APPS, p50, fast),
    Device("desktops and servers, ONNX Runtime", lambda row: row.engine.startswith(ONNX_RUNTIME.name), p50, fast),
    Device("where every kilobyte counts", lambda row: row.format != APPS, attrgetter("size_bytes"), small),
)


def recommend(rows: Sequence[Row]) -> list[Recommendation]:
    """Return the best row for each kind of device that any can run, of those that agree with their original.

    Where the originals of several models were measured, the most accurate one's exports are compared.
    """
    best = max((row.parity.original_accuracy for row in rows if row.parity), default=None)
    proven = [
        row
        for row in rows
        if row.letter
        and row.parity
        and row.parity.original_accuracy == best
        and row.format != KERAS
        and not row.failure
        and row.parity.drop <= LARGEST_DROP
        and row.parity.agreement >= LEAST_AGREEMENT
    ]
    found = []
    for device in DEVICES:
        able = [row for row in proven if device.can_run(row)]
        if able:
            limit = (1 + ALIKE) * min(map(device.least, able))
            row = max((row for row in able if device.least(row) <= limit), key=agreement)
            others = "" if len(able) == 1 else f" (of {len(able)}, none is better by {100 * ALIKE:.0f} %)"
            parts = [f"{device.said(row)}{others}", f"agrees on {agreement(row):.2f} %", device.caveat]
            found.append(Recommendation(device.name, row.name, "; ".join(filter(None, parts))))
    return found
