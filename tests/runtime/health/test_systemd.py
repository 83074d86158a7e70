"""Telling systemd that the reader is up and alive, over real sockets."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from lettercast.runtime.health.health import Health
from lettercast.runtime.health.systemd import FEED_S, MIN_WATCHDOG_S, STATUS_S, Notifier
from lettercast.runtime.retry import Clock
from lettercast.runtime.sources.camera import LOST, CameraStatus
from lettercast.runtime.text import Page

LIMIT_S = 120


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    """A socket like systemd's: its name in NOTIFY_SOCKET, and a function that returns the next message."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@lettercast-test-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiving:
        receiving.bind(name.replace("@", "\0") if request.param == "abstract" else name)
        receiving.settimeout(LIMIT_S)
        yield name, lambda: receiving.recv(4096).decode()


def page() -> Page:
    return Page((64, 48), (), 10.0, 0.0)


def test_ready_is_said_once_and_the_watchdog_is_fed_by_frames(manager):
    name, receive = manager
    seconds = [0.0]
    clock = Clock(lambda: seconds[0])
    health, systemd = Health("m", clock), Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "120000000"}, clock)
    health.on_progress.append(lambda: systemd.progress(health))
    assert (systemd.is_there, systemd.watchdog_s) == (True, 120.0)
    systemd.ready()
    systemd.ready()
    assert receive() == "READY=1"
    health.count(page())
    assert receive() == "WATCHDOG=1\nSTATUS=reading, 1 frames, 0 letters"
    # Not once for each frame.
    health.count(page())
    seconds[0] = FEED_S
    health.count(page())
    assert receive() == "WATCHDOG=1"
    seconds[0] = STATUS_S + 1
    health.cameras = (CameraStatus("7", LOST, attempts=2, lost_at=0.0, failure="plug\nit in"),)
    health.attempted()
    assert receive() == "WATCHDOG=1\nSTATUS=camera lost: 7, 2 attempts in 6 s: plug it in"
    systemd.stopping()
    assert receive() == "STOPPING=1"


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "5000000"}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "relative"}],
)
def test_without_systemd_nothing_is_sent(variables, capsys):
    systemd = Notifier(variables)
    systemd.ready()
    systemd.progress(Health("m"))
    systemd.stopping()
    assert not systemd.is_there and systemd.watchdog_s == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "120000000"}, 120),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}, 120),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "many"}, 0),
        ({}, 0),
    ],
)
def test_the_watchdog_of_another_process_is_not_fed(manager, variables, seconds):
    name, receive = manager
    systemd = Notifier({"NOTIFY_SOCKET": name, **variables})
    assert systemd.watchdog_s == seconds
    systemd.progress(Health("m"))
    assert ("WATCHDOG=1" in receive()) == (seconds > 0)


def test_a_watchdog_that_is_too_short_for_a_lost_camera_is_named(manager, capsys):
    Notifier({"NOTIFY_SOCKET": manager[0], "WATCHDOG_USEC": "30000000"})
    assert f"WatchdogSec is 30 s; below {MIN_WATCHDOG_S} s" in capsys.readouterr().err


def test_a_socket_that_is_gone_is_said_once_and_reading_goes_on(tmp_path, capsys):
    systemd = Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")})
    systemd.ready()
    systemd.progress(Health("m"))
    systemd.stopping()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("manager", ["file"], indirect=True)
def test_the_command_tells_systemd_from_its_start_to_its_end(manager, page_file):
    name, receive = manager
    environment = {**os.environ, "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "120000000"}
    words = [sys.executable, "-m", "lettercast", "read", str(page_file), "--serve", "0"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as reading:
        killer = threading.Timer(LIMIT_S, reading.kill)
        killer.start()
        assert receive() == "READY=1"
        assert receive() == "WATCHDOG=1\nSTATUS=reading, 1 frames, 6 letters"
        # While the last image stays on the page there are no frames, and nothing is wrong.
        assert "WATCHDOG=1" in receive()
        reading.send_signal(signal.SIGTERM)
        while (message := receive()) != "STOPPING=1":
            assert "WATCHDOG=1" in message
        killer.cancel()
    assert reading.returncode == 0


@pytest.mark.parametrize("manager", ["file"], indirect=True)
def test_under_systemd_a_missing_camera_is_looked_for_and_an_error_without(manager, refused):
    name, receive = manager
    assert "plug it in" in refused("read", "97", "--no-window")
    words = [sys.executable, "-m", "lettercast", "read", "97", "--no-window"]
    environment = {**os.environ, "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "120000000"}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as reading:
        assert receive() == "READY=1"
        assert "STATUS=camera missing: 97, 1 attempts" in receive()
        reading.send_signal(signal.SIGTERM)
        assert receive() == "STOPPING=1"
        assert "plug it in" in reading.stderr.read()
    assert reading.returncode == 130
