"""Judge a benchmark: compare it with an earlier run, check thresholds, and recommend a file for each kind of device."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from ... import LettercastError
from ...export.devices import DEVICES, Device, Recommendation, by_table, find_devices
from ...export.formats import FORMATS
from ...export.gate import PROVEN, Tolerance
from ...runtime.model.installed import LITERT, ONNX_RUNTIME
from .benchmark import SCHEMA, Benchmark, Row
from .contender import KERAS
from .measure import Machine

# How many percent times, sizes and memory may grow, and how many points accuracy and agreement may fall.
TOLERANCE_PERCENT, TOLERANCE_POINTS = 10.0, 0.3
APPS = "tflite-mobile"
# Processors with one of these multiply and add 8-bit integers in one instruction.
DOT_PRODUCTS = ("avx_vnni", "avx512_vnni", "asimddp")
NOT_TIMED = "by the table of devices: times measured here do not hold there"
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
    """The changes since an earlier run: every figure of the models in both runs, and the models that only one run has.

    gone are the models that only the earlier run has, and new those that only this one has. lost names each model and figure
    that the earlier run judges and this one did not measure.
    """

    before: str
    same_machine: bool
    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    lost: tuple[str, ...] = ()

    @property
    def worse(self) -> list[Change]:
        """Changes for the worse beyond the tolerance."""
        return [change for change in self.changes if change.is_worse]

    @property
    def misses(self) -> list[str]:
        """Return a line for each model that is gone, each figure that was not measured again, and each that became worse."""
        worse = [f"{change.model}: {change.figure} {change.by:+.2f} {change.unit}" for change in self.worse]
        gone = [f"{name}: in {self.before}, but not in this run" for name in self.gone]
        return [*gone, *(f"{one}, which {self.before} has, was not measured" for one in self.lost), *worse]


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
    changes, lost = [], []
    for name in (name for name in later if name in earlier):
        for title, figure in FIGURES.items():
            old, new = number_at(earlier[name], figure.path), number_at(later[name], figure.path)
            # The original is the reference of the exports, it is not judged itself.
            is_judged = (figure.same_machine if same else figure.other_machine) and later[name]["format"] != KERAS
            if old is None or new is None:
                lost += [f"{name}: {title}"] if old is not None and is_judged else []
                continue
            by = new - old if figure.by_points else 100 * (new / old - 1) if old else 0.0
            loss = -by if figure.higher_is_better else by
            is_worse = is_judged and loss > (points if figure.by_points else percent)
            changes.append(Change(name, title, old, new, by, "points" if figure.by_points else "%", is_worse))
    gone, new_names = (
        tuple(sorted(name for name in set(a) - set(b) if a[name].get("format") != KERAS))
        for a, b in ((earlier, later), (later, earlier))
    )
    return Comparison(str(path), same, tuple(changes), gone, new_names, tuple(lost))


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
    """Return the rows by model and engine, without the engine's version; files of the same name are numbered."""
    named: dict[str, Mapping[str, Any]] = {}
    for row in run["rows"]:
        name = " with ".join(filter(None, (row["name"], str(row.get("engine", "")).partition(" ")[0])))
        number = next(number for number in count(1) if f"{name} ({number})" not in named and (number > 1 or name not in named))
        named[name if number == 1 else f"{name} ({number})"] = row
    return named


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
    """Return the median milliseconds of one letter or image, infinity if it was not measured."""
    return row.letter.p50_ms if row.letter else float("inf")


def agreement_of(row: Row) -> float:
    """Return the percentage of images on which a row agrees with its original."""
    return row.parity.agreement if row.parity else 0.0


