"""The window and its keys: with keys that a list presses, and in a real X server where there is one."""

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
from lettercast.runtime.live.display import FIRST_SILENT_KEY, KEYS, Window, free_path, has_display, mirrored
from lettercast.runtime.live.overlay import Status
from lettercast.runtime.pixels import Frame
from lettercast.runtime.text import Letter, Line, Page, Word

WAIT_S = 60


@pytest.fixture(scope="module")
def live(draw_page) -> tuple[Frame, Page]:
    """A camera's frame, and what is read on it."""
    image = draw_page("ABC", "DEF")[0]
    return Frame("0", 7, image, is_live=True), Reader().read(image)


@pytest.fixture
def press(tmp_path, monkeypatch, live):
    """Return a function that shows a frame while these keys are pressed, one a wait: whether to go on, and what was drawn."""

    def run(window: Window, *keys: str | None, frame: Frame = live[0]):
        drawn, pressed = [], iter(keys)
        monkeypatch.setattr(window, "_put", drawn.append)
        monkeypatch.setattr(window, "_key", lambda wait_ms: next(pressed))
        goes_on = window.show(frame, live[1], Status)
        assert next(pressed, "all were pressed") == "all were pressed"
        return goes_on, drawn

    return run


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_quit(press, tmp_path, key):
    assert press(Window(tmp_path), key)[0] is False


@pytest.mark.parametrize("key", [None, "x"])
def test_a_camera_goes_on_whatever_else_is_pressed(press, tmp_path, key):
    assert press(Window(tmp_path), key)[0] is True


def test_a_frozen_frame_stays_until_space_is_pressed_again(press, tmp_path):
    window = Window(tmp_path)
    goes_on, drawn = press(window, " ", None, None, "x", " ")
    assert goes_on and not window.frozen
    assert len(drawn) == 2
    assert (drawn[0] != drawn[1])[-20:].any()


def test_a_frozen_frame_can_be_left_by_q(press, tmp_path):
    assert press(Window(tmp_path), " ", "q")[0] is False


@pytest.mark.parametrize("key", [" ", "n", "\r"])
def test_a_still_picture_stays_until_a_key_moves_on(press, tmp_path, live, key):
    window = Window(tmp_path)
    goes_on, drawn = press(window, None, None, key, frame=Frame("p.png", 0, live[0].image, is_still=True))
    assert goes_on and not window.frozen
    assert len(drawn) == 1


def test_switches_leave_a_still_picture_where_it_is(press, tmp_path, live):
    _, drawn = press(Window(tmp_path), "b", "m", "h", "n", frame=Frame("p.png", 0, live[0].image, is_still=True))
    assert len(drawn) == 4
    assert all((one != other).any() for one, other in itertools.pairwise(drawn))


def test_a_snapshot_is_a_picture_and_its_json_and_replaces_none(press, tmp_path, live, capsys):
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
    picture = cv2.imread(str(tmp_path / "0-000007-2.png"))
    assert picture.shape == live[0].image.shape
    # As the camera saw it, so that the boxes fit.
    x, y, w, h = record["lines"][0]["letters"][0]["box"]
    np.testing.assert_array_equal(picture[y : y + h, x : x + w], live[0].image[y : y + h, x : x + w])
    assert capsys.readouterr().err.count("lettercast: snapshot") == 2


