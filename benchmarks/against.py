"""What changed since an earlier benchmark."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import LettercastError
from .benchmark import SCHEMA, Benchmark
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
