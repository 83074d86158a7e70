"""The verb `read`: letters from cameras, pictures and films."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import DONE, LettercastError
from ..runtime.arguments import (
    SERVE_HOST,
    SERVE_PORT,
    device_model,
    file_to_read,
    image_size,
    positive,
    serve_address,
    thread_count,
)
from .parser import add_verb
from .terminal import importing

EXAMPLES = """\
examples:
  lettercast read                         letters before camera 0, in a window
  lettercast read page.jpg scans/         pictures
  lettercast read film.mp4 --json         one JSON object a frame
  lettercast read 0 --serve 0.0.0.0       in a browser, for a machine without a screen
"""


def add(verbs: Any) -> None:
    """Add the verb `read`."""
    verb = add_verb(
        verbs,
        "read",
        help="read letters from a camera, images or video",
        usage="%(prog)s [SOURCE ...] [OPTION ...]",
        description="Read letters. In the window h shows the keys, q or Esc quits.",
        examples=EXAMPLES,
    )
    add_reading(verb)


def add_reading(verb: argparse.ArgumentParser, models: str = "letters-base (the default), letters-nano") -> None:
    """Add what can be read, and how; models are those to be had by name."""
    verb.add_argument(
        "sources",
        nargs="*",
        default=["0"],
        metavar="SOURCE",
        help="image, folder, film, http or rtsp URL, camera number, or picamera (picamera:1) for that on a Pi's ribbon cable; "
        "a file named 0 is written ./0 (default: camera 0)",
    )
    verb.add_argument(
        "--camera-size",
        type=image_size,
        metavar="WxH",
        default="1280x720",
        help="asked of cameras, which give the nearest they have (default: %(default)s)",
    )
    verb.add_argument(
        "--model",
        type=device_model,
        metavar="M",
        help=f"{models}, or a .tflite or .onnx file",
    )
    verb.add_argument(
        "--words",
        type=file_to_read,
        metavar="FILE",
        help="say which words of a list were probably written, beside what was read; UTF-8 text, a word a line, # comments",
    )
    verb.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="of the network and of OpenCV (default: %(default)s)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object a frame, and open no window")
    verb.add_argument("--no-window", action="store_true", help="print text only")
    verb.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write each picture, and each frame of a film or camera, with boxes and letters as PNG there; replaces nothing",
    )
    verb.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write a film of all that is read with boxes and letters, .mp4, .avi or .mkv; a picture stays a second",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace FILE of --record where it is there already")
    verb.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    verb.add_argument(
        "--serve",
        type=serve_address,
        nargs="?",
        const=f"{SERVE_HOST}:{SERVE_PORT}",
        metavar="HOST:PORT",
        help="show picture and text in a browser, and open no window; alone: on this machine only, at port 8080; 0.0.0.0 is "
        "for the whole network, with a token; the last picture stays until Ctrl-C, except with --max-frames",
    )
    verb.add_argument("--token", metavar="T", help="what a browser must show (default: one made at random, none on loopback)")


def run(options: argparse.Namespace) -> int:
    """Read every frame of every source, to a window, to stdout, to files, to a browser."""
    if options.token and not options.serve:
        raise LettercastError("--token: it guards what --serve shows; add --serve")
    with importing():
        import cv2

        from ..runtime.live.loop import Outputs, read_frames
        from ..runtime.reader import Reader
        from ..runtime.sources.source import check_outputs, open_frames
        from ..runtime.web.server import WebView

        # Opening the model imports its engine.
        reader = Reader(options.model, options.threads, options.words)
    cv2.setNumThreads(options.threads)
    check_outputs(options.sources, options.save, options.record)
    with ExitStack() as opened:
        view = opened.enter_context(WebView(*options.serve, token=options.token)) if options.serve else None
        frames = opened.enter_context(open_frames(options.sources, options.camera_size))
        if view:
            print(f"lettercast: watch at {view.url}", file=sys.stderr, flush=True)
        outputs = Outputs(
            options.json,
            not options.no_window,
            options.save,
            options.record,
            options.overwrite,
            view,
            view.stay if view and options.max_frames is None else None,
        )
        read_frames(reader, frames, outputs, options.max_frames)
    return DONE
