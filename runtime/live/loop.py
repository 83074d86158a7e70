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
from ..pixels import Frame, Pixels
from ..reader import Reader
from ..sources.source import Frames
from ..text import Page
from .display import Window, free_path, has_display, record_of
from .overlay import Status, add_bar, annotate
from .recorder import Recorder
from .track import Tracker

# Frames a second are those of so many last frames.
RATE_FRAMES = 30
# Text that was the same for so many frames is news.
STEADY_FRAMES = 3


class QuitError(Exception):
    """The person at the window quits while there is no frame."""


class View(Protocol):
    """Somebody who looks on, such as a browser."""

    @property
    def viewers(self) -> int:
        """How many want pictures."""
        ...

    def publish(self, picture: Pixels | None, page: dict[str, Any]) -> None:
        """Show a frame."""
        ...


@dataclass(frozen=True)
class Outputs:
    """Where results go: JSON or text on stdout, a window, a folder of annotated pictures, a film, somebody who looks on.

    `stay` is called where the sources have come to their end, with the last frame in `view`.
    """

    json: bool = False
    window: bool = True
    save: Path | None = None
    record: Path | None = None
    overwrite: bool = False
    view: View | None = None
    stay: Callable[[], None] | None = None


def read_frames(reader: Reader, frames: Iterator[Frame], outputs: Outputs, max_frames: int | None = None) -> int:
    """Read frames until they end, the window is closed or max_frames are read; returns how many were read."""
    if outputs.save:
        make_folder(outputs.save)
    with ExitStack() as opened:
        session = Session(reader, outputs, opened)
        if session.window and isinstance(frames, Frames):
            frames.call_while_idle(session.attend)
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
    """What goes on from frame to frame: the letters followed, the text said last, the window and the recording."""

    def __init__(self, reader: Reader, outputs: Outputs, opened: ExitStack) -> None:
        self.outputs = outputs
        self.reader, self.tracker = reader, Tracker(reader)
        self._source, self._said = "", ""
        self._last: tuple[Frame, Page] | None = None
        # The last frame whose text was not said yet, and how many frames had that text.
        self._unsaid: tuple[Frame, Page] | None = None
        self._steady = 0
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)
        self._recorder: Recorder | None = None
        opened.callback(self._stop_recording)
        if outputs.record:
            self._recorder = Recorder(outputs.record, outputs.overwrite)
        self.window = self._open_window()
        if self.window:
            opened.callback(self.window.close)

    def read(self, frame: Frame) -> bool:
        """Read one frame and show it everywhere; returns False to quit."""
        if frame.source != self._source:
            self.end()
            self._source, self._said = frame.source, ""
            self._times.clear()
            self.tracker.forget()
        page = self.reader.read(frame.image) if frame.is_still else self.tracker.read(frame.image)
        if not frame.is_still:
            self._times.append(time.perf_counter())
        self._last = (frame, page)
        record = record_of(frame, page)
        self._say(frame, page, record)
        view = self.outputs.view
        wanted = self.outputs.save or self._recorder or (view and view.viewers)
        picture = annotate(frame.image, page) if wanted else None
        if view:
            view.publish(picture if view.viewers else None, record)
        if picture is not None:
            self._keep(picture, frame, page)
        return self.window is None or self.window.show(frame, page, self._status)

    def attend(self) -> None:
        """Heed the window's keys while no frame comes; raises QuitError."""
        if self.window and self._last and not self.window.attend(*self._last, self._status):
            raise QuitError

    def show_last(self) -> None:
        """Show the last frame to who looks on later: a picture that nobody wanted then was not drawn."""
        if self.outputs.view and self._last:
            frame, page = self._last
            self.outputs.view.publish(annotate(frame.image, page), record_of(frame, page))

    def end(self) -> None:
        """Say what the last frames said, however few they were."""
        if self._unsaid and self._unsaid[1].text:
            print(describe(*self._unsaid), flush=True)
        self._unsaid = None

    def _say(self, frame: Frame, page: Page, record: dict[str, Any]) -> None:
        if self.outputs.json:
            print(json.dumps(record), flush=True)
        elif frame.is_still:
            print(describe(frame, page), flush=True)
        else:
            self._say_news(frame, page)

    def _say_news(self, frame: Frame, page: Page) -> None:
        """Print the text of a moving picture once it stands still, and is not what was printed last."""
        self._steady = self._steady + 1 if self._unsaid and self._unsaid[1].text == page.text else 1
        self._unsaid = (frame, page)
        if page.text == self._said:
            self._unsaid = None
        elif self._steady == STEADY_FRAMES:
            if page.text:
                print(describe(frame, page), flush=True)
            self._said, self._unsaid = page.text, None

    def _keep(self, picture: Pixels, frame: Frame, page: Page) -> None:
        if self.outputs.save:
            stem = Path(frame.source).stem or "camera"
            stem = stem if frame.is_still else f"{stem}-{frame.number:06d}"
            write_bytes(free_path(self.outputs.save, stem, ".png"), cv2.imencode(".png", picture)[1].tobytes())
        if self._recorder:
            self._recorder.write(add_bar(picture, page, self._status()), frame)

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
        # The median, as a frozen frame or a camera that hung is no slow frame.
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
            # Let go of it first: what cannot be finished is not tried twice.
            recorder, self._recorder = self._recorder, None
            recorder.close()
            if recorder.seconds:
                say(f"recorded {recorder.path}, {recorder.seconds:.1f} s")


def describe(frame: Frame, page: Page) -> str:
    """Return what was read as text for a person."""
    name = frame.source if frame.is_still else f"{frame.source}, frame {frame.number}"
    total = page.segment_ms + page.classify_ms
    return f"{name}: {len(page.letters)} letters in {total:.1f} ms\n{page.shown_text}"
