"""Sending texts to a web address: an HTTP POST with JSON."""

import http.client
import threading
import urllib.error
import urllib.request
from email.message import Message as Headers
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from ... import __version__
from .address import WebhookAddress
from .publisher import ANSWER_S, DeliveryError, MessageRefusedError
from .queue import Message

REST_S = 1.0
MAX_ANSWER_BYTES = 65536
# The message itself is at fault, and would be at fault again.
UNUSABLE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
NOT_ADMITTED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: urllib would turn the POST into a GET, and send the token to another site."""

    # The arguments are urllib's.
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:  # noqa: PLR0917
        return None


class Webhook:
    """A receiver that confirms a message with any status from 200 to 299.

    The header Idempotency-Key holds the identifier of the message, by which it may drop duplicates.
    """

    def __init__(self, address: WebhookAddress, token: str | None = None, timeout_s: float = ANSWER_S) -> None:
        self._url, self._token, self._timeout_s = address.url, token, timeout_s
        self.name, self.keeps_connection = str(address), False
        # The address may be a secret itself.
        self.key = f"webhook {sha256(address.url.encode()).hexdigest()[:16]}"
        self._opener = urllib.request.build_opener(NoRedirects)

    def connect(self) -> None:
        """Do nothing: each message has a connection of its own."""

    def send(self, message: Message) -> None:
        """Post a message; raises DeliveryError or MessageRefusedError."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            "User-Agent": f"lettercast/{__version__}",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        request = urllib.request.Request(self._url, message.body.encode(), headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(MAX_ANSWER_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                raise failure(error.code, error.headers, self._token is not None) from error
        # A host that cannot be a name on the network is a ValueError.
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise DeliveryError(
                f"does not answer ({getattr(reason, 'strerror', None) or reason or type(error).__name__})"
            ) from error

    def rest(self, wake: threading.Event) -> None:
        """Wait for a message."""
        wake.wait(REST_S)

    def close(self) -> None:
        """Do nothing: each message has a connection of its own."""


def failure(status: int, headers: Headers, has_token: bool) -> DeliveryError | MessageRefusedError:
    """Return what a status other than success means for a message."""
    if status in UNUSABLE:
        return MessageRefusedError(f"refuses it with status {status}")
    if status in NOT_ADMITTED:
        hint = "another token in --webhook-token-file" if has_token else "a token with --webhook-token-file"
        return DeliveryError(f"refuses {'the token' if has_token else 'to take texts'} with status {status}; give {hint}")
    if status == HTTPStatus.NOT_FOUND:
        return DeliveryError("there is nothing at this address (status 404); check the URL of --webhook")
    if 300 <= status < 400:
        return DeliveryError(f"redirects to another address (status {status}); give that one to --webhook")
    asked = headers.get("Retry-After", "")
    return DeliveryError(f"answers with status {status}", float(asked) if asked.isascii() and asked.isdecimal() else 0.0)
