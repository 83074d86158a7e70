"""Showing what was read: boxes and letters over the image, in a window where there is a display."""

import os
import subprocess
import sys

import cv2

from .pixels import Pixels
from .text import Page

PROBE_TIMEOUT_S = 15
WINDOW = "lettercast (q quits)"
QUIT_KEYS = (ord("q"), 27)
# BGR; sure letters green, doubtful ones orange.
SURE, DOUBTFUL, SURE_FROM = (80, 160, 0), (0, 120, 240), 0.8


def annotate(image: Pixels, page: Page) -> Pixels:
    """Return a BGR copy of the image with a box and the letter at every place that was read."""
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 or image.shape[2] == 1 else image[:, :, :3].copy()
    thickness = max(1, round(max(page.size) / 600))
    for line in page.lines:
        for letter in line.letters:
            x, y, w, h = letter.box
            colour = SURE if letter.confidence >= SURE_FROM else DOUBTFUL
            cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, thickness)
            size = max(0.5, min(h, 4 * w) / 70)
            where = (x, y - 3 * thickness) if y > 30 * size else (x, y + h + round(25 * size))
            cv2.putText(canvas, letter.letter, where, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness + 1, cv2.LINE_AA)
    return canvas


def has_display() -> bool:
    """Tell whether a window can be opened; a process of its own tries, as OpenCV aborts the one that fails."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    probe = [sys.executable, "-c", "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def show(image: Pixels, wait_ms: int) -> bool:
    """Show an image; wait_ms 0 waits for a key. Returns False where the user asks to quit or closes the window."""
    cv2.imshow(WINDOW, image)
    key = cv2.waitKey(wait_ms) & 0xFF
    return key not in QUIT_KEYS and cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) >= 1
