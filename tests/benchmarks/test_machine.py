"""The machine, and what makes times on it doubtful."""

import json
import os
from dataclasses import replace

import pytest

from lettercast.benchmarks.parity.measure import info_line, this_machine

PI = "processor\t: 0\nFeatures\t: fp asimd asimddp\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
PC = "model name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx2 avx512f\nmodel name\t: Some CPU @ 2.00GHz\n"


def test_this_machine_is_described_and_json_ready():
    machine = this_machine()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert json.loads(json.dumps(machine.to_dict()))["processor"] == machine.processor
    assert machine.processor in str(machine)
    assert f"cores: {machine.cores}" in str(machine)


@pytest.mark.parametrize(
    ("info", "processor", "flag"), [(PI, "Raspberry Pi 5 Model B Rev 1.0", "asimddp"), (PC, "Some CPU @ 2.00GHz", "avx2")]
)
def test_boards_and_pcs_say_what_they_are_in_words_of_their_own(info, processor, flag):
    assert info_line(info, "model name", "Model") == processor
    assert flag in info_line(info, "flags", "Features").split()
    assert info_line(info, "no such line") == ""


def test_a_steady_idle_machine_raises_no_doubt():
    assert replace(this_machine(), governor="performance", load=0.1).doubts() == []
    # Where the system does not say, nothing is made up.
    assert replace(this_machine(), governor=None, load=None).doubts() == []


def test_a_changing_clock_and_a_load_are_told_with_what_to_do():
    governor, load = replace(this_machine(), governor="ondemand", load=1.5).doubts()
    assert "'ondemand'" in governor and "cpupower" in governor
    assert "1.5 a core" in load
