"""Sending texts to an MQTT broker, with Home Assistant's discovery.

One thread drives the connection, and takes part in it only here; paho-mqtt knows the protocol.
"""

import json
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ... import LettercastError
from ..console import first_line
from .address import PASSWORD_VARIABLE, MqttAddress
from .home_assistant import OFF, OFFLINE, ON, ONLINE, Topics, discovery
from .publisher import ANSWER_S, DeliveryError
from .queue import Message

KEEP_ALIVE_S = 30
# How long paho-mqtt waits for the network at once. A text that comes meanwhile is sent so much later at most.
STEP_S = 0.1
QOS = 1
INSTALL = "--mqtt needs paho-mqtt, which is not installed: pip install 'lettercast[mqtt]', or sudo apt install python3-paho-mqtt"
# The answers of a broker to a connection, in MQTT 3.1.1.
REFUSALS = {
    1: "refuses this version of MQTT",
    2: "refuses the name of this device",
    3: "is not ready",
    4: f"refuses the user or the password; check USER in --mqtt, and --mqtt-password-file or {PASSWORD_VARIABLE}",
    5: f"does not admit this user; check USER in --mqtt, and --mqtt-password-file or {PASSWORD_VARIABLE}",
}


class Mqtt:
    """A broker that gets the newest text as a retained message of quality of service 1.

    It also gets whether this device is online, with a last will that the broker sends if the device dies, and whether it reads.

    Args:
        address: the broker, and the topic of this device.
        device: an identifier of this device that stays the same.
        is_reading: tells whether images are being read.
        password: the password of the user in the address.
    """

    def __init__(
        self, address: MqttAddress, device: str, is_reading: Callable[[], bool] = lambda: True, password: str | None = None
    ) -> None:
        self._library = import_paho()
        self._address, self._device, self._password, self._is_reading = address, device, password, is_reading
        self.name = self.key = str(address)
        self.keeps_connection = True
        self.topics = Topics(address.topic)
        self._client: Any = None
        # What the broker answered, and the numbers of the messages that it confirmed.
        self._answer: int | None = None
        self._confirmed: set[int] = set()
        self._told: bool | None = None

    def connect(self) -> None:
        """Connect unless it is connected, and say what this device is; raises DeliveryError."""
        if self._client is not None:
            return
        self._client, self._answer, self._told = self._make_client(), None, None
        self._confirmed.clear()
        try:
            self._client.connect(self._address.host, self._address.port, KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            self._client = None
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DeliveryError(f"does not answer ({reason})") from error
        self._drive(lambda: self._answer is not None)
        if self._answer:
            self._drop()
            raise DeliveryError(REFUSALS.get(self._answer, f"refuses the connection with code {self._answer}"))
        for topic, payload in discovery(self.topics, self._device, self._address.topic).items():
            self._publish(topic, json.dumps(payload))
        self._publish(self.topics.availability, ONLINE)
        self._tell_reading()

    def send(self, message: Message) -> None:
        """Publish a message, and wait until the broker confirms it; raises DeliveryError."""
        self._publish(self.topics.text, message.body)

    def rest(self, wake: threading.Event) -> None:
        """Keep the connection alive for a moment, and tell whether this device reads if that has changed."""
        self._step()
        self._tell_reading()

    def close(self) -> None:
        """Say that this device goes offline, and disconnect."""
        if self._client is None:
            return
        try:
            self._publish(self.topics.availability, OFFLINE)
        except DeliveryError:
            return
        self._drop()

    def _make_client(self) -> Any:
        name = f"lettercast-{self._device}"
        # paho-mqtt 1, which Debian 12 has, knows one kind of callbacks; 2 wants to know which.
        versions = getattr(self._library, "CallbackAPIVersion", None)
        made = self._library.Client(versions.VERSION2, client_id=name) if versions else self._library.Client(client_id=name)
        made.on_connect, made.on_publish = self._note_answer, self._note_confirmed
        made.will_set(self.topics.availability, OFFLINE, qos=QOS, retain=True)
        if self._address.user is not None:
            made.username_pw_set(self._address.user, self._password)
        if self._address.is_encrypted:
            made.tls_set()
        return made

    def _note_answer(self, client: Any, data: Any, flags: Any, answer: Any, *_: Any) -> None:
        # The codes of MQTT 5, into which paho-mqtt 2 turns those of 3.1.1, begin at 128.
        code = getattr(answer, "value", answer)
        self._answer = {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}.get(code, code)

    def _note_confirmed(self, client: Any, data: Any, number: int, *_: Any) -> None:
        self._confirmed.add(number)

    def _publish(self, topic: str, payload: str) -> None:
        info = self._client.publish(topic, payload, qos=QOS, retain=True)
        self._drive(lambda: info.mid in self._confirmed)
        self._confirmed.discard(info.mid)

    def _tell_reading(self) -> None:
        if (reads := self._is_reading()) != self._told:
            self._publish(self.topics.reading, ON if reads else OFF)
            self._told = reads

    def _drive(self, is_done: Callable[[], bool]) -> None:
        """Let paho-mqtt work until something is done; raises DeliveryError if the connection ends, or after ANSWER_S."""
        end = time.monotonic() + ANSWER_S
        while not is_done():
            self._step()
            if time.monotonic() > end:
                self._drop()
                raise DeliveryError("does not answer (no confirmation)")

    def _step(self) -> None:
        try:
            has_ended = self._client.loop(STEP_S) and not self._answer
        except Exception as error:
            # paho-mqtt checks little of what comes, so that something else than a broker makes it fail in many ways.
            self._client = None
            raise DeliveryError(f"does not speak MQTT ({first_line(error)})") from error
        if has_ended:
            self._client = None
            raise DeliveryError("does not answer (the connection ended)")

    def _drop(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client = None


def import_paho() -> Any:
    """Import paho-mqtt; raises LettercastError if it is not installed."""
    try:
        return import_module("paho.mqtt.client")
    except ImportError as error:
        raise LettercastError(INSTALL) from error
