"""Telling systemd that the reader is up, what it does, and that it is alive: the protocol of sd_notify(3).

The watchdog is fed by the reader's own thread: by each frame that was read and, while a camera is away, by each attempt that its
driver answered. No timer feeds it, so it also finds a reader, an engine or a driver that hangs.
"""

import os
import socket
from collections.abc import Mapping

from ..console import say
from ..retry import Clock
from .health import Health

# Often enough for every watchdog, and rare enough to cost nothing.
FEED_S, STATUS_S = 1.0, 5.0
# A shorter watchdog would end a reader that waits for a lost camera: between two attempts that its driver answers there are two
# of the longest waits at most, and 10 s for an attempt that hangs.
MIN_WATCHDOG_S = 90


class Notifier:
    """Sends messages to the socket that systemd names in NOTIFY_SOCKET; without one it does nothing.

    Args:
        environment: the variables of the process: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
        clock: which time to go by.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        name = environment.get("NOTIFY_SOCKET", "")
        # A name that starts with @ is one of Linux's abstract names; systemd also has vsock addresses, for virtual machines.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name if name.startswith("/") else ""
        self.watchdog_s = watchdog_seconds(environment) if self._address else 0.0
        self._fed_s = self._shown_s = -float("inf")
        self._shown, self._is_ready = "", False
        if 0 < self.watchdog_s < MIN_WATCHDOG_S:
            say(f"WatchdogSec is {self.watchdog_s:g} s; below {MIN_WATCHDOG_S} s it restarts a reader that waits for its camera")

    @property
    def is_there(self) -> bool:
        """Whether systemd listens."""
        return bool(self._address)

    def ready(self) -> None:
        """Say, once, that the reader is up: it reads, or waits for its camera."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def progress(self, health: Health) -> None:
        """Feed the watchdog, and say what the reader does if that has changed."""
        now, lines = self._clock.now(), []
        if self.watchdog_s and now - self._fed_s >= FEED_S:
            self._fed_s = now
            lines.append("WATCHDOG=1")
        if self._address and now - self._shown_s >= STATUS_S and (status := health.summary()) != self._shown:
            self._shown, self._shown_s = status, now
            lines.append(f"STATUS={' '.join(status.split())}")
        if lines:
            self._send("\n".join(lines))

    def stopping(self) -> None:
        """Say that the reader ends."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                # Never wait for systemd.
                sending.setblocking(False)
                sending.sendto(message.encode(), self._address)
        except BlockingIOError:
            # Its queue is full; the next message follows soon.
            return
        except OSError as error:
            say(f"NOTIFY_SOCKET: {error.strerror or error}; systemd gets no more messages")
            self._address, self.watchdog_s = "", 0.0


def watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Return the time after which systemd's watchdog ends this process unless it is fed; 0 if there is none."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdecimal() else 0.0
