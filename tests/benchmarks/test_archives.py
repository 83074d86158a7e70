"""What reading an archive costs beside a bare loop."""

import json

import pytest

from lettercast.benchmarks.archives import ArchiveFigures, archive_table, main, processor_s


def test_an_archive_is_measured_beside_a_loop(page_file, tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="not installed: pip install 'lettercast[bulk]'")
    for name in ("2.png", "3.png"):
        (page_file.parent / name).write_bytes(page_file.read_bytes())
    words = [str(tmp_path), "--rounds", "1", "--processes", "1", "--model", "letters-nano", "--json", str(tmp_path / "f.json")]
    assert main(words) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert (figures["pages"], figures["rounds"], list(figures["rates"])) == (3, 1, ["1"])
    assert figures["bare_ms"] > 0 and figures["writing_ms"] > 0
    assert "overhead" in capsys.readouterr().out


def test_the_overhead_is_what_both_processes_take_more_than_the_loop():
    figures = ArchiveFigures(100, 3, 20.0, 20.4, 0.6, {1: 40.0, 2: 76.0})
    assert figures.overhead == pytest.approx(0.05)
    cells = [list(column.cells) for column in archive_table(figures).columns]
    assert cells[1][-2:] == ["40.0 pages/s", "76.0 pages/s, 1.90 times one"]


def test_the_time_of_a_process_grows():
    import os
    import time

    before = processor_s(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.1:
        sum(range(1000))
    assert processor_s(os.getpid()) >= before + 0.05
