"""The window and its keys: with simulated keys, and in a real X server if there is one."""

import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime import Reader
from lettercast.runtime.live.display import KEYS, MIN_CONTROL_KEY, Window, free_path, has_display, mirrored
from lettercast.runtime.live.overlay import Status
from lettercast.runtime.pixels import Frame
from lettercast.runtime.text import Letter, Line, Page, Word

# A limit for what must happen; only a failing test reaches it.
WAIT_S = 240


@pytest.fixture(scope="module")
def live(draw_page) -> tuple[Frame, Page]:
    """A frame of a camera, and what is read on it."""
    image = draw_page("ABC", "DEF")[0]
    return Frame("0", 7, image, is_live=True), Reader().read(image)


@pytest.fixture
def press(tmp_path, monkeypatch, live):
    """Return a function that shows a frame while keys are pressed, and returns whether to continue and the drawn images."""

    def run(window: Window, *keys: str | None, frame: Frame = live[0]):
        drawn, pressed = [], iter(keys)
        monkeypatch.setattr(window, "_display", drawn.append)
        monkeypatch.setattr(window, "_key", lambda wait_ms: next(pressed))
        continues = window.show(frame, live[1], Status)
        assert next(pressed, "all were pressed") == "all were pressed"
        return continues, drawn

    return run


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_quit(press, tmp_path, key):
    assert press(Window(tmp_path), key)[0] is False


@pytest.mark.parametrize("key", [None, "x"])
def test_other_keys_do_not_stop_a_camera(press, tmp_path, key):
    assert press(Window(tmp_path), key)[0] is True


def test_a_frozen_frame_stays_until_space_is_pressed_again(press, tmp_path):
    window = Window(tmp_path)
    continues, drawn = press(window, " ", None, None, "x", " ")
    assert continues and not window.frozen
    assert len(drawn) == 2
    assert (drawn[0] != drawn[1])[-20:].any()


def test_q_quits_from_a_frozen_frame(press, tmp_path):
    assert press(Window(tmp_path), " ", "q")[0] is False


@pytest.mark.parametrize("key", [" ", "n", "\r"])
def test_a_still_image_stays_until_a_key_is_pressed(press, tmp_path, live, key):
    window = Window(tmp_path)
    continues, drawn = press(window, None, None, key, frame=Frame("p.png", 0, live[0].image, is_still=True))
    assert continues and not window.frozen
    assert len(drawn) == 1


def test_switches_redraw_a_still_image_without_leaving_it(press, tmp_path, live):
    _, drawn = press(Window(tmp_path), "b", "m", "h", "n", frame=Frame("p.png", 0, live[0].image, is_still=True))
    assert len(drawn) == 4
    assert all((one != other).any() for one, other in itertools.pairwise(drawn))


def test_a_snapshot_writes_image_and_json_and_replaces_nothing(press, tmp_path, live, capsys):
    window = Window(tmp_path, mirrored=True)
    (tmp_path / "0-000007.json").write_text("mine")
    press(window, "s")
    press(window, "s")
    assert {path.name for path in tmp_path.iterdir()} == {"0-000007.json"} | {
        f"0-000007-{i}.{suffix}" for i in (2, 3) for suffix in ("png", "json")
    }
    assert (tmp_path / "0-000007.json").read_text() == "mine"
    record = json.loads((tmp_path / "0-000007-2.json").read_text())
    assert (record["source"], record["frame"], record["text"]) == ("0", 7, "ABC\nDEF")
    image = cv2.imread(str(tmp_path / "0-000007-2.png"))
    assert image.shape == live[0].image.shape
    # Not mirrored, so that the boxes fit.
    x, y, w, h = record["lines"][0]["letters"][0]["box"]
    np.testing.assert_array_equal(image[y : y + h, x : x + w], live[0].image[y : y + h, x : x + w])
    assert capsys.readouterr().err.count("lettercast: snapshot") == 2


