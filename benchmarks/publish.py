"""Kill the reader and its broker again and again, and count the texts that are lost or come twice.

It needs mosquitto (Debian: mosquitto). A camera on the network shows pages one after the other. `lettercast read --mqtt` reads
them, a subscriber collects the texts, and both reader and broker are killed with -9 at random moments.

Maintainer's command:

    python -m lettercast.benchmarks.publish [--kills N] [--backlog N] [--json FILE]
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from .. import DONE, MISSED, UNUSABLE, LettercastError
from ..runtime.arguments import natural
from ..runtime.files import write_bytes
from ..runtime.pixels import Frame, Pixels
from ..runtime.publish.address import mqtt_address
from ..runtime.publish.mqtt import import_paho
from ..runtime.publish.open import open_publisher
from ..runtime.text import Letter, Line, Page, Word
from ..train.data.drawing import draw_ink
from ..train.data.pen import load_pen

HOST, TOPIC = "127.0.0.1", "soak/letters"
READER, BROKER = "reader", "broker"
# Only a failing run reaches it.
LIMIT_S = 120.0
FRAME_S, LETTERS_PER_PAGE = 0.05, 3
# A kill comes up to so long after a page was shown, and the broker stays away up to so long.
MAX_MOMENT_S, MAX_AWAY_S = 1.5, 2.0
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous {anonymous}
persistence true
persistence_location {folder}/
# The subscriptions and messages of a broker that is killed are those on its disk.
autosave_on_changes true
autosave_interval 1
"""


@dataclass(frozen=True)
class Tally:
    """What arrived of the texts that were sent.

    Attributes:
        kills: how often each process was killed.
        pages: pages that were shown until they were read.
        texts: texts that arrived, each identifier once.
        repeats: messages that came again with an identifier that was there before, as quality of service 1 allows.
        lost: texts whose number is missing, printed texts and shown pages that did not arrive.
        twice: texts that came again under another identifier, or out of order.
        seconds: how long it took.
    """

    kills: dict[str, int]
    pages: int
    texts: int
    repeats: int
    lost: int
    twice: int
    seconds: float


@dataclass
class Broker:
    """A mosquitto on a free port of this machine, to be used in a `with`."""

    folder: Path
    password_file: Path | None = None
    # A self-signed certificate, with its key in key.pem beside it, for encrypted connections only.
    certificate: Path | None = None
    port: int = 0
    _process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers; raises LettercastError if it is not installed."""
        program = find_mosquitto()
        if program is None:
            raise LettercastError("mosquitto is not installed: sudo apt install mosquitto")
        self.port = self.port or free_port()
        configuration = CONFIGURATION.format(
            port=self.port, folder=self.folder, anonymous=str(self.password_file is None).lower()
        )
        if self.password_file:
            configuration += f"password_file {self.password_file}\n"
        if self.certificate:
            configuration += f"certfile {self.certificate}\nkeyfile {self.certificate.with_name('key.pem')}\n"
        path = self.folder / "mosquitto.conf"
        path.write_text(configuration)
        # As root it would become another user, who may not write to the folder.
        words = [program, "-c", str(path)]
        if os.geteuid() == 0:
            path.write_text(f"user root\n{configuration}")
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, "mosquitto does not start")

    def kill(self) -> None:
        """Kill it with -9."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


class Subscriber:
    """Collects all messages below a topic, in a session that the broker keeps for it, to be used in a `with`."""

    def __init__(self, port: int, topic: str, name: str = "subscriber") -> None:
        library = import_paho()
        versions = getattr(library, "CallbackAPIVersion", None)
        options: dict[str, Any] = {"client_id": name, "clean_session": False}
        self.messages: list[tuple[str, str, bool]] = []
        self._client = library.Client(versions.VERSION2, **options) if versions else library.Client(**options)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.on_message = lambda client, data, one: self.messages.append((one.topic, one.payload.decode(), one.retain))
        self._port, self._is_leaving = port, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def texts(self, topic: str) -> list[dict[str, Any]]:
        """Return the JSON objects that came to a topic."""
        return [json.loads(payload) for one, payload, _ in self.messages if one == topic]

    def values(self, topic: str) -> list[str]:
        """Return the words that came to a topic."""
        return [payload for one, payload, _ in self.messages if one == topic]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving.set()
        self._thread.join()
        self._client.disconnect()

    def _run(self) -> None:
        while not self._is_leaving.is_set():
            try:
                self._client.connect(HOST, self._port, 10)
                while not self._is_leaving.is_set() and not self._client.loop(0.05):
                    pass
            except OSError:
                # It is back before the reader is, which waits for a second at least.
                self._is_leaving.wait(0.02)


