"""What the tests of publishing share: frames with a text, and a real broker where there is one."""

import pytest

from lettercast.benchmarks.publish import TOPIC, Broker, find_mosquitto, frame_of
from lettercast.runtime.retry import Backoff

# Short waits; only a failing test waits longer.
SOON = Backoff(0.01, 0.02)


@pytest.fixture
def broker(tmp_path):
    pytest.importorskip("paho.mqtt.client", reason="no paho-mqtt here: pip install 'lettercast[mqtt]'")
    if find_mosquitto() is None:
        pytest.skip("no mosquitto here: apt install mosquitto")
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as opened:
        yield opened


@pytest.fixture
def address(broker) -> str:
    return f"mqtt://127.0.0.1:{broker.port}/{TOPIC}"


@pytest.fixture
def still():
    """Return a function that returns a frame of a camera, and its page with a text."""
    return frame_of
