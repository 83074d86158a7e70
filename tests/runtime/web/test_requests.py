"""Requests to the web view: addresses, tokens, parsing, and who is admitted."""

import socket
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest

from lettercast import LettercastError
from lettercast.runtime.web.request import (
    Guard,
    RefusedError,
    choose_token,
    error_response,
    listen,
    page_policy,
    page_url,
    parse_request,
)

OPEN = Guard(None, "lettercast-8080", "127.0.0.1")
LOCKED = Guard("correct-horse", "lettercast-8080", "0.0.0.0")


def request(target="/", *headers, method="GET", host="127.0.0.1:8080"):
    return parse_request("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]).encode("latin-1"))


def status_of(function, *arguments) -> int:
    with pytest.raises(RefusedError) as refused:
        function(*arguments)
    return refused.value.status


def test_a_request_is_parsed():
    parsed = request("/stream.mjpg?token=a%20b&x=1", "Cookie: one=1; two=2", "X-Empty:")
    assert (parsed.method, parsed.path, dict(parsed.query)) == ("GET", "/stream.mjpg", {"token": "a b", "x": "1"})
    assert parsed.cookies == {"one": "1", "two": "2"}
    assert parsed.headers["x-empty"] == ""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/2.0\r\nHost: localhost", 400),
        (b"GET /  HTTP/1.1\r\nHost: localhost", 400),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost", 400),
        (b"GET ../etc/passwd HTTP/1.1\r\nHost: localhost", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost localhost", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: line", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost", 405),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost", 414),
    ],
)
def test_an_invalid_request_is_refused(head, status):
    assert status_of(parse_request, head) == status


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:9000", "[::1]:8080"])
def test_on_loopback_its_own_names_are_admitted(host):
    assert OPEN.admit(request(host=host)) == {}


@pytest.mark.parametrize(
    "host", ["attacker.example:8080", "127.0.0.1.attacker.example", "", "[::1", "localhost.attacker.example"]
)
def test_on_loopback_a_foreign_name_is_refused(host):
    assert status_of(OPEN.admit, request(host=host)) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_the_page_but_not_embed_the_images(site):
    assert OPEN.admit(request("/", f"Sec-Fetch-Site: {site}")) == {}
    assert status_of(OPEN.admit, request("/stream.mjpg", f"Sec-Fetch-Site: {site}")) == 403
    assert OPEN.admit(request("/stream.mjpg", "Sec-Fetch-Site: same-origin")) == {}


def test_the_token_sets_a_cookie_that_scripts_and_other_sites_cannot_read():
    cookie = LOCKED.admit(request("/?token=correct-horse", host="pi.local"))["Set-Cookie"]
    assert cookie.startswith("lettercast-8080=correct-horse;")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert LOCKED.admit(request("/events", "Cookie: other=1; lettercast-8080=correct-horse")) == {}


@pytest.mark.parametrize(
    ("target", "cookie"),
    [
        ("/", ""),
        ("/?token=", ""),
        ("/?token=correct-hors", ""),
        ("/?token=correct-horse2", ""),
        ("/?token=%C3%A9", ""),
        ("/?token=wrong&token=correct-horse", ""),
        ("/", "lettercast-8080="),
        ("/", "lettercast-8081=correct-horse"),
        ("/nothing", "lettercast-8080=wrong"),
    ],
)
def test_without_the_token_every_path_is_refused(target, cookie):
    assert status_of(LOCKED.admit, request(target, f"Cookie: {cookie}", host="127.0.0.1")) == 403


def test_the_policy_allows_inline_script_by_its_hash_and_nothing_from_elsewhere():
    # The well-known SHA-256 of the empty string.
    policy = page_policy(b"<style></style><script>x</script>")
    assert "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_refused_method_lists_the_allowed_ones():
    head, _, body = error_response(RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "no")).partition(b"\r\n\r\n")
    assert b"Allow: GET, HEAD" in head
    assert b"Content-Length: %d" % len(body) in head


@pytest.fixture
def listening():
    """Return a function that opens listening sockets, which are closed at the end."""
    opened = []

    def open_one(host, port=0):
        opened.append(listen(host, port))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_port_0_takes_a_free_port(listening):
    one = listening("127.0.0.1")
    port = one.getsockname()[1]
    assert port > 0
    assert page_url(one, None) == f"http://127.0.0.1:{port}/"


def test_an_ipv6_address_is_written_in_brackets(listening):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        one = listening("::1")
    except LettercastError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert page_url(one, None).startswith("http://[::1]:")
    assert choose_token(one, None) is None


def test_a_port_in_use_is_an_error_of_one_line(listening):
    port = listening("127.0.0.1").getsockname()[1]
    with pytest.raises(LettercastError, match=rf"--serve 127\.0\.0\.1:{port}: .*in use.*; give another") as raised:
        listen("127.0.0.1", port)
    assert len(str(raised.value).splitlines()) == 1


# An address reserved for documentation, a name that cannot exist, and one that is too long.
@pytest.mark.parametrize("host", ["203.0.113.77", "no-such-host.invalid", "a" * 70 + ".example"])
def test_an_address_of_another_machine_is_an_error(host):
    with pytest.raises(LettercastError, match="give another HOST:PORT"):
        listen(host, 0)


def test_only_loopback_needs_no_token(listening):
    assert choose_token(listening("127.0.0.1"), None) is None
    everywhere = listening("0.0.0.0")
    tokens = {choose_token(everywhere, None) for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 20 for token in tokens)


def test_a_given_token_is_used_and_part_of_the_url(listening):
    one = listening("127.0.0.1")
    assert choose_token(one, "correct-horse") == "correct-horse"
    assert parse_qs(urlsplit(page_url(one, "correct-horse")).query) == {"token": ["correct-horse"]}


@pytest.mark.parametrize("token", ["", "short", "has space inside", "semi;colon", "ünsicher", "a" * 200, "newline-in-it\n"])
def test_a_token_that_is_weak_or_needs_quoting_is_refused(listening, token):
    with pytest.raises(LettercastError, match="--token"):
        choose_token(listening("127.0.0.1"), token)


def test_the_url_for_all_addresses_can_be_opened_in_a_browser(listening):
    host = urlsplit(page_url(listening("0.0.0.0"), None)).hostname
    assert host not in (None, "", "0.0.0.0")


def test_an_unknown_host_may_be_a_misplaced_source():
    with pytest.raises(LettercastError, match="put sources before --serve"):
        listen("page.invalid", 0)
