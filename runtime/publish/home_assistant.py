"""What Home Assistant must be told to show this device by itself: its MQTT discovery.

The format is described at home-assistant.io under "MQTT", "MQTT Discovery".
"""

from dataclasses import dataclass
from typing import Any

from ... import __version__

PREFIX = "homeassistant"
ONLINE, OFFLINE, ON, OFF = "online", "offline", "ON", "OFF"
# Home Assistant takes no longer states; the attributes hold the whole text.
MAX_STATE_CHARS = 255


@dataclass(frozen=True)
class Topics:
    """The topics of one device."""

    base: str

    @property
    def text(self) -> str:
        """The newest text, as JSON."""
        return f"{self.base}/text"

    @property
    def availability(self) -> str:
        """Whether the device is online."""
        return f"{self.base}/availability"

    @property
    def reading(self) -> str:
        """Whether images are being read."""
        return f"{self.base}/reading"


def discovery(topics: Topics, device: str, name: str) -> dict[str, dict[str, Any]]:
    """Return the description of each entity by its topic.

    Args:
        topics: the topics of the device.
        device: an identifier of the device that stays the same.
        name: what Home Assistant shows until you give it a name of your own.
    """
    node = f"lettercast_{device}"
    shared: dict[str, Any] = {
        "availability_topic": topics.availability,
        "device": {
            "identifiers": [node],
            "name": name.replace("/", " "),
            "manufacturer": "lettercast",
            "model": "letter reader",
            "sw_version": __version__,
        },
        "origin": {"name": "lettercast", "sw_version": __version__},
    }
    text = {
        "name": "Text",
        "unique_id": f"{node}_text",
        "icon": "mdi:format-letter-case",
        "state_topic": topics.text,
        "value_template": f"{{{{ value_json.text[:{MAX_STATE_CHARS}] }}}}",
        "json_attributes_topic": topics.text,
    }
    reading = {
        "name": "Reading",
        "unique_id": f"{node}_reading",
        "device_class": "running",
        "entity_category": "diagnostic",
        "state_topic": topics.reading,
        "payload_on": ON,
        "payload_off": OFF,
    }
    return {
        f"{PREFIX}/sensor/{node}/text/config": {**text, **shared},
        f"{PREFIX}/binary_sensor/{node}/reading/config": {**reading, **shared},
    }
