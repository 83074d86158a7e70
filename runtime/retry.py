"""Trying again: waits that grow and differ by chance, and the clock that they go by."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Seconds since any moment, sleeping, and a number from 0 to 1 by chance; a simulation gives functions of its own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random


@dataclass(frozen=True)
class Backoff:
    """Waits before each attempt: they double from `first_s` to `longest_s` seconds.

    Each is longer or shorter by up to the share `jitter`, so that many devices that lost the same server do not all come back at
    once.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    jitter: float = 0.2

    def waits(self, clock: Clock) -> Iterator[float]:
        """Yield the waits in seconds, without an end."""
        wait_s = self.first_s
        while True:
            yield wait_s * (1 + self.jitter * (2 * clock.chance() - 1))
            wait_s = min(2 * wait_s, self.longest_s)
