"""Latency of models on this machine: load, first inference, and the spread of many."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..runtime.pixels import Pixels

Run = Callable[[Pixels], object]
# Each round gives every model its turn, so that a drift of the machine's speed hits all alike.
ROUNDS = 15


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one picture; p50, p90 and p99 over n runs after a warm-up."""

    load_ms: float
    first_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    n: int


@dataclass(frozen=True)
class Started:
    """A model that is loaded and has run once: its code, and milliseconds of both."""

    run: Run
    load_ms: float
    first_ms: float


def start(load: Callable[[], Run], picture: Pixels) -> Started:
    """Load a model and run it once on (1, H, W, C) uint8, timing both."""
    begun = time.perf_counter()
    run = load()
    loaded = time.perf_counter()
    run(picture)
    return Started(run, 1000 * (loaded - begun), 1000 * (time.perf_counter() - loaded))


def measure(models: Sequence[Started], pictures: Pixels, runs: Sequence[int]) -> list[Latency]:
    """Time single pictures, the models taking turns.

    Args:
        models: what to time.
        pictures: (N, H, W, C) uint8; each run takes the next one.
        runs: how often each model runs in each of the 15 rounds.
    """
    times: list[list[float]] = [[] for _ in models]
    for round_number in range(-1, ROUNDS):
        for model, taken, count in zip(models, times, runs, strict=True):
            for i in range(count):
                picture = pictures[(max(0, round_number) * count + i) % len(pictures)][None]
                begun = time.perf_counter()
                model.run(picture)
                elapsed = time.perf_counter() - begun
                # The round before the first warms caches and clocks up and does not count.
                if round_number >= 0:
                    taken.append(1000 * elapsed)
    return [
        Latency(model.load_ms, model.first_ms, *_percentiles(taken), n=len(taken))
        for model, taken in zip(models, times, strict=True)
    ]


def _percentiles(times: list[float]) -> tuple[float, float, float]:
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    return float(p50), float(p90), float(p99)
