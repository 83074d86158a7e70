"""What is asked of the web view, and who may ask."""

from http import HTTPStatus

import pytest

from lettercast.runtime.web.request import Guard, RefusedError, page_policy, parse_request, refusal

OPEN = Guard(None, "lettercast-8080", "127.0.0.1")
LOCKED = Guard("correct-horse", "lettercast-8080", "0.0.0.0")


def request(target="/", *headers, method="GET", host="127.0.0.1:8080"):
    return parse_request("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]).encode("latin-1"))


def status_of(function, *arguments) -> int:
    with pytest.raises(RefusedError) as refused:
        function(*arguments)
    return refused.value.status


def test_a_request_is_taken_apart():
    asked = request("/stream.mjpg?token=a%20b&x=1", "Cookie: one=1; two=2", "X-Empty:")
    assert (asked.method, asked.path, dict(asked.query)) == ("GET", "/stream.mjpg", {"token": "a b", "x": "1"})
    assert asked.cookies == {"one": "1", "two": "2"}
    assert asked.headers["x-empty"] == ""


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
def test_what_is_no_request_for_us_is_refused(head, status):
    assert status_of(parse_request, head) == status


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:9000", "[::1]:8080"])
def test_on_loopback_its_own_names_are_let_in(host):
    assert OPEN.admit(request(host=host)) == {}


@pytest.mark.parametrize(
    "host", ["attacker.example:8080", "127.0.0.1.attacker.example", "", "[::1", "localhost.attacker.example"]
)
def test_on_loopback_a_foreign_name_is_dns_rebinding(host):
    assert status_of(OPEN.admit, request(host=host)) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_the_page_but_not_embed_the_picture(site):
    assert OPEN.admit(request("/", f"Sec-Fetch-Site: {site}")) == {}
    assert status_of(OPEN.admit, request("/stream.mjpg", f"Sec-Fetch-Site: {site}")) == 403
    assert OPEN.admit(request("/stream.mjpg", "Sec-Fetch-Site: same-origin")) == {}


def test_the_token_opens_and_leaves_a_cookie_that_scripts_and_other_sites_do_not_get():
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
def test_without_the_token_nothing_is_shown_not_even_what_there_is(target, cookie):
    assert status_of(LOCKED.admit, request(target, f"Cookie: {cookie}", host="127.0.0.1")) == 403


def test_the_policy_allows_the_inline_script_by_its_hash_and_nothing_from_elsewhere():
    # The hash of the empty text is known from elsewhere.
    policy = page_policy(b"<style></style><script>x</script>")
    assert "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_refusal_says_which_methods_there_are():
    head, _, body = refusal(RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "no")).partition(b"\r\n\r\n")
    assert b"Allow: GET, HEAD" in head
    assert b"Content-Length: %d" % len(body) in head
