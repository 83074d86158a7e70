"""Opening cameras and streams with OpenCV, with what each needs to run well."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2

from .. import LettercastError

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
class Patience:
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


def open_stream(url: str, patience: Patience) -> cv2.VideoCapture:
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
