"""The window: the image with what was read on it, and its keys."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import cv2

from ... import LettercastError
from ..console import say
from ..files import write_bytes
from ..page.find import find_strokes
from ..pixels import Frame, Pixels
from ..text import Line, Page, Word
from .overlay import Status, add_bar, annotate, draw_help

PROBE_LIMIT_S = 15
# Stands in the bar, because not every desktop shows the title of the window.
HINT = "h help"
TITLE = "lettercast (h: help)"
# Without GUI_NORMAL Qt adds a toolbar whose keys would collide with ours.
WINDOW_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
# The window opens no larger than this, but you can enlarge it.
MAX_WIDTH_PX, MAX_HEIGHT_PX = 1280, 800
# A video is shown at its own rate, at this one if its file names none, and no faster than the other.
VIDEO_FPS, MAX_VIDEO_FPS = 30.0, 60.0
# While an image stays in the window, its keys are polled this often.
KEY_POLL_MS = 30
# X11 gives codes from 0xff00 to keys without a character; toolkits add bits for modifiers above these 16.
KEY_BITS, MIN_CONTROL_KEY = 0xFFFF, 0x100


@dataclass
class Window:
    """A window with its switches; snapshots go to `folder`, and the recording key calls `record`."""

    folder: Path
    frozen: bool = False
    mirrored: bool = False
    binarized: bool = False
    helping: bool = False
    quitting: bool = False
    record: Callable[[], None] = lambda: None
    _is_open: bool = False
    _shape: tuple[int, ...] = ()
    # When the next frame of a video is due, by time.monotonic().
    _due: float = 0.0

    def show(self, frame: Frame, page: Page, status: Callable[[], Status]) -> bool:
        """Show a frame and handle the keys; a frozen frame stays until you continue, a still image until you press a key.

        Returns False to quit.
        """
        stays, pressed = True, True
        while stays:
            if pressed:
                self._display(self.draw(frame.image, page, status()))
            pressed = False
            key = self._key(self._pause_ms(frame))
            if key in KEYS and not (frame.is_still and key == NEXT):
                pressed = True
                self._handle_key(key, frame, page)
            moves_on = not frame.is_still or (key is not None and not pressed)
            stays = not self.quitting and (self.frozen or not moves_on)
        return not self.quitting

    def poll_keys(self, frame: Frame, page: Page, status: Callable[[], Status]) -> bool:
        """Handle the keys while the current frame stays the last; returns False to quit."""
        key = self._key(1)
        if key in KEYS:
            self._handle_key(key, frame, page)
            self._display(self.draw(frame.image, page, status()))
        return not self.quitting

    def draw(self, image: Pixels, page: Page, status: Status) -> Pixels:
        """Return the image to show, (H, W, 3) BGR uint8, with the switches applied; they do not change what is read."""
        shown = page
        if self.binarized:
            image = cv2.resize(find_strokes(image).mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
        if self.mirrored:
            image, shown = cv2.flip(image, 1), mirrored(page)
        canvas = annotate(image, shown)
        if self.helping:
            draw_help(canvas, [(written, does) for written, does, _ in KEYS.values() if does])
        marks = (*(("FROZEN",) if self.frozen else ()), *status.marks)
        return add_bar(canvas, page, replace(status, marks=marks, hint="" if self.helping else HINT))

    def snapshot(self, frame: Frame, page: Page) -> None:
        """Write the annotated image and the page as JSON, side by side, under a new name.

        The image is as the camera saw it, even if the window mirrors it, so that the boxes of the JSON fit.
        """
        stem = f"{Path(frame.source).stem or 'camera'}-{frame.number:06d}"
        path = free_path(self.folder, stem, ".png", ".json")
        write_bytes(path, cv2.imencode(".png", annotate(frame.image, page))[1].tobytes())
        write_bytes(path.with_suffix(".json"), json.dumps(record_of(frame, page)).encode())
        say(f"snapshot {path}")

    def close(self) -> None:
        """Close the window if it is open."""
        if self._is_open:
            cv2.destroyAllWindows()

    def _display(self, image: Pixels) -> None:
        if not self._is_open:
            cv2.namedWindow(TITLE, WINDOW_FLAGS)
            self._is_open = True
        if image.shape != self._shape:
            # Qt would stretch an image to the proportions of the one before.
            scale = min(1.0, MAX_WIDTH_PX / image.shape[1], MAX_HEIGHT_PX / image.shape[0])
            cv2.resizeWindow(TITLE, max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0])))
            self._shape = image.shape
        cv2.imshow(TITLE, image)

    def _pause_ms(self, frame: Frame) -> int:
        """Return how long to wait for a key before the next frame."""
        if self.frozen or frame.is_still:
            return KEY_POLL_MS
        if frame.is_live:
            return 1
        now = time.monotonic()
        pause = max(0.0, self._due - now)
        self._due = now + pause + 1 / min(frame.fps or VIDEO_FPS, MAX_VIDEO_FPS)
        return max(1, round(1000 * pause))

    def _key(self, wait_ms: int) -> str | None:
        """Wait for a key with a character, and return it in lower case; quit if the window was closed."""
        code = cv2.waitKeyEx(wait_ms)
        self.quitting = self.quitting or not is_visible()
        code &= KEY_BITS
        return chr(code).lower() if code < MIN_CONTROL_KEY else None

    def _handle_key(self, key: str, frame: Frame, page: Page) -> None:
        try:
            KEYS[key][2](self, frame, page)
        except LettercastError as error:
            # A full disk must end the snapshot, not the camera.
            say(error)

    def _quit(self, *_: object) -> None:
        self.quitting = True

    def _freeze(self, *_: object) -> None:
        self.frozen = not self.frozen

    def _mirror(self, *_: object) -> None:
        self.mirrored = not self.mirrored

    def _binarize(self, *_: object) -> None:
        self.binarized = not self.binarized

    def _help(self, *_: object) -> None:
        self.helping = not self.helping

    def _record(self, *_: object) -> None:
        self.record()


# Shows the next still image, like every key without another meaning.
NEXT = " "
# By the character of a key: its name in the help, what it does, and the method that does it.
KEYS: dict[str, tuple[str, str, Callable[[Window, Frame, Page], None]]] = {
    "q": ("q, Esc", "quit", Window._quit),
    "\x1b": ("Esc", "", Window._quit),
    NEXT: ("space", "freeze or continue; next image", Window._freeze),
    "s": ("s", "save a snapshot: image and JSON", Window.snapshot),
    "r": ("r", "start or stop recording", Window._record),
    "b": ("b", "show what counts as ink", Window._binarize),
    "m": ("m", "mirror the view", Window._mirror),
    "h": ("h", "show this help", Window._help),
}


def record_of(frame: Frame, page: Page) -> dict[str, Any]:
    """Return what was read in a frame, as `--json` prints it."""
    return {"source": frame.source, "frame": frame.number, **page.to_dict()}


def is_visible() -> bool:
    """Tell whether the window is still open; its close button closes it at any time."""
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:
        # Qt raises this after the last window was closed.
        return False


def mirrored(page: Page) -> Page:
    """Return a page with the boxes and the order of letters as a mirror shows them."""

    def flipped(word: Word) -> Word:
        letters = (replace(one, box=(page.size[0] - one.box[0] - one.box[2], *one.box[1:])) for one in word.letters)
        return Word(tuple(letters)[::-1])

    return replace(page, lines=tuple(Line(tuple(map(flipped, line.words))[::-1]) for line in page.lines))


def free_path(folder: Path, stem: str, *suffixes: str) -> Path:
    """Return a path in a folder that is free with each of the suffixes; adds a number if the plain name is taken."""
    stems = (f"{stem}{ending}" for ending in chain([""], (f"-{i}" for i in count(2))))
    free = next(one for one in stems if not any((folder / f"{one}{suffix}").exists() for suffix in suffixes))
    return folder / f"{free}{suffixes[0]}"


def has_display() -> bool:
    """Tell whether a window can be opened; another process tries, because OpenCV aborts a process in which it fails."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    probe = [sys.executable, "-c", "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=PROBE_LIMIT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
