"""The web view, for a machine without a screen: annotated images and text in a browser, live."""

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self

import cv2
import numpy as np

from ..console import say
from ..files import packaged
from ..health.health import Health
from ..health.metrics import CONTENT_TYPE, to_prometheus
from ..pixels import Pixels
from .request import (
    MAX_HEAD_BYTES,
    Guard,
    RefusedError,
    Request,
    choose_token,
    error_response,
    listen,
    page_policy,
    page_url,
    read_request,
    response_head,
    send,
)

# The script of page.html knows these states, too.
WAITING, READING, DONE, STOPPED = "waiting for the first image", "reading", "done", "reader stopped"
JPEG_QUALITY = 80
# An open page takes two connections, one for images and one for text.
MAX_VIEWERS, MAX_CONNECTIONS = 16, 64
IMAGE_TIMEOUT_S, CLOSE_TIMEOUT_S = 10, 1
# Updates need not be faster than the eye. Without news the newest state is sent again, which reveals a broken connection.
IMAGE_PAUSE_S, TEXT_PAUSE_S, REPEAT_S = 1 / 30, 1 / 10, 2
RATE_FRAMES = 30
IMAGES, TEXTS = "images", "texts"
STREAM_KINDS = {"/stream.mjpg": IMAGES, "/snapshot.jpg": IMAGES, "/events": TEXTS}
# Less than every update count.
NEVER_SEEN = -1
NEXT_PART, LAST_PART = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--frame--\r\n"


