"""Posting texts to a web server of the tests, which answers as it is told."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lettercast.runtime.publish import publisher as publisher_module
from lettercast.runtime.publish.address import WebhookAddress, webhook_address
from lettercast.runtime.publish.publisher import Publisher
from lettercast.runtime.publish.queue import Queue
from lettercast.runtime.publish.webhook import Webhook

from .conftest import SOON

LIMIT_S = 120
HANG = 0


class Server(ThreadingHTTPServer):
    """Answers posts with the statuses of a script, and then with 204."""

    daemon_threads = True

    def __init__(self, *script: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.taken = list(script), [], []
        self.news = threading.Condition()
        self.url = f"http://127.0.0.1:{self.server_port}/hook/secret-path?key=secret-key"

    def wait_for(self, holds) -> None:
        with self.news:
            assert self.news.wait_for(holds, LIMIT_S)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.news:
            status = server.script.pop(0) if server.script else 204
            server.asked.append((self.path, dict(self.headers), body))
            if 200 <= status < 300:
                server.taken.append(body)
            server.news.notify_all()
        if status == HANG:
            self.close_connection = True
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815


@pytest.fixture
def serve(monkeypatch):
    """Return a function that starts a server with a script."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(*script: int) -> Server:
        servers.append(Server(*script))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def publishing(folder, server, token=None) -> Publisher:
    webhook = Webhook(webhook_address(server.url), token)
    return Publisher(Queue(folder, (webhook.key,)), [webhook], SOON)


def test_a_text_is_posted_as_json_with_an_identifier_and_the_token(tmp_path, serve, still):
    server = serve()
    with publishing(tmp_path, server, "correct-horse") as publisher:
        publisher.offer(*still("AB", 7))
    ((path, headers, body),) = server.asked
    assert path == "/hook/secret-path?key=secret-key"
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer correct-horse")
    assert headers["Idempotency-Key"] == body["id"]
    assert {name: body[name] for name in ("source", "frame", "text", "letters", "lines")} == {
        "source": "0",
        "frame": 7,
        "text": "AB",
        "letters": 2,
        "lines": [{"text": "AB", "confidence": 0.9}],
    }
    assert body["time"].endswith("Z") and len(body["time"]) == len("2026-01-02T03:04:05.678Z")


def test_what_fails_is_tried_again_in_order_and_with_the_same_identifier(tmp_path, serve, still, capsys):
    server = serve(500, HANG, 503, 200, 429)
    with publishing(tmp_path, server) as publisher:
        for number, text in enumerate(("AB", "CD", "EF")):
            publisher.offer(*still(text, number))
        server.wait_for(lambda: len(server.taken) == 3)
    assert [body["text"] for body in server.taken] == ["AB", "CD", "EF"]
    assert [body["text"] for _, _, body in server.asked] == ["AB", "AB", "AB", "AB", "CD", "CD", "EF"]
    assert len({body["id"] for body in server.taken}) == 3
    (worker,) = publisher.workers
    assert (worker.sent, worker.failures, worker.waiting, worker.dropped) == (3, 4, 0, 0)
    err = capsys.readouterr().err
    assert "answers with status 500; texts wait in" in err and "is back" in err
    assert "secret" not in err


def test_what_could_not_be_sent_is_sent_after_a_restart(tmp_path, serve, still, capsys):
    server = serve(*[500] * 50)
    with publishing(tmp_path, server) as publisher:
        publisher.offer(*still("AB", 1))
        server.wait_for(lambda: server.asked)
    assert re.search(
        r"http://127\.0\.0\.1:\d+: 1 text not sent yet, kept in .*sqlite3 for the next start", capsys.readouterr().err
    )
    server.script.clear()
    with publishing(tmp_path, server) as publisher:
        # A camera that still shows the same text gives no second message.
        publisher.offer(*still("AB", 0))
        publisher.offer(*still("CD", 1))
    assert [body["text"] for body in server.taken] == ["AB", "CD"]


