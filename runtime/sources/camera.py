"""Live pictures: always the newest one, and patience with a camera that goes away."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from ... import LettercastError
from ..console import say
from ..pixels import Frame, Pixels

# Letters of 5 mm on a sheet of A5 that fills this picture are 30 pixels high, as many as the network sees; nearly every
# webcam gives it at full rate.
CAMERA_SIZE = (1280, 720)
# Until exposure and white balance have settled; a third of a second.
WARM_UP_FRAMES = 10


class Capture(Protocol):
    """An open camera as OpenCV has it."""

    def read(self) -> tuple[bool, Any]:
        """Wait for the next picture, (H, W, 3) BGR uint8; False where there is none."""
        ...

    def release(self) -> None:
        """Let go of the camera."""
        ...


@dataclass(frozen=True)
class Timeouts:
    """How long a camera may be silent before it counts as gone, and the waits before each attempt to have it back."""

    silence_s: float = 8.0
    # A minute in all: time to plug a camera in again, or for one on the network to start anew.
    retries_s: tuple[float, ...] = (1, 2, 4, 8, 15, 30)
    # What a healthy camera takes at most to let go; one that hangs is left to itself.
    release_s: float = 2.0


def open_webcam(device: int | str, size: tuple[int, int] = CAMERA_SIZE) -> Capture:
    """Open a camera by its number or its /dev file; raises LettercastError where it does not open.

    Size is asked for as (width, height); a camera that lacks it gives the nearest that it has.
    """
    quiet_opencv()
    # Left to choose, OpenCV may take GStreamer on Linux, which cannot be asked for a size or MJPG.
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY)
    if not capture.isOpened():
        raise LettercastError(f"camera {device} does not answer: {webcam_hint(device)}")
    # Uncompressed, USB 2 carries this size five times a second. The format comes first: it decides which sizes there are.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    # A camera may open and never give a picture, as those on a Pi's ribbon cable do here.
    if not all(capture.grab() for _ in range(WARM_UP_FRAMES)):
        capture.release()
        raise LettercastError(f"camera {device} gives no picture: {webcam_hint(device)}")
    return capture


def webcam_hint(device: int | str, folder: Path = Path("/dev")) -> str:
    """Say what may be wrong with a camera that does not open, as far as Linux shows it in `folder`."""
    path = folder / f"video{device}" if isinstance(device, int) else Path(device)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"you may not open {path}; sudo usermod -aG video $USER, then log in again"
    if path.exists():
        return "another program has it, or it gives no pictures; a camera on a Pi's ribbon cable is called picamera"
    numbers = sorted(int(found.name[5:]) for found in folder.glob("video*") if found.name[5:].isdecimal())
    if numbers:
        return f"plug it in; here are the numbers {', '.join(map(str, numbers))}"
    return "plug it in; a camera on a Pi's ribbon cable is called picamera"


def open_stream(url: str, patience: Timeouts) -> cv2.VideoCapture:
    """Open an http, rtsp or other URL; raises LettercastError where it does not answer within patience.silence_s."""
    quiet_opencv()
    limit_ms = max(1, round(1000 * patience.silence_s))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise LettercastError(f"{url} does not answer: is it running, and does a browser or VLC show it?")
    return capture


def quiet_opencv() -> None:
    """Keep OpenCV's and FFmpeg's own warnings off stderr: what went wrong is said once, in our words."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # Where the function lives has changed between versions 4 and 5; silent is 0 in both.
    logging: Any = getattr(cv2.utils, "logging", cv2)
    logging.setLogLevel(0)


SILENT = "close other programs that use it, or plug it in again; a camera on a Pi's ribbon cable is called picamera"
# Whoever looks on is heard so often while a camera gives nothing.
IDLE_S = 0.05
# Opens a camera; raises LettercastError where there is none.
Connect = Callable[[], Capture]


class Camera(Iterator[Frame]):
    """The newest frames of a camera, for as long as it gives any or comes back in time; numbered without a break.

    `idle` is called again and again while it gives nothing, and may raise. Raises LettercastError where it does not
    answer, and later where it is gone for good.
    """

    def __init__(self, name: str, connect: Connect, patience: Timeouts | None = None) -> None:
        self.name = name
        self.idle: Callable[[], None] = lambda: None
        self._connect, self._patience = connect, patience or Timeouts()
        self._grabber = Grabber(connect)
        try:
            if not self._grabber.wait(self._patience.silence_s):
                raise self._grabber.failure or LettercastError(f"camera {name} does not answer: {SILENT}")
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Frame:
        while not self._wait():
            self._reconnect()
        number, image = self._grabber.take()
        return Frame(self.name, number, image, is_live=True)

    def close(self) -> None:
        """Let go of the camera."""
        self._grabber.close(self._patience.release_s)

    def _wait(self) -> bool:
        """Wait for a picture as long as is patient, and heed who looks on meanwhile."""
        end = time.monotonic() + self._patience.silence_s
        while not (found := self._grabber.wait(max(0.0, min(IDLE_S, end - time.monotonic())))):
            if self._grabber.has_ended or time.monotonic() >= end:
                break
            self.idle()
        return found

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(IDLE_S, left))
            self.idle()

    def _reconnect(self) -> None:
        total = f"{sum(self._patience.retries_s):g} s"
        say(f"camera {self.name} gives no more pictures; trying for {total} to have it back")
        number = self._grabber.number
        for wait_s in self._patience.retries_s:
            self._grabber.close(self._patience.release_s)
            self._sleep(wait_s)
            self._grabber = Grabber(self._connect, number)
            if self._wait():
                say(f"camera {self.name} is back")
                return
        raise LettercastError(f"camera {self.name} is gone, and did not come back within {total}; plug it in or start it again")