class Screen(ThreadingHTTPServer):
    """A camera on the network that shows one image, at any path, until it shows the next."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), ScreenRequest)
        self.jpeg = b""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/live"

    def show(self, image: Pixels) -> None:
        """Show an image from the next frame on."""
        self.jpeg = cv2.imencode(".jpg", image)[1].tobytes()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that was killed is no error."""


class ScreenRequest(BaseHTTPRequestHandler):
    """One connection of a reader."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Send the image again and again."""
        screen: Any = self.server
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            part = screen.jpeg
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(part), part))
            time.sleep(FRAME_S)


@dataclass
class KilledReader:
    """`lettercast read --mqtt`, started again whenever it was killed; `printed` holds the texts of all of them."""

    url: str
    broker: str
    queue: Path
    printed: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start it."""
        words = ["read", self.url, "--no-window", "--model", "letters-nano", "--mqtt", self.broker, "--queue", str(self.queue)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lettercast", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._thread = threading.Thread(target=self._collect, args=(self._process,), daemon=True)
        self._thread.start()

    def stop(self, how: int = signal.SIGKILL) -> None:
        """End it, and take what it printed to the end."""
        self._process.send_signal(how)
        self._process.wait(LIMIT_S)
        self._thread.join(LIMIT_S)

    def _collect(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        with process.stdout:
            # A text has one line here, below a line that names the frame; the last one may be cut off.
            self.printed.extend(line.strip() for line in process.stdout if line.endswith("\n") and ": " not in line)


def kill_both(kills: int, folder: Path, seed: int = 0) -> Tally:
    """Show pages while reader and broker are killed so many times each, and return what arrived."""
    rng, began = np.random.default_rng(seed), time.monotonic()
    done: dict[str, int] = {READER: 0, BROKER: 0}
    # In turns, at random moments.
    order = list(rng.permutation([READER, BROKER] * kills))
    shown: list[str] = []
    (folder / "broker").mkdir()
    with ExitStack() as opened:
        broker = opened.enter_context(Broker(folder / "broker"))
        subscriber = opened.enter_context(Subscriber(broker.port, f"{TOPIC}/text"))
        until(lambda: knows(broker.folder), "the broker does not keep the subscription")
        screen = opened.enter_context(closing_server(Screen()))
        reader = KilledReader(screen.url, f"mqtt://{HOST}:{broker.port}/{TOPIC}", folder / "queue")
        screen.show(draw_page("", rng))
        reader.start()
        opened.callback(reader.stop)
        while order or len(shown) < 2:
            text = next_text(shown, rng)
            screen.show(draw_page(text, rng))
            before = len(reader.printed)
            shown.append(text)
            if order:
                time.sleep(rng.uniform(0, MAX_MOMENT_S))
                who = str(order.pop())
                done[who] += 1
                if who == READER:
                    reader.stop()
                    reader.start()
                else:
                    broker.kill()
                    time.sleep(rng.uniform(0, MAX_AWAY_S))
                    broker.start()
            until(lambda before=before: len(reader.printed) > before, f"{text} is not read")
        reader_texts = f"{TOPIC}/text"
        # Everything that was printed arrives in the end.
        until(
            lambda: [one["text"] for one in subscriber.texts(reader_texts)][-1:] == reader.printed[-1:],
            f"{reader.printed[-1]} does not arrive",
        )
        reader.stop(signal.SIGTERM)
        return tally(subscriber.texts(reader_texts), reader.printed, done, len(shown), time.monotonic() - began)


def send_backlog(count: int, folder: Path) -> Tally:
    """Store so many texts while there is no broker, then start it, and return what arrived."""
    (folder / "broker").mkdir()
    broker, began = Broker(folder / "broker", port=free_port()), time.monotonic()
    address = mqtt_address(f"mqtt://{HOST}:{broker.port}/{TOPIC}")
    texts = [f"{number:05d}" for number in range(count)]
    with ExitStack() as opened:
        opened.callback(broker.kill)
        publisher = opened.enter_context(open_publisher(address, folder=folder / "queue"))
        for number, text in enumerate(texts):
            publisher.offer(*frame_of(text, number))
        broker.start()
        subscriber = opened.enter_context(Subscriber(broker.port, f"{TOPIC}/text"))
        until(lambda: len(subscriber.texts(f"{TOPIC}/text")) >= count, "not every text arrives")
        return tally(subscriber.texts(f"{TOPIC}/text"), texts, {BROKER: 0, READER: 0}, count, time.monotonic() - began)


def tally(arrived: list[dict[str, Any]], printed: Sequence[str], kills: dict[str, int], pages: int, seconds: float) -> Tally:
    """Compare what arrived with what was printed: nothing may be missing, nothing may be there twice."""
    once = list({message["id"]: message for message in arrived}.values())
    numbers = [int(message["id"].rpartition("-")[2]) for message in once]
    texts = [message["text"] for message in once]
    missing = set(range(1, max(numbers, default=0) + 1)) - set(numbers)
    # A reader that was started again prints the text that it sees, but it publishes it only if that was not done before.
    unheard = lacking(without_repeats(printed), [text for text in texts if text])
    again = sum(before == after for before, after in pairwise(texts))
    out_of_order = sum(before > after for before, after in pairwise(numbers))
    return Tally(
        kills, pages, len(once), len(arrived) - len(once), len(missing) + unheard, again + out_of_order, round(seconds, 1)
    )


def without_repeats(texts: Sequence[str]) -> list[str]:
    """Return texts without those that equal the one before."""
    return [text for place, text in enumerate(texts) if not place or text != texts[place - 1]]


def lacking(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return how many of the wanted texts do not come in this order among those that were found."""
    place, count = 0, 0
    for text in wanted:
        try:
            place = found.index(text, place) + 1
        except ValueError:
            count += 1
    return count


