"""The web view over real connections."""

import gc
import http.client
import json
import logging
import re
import select
import socket
import threading
import tracemalloc
from contextlib import contextmanager
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.web import request as web_request
from lettercast.runtime.web import server as web
from lettercast.runtime.web.server import STOPPED, WAITING, WebView

# A limit for what must happen; only a failing test reaches it.
LIMIT_S = 120
PAGE = {"source": "0", "frame": 7, "size": [64, 48], "text": "AB", "lines": [{"text": "AB", "letters": []}], "ms": {"total": 1.5}}


def grey(level: int, width: int = 64, height: int = 48):
    """Return an image whose brightness identifies the frame."""
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int):
    """Return an image that JPEG cannot compress much."""
    return np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)


@pytest.fixture
def view(caplog):
    """A view that must log no error, whatever its viewers do."""
    with WebView("127.0.0.1", 0) as opened:
        yield opened
    assert [record.message for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
def encoded(monkeypatch):
    """A list of the brightness of each image that is encoded."""
    encoded, encode = [], cv2.imencode

    def counting(kind, image, *options):
        encoded.append(int(image.flat[0]))
        return encode(kind, image, *options)

    monkeypatch.setattr(cv2, "imencode", counting)
    return encoded


def dial(view, receive_bytes: int | None = None) -> socket.socket:
    address = urlsplit(view.url)
    dialled = socket.socket()
    if receive_bytes:
        dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    dialled.settimeout(LIMIT_S)
    dialled.connect((address.hostname, address.port))
    return dialled


def ask(view, path, method="GET", **headers) -> http.client.HTTPResponse:
    """Send a request and return the response, with its body still to be read."""
    address = urlsplit(view.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=LIMIT_S)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def raw(view, data: bytes) -> bytes:
    """Send bytes and return the whole response."""
    with dial(view) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def next_level(stream) -> int | None:
    """Return the brightness of the next image of a stream, None at its end."""
    part = b""
    while line := stream.readline():
        if line.startswith(b"--frame") and part:
            return int(cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR).mean().round())
        is_head = line.startswith((b"--frame", b"Content-Type")) or not (part or line.strip())
        part += b"" if is_head else line
    return None


def until_level(stream, level: int) -> None:
    """Read a stream up to the image of this brightness; fail if the stream ends before."""
    while (seen := next_level(stream)) != level:
        assert seen is not None


def texts(stream):
    """Yield the data of the events of a stream."""
    while line := stream.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@contextmanager
def watching(view, count: int):
    """Open this many streams of images and wait until each has begun."""
    streams = [ask(view, "/stream.mjpg") for _ in range(count)]
    for stream in streams:
        assert (stream.readline(), stream.readline()) == (b"\r\n", b"--frame\r\n")
    yield streams
    for stream in streams:
        stream.close()


def test_the_page_loads_nothing_from_elsewhere(view):
    response = ask(view, "/")
    html = response.read().decode()
    assert (response.status, response.headers.get_content_type()) == (200, "text/html")
    assert "<title>lettercast</title>" in html
    # The browser fetches nothing from an XML namespace.
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)


@pytest.mark.parametrize("path", ["/", "/page.json", "/stream.mjpg", "/events", "/nothing"])
def test_every_response_has_the_security_headers(view, path):
    headers = ask(view, path, "HEAD").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_page_json_is_the_published_record(view):
    assert json.loads(ask(view, "/page.json").read()) == {}
    view.publish(grey(10), PAGE)
    assert json.loads(ask(view, "/page.json").read()) == PAGE


def test_the_snapshot_is_the_newest_image_and_named_after_its_frame(view):
    view.publish(grey(10), PAGE)
    view.publish(grey(200), PAGE)
    response = ask(view, "/snapshot.jpg")
    image = cv2.imdecode(np.frombuffer(response.read(), np.uint8), cv2.IMREAD_COLOR)
    assert (image.shape, int(image.mean())) == ((48, 64, 3), 200)
    assert response.headers["Content-Disposition"] == 'attachment; filename="lettercast-2.jpg"'


