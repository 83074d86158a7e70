"""The part of HTTP that the web view needs: requests, who is admitted, and how responses begin."""

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
# Addresses reserved for documentation; nothing is sent, but the system tells which address it would send from.
OUTSIDE_ADDRESS = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# Kernels buffer megabytes for a viewer who does not read, and would deliver them late, before anything new.
SEND_BUFFER_BYTES = 65536


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes any free port.

    Raises LettercastError if the address does not belong to this machine, or if the port is taken or reserved.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        hint = "; put sources before --serve" if isinstance(error, socket.gaierror) else ""
        raise LettercastError(
            f"--serve {show_host(host)}:{port}: {reason.lower()}; give another HOST:PORT, such as 127.0.0.1:8081{hint}"
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return listening


def choose_token(listening: socket.socket, token: str | None) -> str | None:
    """Return the token that browsers must show: yours, else a random one, else None if only this machine can connect.

    Raises LettercastError if your token is too short or needs quoting in a URL.
    """
    if token is None:
        return None if is_loopback(listening) else secrets.token_urlsafe(TOKEN_BYTES)
    if not TOKEN_FORM.fullmatch(token):
        raise LettercastError("--token: give 8 to 128 letters, digits or . _ ~ -, or leave it out for a random token")
    return token


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether only this machine can connect."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def page_url(listening: socket.socket, token: str | None) -> str:
    """Return the address to open in a browser, including the token."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = outward_host(listening.family)
    return f"http://{show_host(host)}:{port}/" + (f"?token={token}" if token else "")


def outward_host(family: int) -> str:
    """Return the address of this machine in its network, or its name if it has no network."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((OUTSIDE_ADDRESS[socket.AddressFamily(family)], 9))
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]


def show_host(host: str) -> str:
    """Return a host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


METHODS = ("GET", "HEAD")
MAX_TARGET_CHARS, MAX_HEAD_BYTES = 2048, 8192
HEAD_TIMEOUT_S, STALL_TIMEOUT_S = 5, 60
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
COMMON_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# For every response except the page, which has a policy of its own.
DENY_ALL_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class RefusedError(Exception):
    """A request that is refused, with the status and one line for the user."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request: method, path, the first value of each query field, and headers by their lower-case names."""

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
    """Who may watch: with a token, whoever has it; without a token, users of this machine.

    The page of another site, opened in a browser on this machine, can reach a loopback address under a name of its own
    (DNS rebinding) or embed the images; the host name and `Sec-Fetch-Site` show that it is not our page.
    """

    token: str | None
    # Browsers share cookies between ports, so the name of the cookie includes the port.
    cookie: str
    host: str

    def admit(self, request: Request) -> dict[str, str]:
        """Return the headers to add to the response; raises RefusedError."""
        if request.path != "/" and request.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            raise RefusedError(HTTPStatus.FORBIDDEN, "pages of other sites cannot embed this one")
        if self.token is None:
            if host_name(request) not in LOOPBACK_NAMES | {self.host}:
                raise RefusedError(HTTPStatus.FORBIDDEN, "open this page as http://localhost with the port number")
            return {}
        if self._is_token(request.headers.get("authorization", "").removeprefix("Bearer ")):
            return {}
        if self._is_token(request.query.get("token", "")):
            return {"Set-Cookie": f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"}
        if not self._is_token(request.cookies.get(self.cookie, "")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "open the whole address that lettercast printed; it ends in ?token=...")
        return {}

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), (self.token or "").encode())


def parse_request(head: bytes) -> Request:
    """Parse a request line and headers, without the empty line; raises RefusedError if they are invalid."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request")
    method, target, version = words
    if method not in METHODS:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"use {' or '.join(METHODS)}")
    if len(target) > MAX_TARGET_CHARS:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
    fields = [line.partition(":") for line in lines if line]
    if any(not colon or name != name.strip() for name, colon, _ in fields):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a header is not of the form name: value")
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if not target.startswith("/") or (version == "HTTP/1.1" and "host" not in headers):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request lacks a path or a host")
    path, _, query = target.partition("?")
    return Request(method, path, {name: values[0] for name, values in parse_qs(query).items()}, headers)


def host_name(request: Request) -> str:
    """Return the name under which the browser reached this server, without the port."""
    try:
        return urlsplit("//" + request.headers.get("host", "")).hostname or ""
    except ValueError:
        return ""


def page_policy(html: bytes) -> str:
    """Return the content security policy of a page: its inline style and script, images and data from here, nothing else."""

    def inline(tag: bytes) -> str:
        texts = re.findall(b"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
        return " ".join(f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in texts)

    return (
        f"default-src 'none'; style-src {inline(b'style')}; script-src {inline(b'script')}; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def response_head(status: HTTPStatus, kind: str, headers: Mapping[str, str]) -> bytes:
    """Return the status line and headers of a response whose body has the media type `kind`."""
    fields = {"Content-Type": kind, "Content-Security-Policy": DENY_ALL_POLICY, **COMMON_HEADERS, **headers}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def error_response(refused: RefusedError) -> bytes:
    """Return the response to a refused request: one line of plain text."""
    body = f"{refused.status.value} {refused.status.phrase}: {refused}\n".encode()
    headers = {"Content-Length": str(len(body))}
    if refused.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(METHODS)
    return response_head(refused.status, "text/plain; charset=utf-8", headers) + body


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request up to its empty line; raises RefusedError if it is too long, TimeoutError if it does not come."""
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
    """Send until the kernel has taken everything; raises TimeoutError if the viewer reads nothing for too long."""
    writer.write(data)
    async with asyncio.timeout(STALL_TIMEOUT_S):
        await writer.drain()