def frame_of(text: str, number: int) -> tuple[Frame, Page]:
    """Return a frame of a camera with a text in one line, as if it had been read."""
    letters = tuple(Letter(letter, 0.9, (0, 0, 9, 9), ()) for letter in text)
    lines = (Line((Word(letters),)),) if letters else ()
    return Frame("0", number, np.zeros((4, 4), np.uint8), is_live=True), Page((4, 4), lines, 1.0, 1.0)


def next_text(shown: Sequence[str], rng: np.random.Generator) -> str:
    """Return letters that the page before does not have, so that no text looks like the one before."""
    free = sorted(set("ABCDEFGHKLMNPRSTUWXYZ") - set(shown[-1] if shown else ""))
    return "".join(rng.choice(free, LETTERS_PER_PAGE, replace=False))


def draw_page(text: str, rng: np.random.Generator, cell: int = 80, side: int = 50) -> Pixels:
    """Return a page (H, W) uint8 with one line of the built-in pen's letters."""
    page, pen = np.full((2 * cell, (LETTERS_PER_PAGE + 1) * cell), 225, np.uint8), load_pen()
    for place, letter in enumerate(text):
        ink = draw_ink(pen.sample(ord(letter) - ord("A"), rng, True), side, 5)
        height, width = ink.shape
        y, x = cell - height // 2, (place + 1) * cell - width // 2
        page[y : y + height, x : x + width] = np.minimum(page[y : y + height, x : x + width], 255 - ink)
    return page


def closing_server(server: Screen) -> Any:
    """Serve in a thread until the `with` ends."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    stack = ExitStack()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return Entered(server, stack)


@dataclass
class Entered:
    """A server, and how to end it."""

    server: Screen
    stack: ExitStack

    def __enter__(self) -> Screen:
        return self.server

    def __exit__(self, *_: object) -> None:
        self.stack.close()


def knows(folder: Path) -> bool:
    """Tell whether a broker has written its subscriptions to the disk."""
    stored = folder / "mosquitto.db"
    return stored.exists() and TOPIC.encode() in stored.read_bytes()


def free_port() -> int:
    """Return a port that nobody uses."""
    with closing(socket.create_server((HOST, 0))) as listening:
        return listening.getsockname()[1]


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, which Debian installs where only root looks; None if it is not installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until a condition holds; raises LettercastError if it does not within LIMIT_S."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > end:
            raise LettercastError(otherwise)
        time.sleep(0.02)


def describe(result: Tally) -> str:
    """Return the figures as a line of text."""
    return (
        f"{result.pages} texts shown, reader killed {result.kills[READER]} times, broker {result.kills[BROKER]} times: "
        f"{result.texts} arrived, {result.repeats} repeats with the same identifier, {result.lost} lost, {result.twice} twice "
        f"({result.seconds:g} s)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what arrived, and return the exit code: 1 if a text is lost or comes twice."""
    parser = argparse.ArgumentParser(prog="python -m lettercast.benchmarks.publish", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--kills", type=natural, default=20, metavar="N", help="how often to kill each of both (default: %(default)s)"
    )
    parser.add_argument(
        "--backlog",
        type=natural,
        default=3600,
        metavar="N",
        help="then store so many texts without a broker, and start it: one a second for an hour (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args(arguments)
    results: list[Tally] = []
    try:
        for measure, count in ((kill_both, options.kills), (send_backlog, options.backlog)):
            if count:
                with tempfile.TemporaryDirectory() as folder:
                    results.append(measure(count, Path(folder)))
                print(describe(results[-1]), flush=True)
        if options.json:
            write_bytes(options.json, json.dumps([asdict(result) for result in results], indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    return MISSED if any(result.lost or result.twice for result in results) else DONE


if __name__ == "__main__":
    sys.exit(main())
