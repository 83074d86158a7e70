"""Recording annotated frames as a video that plays, however the recording ends."""

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

# The frame rate of every recording; frames of a camera are repeated or dropped to keep time.
FPS = 30.0
# If a camera hangs, its last image is repeated for at most this long.
MAX_GAP_S = 2.0
# A still image is shown for this long.
STILL_S = 1.0
# Codecs cut off an odd row or column, and OpenCV's Motion JPEG crashes over images of a few pixels.
MIN_SIDE_PX, MULTIPLE_PX = 16, 2
# A recording ends while there is still room for the index of the video; the disk is checked after this many frames.
MIN_FREE_BYTES, DISK_CHECK_FRAMES = 10_000_000, 30
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


class Recorder:
    """A video that has a temporary name until it is closed, then its own; use it in a `with`, or close it."""

    def __init__(self, path: Path, overwrite: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        if path.suffix.lower() not in CODECS:
            raise LettercastError(f"{path}: the name of a recording must end in {', '.join(CODECS)}")
        if path.exists() and not overwrite:
            raise LettercastError(f"{path}: exists already; give another name, or --overwrite")
        make_folder(path.parent)
        self.path = path
        self._partial = partial_name(path)
        self._clock = clock
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._began, self._written, self._checked = 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """The length of the video so far."""
        return self._written / FPS

    def write(self, image: Pixels, frame: Frame) -> None:
        """Add the image (H, W, 3) BGR uint8 of a frame; images may differ in size.

        A live frame is repeated for as long as it lasted, a frame of a video is written once. Raises LettercastError if OpenCV
        has no codec, the folder cannot be written, or the disk is nearly full; what was written before is kept by `close`.
        """
        if self._written >= self._checked + DISK_CHECK_FRAMES or self._writer is None:
            self._checked = self._written
            if shutil.disk_usage(self.path.parent).free < MIN_FREE_BYTES:
                raise LettercastError(
                    f"{self.path}: the disk is full, so the recording ends; make room, or choose another folder"
                )
        if self._writer is None:
            self._open(image)
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        self._write_copies(padded(image), self._copies_of(frame))

    def close(self) -> None:
        """Finish the video; without any frame there is none."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            # OpenCV reports no error if the disk is full.
            if not plays(self._partial, self._written):
                raise LettercastError(f"{self.path}: could not be written to its end; make room, or choose another folder")
            self._partial.replace(self.path)
        except OSError as error:
            raise LettercastError(f"{self.path}: {error.strerror or error}; make room, or choose another folder") from error
        finally:
            self._partial.unlink(missing_ok=True)

    def _open(self, image: Pixels) -> None:
        self._size = (image.shape[1], image.shape[0])
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        with quiet():
            writer = cv2.VideoWriter(str(self._partial), codec, FPS, padded(image).shape[1::-1])
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise LettercastError(f"{self.path}: OpenCV cannot record this here; end the name in .avi, or choose another folder")
        self._writer, self._began = writer, self._clock()

    def _copies_of(self, frame: Frame) -> int:
        """Return how often to write a frame so that the video keeps time."""
        if frame.is_still:
            return round(STILL_S * FPS)
        if not frame.is_live:
            return 1
        behind = self._clock() - self._began - self.seconds
        # What exceeds the limit is never made up for.
        self._began += max(0.0, behind - MAX_GAP_S)
        return max(0, math.floor(min(behind, MAX_GAP_S) * FPS) + 1)

    def _write_copies(self, image: Pixels, times: int) -> None:
        assert self._writer is not None
        for _ in range(times):
            self._writer.write(image)
        self._written += times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def padded(image: Pixels) -> Pixels:
    """Repeat the last row and column until every codec accepts the size."""
    height, width = image.shape[:2]
    below, beside = (max(MIN_SIDE_PX, side + -side % MULTIPLE_PX) - side for side in (height, width))
    return cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE) if below or beside else image


def plays(path: Path, frames: int = 1) -> bool:
    """Tell whether a video opens, and shows its first frame and one near the end of its `frames` frames."""
    spare = math.ceil(max(COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE * frames))
    with quiet():
        capture = cv2.VideoCapture(str(path))
        is_read = capture.isOpened() and capture.read()[0]
        if is_read and frames > spare:
            # The header may count frames that did not fit on the disk.
            capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1 - spare)
            is_read = capture.get(cv2.CAP_PROP_FRAME_COUNT) >= frames - spare and capture.read()[0]
        capture.release()
    return is_read
