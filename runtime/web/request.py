"""The little of HTTP that the web view speaks: what is asked, who may ask, and how an answer begins."""

import asyncio
import ipaddress
import re
import secrets
import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from ... import LettercastError

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


METHODS = ("GET", "HEAD")
MAX_TARGET_CHARS, MAX_HEAD_BYTES = 2048, 8192
HEAD_TIMEOUT_S, STALL_TIMEOUT_S = 5, 60
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
ALWAYS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# For whatever is no page; the page itself brings a policy of its own.
NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'; sandbox"


class RefusedError(Exception):
    """What was asked is not answered: the status, and one line for the person who asked."""

    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What a browser asks: method, path, the first value of each query field, and headers by their names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}


@dataclass(frozen=True)
class Guard:
    """Who may look: those with the token; without a token, those on this machine.

    A page of another site, opened in a browser on this machine, can reach a loopback address under a name of its own
    (DNS rebinding) or embed the picture; names and `Sec-Fetch-Site` tell it from the person who opened our page.
    """

    token: str | None
    # Cookies do not keep ports apart, so the name does.
    cookie: str
    host: str

    def admit(self, request: Request) -> dict[str, str]:
        """Return the headers that admission adds to the answer; raises RefusedError."""
        if request.path != "/" and request.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            raise RefusedError(HTTPStatus.FORBIDDEN, "pages of other sites cannot embed this one")
        if self.token is None:
            if host_name(request) not in LOOPBACK_NAMES | {self.host}:
                raise RefusedError(HTTPStatus.FORBIDDEN, "open this page as http://localhost, with the port")
            return {}
        if self._is_token(request.query.get("token", "")):
            return {"Set-Cookie": f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"}
        if not self._is_token(request.cookies.get(self.cookie, "")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "open the whole address that the reader printed: it ends in ?token=...")
        return {}

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), (self.token or "").encode())


def parse_request(head: bytes) -> Request:
    """Parse a request line and its headers, up to the empty line; raises RefusedError where they are none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "this is not a request of HTTP/1.1")
    method, target, version = words
    if method not in METHODS:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"only {' and '.join(METHODS)} are answered")
    if len(target) > MAX_TARGET_CHARS:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
    fields = [line.partition(":") for line in lines if line]
    if any(not colon or name != name.strip() for name, colon, _ in fields):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a header is not of the form name: value")
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if not target.startswith("/") or (version == "HTTP/1.1" and "host" not in headers):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request names no path, or no host")
    path, _, query = target.partition("?")
    return Request(method, path, {name: values[0] for name, values in parse_qs(query).items()}, headers)


def host_name(request: Request) -> str:
    """Return the name under which the browser knows us, without the port."""
    try:
        return urlsplit("//" + request.headers.get("host", "")).hostname or ""
    except ValueError:
        return ""


def page_policy(html: bytes) -> str:
    """Return the content security policy of a page: its own inline style and script, pictures and data from here, no more."""

    def inline(tag: bytes) -> str:
        texts = re.findall(b"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
        return " ".join(f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in texts)

    return (
        f"default-src 'none'; style-src {inline(b'style')}; script-src {inline(b'script')}; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def answer_head(status: HTTPStatus, kind: str, headers: Mapping[str, str]) -> bytes:
    """Return the status line and headers of an answer whose body is of the media type `kind`."""
    fields = {"Content-Type": kind, "Content-Security-Policy": NOTHING_ALLOWED, **ALWAYS, **headers}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def refusal(refused: RefusedError) -> bytes:
    """Return the plain page that says why nothing else is shown."""
    body = f"{refused.status.value} {refused.status.phrase}: {refused}\n".encode()
    headers = {"Content-Length": str(len(body))}
    if refused.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(METHODS)
    return answer_head(refused.status, "text/plain; charset=utf-8", headers) + body


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request up to its empty line; raises RefusedError where it is too long, and TimeoutError where it does not come."""
    async with asyncio.timeout(HEAD_TIMEOUT_S):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError from error
        except asyncio.LimitOverrunError as error:
            raise RefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD_BYTES} bytes of headers"
            ) from error
    return parse_request(head.removesuffix(b"\r\n\r\n"))


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send until the kernel has taken everything; raises TimeoutError where the viewer takes nothing for too long."""
    writer.write(data)
    async with asyncio.timeout(STALL_TIMEOUT_S):
        await writer.drain()
