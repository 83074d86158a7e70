"""Ctrl-C while an epoch is under way."""

import signal
import threading
from types import FrameType, TracebackType

import keras


class HeldInterrupt(keras.callbacks.Callback):
    """Holds Ctrl-C back until the batch under way is trained: TensorFlow, cut short, may swallow it or break.

    A context and a callback of `fit`. What is asked for after the last batch, while the epoch is saved, comes at the
    context's end; asked for twice, it comes at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = False

    def __enter__(self) -> "HeldInterrupt":
        # A shell's background job ignores Ctrl-C, and only the main thread hears it.
        is_main = threading.current_thread() is threading.main_thread()
        self.is_holding = is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self.is_holding:
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_holding:
            signal.signal(signal.SIGINT, self.before)
        if self.is_asked and kind is None:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
