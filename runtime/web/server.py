"""The web view, for a machine without a screen: annotated images and text in a browser, live."""

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self

import cv2
import numpy as np

from ..console import say
from ..files import packaged
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


class WebView:
    """A web page that shows what is published; one thread serves all viewers, and no viewer slows the publisher.

    with WebView("127.0.0.1", 8080) as view:
        view.publish(annotate(image, page), record)

    Every address except a loopback address needs a token; a random one is made if you give none. Raises LettercastError if the
    address cannot be used or the token is invalid.
    """

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
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

    def stay(self) -> None:
        """Keep the last frame on the page until Ctrl-C or SIGTERM, which end this call without an error."""
        self.set_state(DONE)
        with suppress(KeyboardInterrupt, SystemExit):
            say(f"done; the last image stays at {self.url} until Ctrl-C")
            while True:
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
            kind, headers, body = await self._find_body(request, reader)
            if isinstance(body, bytes):
                headers["Content-Length"] = str(len(body))
            await send(writer, response_head(HTTPStatus.OK, kind, headers | cookie_headers))
            if request.method == "HEAD":
                return
            if isinstance(body, bytes):
                await send(writer, body)
                return
            async with aclosing(body):
                async for chunk in body:
                    await send(writer, chunk)

    async def _find_body(
        self, request: Request, reader: asyncio.StreamReader
    ) -> tuple[str, dict[str, str], bytes | AsyncGenerator[bytes]]:
        """Return the media type, headers and body of a path; the body is bytes, or endless chunks."""
        match request.path:
            case "/":
                return "text/html; charset=utf-8", {"Content-Security-Policy": self._policy}, self._html
            case "/page.json":
                return "application/json", {}, self._frame.json.encode()
            case "/snapshot.jpg":
                frame = await self._snapshot(reader)
                return "image/jpeg", {"Content-Disposition": f'attachment; filename="lettercast-{frame.number}.jpg"'}, frame.jpeg
            case "/stream.mjpg":
                return "multipart/x-mixed-replace; boundary=frame", {}, self._image_stream(reader)
            case "/events":
                return "text/event-stream", {}, self._event_stream(reader)
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing at this path; the page is at /")

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
