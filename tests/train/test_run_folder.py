"""One training run per folder, and Ctrl-C during an epoch."""

import errno
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.train import plan
from lettercast.train.fit import DelayedInterrupt
from lettercast.train.plan import locked

HOLD = """
import pathlib, sys
from lettercast.train.plan import locked
with locked(pathlib.Path(sys.argv[1])):
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
    with pytest.raises(LettercastError, match="another training run writes there now"), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "other"):
        pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("answer", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_a_drive_cannot_lock_the_run_goes_on(tmp_path, monkeypatch, answer):
    def flock(held, how):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(plan.fcntl, "flock", flock)
    with locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_what_fails_within_is_not_taken_for_the_lock(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path / "run"):
        raise BlockingIOError


def test_a_second_run_is_refused_and_the_first_keeps_its_plan(holder, refused):
    assert "another training run writes there now" in refused("train", "--out", "run", "--epochs", 1, "--steps", 1)


class Presses(keras.callbacks.Callback):
    """Presses Ctrl-C at the beginning of a batch, and counts those that were finished."""

    def __init__(self, at: int, times: int = 1) -> None:
        super().__init__()
        self.at, self.times, self.finished = at, times, 0

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        self.finished += 1


def train(presses: Presses, interrupt: DelayedInterrupt) -> None:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    pixels = np.zeros((6, 2), np.float32)
    network.fit(pixels, pixels[:, :1], batch_size=1, shuffle=False, callbacks=[presses, interrupt], verbose=0)


def test_the_batch_under_way_is_finished_first():
    presses = Presses(at=2)
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 3


def test_pressed_twice_it_comes_at_once():
    presses = Presses(at=2, times=2)
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 2


def test_what_is_pressed_after_the_last_batch_comes_at_the_end():
    saved = []
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt():
        signal.raise_signal(signal.SIGINT)
        saved.append("the epoch")
    assert saved


def test_afterwards_ctrl_c_is_what_it_was_before():
    before = signal.getsignal(signal.SIGINT)
    with DelayedInterrupt() as interrupt:
        assert signal.getsignal(signal.SIGINT) == interrupt._ask
    assert signal.getsignal(signal.SIGINT) is before


def test_a_background_job_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with DelayedInterrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
