"""Files that are whole or not there."""

import os
import subprocess
import sys

import pytest

from lettercast import LettercastError
from lettercast.runtime.files import write_bytes


def test_a_file_is_written_into_a_new_folder_with_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "deep" / "f.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_two_processes_may_write_one_file_at_once(tmp_path):
    code = "import sys, pathlib\nfrom lettercast.runtime.files import write_bytes\nfor _ in range(200):\n"
    code += "    write_bytes(pathlib.Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "f.bin"), letter]) for letter in "xy"]
    assert [writer.wait() for writer in writers] == [0, 0]
    written = (tmp_path / "f.bin").read_bytes()
    assert written in (b"x" * 100_000, b"y" * 100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]


def test_what_killed_processes_left_is_cleared_away_and_nothing_else(tmp_path):
    old = {
        name: tmp_path / name
        for name in (".f.4242.partial.bin", ".film.7.partial.mp4", ".mine.partial.bin", ".f.x.partial.bin", "f.1.bin")
    }
    for path in old.values():
        path.write_bytes(b"old")
        os.utime(path, (0, 0))
    (tmp_path / ".g.4243.partial.bin").write_bytes(b"being written")
    write_bytes(tmp_path / "f.bin", b"one")
    left = {".mine.partial.bin", ".f.x.partial.bin", "f.1.bin", ".g.4243.partial.bin", "f.bin"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LettercastError, match="choose another folder"):
        write_bytes(tmp_path / "taken" / "f.bin", b"one")
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_file_that_cannot_be_replaced_leaves_no_scraps(tmp_path):
    (tmp_path / "f.bin").mkdir()
    with pytest.raises(LettercastError, match=r"f.bin"):
        write_bytes(tmp_path / "f.bin", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["f.bin"]