def test_a_snapshot_that_fails_is_reported_and_the_camera_continues(press, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert press(Window(tmp_path / "taken"), "s")[0] is True
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_recording_that_cannot_start_is_reported(press, tmp_path, capsys):
    def fail() -> None:
        raise LettercastError("no room")

    assert press(Window(tmp_path, record=fail), "r")[0] is True
    assert "no room" in capsys.readouterr().err


def test_the_mirror_flips_the_image_but_neither_text_nor_labels(live, tmp_path):
    frame, page = live
    plain, turned = (Window(tmp_path, mirrored=on).draw(frame.image, page, Status()) for on in (False, True))
    height, width = frame.image.shape[:2]
    np.testing.assert_array_equal(plain[height:], turned[height:])
    x, y, w, h = page.letters[0].box
    ink = plain[y : y + h, x : x + w]
    np.testing.assert_array_equal(cv2.flip(turned[y : y + h, width - x - w : width - x], 1), ink)
    assert (cv2.flip(turned[:height], 1) != plain[:height]).any()


def test_a_mirrored_page_has_the_order_of_the_mirrored_image():
    letters = (Letter("A", 0.9, (10, 5, 20, 30)), Letter("B", 0.9, (50, 5, 20, 30)))
    page = Page((100, 50), (Line((Word(letters),)),), 1.0, 1.0)
    assert [(one.letter, one.box) for one in mirrored(page).letters] == [("B", (30, 5, 20, 30)), ("A", (70, 5, 20, 30))]
    assert mirrored(mirrored(page)) == page


def test_the_binarized_view_shows_only_ink(live, tmp_path):
    frame, page = live
    image = Window(tmp_path, binarized=True).draw(frame.image, page, Status())
    x, y, w, h = page.letters[0].box
    assert set(np.unique(image[y : y + h, x : x + w])) == {0, 255}


def test_help_names_every_key():
    help_text = " ".join(written for written, _, _ in KEYS.values()).lower()
    names = {" ": "space", "\x1b": "esc"}
    assert all(names.get(key, key) in help_text for key in KEYS)
    assert all(ord(key) < MIN_CONTROL_KEY for key in KEYS)


def test_a_free_path_is_free_with_every_suffix(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.json").touch()
    assert free_path(tmp_path, "a", ".png", ".json") == tmp_path / "a-3.png"
    assert free_path(tmp_path, "b", ".png") == tmp_path / "b.png"


def test_without_a_display_there_is_no_window(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()


@pytest.fixture(scope="module")
def screen() -> Iterator[dict[str, str]]:
    """The environment of a virtual screen."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("no Xvfb and xdotool here")
    read_end, write_end = os.pipe()
    line = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(line, pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with os.fdopen(read_end) as number:
            yield {**os.environ, "DISPLAY": f":{number.readline().strip()}", "QT_LOGGING_RULES": "*=false"}
    finally:
        server.terminate()
        server.wait(WAIT_S)


@pytest.fixture
def opened(screen, tmp_path):
    """Return a function that starts `lettercast read`, waits for its window, and returns the process and an xdotool function."""
    started = []

    def start(*words: object, code: str = ""):
        line = [sys.executable, *(("-c", code) if code else ("-m", "lettercast", "read")), *map(str, words)]
        process = subprocess.Popen(line, env=screen, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)

        def xdotool(*words: str) -> str:
            done = subprocess.run(["xdotool", *words], env=screen, capture_output=True, text=True, timeout=WAIT_S, check=True)
            return done.stdout.strip()

        window = xdotool("search", "--sync", "--onlyvisible", "--name", "lettercast").split()[-1]
        xdotool("windowfocus", "--sync", window)
        return process, lambda *words: xdotool(*[window if word == "WINDOW" else word for word in words])

    yield start
    for process in started:
        process.kill()
        process.wait(WAIT_S)
        process.stdout.close()
        process.stderr.close()


class ClientMessage(ctypes.Structure):
    """The message of a window manager when you click the close button; as long as the union that X11 copies."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 12),
    ]


def ask_to_close(display: str, window: int) -> None:
    """Send a window the message of its close button."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype, x11.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
    server = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    protocols, delete = (x11.XInternAtom(server, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = ClientMessage(33, 0, 1, None, window, protocols, 32, (ctypes.c_long * 5)(delete, 0))
    x11.XSendEvent(server, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(server)


def test_the_real_window_saves_snapshots_continues_and_quits(opened, page_file, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(page_file.read_bytes())
    process, xdotool = opened(page_file, other)
    # A capital, as with caps lock on, and keys without a meaning here.
    xdotool("key", "Left", "Up", "F1", "h", "b", "m", "S")
    assert "snapshot page-000000.png" in process.stderr.readline()
    xdotool("key", "space")
    # Three lines per image: the next image is on the screen when its first line arrives.
    printed = [process.stdout.readline() for _ in range(4)]
    xdotool("key", "s")
    assert "snapshot other-000000.png" in process.stderr.readline()
    xdotool("key", "q")
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read() == ""
    printed = "".join(printed) + process.stdout.read()
    assert [line for line in printed.splitlines() if ":" not in line] == ["ABC", "DEF"] * 2


def test_the_real_window_handles_keys_while_a_camera_hangs(opened, page_file, tmp_path):
    code = """
import cv2, sys, threading
from lettercast.runtime import Reader
from lettercast.runtime.sources.camera import Camera
from lettercast.runtime.sources.camera import Timeouts
from lettercast.runtime.live.loop import Outputs, read_frames
from lettercast.runtime.sources.source import Frames

class Hanging:
    images = [cv2.imread(sys.argv[1])] * 3
    def read(self):
        return (True, self.images.pop()) if self.images else (False, threading.Event().wait())
    def release(self):
        pass

with Frames([Camera("0", Hanging, Timeouts(silence_s=1000, release_s=0.1))]) as frames:
    assert read_frames(Reader(), frames, Outputs()) > 0
print("left")
"""
    process, xdotool = opened(page_file, code=code)
    xdotool("key", "s")
    assert "snapshot 0-00000" in process.stderr.readline()
    xdotool("key", "q")
    assert (process.wait(WAIT_S), process.stderr.read()) == (0, "")
    # The last text is printed all the same.
    assert process.stdout.read().splitlines()[-3:] == ["ABC", "DEF", "left"]


def test_the_real_window_records(opened, page_file, tmp_path):
    process, xdotool = opened(page_file, page_file)
    xdotool("key", "r")
    assert "recording to lettercast-" in process.stderr.readline()
    xdotool("key", "space")
    assert [process.stdout.readline() for _ in range(4)]
    xdotool("key", "r")
    assert "recorded lettercast-" in process.stderr.readline()
    xdotool("key", "Escape")
    assert process.wait(WAIT_S) == 0
    assert cv2.VideoCapture(str(next(tmp_path.glob("lettercast-*.mp4")))).read()[0]


def test_the_close_button_of_the_window_quits(opened, screen, page_file):
    process, xdotool = opened(page_file)
    ask_to_close(screen["DISPLAY"], int(xdotool("getwindowfocus")))
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read() == ""