@dataclass(frozen=True)
class PublishedFrame:
    """One published frame; its JPEG and JSON are made once, when the first viewer needs them."""

    number: int = 0
    image: Pixels | None = None
    page: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def jpeg(self) -> bytes:
        return cv2.imencode(".jpg", np.asarray(self.image), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()

    @cached_property
    def json(self) -> str:
        return json.dumps(self.page)


@dataclass(frozen=True)
class Answer:
    """The response to a request: media type, headers, body and status; the body is bytes, or chunks without an end."""

    kind: str
    headers: Mapping[str, str]
    body: bytes | AsyncGenerator[bytes]
    status: HTTPStatus = HTTPStatus.OK


class WebView:
    """A web page that shows what is published; one thread serves all viewers, and no viewer slows the publisher.

    with WebView("127.0.0.1", 8080) as view:
        view.publish(annotate(image, page), record)

    Every address except a loopback address needs a token; a random one is made if you give none. With `health`, it answers
    /health and /metrics, too. Raises LettercastError if the address cannot be used or the token is invalid.
    """

    def __init__(self, host: str, port: int, token: str | None = None, health: Health | None = None) -> None:
        self._health = health
        self._socket = listen(host, port)
        try:
            token = choose_token(self._socket, token)
        except BaseException:
            self._socket.close()
            raise
        self.url = page_url(self._socket, token)
        self._guard = Guard(token, f"lettercast-{self._socket.getsockname()[1]}", host.lower())
        self._html = packaged("web/page.html").read_bytes()
        self._policy = page_policy(self._html)
        self._frame, self._state, self._rate = PublishedFrame(), WAITING, 0.0
        self._arrivals: deque[float] = deque(maxlen=RATE_FRAMES)
        self._update_count = 0
        self._viewer_counts: Counter[str | None] = Counter()
        self._connections: set[Any] = set()
        self._is_wake_pending = self._is_closing = False
        self._has_news = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lettercast-web", daemon=True)
        self._thread.start()

    @property
    def viewers(self) -> int:
        """The number of viewers that want images; at 0 the next frame need not be drawn."""
        return self._viewer_counts[IMAGES]

    def publish(self, image: Pixels | None, page: Mapping[str, Any]) -> None:
        """Show a frame: the annotated image (H, W, 3) BGR uint8, and its record as `read --json` prints it.

        Returns at once. Both are kept without a copy, so do not change them afterwards. The image may be None if `viewers` is 0.
        """
        self._arrivals.append(time.monotonic())
        self._frame, self._state = PublishedFrame(self._frame.number + 1, image, page), READING
        seconds = self._arrivals[-1] - self._arrivals[0]
        self._rate = (len(self._arrivals) - 1) / seconds if seconds else 0.0
        self._notify()

    def set_state(self, state: str) -> None:
        """Show a state, such as "camera lost, reconnecting", until the next frame."""
        self._state, self._rate = state, 0.0
        self._arrivals.clear()
        self._notify()

    def stay(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Keep the last frame on the page until Ctrl-C or SIGTERM, which end this call without an error.

        Calls `meanwhile` every few seconds.
        """
        self.set_state(DONE)
        with suppress(KeyboardInterrupt, SystemExit):
            say(f"done; the last image stays at {self.url} until Ctrl-C")
            while True:
                meanwhile()
                time.sleep(REPEAT_S)

    def close(self) -> None:
        """Tell the viewers that the reader stopped, end their connections and free the address."""
        if self._thread.is_alive():
            self.set_state(STOPPED)
            self._is_closing = True
            self._loop.call_soon_threadsafe(self._wake)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _notify(self) -> None:
        """Wake the viewers from the publisher's thread; one wake-up serves everything that is published before it happens."""
        self._update_count += 1
        if self._connections and not (self._is_wake_pending or self._is_closing):
            self._is_wake_pending = True
            self._loop.call_soon_threadsafe(self._wake)

    # Everything below runs in the thread of the server.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def _wake(self) -> None:
        self._is_wake_pending = False
        self._has_news.set()
        self._has_news.clear()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._handle_connection, sock=self._socket, limit=MAX_HEAD_BYTES)
        while not self._is_closing:
            await self._has_news.wait()
        server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=CLOSE_TIMEOUT_S)

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close the connection."""
        task = asyncio.current_task()
        self._connections.add(task)
        # Buffer nothing beyond the kernel's buffers, so that at most one image waits here.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            # Viewers leave, networks fail, and viewers that read nothing are dropped; none of that is an error of the server.
            with suppress(OSError, asyncio.CancelledError):
                try:
                    await self._respond(reader, writer)
                except RefusedError as refused:
                    await send(writer, error_response(refused))
                writer.write_eof()
                # Closing a connection with unread bytes would reset it, and the viewer would lose the end of the answer.
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    while await reader.read(MAX_HEAD_BYTES):
                        pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) > MAX_CONNECTIONS:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later")
        request = await read_request(reader)
        cookie_headers = self._guard.admit(request)
        with self._viewer_slot(STREAM_KINDS.get(request.path)):
            answer = await self._find_answer(request, reader)
            body, headers = answer.body, {**answer.headers, **cookie_headers}
            if isinstance(body, bytes):
                headers["Content-Length"] = str(len(body))
            await send(writer, response_head(answer.status, answer.kind, headers))
            if request.method == "HEAD":
                return
            if isinstance(body, bytes):
                await send(writer, body)
                return
            async with aclosing(body):
                async for chunk in body:
                    await send(writer, chunk)

    async def _find_answer(self, request: Request, reader: asyncio.StreamReader) -> Answer:
        """Return the answer to the path of a request; raises RefusedError if there is none."""
        match request.path:
            case "/":
                return Answer("text/html; charset=utf-8", {"Content-Security-Policy": self._policy}, self._html)
            case "/page.json":
                return Answer("application/json", {}, self._frame.json.encode())
            case "/snapshot.jpg":
                frame = await self._snapshot(reader)
                name = f'attachment; filename="lettercast-{frame.number}.jpg"'
                return Answer("image/jpeg", {"Content-Disposition": name}, frame.jpeg)
            case "/stream.mjpg":
                return Answer("multipart/x-mixed-replace; boundary=frame", {}, self._image_stream(reader))
            case "/events":
                return Answer("text/event-stream", {}, self._event_stream(reader))
            case "/health" | "/metrics" if self._health:
                return self._measured(self._health, request.path)
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing at this path; the page is at /")

    def _measured(self, health: Health, path: str) -> Answer:
        """Return the state of the reader as JSON, or its counters in the format of Prometheus."""
        if path == "/metrics":
            return Answer(CONTENT_TYPE, {}, to_prometheus(health, self.viewers).encode())
        status = HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer("application/json", {}, json.dumps(health.to_dict()).encode() + b"\n", status)

    @contextmanager
    def _viewer_slot(self, kind: str | None) -> Iterator[None]:
        """Take one of the places for viewers of one kind; raises RefusedError if there is none left."""
        if kind and self._viewer_counts[kind] >= MAX_VIEWERS:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"there are {MAX_VIEWERS} viewers already; try again later")
        self._viewer_counts[kind] += 1
        try:
            yield
        finally:
            self._viewer_counts[kind] -= 1

    async def _snapshot(self, reader: asyncio.StreamReader) -> PublishedFrame:
        """Return the newest frame if it was drawn, else wait for one that is."""
        seen = NEVER_SEEN
        with suppress(TimeoutError):
            async with asyncio.timeout(IMAGE_TIMEOUT_S):
                while (seen := await self._wait_for_update(seen, reader)) is not None:
                    if self._frame.image is not None:
                        return self._frame
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"no image yet: {self._state}")

    async def _image_stream(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """Yield the newest images as parts of a multipart stream."""
        yield NEXT_PART
        seen = NEVER_SEEN
        while (seen := await self._wait_for_update(seen, reader)) is not None:
            if self._frame.image is not None:
                # A browser shows a part only after the headers of the next part; without them it would be one image late.
                yield self._frame.jpeg + NEXT_PART
                await asyncio.sleep(IMAGE_PAUSE_S)
        # The last part has begun already and must not be empty.
        if self._frame.image is not None:
            yield self._frame.jpeg + LAST_PART

    async def _event_stream(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """Yield state, frame rate and the newest record as server-sent events."""
        seen = NEVER_SEEN
        while (seen := await self._wait_for_update(seen, reader)) is not None:
            status = json.dumps({"state": self._state, "fps": round(self._rate, 1)})
            yield f'data: {status[:-1]}, "page": {self._frame.json}}}\n\n'.encode()
            await asyncio.sleep(TEXT_PAUSE_S)

    async def _wait_for_update(self, seen: int, reader: asyncio.StreamReader) -> int | None:
        """Wait at most REPEAT_S for an update after number `seen`, and return the number of the newest.

        Returns None if the viewer has left, or has seen the last update of a reader that stopped.
        """
        if self._update_count == seen and not self._is_closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S):
                    await self._has_news.wait()
        if reader.at_eof() or (self._update_count == seen and self._is_closing):
            return None
        return self._update_count