def test_a_snapshot_that_cannot_be_written_is_said_and_the_camera_goes_on(press, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert press(Window(tmp_path / "taken"), "s")[0] is True
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_recording_that_cannot_begin_is_said(press, tmp_path, capsys):
    def fail() -> None:
        raise LettercastError("no room")

    assert press(Window(tmp_path, record=fail), "r")[0] is True
    assert "no room" in capsys.readouterr().err


def test_the_mirror_turns_the_view_and_neither_text_nor_labels(live, tmp_path):
    frame, page = live
    plain, turned = (Window(tmp_path, mirrored=on).draw(frame.image, page, Status()) for on in (False, True))
    height, width = frame.image.shape[:2]
    np.testing.assert_array_equal(plain[height:], turned[height:])
    x, y, w, h = page.letters[0].box
    ink = plain[y : y + h, x : x + w]
    np.testing.assert_array_equal(cv2.flip(turned[y : y + h, width - x - w : width - x], 1), ink)
    assert (cv2.flip(turned[:height], 1) != plain[:height]).any()


def test_a_mirrored_page_is_in_the_order_that_is_seen():
    letters = (Letter("A", 0.9, (10, 5, 20, 30)), Letter("B", 0.9, (50, 5, 20, 30)))
    page = Page((100, 50), (Line((Word(letters),)),), 1.0, 1.0)
    assert [(one.letter, one.box) for one in mirrored(page).letters] == [("B", (30, 5, 20, 30)), ("A", (70, 5, 20, 30))]
    assert mirrored(mirrored(page)) == page


def test_the_binarized_view_shows_ink_only(live, tmp_path):
    frame, page = live
    picture = Window(tmp_path, binarized=True).draw(frame.image, page, Status())
    x, y, w, h = page.letters[0].box
    assert set(np.unique(picture[y : y + h, x : x + w])) == {0, 255}


def test_help_names_every_key():
    told = " ".join(written for written, _, _ in KEYS.values()).lower()
    names = {" ": "space", "\x1b": "esc"}
    assert all(names.get(key, key) in told for key in KEYS)
    assert all(ord(key) < FIRST_SILENT_KEY for key in KEYS)


def test_a_free_path_is_free_for_every_suffix(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.json").touch()
    assert free_path(tmp_path, "a", ".png", ".json") == tmp_path / "a-3.png"
    assert free_path(tmp_path, "b", ".png") == tmp_path / "b.png"


def test_without_a_display_no_window_is_tried(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()


@pytest.fixture(scope="module")
def screen() -> Iterator[dict[str, str]]:
    """The environment of a screen that nobody sees."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("no Xvfb and xdotool here")
    told, tells = os.pipe()
    line = ["Xvfb", "-displayfd", str(tells), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(line, pass_fds=[tells], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(tells)
    try:
        with os.fdopen(told) as number:
            yield {**os.environ, "DISPLAY": f":{number.readline().strip()}", "QT_LOGGING_RULES": "*=false"}
    finally:
        server.terminate()
        server.wait(WAIT_S)


@pytest.fixture
def opened(screen, tmp_path):
    """Return a function that starts `lettercast read` and waits for its window: the process, and a function for xdotool."""
    started = []

    def start(*words: object, code: str = ""):
        line = [sys.executable, *(("-c", code) if code else ("-m", "lettercast", "read")), *map(str, words)]
        process = subprocess.Popen(line, env=screen, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)

        def xdotool(*told: str) -> str:
            done = subprocess.run(["xdotool", *told], env=screen, capture_output=True, text=True, timeout=WAIT_S, check=True)
            return done.stdout.strip()

        window = xdotool("search", "--sync", "--onlyvisible", "--name", "lettercast").split()[-1]
        xdotool("windowfocus", "--sync", window)
        return process, lambda *told: xdotool(*[window if word == "WINDOW" else word for word in told])

    yield start
    for process in started:
        process.kill()
        process.wait(WAIT_S)
        process.stdout.close()
        process.stderr.close()


class ClientMessage(ctypes.Structure):
    """What a window manager sends where a person clicks the X; filled up to the size of the union that X11 copies."""

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
    """Click the X of a window, so to say."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype, x11.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
    server = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    protocols, delete = (x11.XInternAtom(server, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = ClientMessage(33, 0, 1, None, window, protocols, 32, (ctypes.c_long * 5)(delete, 0))
    x11.XSendEvent(server, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(server)


def test_the_real_window_takes_snapshots_moves_on_and_quits(opened, page_file, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(page_file.read_bytes())
    process, xdotool = opened(page_file, other)
    # A capital, as with caps lock on, and keys that mean something only to other programs.
    xdotool("key", "Left", "Up", "F1", "h", "b", "m", "S")
    assert "snapshot page-000000.png" in process.stderr.readline()
    xdotool("key", "space")
    # Three lines a picture: the next one is on the screen once its first is here.
    said = [process.stdout.readline() for _ in range(4)]
    xdotool("key", "s")
    assert "snapshot other-000000.png" in process.stderr.readline()
    xdotool("key", "q")
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read() == ""
    said = "".join(said) + process.stdout.read()
    assert [line for line in said.splitlines() if ":" not in line] == ["ABC", "DEF"] * 2


def test_the_real_window_is_heeded_while_a_camera_hangs(opened, page_file, tmp_path):
    code = """
import cv2, sys, threading
from lettercast.runtime import Reader
from lettercast.runtime.sources.camera import Camera
from lettercast.runtime.sources.camera import Timeouts
from lettercast.runtime.live.loop import Outputs, read_frames
from lettercast.runtime.sources.source import Frames

class Hanging:
    pictures = [cv2.imread(sys.argv[1])] * 3
    def read(self):
        return (True, self.pictures.pop()) if self.pictures else (False, threading.Event().wait())
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
    # What was read last is said even so.
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


def test_closing_the_window_by_its_x_quits(opened, screen, page_file):
    process, xdotool = opened(page_file)
    ask_to_close(screen["DISPLAY"], int(xdotool("getwindowfocus")))
    assert process.wait(WAIT_S) == 0
    assert process.stderr.read() == ""
