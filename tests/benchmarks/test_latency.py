"""Latency: what is run, how often, and how times are summed up."""

import numpy as np
import pytest

from lettercast.benchmarks.parity.measure import ROUNDS, WARM_RUNS, Latency, measure, summed_up, take_turns


def test_callers_take_turns_and_the_warm_up_does_not_count():
    turns = []
    latencies = measure([lambda number, name=name: turns.append(name) for name in "ab"], seconds=0, least=2 * ROUNDS)
    assert turns == ["a"] * WARM_RUNS + ["b"] * WARM_RUNS + list("aabb") * ROUNDS
    assert [latency.n for latency in latencies] == [2 * ROUNDS] * 2


def test_each_is_run_as_often_as_asked_at_least():
    (latency,) = measure([lambda number: None], seconds=0, least=50)
    assert 50 <= latency.n < 50 + ROUNDS


def test_a_short_call_is_run_until_the_seconds_are_full():
    (short,) = measure([lambda number: None], seconds=0.02, least=1)
    assert short.n > 1000


def test_runs_are_numbered_on_through_all_rounds_so_that_every_letter_has_its_turn():
    numbers = []
    measure([numbers.append], seconds=0, least=2 * ROUNDS)
    assert numbers[WARM_RUNS:] == list(range(2 * ROUNDS))


def test_what_is_known_after_each_round_is_told():
    known = [latency.n for (latency,) in take_turns([lambda number: None], seconds=0, least=ROUNDS)]
    assert known == list(range(1, ROUNDS + 1))


def test_percentiles_are_milliseconds():
    seconds = np.arange(101) / 1000
    assert summed_up(seconds) == Latency(*map(pytest.approx, (50.0, 90.0, 99.0)), 101)
