"""The window: what was read over the picture, and the keys that a person presses."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

import cv2

from .files import write_bytes
from .frame import Frame
from .overlay import Status, annotate, draw_help
from .page import find_strokes
from .pixels import Pixels
from .say import say
from .text import Line, Page, Word

PROBE_TIMEOUT_S = 15
TITLE = "lettercast (h: help)"
# The window opens no larger than this, and can be drawn larger.
WIDEST_PX, TALLEST_PX = 1280, 800
# While a picture stands still the keys are looked at this often.
STILL_MS = 30
ESCAPE = 27


@dataclass
class Window:
    """A window with its switches; `shown` is what it shows now, `record` what the recording key asks for."""

    folder: Path
    frozen: bool = False
    mirrored: bool = False
    binarized: bool = False
    helping: bool = False
    quitting: bool = False
    record: Callable[[], None] = lambda: None
    _is_open: bool = False

    def show(self, frame: Frame, page: Page, status: Status) -> bool:
        """Show a frame, and heed the keys; a still or frozen one stays until a key moves on. Returns False to quit."""
        stays = True
        while stays:
            marks = (*(("FROZEN",) if self.frozen else ()), *status.marks)
            self._put(self.draw(frame.image, page, replace(status, marks=marks)))
            pressed = self._wait(frame, page, STILL_MS if self.frozen or frame.is_still else 1)
            stays = not self.quitting and (self.frozen or (frame.is_still and not pressed))
        return not self.quitting

    def draw(self, image: Pixels, page: Page, status: Status) -> Pixels:
        """Return the picture (H, W, 3) BGR uint8 as the switches have it."""
        if self.binarized:
            image = cv2.resize(find_strokes(image).mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
        if self.mirrored:
            image, page = cv2.flip(image, 1), mirrored(page)
        canvas = annotate(image, page, status)
        if self.helping:
            draw_help(canvas, [(key, does) for key, does, _ in KEYS.values()])
        return canvas

    def snapshot(self, frame: Frame, page: Page) -> None:
        """Write the annotated picture and the page as JSON, side by side, under a name that is free."""
        stem = f"{Path(frame.source).stem or 'camera'}-{frame.number:06d}"
        path = save_free(self.folder, stem, ".png", cv2.imencode(".png", annotate(frame.image, page))[1].tobytes())
        write_bytes(path.with_suffix(".json"), json.dumps(page.to_dict()).encode())
        say(f"snapshot {path}")

    def close(self) -> None:
        """Close the window, where one was opened."""
        if self._is_open:
            cv2.destroyAllWindows()

    def _put(self, picture: Pixels) -> None:
        if not self._is_open:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            scale = min(1.0, WIDEST_PX / picture.shape[1], TALLEST_PX / picture.shape[0])
            cv2.resizeWindow(TITLE, max(1, round(scale * picture.shape[1])), max(1, round(scale * picture.shape[0])))
            self._is_open = True
        cv2.imshow(TITLE, picture)

    def _wait(self, frame: Frame, page: Page, wait_ms: int) -> bool:
        """Heed at most one key; returns True where it was one that has no meaning here, which moves a still picture on."""
        key = cv2.waitKey(wait_ms)
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self.quitting = True
        if key < 0:
            return False
        known = KEYS.get(key & 0xFF)
        if known:
            known[2](self, frame, page)
        return not known

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


# Key code: how it is written, what it does, and the method that does it.
KEYS: dict[int, tuple[str, str, Callable[[Window, Frame, Page], None]]] = {
    ord("q"): ("q", "quit", Window._quit),
    ESCAPE: ("Esc", "quit", Window._quit),
    ord(" "): ("space", "freeze, and go on", Window._freeze),
    ord("s"): ("s", "snapshot: picture and JSON", Window.snapshot),
    ord("r"): ("r", "record, and stop recording", Window._record),
    ord("b"): ("b", "what the reader takes for ink", Window._binarize),
    ord("m"): ("m", "mirror the view", Window._mirror),
    ord("h"): ("h", "this help", Window._help),
}


def mirrored(page: Page) -> Page:
    """Return a page whose boxes stand where a mirror shows them."""

    def flipped(line: Line) -> Line:
        return Line(
            tuple(
                Word(tuple(replace(one, box=(page.size[0] - one.box[0] - one.box[2], *one.box[1:])) for one in word.letters))
                for word in line.words
            )
        )

    return replace(page, lines=tuple(flipped(line) for line in page.lines))


def save_free(folder: Path, stem: str, suffix: str, data: bytes) -> Path:
    """Write a file under a name that no file has yet, numbered where it must be; returns its path."""
    names = (f"{stem}{ending}{suffix}" for ending in chain([""], (f"-{i}" for i in count(2))))
    free = next(folder / name for name in names if not (folder / name).exists())
    write_bytes(free, data)
    return free


def has_display() -> bool:
    """Tell whether a window can be opened; a process of its own tries, as OpenCV aborts the one that fails."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    probe = [sys.executable, "-c", "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