def test_a_snapshot_waits_for_an_image_and_counts_as_a_viewer(view):
    view.publish(None, PAGE)
    with dial(view) as connection:
        connection.sendall(b"GET /snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not view.viewers:
            pass
        view.publish(grey(90), PAGE)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_a_snapshot_without_any_image_is_refused_with_the_state(view, monkeypatch):
    monkeypatch.setattr(web, "IMAGE_TIMEOUT_S", 0.05)
    response = ask(view, "/snapshot.jpg")
    assert response.status == 503
    assert WAITING in response.read().decode()


def test_head_has_the_headers_of_get_and_no_body(view):
    view.publish(grey(10), PAGE)
    for path in ("/", "/page.json", "/snapshot.jpg"):
        response = raw(view, b"HEAD %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert response.startswith(b"HTTP/1.1 200 OK")
        assert response.endswith(b"\r\n\r\n")
        assert ask(view, path).headers["Content-Length"].encode() in response


def test_all_viewers_get_every_image_which_is_encoded_once(view, encoded):
    with watching(view, 8) as streams:
        for level in (50, 100, 150):
            view.publish(grey(level), PAGE)
            for stream in streams:
                until_level(stream, level)
    assert encoded == [50, 100, 150]


def test_images_without_viewers_are_not_encoded(view, encoded):
    for _ in range(100):
        view.publish(grey(10), PAGE)
    assert json.loads(ask(view, "/page.json").read()) == PAGE
    assert encoded == []


def test_a_late_viewer_gets_the_newest_image_at_once(view):
    view.publish(grey(70), PAGE)
    with watching(view, 1) as (stream,):
        assert next_level(stream) == 70


def test_without_a_drawn_frame_the_one_before_is_not_shown_either(view):
    view.publish(grey(70), PAGE)
    view.publish(None, PAGE)
    with watching(view, 1) as (stream,):
        view.publish(grey(180), PAGE)
        assert next_level(stream) == 180


def test_events_contain_state_frame_rate_and_record(view):
    events = texts(ask(view, "/events"))
    first = next(events)
    assert (first["state"], first["fps"], first["page"]) == (WAITING, 0, {})
    view.publish(grey(1), PAGE)
    view.publish(grey(2), PAGE)
    view.publish(grey(3), PAGE)
    event = next(event for event in events if event["page"] == PAGE and event["fps"] > 0)
    assert event["state"] == "reading"
    view.set_state("camera lost, reconnecting")
    event = next(event for event in events if event["state"] == "camera lost, reconnecting")
    assert (event["fps"], event["page"]) == (0, PAGE)


def test_closing_the_view_tells_the_viewers_and_ends_every_stream():
    with WebView("127.0.0.1", 0) as view:
        events = texts(ask(view, "/events"))
        with watching(view, 1) as (stream,):
            view.publish(grey(1), PAGE)
            view.publish(grey(222), PAGE)
            view.close()
            until_level(stream, 222)
            assert [level for level in iter(lambda: next_level(stream), None) if level != 222] == []
        assert [event["state"] for event in events][-1] == STOPPED
    with pytest.raises(ConnectionRefusedError):
        ask(view, "/")
    view.publish(grey(1), PAGE)
    view.close()


def test_a_viewer_who_does_not_read_costs_nothing_and_then_gets_the_newest_image(view, encoded):
    images = [noise(seed) for seed in range(4)]
    with dial(view, receive_bytes=4096) as stalled, watching(view, 1) as (quick,):
        stalled.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while view.viewers < 2:
            pass
        tracemalloc.start()
        for i in range(200):
            view.publish(images[i % 4], PAGE)
            if i % 10 == 0:
                # The stalled viewer does not hold up the quick one.
                assert next_level(quick) is not None
        # Before this image only those arrive that were on their way when the viewer stopped reading.
        view.publish(grey(33), PAGE)
        until_level(quick, 33)
        kept_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        levels = []
        with stalled.makefile("rb") as stream:
            while stream.readline() != b"--frame\r\n":
                pass
            while (level := next_level(stream)) != 33:
                levels.append(level)
    assert len(levels) <= 3
    assert kept_bytes < 4 * noise(0).nbytes


def test_a_viewer_who_stalls_for_too_long_is_dropped(view, monkeypatch):
    monkeypatch.setattr(web_request, "STALL_TIMEOUT_S", 0.1)
    with dial(view, receive_bytes=4096) as stalled:
        stalled.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not view.viewers:
            pass
        while view.viewers:
            view.publish(noise(1), PAGE)
        with pytest.raises(ConnectionError):
            while stalled.recv(65536):
                pass
            raise ConnectionResetError


def test_the_number_of_viewers_is_limited(view):
    with watching(view, web.MAX_VIEWERS) as streams:
        assert view.viewers == web.MAX_VIEWERS
        response = ask(view, "/stream.mjpg")
        assert response.status == 503
        assert "viewers" in response.read().decode()
        assert ask(view, "/").status == 200
        streams.pop().close()
        while view.viewers == web.MAX_VIEWERS:
            view.publish(grey(1), PAGE)
        assert ask(view, "/stream.mjpg").status == 200


def test_the_number_of_connections_is_limited(view, monkeypatch):
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 3)
    silent = [dial(view) for _ in range(3)]
    assert raw(view, b"").startswith(b"HTTP/1.1 503")
    for one in silent:
        one.close()


def test_a_silent_or_very_slow_request_is_dropped(view, monkeypatch):
    monkeypatch.setattr(web_request, "HEAD_TIMEOUT_S", 0.2)
    with dial(view) as silent:
        assert silent.recv(1) == b""
    # One byte after another, without an end: a timer for silence would start again with each.
    with dial(view) as slow:
        while not select.select([slow], [], [], 0.01)[0]:
            slow.sendall(b"G")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", b"400"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"GET /../runtime/web.py HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n", b"403"),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_a_bad_request_is_answered_and_does_no_harm(view, data, status):
    assert raw(view, data).split(b" ")[1] == status
    assert ask(view, "/").status == 200


def test_the_token_opens_the_page_and_its_cookie_everything_else():
    with WebView("0.0.0.0", 0) as view:
        address = urlsplit(view.url)
        view.url = f"http://127.0.0.1:{address.port}/"
        view.publish(grey(1), PAGE)
        refused = ask(view, "/")
        assert (refused.status, refused.headers.get_content_type()) == (403, "text/plain")
        assert refused.headers["Set-Cookie"] is None
        cookie = ask(view, f"/?{address.query}").headers["Set-Cookie"].partition(";")[0]
        for path in ("/", "/page.json", "/snapshot.jpg", "/stream.mjpg", "/events"):
            assert ask(view, path, Cookie=cookie).status == 200
            assert ask(view, path, Cookie=cookie[:-1]).status == 403


def test_short_connections_leave_nothing_behind(view):
    view.publish(grey(1), PAGE)
    threads = threading.active_count()
    for i in range(200):
        with dial(view) as connection:
            connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"[: (i * 7) % 60])
            if i % 3 == 0:
                connection.shutdown(socket.SHUT_WR)
    while view._connections:
        view.publish(grey(1), PAGE)
    assert (view.viewers, threading.active_count()) == (0, threads)
    view.close()
    gc.collect()
    assert threading.active_count() == threads - 1


def test_viewers_who_leave_in_the_middle_of_an_image_do_no_harm(view):
    for _ in range(20):
        streams = [ask(view, path) for path in ("/stream.mjpg", "/events")]
        view.publish(noise(1), PAGE)
        for stream in streams:
            stream.read(100)
            stream.close()
        view.publish(noise(2), PAGE)
    while view._connections:
        view.publish(grey(1), PAGE)
    assert view.viewers == 0


def test_an_unusable_address_leaves_no_thread():
    threads = threading.active_count()
    with WebView("127.0.0.1", 0) as first, pytest.raises(LettercastError, match="in use"):
        WebView("127.0.0.1", urlsplit(first.url).port)
    with pytest.raises(LettercastError, match="--token"):
        WebView("127.0.0.1", 0, token="short")
    assert threading.active_count() == threads
