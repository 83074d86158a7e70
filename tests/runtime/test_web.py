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

GUARD_S = 20
PAGE = {"source": "0", "frame": 7, "size": [64, 48], "text": "AB", "lines": [{"text": "AB", "letters": []}], "ms": {"total": 1.5}}


def grey(level: int, width: int = 64, height: int = 48):
    """A picture by whose brightness a frame is known again."""
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int):
    """A picture that JPEG cannot make small."""
    return np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)


@pytest.fixture
def view(caplog):
    """A view in which nothing goes wrong behind the scenes, whatever its viewers do."""
    with WebView("127.0.0.1", 0) as opened:
        yield opened
    assert [record.message for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
def encoded(monkeypatch):
    """The pictures that were encoded, as they come."""
    seen, encode = [], cv2.imencode

    def counting(kind, picture, *options):
        seen.append(int(picture.flat[0]))
        return encode(kind, picture, *options)

    monkeypatch.setattr(cv2, "imencode", counting)
    return seen


def dial(view, receive_bytes: int | None = None) -> socket.socket:
    address = urlsplit(view.url)
    dialled = socket.socket()
    if receive_bytes:
        dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    dialled.settimeout(GUARD_S)
    dialled.connect((address.hostname, address.port))
    return dialled


def ask(view, path, method="GET", **headers) -> http.client.HTTPResponse:
    """Ask for one thing; the body is not read yet."""
    address = urlsplit(view.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=GUARD_S)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def raw(view, data: bytes) -> bytes:
    """Send bytes as they are, and return everything that is answered."""
    with dial(view) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def next_level(stream) -> int | None:
    """Return the brightness of the next picture of a stream; None where the stream has ended."""
    part = b""
    while line := stream.readline():
        if line.startswith(b"--frame") and part:
            return int(cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR).mean().round())
        is_head = line.startswith((b"--frame", b"Content-Type")) or not (part or line.strip())
        part += b"" if is_head else line
    return None


def until_level(stream, level: int) -> None:
    """Read on to the picture of this brightness; fails where the stream ends before."""
    while (seen := next_level(stream)) != level:
        assert seen is not None


def texts(stream):
    """Yield what the events of a stream say."""
    while line := stream.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@contextmanager
def watching(view, count: int):
    """Hold so many streams of pictures, each of which has begun."""
    streams = [ask(view, "/stream.mjpg") for _ in range(count)]
    for stream in streams:
        assert (stream.readline(), stream.readline()) == (b"\r\n", b"--frame\r\n")
    yield streams
    for stream in streams:
        stream.close()


def test_the_page_is_whole_in_itself(view):
    answer = ask(view, "/")
    html = answer.read().decode()
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
    assert "<title>lettercast</title>" in html
    # Names of XML are no addresses that anything is fetched from.
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)


@pytest.mark.parametrize("path", ["/", "/page.json", "/stream.mjpg", "/events", "/nothing"])
def test_every_answer_is_neither_kept_nor_guessed_at_nor_framed(view, path):
    headers = ask(view, path, "HEAD").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_page_json_is_the_record_that_was_published(view):
    assert json.loads(ask(view, "/page.json").read()) == {}
    view.publish(grey(10), PAGE)
    assert json.loads(ask(view, "/page.json").read()) == PAGE


def test_the_snapshot_is_the_newest_picture_and_named_after_its_frame(view):
    view.publish(grey(10), PAGE)
    view.publish(grey(200), PAGE)
    answer = ask(view, "/snapshot.jpg")
    picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
    assert (picture.shape, int(picture.mean())) == ((48, 64, 3), 200)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="lettercast-2.jpg"'


