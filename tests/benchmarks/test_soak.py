"""A soak of seconds: a camera that fails again and again, browsers, and whether anything grows."""

import json
import mmap
from functools import partial

import numpy as np
import pytest

from lettercast.benchmarks import soak as soak_module
from lettercast.benchmarks.parity.measure import this_machine
from lettercast.benchmarks.soak import Held, Soak, SoakPlan, describe, held_now, main, resident_mb, soak
from lettercast.runtime.retry import Backoff
from lettercast.runtime.sources.camera import Timeouts


def run_of(*, hours=1.0, memory=0.0, descriptors=0, threads=0) -> Soak:
    """Return a run in which memory, descriptors and threads grow by these amounts."""
    shares = np.linspace(0, 1, 60).tolist()
    held = (Held(3600 * hours * s, 100 + memory * s, 20 + round(descriptors * s), 9 + round(threads * s)) for s in shares)
    return Soak(this_machine(), "m", hours, 99, {"hung": 2}, 3, 4, tuple(held))


def test_a_camera_that_fails_in_every_way_comes_back(card_video, tmp_path, monkeypatch, capsys):
    timeouts = Timeouts(silence_s=0.4, retries=Backoff(0.02, 0.8), release_s=0.2)
    quick = SoakPlan(fps=100.0, min_s=0.1, max_s=0.3, hang_s=0.8, visit_s=0.1, away_s=0.05, timeouts=timeouts)
    monkeypatch.setattr(soak_module, "soak", partial(soak, plan=quick))
    words = ["--hours", "0.0015", "--film", str(card_video), "--model", "letters-nano", "--json", str(tmp_path / "soak.json")]
    assert main(words) == 0
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert set(figures["losses"]) == {"unplugged", "driver failed", "hung"}
    assert figures["frames"] > 60
    assert figures["visits"] > 5 and figures["failed_openings"] > 0
    out = capsys.readouterr().out
    assert "camera lost" in out and "too short to tell" in out


@pytest.mark.parametrize("grown", [{"memory": 20.0}, {"descriptors": 30}, {"threads": 10}])
def test_growth_is_not_flat(grown):
    assert run_of().is_flat
    assert not run_of(**grown).is_flat
    assert describe(run_of(**grown)).endswith("threads grow") and describe(run_of()).endswith("nothing grows")


def test_a_short_run_cannot_tell_growth():
    assert run_of(hours=0.05, memory=20.0).is_flat is None and run_of(hours=0.2, memory=20.0).is_flat is False


def test_memory_and_descriptors_that_are_held_are_counted(tmp_path):
    before = held_now(0)
    # Memory of its own: what the process freed before would be taken first.
    taken = mmap.mmap(-1, 40_000_000)
    taken.write(b"x" * 40_000_000)
    with (tmp_path / "f").open("w"):
        now = held_now(0)
    assert now.memory_mb - before.memory_mb > 25
    assert now.descriptors == before.descriptors + 1
    taken.close()
    assert resident_mb() > 20


def test_a_broken_video_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "video.mp4").write_bytes(b"")
    assert main(["--film", str(tmp_path / "video.mp4"), "--hours", "0.001"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
