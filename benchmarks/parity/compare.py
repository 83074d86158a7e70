"""Judge a benchmark: compare it with an earlier run, check thresholds, and recommend a file for each kind of device."""

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

# How many percent times, sizes and memory may grow, and how many points accuracy and agreement may fall.
TOLERANCE_PERCENT, TOLERANCE_POINTS = 10.0, 0.3
# A file is recommended only within these limits of the export gate: accuracy drop in points, agreement in percent.
MAX_DROP, MIN_AGREEMENT = FORMATS["tflite-int8"].tolerance.max_drop, FORMATS["tflite-int8"].tolerance.min_agreement
# Many accelerators and microcontrollers compute with integers only.
ALL_INTEGER = ("tflite-int8", "tflite-int16x8")
APPS = "tflite-mobile"
# Figures within this share of the best one may differ by chance; among these files the one with the best agreement wins.
NEAR_BEST = 0.1


@dataclass(frozen=True)
class Figure:
    """A figure of a row: its path in the row's JSON, whether higher is better, and how to count its changes.

    by_points counts changes in points instead of percent. same_machine and other_machine say whether to judge the figure
    if both runs come from one machine, or from two: on two machines only the ratio to Keras counts, which is noisier.
    """

    path: tuple[str, ...]
    higher_is_better: bool = False
    by_points: bool = False
    same_machine: bool = True
    other_machine: bool = True


FIGURES = {
    "accuracy %": Figure(("accuracy", "percent"), higher_is_better=True, by_points=True),
    "agreement %": Figure(("parity", "agreement"), higher_is_better=True, by_points=True),
    "bytes": Figure(("size_bytes",)),
    "p50 ms": Figure(("letter", "p50_ms"), other_machine=False),
    "peak MB": Figure(("footprint", "peak_mb"), other_machine=False),
    "faster": Figure(("speedup",), higher_is_better=True, same_machine=False),
}


@dataclass(frozen=True)
class Change:
    """One figure of one model, before and now; by is the change in points or percent, is_worse if beyond the tolerance."""

    model: str
    figure: str
    before: float
    now: float
    by: float
    unit: str
    is_worse: bool


@dataclass(frozen=True)
class Comparison:
    """The changes since an earlier run: every figure of the models in both runs, and the models that only one run has."""

    before: str
    same_machine: bool
    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def worse(self) -> list[Change]:
        """Changes for the worse beyond the tolerance."""
        return [change for change in self.changes if change.is_worse]


@dataclass(frozen=True)
class Recommendation:
    """The file to take for a kind of device, and the reason: its figures, and what you must still measure there."""

    device: str
    name: str
    reason: str


@dataclass(frozen=True)
class Device:
    """A kind of device: which rows it can run, the figure to minimise, how to describe the chosen row, and a caveat."""

    name: str
    can_run: Callable[[Row], bool]
    cost: Callable[[Row], Any]
    describe: Callable[[Row], str]
    caveat: str = ""


def compare_runs(
    path: Path, result: Benchmark, percent: float = TOLERANCE_PERCENT, points: float = TOLERANCE_POINTS
) -> Comparison:
    """Compare a run with the JSON of an earlier one; rows match by model and engine.

    Raises LettercastError if the file is not such a JSON.
    """
    before = load_run(path)
    now = result.to_dict()
    same = all(before["machine"].get(name) == now["machine"][name] for name in ("processor", "architecture", "cores"))
    earlier, later = rows_by_name(before), rows_by_name(now)
    changes = []
    for name in (name for name in later if name in earlier):
        for title, figure in FIGURES.items():
            old, new = number_at(earlier[name], figure.path), number_at(later[name], figure.path)
            if old is None or new is None:
                continue
            by = new - old if figure.by_points else 100 * (new / old - 1) if old else 0.0
            loss = -by if figure.higher_is_better else by
            # The original is the reference of the exports, it is not judged itself.
            is_judged = (figure.same_machine if same else figure.other_machine) and later[name]["format"] != KERAS
            is_worse = is_judged and loss > (points if figure.by_points else percent)
            changes.append(Change(name, title, old, new, by, "points" if figure.by_points else "%", is_worse))
    gone, new_names = (tuple(sorted(set(a) - set(b))) for a, b in ((earlier, later), (later, earlier)))
    return Comparison(str(path), same, tuple(changes), gone, new_names)


