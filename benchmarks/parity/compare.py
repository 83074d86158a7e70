"""What changed since an earlier benchmark."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from ... import LettercastError
from ...export.formats import FORMATS
from ...runtime.model.installed import LITERT, ONNX_RUNTIME
from .benchmark import SCHEMA, Benchmark, Row
from .contender import KERAS

# By how many percent times, sizes and memory may grow, and by how many points accuracy and agreement may fall.
TOLERANCE_PERCENT, TOLERANCE_POINTS = 10.0, 0.3


@dataclass(frozen=True)
class Figure:
    """A figure of a row: where it stands in its JSON, whether more is better, and how changes count.

    by_points says that they are counted in points and not in percent. here and elsewhere say whether it is judged where
    both runs were on one machine, and where they were not: of times there only the ratio to Keras, which is noisier.
    """

    place: tuple[str, ...]
    more_is_better: bool = False
    by_points: bool = False
    here: bool = True
    elsewhere: bool = True


FIGURES = {
    "accuracy %": Figure(("accuracy", "percent"), more_is_better=True, by_points=True),
    "agreement %": Figure(("parity", "agreement"), more_is_better=True, by_points=True),
    "bytes": Figure(("size_bytes",)),
    "p50 ms": Figure(("letter", "p50_ms"), elsewhere=False),
    "peak MB": Figure(("footprint", "peak_mb"), elsewhere=False),
    "faster": Figure(("speedup",), more_is_better=True, here=False),
}


@dataclass(frozen=True)
class Change:
    """One figure of one model, then and now; by is the change in points or in percent, and is_worse past the tolerance."""

    model: str
    figure: str
    before: float
    now: float
    by: float
    unit: str
    is_worse: bool


@dataclass(frozen=True)
class Against:
    """What changed since an earlier run: every figure of models in both, and what only one of the two has."""

    before: str
    same_machine: bool
    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """Changes past the tolerance."""
        return [change for change in self.changes if change.is_worse]


def compare_runs(path: Path, result: Benchmark, percent: float = TOLERANCE_PERCENT, points: float = TOLERANCE_POINTS) -> Against:
    """Compare a run with the JSON of an earlier one, by the models' names and engines.

    Raises LettercastError where the file is no such JSON.
    """
    before = load_run(path)
    now = result.to_dict()
    same = all(before["machine"].get(name) == now["machine"][name] for name in ("processor", "architecture", "cores"))
    earlier, later = rows_of(before), rows_of(now)
    changes = []
    for name in (name for name in later if name in earlier):
        for title, figure in FIGURES.items():
            old, new = at(earlier[name], figure.place), at(later[name], figure.place)
            if old is None or new is None:
                continue
            by = new - old if figure.by_points else 100 * (new / old - 1) if old else 0.0
            loss = -by if figure.more_is_better else by
            # The original is what exports are measured by, and not itself on trial.
            judged = (figure.here if same else figure.elsewhere) and later[name]["format"] != KERAS
            is_worse = judged and loss > (points if figure.by_points else percent)
            changes.append(Change(name, title, old, new, by, "points" if figure.by_points else "%", is_worse))
    gone, new_names = (tuple(sorted(set(a) - set(b))) for a, b in ((earlier, later), (later, earlier)))
    return Against(str(path), same, tuple(changes), gone, new_names)


def load_run(path: Path) -> dict[str, Any]:
    """Read an earlier run's JSON; raises LettercastError where it is none of this schema."""
    try:
        run = json.loads(path.read_bytes())
        if run["schema"] != SCHEMA or not all(isinstance(row["name"], str) for row in run["rows"]) or not run["machine"].get:
            raise ValueError(f"of schema {run['schema']}, this version compares {SCHEMA}")
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; give what an earlier --json wrote") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) and "schema" in str(error) else "not the JSON of a benchmark"
        raise LettercastError(f"{path}: {said}; give what an earlier `lettercast benchmark --json` wrote") from error
    return run


def rows_of(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the rows by model and engine, whatever the engine's version."""
    return {" with ".join(filter(None, (row["name"], str(row.get("engine", "")).partition(" ")[0]))): row for row in run["rows"]}


def at(row: Mapping[str, Any], place: tuple[str, ...]) -> float | None:
    """Return the number that stands in a row there, None where there is none."""
    value: Any = row
    for name in place:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def missed_floors(result: Benchmark, min_accuracy: float | None, max_p99: float | None) -> list[str]:
    """Say which exported models are below an accuracy in percent or above a p99 in milliseconds of one letter.

    A model of which the figure was not measured misses the floor, too.
    """
    said = []
    for row in result.rows:
        if row.format == KERAS:
            continue
        if min_accuracy is not None:
            if row.accuracy is None:
                said.append(f"{row.name}: accuracy not measured, at least {min_accuracy:g} % asked")
            elif row.accuracy.percent < min_accuracy:
                said.append(f"{row.name}: accuracy {row.accuracy.percent:.2f} %, at least {min_accuracy:g} % asked")
        if max_p99 is not None:
            if row.letter is None:
                said.append(f"{row.name}: latency not measured, a p99 of at most {max_p99:g} ms asked")
            elif row.letter.p99_ms > max_p99:
                said.append(f"{row.name}: p99 {row.letter.p99_ms:.3f} ms, at most {max_p99:g} ms asked")
    return said


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
