"""Latency of calls on this machine: the spread of many, the callers taking turns."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# What is called with the number of its run.
Run = Callable[[int], object]
# Each round gives every caller its turn, so that a drift of the machine's speed hits all alike.
ROUNDS = 12
LEAST_RUNS, SECONDS = 50, 1.0
# Runs before any counts, which warm caches and clocks up and tell how long one takes.
WARM_RUNS = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call: p50, p90 and p99 over n runs after a warm-up."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    n: int


def measure(runs: Sequence[Run], seconds: float = SECONDS, least: int = LEAST_RUNS) -> list[Latency]:
    """Time calls as `take_turns` does, to the end."""
    *_, latencies = take_turns(runs, seconds, least)
    return latencies


def take_turns(runs: Sequence[Run], seconds: float = SECONDS, least: int = LEAST_RUNS) -> Iterator[list[Latency]]:
    """Time calls, each for at least `seconds` in all and at least `least` times, in 12 rounds of turns.

    Yields after every round what is known so far.
    """
    counts = [runs_a_round(run, seconds, least) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(ROUNDS):
        for run, taken, count in zip(runs, times, counts, strict=True):
            taken += [timed(run, turn * count + i) for i in range(count)]
        yield [summed_up(taken) for taken in times]


def runs_a_round(run: Run, seconds: float, least: int) -> int:
    """Return how often a call is timed in each round, by how long it took when tried."""
    tried = float(np.median([timed(run, i) for i in range(WARM_RUNS)]))
    return math.ceil(max(least, seconds / max(tried, 1e-9)) / ROUNDS)


def timed(run: Run, number: int) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    run(number)
    return time.perf_counter() - begun


def summed_up(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of times, in milliseconds."""
    p50, p90, p99 = 1000 * np.percentile(seconds, (50, 90, 99))
    return Latency(float(p50), float(p90), float(p99), len(seconds))
