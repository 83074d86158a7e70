"""Reading frame after frame: to a window, to stdout, to files, to a browser."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import cv2

from ..console import say
from ..files import make_folder, write_bytes
from ..health.health import Health
from ..pixels import Frame, Pixels
from ..reader import Reader
from ..sources.source import Frames
from ..text import UNKNOWN, Page
from .display import Window, free_path, has_display, record_of
from .overlay import Status, add_bar, annotate
from .recorder import Recorder
from .steady import SteadyText
from .track import Tracker

# The frame rate is measured over this many frames.
RATE_FRAMES = 30


class QuitError(Exception):
    """The user quits in the window while there is no frame."""


class View(Protocol):
    """Something that shows the results elsewhere, such as the web view."""

    @property
    def viewers(self) -> int:
        """The number of viewers that want images."""
        ...

    def publish(self, image: Pixels | None, page: dict[str, Any]) -> None:
        """Show an annotated frame, or only its record."""
        ...


class TextReceiver(Protocol):
    """Something that takes each text that stood still, such as the publisher."""

    def offer(self, frame: Frame, page: Page) -> None:
        """Take the text of a frame."""
        ...


@dataclass(frozen=True)
class Outputs:
    """Where results go: JSON or text on stdout, a window, a folder of annotated images, a video, another view, other machines.

    `stay` is called when the sources have ended, while `view` shows the last frame. `health` counts the frames.
    """

    json: bool = False
    window: bool = True
    save: Path | None = None
    record: Path | None = None
    overwrite: bool = False
    view: View | None = None
    stay: Callable[[], None] | None = None
    health: Health | None = None
    publish: TextReceiver | None = None


def read_frames(reader: Reader, frames: Iterator[Frame], outputs: Outputs, max_frames: int | None = None) -> int:
    """Read frames until they end, the user quits, or max_frames are read; returns the number of frames read."""
    if outputs.save:
        make_folder(outputs.save)
    with ExitStack() as opened:
        session = Session(reader, outputs, opened)
        if session.window and isinstance(frames, Frames):
            frames.call_while_idle(session.poll_keys)
        done, has_ended = 0, False
        with suppress(QuitError):
            for frame in frames:
                done += 1
                if not session.read(frame) or done == max_frames:
                    break
            else:
                has_ended = done > 0
        session.end()
    if has_ended and outputs.stay:
        session.show_last()
        outputs.stay()
    return done


class Session:
    """The state that lasts from frame to frame: tracked letters, the text printed last, the window and the recording."""

    def __init__(self, reader: Reader, outputs: Outputs, opened: ExitStack) -> None:
        self.outputs = outputs
        self.reader, self.tracker = reader, Tracker(reader)
        self._source, self._steady = "", SteadyText()
        self._last: tuple[Frame, Page] | None = None
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)
        self._recorder: Recorder | None = None
        opened.callback(self._stop_recording)
        if outputs.record:
            self._recorder = Recorder(outputs.record, outputs.overwrite)
        self.window = self._open_window()
        if self.window:
            opened.callback(self.window.close)

    def read(self, frame: Frame) -> bool:
        """Read one frame and send the results to all outputs; returns False to quit."""
        if frame.source != self._source:
            self.end()
            self._source, self._steady = frame.source, SteadyText()
            self._times.clear()
            self.tracker.forget()
        page = self.reader.read(frame.image) if frame.is_still else self.tracker.read(frame.image)
        if not frame.is_still:
            self._times.append(time.perf_counter())
        self._last = (frame, page)
        record = record_of(frame, page)
        if frame.is_still or self._steady.add(frame, page):
            self._tell(frame, page)
        if self.outputs.json:
            print(json.dumps(record), flush=True)
        view = self.outputs.view
        is_drawn = self.outputs.save or self._recorder or (view and view.viewers)
        image = annotate(frame.image, page) if is_drawn else None
        if view:
            view.publish(image if view.viewers else None, record)
        if self.outputs.health:
            self.outputs.health.count(page)
        if image is not None:
            self._save(image, frame, page)
        return self.window is None or self.window.show(frame, page, self._status)

    def poll_keys(self) -> None:
        """Handle the keys of the window while no frame comes; raises QuitError."""
        if self.window and self._last and not self.window.poll_keys(*self._last, self._status):
            raise QuitError

    def show_last(self) -> None:
        """Publish the last frame for later viewers: it was not drawn if nobody watched at that time."""
        if self.outputs.view and self._last:
            frame, page = self._last
            self.outputs.view.publish(annotate(frame.image, page), record_of(frame, page))

    def end(self) -> None:
        """Print and publish the text of the last frames, even if there were too few to stand still."""
        if pending := self._steady.end():
            self._tell(*pending)

    def _tell(self, frame: Frame, page: Page) -> None:
        """Publish the text of an image, or one that stands still, and then print it: what is printed does not get lost."""
        if self.outputs.publish:
            self.outputs.publish.offer(frame, page)
        if not self.outputs.json and (page.text or frame.is_still):
            print(describe(frame, page), flush=True)

    def _save(self, image: Pixels, frame: Frame, page: Page) -> None:
        if self.outputs.save:
            stem = Path(frame.source).stem or "camera"
            stem = stem if frame.is_still else f"{stem}-{frame.number:06d}"
            write_bytes(free_path(self.outputs.save, stem, ".png"), cv2.imencode(".png", image)[1].tobytes())
        if self._recorder:
            self._recorder.write(add_bar(image, page, self._status()), frame)

    def _open_window(self) -> Window | None:
        if not self.outputs.window or self.outputs.json or self.outputs.view:
            return None
        if not has_display():
            say("no display, so no window; results go to stdout")
            return None
        window = Window(self.outputs.save or Path())
        window.record = self._switch_recording
        return window

    def _status(self) -> Status:
        # The median, so that a frozen frame or a camera that hung does not count as a slow frame.
        times = [after - before for before, after in pairwise(self._times)]
        marks = (f"REC {int(self._recorder.seconds) // 60}:{int(self._recorder.seconds) % 60:02d}",) if self._recorder else ()
        return Status(1 / median(times) if times else None, marks)

    def _switch_recording(self) -> None:
        if self._recorder:
            self._stop_recording()
            return
        stem = time.strftime("lettercast-%Y%m%d-%H%M%S")
        self._recorder = Recorder(free_path(self.outputs.save or Path(), stem, ".mp4"))
        say(f"recording to {self._recorder.path}")

    def _stop_recording(self) -> None:
        if self._recorder:
            # Forget the recorder first, so that it is not closed twice if closing fails.
            recorder, self._recorder = self._recorder, None
            recorder.close()
            if recorder.seconds:
                say(f"recorded {recorder.path}, {recorder.seconds:.1f} s")


def describe(frame: Frame, page: Page) -> str:
    """Return the text of a frame as it is printed."""
    name = frame.source if frame.is_still else f"{frame.source}, frame {frame.number}"
    took = f"in {page.segment_ms + page.classify_ms:.1f} ms"
    known = sum(letter.letter != UNKNOWN for letter in page.letters)
    marks = len(page.letters) - known + page.left_out
    if known or not marks:
        return f"{name}: {len(page.letters)} letters {took}\n{page.shown_text}"
    reason = "lettercast reads single letters, no digits, print or joined writing"
    return f"{name}: no letters among {marks} mark{'s' if marks > 1 else ''} {took}; {reason}\n{page.shown_text}"
