"""Publishing to a real broker: texts, Home Assistant's discovery, last will, wrong passwords, and a broker that goes away."""

import json
import shutil
import socket
import subprocess
import sys

import pytest

from lettercast.benchmarks.publish import TOPIC, Broker, Subscriber, find_mosquitto, until
from lettercast.runtime.publish import mqtt as mqtt_module
from lettercast.runtime.publish import publisher as publisher_module
from lettercast.runtime.publish.address import mqtt_address
from lettercast.runtime.publish.home_assistant import MAX_STATE_CHARS, Topics, discovery
from lettercast.runtime.publish.mqtt import Mqtt
from lettercast.runtime.publish.publisher import Publisher
from lettercast.runtime.publish.queue import Queue

from .conftest import SOON

TEXT, AVAILABILITY, READING = f"{TOPIC}/text", f"{TOPIC}/availability", f"{TOPIC}/reading"


def publishing(folder, address, is_reading=lambda: True, password=None) -> Publisher:
    parsed = mqtt_address(address)
    queue = Queue(folder, (str(parsed),))
    return Publisher(queue, [Mqtt(parsed, queue.device, is_reading, password)], SOON)


def test_texts_arrive_in_order_and_the_newest_is_retained(broker, address, tmp_path, still):
    with Subscriber(broker.port, f"{TOPIC}/#") as seen:
        with publishing(tmp_path / "queue", address) as publisher:
            for number, text in enumerate(("AB", "", "CD")):
                publisher.offer(*still(text, number))
            until(lambda: len(seen.texts(TEXT)) == 3, "texts are missing")
            assert publisher.workers[0].is_connected
        assert [one["text"] for one in seen.texts(TEXT)] == ["AB", "", "CD"]
        until(lambda: seen.values(AVAILABILITY) == ["online", "offline"], "no goodbye")
    with Subscriber(broker.port, f"{TOPIC}/#", "later") as later:
        until(lambda: len(later.messages) == 3, "nothing is retained")
        assert [one["text"] for one in later.texts(TEXT)] == ["CD"]
        assert {topic: retained for topic, _, retained in later.messages} == {TEXT: True, AVAILABILITY: True, READING: True}


def test_whether_it_reads_is_told_when_it_changes(broker, address, tmp_path):
    state = [False]
    with Subscriber(broker.port, f"{TOPIC}/#") as seen, publishing(tmp_path / "queue", address, lambda: state[0]):
        until(lambda: seen.values(READING) == ["OFF"], "not told")
        state[0] = True
        until(lambda: seen.values(READING) == ["OFF", "ON"], "not told")


def test_home_assistant_finds_the_device(broker, address, tmp_path):
    with Subscriber(broker.port, "homeassistant/#") as seen, publishing(tmp_path / "queue", address) as publisher:
        until(lambda: len(seen.messages) == 2, "no discovery")
        device = publisher._queue.device
    found = {topic: json.loads(payload) for topic, payload, _ in seen.messages}
    assert found == discovery(Topics(TOPIC), device, TOPIC)
    sensor, binary = (
        found[f"homeassistant/sensor/lettercast_{device}/text/config"],
        found[f"homeassistant/binary_sensor/lettercast_{device}/reading/config"],
    )
    assert (sensor["state_topic"], binary["state_topic"]) == (TEXT, READING)
    assert sensor["device"] == binary["device"] and sensor["unique_id"] != binary["unique_id"]
    assert f"[:{MAX_STATE_CHARS}]" in sensor["value_template"]


