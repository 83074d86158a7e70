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
from lettercast.runtime import files
from lettercast.runtime.model.facts import keras_facts
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
    """Another process that holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_folder_is_locked_until_its_process_is_killed(holder, tmp_path):
    with pytest.raises(LettercastError, match="another training run writes there now"), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "other"):
        pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []


def test_model_has_the_name_that_it_is_given(lettercast, tmp_path):
    words = ["train", "--init", "letters-nano", "--epochs", "1", "--steps", "1", "--out", tmp_path / "run", "--name", "mine"]
    assert lettercast(*words)[0] == 0
    facts = keras_facts(tmp_path / "run" / "model.keras")
    assert facts.name == "mine"
    assert facts.made["command"].endswith(" --name mine")
    assert (tmp_path / "run" / "card.md").read_text().startswith("# mine\n")


@pytest.mark.parametrize("answer", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_run_continues_on_a_drive_that_cannot_lock(tmp_path, monkeypatch, answer):
    def flock(held, how):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_error_inside_the_lock_is_not_mistaken_for_a_locked_folder(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path / "run"):
        raise BlockingIOError


def test_second_run_in_a_folder_is_refused_and_changes_nothing(holder, refused):
    assert "another training run writes there now" in refused("train", "--out", "run", "--epochs", 1, "--steps", 1)


class Presses(keras.callbacks.Callback):
    """Presses Ctrl-C at the beginning of a batch, and counts the batches that finish."""

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


def test_ctrl_c_waits_for_the_current_batch():
    presses = Presses(at=2)
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 3


def test_second_ctrl_c_takes_effect_at_once():
    presses = Presses(at=2, times=2)
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 2


def test_ctrl_c_after_the_last_batch_waits_until_the_epoch_is_saved():
    saved = []
    with pytest.raises(KeyboardInterrupt), DelayedInterrupt():
        signal.raise_signal(signal.SIGINT)
        saved.append("the epoch")
    assert saved


def test_handler_of_ctrl_c_is_restored():
    before = signal.getsignal(signal.SIGINT)
    with DelayedInterrupt() as interrupt:
        assert signal.getsignal(signal.SIGINT) == interrupt._ask
    assert signal.getsignal(signal.SIGINT) is before


def test_background_job_still_ignores_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with DelayedInterrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
