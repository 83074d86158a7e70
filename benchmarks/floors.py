"""Floors for a user's own checks: what a model must reach, or the command ends with exit code 1."""

from .benchmark import Benchmark
from .contender import KERAS


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
