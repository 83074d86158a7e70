"""Sources of frames (images, folders, videos, cameras and URLs), recognised by how you write them."""

import difflib
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from ... import LettercastError
from ..console import say, say_once, without_password
from ..model.engine import OPENERS
from ..pixels import Frame
from .camera import CAMERA_SIZE, Camera, CameraStatus, PiCamera, import_picamera2, open_webcam, picamera_number
from .images import IMAGE_SUFFIXES, OTHER_SUFFIXES, count_endings, is_image, read_image
from .video import url_frames, video_frames

CAMERA_DIGITS = 3
URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# A host with its port, or an IPv4 address, without the scheme of a URL.
ADDRESS = re.compile(r"(\d+(\.\d+){3}|[\w.-]+:\d+)(:\d+)?(/|$)")
URL_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")
# A message names this many folders, and the search ends after so many.
NAMED_FOLDERS, MAX_FOLDERS = 3, 1000
IMAGE_KINDS = "an image or a folder of images"
KINDS = "an image, a folder, a video, a camera number such as 0, picamera or an http or rtsp URL"

# An image that cannot be read takes its place among the frames as an error, and the other images follow.
Stream = Iterator[Frame | LettercastError]


class Frames(Iterator[Frame]):
    """The frames of several sources, one source after the other; close it, or use it in a `with`, to release the cameras.

    An image that cannot be read gets a line on stderr, and the other sources follow; if nothing at all can be read, the last
    LettercastError is raised. A camera that is gone is looked for until it is back.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._frames = chain_streams(streams)
        # Reading the first frame now raises errors before a window opens. A camera is not read: its image would be old by then.
        self._first = [] if isinstance(streams[0], Camera) else list(islice(self._frames, 1))

    def call_while_idle(self, idle: Callable[[], None]) -> None:
        """Call `idle` again and again while a camera sends nothing; an error that it raises ends the waiting."""
        for camera in self._cameras:
            camera.idle = idle

    def call_after_attempts(self, on_attempt: Callable[[], None]) -> None:
        """Call `on_attempt` when a camera is lost, and after each attempt to reconnect it that did not hang."""
        for camera in self._cameras:
            camera.on_attempt = on_attempt

    @property
    def cameras(self) -> tuple[CameraStatus, ...]:
        """What became of each camera so far."""
        return tuple(camera.status for camera in self._cameras)

    @property
    def _cameras(self) -> list[Camera]:
        return [stream for stream in self._streams if isinstance(stream, Camera)]

    def __next__(self) -> Frame:
        return self._first.pop() if self._first else next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release every camera."""
        self._frames.close()
        close_cameras(self._streams)


def open_frames(
    sources: Sequence[str],
    size: tuple[int, int] = CAMERA_SIZE,
    on_wait: Callable[[str], None] | None = None,
    *,
    keep_looking: bool = False,
    on_attempt: Callable[[], None] | None = None,
) -> Frames:
    """Open several sources at once, so that a bad one raises early.

    Args:
        sources: images, folders, videos, URLs and cameras, see open_source.
        size: (width, height) in pixels to ask cameras for.
        on_wait: waits for streams on the network that are not up yet, and is called once for each, with a line that says so; by
            default they raise an error.
        keep_looking: looks for cameras that are missing at the start, too, and calls `on_wait` alike.
        on_attempt: is called after each attempt to open a source that is not there, but for attempts that hang.

    Raises:
        LettercastError: a source does not exist, contains nothing that can be read, or does not answer.
    """
    with ExitStack() as opened:
        streams = []
        for source in sources:
            streams.append(open_source(source, size, on_wait, on_wait if keep_looking else None, on_attempt))
            opened.callback(close_cameras, streams[-1:])
        frames = Frames(streams)
        if on_attempt:
            frames.call_after_attempts(on_attempt)
        opened.pop_all()
    return frames


def close_cameras(streams: Sequence[Stream]) -> None:
    """Release the cameras among streams; other streams close themselves."""
    for stream in streams:
        if isinstance(stream, Camera):
            stream.close()


def chain_streams(streams: Sequence[Stream]) -> Generator[Frame, None, None]:
    """Yield the frames of all streams and report unreadable images on stderr; raises the last error if there was no frame."""
    count, pending = 0, None
    for frame in chain.from_iterable(streams):
        if pending:
            say(pending)
        pending = frame if isinstance(frame, LettercastError) else None
        if isinstance(frame, Frame):
            count += 1
            yield frame
    if pending and count:
        say(pending)
    elif pending:
        raise pending


