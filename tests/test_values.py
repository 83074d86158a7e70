"""What the words of the command line may be."""

import pytest

from lettercast.values import serve_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":8081", ("127.0.0.1", 8081)),
        ("8081", ("127.0.0.1", 8081)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0", ("0.0.0.0", 8080)),
        ("pi.local:80", ("pi.local", 80)),
        ("[::1]:8082", ("::1", 8082)),
        ("[::]", ("::", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_where_to_serve_may_be_said_in_short(text, address):
    assert serve_address(text) == address
