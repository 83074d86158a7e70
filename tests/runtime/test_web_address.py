"""Where the web view listens."""

import socket
from urllib.parse import parse_qs, urlsplit

import pytest

from lettercast import LettercastError
from lettercast.runtime.web.request import choose_token, listen, page_url


@pytest.fixture
def listening():
    """Sockets that are closed in the end."""
    opened = []

    def open_one(host, port=0):
        opened.append(listen(host, port))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_port_0_tells_the_port_it_got(listening):
    one = listening("127.0.0.1")
    port = one.getsockname()[1]
    assert port > 0
    assert page_url(one, None) == f"http://127.0.0.1:{port}/"


def test_an_ipv6_address_stands_in_brackets(listening):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        one = listening("::1")
    except LettercastError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert page_url(one, None).startswith("http://[::1]:")
    assert choose_token(one, None) is None


def test_a_port_in_use_is_said_in_one_line(listening):
    port = listening("127.0.0.1").getsockname()[1]
    with pytest.raises(LettercastError, match=rf"--serve 127\.0\.0\.1:{port}: .*in use.*; give another") as said:
        listen("127.0.0.1", port)
    assert len(str(said.value).splitlines()) == 1


# An address of documentation, a name that cannot be, and one that no name may be.
@pytest.mark.parametrize("host", ["203.0.113.77", "no-such-host.invalid", "a" * 70 + ".example"])
def test_an_address_that_is_not_ours_is_said(host):
    with pytest.raises(LettercastError, match="give another HOST:PORT"):
        listen(host, 0)


def test_only_this_machine_needs_no_token(listening):
    assert choose_token(listening("127.0.0.1"), None) is None
    everywhere = listening("0.0.0.0")
    tokens = {choose_token(everywhere, None) for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 20 for token in tokens)


def test_a_token_given_holds_everywhere_and_stands_in_the_address(listening):
    one = listening("127.0.0.1")
    assert choose_token(one, "correct-horse") == "correct-horse"
    assert parse_qs(urlsplit(page_url(one, "correct-horse")).query) == {"token": ["correct-horse"]}


@pytest.mark.parametrize("token", ["", "short", "has space inside", "semi;colon", "ünsicher", "a" * 200, "newline-in-it\n"])
def test_a_token_that_is_weak_or_needs_quoting_is_refused(listening, token):
    with pytest.raises(LettercastError, match="--token"):
        choose_token(listening("127.0.0.1"), token)


def test_of_every_address_one_is_named_that_a_browser_can_open(listening):
    host = urlsplit(page_url(listening("0.0.0.0"), None)).hostname
    assert host not in (None, "", "0.0.0.0")


def test_a_host_that_is_not_known_may_be_what_was_to_be_read():
    with pytest.raises(LettercastError, match="what is to be read stands before --serve"):
        listen("page.invalid", 0)