class Grabber:
    """A thread that empties a camera's queue, so that whoever asks sees the newest picture and never an old one.

    A camera may hang in read() for ever, so it is never waited for without a limit.
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
        """Whether no more pictures will come."""
        return not self._running

    def wait(self, limit_s: float) -> bool:
        """Wait for a picture that was not taken yet; False where the camera ends, or is silent for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._image is not None or not self._running, limit_s)
            return self._image is not None

    def take(self) -> tuple[int, Pixels]:
        """Return the newest picture and its number; only after `wait` has found one."""
        with self._changed:
            image, self._image = self._image, None
            assert image is not None
            return self.number - 1, image

    def close(self, limit_s: float) -> None:
        """Stop; the camera is released by its thread, which is left to itself where it hangs for longer than the limit."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._thread.join(limit_s)

    def _grab(self, connect: Connect) -> None:
        try:
            capture = connect()
            try:
                # isOpened() may be True for a camera that never gives a picture: only read() tells.
                while self._running and self._keep(*capture.read()):
                    pass
            finally:
                capture.release()
        except LettercastError as failure:
            self.failure = failure
        except Exception as error:
            # Drivers raise types of their own, all straight from Exception, when a camera is pulled out.
            self.failure = LettercastError(f"the camera's driver failed: {error or type(error).__name__}; start it again")
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _keep(self, answered: bool, image: Any) -> bool:
        if answered:
            with self._changed:
                self._image = np.asarray(image, np.uint8)
                self.number += 1
                self._changed.notify_all()
        return answered


NAME = "picamera"
# Picamera2 names formats as libcamera does: this one lies in memory as blue, green, red, which is OpenCV's order.
FORMAT = "RGB888"
# libcamera's AfMode: a lens that can focus would else stay where it is, at a distance.
CONTINUOUS_FOCUS = 2
INSTALL = (
    "sudo apt install python3-picamera2, in a venv made with --system-site-packages "
    "(python3 -m venv --system-site-packages ~/letters)"
)


class PiCamera:
    """One camera of Picamera2, read as those of OpenCV are."""

    def __init__(self, number: int, size: tuple[int, int] = CAMERA_SIZE) -> None:
        module = import_picamera2()
        found = len(module.Picamera2.global_camera_info())
        if number >= found:
            raise LettercastError(
                f"{NAME}:{number}: {found} cameras found, numbered from 0; check the cable, then rpicam-hello --list-cameras"
            )
        self._camera = module.Picamera2(number)
        try:
            # Made for a live view: it lengthens the exposure in dim light, where a film's would be dark.
            self._camera.configure(self._camera.create_preview_configuration(main={"size": size, "format": FORMAT}))
            self._camera.start()
            if "AfMode" in self._camera.camera_controls:
                self._camera.set_controls({"AfMode": CONTINUOUS_FOCUS})
        except Exception:
            self._camera.close()
            raise

    def read(self) -> tuple[bool, Pixels]:
        """Wait for the next picture, (H, W, 3) BGR uint8."""
        return True, self._camera.capture_array("main")

    def release(self) -> None:
        """Stop and close the camera."""
        self._camera.stop()
        self._camera.close()


def import_picamera2() -> Any:
    """Import Picamera2, with its talk silenced; raises LettercastError where it is missing or does not fit NumPy."""
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    try:
        module = import_module("picamera2")
    except ImportError as error:
        raise LettercastError(f"{NAME}: needs {error.name or 'Picamera2'}: {INSTALL}") from error
    except ValueError as error:
        # Compiled parts from apt refuse a newer NumPy in the venv.
        raise LettercastError(
            f"{NAME}: Picamera2 does not fit this venv's NumPy; pip uninstall numpy, so that apt's is used"
        ) from error
    module.Picamera2.set_logging(module.Picamera2.CRITICAL)
    return module


def picamera_number(source: str) -> int | None:
    """Return 0 of `picamera`, 1 of `picamera:1` and so on, None of any other source."""
    name, _, number = source.partition(":")
    if name != NAME:
        return None
    if source == NAME:
        return 0
    if not (number.isascii() and number.isdecimal()):
        raise LettercastError(f"{source}: no such camera; {NAME} is the first, {NAME}:1 the second")
    return int(number)
