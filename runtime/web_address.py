"""Where the web view listens, and the address under which browsers find it."""

import ipaddress
import re
import secrets
import socket

from .. import LettercastError

TOKEN_BYTES = 16
TOKEN_FORM = re.compile(r"[A-Za-z0-9._~-]{8,128}")
# Addresses of documentation: nothing is sent there, the system only tells which of ours it would send from.
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# Kernels buffer megabytes for a viewer who does not read, and would hand them out, stale, before what is new.
SEND_BUFFER_BYTES = 65536


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 takes any free one.

    Raises LettercastError where the address is not this machine's, or the port is taken or reserved.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        hint = "; what is to be read stands before --serve" if isinstance(error, socket.gaierror) else ""
        raise LettercastError(
            f"--serve {show_host(host)}:{port}: {why.lower()}; give another HOST:PORT, such as 127.0.0.1:8081{hint}"
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return listening


def choose_token(listening: socket.socket, token: str | None) -> str | None:
    """Return the token that browsers must show: the one given, else a new one, else None where only this machine can connect.

    Raises LettercastError where the token given is too short, or needs quoting in an address.
    """
    if token is None:
        return None if is_loopback(listening) else secrets.token_urlsafe(TOKEN_BYTES)
    if not TOKEN_FORM.fullmatch(token):
        raise LettercastError("--token: it takes 8 to 128 letters, digits or . _ ~ -; leave it out for one made at random")
    return token


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether only this machine can connect."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def page_url(listening: socket.socket, token: str | None) -> str:
    """Return the address to open in a browser, token included."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = outward_host(listening.family)
    return f"http://{show_host(host)}:{port}/" + (f"?token={token}" if token else "")


def outward_host(family: int) -> str:
    """Return the address of this machine in its network, or its name where it has no network."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE[socket.AddressFamily(family)], 9))
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]


def show_host(host: str) -> str:
    """Return a host as an address has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
