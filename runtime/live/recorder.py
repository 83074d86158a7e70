"""Recording annotated frames as a film that plays, however the recording ends."""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from ... import LettercastError
from ..console import quiet
from ..files import make_folder, partial_name
from ..pixels import Frame, Pixels
from ..sources.video import COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE

# Frames a second of every recording; those of a camera are repeated or left out to keep time.
FPS = 30.0
# A camera that hangs is not made up for by more than this of its last picture.
MAX_GAP_S = 2.0
# A picture of its own, and no frame of a film, stays so long.
STILL_S = 1.0
# Codecs cut an odd row or column off, and OpenCV's Motion JPEG ends the process over pictures of a few pixels.
SMALLEST_PX, MULTIPLE_PX = 16, 2
# A film ends while there is room for its index; looked at this often.
MIN_FREE_BYTES, LOOK_FRAMES = 10_000_000, 30
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


class Recorder:
    """A film that is written under a temporary name, and has its own once it is closed; use it in a `with`, or close it."""

    def __init__(self, path: Path, overwrite: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        if path.suffix.lower() not in CODECS:
            raise LettercastError(f"{path}: a recording ends in {', '.join(CODECS)}; name it so")
        if path.exists() and not overwrite:
            raise LettercastError(f"{path}: exists already; give another name, or --overwrite")
        make_folder(path.parent)
        self.path = path
        self._partial = partial_name(path)
        self._clock = clock
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._began, self._written, self._looked = 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """How long the film is by now."""
        return self._written / FPS

    def write(self, picture: Pixels, frame: Frame) -> None:
        """Add the picture (H, W, 3) BGR uint8 of a frame: for as long as a live one stood, once for a film's. Sizes may differ.

        Raises LettercastError where this OpenCV has no codec for the film, the folder cannot be written or the disk is nearly
        full; what was written until then is a film once it is closed.
        """
        if self._written >= self._looked + LOOK_FRAMES or self._writer is None:
            self._looked = self._written
            if shutil.disk_usage(self.path.parent).free < MIN_FREE_BYTES:
                raise LettercastError(
                    f"{self.path}: the disk is full, so the recording ends; make room, or choose another folder"
                )
        if self._writer is None:
            self._open(picture)
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._add(padded(picture), self._due(frame))

    def close(self) -> None:
        """Finish the film; where no frame came there is none."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            # A full disk is no error to OpenCV.
            if not plays(self._partial, self._written):
                raise LettercastError(f"{self.path}: could not be written to its end; make room, or choose another folder")
            self._partial.replace(self.path)
        except OSError as error:
            raise LettercastError(f"{self.path}: {error.strerror or error}; make room, or choose another folder") from error
        finally:
            self._partial.unlink(missing_ok=True)

    def _open(self, picture: Pixels) -> None:
        self._size = (picture.shape[1], picture.shape[0])
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        with quiet():
            writer = cv2.VideoWriter(str(self._partial), codec, FPS, padded(picture).shape[1::-1])
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise LettercastError(f"{self.path}: cannot be recorded with this OpenCV; end the name in .avi, or choose a folder")
        self._writer, self._began = writer, self._clock()

    def _due(self, frame: Frame) -> int:
        """Return how often the picture must be written for the film to keep time."""
        if frame.is_still:
            return round(STILL_S * FPS)
        if not frame.is_live:
            return 1
        behind = self._clock() - self._began - self.seconds
        # What is more than a gap is left out, now and later.
        self._began += max(0.0, behind - MAX_GAP_S)
        return max(0, math.floor(min(behind, MAX_GAP_S) * FPS) + 1)

    def _add(self, picture: Pixels, times: int) -> None:
        assert self._writer is not None
        for _ in range(times):
            self._writer.write(picture)
        self._written += times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def padded(picture: Pixels) -> Pixels:
    """Repeat the last row and column until every codec takes the size."""
    height, width = picture.shape[:2]
    below, beside = (max(SMALLEST_PX, side + -side % MULTIPLE_PX) - side for side in (height, width))
    return cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE) if below or beside else picture


def plays(path: Path, frames: int = 1) -> bool:
    """Tell whether a film can be opened, gives its first frame, and one near the end of so many."""
    spare = math.ceil(max(COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE * frames))
    with quiet():
        capture = cv2.VideoCapture(str(path))
        answered = capture.isOpened() and capture.read()[0]
        if answered and frames > spare:
            # A header may speak of frames for which there was no room.
            capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1 - spare)
            answered = capture.get(cv2.CAP_PROP_FRAME_COUNT) >= frames - spare and capture.read()[0]
        capture.release()
    return answered
