"""Where frames come from: images, folders, films, cameras and the network, told apart by how they are written."""

import difflib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ... import LettercastError
from ..console import say
from ..model.engine import OPENERS
from ..pixels import Frame
from .camera import CAMERA_SIZE, Camera, PiCamera, import_picamera2, open_webcam, picamera_number
from .images import IMAGE_SUFFIXES, read_header, read_image
from .video import url_frames, video_frames

CAMERA_DIGITS = 3
URL = re.compile(r"([a-z]+)://")
URL_SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "tcp")
# Pictures that not every OpenCV reads: tried all the same, so that none in a folder is passed over in silence.
OTHER_SUFFIXES = (".gif", ".avif", ".heic", ".heif", ".pgm", ".ppm", ".pbm")
KINDS = "an image, a folder, a film, a camera number such as 0, picamera or an http or rtsp URL"

# A picture that cannot be read does not end the others: it takes its place among the frames.
Stream = Iterator[Frame | LettercastError]


class Frames(Iterator[Frame]):
    """The frames of several sources, one source after the other; close it, or use it in a `with`, to let go of cameras.

    A picture that cannot be read is said on stderr, and the rest goes on; where nothing at all could be read, the last
    LettercastError is raised. That of a camera which is gone for good ends everything.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._frames = in_turn(streams)
        # What cannot be read at all is known before a window opens; the picture of a camera would grow old meanwhile.
        self._first = [] if isinstance(streams[0], Camera) else list(islice(self._frames, 1))

    def attend(self, idle: Callable[[], None]) -> None:
        """Have `idle` called again and again while a camera gives nothing; what it raises ends the waiting."""
        for stream in self._streams:
            if isinstance(stream, Camera):
                stream.idle = idle

    def __next__(self) -> Frame:
        return self._first.pop() if self._first else next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every camera."""
        self._frames.close()
        close_all(self._streams)


def open_frames(sources: Sequence[str], size: tuple[int, int] = CAMERA_SIZE) -> Frames:
    """Open several sources at once, so that a bad one is known early; see open_source for what they may be."""
    with ExitStack() as opened:
        streams = []
        for source in sources:
            streams.append(open_source(source, size))
            opened.callback(close_all, streams[-1:])
        frames = Frames(streams)
        opened.pop_all()
    return frames


def close_all(streams: Sequence[Stream]) -> None:
    """Let go of the cameras among streams; films and images let go of themselves."""
    for stream in streams:
        if isinstance(stream, Camera):
            stream.close()


def in_turn(streams: Sequence[Stream]) -> Generator[Frame, None, None]:
    """Give the frames of streams, and say what could not be read; raises the last such error where there was no frame."""
    given, held = 0, None
    for frame in chain.from_iterable(streams):
        if held:
            say(held)
        held = frame if isinstance(frame, LettercastError) else None
        if isinstance(frame, Frame):
            given += 1
            yield frame
    if held and given:
        say(held)
    elif held:
        raise held


def open_source(source: str, size: tuple[int, int] = CAMERA_SIZE) -> Stream:
    """Open one source: an image, a folder of images, a film, a URL, or a camera that is asked for `size`.

    A camera is a number, `picamera` for that on a Pi's ribbon cable, `picamera:1` for the second, or a file such as
    /dev/video0. A file of such a name is written ./0.

    Raises:
        LettercastError: it does not exist, holds nothing that can be read, or does not answer.
    """
    if not source.strip():
        raise LettercastError(f"'{source}' names nothing to read; give {KINDS}")
    if source.isascii() and source.isdecimal() and len(source) <= CAMERA_DIGITS:
        return Camera(source, lambda: open_webcam(int(source), size))
    number = picamera_number(source)
    if number is not None:
        # Its import takes seconds on a small Pi, which must not count as silence of the camera.
        import_picamera2()
        return Camera(source, lambda: PiCamera(number, size))
    scheme = URL.match(source)
    if scheme:
        if scheme[1] not in URL_SCHEMES:
            raise LettercastError(f"{source}: unknown kind of address; take one of {', '.join(URL_SCHEMES)}, or a file's path")
        return url_frames(source)
    path = Path(source)
    if path.is_char_device():
        return Camera(source, lambda: open_webcam(source, size))
    if path.is_dir():
        return folder_frames(path)
    if not path.exists():
        raise LettercastError(missing(source))
    if not path.is_file():
        raise LettercastError(f"{source}: a pipe or the like, which may never end; give {KINDS}")
    is_still = is_picture(path)
    if not is_still and path.suffix.lower() in OPENERS:
        raise LettercastError(f"{source}: a model to read with; put --model before it, and give {KINDS} to read")
    return still_frames([path]) if is_still else video_frames(path)


def check_outputs(sources: Sequence[str], save: Path | None, record: Path | None) -> None:
    """See that results are not written over what is read, nor among it; raises LettercastError where they would be."""
    for path in (Path(source) for source in sources if not URL.match(source)):
        is_folder = path.is_dir()
        read = pictures(path) if is_folder else [path]
        if record and record.exists() and any(one.exists() and one.samefile(record) for one in read):
            raise LettercastError(f"--record {record}: that is read here, and would be written over; give another name")
        if save and is_folder and save.exists() and save.samefile(path):
            raise LettercastError(f"--save {save}: what is written there would be read the next time; give another folder")


def missing(source: str) -> str:
    """Say that a file is not there, and what was perhaps meant."""
    path = Path(source)
    if path.is_symlink():
        return f"{source}: a link that leads nowhere; mend it, or give {KINDS}"
    beside = [found.name for found in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, 1)
    hint = f"did you mean {path.parent / near[0]}?" if near else f"give {KINDS}"
    return f"{source}: no such file; {hint}"


def folder_frames(folder: Path) -> Stream:
    """Return the images of a folder, page2 before page10."""
    files = pictures(folder)
    if not files:
        raise LettercastError(f"{folder}: no images in this folder; put some of {', '.join(IMAGE_SUFFIXES)} there")
    return still_frames(sorted(files, key=natural_order))


def pictures(folder: Path) -> list[Path]:
    """Return the files of a folder that call themselves pictures."""
    suffixes = (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)
    return [f for f in folder.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith(".") and f.is_file()]


def natural_order(path: Path) -> tuple[Any, ...]:
    """Return what sorts names as people do, by the numbers in them."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() and part.isascii() else (0, part) for part in parts], path.name


def still_frames(paths: Sequence[Path]) -> Stream:
    """Return one still frame an image, each read when its turn comes, or the error in its place."""
    for path in paths:
        try:
            yield Frame(str(path), 0, read_image(path), is_still=True)
        except LettercastError as error:
            yield error


def is_picture(path: Path) -> bool:
    """Tell whether a file is a picture, by its first bytes or by what it calls itself."""
    if path.suffix.lower() in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            return read_header(file) is not None
    except (EOFError, ValueError):
        return True
