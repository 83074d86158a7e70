"""Recorded films: every frame, in order, from files and from the network."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from ... import LettercastError
from ..console import say
from ..pixels import Frame, Pixels
from .camera import Camera, Timeouts, open_stream, quiet_opencv

# Containers without an index only estimate how many frames they hold.
FRAMES_OF_ESTIMATE, SHARE_OF_ESTIMATE = 2, 0.02

Made = TypeVar("Made")


def video_frames(path: Path) -> Iterator[Frame]:
    """Return every frame of a film; says so where it breaks off, which loses nothing that came before.

    Raises LettercastError at once where it is no film that OpenCV can read.
    """
    if path.stat().st_size == 0:
        raise LettercastError(f"{path}: the file is empty; record or copy it again")
    # Opened anew when its turn comes: of many films only one is open at a time.
    _open_film(path)[0].release()

    def frames() -> Iterator[Frame]:
        yield from recorded_frames(str(path), *_open_film(path))

    return frames()


def _open_film(path: Path) -> tuple[cv2.VideoCapture, Pixels]:
    """Open a film and read its first frame."""
    quiet_opencv()
    capture = cv2.VideoCapture(str(path))
    answered, first = capture.read()
    if not answered:
        capture.release()
        raise LettercastError(f"{path}: neither a picture nor a film that OpenCV can read, or cut off; convert it, e.g. to .mp4")
    return capture, first


def recorded_frames(name: str, capture: cv2.VideoCapture, first: Pixels) -> Iterator[Frame]:
    """Return every frame of an open film of which the first was read already."""
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    answered, image, number = True, first, 0
    try:
        while answered:
            yield Frame(name, number, np.asarray(image, np.uint8))
            number += 1
            answered, image = capture.read()
    finally:
        capture.release()
    if number + max(FRAMES_OF_ESTIMATE, SHARE_OF_ESTIMATE * promised) < promised:
        say(f"{name}: breaks off after {number} of {promised} frames; copy or record it again")


def url_frames(url: str, patience: Timeouts | None = None) -> Iterator[Frame]:
    """Return the frames of a URL: the newest ones of a live stream, all of a recorded film, the one of a picture.

    Raises LettercastError where it does not answer in time.
    """
    patience = patience or Timeouts()

    def opening() -> tuple[cv2.VideoCapture, Pixels | None, bool]:
        """Open it, read its first picture, and try whether there are more."""
        capture = open_stream(url, patience)
        answered, first = capture.read()
        return capture, first if answered else None, is_film(capture) or capture.grab()

    # OpenCV keeps the time itself, but not of every network's failures.
    limit_s = patience.silence_s + patience.release_s
    capture, first, more = within(limit_s, opening, LettercastError(f"{url} does not answer: is it running?"))
    if first is None:
        raise LettercastError(f"{url} gives no picture: does a browser or VLC show it?")
    if is_film(capture):
        return recorded_frames(url, capture, first)
    if not more:
        capture.release()
        return iter([Frame(url, 0, first, is_still=True)])
    opened = [capture]
    return Camera(url, lambda: opened.pop() if opened else open_stream(url, patience), patience)


def is_film(capture: cv2.VideoCapture) -> bool:
    """Tell what was recorded from what is live: only the former knows its length."""
    return capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0


def within(limit_s: float, work: Callable[[], Made], late: LettercastError) -> Made:
    """Return what work returns or raise what it raises; raise `late` where that takes too long, and leave it to itself."""
    done: list[Made] = []
    failed: list[Exception] = []

    def try_it() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not done:
        raise late
    return done[0]