def open_source(
    source: str,
    size: tuple[int, int] = CAMERA_SIZE,
    on_wait: Callable[[str], None] | None = None,
    on_missing: Callable[[str], None] | None = None,
    on_attempt: Callable[[], None] | None = None,
) -> Stream:
    """Open one source: an image, a folder of images, a video, a URL, or a camera, which is asked for images of `size`.

    A camera is a number, `picamera` for the one on a Pi's ribbon cable, `picamera:1` for the second, or a file such as
    /dev/video0. To read a file that is named 0, write ./0. With `on_wait`, a stream on the network that is not up yet is waited
    for; it is called once, with a line that says so. With `on_missing`, so is a camera that does not answer. `on_attempt` is
    called after each attempt to open a stream that is waited for.

    Raises:
        LettercastError: the source does not exist, contains nothing that can be read, or does not answer.
    """
    if not source.strip():
        raise LettercastError(f"'{source}' is an empty source; give {KINDS}")
    if source.isascii() and source.isdecimal() and len(source) <= CAMERA_DIGITS:
        return Camera(source, lambda: open_webcam(int(source), size), on_missing=on_missing)
    number = picamera_number(source)
    if number is not None:
        # The import takes seconds on a small Pi, which must not count as silence of the camera.
        import_picamera2()
        return Camera(source, lambda: PiCamera(number, size), on_missing=on_missing)
    address = URL.match(source)
    if address:
        scheme = address[1].lower()
        if scheme == "file":
            raise LettercastError(f"{source}: give the path of the file instead: {unquote(urlsplit(source).path)}")
        if scheme not in URL_SCHEMES:
            raise LettercastError(
                f"{without_password(source)}: unknown kind of address; use {', '.join(URL_SCHEMES)}, or the path of a file"
            )
        # FFmpeg knows schemes in small letters only.
        return url_frames(scheme + source[address.end(1) :], on_wait=on_wait, on_attempt=on_attempt)
    path = Path(source)
    if path.is_char_device():
        return Camera(source, lambda: open_webcam(source, size), on_missing=on_missing)
    if path.is_dir():
        return still_frames(images_in(path))
    if not path.exists():
        raise LettercastError(describe_missing(source))
    if not path.is_file():
        raise LettercastError(f"{source}: not a regular file, so it may never end; give {KINDS}")
    is_still = is_image(path)
    if not is_still and path.suffix.lower() in OPENERS:
        raise LettercastError(f"{source}: this is a model; put --model before it, and give {KINDS} to read")
    return still_frames([path]) if is_still else video_frames(path)


def find_images(sources: Sequence[str]) -> list[Path]:
    """Return the files of images and of folders of images, page2 before page10 in a folder.

    Raises:
        LettercastError: a source does not exist, or is neither an image nor a folder that contains some.
    """
    return [path for source in sources for path in _images_of(source)]


def _images_of(source: str) -> list[Path]:
    if not source.strip():
        raise LettercastError(f"'{source}' is an empty name; give {IMAGE_KINDS}")
    path = Path(source)
    if path.is_dir():
        return images_in(path)
    if not path.exists():
        raise LettercastError(describe_missing(source, IMAGE_KINDS))
    if path.suffix.lower() in OPENERS:
        raise LettercastError(f"{source}: this is a model; put --model before it, and give {IMAGE_KINDS}")
    if not path.is_file() or not is_image(path):
        raise LettercastError(f"{source}: not an image; give {IMAGE_KINDS}")
    return [path]


def check_outputs(sources: Sequence[str], save: Path | None, record: Path | None) -> None:
    """Check that results do not overwrite a source or land in a folder that is read; raises LettercastError if they would."""
    for path in (Path(source) for source in sources if not URL.match(source)):
        is_folder = path.is_dir()
        read = image_files(path) if is_folder else [path]
        if record and record.exists() and any(one.exists() and one.samefile(record) for one in read):
            raise LettercastError(f"--record {record}: the recording would overwrite a source; give another name")
        if save and is_folder and save.exists() and save.samefile(path):
            raise LettercastError(f"--save {save}: the next run would read what is saved there; give another folder")


def describe_missing(source: str, kinds: str = KINDS) -> str:
    """Return the message for a file that is not there, with the name that was perhaps meant."""
    path = Path(source)
    if path.is_symlink():
        return f"{source}: a broken link; repair it, or give {kinds}"
    names = [found.name for found in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1)
    if ADDRESS.match(source):
        return f"{source}: no such file; if it is an address, write http://{source} or rtsp://{source}"
    hint = f"did you mean {path.parent / near[0]}?" if near else f"give {kinds}"
    return f"{source}: no such file; {hint}"


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder, page2 before page10; raises LettercastError if there are none.

    Images in folders inside it are not among them, because results may be saved there; a line on stderr names these folders.
    """
    files = image_files(folder)
    inside = folders_of_images(folder)
    named = "; ".join(f"{path} ({count} image{'s' * (count > 1)})" for path, count in inside[:NAMED_FOLDERS])
    if len(inside) > NAMED_FOLDERS:
        named += f" and {len(inside) - NAMED_FOLDERS} more"
    if inside and files:
        say_once(f"{folder}: folders inside it are not read; to read them, name them as well: {named}")
    elif inside:
        raise LettercastError(f"{folder}: no images in this folder itself, only in folders inside it; name those: {named}")
    if not files:
        others = count_endings(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))
        held = f", only {others}" if others else ""
        raise LettercastError(f"{folder}: no images in this folder{held}; put some there ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(files, key=natural_order)


def folders_of_images(folder: Path) -> list[tuple[Path, int]]:
    """Return the folders inside a folder, at any depth, with the number of their images; hidden ones do not count."""
    found = []
    for root, names, files in islice(os.walk(folder), MAX_FOLDERS):
        names[:] = sorted(name for name in names if not name.startswith("."))
        count = sum(Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".") for name in files)
        if count and Path(root) != folder:
            found.append((Path(root), count))
    return found


def image_files(folder: Path) -> list[Path]:
    """Return the files of a folder that have the suffix of an image, or no suffix and the first bytes of one."""
    suffixes = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)
    files = [f for f in folder.iterdir() if not f.name.startswith(".") and f.is_file()]
    return [f for f in files if f.suffix.lower() in suffixes or (not f.suffix and is_image(f))]


def natural_order(path: Path) -> tuple[Any, ...]:
    """Return a sort key that puts page2 before page10."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() and part.isascii() else (0, part) for part in parts], path.name


def still_frames(paths: Sequence[Path]) -> Stream:
    """Yield one still frame for each image, read only when its turn comes, or the error in its place."""
    for path in paths:
        try:
            yield Frame(str(path), 0, read_image(path), is_still=True)
        except LettercastError as error:
            yield error
