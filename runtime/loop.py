"""Reading frame after frame: to a window, to stdout, to files."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import cv2

from .display import annotate, has_display, show
from .files import make_folder, write_bytes
from .frame import Frame
from .reader import Reader
from .text import Page
from .web import WebView


@dataclass(frozen=True)
class Outputs:
    """Where results go: JSON or text on stdout, a window, and a folder of annotated pictures."""

    json: bool = False
    window: bool = True
    save: Path | None = None


def read_frames(
    reader: Reader, frames: Iterator[Frame], outputs: Outputs, max_frames: int | None = None, view: WebView | None = None
) -> int:
    """Read frames until they end, the window is closed or max_frames are read; returns how many were read."""
    if outputs.save:
        make_folder(outputs.save)
    window = outputs.window and not outputs.json and not view and has_display()
    if outputs.window and not outputs.json and not view and not window:
        print("lettercast: no display, so no window; results go to stdout", file=sys.stderr)
    done, shown = 0, ""
    for frame in frames:
        page = reader.read(frame.image)
        done += 1
        record = {"source": frame.source, "frame": frame.number, **page.to_dict()}
        if outputs.json:
            print(json.dumps(record), flush=True)
        elif frame.is_still or page.text != shown:
            # Of a moving picture only what changed is news.
            print(describe(frame, page), flush=True)
            shown = page.text
        if outputs.save or window:
            picture = annotate(frame.image, page)
            if outputs.save:
                save_picture(picture, frame, outputs.save)
            if window and not show(picture, 0 if frame.is_still else 1):
                break
        if view:
            view.publish(annotate(frame.image, page) if view.viewers else None, record)
        if done == max_frames:
            break
    if window:
        cv2.destroyAllWindows()
    return done


def describe(frame: Frame, page: Page) -> str:
    """Return what was read as text for a person."""
    name = frame.source if frame.is_still else f"{frame.source}, frame {frame.number}"
    total = page.segment_ms + page.classify_ms
    return f"{name}: {sum(len(line.letters) for line in page.lines)} letters in {total:.1f} ms\n{page.text}"


def save_picture(picture, frame: Frame, folder: Path) -> None:
    """Write an annotated frame as PNG, named after its source, and numbered where a file of that name is there already."""
    stem = Path(frame.source).stem or "camera"
    stem = stem if frame.is_still else f"{stem}-{frame.number:06d}"
    names = (f"{stem}{ending}.png" for ending in chain([""], (f"-{i}" for i in count(2))))
    free = next(folder / name for name in names if not (folder / name).exists())
    write_bytes(free, cv2.imencode(".png", picture)[1].tobytes())
