"""Cameras: always the newest image, and reconnecting to a camera that goes away."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from ... import LettercastError
from ..console import say, without_password
from ..pixels import Frame, Pixels
from ..retry import Backoff, Clock

# A sheet of A5 that fills an image of this size shows letters of 5 mm at a height of 30 pixels, which is about what the network
# takes; nearly every webcam delivers this size at full rate.
CAMERA_SIZE = (1280, 720)
# Exposure and white balance settle within a third of a second.
WARM_UP_FRAMES = 10


class Capture(Protocol):
    """An open camera, with the interface of cv2.VideoCapture."""

    def read(self) -> tuple[bool, Any]:
        """Wait for the next image: (True, (H, W, 3) BGR uint8), or (False, None) if there is none."""
        ...

    def release(self) -> None:
        """Release the camera."""
        ...


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for a camera."""

    # A camera that sends nothing for this long counts as gone.
    silence_s: float = 8.0
    # The waits before the attempts to reconnect, without an end: it may take days until somebody plugs a camera in again.
    retries: Backoff = field(default_factory=Backoff)
    # The wait before each attempt to open a stream that is not up yet.
    wait_s: float = 1.0
    # A healthy camera is released faster than this; a thread that hangs for longer is abandoned.
    release_s: float = 2.0


def open_webcam(device: int | str, size: tuple[int, int] = CAMERA_SIZE) -> Capture:
    """Open a camera by its number or its /dev file.

    Asks for images of `size` (width, height); a camera without that size delivers the nearest one that it has. Raises
    LettercastError if the camera does not open or delivers no image.
    """
    quiet_opencv()
    # On Linux OpenCV may choose GStreamer by itself, which can be asked neither for a size nor for MJPG.
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY)
    if not capture.isOpened():
        raise LettercastError(f"camera {device} does not answer: {webcam_hint(device)}")
    # Uncompressed, USB 2 carries only five images of this size a second. Set the format first: it decides which sizes there are.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    # Some cameras open but never deliver an image, for example those on a Pi's ribbon cable.
    if not all(capture.grab() for _ in range(WARM_UP_FRAMES)):
        capture.release()
        raise LettercastError(f"camera {device} gives no image: {webcam_hint(device)}")
    return capture


def webcam_hint(device: int | str, folder: Path = Path("/dev")) -> str:
    """Return what may be wrong with a camera that does not open, judging by the device files in `folder`."""
    path = folder / f"video{device}" if isinstance(device, int) else Path(device)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"you may not open {path}; run sudo usermod -aG video $USER, then log in again"
    if path.exists():
        return f"another program uses it, or it gives no images; {RIBBON_HINT}"
    numbers = sorted(int(found.name[5:]) for found in folder.glob("video*") if found.name[5:].isdecimal())
    if numbers:
        return f"plug it in; the cameras here have the numbers {', '.join(map(str, numbers))}"
    return f"plug it in; {RIBBON_HINT}"


def open_stream(url: str, timeouts: Timeouts) -> cv2.VideoCapture:
    """Open an http, rtsp or other URL; raises LettercastError if it does not answer within timeouts.silence_s."""
    quiet_opencv()
    limit_ms = max(1, round(1000 * timeouts.silence_s))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise LettercastError(f"{without_password(url)} does not answer: is it running, and does a browser or VLC show it?")
    return capture


