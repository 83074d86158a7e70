"""Opening a publisher: its queue, and a receiver for each address."""

from collections.abc import Callable
from pathlib import Path

from .address import MqttAddress, WebhookAddress
from .mqtt import Mqtt, import_paho
from .publisher import Publisher, Receiver
from .queue import Queue, default_folder
from .webhook import Webhook


def open_publisher(
    mqtt: MqttAddress | None = None,
    webhook: WebhookAddress | None = None,
    password: str | None = None,
    token: str | None = None,
    *,
    folder: Path | None = None,
    is_reading: Callable[[], bool] = lambda: True,
) -> Publisher:
    """Return a publisher, to be used in a `with`.

    Args:
        mqtt: a broker.
        webhook: a web address.
        password: of the user in the address of the broker.
        token: bearer token for the web address.
        folder: for texts that wait; see default_folder.
        is_reading: tells whether images are being read, for the broker.

    Raises:
        LettercastError: paho-mqtt is missing, or the folder cannot be used or is used by another process.
    """
    receivers: list[Receiver] = [Webhook(webhook, token)] if webhook else []
    if mqtt:
        # Before there is a file.
        import_paho()
    keys = [receiver.key for receiver in receivers] + ([str(mqtt)] if mqtt else [])
    queue = Queue(folder or default_folder(), keys)
    if mqtt:
        receivers.append(Mqtt(mqtt, queue.device, is_reading, password))
    return Publisher(queue, receivers)
