"""Latency, footprint and the machine that they are measured on."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.parity.measure import (
    ROUNDS,
    WARM_RUNS,
    Latency,
    footprint,
    latency_of,
    measure,
    take_turns,
    this_machine,
)
from lettercast.runtime.model.installed import ONNX_RUNTIME
from lettercast.runtime.model.processor import info_line


def test_calls_take_turns_and_the_warm_up_does_not_count():
    turns = []
    latencies = measure([lambda number, name=name: turns.append(name) for name in "ab"], seconds=0, min_runs=2 * ROUNDS)
    assert turns == ["a"] * WARM_RUNS + ["b"] * WARM_RUNS + list("aabb") * ROUNDS
    assert [latency.n for latency in latencies] == [2 * ROUNDS] * 2


def test_each_call_runs_at_least_as_often_as_asked():
    (latency,) = measure([lambda number: None], seconds=0, min_runs=50)
    assert 50 <= latency.n < 50 + ROUNDS


def test_a_short_call_runs_until_the_time_is_over():
    (short,) = measure([lambda number: None], seconds=0.02, min_runs=1)
    assert short.n > 1000


def test_runs_are_numbered_through_all_rounds():
    numbers = []
    measure([numbers.append], seconds=0, min_runs=2 * ROUNDS)
    assert numbers[WARM_RUNS:] == list(range(2 * ROUNDS))


def test_latencies_are_returned_after_each_round():
    known = [latency.n for (latency,) in take_turns([lambda number: None], seconds=0, min_runs=ROUNDS)]
    assert known == list(range(1, ROUNDS + 1))


def test_percentiles_are_milliseconds():
    seconds = np.arange(101) / 1000
    assert latency_of(seconds) == Latency(*map(pytest.approx, (50.0, 90.0, 99.0)), 101)


@pytest.fixture(scope="module")
def costs(measured_run):
    return dict(zip(("keras", "tflite", "onnx"), (row.footprint for row in measured_run.rows), strict=True))


def test_every_stage_is_timed(costs):
    for cost in costs.values():
        assert min(cost.import_ms, cost.load_ms, cost.first_ms) > 0


def test_an_export_needs_a_fraction_of_the_memory_of_the_original(costs):
    if costs["keras"].peak_mb is None:
        pytest.skip("this system does not tell a process's peak memory")
    for name in ("tflite", "onnx"):
        assert 10 < costs[name].peak_mb < costs["keras"].peak_mb / 2


def test_a_module_in_the_current_folder_is_not_imported(exported, tmp_path, monkeypatch):
    (tmp_path / "lettercast").mkdir()
    (tmp_path / "lettercast" / "__init__.py").write_text("raise SystemExit('another package')")
    monkeypatch.chdir(tmp_path)
    assert footprint(exported["onnx-int8"], 1, ONNX_RUNTIME, 15).load_ms > 0


def test_a_failed_process_is_reported_with_its_last_line(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(LettercastError, match=r"broken.onnx: a separate process could not run it \(.*broken.onnx"):
        footprint(path, 1, ONNX_RUNTIME, 15)


PI = "processor\t: 0\nFeatures\t: fp asimd asimddp\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
PC = "model name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx2 avx512f\nmodel name\t: Some CPU @ 2.00GHz\n"


def test_this_machine_is_described_as_json_and_as_text():
    machine = this_machine()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert json.loads(json.dumps(machine.to_dict()))["processor"] == machine.processor
    assert machine.processor in str(machine)
    assert f"cores: {machine.cores}" in str(machine)


@pytest.mark.parametrize(
    ("info", "processor", "flag"), [(PI, "Raspberry Pi 5 Model B Rev 1.0", "asimddp"), (PC, "Some CPU @ 2.00GHz", "avx2")]
)
def test_boards_and_pcs_name_their_processor_in_different_fields(info, processor, flag):
    assert info_line(info, "model name", "Model") == processor
    assert flag in info_line(info, "flags", "Features").split()
    assert info_line(info, "no such line") == ""


def test_a_steady_idle_machine_raises_no_doubt():
    assert replace(this_machine(), governor="performance", load=0.1).doubts() == []
    # Unknown values raise no doubt either.
    assert replace(this_machine(), governor=None, load=None).doubts() == []


def test_a_changing_clock_and_a_load_are_doubts_with_a_remedy():
    governor, load = replace(this_machine(), governor="ondemand", load=1.5).doubts()
    assert "'ondemand'" in governor and "cpupower" in governor
    assert "1.5 a core" in load
