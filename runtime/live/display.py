"""The window: what was read over the picture, and the keys that a person presses."""

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

PROBE_TIMEOUT_S = 15
TITLE = "lettercast (h: help)"
# Without GUI_NORMAL Qt adds a toolbar of its own, whose keys would collide with ours.
KIND = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
# The window opens no larger than this, and can be drawn larger.
WIDEST_PX, TALLEST_PX = 1280, 800
# A film is shown no faster than this, as recordings are.
FILM_FPS = 30
# While a picture stands still the keys are looked at this often.
STILL_MS = 30
# X11 gives codes from 0xff00 to keys that write nothing, toolkits add bits for modifiers above.
KEY_BITS, FIRST_SILENT_KEY = 0xFFFF, 0x100


@dataclass
class Window:
    """A window with its switches; `folder` takes snapshots, `record` is what the recording key does."""

    folder: Path
    frozen: bool = False
    mirrored: bool = False
    binarized: bool = False
    helping: bool = False
    quitting: bool = False
    record: Callable[[], None] = lambda: None
    _is_open: bool = False
    _shape: tuple[int, ...] = ()
    # When the next frame of a film is due, by time.monotonic().
    _due: float = 0.0

    def show(self, frame: Frame, page: Page, status: Callable[[], Status]) -> bool:
        """Show a frame, and heed the keys; a frozen one stays until it is let go, a still one until a key moves on.

        Returns False to quit.
        """
        stays, pressed = True, True
        while stays:
            if pressed:
                self._put(self.draw(frame.image, page, status()))
            pressed = False
            key = self._key(self._pause_ms(frame))
            if key in KEYS and not (frame.is_still and key == NEXT):
                pressed = True
                self._heed(key, frame, page)
            moves_on = not frame.is_still or (key is not None and not pressed)
            stays = not self.quitting and (self.frozen or not moves_on)
        return not self.quitting

    def attend(self, frame: Frame, page: Page, status: Callable[[], Status]) -> bool:
        """Heed the keys while the frame that is shown stays the last; returns False to quit."""
        key = self._key(1)
        if key in KEYS:
            self._heed(key, frame, page)
            self._put(self.draw(frame.image, page, status()))
        return not self.quitting

    def draw(self, image: Pixels, page: Page, status: Status) -> Pixels:
        """Return the picture (H, W, 3) BGR uint8 as the switches have it; what is read does not hang on them."""
        seen = page
        if self.binarized:
            image = cv2.resize(find_strokes(image).mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
        if self.mirrored:
            image, seen = cv2.flip(image, 1), mirrored(page)
        canvas = annotate(image, seen)
        if self.helping:
            draw_help(canvas, [(written, does) for written, does, _ in KEYS.values() if does])
        marks = (*(("FROZEN",) if self.frozen else ()), *status.marks)
        return add_bar(canvas, page, replace(status, marks=marks))

    def snapshot(self, frame: Frame, page: Page) -> None:
        """Write the annotated picture and the page as JSON, side by side, under a name that is free.

        The picture is that of the camera, however the window shows it: the boxes of the JSON fit it.
        """
        stem = f"{Path(frame.source).stem or 'camera'}-{frame.number:06d}"
        path = free_path(self.folder, stem, ".png", ".json")
        write_bytes(path, cv2.imencode(".png", annotate(frame.image, page))[1].tobytes())
        write_bytes(path.with_suffix(".json"), json.dumps(record_of(frame, page)).encode())
        say(f"snapshot {path}")

    def close(self) -> None:
        """Close the window, where one was opened."""
        if self._is_open:
            cv2.destroyAllWindows()

    def _put(self, picture: Pixels) -> None:
        if not self._is_open:
            cv2.namedWindow(TITLE, KIND)
            self._is_open = True
        if picture.shape != self._shape:
            # Qt would stretch a picture to the proportions of the one before.
            scale = min(1.0, WIDEST_PX / picture.shape[1], TALLEST_PX / picture.shape[0])
            cv2.resizeWindow(TITLE, max(1, round(scale * picture.shape[1])), max(1, round(scale * picture.shape[0])))
            self._shape = picture.shape
        cv2.imshow(TITLE, picture)

    def _pause_ms(self, frame: Frame) -> int:
        """Return how long to wait for a key before the next picture."""
        if self.frozen or frame.is_still:
            return STILL_MS
        if frame.is_live:
            return 1
        now = time.monotonic()
        pause = max(0.0, self._due - now)
        self._due = now + pause + 1 / FILM_FPS
        return max(1, round(1000 * pause))

    def _key(self, wait_ms: int) -> str | None:
        """Wait for a key that writes something, and return it in lower case; quits where the window was closed."""
        code = cv2.waitKeyEx(wait_ms)
        self.quitting = self.quitting or not is_visible()
        code &= KEY_BITS
        return chr(code).lower() if code < FIRST_SILENT_KEY else None

    def _heed(self, key: str, frame: Frame, page: Page) -> None:
        try:
            KEYS[key][2](self, frame, page)
        except LettercastError as error:
            # A full disk ends the snapshot, not the camera.
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


# Moves on where a still picture is shown, as any key does that means nothing else.
NEXT = " "
# What a key writes: how the help calls it, what it does, and the method that does it.
KEYS: dict[str, tuple[str, str, Callable[[Window, Frame, Page], None]]] = {
    "q": ("q, Esc", "quit", Window._quit),
    "\x1b": ("Esc", "", Window._quit),
    NEXT: ("space", "freeze, and go on; the next picture", Window._freeze),
    "s": ("s", "snapshot: picture and JSON", Window.snapshot),
    "r": ("r", "record, and stop recording", Window._record),
    "b": ("b", "what the reader takes for ink", Window._binarize),
    "m": ("m", "mirror the view", Window._mirror),
    "h": ("h", "this help", Window._help),
}


def record_of(frame: Frame, page: Page) -> dict[str, Any]:
    """Return what was read in a frame as `--json` prints it."""
    return {"source": frame.source, "frame": frame.number, **page.to_dict()}


def is_visible() -> bool:
    """Tell whether the window is still there: its X closes it."""
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:
        # Qt raises where the last window was closed.
        return False


def mirrored(page: Page) -> Page:
    """Return a page whose boxes, and letters from left to right, stand where a mirror shows them."""

    def flipped(word: Word) -> Word:
        letters = (replace(one, box=(page.size[0] - one.box[0] - one.box[2], *one.box[1:])) for one in word.letters)
        return Word(tuple(letters)[::-1])

    return replace(page, lines=tuple(Line(tuple(map(flipped, line.words))[::-1]) for line in page.lines))


def free_path(folder: Path, stem: str, *suffixes: str) -> Path:
    """Return a path in a folder, numbered where it must be, that no file has yet, nor with any other of the suffixes."""
    stems = (f"{stem}{ending}" for ending in chain([""], (f"-{i}" for i in count(2))))
    free = next(one for one in stems if not any((folder / f"{one}{suffix}").exists() for suffix in suffixes))
    return folder / f"{free}{suffixes[0]}"


def has_display() -> bool:
    """Tell whether a window can be opened; a process of its own tries, as OpenCV aborts the one that fails."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    probe = [sys.executable, "-c", "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
