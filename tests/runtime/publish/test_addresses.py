"""Addresses to publish to, and passwords, which no message shows."""

import argparse
import re

import pytest

from lettercast import LettercastError
from lettercast.runtime.publish.address import (
    PASSWORD_VARIABLE,
    TOKEN_VARIABLE,
    MqttAddress,
    device_name,
    find_secret,
    mqtt_address,
    webhook_address,
)


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("mqtt://pi/a/b", MqttAddress("pi", 1883, False, None, "a/b"), "mqtt://pi:1883/a/b"),
        ("mqtts://me@pi:99/a/", MqttAddress("pi", 99, True, "me", "a"), "mqtts://pi:99/a"),
        ("mqtts://pi/a%20b", MqttAddress("pi", 8883, True, None, "a b"), "mqtts://pi:8883/a b"),
        ("mqtt://[::1]/a", MqttAddress("::1", 1883, False, None, "a"), "mqtt://[::1]:1883/a"),
    ],
)
def test_a_broker_is_parsed_and_shown_without_its_user(text, address, shown):
    assert (mqtt_address(text), str(address)) == (address, shown)


def test_the_default_topic_names_this_machine():
    assert mqtt_address("mqtt://pi").topic == f"lettercast/{device_name()}" and "/" not in device_name()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "pi",
            "pi:1883",
            "http://pi",
            "mqtt://",
            "mqtt://pi:0",
            "mqtt://pi:x",
            "mqtt://pi:70000",
            "mqtt://[::1",
            "mqtt://p i",
        ),
        *(
            "mqtt://pi/a//b",
            "mqtt://pi/a/+",
            "mqtt://pi/#",
            "mqtt://pi/a?b",
            "mqtt://pi/%00",
            "mqtt://pi/" + "a" * 2000,
            "mqtt://π",
        ),
    ],
)
def test_what_is_no_broker_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not an address such as mqtt://|is no topic"):
        mqtt_address(text)


@pytest.mark.parametrize("text", ["", "example.org", "ftp://example.org", "http://", "http://example.org:x", "http://a b"])
def test_what_is_no_web_address_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not an address such as https://"):
        webhook_address(text)


def test_a_web_address_is_shown_without_what_may_be_secret():
    address = webhook_address("https://hooks.example.org:8443/T0/B1/secret?key=secret#top")
    assert address.url == "https://hooks.example.org:8443/T0/B1/secret?key=secret"
    assert str(address) == "https://hooks.example.org:8443"


@pytest.mark.parametrize("parse", [mqtt_address, webhook_address])
@pytest.mark.parametrize("password", ["secret", "se@cret", "se:cret", "se/cret", "se#cret", "se?cret", ""])
def test_a_password_in_an_address_is_refused_and_not_shown(parse, password):
    scheme = "mqtt" if parse is mqtt_address else "https"
    with pytest.raises(argparse.ArgumentTypeError, match=r"//\*\*\*@pi") as refused:
        parse(f"{scheme}://me:{password}@pi/a")
    assert "cret" not in str(refused.value)


def test_a_secret_comes_from_a_file_or_a_variable(tmp_path):
    file = tmp_path / "token"
    file.write_text("from-file\r\n")
    variables = {TOKEN_VARIABLE: "from-variable"}
    assert find_secret("--webhook-token-file", file, TOKEN_VARIABLE, variables) == "from-file"
    assert find_secret("--webhook-token-file", None, TOKEN_VARIABLE, variables) == "from-variable"
    assert find_secret("--webhook-token-file", None, TOKEN_VARIABLE, {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"secret\nsecret\n", b"sec\0ret", b"\xff\xfesecret", b"secret" * 1000])
def test_a_file_that_holds_no_secret_alone_is_refused_and_not_shown(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(LettercastError, match=r"--webhook-token-file .*token: ") as refused:
        find_secret("--webhook-token-file", tmp_path / "token", TOKEN_VARIABLE, {})
    assert "secret" not in str(refused.value).replace("the secret", "")
    with pytest.raises(LettercastError, match=PASSWORD_VARIABLE):
        find_secret("--mqtt-password-file", None, PASSWORD_VARIABLE, {PASSWORD_VARIABLE: "two\nlines"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mqtt", "broker"], "is not an address such as mqtt://"),
        (["--mqtt", "mqtt://me:secret@pi"], r"//\*\*\*@pi.*--mqtt-password-file"),
        (["--webhook", "example.org/hook"], "is not an address such as https://"),
        (["--queue", "texts"], "add one of them"),
        (["--mqtt-password-file", "p"], "add --mqtt mqtt://USER@HOST"),
        (["--mqtt", "mqtt://pi", "--mqtt-password-file", "p"], "add --mqtt mqtt://USER@HOST"),
        (["--webhook-token-file", "p"], "add --webhook URL"),
        (["--webhook", "http://127.0.0.1:1/", "--webhook-token-file", "none"], "none: No such file"),
        (["--webhook", "http://127.0.0.1:1/", "--queue", "/proc/none"], "give a folder that you may write to with --queue"),
    ],
)
def test_the_command_refuses_what_cannot_work_in_one_line(refused, words, message):
    line = refused("read", "page.png", *words)
    assert re.search(message, line) and "secret@" not in line
