"""Whether a reader reads, its counters, and both over HTTP; the text for Prometheus, checked by Prometheus' own tool."""

import http.client
import json
import re
import shutil
import subprocess
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest

from lettercast import __version__
from lettercast.runtime.health.health import BUCKETS_S, MAX_SILENCE_S, Health
from lettercast.runtime.health.metrics import CONTENT_TYPE, to_prometheus
from lettercast.runtime.live.loop import Outputs, read_frames
from lettercast.runtime.pixels import Frame
from lettercast.runtime.retry import Clock
from lettercast.runtime.sources.camera import CONNECTED, LOST, CameraStatus
from lettercast.runtime.text import Page
from lettercast.runtime.web.server import WebView

# Names that need escaping.
ODD = 'rtsp://cam/"a\\b'


class Time:
    """A clock that the test sets."""

    seconds = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def health(time):
    return Health("letters-nano", time.clock)


def page(milliseconds: float = 10.0) -> Page:
    return Page((64, 48), (), milliseconds, 0.0)


def values(text: str) -> dict[str, float]:
    """Return the value of each sample of a text for Prometheus."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def ask(view, path: str, **headers) -> tuple[int, str, bytes]:
    address = urlsplit(view.url)
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=120)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.headers["Content-Type"], response.read()


def test_a_reader_is_well_while_it_reads_and_when_everything_was_read(health, time):
    assert (health.state, health.is_well) == ("starting", False)
    health.count(page())
    time.seconds = MAX_SILENCE_S
    assert (health.state, health.is_well) == ("reading", True)
    time.seconds += 1
    assert (health.state, health.is_well) == ("stuck", False)
    health.finish()
    assert (health.state, health.is_well) == ("done", True)


def test_a_lost_camera_is_told_once_with_the_reason_and_its_time_counts(health, time):
    told, camera = [], CameraStatus("7", CONNECTED)
    health.cameras, health.on_state = (camera,), [told.append]
    health.count(page())
    camera.state, camera.lost_at, camera.lost_s, camera.losses = LOST, 0.0, 5.0, 2
    for attempt in range(3):
        time.seconds, camera.attempts, camera.failure = 10.0 * attempt, attempt, "plug it in"
        health.attempted()
    assert told == ["camera lost"]
    report = health.to_dict()
    assert (report["ok"], report["state"], report["reason"]) == (False, "camera lost", "plug it in")
    assert (report["cameras"][0]["lost_s"], report["cameras"][0]["losses"]) == (25.0, 2)
    assert health.summary() == "camera lost: 7, 2 attempts in 25 s: plug it in"
    camera.state, camera.lost_at, time.seconds = CONNECTED, None, 1000.0
    health.attempted()
    assert told == ["camera lost"]
    health.count(page())
    assert health.is_well
    camera.state, camera.lost_at = LOST, time.seconds
    health.attempted()
    assert told == ["camera lost"] * 2


def test_the_histogram_counts_each_frame_in_every_bucket_above_its_time(health):
    for milliseconds in (1, 5, 6, 300, 9000):
        health.count(page(milliseconds))
    found = values(to_prometheus(health))
    buckets = [found[f'lettercast_frame_duration_seconds_bucket{{le="{limit:g}"}}'] for limit in BUCKETS_S]
    assert buckets == [2, 3, 3, 3, 3, 3, 4, 4, 4, 4]
    assert found['lettercast_frame_duration_seconds_bucket{le="+Inf"}'] == found["lettercast_frame_duration_seconds_count"] == 5
    assert found["lettercast_frame_duration_seconds_sum"] == pytest.approx(9.312)


def full(health) -> str:
    """Return the text for Prometheus with every metric in it."""
    health.count(page())
    health.cameras = (CameraStatus(ODD, LOST, 9, 2, 7, 1, 3.5, 0.0, "away"), CameraStatus("1", CONNECTED))
    counts = {"waiting": 3, "waiting_bytes": 99, "sent": 5, "failures": 2, "dropped": 1, "is_connected": True}
    health.receivers = (SimpleNamespace(receiver="mqtt://broker", **counts),)
    return to_prometheus(health, viewers=2)


def test_every_metric_has_its_value_and_labels_are_escaped(health, time):
    time.seconds = 2.0
    found = values(full(health))
    assert found['lettercast_camera_lost_seconds_total{camera="rtsp://cam/\\"a\\\\b"}'] == 5.5
    assert found['lettercast_camera_up{camera="1"}'] == 1
    assert found['lettercast_publish_queue_messages{receiver="mqtt://broker"}'] == 3
    assert found["lettercast_viewers"] == 2
    assert found[f'lettercast_build_info{{version="{__version__}",model="letters-nano"}}'] == 1
    assert found["process_resident_memory_bytes"] > 1e7 and found["process_cpu_seconds_total"] > 0


def test_prometheus_own_tool_finds_nothing_to_complain_about(health):
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("no promtool here: apt install prometheus")
    for text in (to_prometheus(Health("m")), full(health)):
        done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_metric_is_explained_once_and_counters_are_named_so(health):
    text = full(health)
    kinds = dict(re.findall(r"# TYPE (\S+) (\S+)", text))
    assert len(kinds) == text.count("# HELP") == text.count("# TYPE")
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in kinds.items())


def test_health_and_metrics_stand_beside_the_page_and_count_what_is_read(reader, draw_page):
    health, image = Health("letters-base"), draw_page("ABC")[0]
    with WebView("127.0.0.1", 0, health=health) as view:
        status, kind, body = ask(view, "/health")
        assert (status, kind, json.loads(body)["state"]) == (503, "application/json", "starting")
        frames = iter([Frame("0", number, image) for number in range(4)])
        read_frames(reader, frames, Outputs(window=False, view=view, health=health))
        status, _, body = ask(view, "/health")
        assert (status, json.loads(body)["ok"], json.loads(body)["frames"]) == (200, True, 4)
        status, kind, body = ask(view, "/metrics")
        found = values(body.decode())
        assert (status, kind) == (200, CONTENT_TYPE)
        assert (found["lettercast_frames_total"], found["lettercast_letters_total"]) == (4, 12)


def test_a_view_without_health_has_neither():
    with WebView("127.0.0.1", 0) as view:
        assert (ask(view, "/health")[0], ask(view, "/metrics")[0]) == (404, 404)


def test_a_scraper_shows_the_token_in_its_header():
    with WebView("127.0.0.1", 0, token="correct-horse", health=Health("m")) as view:
        assert ask(view, "/metrics")[0] == 403
        assert ask(view, "/metrics", Authorization="Bearer wrong-horse")[0] == 403
        assert ask(view, "/metrics", Authorization="Bearer correct-horse")[0] == 200
        assert ask(view, "/metrics?token=correct-horse")[0] == 200


def test_a_frame_costs_the_counters_little_memory(health):
    for _ in range(1000):
        health.count(page())
    assert health.frames == 1000 and sum(health.latency.counts) == 1000
    assert np.isfinite(health.latency.total_s)
