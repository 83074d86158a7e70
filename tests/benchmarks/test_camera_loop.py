"""The camera loop on a film."""

import json

import pytest

from lettercast.benchmarks.speed.camera_loop import STAGES, WHOLE, loop_table, main, make_film, time_loop
from lettercast.runtime import Reader


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film"))


def test_every_stage_of_a_film_with_fifteen_letters_is_timed(film):
    result = time_loop(Reader(), film)
    assert result.size == (640, 480)
    assert result.letters == pytest.approx(15, abs=1.5)
    assert set(result.median_ms) == {*STAGES, WHOLE}
    assert all(0 < result.median_ms[name] <= result.p90_ms[name] for name in result.median_ms)
    assert sum(result.median_ms[name] for name in STAGES) == pytest.approx(result.median_ms[WHOLE], rel=0.25)
    assert result.fps == pytest.approx(1000 / result.median_ms[WHOLE], rel=1e-3)


def test_the_table_has_a_line_for_each_stage_and_one_for_the_whole(film):
    stage, *_, share = loop_table(time_loop(Reader(), film)).columns
    assert list(stage.cells) == [*STAGES, WHOLE]
    assert sum(int(str(cell)) for cell in share.cells if cell) == pytest.approx(100, abs=len(STAGES))


def test_the_command_writes_its_figures(film, tmp_path, capsys):
    assert main([str(film), "--model", "letters-nano", "--json", str(tmp_path / "loop.json")]) == 0
    figures = json.loads((tmp_path / "loop.json").read_text())
    assert figures["frames"] == 120
    said = capsys.readouterr().out
    assert "frames a second" in said
    assert all(name in said for name in STAGES)


def test_a_film_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "film.mp4").write_bytes(b"")
    assert main([str(tmp_path / "film.mp4")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
