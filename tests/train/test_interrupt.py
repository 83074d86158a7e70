"""Ctrl-C while an epoch is under way."""

import signal

import keras
import numpy as np
import pytest

from lettercast.train.fit import HeldInterrupt


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


def train(presses: Presses, interrupt: HeldInterrupt) -> None:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    pixels = np.zeros((6, 2), np.float32)
    network.fit(pixels, pixels[:, :1], batch_size=1, shuffle=False, callbacks=[presses, interrupt], verbose=0)


def test_the_batch_under_way_is_finished_first():
    presses = Presses(at=2)
    with pytest.raises(KeyboardInterrupt), HeldInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 3


def test_pressed_twice_it_comes_at_once():
    presses = Presses(at=2, times=2)
    with pytest.raises(KeyboardInterrupt), HeldInterrupt() as interrupt:
        train(presses, interrupt)
    assert presses.finished == 2


def test_what_is_pressed_after_the_last_batch_comes_at_the_end():
    saved = []
    with pytest.raises(KeyboardInterrupt), HeldInterrupt():
        signal.raise_signal(signal.SIGINT)
        saved.append("the epoch")
    assert saved


def test_afterwards_ctrl_c_is_what_it_was_before():
    before = signal.getsignal(signal.SIGINT)
    with HeldInterrupt() as interrupt:
        assert signal.getsignal(signal.SIGINT) == interrupt._ask
    assert signal.getsignal(signal.SIGINT) is before


def test_a_background_job_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with HeldInterrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