def test_a_reader_that_is_killed_leaves_its_last_will(broker, address, tmp_path, page_file):
    words = ["read", str(page_file), "--serve", "0", "--mqtt", address, "--queue", str(tmp_path / "queue")]
    with (
        Subscriber(broker.port, f"{TOPIC}/#") as seen,
        subprocess.Popen(
            [sys.executable, "-m", "lettercast", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as reading,
    ):
        until(lambda: [one["text"] for one in seen.texts(TEXT)] == ["ABC\nDEF"], "no text")
        assert seen.values(AVAILABILITY) == ["online"]
        reading.kill()
        until(lambda: seen.values(AVAILABILITY) == ["online", "offline"], "no last will")


def test_a_broker_that_is_killed_loses_nothing(broker, address, tmp_path, still, capsys):
    with Subscriber(broker.port, f"{TOPIC}/#") as seen, publishing(tmp_path / "queue", address) as publisher:
        for kill in range(3):
            publisher.offer(*still(f"A{kill}", kill))
            until(lambda kill=kill: seen.texts(TEXT)[-1:] and seen.texts(TEXT)[-1]["text"] == f"A{kill}", "not sent")
            broker.kill()
            for number in range(10):
                publisher.offer(*still(f"B{kill}{number}", number))
            broker.start()
        until(lambda: publisher.workers[0].waiting == 0, "texts still wait")
        until(lambda: seen.texts(TEXT)[-1]["text"] == "B29", "the last text is missing")
    arrived = list({one["id"]: one["text"] for one in seen.texts(TEXT)}.values())
    assert arrived == [text for kill in range(3) for text in (f"A{kill}", *(f"B{kill}{number}" for number in range(10)))]
    assert publisher.workers[0].dropped == 0
    err = capsys.readouterr().err
    assert "texts wait in" in err and "is back" in err


def test_a_broker_that_is_not_there_at_the_start_is_said_and_waited_for(broker, address, tmp_path, still, capsys):
    broker.kill()
    with publishing(tmp_path / "queue", address) as publisher:
        publisher.offer(*still("AB", 0))
        until(lambda: publisher.workers[0].failures >= 3, "no attempt")
        assert capsys.readouterr().err.count(f"{address}: does not answer (Connection refused); texts wait in") == 1
        broker.start()
        until(lambda: publisher.workers[0].sent == 1, "not sent")


@pytest.mark.parametrize(("user", "password"), [("me", "wrong-horse"), (None, None)])
def test_a_wrong_password_is_said_once_and_not_shown(tmp_path, still, capsys, user, password, broker):
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("no mosquitto_passwd here: apt install mosquitto")
    passwords = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", passwords, "me", "correct-horse"], check=True, capture_output=True)
    passwords.chmod(0o644)
    (tmp_path / "locked").mkdir()
    with Broker(tmp_path / "locked", passwords) as locked:
        host = f"127.0.0.1:{locked.port}/{TOPIC}"
        with publishing(tmp_path / "a", f"mqtt://{user}@{host}" if user else f"mqtt://{host}", password=password) as publisher:
            publisher.offer(*still("AB", 0))
            until(lambda: publisher.workers[0].failures >= 2, "no attempt")
        err = capsys.readouterr().err
        assert err.count("check USER in --mqtt, and --mqtt-password-file or LETTERCAST_MQTT_PASSWORD") == 1
        assert "horse" not in err
        with publishing(tmp_path / "b", f"mqtt://me@{host}", password="correct-horse") as publisher:
            publisher.offer(*still("AB", 0))
            until(lambda: publisher.workers[0].sent == 1, "not sent")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00\x03",
        b"\x20\x02\x00\x63",
        b"\x20\x00",
        b"\x20\x02\x00\x00\x40\x00",
        b"\x20\x02\x00\x00\x40\x02\xff\xff\xe0\x00",
        b"\xff" * 64,
        bytes(range(256)),
    ],
)
def test_what_is_no_broker_is_said_and_ends_no_thread(tmp_path, still, capsys, monkeypatch, answer):
    pytest.importorskip("paho.mqtt.client")
    monkeypatch.setattr(publisher_module, "GOODBYE_S", 0.1)
    monkeypatch.setattr(mqtt_module, "ANSWER_S", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        publishing(tmp_path, f"mqtt://127.0.0.1:{other.getsockname()[1]}/a") as publisher,
    ):
        publisher.offer(*still("AB", 0))
        for _ in range(2):
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
        until(lambda: publisher.workers[0].failures >= 2, "no attempt")
        assert publisher.workers[0].waiting == 1
    err = capsys.readouterr().err
    assert "texts wait in" in err and "Traceback" not in err


def test_the_certificate_of_an_encrypted_connection_is_checked(tmp_path, still, capsys, monkeypatch):
    if find_mosquitto() is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl here: apt install mosquitto openssl")
    pytest.importorskip("paho.mqtt.client")
    (tmp_path / "broker").mkdir()
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    certificate = tmp_path / "broker" / "cert.pem"
    subprocess.run([*words, "-keyout", certificate.with_name("key.pem"), "-out", certificate], check=True, capture_output=True)
    with Broker(tmp_path / "broker", certificate=certificate) as broker:
        address = f"mqtts://127.0.0.1:{broker.port}/{TOPIC}"
        with publishing(tmp_path / "queue", address) as publisher:
            publisher.offer(*still("AB", 0))
            until(lambda: publisher.workers[0].failures >= 2, "no attempt")
        assert "certificate verify failed" in capsys.readouterr().err.lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with publishing(tmp_path / "queue", address) as publisher:
            until(lambda: publisher.workers[0].sent == 1, "not sent")


def test_without_paho_one_line_says_how_to_get_it(refused, page_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    line = refused("read", page_file, "--no-window", "--mqtt", "mqtt://127.0.0.1")
    assert "pip install 'lettercast[mqtt]', or sudo apt install python3-paho-mqtt" in line
