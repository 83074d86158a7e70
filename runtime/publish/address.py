"""Where texts go: addresses as you type them, and passwords, which are never typed."""

import argparse
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ... import LettercastError

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD_VARIABLE, TOKEN_VARIABLE = "LETTERCAST_MQTT_PASSWORD", "LETTERCAST_WEBHOOK_TOKEN"
# MQTT gives + and # a meaning, and a topic has at most 65535 bytes; this leaves room for what is added to it.
TOPIC = re.compile(r"[^+#\0/]+(/[^+#\0/]+)*")
MAX_TOPIC_CHARS = 1000
MAX_SECRET_BYTES = 4096


@dataclass(frozen=True)
class MqttAddress:
    """A broker: host and port, whether the connection is encrypted, the user if it wants one, and the topic of this device."""

    host: str
    port: int
    is_encrypted: bool
    user: str | None
    topic: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.is_encrypted}://{host}:{self.port}/{self.topic}"


@dataclass(frozen=True)
class WebhookAddress:
    """A web address that takes texts. It is shown without path and query, because many of these are the secret themselves."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def mqtt_address(text: str) -> MqttAddress:
    """Parse mqtt://[USER@]HOST[:PORT][/TOPIC], or mqtts:// for an encrypted connection."""
    parts = split(text, tuple(MQTT_PORTS), "mqtt://broker.local/kitchen/letters")
    if parts.password is not None:
        raise argparse.ArgumentTypeError(
            f"'{shown(text)}': a password here is visible to every user of this machine; put it into a file for "
            f"--mqtt-password-file, or into {PASSWORD_VARIABLE}"
        )
    topic = unquote(parts.path.strip("/")) or f"lettercast/{device_name()}"
    if "?" in text or "#" in text or not TOPIC.fullmatch(topic) or len(topic) > MAX_TOPIC_CHARS:
        raise argparse.ArgumentTypeError(f"'{text}': '{parts.path.strip('/')}' is no topic to publish to; give one without + # ?")
    host, port = str(parts.hostname), parts.port or MQTT_PORTS[parts.scheme]
    return MqttAddress(host, port, parts.scheme == "mqtts", unquote(parts.username) if parts.username else None, topic)


def webhook_address(text: str) -> WebhookAddress:
    """Parse an http or https URL."""
    parts = split(text, ("http", "https"), "https://example.org/hook")
    if parts.username is not None:
        raise argparse.ArgumentTypeError(
            f"'{shown(text)}': user and password cannot be part of it; put a token into a file for "
            f"--webhook-token-file, or into {TOKEN_VARIABLE}"
        )
    return WebhookAddress(parts._replace(fragment="").geturl())


def split(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Split a URL of one of the schemes, and check its host and port."""
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        is_usable, parts = False, urlsplit("")
    if not is_usable or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"'{shown(text)}' is not an address such as {example}")
    return parts


def shown(text: str) -> str:
    """Return what was typed without anything that may be a password, whatever characters it has."""
    return re.sub(r"^([^@/]*//)?.*@", r"\1***@", text)


def device_name() -> str:
    """Return the name of this machine, as far as it can be part of a topic."""
    return re.sub(r"[^\w.-]", "-", socket.gethostname().partition(".")[0]) or "device"


def find_secret(option: str, file: Path | None, variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the password or token in a file, else in an environment variable, else None.

    Raises LettercastError if the file cannot be read, or if it or the variable holds no single line of printable text. Messages
    never show what is in them.
    """
    if file is None:
        name, secret = variable, environment.get(variable)
        if secret is None:
            return None
    else:
        name = f"{option} {file}"
        try:
            with file.open("rb") as opened:
                secret = opened.read(MAX_SECRET_BYTES + 1).decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise LettercastError(f"{name}: not a text file; put the secret into it, alone on one line") from error
        except OSError as error:
            raise LettercastError(f"{name}: {error.strerror or error}; give a file that you may read") from error
    if not secret or not secret.isprintable() or len(secret) > MAX_SECRET_BYTES:
        raise LettercastError(f"{name}: must hold the secret alone, on one line of up to {MAX_SECRET_BYTES} characters")
    return secret