def test_a_snapshot_waits_for_a_picture_and_counts_as_a_viewer_meanwhile(view):
    view.publish(None, PAGE)
    with dial(view) as connection:
        connection.sendall(b"GET /snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not view.viewers:
            pass
        view.publish(grey(90), PAGE)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_a_snapshot_where_no_picture_comes_is_refused_with_the_state(view, monkeypatch):
    monkeypatch.setattr(web, "PICTURE_TIMEOUT_S", 0.05)
    answer = ask(view, "/snapshot.jpg")
    assert answer.status == 503
    assert WAITING in answer.read().decode()


def test_head_says_what_get_would_and_sends_nothing(view):
    view.publish(grey(10), PAGE)
    for path in ("/", "/page.json", "/snapshot.jpg"):
        answer = raw(view, b"HEAD %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"\r\n\r\n")
        assert ask(view, path).headers["Content-Length"].encode() in answer


def test_of_many_viewers_each_sees_every_picture_of_one_encoding(view, encoded):
    with watching(view, 8) as streams:
        for level in (50, 100, 150):
            view.publish(grey(level), PAGE)
            for stream in streams:
                until_level(stream, level)
    assert encoded == [50, 100, 150]


def test_what_nobody_sees_is_not_encoded(view, encoded):
    for _ in range(100):
        view.publish(grey(10), PAGE)
    assert json.loads(ask(view, "/page.json").read()) == PAGE
    assert encoded == []


def test_who_comes_late_sees_the_newest_picture_at_once(view):
    view.publish(grey(70), PAGE)
    with watching(view, 1) as (stream,):
        assert next_level(stream) == 70


def test_a_frame_that_was_not_drawn_is_not_shown_and_the_one_before_neither(view):
    view.publish(grey(70), PAGE)
    view.publish(None, PAGE)
    with watching(view, 1) as (stream,):
        view.publish(grey(180), PAGE)
        assert next_level(stream) == 180


def test_events_tell_state_rate_and_record(view):
    events = texts(ask(view, "/events"))
    first = next(events)
    assert (first["state"], first["fps"], first["page"]) == (WAITING, 0, {})
    view.publish(grey(1), PAGE)
    view.publish(grey(2), PAGE)
    view.publish(grey(3), PAGE)
    told = next(event for event in events if event["page"] == PAGE and event["fps"] > 0)
    assert told["state"] == "reading"
    view.say("camera lost, reconnecting")
    told = next(event for event in events if event["state"] == "camera lost, reconnecting")
    assert (told["fps"], told["page"]) == (0, PAGE)


def test_the_end_of_the_reader_is_told_and_ends_every_stream():
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


def test_who_never_reads_holds_up_neither_the_publisher_nor_memory_and_then_gets_the_newest(view, encoded):
    pictures = [noise(seed) for seed in range(4)]
    with dial(view, receive_bytes=4096) as stalled, watching(view, 1) as (quick,):
        stalled.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while view.viewers < 2:
            pass
        tracemalloc.start()
        for i in range(200):
            view.publish(pictures[i % 4], PAGE)
            if i % 10 == 0:
                # The quick one goes on: the stalled one does not hold it up.
                assert next_level(quick) is not None
        # Before this picture comes only what was on its way when the viewer stopped to read.
        view.publish(grey(33), PAGE)
        until_level(quick, 33)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        levels = []
        with stalled.makefile("rb") as stream:
            while stream.readline() != b"--frame\r\n":
                pass
            while (level := next_level(stream)) != 33:
                levels.append(level)
    assert len(levels) <= 3
    assert kept < 4 * noise(0).nbytes


def test_a_viewer_who_stalls_for_too_long_is_left(view, monkeypatch):
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


def test_so_many_viewers_and_no_more(view):
    with watching(view, web.MAX_VIEWERS) as streams:
        assert view.viewers == web.MAX_VIEWERS
        answer = ask(view, "/stream.mjpg")
        assert answer.status == 503
        assert "viewers" in answer.read().decode()
        assert ask(view, "/").status == 200
        streams.pop().close()
        while view.viewers == web.MAX_VIEWERS:
            view.publish(grey(1), PAGE)
        assert ask(view, "/stream.mjpg").status == 200


def test_so_many_connections_and_no_more(view, monkeypatch):
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 3)
    silent = [dial(view) for _ in range(3)]
    assert raw(view, b"").startswith(b"HTTP/1.1 503")
    for one in silent:
        one.close()


def test_who_says_nothing_or_ever_so_slowly_is_left(view, monkeypatch):
    monkeypatch.setattr(web_request, "HEAD_TIMEOUT_S", 0.2)
    with dial(view) as silent:
        assert silent.recv(1) == b""
    # One byte after another, without an end: each would start a timer anew that watches only for silence.
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


def test_a_token_opens_the_page_and_its_cookie_everything_else():
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


def test_comings_and_goings_leave_nothing_behind(view):
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


def test_viewers_who_hang_up_amid_a_picture_do_no_harm(view):
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


def test_an_address_that_cannot_be_had_leaves_no_thread():
    threads = threading.active_count()
    with WebView("127.0.0.1", 0) as first, pytest.raises(LettercastError, match="in use"):
        WebView("127.0.0.1", urlsplit(first.url).port)
    with pytest.raises(LettercastError, match="--token"):
        WebView("127.0.0.1", 0, token="short")
    assert threading.active_count() == threads