def load_run(path: Path) -> dict[str, Any]:
    """Read the JSON of an earlier run; raises LettercastError if it is not one, or has another schema."""
    try:
        run = json.loads(path.read_bytes())
        if run["schema"] != SCHEMA or not all(isinstance(row["name"], str) for row in run["rows"]) or not run["machine"].get:
            raise ValueError(f"has schema {run['schema']}, but this version compares schema {SCHEMA}")
    except OSError as error:
        raise LettercastError(f"{path}: {error.strerror or 'cannot be read'}; name the --json file of an earlier run") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) and "schema" in str(error) else "not the JSON of a benchmark"
        raise LettercastError(f"{path}: {reason}; name the file of an earlier `lettercast benchmark --json`") from error
    return run


def rows_by_name(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the rows by model and engine, without the engine's version."""
    return {" with ".join(filter(None, (row["name"], str(row.get("engine", "")).partition(" ")[0]))): row for row in run["rows"]}


def number_at(row: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """Return the number at a path of a row, None if there is none."""
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def missed_thresholds(result: Benchmark, min_accuracy: float | None, max_p99: float | None) -> list[str]:
    """Return one line per exported model with less accuracy (percent) or a longer p99 of one letter (ms) than allowed.

    A model misses a threshold, too, if the figure was not measured.
    """
    missed = []
    for row in result.rows:
        if row.format == KERAS:
            continue
        if min_accuracy is not None:
            if row.accuracy is None:
                missed.append(f"{row.name}: accuracy not measured, at least {min_accuracy:g} % required")
            elif row.accuracy.percent < min_accuracy:
                missed.append(f"{row.name}: accuracy {row.accuracy.percent:.2f} %, at least {min_accuracy:g} % required")
        if max_p99 is not None:
            if row.letter is None:
                missed.append(f"{row.name}: latency not measured, a p99 of at most {max_p99:g} ms required")
            elif row.letter.p99_ms > max_p99:
                missed.append(f"{row.name}: p99 {row.letter.p99_ms:.3f} ms, at most {max_p99:g} ms required")
    return missed


def p50_of(row: Row) -> float:
    """Return the median milliseconds of one letter, infinity if it was not measured."""
    return row.letter.p50_ms if row.letter else float("inf")


def agreement_of(row: Row) -> float:
    """Return the percentage of letters on which a row agrees with its original."""
    return row.parity.agreement if row.parity else 0.0


def describe_speed(row: Row) -> str:
    """Return a row's speed and size in words."""
    return f"{p50_of(row):.3f} ms a letter on this machine, {row.size_bytes / 1000:.0f} kB"


def describe_size(row: Row) -> str:
    """Return a row's size in words."""
    return f"{row.size_bytes / 1000:.0f} kB"


def runs_in_reader(row: Row) -> bool:
    """Return whether LiteRT ran the row on letters as a reader does."""
    return row.engine.startswith(LITERT.name) and row.format != APPS


DEVICES = (
    Device(
        "Raspberry Pi and other boards, LiteRT",
        runs_in_reader,
        p50_of,
        describe_speed,
        "measure again on the board, its processor differs",
    ),
    Device("microcontrollers and NPUs: integers only", lambda row: row.format in ALL_INTEGER, p50_of, describe_speed),
    Device("apps, MediaPipe Tasks", lambda row: row.format == APPS, p50_of, describe_speed),
    Device("desktops and servers, ONNX Runtime", lambda row: row.engine.startswith(ONNX_RUNTIME.name), p50_of, describe_speed),
    Device("smallest file", lambda row: row.format != APPS, attrgetter("size_bytes"), describe_size),
)


def recommend(rows: Sequence[Row]) -> list[Recommendation]:
    """Return the best row for each kind of device, among the rows that agree with their original.

    If the run has several originals, only exports of the most accurate one compete.
    """
    best = max((row.parity.original_accuracy for row in rows if row.parity), default=None)
    candidates = [
        row
        for row in rows
        if row.letter
        and row.parity
        and row.parity.original_accuracy == best
        and row.format != KERAS
        and not row.failure
        and row.parity.drop <= MAX_DROP
        and row.parity.agreement >= MIN_AGREEMENT
    ]
    found = []
    for device in DEVICES:
        able = [row for row in candidates if device.can_run(row)]
        if able:
            limit = (1 + NEAR_BEST) * min(map(device.cost, able))
            row = max((row for row in able if device.cost(row) <= limit), key=agreement_of)
            others = "" if len(able) == 1 else f" (within {100 * NEAR_BEST:.0f} % of the best of {len(able)} files)"
            parts = [f"{device.describe(row)}{others}", f"{agreement_of(row):.2f} % agreement", device.caveat]
            found.append(Recommendation(device.name, row.name, "; ".join(filter(None, parts))))
    return found
