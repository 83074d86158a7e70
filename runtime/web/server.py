"""The reader in a browser, for a machine without a screen: the annotated picture and the text, live."""

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
    answer_head,
    choose_token,
    listen,
    page_policy,
    page_url,
    read_request,
    refusal,
    send,
)

# The page knows them, too.
WAITING, READING, DONE, STOPPED = "waiting for the first picture", "reading", "done", "reader stopped"
JPEG_QUALITY = 80
# An open page holds two connections, one for pictures and one for text.
MAX_VIEWERS, MAX_CONNECTIONS = 16, 64
PICTURE_TIMEOUT_S, FAREWELL_S = 10, 1
# No eye needs more than this. Where nothing is new, the newest is sent again, which shows both sides a broken connection.
PICTURE_PAUSE_S, TEXT_PAUSE_S, REPEAT_S = 1 / 30, 1 / 10, 2
RATE_FRAMES = 30
PICTURES, TEXT = "pictures", "text"
KINDS = {"/stream.mjpg": PICTURES, "/snapshot.jpg": PICTURES, "/events": TEXT}
# The number that no news has.
BEFORE_ALL = -1
NEXT_PART, LAST_PART = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--frame--\r\n"


@dataclass(frozen=True)
class Shown:
    """One frame as it was published; its JPEG and JSON are made once, when the first viewer needs them."""

    number: int = 0
    picture: Pixels | None = None
    page: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def jpeg(self) -> bytes:
        return cv2.imencode(".jpg", np.asarray(self.picture), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()

    @cached_property
    def json(self) -> str:
        return json.dumps(self.page)


class WebView:
    """A web page of what is published: one thread serves all viewers, and none of them slows the publisher.

    with WebView("127.0.0.1", 8080) as view:
        view.publish(annotate(image, page), record)

    Any address but a loopback one takes a token, made at random where none is given. Raises LettercastError where the
    address cannot be had or the token not be used.
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
        self._shown, self._state, self._rate = Shown(), WAITING, 0.0
        self._arrivals: deque[float] = deque(maxlen=RATE_FRAMES)
        self._version = 0
        self._watching: Counter[str | None] = Counter()
        self._connections: set[Any] = set()
        self._is_waking = self._is_closing = False
        self._news = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lettercast-web", daemon=True)
        self._thread.start()

    @property
    def viewers(self) -> int:
        """How many want pictures: at 0, the next frame need not be drawn."""
        return self._watching[PICTURES]

    def publish(self, picture: Pixels | None, page: Mapping[str, Any]) -> None:
        """Show a frame: annotated (H, W, 3) BGR uint8, and its record as `read --json` prints it.

        Returns at once: both are kept, not copied, so they must not change afterwards. The picture may be None where
        `viewers` is 0.
        """
        self._arrivals.append(time.monotonic())
        self._shown, self._state = Shown(self._shown.number + 1, picture, page), READING
        seconds = self._arrivals[-1] - self._arrivals[0]
        self._rate = (len(self._arrivals) - 1) / seconds if seconds else 0.0
        self._tell()

    def say(self, state: str) -> None:
        """Show a state, such as "camera lost, reconnecting", until the next frame."""
        self._state, self._rate = state, 0.0
        self._arrivals.clear()
        self._tell()

    def stay(self) -> None:
        """Leave the last frame on the page until Ctrl-C or SIGTERM, which then interrupt nothing."""
        self.say(DONE)
        with suppress(KeyboardInterrupt, SystemExit):
            say(f"done; the last picture stays at {self.url} until Ctrl-C")
            while True:
                time.sleep(REPEAT_S)

    def close(self) -> None:
        """Tell the viewers that the reader stopped, end their connections and free the address."""
        if self._thread.is_alive():
            self.say(STOPPED)
            self._is_closing = True
            self._loop.call_soon_threadsafe(self._wake)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self) -> None:
        """Wake the viewers from the publisher's thread; one wake does for all that is published before it happens."""
        self._version += 1
        if self._connections and not (self._is_waking or self._is_closing):
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._wake)

    # From here on everything runs in the server's thread.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def _wake(self) -> None:
        self._is_waking = False
        self._news.set()
        self._news.clear()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._meet, sock=self._socket, limit=MAX_HEAD_BYTES)
        while not self._is_closing:
            await self._news.wait()
        server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=FAREWELL_S)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        task = asyncio.current_task()
        self._connections.add(task)
        # What the kernel does not take stays with us: one picture at most.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            # Viewers leave, networks fail, those who take nothing are left, and at the end of the reader whoever is still here.
            with suppress(OSError, asyncio.CancelledError):
                try:
                    await self._answer(reader, writer)
                except RefusedError as refused:
                    await send(writer, refusal(refused))
                writer.write_eof()
                # Hanging up with bytes unread would reset the connection, and lose the end of the answer.
                async with asyncio.timeout(FAREWELL_S):
                    while await reader.read(MAX_HEAD_BYTES):
                        pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) > MAX_CONNECTIONS:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later")
        request = await read_request(reader)
        admission = self._guard.admit(request)
        with self._place(KINDS.get(request.path)):
            kind, headers, body = await self._open(request, reader)
            if isinstance(body, bytes):
                headers["Content-Length"] = str(len(body))
            await send(writer, answer_head(HTTPStatus.OK, kind, headers | admission))
            if request.method == "HEAD":
                return
            if isinstance(body, bytes):
                await send(writer, body)
                return
            async with aclosing(body):
                async for chunk in body:
                    await send(writer, chunk)

    async def _open(
        self, request: Request, reader: asyncio.StreamReader
    ) -> tuple[str, dict[str, str], bytes | AsyncGenerator[bytes]]:
        """Return the media type, headers and body of what is at a path: bytes, or chunks without an end."""
        match request.path:
            case "/":
                return "text/html; charset=utf-8", {"Content-Security-Policy": self._policy}, self._html
            case "/page.json":
                return "application/json", {}, self._shown.json.encode()
            case "/snapshot.jpg":
                shown = await self._snapshot(reader)
                return "image/jpeg", {"Content-Disposition": f'attachment; filename="lettercast-{shown.number}.jpg"'}, shown.jpeg
            case "/stream.mjpg":
                return "multipart/x-mixed-replace; boundary=frame", {}, self._pictures(reader)
            case "/events":
                return "text/event-stream", {}, self._texts(reader)
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND, "nothing is here; the page is at /")

    @contextmanager
    def _place(self, kind: str | None) -> Iterator[None]:
        """Hold a place among the viewers of one kind; raises RefusedError where all are taken."""
        if kind and self._watching[kind] >= MAX_VIEWERS:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} viewers are here already; try again later")
        self._watching[kind] += 1
        try:
            yield
        finally:
            self._watching[kind] -= 1

    async def _snapshot(self, reader: asyncio.StreamReader) -> Shown:
        """Return the newest frame that was drawn, or wait for one."""
        seen = BEFORE_ALL
        with suppress(TimeoutError):
            async with asyncio.timeout(PICTURE_TIMEOUT_S):
                while (seen := await self._change(seen, reader)) is not None:
                    if self._shown.picture is not None:
                        return self._shown
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"no picture yet: {self._state}")

    async def _pictures(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """Yield the newest picture, again and again, as parts of a multipart stream."""
        yield NEXT_PART
        seen = BEFORE_ALL
        while (seen := await self._change(seen, reader)) is not None:
            if self._shown.picture is not None:
                # Browsers show a part only once the headers of the next have come: else they would be a picture late.
                yield self._shown.jpeg + NEXT_PART
                await asyncio.sleep(PICTURE_PAUSE_S)
        # The last part has begun already, and must not be empty.
        if self._shown.picture is not None:
            yield self._shown.jpeg + LAST_PART

    async def _texts(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """Yield state, frames per second and the newest record, again and again, as server-sent events."""
        seen = BEFORE_ALL
        while (seen := await self._change(seen, reader)) is not None:
            about = json.dumps({"state": self._state, "fps": round(self._rate, 1)})
            yield f'data: {about[:-1]}, "page": {self._shown.json}}}\n\n'.encode()
            await asyncio.sleep(TEXT_PAUSE_S)

    async def _change(self, seen: int, reader: asyncio.StreamReader) -> int | None:
        """Wait for news after `seen`, at most REPEAT_S, and return its number.

        None where the viewer has left, or has seen the last news of a reader that stopped.
        """
        if self._version == seen and not self._is_closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S):
                    await self._news.wait()
        if reader.at_eof() or (self._version == seen and self._is_closing):
            return None
        return self._version
