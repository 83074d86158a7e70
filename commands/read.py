"""The command `read`: it reads letters from cameras, images and videos."""

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from .. import DONE, LettercastError
from ..runtime.arguments import (
    CASES,
    SERVE_HOST,
    SERVE_PORT,
    UPPER,
    device_model,
    file_to_read,
    image_size,
    positive,
    serve_address,
    thread_count,
)
from .parser import add_command, add_engine
from .terminal import importing, open_chosen

EXAMPLES = """\
examples:
  lettercast read                         read letters from camera 0, in a window
  lettercast read page.jpg scans/         read images
  lettercast read film.mp4 --json         read a video, one JSON object per frame
  lettercast read 0 --serve 0.0.0.0       show it in a browser, without a screen
"""
USAGE = "%(prog)s [SOURCE ...] [OPTION ...]"
# What a bundle says that it does with its model.
SUMMARY = "Read letters with {}. In the window, h shows the keys and q or Esc quits."


def add(commands: Any) -> None:
    """Add the subcommand `read` to the parser."""
    command = add_command(
        commands,
        "read",
        help="read letters from a camera, images or video",
        usage=USAGE,
        description="Read handwritten letters. In the window, h shows the keys and q or Esc quits.",
        examples=EXAMPLES,
    )
    add_options(
        command, "letters-base (the default), letters-nano (smaller), letters-digits (digits as well), or a .tflite or .onnx file"
    )


def add_options(command: argparse.ArgumentParser, models: str) -> None:
    """Add the options of reading; `models` is the help of --model."""
    command.add_argument(
        "sources",
        nargs="*",
        default=["0"],
        metavar="SOURCE",
        help="an image, a folder of images, a video, an http or rtsp URL, a camera number, or picamera (picamera:1) for the "
        "camera on a Pi's ribbon cable; a stream that is not up yet is waited for; write ./0 for a file named 0 (default: "
        "camera 0)",
    )
    command.add_argument(
        "--camera-size",
        type=image_size,
        metavar="WxH",
        default="1280x720",
        help="size to ask the camera for; it may give another one near it (default: %(default)s)",
    )
    command.add_argument(
        "--wait",
        action="store_true",
        help="look for a camera that is missing at the start until it is there, as --serve does (default: an error); a camera "
        "that is lost later is always looked for",
    )
    command.add_argument("--model", type=device_model, metavar="M", help=models)
    command.add_argument(
        "--words",
        type=file_to_read,
        metavar="FILE",
        help="also say which words of this list were probably written; UTF-8 text with one word per line, # starts a comment",
    )
    command.add_argument(
        "--language",
        metavar="L",
        help="weigh the alternatives of each letter over its word, as in this language: en, or a file of a fitted one; "
        "names and codes stay as they are, and --json keeps what was seen (default: none)",
    )
    command.add_argument(
        "--case",
        choices=CASES,
        metavar="C",
        default=UPPER,
        help="upper gives all letters as capitals, written in the case in which they were written (default: %(default)s)",
    )
    command.add_argument(
        "--threads", type=thread_count, metavar="N", default=1, help="threads of the engine and of OpenCV (default: %(default)s)"
    )
    add_engine(command)
    command.add_argument("--json", action="store_true", help="print one JSON object per frame, and open no window")
    command.add_argument("--no-window", action="store_true", help="print text only")
    command.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write each image or frame with boxes and letters as PNG to this folder; existing files stay",
    )
    command.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="record a video (.mp4, .avi or .mkv) with boxes and letters; a still image is shown for one second",
    )
    command.add_argument("--overwrite", action="store_true", help="replace the file of --record if it exists")
    command.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    command.add_argument(
        "--serve",
        type=serve_address,
        nargs="?",
        const=f"{SERVE_HOST}:{SERVE_PORT}",
        metavar="HOST:PORT",
        help="show image and text in a browser at http://localhost:8080, and open no window; 0.0.0.0 lets other machines "
        "connect, with the token that is printed at the start; Ctrl-C ends it, and so does --max-frames",
    )
    command.add_argument(
        "--token",
        metavar="T",
        help="token that a browser must show (default: a random one, or none if only this machine can connect)",
    )


def run(options: argparse.Namespace) -> int:
    """Read every frame of every source, and show the results in a window, on stdout, in files or in a browser."""
    if options.token and not options.serve:
        raise LettercastError("--token: protects what --serve shows; add --serve")
    with importing():
        import cv2

        from ..runtime.console import say
        from ..runtime.health.health import Health
        from ..runtime.health.systemd import Notifier
        from ..runtime.live.loop import Outputs, read_frames
        from ..runtime.reader import Reader
        from ..runtime.sources.source import check_outputs, open_frames
        from ..runtime.web.server import WebView

        # Opening the model imports its engine.
        reader = Reader(open_chosen(options), options.threads, options.words, options.language, options.case)
    cv2.setNumThreads(options.threads)
    check_outputs(options.sources, options.save, options.record)
    health, systemd = Health(reader.engine.facts.name), Notifier()
    health.on_progress.append(partial(systemd.progress, health))
    with ExitStack() as opened:
        view = opened.enter_context(WebView(*options.serve, token=options.token, health=health)) if options.serve else None
        address = [f"watch at {view.url}"] if view else []
        if view:
            health.on_state.append(view.set_state)

        def wait(message: str) -> None:
            # Whoever waits for a stream can open the page meanwhile.
            while address:
                say(address.pop())
            say(message)
            health.detail = message
            systemd.ready()

        frames = opened.enter_context(
            open_frames(
                options.sources,
                options.camera_size,
                wait,
                keep_looking=bool(options.wait or view or systemd.is_there),
                on_attempt=health.attempted,
            )
        )
        health.cameras = frames.cameras
        while address:
            say(address.pop())
        systemd.ready()
        opened.callback(systemd.stopping)
        outputs = Outputs(
            options.json,
            not options.no_window,
            options.save,
            options.record,
            options.overwrite,
            view,
            partial(view.stay, health.finish) if view and options.max_frames is None else None,
            health,
        )
        read_frames(reader, frames, outputs, options.max_frames)
    return DONE
