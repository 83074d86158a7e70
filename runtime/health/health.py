"""Whether a running reader reads, and its counters since the start."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ... import __version__
from ..retry import Clock
from ..sources.camera import CONNECTED, LOST, CameraStatus
from ..text import Page

# Upper limits of the histogram of the time that a frame takes; the last bucket has none.
BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# A camera counts as lost after 8 s without an image; whoever reads nothing for longer than this is stuck.
MAX_SILENCE_S = 20.0
STARTING, READING, CAMERA_MISSING, CAMERA_LOST, STUCK, DONE = (
    "starting",
    "reading",
    "camera missing",
    "camera lost",
    "stuck",
    "done",
)


class PublishStatus(Protocol):
    """What became of the texts for one receiver: how many wait, were sent, failed to be sent and were dropped."""

    @property
    def receiver(self) -> str:
        """Where texts go, without passwords."""
        ...

    @property
    def waiting(self) -> int: ...

    @property
    def waiting_bytes(self) -> int: ...

    @property
    def sent(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def is_connected(self) -> bool: ...


@dataclass(frozen=True)
class Latency:
    """A histogram of seconds: the counts of each bucket, of which the last has no upper limit, and the sum."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS_S) + 1)
    total_s: float = 0.0

    def with_frame(self, seconds: float) -> "Latency":
        """Return the histogram with one frame more."""
        place = bisect_left(BUCKETS_S, seconds)
        return Latency((*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :]), self.total_s + seconds)


class Health:
    """What the reader's thread counts and other threads show.

    Attributes:
        model: the name of the model.
        cameras: what became of each camera, filled in by the cameras themselves.
        receivers: what became of the texts for each receiver.
        detail: why reading has not begun yet, in one line.
        on_progress: functions that are called, by the reader's thread, after each frame and after each attempt to open a camera
            that did not hang.
        on_state: functions that are called, by the reader's thread, when a camera is missing or lost, and when all is read.
    """

    def __init__(self, model: str, clock: Clock | None = None) -> None:
        self.model, self._clock = model, clock or Clock()
        self.cameras: Sequence[CameraStatus] = ()
        self.receivers: Sequence[PublishStatus] = ()
        self.detail = ""
        self.on_progress: list[Callable[[], None]] = []
        self.on_state: list[Callable[[str], None]] = []
        self.frames = self.letters = 0
        self.latency = Latency()
        self.started_unix_s = time.time()
        self._started_s, self._last_s = self._clock.now(), None
        self._is_done, self._told = False, STARTING

    def count(self, page: Page) -> None:
        """Count a frame that was read."""
        self.frames += 1
        self.letters += len(page.letters)
        self.latency = self.latency.with_frame((page.segment_ms + page.classify_ms) / 1000)
        self._last_s = self._clock.now()
        self._told = READING
        self._tell_progress()

    def attempted(self) -> None:
        """Note that a camera was lost, is back, or still away after another attempt."""
        state = self.state
        # A camera that is back is told by its first frame.
        if state in (CAMERA_MISSING, CAMERA_LOST, DONE) and state != self._told:
            self._told = state
            for tell in self.on_state:
                tell(state)
        self._tell_progress()

    def finish(self) -> None:
        """Note that everything was read; to be called again and again while the last frame is shown."""
        self._is_done = True
        self.attempted()

    @property
    def silence_s(self) -> float:
        """Seconds since the last frame, or since the start."""
        return self._clock.now() - (self._started_s if self._last_s is None else self._last_s)

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return self._clock.now() - self._started_s

    @property
    def state(self) -> str:
        """One of STARTING, READING, CAMERA_MISSING, CAMERA_LOST, STUCK and DONE."""
        away = self.lost_camera
        if self._is_done:
            return DONE
        if away:
            return CAMERA_LOST if away.state == LOST else CAMERA_MISSING
        if self._last_s is None:
            return STARTING
        return READING if self.silence_s <= MAX_SILENCE_S else STUCK

    @property
    def lost_camera(self) -> CameraStatus | None:
        """The first camera that is lost, or was never there."""
        return next((camera for camera in self.cameras if camera.state != CONNECTED), None)

    @property
    def is_well(self) -> bool:
        """Whether frames are being read, or all were."""
        return self.state in (READING, DONE)

    @property
    def reason(self) -> str:
        """Why nothing is read, in one line; empty if it is."""
        away = self.lost_camera
        return "" if self.is_well else (away.failure if away else self.detail)

    def lost_s(self, camera: CameraStatus) -> float:
        """Return the seconds without a camera, up to now."""
        # It may come back at this moment, in another thread.
        lost_at = camera.lost_at
        return camera.lost_s + (self._clock.now() - lost_at if lost_at is not None else 0.0)

    def summary(self) -> str:
        """Return the state in one line of text."""
        reason = f": {self.reason}" if self.reason else ""
        away = self.lost_camera
        if away and not self._is_done:
            return f"{self.state}: {away.name}, {away.attempts} attempts in {self.lost_s(away):.0f} s{reason}"
        return f"{self.state}{reason}, {self.frames} frames, {self.letters} letters"

    def to_dict(self) -> dict[str, Any]:
        """Return the state and the counters for JSON."""
        cameras = [
            {
                "name": camera.name,
                "state": camera.state,
                "frames": camera.frames,
                "losses": camera.losses,
                "attempts": camera.attempts,
                "reconnects": camera.reconnects,
                "lost_s": round(self.lost_s(camera), 1),
                "failure": camera.failure,
            }
            for camera in self.cameras
        ]
        receivers = [
            {
                "receiver": one.receiver,
                "connected": one.is_connected,
                "waiting": one.waiting,
                "sent": one.sent,
                "failures": one.failures,
                "dropped": one.dropped,
            }
            for one in self.receivers
        ]
        return {
            "ok": self.is_well,
            "state": self.state,
            "reason": self.reason,
            "version": __version__,
            "model": self.model,
            "uptime_s": round(self.uptime_s, 1),
            "silence_s": round(self.silence_s, 1),
            "frames": self.frames,
            "letters": self.letters,
            "cameras": cameras,
            "receivers": receivers,
        }

    def _tell_progress(self) -> None:
        for tell in self.on_progress:
            tell()
