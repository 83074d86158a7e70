"""Recorded videos, from files and from the network: every frame, in order."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import cv2
import numpy as np

from ... import LettercastError
from ..console import say, without_password
from ..pixels import Frame, Pixels
from .camera import Camera, Timeouts, open_stream, quiet_opencv

# Containers without an index only estimate how many frames they hold; the estimate may be wrong by this much.
COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE = 2, 0.02
# Other frame rates are damage, or the time base of a container that has no rate.
MIN_FPS, MAX_FPS = 0.5, 240.0
# A web server without images is given up after this many tries, if it was waited for.
MAX_ANSWERS, CONNECT_TIMEOUT_S = 5, 2.0
WEB_PORTS = {"http": 80, "https": 443}

Result = TypeVar("Result")


def video_frames(path: Path) -> Iterator[Frame]:
    """Return every frame of a video; if the video is cut off, its frames up to there, and a line on stderr.

    Raises LettercastError at once if OpenCV cannot read the file as a video.
    """
    if path.stat().st_size == 0:
        raise LettercastError(f"{path}: the file is empty; record or copy it again")
    # The generator opens the video again when its turn comes, so that of many videos only one is open at a time.
    _open_video(path)[0].release()

    def frames() -> Iterator[Frame]:
        yield from recorded_frames(str(path), *_open_video(path))

    return frames()


def _open_video(path: Path) -> tuple[cv2.VideoCapture, Pixels]:
    """Open a video and read its first frame."""
    quiet_opencv()
    capture = cv2.VideoCapture(str(path))
    is_read, first = capture.read()
    if not is_read:
        capture.release()
        raise LettercastError(
            f"{path}: neither an image nor a video that OpenCV can read; convert it to .mp4, or copy it again if it was cut off"
        )
    return capture, first


def recorded_frames(name: str, capture: cv2.VideoCapture, first: Pixels) -> Iterator[Frame]:
    """Return every frame of an open video, of which the first is already read."""
    expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    rate = fps if MIN_FPS <= fps <= MAX_FPS else None
    is_read, image, number = True, first, 0
    try:
        while is_read:
            yield Frame(name, number, np.asarray(image, np.uint8), fps=rate)
            number += 1
            is_read, image = capture.read()
    finally:
        capture.release()
    if number + max(COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE * expected) < expected:
        say(f"{name}: breaks off after {number} of {expected} frames; copy or record it again")


def url_frames(
    url: str,
    timeouts: Timeouts | None = None,
    on_wait: Callable[[str], None] | None = None,
    on_attempt: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """Return the frames of a URL: the newest ones of a live stream, all frames of a video, or a single image.

    With `on_wait`, a stream that is not up yet is waited for without an end; it is called once, with a line that says so, and
    `on_attempt` after each attempt. Frames and messages name the URL without its password. Raises LettercastError if the URL does
    not answer in time, and with `on_wait` only if a web server answers, but not with images.
    """
    timeouts, name = timeouts or Timeouts(), without_password(url)

    def open_url() -> tuple[cv2.VideoCapture, Pixels | None, bool]:
        """Open the URL, read its first frame, and try whether there are more."""
        capture = open_stream(url, timeouts)
        is_read, first = capture.read()
        return capture, first if is_read else None, is_recorded(capture) or capture.grab()

    # OpenCV has a timeout of its own, but some network failures bypass it.
    limit_s = timeouts.silence_s + timeouts.release_s
    late = LettercastError(f"{name} does not answer: is it running?")
    # How often the web server of an unusable URL answered, one time after the other.
    answers, is_waiting = 0, False
    while True:
        try:
            capture, first, more = with_timeout(limit_s, open_url, late)
            break
        except LettercastError:
            answers = answers + 1 if is_web_server(url) else 0
            # A server that has just started may need a moment until it has images.
            if on_wait is None or answers > (MAX_ANSWERS if is_waiting else 0):
                raise
        if not is_waiting:
            on_wait(f"{name} does not answer yet; waiting for it until Ctrl-C")
            is_waiting = True
        if on_attempt:
            on_attempt()
        time.sleep(timeouts.wait_s)
    if first is None:
        raise LettercastError(f"{name} gives no image: does a browser or VLC show it?")
    if is_recorded(capture):
        return recorded_frames(name, capture, first)
    if not more:
        capture.release()
        return iter([Frame(name, 0, first, is_still=True)])
    opened = [capture]
    return Camera(name, lambda: opened.pop() if opened else open_stream(url, timeouts), timeouts)


def is_web_server(url: str) -> bool:
    """Tell whether a web server answers at this URL; other streams may come and go while their server runs."""
    parts = urlsplit(url)
    if parts.scheme not in WEB_PORTS:
        return False
    try:
        with socket.create_connection((parts.hostname, parts.port or WEB_PORTS[parts.scheme]), CONNECT_TIMEOUT_S):
            return True
    except (OSError, ValueError):
        return False


def is_recorded(capture: cv2.VideoCapture) -> bool:
    """Tell whether a stream is recorded: a live one has no length."""
    return capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0


def with_timeout(limit_s: float, work: Callable[[], Result], late: LettercastError) -> Result:
    """Return what `work` returns, or raise what it raises; raise `late` after `limit_s`, and abandon the work."""
    done: list[Result] = []
    failed: list[Exception] = []

    def run_work() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run_work, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not done:
        raise late
    return done[0]
