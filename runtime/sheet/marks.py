"""The marks of a sheet: ArUco squares of OpenCV, drawn and found by its old and its new functions alike."""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..pixels import Pixels

# Modules of a mark in each direction: 5 of data, and a black one on either side.
MODULES = 7
NO_ARUCO = "this OpenCV has no ArUco marks; install opencv-python 4.8 or later, or Debian's python3-opencv"


@cache
def dictionary() -> Any:
    """Return the dictionary of 1000 marks; raises LettercastError if OpenCV was built without them."""
    if not hasattr(cv2, "aruco"):
        raise LettercastError(NO_ARUCO)
    return cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_1000)


def mark_modules(number: int) -> Pixels:
    """Return the modules (7, 7) uint8 of the mark with this id: 255 white, 0 black."""
    marks = dictionary()
    # Debian 12 has OpenCV 4.6, in which this function has its old name.
    draw: Any = getattr(cv2.aruco, "generateImageMarker", None) or getattr(cv2.aruco, "drawMarker")  # noqa: B009
    return np.asarray(draw(marks, number, MODULES), np.uint8)


def find_marks(gray: Pixels) -> tuple[list[int], NDArray[np.float64]]:
    """Find marks in an image (H, W) uint8; returns their ids, and their corners (n, 4, 2) from their left top with the clock."""
    marks = dictionary()
    if hasattr(cv2.aruco, "ArucoDetector"):
        settings = cv2.aruco.DetectorParameters()
    else:
        settings: Any = getattr(cv2.aruco, "DetectorParameters_create")()  # noqa: B009
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    if hasattr(cv2.aruco, "ArucoDetector"):
        corners, ids, _ = cv2.aruco.ArucoDetector(marks, settings).detectMarkers(gray)
    else:
        detect: Any = getattr(cv2.aruco, "detectMarkers")  # noqa: B009
        corners, ids, _ = detect(gray, marks, parameters=settings)
    if ids is None:
        return [], np.zeros((0, 4, 2))
    return np.ravel(ids).astype(int).tolist(), np.array(corners, np.float64).reshape(-1, 4, 2)
