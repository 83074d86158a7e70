"""Recording annotated frames as a film that plays, however the recording ends."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from .. import LettercastError
from .files import make_folder, partial_name
from .pixels import Pixels

# Frames a second of every recording; those of a camera are repeated or left out to keep time.
FPS = 30.0
# A camera that hangs is not made up for by more than this of its last picture.
LONGEST_GAP_S = 2.0
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


class Recorder:
    """A film that is written under a temporary name, and has its own once it is closed; use it in a `with`, or close it."""

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        if path.suffix.lower() not in CODECS:
            raise LettercastError(f"{path}: a recording ends in {', '.join(CODECS)}; name it so")
        if path.exists() and not overwrite:
            raise LettercastError(f"{path}: exists already; give another name, or --overwrite")
        make_folder(path.parent)
        self.path = path
        self._partial = partial_name(path)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._began, self._written = 0.0, 0

    @property
    def seconds(self) -> float:
        """How long the film is by now."""
        return self._written / FPS

    def write(self, picture: Pixels, is_live: bool) -> None:
        """Add a frame (H, W, 3) BGR uint8; a live one for as long as it stood, another once. Sizes may differ.

        Raises LettercastError where this OpenCV has no codec for the film, or the folder cannot be written.
        """
        if self._writer is None:
            self._open(picture)
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        due = self._written + 1
        if is_live:
            due = min(int((time.monotonic() - self._began) * FPS) + 1, self._written + int(LONGEST_GAP_S * FPS))
        while self._writer is not None and self._written < due:
            self._writer.write(picture)
            self._written += 1

    def close(self) -> None:
        """Finish the film; where no frame came there is none."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            self._partial.replace(self.path)
        except OSError as error:
            raise LettercastError(f"{self.path}: {error.strerror or error}; make room, or choose another folder") from error
        finally:
            self._partial.unlink(missing_ok=True)

    def _open(self, picture: Pixels) -> None:
        self._size = (picture.shape[1], picture.shape[0])
        writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()]), FPS, self._size)
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise LettercastError(f"{self.path}: cannot be recorded with this OpenCV; end the name in .avi, or choose a folder")
        self._writer, self._began = writer, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
