"""Cameras that hurry, fall silent, hang, go away and come back."""

import queue
import subprocess
import sys
import threading

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.sources.camera import SILENT, Camera, Timeouts

QUICK = Timeouts(silence_s=0.2, retries_s=(0.001, 0.002, 0.003), release_s=0.2)
# Where a test waits for what must happen: never reached unless it fails.
LIMIT_S = 10
END, HANG, FAIL = "end", "hang", "fail"


class Played:
    """A camera whose pictures the test puts in one by one: grey levels, or END, HANG or FAIL."""

    def __init__(self, *script):
        self.script = queue.Queue()
        self.released = threading.Event()
        self.asked = threading.Semaphore(0)
        self.unhang = threading.Event()
        for item in script:
            self.script.put(item)

    def read(self):
        self.asked.release()
        item = self.script.get(timeout=LIMIT_S)
        if item == HANG:
            self.unhang.wait(LIMIT_S)
        if item == FAIL:
            raise RuntimeError("the cable is out")
        return (False, None) if isinstance(item, str) else (True, np.full((4, 6, 3), item, np.uint8))

    def release(self):
        self.released.set()

    def wait_until_asked(self, times: int):
        for _ in range(times):
            assert self.asked.acquire(timeout=LIMIT_S)


@pytest.fixture
def play():
    """Return a function that opens a camera on several captures, one after the other; None is a camera that does not open."""
    cameras, played = [], []

    def open_camera(*captures, patience=QUICK):
        following = iter(captures)
        played.extend(captures)

        def connect():
            capture = next(following, None)
            if capture is None:
                raise LettercastError("no camera here; plug it in")
            return capture

        cameras.append(Camera("7", connect, patience))
        return cameras[-1]

    yield open_camera
    for capture in filter(None, played):
        capture.unhang.set()
        capture.script.put(END)
    for camera in cameras:
        camera.close()


def level(frame) -> int:
    return int(frame.image[0, 0, 0])


def test_only_the_newest_picture_is_given_and_each_once(play):
    capture = Played(10, 20, 30)
    camera = play(capture)
    # That it asks a fourth time says that the third was kept.
    capture.wait_until_asked(4)
    frame = next(camera)
    assert (frame.source, frame.number, level(frame), frame.is_still) == ("7", 2, 30, False)
    capture.script.put(40)
    frame = next(camera)
    assert (frame.number, level(frame)) == (3, 40)


def test_a_camera_that_comes_back_goes_on_with_the_next_number(play, capsys):
    first, later = Played(10), Played(50)
    camera = play(first, None, later)
    assert next(camera).number == 0
    first.script.put(END)
    frame = next(camera)
    assert (frame.number, level(frame)) == (1, 50)
    assert first.released.is_set()
    assert capsys.readouterr().err.splitlines() == [
        "lettercast: camera 7 gives no more pictures; trying for 0.006 s to have it back",
        "lettercast: camera 7 is back",
    ]


@pytest.mark.parametrize("going", [END, HANG, FAIL])
def test_however_a_camera_goes_it_is_had_back(play, capsys, going):
    first = Played(10)
    camera = play(first, Played(50))
    next(camera)
    first.script.put(going)
    first.wait_until_asked(2)
    assert level(next(camera)) == 50
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("going", [END, HANG])
def test_who_looks_on_is_heard_while_a_camera_gives_nothing_and_may_leave(play, capsys, going):
    class LeavingError(Exception):
        pass

    def leave():
        raise LeavingError

    # Its patience is not waited for.
    camera = play(Played(10, going), patience=Timeouts(silence_s=5, retries_s=(5,), release_s=0.2))
    next(camera)
    camera.idle = leave
    with pytest.raises(LeavingError):
        next(camera)
    # One that hangs may still go on by itself.
    assert ("gives no more pictures" in capsys.readouterr().err) == (going == END)


def test_a_camera_that_comes_back_but_gives_no_picture_is_not_back(play, capsys):
    first = Played(10)
    camera = play(first, Played(HANG), Played(END), Played(50))
    next(camera)
    first.script.put(END)
    assert level(next(camera)) == 50
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_camera_that_is_gone_for_good_is_an_error(play, capsys):
    camera = play(Played(10, END))
    next(camera)
    with pytest.raises(LettercastError, match=r"camera 7 is gone, and did not come back within 0.006 s; plug it in"):
        next(camera)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [([END], "camera 7 does not answer"), ([HANG], "camera 7 does not answer"), ([FAIL], "driver failed: the cable is out")],
)
def test_a_camera_that_opens_and_gives_no_picture_is_an_error_at_once(play, script, said):
    capture = Played(*script)
    with pytest.raises(LettercastError, match=said):
        play(capture)
    capture.unhang.set()
    assert capture.released.wait(LIMIT_S)


def test_a_camera_that_does_not_open_is_an_error_in_the_words_of_whoever_knows(play):
    with pytest.raises(LettercastError, match="no camera here; plug it in"):
        play(None)


def test_closing_releases_the_camera(play):
    capture = Played(10)
    camera = play(capture)
    capture.script.put(20)
    camera.close()
    assert capture.released.is_set()


def test_pictures_that_came_before_the_end_are_given(play):
    capture = Played(10, END)
    camera = play(capture)
    capture.wait_until_asked(2)
    assert level(next(camera)) == 10


def test_a_process_ends_though_its_camera_hangs():
    code = """
import sys, threading
from lettercast import LettercastError
from lettercast.runtime.sources.camera import Camera
from lettercast.runtime.sources.camera import Timeouts
class Hung:
    def read(self): threading.Event().wait()
    def release(self): pass
try: Camera("7", Hung, Timeouts(0.1, (), 0.1))
except LettercastError as error: sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (1, f"camera 7 does not answer: {SILENT}\n")