def recommend(result: Benchmark) -> list[Recommendation]:
    """Return the file to take on this processor, by its times, and on other devices, by the table of devices.

    Only files that keep within the limits of their format compete; if the run has several originals, only the exports of the
    most accurate one. A time of this processor recommends nothing for a device with another one. Devices that `result` does
    not name are joined in one line for each file. A single line without a file says why there is none.
    """
    rows = usable_rows(result.rows)
    if not rows:
        return [Recommendation("every device", "", reason_for_none(result.rows))]
    measured = [one for engine in (LITERT, ONNX_RUNTIME) if (one := fastest(rows, engine.name, result))]
    smallest = min(rows, key=lambda row: (row.size_bytes, -agreement_of(row)))
    small = Recommendation("smallest file", smallest.name, f"{in_kb(smallest)}; {said_agreement(smallest)}", smallest.format)
    if result.devices:
        return [for_device(device, rows, result) for device in find_devices(result.devices)]
    tabled: dict[str, list[str]] = {}
    for device in DEVICES.values():
        if not is_this(device, result.machine) and (one := for_device(device, rows, result)).name:
            tabled.setdefault(one.name, []).append(one.device)
    others = [Recommendation(", ".join(titles), name, NOT_TIMED) for name, titles in tabled.items()]
    return [*measured, small, *others]


def usable_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the timed exports of the most accurate original that keep within the limits of their formats."""
    best = max((row.parity.original_accuracy for row in rows if row.parity), default=None)
    return [
        row
        for row in rows
        if row.letter
        and row.parity
        and row.parity.original_accuracy == best
        and row.format in FORMATS
        and not row.failure
        and not row.parity.misses(limits_of(row))
    ]


def limits_of(row: Row) -> Tolerance:
    """Return the limits of a row's format; the difference of probabilities, which other processors round, has none."""
    return replace(FORMATS[row.format].tolerance, max_difference=1.0)


def reason_for_none(rows: Sequence[Row]) -> str:
    """Return why no file is recommended."""
    exported = [row for row in rows if row.format != KERAS]
    if not any(row.parity for row in exported):
        return "without the original, no file can be compared with it: name it with --original"
    if not any(row.letter for row in exported):
        return "no file was timed"
    return "no file keeps within the limits of its format on these images"


def fastest(rows: Sequence[Row], engine: str, result: Benchmark) -> Recommendation | None:
    """Return the file that one engine runs fastest on this processor; None if it ran none."""
    able = [row for row in rows if row.engine.startswith(engine) and row.format != APPS]
    if not able:
        return None
    row = near_best(able)
    return Recommendation(f"{result.machine.processor}, {engine}", row.name, said_time(row, able, result), row.format)


def near_best(rows: Sequence[Row]) -> Row:
    """Return the row with the best agreement among the fastest ones, whose times may differ by chance."""
    limit = (1 + NEAR_BEST) * min(map(p50_of, rows))
    return max((row for row in rows if p50_of(row) <= limit), key=agreement_of)


def for_device(device: Device, rows: Sequence[Row], result: Benchmark) -> Recommendation:
    """Return the file to take on a device: by the times of this run if this is the device, otherwise by the table."""
    able = [row for row in rows if row.format in device.formats]
    if able and is_this(device, result.machine):
        row = near_best(able)
        return Recommendation(device.title, row.name, f"timed here: {said_time(row, able, result)}", row.format)
    proven = [row.format for row in able if row.parity and row.parity.verdict(FORMATS[row.format].tolerance) == PROVEN]
    one = by_table(device, {row.format: row.name for row in able}, proven)
    return replace(one, reason=f"{one.reason}; {NOT_TIMED}") if one.name else one


def is_this(device: Device, machine: Machine) -> bool:
    """Whether a machine is a device of this kind, so that its times hold there."""
    if not device.architecture or device.architecture != machine.architecture:
        return False
    has_dot_product = any(flag in DOT_PRODUCTS for flag in machine.vectors)
    return device.board in machine.processor if device.board else has_dot_product == device.has_dot_product


def said_time(row: Row, able: Sequence[Row], result: Benchmark) -> str:
    """Return a row's speed, size and agreement in words."""
    one = result.unit.removesuffix("s")
    rank = "the fastest of" if p50_of(row) == min(map(p50_of, able)) else f"within {100 * NEAR_BEST:.0f} % of the fastest of"
    others = "" if len(able) == 1 else f" ({rank} {len(able)} files)"
    return f"{p50_of(row):.3f} ms per {one}{others}, {in_kb(row)}; {said_agreement(row)}"


def in_kb(row: Row) -> str:
    """Return a row's size in words."""
    return f"{row.size_bytes / 1000:.0f} kB"


def said_agreement(row: Row) -> str:
    """Return a row's agreement in words."""
    return f"{agreement_of(row):.2f} % agreement"
