"""The camera on a Raspberry Pi's ribbon cable, through Picamera2, which is imported only when asked for."""

import os
from importlib import import_module
from typing import Any

from .. import LettercastError
from .capture import CAMERA_SIZE
from .pixels import Pixels

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
