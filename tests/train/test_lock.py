"""One training run a folder."""

import errno
import os
import subprocess
import sys

import pytest

from lettercast import LettercastError
from lettercast.train import fit as lock
from lettercast.train.fit import alone

HOLD = """
import pathlib, sys
from lettercast.train.fit import alone
with alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_held_by_one_process_until_it_is_killed(holder, tmp_path):
    with pytest.raises(LettercastError, match="another training run writes there now"), alone(tmp_path / "run"):
        pass
    with alone(tmp_path / "other"):
        pass
    holder.kill()
    holder.wait()
    with alone(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("answer", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_a_drive_cannot_lock_the_run_goes_on(tmp_path, monkeypatch, answer):
    def flock(held, how):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with alone(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_what_fails_within_is_not_taken_for_the_lock(tmp_path):
    with pytest.raises(BlockingIOError), alone(tmp_path / "run"):
        raise BlockingIOError


def test_a_second_run_is_refused_and_the_first_keeps_its_plan(holder, refused):
    assert "another training run writes there now" in refused("train", "--out", "run", "--epochs", 1, "--steps", 1)
