"""Hours before a camera that is lost again and again, as seconds."""

import json

import numpy as np
import pytest

from lettercast.benchmarks import soak as soak_module
from lettercast.benchmarks.parity.measure import this_machine
from lettercast.benchmarks.soak import Held, Soak, describe, held_now, main, resident_mb
from lettercast.benchmarks.speed.camera_loop import make_film


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film"))


def run_of(*, hours=1.0, memory=0.0, descriptors=0, threads=0) -> Soak:
    """Return a run of an hour over which what is held grows by so much."""
    shares = np.linspace(0, 1, 60).tolist()
    held = (Held(3600 * hours * s, 100 + memory * s, 20 + round(descriptors * s), 9 + round(threads * s)) for s in shares)
    return Soak(this_machine(), "m", hours, 99, {"hung": 2}, 3, 4, tuple(held))


def test_a_camera_lost_in_every_way_comes_back_and_frames_go_on(film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(soak_module, "LEAST_S", 0.2)
    monkeypatch.setattr(soak_module, "MOST_S", 0.6)
    monkeypatch.setattr(soak_module, "AWAY_S", 0.1)
    monkeypatch.setattr(soak_module, "VISIT_S", 0.3)
    assert main(["--hours", "0.005", "--film", str(film), "--model", "letters-nano", "--json", str(tmp_path / "soak.json")]) == 0
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert set(figures["losses"]) == {"unplugged", "driver failed", "hung"}
    assert figures["frames"] > 60
    assert figures["visits"] > 5 and figures["failed_openings"] > 0
    out = capsys.readouterr().out
    assert "camera lost" in out and "too short to tell" in out


@pytest.mark.parametrize("grown", [{"memory": 20.0}, {"descriptors": 30}, {"threads": 10}])
def test_what_grows_is_not_flat(grown):
    assert run_of().is_flat
    assert not run_of(**grown).is_flat
    assert describe(run_of(**grown)).endswith("it grows") and describe(run_of()).endswith("flat")


def test_seconds_say_nothing_of_growth():
    assert run_of(hours=0.05, memory=20.0).is_flat is None and run_of(hours=0.2, memory=20.0).is_flat is False


def test_what_is_taken_shows(tmp_path):
    before = held_now(0)
    taken = bytearray(b"x" * 30_000_000)
    with (tmp_path / "f").open("w"):
        now = held_now(0)
    assert now.memory_mb - before.memory_mb > 25 and now.descriptors == before.descriptors + 1
    del taken
    assert resident_mb() > 20


def test_a_film_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "film.mp4").write_bytes(b"")
    assert main(["--film", str(tmp_path / "film.mp4"), "--hours", "0.001"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
