"""The counters of a running reader in the text format of Prometheus.

The format is described at prometheus.io under "Exposition formats"; `promtool check metrics` finds nothing to complain about.
"""

import os
import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from ... import __version__
from ..sources.camera import CONNECTED
from .health import BUCKETS_S, Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
# A value with its labels.
Sample = tuple[Mapping[str, str], float]
ALONE: Mapping[str, str] = {}


def to_prometheus(health: Health, viewers: int = 0) -> str:
    """Return all metrics as text, with the number of viewers of the web view."""
    return "".join(f"{line}\n" for line in metric_lines(health, viewers))


def metric_lines(health: Health, viewers: int) -> Iterator[str]:
    """Yield the lines of all metrics."""
    yield from family(
        "build_info", GAUGE, "Version and model, as labels of a 1.", [({"version": __version__, "model": health.model}, 1)]
    )
    yield from family("up", GAUGE, "Whether frames are being read, or all were.", [(ALONE, health.is_well)])
    yield from family("frames_total", COUNTER, "Frames that were read.", [(ALONE, health.frames)])
    yield from family("letters_total", COUNTER, "Letters that were read, in all frames.", [(ALONE, health.letters)])
    yield from family("silence_seconds", GAUGE, "Time since the last frame.", [(ALONE, health.silence_s)])
    yield from latency_lines(health)
    yield from family("viewers", GAUGE, "Browsers that watch.", [(ALONE, viewers)])
    yield from camera_lines(health)
    yield from publish_lines(health)
    yield from process_lines(health)


def latency_lines(health: Health) -> Iterator[str]:
    """Yield the lines of the histogram of the time per frame."""
    name, latency = "lettercast_frame_duration_seconds", health.latency
    yield from head(name, HISTOGRAM, "Time to read a frame, without waiting for the camera.")
    counts = list(accumulate(latency.counts))
    for limit, count in zip((*map(number, BUCKETS_S), "+Inf"), counts, strict=True):
        yield f'{name}_bucket{{le="{limit}"}} {count}'
    yield f"{name}_sum {number(latency.total_s)}"
    yield f"{name}_count {counts[-1]}"


def camera_lines(health: Health) -> Iterator[str]:
    """Yield the lines of what became of the cameras."""
    if not health.cameras:
        return
    cameras = [({"camera": camera.name}, camera) for camera in health.cameras]
    for name, kind, text, value in (
        ("up", GAUGE, "Whether the camera sends images.", lambda one: one.state == CONNECTED),
        ("frames_total", COUNTER, "Images that the camera sent, read or not.", lambda one: one.frames),
        ("losses_total", COUNTER, "How often the camera was lost.", lambda one: one.losses),
        ("reconnect_attempts_total", COUNTER, "Attempts to reconnect the camera.", lambda one: one.attempts),
        ("reconnects_total", COUNTER, "How often the camera came back.", lambda one: one.reconnects),
        ("lost_seconds_total", COUNTER, "Time without the camera.", health.lost_s),
    ):
        yield from family(f"camera_{name}", kind, text, [(labels, value(one)) for labels, one in cameras])


def publish_lines(health: Health) -> Iterator[str]:
    """Yield the lines of the texts for the receivers."""
    if not health.receivers:
        return
    receivers = [({"receiver": one.receiver}, one) for one in health.receivers]
    for name, kind, text, value in (
        ("connected", GAUGE, "Whether the receiver took the last message, or holds a connection.", lambda one: one.is_connected),
        ("queue_messages", GAUGE, "Texts that wait for the receiver.", lambda one: one.waiting),
        ("queue_bytes", GAUGE, "Size of the texts that wait.", lambda one: one.waiting_bytes),
        ("sent_total", COUNTER, "Texts that the receiver confirmed.", lambda one: one.sent),
        ("failures_total", COUNTER, "Attempts to send or connect that failed.", lambda one: one.failures),
        (
            "dropped_total",
            COUNTER,
            "Texts dropped because the queue was full or the receiver refused them.",
            lambda one: one.dropped,
        ),
    ):
        yield from family(f"publish_{name}", kind, text, [(labels, value(one)) for labels, one in receivers])


def process_lines(health: Health) -> Iterator[str]:
    """Yield the lines of the process, named as Prometheus' own client libraries name them."""
    yield from family("process_start_time_seconds", GAUGE, "Start, in Unix time.", [(ALONE, health.started_unix_s)], "")
    yield from family("process_cpu_seconds_total", COUNTER, "Processor time of all threads.", [(ALONE, time.process_time())], "")
    statm = Path("/proc/self/statm")
    if statm.exists():
        memory = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield from family("process_resident_memory_bytes", GAUGE, "Resident memory.", [(ALONE, memory)], "")


def family(name: str, kind: str, text: str, samples: list[Sample], prefix: str = "lettercast_") -> Iterator[str]:
    """Yield the head of a metric and a line for each of its samples."""
    yield from head(prefix + name, kind, text)
    for labels, value in samples:
        shown = ",".join(f'{label}="{escaped(content)}"' for label, content in labels.items())
        yield f"{prefix}{name}{{{shown}}} {number(value)}" if shown else f"{prefix}{name} {number(value)}"


def head(name: str, kind: str, text: str) -> tuple[str, str]:
    """Return the two lines that explain a metric."""
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def number(value: float) -> str:
    """Return a value as text: whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def escaped(content: str) -> str:
    """Return the value of a label with its backslashes, quotes and line ends escaped."""
    return content.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