@pytest.mark.parametrize(
    ("status", "token", "message"),
    [
        (401, "wrong-horse", "refuses the token with status 401; give another token in --webhook-token-file"),
        (403, None, "refuses to take texts with status 403; give a token with --webhook-token-file"),
        (404, None, "nothing at this address (status 404); check the URL of --webhook"),
        (302, "correct-horse", "redirects to another address (status 302); give that one to --webhook"),
    ],
)
def test_what_you_must_mend_is_said_once_and_the_text_waits(tmp_path, serve, still, capsys, status, token, message):
    server = serve(*[status] * 3)
    with publishing(tmp_path, server, token) as publisher:
        publisher.offer(*still("AB", 1))
        server.wait_for(lambda: server.taken)
    err = capsys.readouterr().err
    assert err.count(message) == 1 and "horse" not in err
    # A redirect is not followed: it would lose the text, and show the token to others.
    assert {path for path, _, _ in server.asked} == {"/hook/secret-path?key=secret-key"}
    assert [body["text"] for body in server.taken] == ["AB"]


def test_a_text_that_the_server_will_never_take_does_not_hold_up_the_others(tmp_path, serve, still, capsys):
    server = serve(422)
    with publishing(tmp_path, server) as publisher:
        publisher.offer(*still("AB", 1))
        publisher.offer(*still("CD", 2))
        server.wait_for(lambda: server.taken)
    assert [body["text"] for body in server.taken] == ["CD"]
    assert (publisher.workers[0].dropped, publisher.workers[0].sent) == (1, 1)
    assert "refuses it with status 422; text" in capsys.readouterr().err


def test_a_server_that_is_not_there_holds_up_nobody(tmp_path, still, capsys, monkeypatch):
    monkeypatch.setattr(publisher_module, "DRAIN_S", LIMIT_S)
    webhook = Webhook(WebhookAddress("http://127.0.0.1:9/secret"))
    with Publisher(Queue(tmp_path, (webhook.key,)), [webhook], SOON) as publisher:
        publisher.offer(*still("AB", 1))
    assert "does not answer (Connection refused); texts wait in" in capsys.readouterr().err
    assert not publisher.workers[0].is_connected


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "no-such-host.invalid", "..", "-"])
def test_a_host_that_cannot_be_is_said(tmp_path, still, capsys, monkeypatch, host):
    monkeypatch.setenv("no_proxy", "*")
    webhook = Webhook(WebhookAddress(f"http://{host}/hook"))
    with Publisher(Queue(tmp_path, (webhook.key,)), [webhook], SOON) as publisher:
        publisher.offer(*still("AB", 1))
    err = capsys.readouterr().err
    assert err.count("does not answer (") == 1 and "Traceback" not in err


def test_a_full_disk_is_said_once_and_reading_goes_on(tmp_path, serve, still, capsys):
    server = serve(*[500] * 500)
    with publishing(tmp_path, server) as publisher:
        publisher._queue._file.execute("PRAGMA max_page_count = 1")
        for number in range(200):
            publisher.offer(*still("AB" * 20 + "CD" * (number % 2), number))
        assert publisher.workers[0].dropped > 0
    assert capsys.readouterr().err.count("texts are read, but not published until this is mended") == 1


def test_the_command_posts_what_it_prints(lettercast, page_file, serve, tmp_path, monkeypatch):
    server = serve()
    monkeypatch.setenv("LETTERCAST_WEBHOOK_TOKEN", "correct-horse")
    code, out, err = lettercast("read", page_file, "--no-window", "--webhook", server.url, "--queue", tmp_path / "queue")
    assert (code, err, out.splitlines()[1:]) == (0, "", ["ABC", "DEF"])
    ((_, headers, body),) = server.asked
    assert (body["text"], headers["Authorization"]) == ("ABC\nDEF", "Bearer correct-horse")
