"""Live pictures: always the newest one, and patience with a camera that goes away."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import LettercastError
from .capture import Capture, Patience
from .frame import Frame
from .pixels import Pixels
from .say import say

SILENT = "close other programs that use it, or plug it in again; a camera on a Pi's ribbon cable is called picamera"
# Whoever looks on is heard so often while a camera gives nothing.
IDLE_S = 0.05
# Opens a camera; raises LettercastError where there is none.
Connect = Callable[[], Capture]


class Camera(Iterator[Frame]):
    """The newest frames of a camera, for as long as it gives any or comes back in time; numbered without a break.

    `idle` is called again and again while it gives nothing, and may raise. Raises LettercastError where it does not
    answer, and later where it is gone for good.
    """

    def __init__(self, name: str, connect: Connect, patience: Patience | None = None) -> None:
        self.name = name
        self.idle: Callable[[], None] = lambda: None
        self._connect, self._patience = connect, patience or Patience()
        self._grabber = Grabber(connect)
        try:
            if not self._grabber.wait(self._patience.silence_s):
                raise self._grabber.failure or LettercastError(f"camera {name} does not answer: {SILENT}")
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Frame:
        while not self._wait():
            self._reconnect()
        number, image = self._grabber.take()
        return Frame(self.name, number, image, is_live=True)

    def close(self) -> None:
        """Let go of the camera."""
        self._grabber.close(self._patience.release_s)

    def _wait(self) -> bool:
        """Wait for a picture as long as is patient, and heed who looks on meanwhile."""
        end = time.monotonic() + self._patience.silence_s
        while not (found := self._grabber.wait(max(0.0, min(IDLE_S, end - time.monotonic())))):
            if self._grabber.has_ended or time.monotonic() >= end:
                break
            self.idle()
        return found

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(IDLE_S, left))
            self.idle()

    def _reconnect(self) -> None:
        total = f"{sum(self._patience.retries_s):g} s"
        say(f"camera {self.name} gives no more pictures; trying for {total} to have it back")
        number = self._grabber.number
        for wait_s in self._patience.retries_s:
            self._grabber.close(self._patience.release_s)
            self._sleep(wait_s)
            self._grabber = Grabber(self._connect, number)
            if self._wait():
                say(f"camera {self.name} is back")
                return
        raise LettercastError(f"camera {self.name} is gone, and did not come back within {total}; plug it in or start it again")


class Grabber:
    """A thread that empties a camera's queue, so that whoever asks sees the newest picture and never an old one.

    A camera may hang in read() for ever, so it is never waited for without a limit.
    """

    def __init__(self, connect: Connect, number: int = 0) -> None:
        self.number = number
        self.failure: LettercastError | None = None
        self._changed = threading.Condition()
        self._image: Pixels | None = None
        self._running = True
        self._thread = threading.Thread(target=self._grab, args=(connect,), daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether no more pictures will come."""
        return not self._running

    def wait(self, limit_s: float) -> bool:
        """Wait for a picture that was not taken yet; False where the camera ends, or is silent for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._image is not None or not self._running, limit_s)
            return self._image is not None

    def take(self) -> tuple[int, Pixels]:
        """Return the newest picture and its number; only after `wait` has found one."""
        with self._changed:
            image, self._image = self._image, None
            assert image is not None
            return self.number - 1, image

    def close(self, limit_s: float) -> None:
        """Stop; the camera is released by its thread, which is left to itself where it hangs for longer than the limit."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._thread.join(limit_s)

    def _grab(self, connect: Connect) -> None:
        try:
            capture = connect()
            try:
                # isOpened() may be True for a camera that never gives a picture: only read() tells.
                while self._running and self._keep(*capture.read()):
                    pass
            finally:
                capture.release()
        except LettercastError as failure:
            self.failure = failure
        except Exception as error:
            # Drivers raise types of their own, all straight from Exception, when a camera is pulled out.
            self.failure = LettercastError(f"the camera's driver failed: {error or type(error).__name__}; start it again")
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _keep(self, answered: bool, image: Any) -> bool:
        if answered:
            with self._changed:
                self._image = np.asarray(image, np.uint8)
                self.number += 1
                self._changed.notify_all()
        return answered