def quiet_opencv() -> None:
    """Keep warnings of OpenCV and FFmpeg off stderr: lettercast reports what went wrong itself."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV 4 and 5 have the function in different places; 0 is silent in both.
    logging: Any = getattr(cv2.utils, "logging", cv2)
    logging.setLogLevel(0)


RIBBON_HINT = "a camera on a Pi's ribbon cable is called picamera"
NO_ANSWER_HINT = f"close other programs that use it, or plug it in again; {RIBBON_HINT}"
# While a camera sends nothing, `Camera.idle` is called this often.
IDLE_S = 0.05
# Opens a camera; raises LettercastError if there is none.
Connect = Callable[[], Capture]
# A driver that hangs keeps its thread. With so many of them, the camera is not opened again until one ends.
MAX_HUNG = 4
MISSING, CONNECTED, LOST = "missing", "connected", "lost"


@dataclass
class CameraStatus:
    """What became of a camera since the start.

    Attributes:
        name: the source as it was given.
        state: MISSING until its first image, then CONNECTED or LOST.
        frames: images that it sent; those that the reader had no time for count as well.
        losses: how often it was lost.
        attempts: attempts to reconnect it.
        reconnects: how often it came back.
        lost_s: seconds without it, except for those since `lost_at`.
        lost_at: when it was lost, by the clock of the camera; None while it is connected.
        failure: why the last attempt to reconnect failed.
    """

    name: str
    state: str = MISSING
    frames: int = 0
    losses: int = 0
    attempts: int = 0
    reconnects: int = 0
    lost_s: float = 0.0
    lost_at: float | None = None
    failure: str = ""


class Camera(Iterator[Frame]):
    """The newest frames of a camera, numbered without gaps.

    If the camera stops sending, it is looked for without an end, as `timeouts` says. Meanwhile `idle` is called again and again,
    and may raise an error of its own; `on_attempt` is called when the camera is lost and after each attempt to reconnect it, but
    for attempts that hang.
    Raises LettercastError if the camera does not answer at the start; with `on_missing` it is looked for, too, and this is called
    once, with a line that says so.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        timeouts: Timeouts | None = None,
        on_missing: Callable[[str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name, self.status = name, CameraStatus(name)
        self.idle: Callable[[], None] = lambda: None
        self.on_attempt: Callable[[], None] = lambda: None
        self._connect, self._timeouts, self._clock = connect, timeouts or Timeouts(), clock or Clock()
        self._hung: list[Grabber] = []
        self._grabber = Grabber(connect)
        try:
            if self._grabber.wait(self._timeouts.silence_s):
                self.status.state = CONNECTED
                return
            failure = self._grabber.failure or LettercastError(f"camera {name} does not answer: {NO_ANSWER_HINT}")
            if on_missing is None:
                raise failure
            self.status.failure, self.status.lost_at = str(failure), self._clock.now()
            on_missing(f"{failure}; looking for it until Ctrl-C")
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Frame:
        while not self._wait():
            self._reconnect()
        number, image = self._grabber.take()
        self.status.frames = number + 1
        return Frame(self.name, number, image, is_live=True)

    def close(self) -> None:
        """Release the camera."""
        self._grabber.close(self._timeouts.release_s)

    def _wait(self) -> bool:
        """Wait for an image until the camera counts as silent, and call `idle` meanwhile."""
        end = self._clock.now() + self._timeouts.silence_s
        while not (found := self._grabber.wait(max(0.0, min(IDLE_S, end - self._clock.now())))):
            if self._grabber.has_ended or self._clock.now() >= end:
                break
            self.idle()
        return found

    def _sleep(self, seconds: float) -> None:
        end = self._clock.now() + seconds
        while (left := end - self._clock.now()) > 0:
            self._clock.sleep(min(IDLE_S, left))
            self.idle()

    def _reconnect(self) -> None:
        """Look for the camera until it sends an image."""
        status = self.status
        if status.lost_at is None:
            status.state, status.lost_at, status.losses = LOST, self._clock.now(), status.losses + 1
            say(f"camera {self.name} sends no more images; looking for it until it is back")
            self.on_attempt()
        self._give_up()
        for wait_s in self._timeouts.retries.waits(self._clock):
            self._sleep(wait_s)
            if self._try_again():
                break
        status.lost_s += self._clock.now() - status.lost_at
        status.state, status.lost_at, status.failure, status.reconnects = CONNECTED, None, "", status.reconnects + 1
        say(f"camera {self.name} is back")
        self.on_attempt()

    def _try_again(self) -> bool:
        """Connect to the camera once more, and tell whether it sends an image."""
        hung = [grabber for grabber in self._hung if grabber.is_hung]
        has_answered, self._hung = len(hung) < len(self._hung), hung
        if has_answered:
            self.on_attempt()
        if len(hung) >= MAX_HUNG:
            self.status.failure = f"the driver of camera {self.name} hangs; start lettercast again"
            return False
        self.status.attempts += 1
        self._grabber = Grabber(self._connect, self._grabber.number)
        if self._wait():
            return True
        self.status.failure = str(self._grabber.failure or f"camera {self.name} gives no image")
        if self._give_up():
            self.on_attempt()
        return False

    def _give_up(self) -> bool:
        """Release the camera; False if its driver hangs."""
        self._grabber.close(self._timeouts.release_s)
        if self._grabber.is_hung:
            self._hung.append(self._grabber)
            return False
        return True


class Grabber:
    """A thread that empties a camera's queue, so that you always get the newest image and never an old one.

    read() of a camera may hang for ever, so nobody waits for it without a limit.
    """

    def __init__(self, connect: Connect, number: int = 0) -> None:
        self.number = number
        self.failure: LettercastError | None = None
        self._changed = threading.Condition()
        self._image: Pixels | None = None
        self._running = True
        self._thread = threading.Thread(target=self._grab, args=(connect,), daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether no more images will come."""
        return not self._running

    @property
    def is_hung(self) -> bool:
        """Whether the driver still keeps the thread of a grabber that was closed."""
        return not self._running and self._thread.is_alive()

    def wait(self, limit_s: float) -> bool:
        """Wait for an image that was not taken yet; False if the camera ends, or is silent for `limit_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._image is not None or not self._running, limit_s)
            return self._image is not None

    def take(self) -> tuple[int, Pixels]:
        """Return the number and the pixels of the newest image; call it only after `wait` returned True."""
        with self._changed:
            image, self._image = self._image, None
            assert image is not None
            return self.number - 1, image

    def close(self, limit_s: float) -> None:
        """Stop. The thread itself releases the camera; if it hangs for longer than `limit_s`, it is abandoned."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._thread.join(limit_s)

    def _grab(self, connect: Connect) -> None:
        try:
            capture = connect()
            try:
                # isOpened() may be True for a camera that never delivers an image; only read() shows that.
                while self._running and self._store(*capture.read()):
                    pass
            finally:
                capture.release()
        except LettercastError as failure:
            self.failure = failure
        except Exception as error:
            # When you unplug a camera, drivers raise errors of many types, derived straight from Exception.
            self.failure = LettercastError(f"the camera's driver failed: {error or type(error).__name__}; start it again")
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _store(self, is_read: bool, image: Any) -> bool:
        if is_read:
            with self._changed:
                self._image = np.asarray(image, np.uint8)
                self.number += 1
                self._changed.notify_all()
        return is_read


PICAMERA = "picamera"
# libcamera's name for an image whose bytes are in the order blue, green, red, like OpenCV's.
PICAMERA_FORMAT = "RGB888"
# libcamera's AfMode; without it a lens that can focus stays focused on the distance.
CONTINUOUS_FOCUS = 2
PICAMERA_INSTALL = (
    "run sudo apt install python3-picamera2, and use a venv that sees it (python3 -m venv --system-site-packages ~/letters)"
)


class PiCamera:
    """A camera of Picamera2 with the interface of Capture."""

    def __init__(self, number: int, size: tuple[int, int] = CAMERA_SIZE) -> None:
        module = import_picamera2()
        found = len(module.Picamera2.global_camera_info())
        if number >= found:
            raise LettercastError(
                f"{PICAMERA}:{number}: {found} cameras found, numbered from 0; check the cable, then rpicam-hello --list-cameras"
            )
        self._camera = module.Picamera2(number)
        try:
            # The preview configuration lengthens the exposure in dim light; the video configuration would be too dark.
            self._camera.configure(self._camera.create_preview_configuration(main={"size": size, "format": PICAMERA_FORMAT}))
            self._camera.start()
            if "AfMode" in self._camera.camera_controls:
                self._camera.set_controls({"AfMode": CONTINUOUS_FOCUS})
        except Exception:
            self._camera.close()
            raise

    def read(self) -> tuple[bool, Pixels]:
        """Wait for the next image, (H, W, 3) BGR uint8."""
        return True, self._camera.capture_array("main")

    def release(self) -> None:
        """Stop and close the camera."""
        self._camera.stop()
        self._camera.close()


def import_picamera2() -> Any:
    """Import Picamera2 and silence its log; raises LettercastError if it is missing or does not fit NumPy."""
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    try:
        module = import_module("picamera2")
    except ImportError as error:
        raise LettercastError(f"{PICAMERA}: {error.name or 'Picamera2'} is not installed; {PICAMERA_INSTALL}") from error
    except ValueError as error:
        # The compiled modules from apt do not work with a newer NumPy in the venv.
        raise LettercastError(
            f"{PICAMERA}: Picamera2 does not fit this venv's NumPy; run pip uninstall numpy, so that apt's NumPy is used"
        ) from error
    module.Picamera2.set_logging(module.Picamera2.CRITICAL)
    return module


def picamera_number(source: str) -> int | None:
    """Return 0 for `picamera`, 1 for `picamera:1` and so on, None for any other source."""
    name, _, number = source.partition(":")
    if name != PICAMERA:
        return None
    if source == PICAMERA:
        return 0
    if not (number.isascii() and number.isdecimal()):
        raise LettercastError(f"{source}: no such camera; {PICAMERA} is the first, {PICAMERA}:1 the second")
    return int(number)
