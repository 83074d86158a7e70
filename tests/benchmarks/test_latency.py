"""Latency: what is run, how often, and how times are summed up."""

import numpy as np
import pytest

from lettercast.benchmarks.latency import ROUNDS, measure, start

PICTURES = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)


def test_starting_loads_once_and_runs_once():
    calls = []
    started = start(lambda: calls.append("load") or (lambda picture: calls.append(picture.shape)), PICTURES[:1])
    assert calls == ["load", (1, 1, 1, 1)]
    assert min(started.load_ms, started.first_ms) >= 0


def test_models_take_turns_on_single_pictures_and_the_warm_up_does_not_count():
    turns = []
    models = [start(lambda name=name: lambda picture: turns.append((name, picture.shape[0])), PICTURES[:1]) for name in "ab"]
    turns.clear()
    first, second = measure(models, PICTURES, [1, 2])
    assert turns == [("a", 1), ("b", 1), ("b", 1)] * (ROUNDS + 1)
    assert (first.n, second.n) == (ROUNDS, 2 * ROUNDS)


def test_every_picture_has_its_turn():
    seen = []
    model = start(lambda: lambda picture: seen.append(int(picture.ravel()[0])), PICTURES[:1])
    measure([model], PICTURES, [1])
    assert set(seen) == {0, 1, 2}


def test_percentiles_are_in_order_and_hold_load_and_first_run():
    model = start(lambda: lambda picture: sum(range(1000)), PICTURES[:1])
    (latency,) = measure([model], PICTURES, [4])
    assert 0 < latency.p50_ms <= latency.p90_ms <= latency.p99_ms
    assert (latency.load_ms, latency.first_ms) == pytest.approx((model.load_ms, model.first_ms))
