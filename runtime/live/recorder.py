"""Recording annotated frames as a video that plays, however the recording ends."""

import math
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from ... import LettercastError
from ..console import quiet
from ..files import make_folder, partial_name
from ..pixels import Frame, Pixels, median
from ..sources.video import COUNT_ERROR_FRAMES, COUNT_ERROR_SHARE

# The frame rate of a recording whose source has none: still images, and a camera until it is measured.
FPS = 30.0
# A camera's frame rate is the median over this many frames, or over fewer if these would take too much memory.
MEASURED_FRAMES, MAX_HELD_BYTES = 8, 64_000_000
MIN_CAMERA_FPS, MAX_CAMERA_FPS = 1.0, 120.0
# OpenCV refuses frame rates that are no fraction with numbers up to this.
MAX_TIME_BASE = 65535
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
        # The frame rate of the video, once it is open.
        self.fps = FPS
        # The first frames of a camera, until its rate is measured, and the seconds that the video should have by now.
        self._held: list[tuple[float, Pixels, Frame]] = []
        self._was_live = False
        self._began, self._due, self._written, self._checked = 0.0, 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """The length of the video so far."""
        return self._written / self.fps

    def write(self, image: Pixels, frame: Frame) -> None:
        """Add the image (H, W, 3) BGR uint8 of a frame; images may differ in size.

        The recording has the frame rate of its source: that of the video, or the measured one of the camera. A live frame is
        repeated for as long as it lasted, a frame of a video is written once, or so often that videos of other rates after it
        keep time. Raises LettercastError if OpenCV has no codec, the folder cannot be written, or the disk is nearly full; what
        was written before is kept by `close`.
        """
        if self._writer is None and frame.is_live:
            self._hold(image, frame)
        else:
            self._write_held()
            self._write(image, frame, self._clock() if frame.is_live else 0.0)

    def _hold(self, image: Pixels, frame: Frame) -> None:
        """Keep the first frames of a camera until its rate is known."""
        self._held.append((self._clock(), image, frame))
        if len(self._held) == MEASURED_FRAMES or image.nbytes * len(self._held) > MAX_HELD_BYTES:
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        if held:
            gaps = [after[0] - before[0] for before, after in pairwise(held)]
            gap = median(gaps) if gaps else 0.0
            self.fps = playable(min(max(MIN_CAMERA_FPS, 1 / gap), MAX_CAMERA_FPS)) if gap > 0 else FPS
        for now, image, frame in held:
            self._write(image, frame, now)

    def _write(self, image: Pixels, frame: Frame, now: float) -> None:
        if self._written >= self._checked + DISK_CHECK_FRAMES or self._writer is None:
            self._checked = self._written
            if shutil.disk_usage(self.path.parent).free < MIN_FREE_BYTES:
                raise LettercastError(
                    f"{self.path}: the disk is full, so the recording ends; make room, or choose another folder"
                )
        if self._writer is None:
            if not frame.is_live:
                self.fps = playable(frame.fps or FPS)
            self._open(image)
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        self._write_copies(padded(image), self._copies_of(frame, now))
        self._was_live = frame.is_live

    def close(self) -> None:
        """Finish the video; without any frame there is none."""
        self._write_held()
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
            writer = cv2.VideoWriter(str(self._partial), codec, self.fps, padded(image).shape[1::-1])
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise LettercastError(f"{self.path}: OpenCV cannot record this here; end the name in .avi, or choose another folder")
        self._writer = writer

    def _copies_of(self, frame: Frame, now: float) -> int:
        """Return how often to write a frame so that the video keeps time."""
        if not frame.is_live:
            self._due = max(self._due, self.seconds - 1 / self.fps)
            self._due += STILL_S if frame.is_still else 1 / (frame.fps or self.fps)
            return max(0, round(self._due * self.fps) - self._written)
        if not self._was_live:
            # Time goes on from where the images and videos before it ended.
            self._began = now - self.seconds
        behind = now - self._began - self.seconds
        # What exceeds the limit is never made up for.
        self._began += max(0.0, behind - MAX_GAP_S)
        # A camera's frames come a little early or late; up to half a frame is neither repeated nor dropped.
        return max(0, math.floor(min(behind, MAX_GAP_S) * self.fps + 0.5) + 1)

    def _write_copies(self, image: Pixels, times: int) -> None:
        assert self._writer is not None
        for _ in range(times):
            self._writer.write(image)
        self._written += times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def playable(fps: float) -> float:
    """Return a frame rate as near as OpenCV accepts it."""
    return round(fps, 3 if fps * 1000 <= MAX_TIME_BASE else 2)


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
