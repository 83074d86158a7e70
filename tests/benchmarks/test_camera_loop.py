"""The camera loop on a film."""

import json

import pytest

from lettercast.benchmarks.camera_loop import STAGES, main, make_film, resident_mb, soak, time_loop
from lettercast.runtime import Reader


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film"))


def test_every_stage_of_a_film_with_fifteen_letters_is_timed(film):
    result = time_loop(Reader(), film)
    assert result.size == (640, 480)
    assert result.letters == pytest.approx(15, abs=1.5)
    assert set(result.median_ms) == {*STAGES, "whole"}
    assert all(0 < result.median_ms[name] <= result.p90_ms[name] for name in result.median_ms)
    assert sum(result.median_ms[name] for name in STAGES) == pytest.approx(result.median_ms["whole"], rel=0.25)
    assert result.fps == pytest.approx(1000 / result.median_ms["whole"], rel=1e-3)


def test_a_soak_loses_no_frame_and_knows_the_memory(film):
    soaked = soak(Reader(), film, 0.02)
    assert soaked.given == soaked.read >= 150
    assert 20 < soaked.settled_mb <= soaked.most_mb + 1e-9
    assert soaked.growth_mb == soaked.end_mb - soaked.settled_mb


def test_memory_that_is_taken_shows():
    before = resident_mb()
    taken = bytearray(b"x" * 30_000_000)
    assert resident_mb() - before > 25
    del taken


def test_the_command_writes_its_figures(film, tmp_path, capsys):
    assert main([str(film), "--model", "letters-nano", "--json", str(tmp_path / "loop.json")]) == 0
    figures = json.loads((tmp_path / "loop.json").read_text())
    assert figures["loop"]["frames"] == 120
    assert figures["soak"] is None
    assert "frames a second" in capsys.readouterr().out


def test_a_film_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "film.mp4").write_bytes(b"")
    assert main([str(tmp_path / "film.mp4")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
