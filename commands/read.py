"""The command `read`: it reads letters from cameras, images and videos."""

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from textwrap import fill
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
from ..runtime.publish.address import PASSWORD_VARIABLE, TOKEN_VARIABLE, find_secret, mqtt_address, webhook_address
from .parser import add_command, add_engine, add_hand
from .terminal import importing, open_chosen

EXAMPLES = """\
examples:
  lettercast read                        read letters from camera 0, in a window
  lettercast read page.jpg scans/        read images
  lettercast read film.mp4 --json        read a video, one JSON object per frame
  lettercast read 0 --serve 0.0.0.0      show it in a browser, without a screen
  lettercast read 0 --serve --mqtt mqtt://broker.local
                                         publish what it reads, too
  lettercast read scans/ --out letters.parquet
                                         read an archive of pages into tables
"""
USAGE = "%(prog)s [SOURCE ...] [OPTION ...]"
# What a bundle says that it does with its model.
SUMMARY = "Read letters with {}. In the window, h shows the keys and q or Esc quits."


def add(commands: Any) -> None:
    """Add the subcommand `read` to the parser."""
    from . import archive

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
    # A bundle for a device has no archives.
    archive.add_options(command)


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
    add_hand(command)
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
    add_publishing(command)


def add_publishing(command: argparse.ArgumentParser) -> None:
    """Add the options of publishing."""
    publishing = command.add_argument_group(
        "publishing",
        fill(
            "Send each text that stands still, or of an image, to other machines. What cannot be sent waits on the disk, also "
            "across restarts, and is tried again until it arrives."
        ),
    )
    publishing.add_argument(
        "--mqtt",
        type=mqtt_address,
        metavar="URL",
        help="publish to a broker: mqtt://[USER@]HOST[:PORT][/TOPIC], or mqtts:// for an encrypted connection (default topic: "
        "lettercast/ and the name of this machine); Home Assistant finds it by itself",
    )
    publishing.add_argument(
        "--mqtt-password-file",
        type=file_to_read,
        metavar="FILE",
        help=f"file that holds the password of USER (default: the variable {PASSWORD_VARIABLE})",
    )
    publishing.add_argument(
        "--webhook", type=webhook_address, metavar="URL", help="post each text as JSON to this http or https URL"
    )
    publishing.add_argument(
        "--webhook-token-file",
        type=file_to_read,
        metavar="FILE",
        help=f"file that holds a bearer token for --webhook (default: the variable {TOKEN_VARIABLE}, or none)",
    )
    publishing.add_argument(
        "--queue",
        type=Path,
        metavar="DIR",
        help="folder for texts that wait; each reader needs its own (default: the state folder of the service or of your user)",
    )


def run(options: argparse.Namespace) -> int:
    """Read every frame of every source, and show the results in a window, on stdout, in files or in a browser."""
    if getattr(options, "out", None):
        from . import archive

        return archive.run(options)
    if unfit := next((name for name in ("processes", "retry_errors") if getattr(options, name, None)), None):
        raise LettercastError(f"--{unfit.replace('_', '-')}: is for --out; add --out letters.parquet")
    if options.token and not options.serve:
        raise LettercastError("--token: protects what --serve shows; add --serve")
    check_publishing(options)
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
        publisher = None
        if options.mqtt or options.webhook:
            from ..runtime.publish.open import open_publisher

            password, token = find_secrets(options)
            publisher = opened.enter_context(
                open_publisher(
                    options.mqtt,
                    options.webhook,
                    password,
                    token,
                    folder=options.queue,
                    is_reading=lambda: health.is_well,
                )
            )
            health.receivers = publisher.workers

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
                keep_looking=bool(options.wait or view or publisher or systemd.is_there),
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
            publisher,
        )
        read_frames(reader, frames, outputs, options.max_frames)
    return DONE


def check_publishing(options: argparse.Namespace) -> None:
    """Check that the options of publishing belong together; raises LettercastError if they do not."""
    if options.mqtt_password_file and not (options.mqtt and options.mqtt.user):
        raise LettercastError("--mqtt-password-file: the password belongs to a user; add --mqtt mqtt://USER@HOST")
    if options.webhook_token_file and not options.webhook:
        raise LettercastError("--webhook-token-file: is for --webhook; add --webhook URL")
    if options.queue and not (options.mqtt or options.webhook):
        raise LettercastError("--queue: holds texts for --mqtt and --webhook; add one of them")


def find_secrets(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return the password of the broker's user and the token of the web address, as far as they are needed and given."""
    has_user = options.mqtt and options.mqtt.user is not None
    return (
        find_secret("--mqtt-password-file", options.mqtt_password_file, PASSWORD_VARIABLE) if has_user else None,
        find_secret("--webhook-token-file", options.webhook_token_file, TOKEN_VARIABLE) if options.webhook else None,
    )
