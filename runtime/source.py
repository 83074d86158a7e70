"""Where frames come from: images, folders, video files and cameras."""

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .. import LettercastError
from .picture import IMAGE_SUFFIXES, read_image
from .pixels import Pixels

CAMERA_TIMEOUT_S = 8.0
CAMERA_DIGITS = 3


@dataclass(frozen=True)
class Frame:
    """One image of a source: its name, its number in the source from 0, and (H, W, C) uint8 pixels."""

    source: str
    number: int
    image: Pixels
    # Frames of one moving picture follow each other; a still one stands alone.
    is_still: bool = False


def open_frames(sources: Sequence[str]) -> Iterator[Frame]:
    """Return the frames of several sources, one source after the other; see open_source for what they may be."""
    streams = [open_source(source) for source in sources]
    return (frame for stream in streams for frame in stream)


def open_source(source: str) -> Iterator[Frame]:
    """Open one source: a camera's number, an image, a folder of images, a video file or an http or rtsp URL.

    Raises:
        LettercastError: it does not exist, holds nothing that can be read, or does not answer.
    """
    if source.isascii() and source.isdecimal() and len(source) <= CAMERA_DIGITS:
        return camera_frames(source, int(source))
    if source.startswith(("http://", "https://", "rtsp://")):
        return camera_frames(source, source)
    path = Path(source)
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file())
        if not files:
            raise LettercastError(f"{path}: no images in this folder; put some of {', '.join(IMAGE_SUFFIXES)} there")
        return (Frame(str(f), 0, read_image(f), is_still=True) for f in files)
    if not path.exists():
        raise LettercastError(f"{path}: no such file; give an image, a folder, a video or a camera number such as 0")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return iter([Frame(source, 0, read_image(path), is_still=True)])
    return video_frames(path)


def video_frames(path: Path) -> Iterator[Frame]:
    """Return every frame of a video file; the first is read at once, so that a bad file is known early."""
    if path.stat().st_size == 0:
        raise LettercastError(f"{path}: the file is empty; record or copy it again")
    _quiet_opencv()
    capture = cv2.VideoCapture(str(path))
    answered, first = capture.read()
    if not answered:
        capture.release()
        raise LettercastError(f"{path}: neither an image nor a video that OpenCV can read; convert it, e.g. to .mp4")

    def frames() -> Iterator[Frame]:
        answered, image, number = True, first, 0
        try:
            while answered:
                yield Frame(str(path), number, np.asarray(image, np.uint8))
                answered, image = capture.read()
                number += 1
        finally:
            capture.release()

    return frames()


def camera_frames(name: str, device: int | str) -> Iterator[Frame]:
    """Return the newest frames of a camera, until it stops answering; raises LettercastError where it never answers."""
    camera = Camera(name, device)
    first = camera.newest(-1)
    if first is None:
        camera.close()
        hint = "is it plugged in, and free? `read 1` takes the second camera" if isinstance(device, int) else "is it running?"
        raise LettercastError(f"camera {name} does not answer: {hint}")

    def frames() -> Iterator[Frame]:
        frame = first
        try:
            while frame is not None:
                yield frame
                frame = camera.newest(frame.number)
        finally:
            camera.close()

    return frames()


class Camera:
    """A thread that empties the camera's queue, so that the reader always sees the newest frame."""

    def __init__(self, name: str, device: int | str) -> None:
        self.name = name
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._running = True
        threading.Thread(target=self._grab, args=(device,), daemon=True).start()

    def newest(self, after: int) -> Frame | None:
        """Wait for a frame numbered above `after`; None where the camera ends or is silent for CAMERA_TIMEOUT_S."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running or self._is_newer(after), CAMERA_TIMEOUT_S)
            return self._frame if self._is_newer(after) else None

    def close(self) -> None:
        """Stop grabbing; the camera is released by its thread."""
        with self._changed:
            self._running = False
            self._changed.notify_all()

    def _is_newer(self, after: int) -> bool:
        return self._frame is not None and self._frame.number > after

    def _grab(self, device: int | str) -> None:
        _quiet_opencv()
        capture = cv2.VideoCapture(device)
        number = 0
        # isOpened() may be True for a camera that never gives a picture: only read() tells.
        answered, image = capture.read()
        while answered and self._running:
            with self._changed:
                self._frame = Frame(self.name, number, np.asarray(image, np.uint8))
                self._changed.notify_all()
            number += 1
            answered, image = capture.read()
        capture.release()
        self.close()


def _quiet_opencv() -> None:
    """Keep OpenCV's and FFmpeg's own warnings off stderr: what went wrong is said once, in our words."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
