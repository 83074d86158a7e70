"""Publishing texts: each goes into the queue on the disk first, and a thread for each receiver sends what waits there."""

import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from ..console import say
from ..pixels import Frame
from ..retry import Backoff, Clock
from ..text import Line, Page
from .queue import Message, Queue

# A receiver that confirms a message later than this does not answer.
ANSWER_S = 20.0
# When everything was read, what waits may still be sent; an interrupted reader ends at once, but for the goodbye.
DRAIN_S, DRAIN_STEP_S, GOODBYE_S = 10.0, 0.02, 2.0
# A receiver may ask for a longer wait than this, but does not get it.
MAX_ASKED_WAIT_S = 300.0


class DeliveryError(Exception):
    """A message did not arrive; it stays in the queue. `wait_s` is how long the receiver wants to be left alone."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = min(wait_s, MAX_ASKED_WAIT_S)


class MessageRefusedError(Exception):
    """The receiver does not take this message, and would not take it later either."""


class Receiver(Protocol):
    """Where messages go; one thread calls all of this."""

    @property
    def key(self) -> str:
        """What the queue knows it by, the same after a restart; without passwords."""
        ...

    @property
    def name(self) -> str:
        """What people know it by; without passwords."""
        ...

    @property
    def keeps_connection(self) -> bool:
        """Whether it is known to be there while nothing is sent."""
        ...

    def connect(self) -> None:
        """Connect unless it is connected; raises DeliveryError."""
        ...

    def send(self, message: Message) -> None:
        """Send a message and wait until it is confirmed; raises DeliveryError or MessageRefusedError."""
        ...

    def rest(self, wake: threading.Event) -> None:
        """Keep the connection alive while there is nothing to send, until `wake` is set or for a moment; raises DeliveryError."""
        ...

    def close(self) -> None:
        """Say goodbye and disconnect; raises nothing."""
        ...


class Worker:
    """The thread that sends the messages of one receiver, and what became of them."""

    def __init__(self, queue: Queue, receiver: Receiver, backoff: Backoff, clock: Clock) -> None:
        self._queue, self._target, self._backoff, self._clock = queue, receiver, backoff, clock
        self.sent = self.failures = self._refused = 0
        self.is_connected = False
        self._reason = ""
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lettercast-publish-{receiver.name}", daemon=True)

    @property
    def receiver(self) -> str:
        return self._target.name

    @property
    def waiting(self) -> int:
        return self._queue.waiting(self._target.key)[0]

    @property
    def waiting_bytes(self) -> int:
        return self._queue.waiting(self._target.key)[1]

    @property
    def dropped(self) -> int:
        return self._queue.dropped[self._target.key] + self._refused

    def drop(self) -> None:
        """Count a text that could not be stored."""
        self._refused += 1

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """Send what has come, without the rest of a pause."""
        self._wake.set()

    def drain(self, limit_s: float) -> None:
        """Wait until everything was sent, but not for a receiver that is away."""
        end = self._clock.now() + limit_s
        while self.waiting and not self._reason and (left := end - self._clock.now()) > 0:
            self._clock.sleep(min(left, DRAIN_STEP_S))

    def end(self, limit_s: float) -> None:
        """Stop, and say goodbye to the receiver."""
        self._stop.set()
        self._wake.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        waits = self._backoff.waits(self._clock)
        while not self._stop.is_set():
            # Cleared first, so that a message that comes from now on shortens the next rest.
            self._wake.clear()
            try:
                self._target.connect()
                if self._target.keeps_connection:
                    self._note_success()
                if self._send_next():
                    waits = self._backoff.waits(self._clock)
            except (DeliveryError, sqlite3.Error) as error:
                self._note_failure(str(error))
                # A new message is no reason to try earlier.
                self._stop.wait(max(next(waits), error.wait_s if isinstance(error, DeliveryError) else 0.0))
        self._target.close()

    def _send_next(self) -> bool:
        """Send the oldest message, or rest if there is none; tells whether the receiver was there."""
        message = self._queue.first(self._target.key)
        if message is None:
            self._target.rest(self._wake)
            return self._target.keeps_connection
        try:
            self._target.send(message)
            self.sent += 1
        except MessageRefusedError as error:
            self._refused += 1
            say(f"{self.receiver}: {error}; text {message.id} is dropped")
        self._queue.remove(self._target.key, message)
        self._note_success()
        return True

    def _note_success(self) -> None:
        if self._reason:
            waiting = self.waiting
            say(f"{self.receiver} is back" + (f"; {count_texts(waiting)} waited" if waiting else ""))
        self.is_connected, self._reason = True, ""

    def _note_failure(self, reason: str) -> None:
        self.failures += 1
        self.is_connected = False
        if reason != self._reason:
            say(f"{self.receiver}: {reason}; texts wait in {self._queue.path}")
        self._reason = reason


class Publisher:
    """Sends every text that it is offered to every receiver, in order, and across restarts.

    with Publisher(queue, [receiver]) as publisher:
        publisher.offer(frame, page)

    Attributes:
        workers: what became of the texts for each receiver.
    """

    def __init__(
        self, queue: Queue, receivers: Sequence[Receiver], backoff: Backoff | None = None, clock: Clock | None = None
    ) -> None:
        self._queue = queue
        self.workers = tuple(Worker(queue, receiver, backoff or Backoff(), clock or Clock()) for receiver in receivers)
        self._failures: set[str] = set()

    def offer(self, frame: Frame, page: Page) -> None:
        """Store the text of an image, or one that stands still; returns when it is safe on the disk.

        A camera that shows the same text as before a restart gives no new message.
        """
        key = f"{frame.source}\n{page.text}" if frame.is_live else None
        try:
            self._queue.add(content_of(frame, page), key)
        except sqlite3.Error as error:
            # Said once for each reason: on a full disk there may be room again now and then.
            if str(error) not in self._failures:
                say(f"{self._queue.path}: {error}; texts are read, but not published until this is mended")
            self._failures.add(str(error))
            for worker in self.workers:
                worker.drop()
        for worker in self.workers:
            worker.wake()

    def __enter__(self) -> Self:
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Send what waits, unless the reader was interrupted or a receiver is away; then disconnect."""
        for worker in self.workers:
            if kind is None:
                worker.drain(DRAIN_S)
        for worker in self.workers:
            worker.end(GOODBYE_S)
            if worker.waiting:
                left = count_texts(worker.waiting)
                say(f"{worker.receiver}: {left} not sent yet, kept in {self._queue.path} for the next start")
        self._queue.close()


def count_texts(count: int) -> str:
    """Return a number of texts in words."""
    return f"{count} text{'s' * (count != 1)}"


def content_of(frame: Frame, page: Page) -> dict[str, Any]:
    """Return what is sent for a page: when and where it was read, its text, and how sure the model is."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": frame.source,
        "frame": frame.number,
        "text": page.text,
        "letters": len(page.letters),
        "lines": [{"text": line.text, "confidence": confidence(line)} for line in page.lines],
    }


def confidence(line: Line) -> float:
    """Return the mean confidence of a line's letters."""
    return round(sum(letter.confidence for letter in line.letters) / max(1, len(line.letters)), 4)
