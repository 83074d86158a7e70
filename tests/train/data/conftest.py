"""What the tests of downloads share: a web server that can break off, forget and lie."""

import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Shelf:
    """The files that the server offers, how it behaves, and the requests that it got."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    # What the next answers do instead of sending the file: a number of bytes and break off, "interrupt" us, or "silence".
    faults: list[int | str] = field(default_factory=list)
    etag: str = ""
    date: str = ""
    knows_ranges: bool = True
    sends_length: bool = True
    shifts_ranges_by: int = 0
    # (Range, If-Range) of each request.
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


def make_handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a server of these files."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            shelf.asked.append((self.headers["Range"], self.headers["If-Range"]))
            fault = shelf.faults.pop(0) if shelf.faults else None
            if fault == "interrupt":
                # Sent before the connection closes, which wakes the main thread.
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                return
            if fault == "silence":
                shelf.closing.wait()
                return
            data = shelf.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            start = self.wanted_start()
            if start >= len(data) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            body = data[start:]
            self.send_response(206 if start else 200)
            if start:
                first = start + shelf.shifts_ranges_by
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            for name, value in {"ETag": shelf.etag, "Last-Modified": shelf.date}.items():
                if value:
                    self.send_header(name, value)
            if shelf.sends_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if fault is None else body[:fault])

        def wanted_start(self) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            same = self.headers["If-Range"] in (None, shelf.etag, shelf.date)
            return int(asked[1]) if asked and same and shelf.knows_ranges else 0

        def log_message(self, *_):
            """Print nothing: tests look at stderr."""

    return Handler


@pytest.fixture
def shelf(monkeypatch) -> Iterator[Shelf]:
    """A running web server on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shelf = Shelf()
    with ThreadingHTTPServer(("127.0.0.1", 0), make_handler(shelf)) as server:
        shelf.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield shelf
        shelf.closing.set()
        server.shutdown()
        thread.join()
