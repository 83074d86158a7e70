"""Cameras: the newest image, reconnecting, webcams, and the camera on a Pi's ribbon cable."""

import os
import queue
import subprocess
import sys
import threading
import types
from typing import ClassVar

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.retry import Backoff
from lettercast.runtime.sources.camera import (
    NO_ANSWER_HINT,
    WARM_UP_FRAMES,
    Camera,
    PiCamera,
    Timeouts,
    import_picamera2,
    open_webcam,
    picamera_number,
    webcam_hint,
)
from lettercast.runtime.sources.source import open_frames, open_source

# A limit for what must happen; only a failing test reaches it.
LIMIT_S = 120
RETRIES = Backoff(0.001, 0.003)
PATIENT = Timeouts(LIMIT_S, RETRIES, LIMIT_S)
# A test of a camera that hangs waits this long for it.
HASTY = Timeouts(silence_s=1.0, retries=RETRIES, release_s=0.1)
END, HANG, FAIL = "end", "hang", "fail"


class Played:
    """A camera that plays a script: grey levels, or END, HANG or FAIL; a test may add to it."""

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
    """Return a function that opens a camera on captures, one for each attempt to connect; None is one that does not open."""
    cameras, played = [], []

    def open_camera(*captures, timeouts=PATIENT):
        following = iter(captures)
        played.extend(captures)

        def connect():
            capture = next(following, None)
            if capture is None:
                raise LettercastError("no camera here; plug it in")
            return capture

        cameras.append(Camera("7", connect, timeouts))
        return cameras[-1]

    yield open_camera
    for capture in filter(None, played):
        capture.unhang.set()
        capture.script.put(END)
    for camera in cameras:
        camera.close()


def level(frame) -> int:
    return int(frame.image[0, 0, 0])


def test_only_the_newest_image_is_returned_and_each_once(play):
    capture = Played(10, 20, 30)
    camera = play(capture)
    # The camera reads a fourth time only after it stored the third image.
    capture.wait_until_asked(4)
    frame = next(camera)
    assert (frame.source, frame.number, level(frame), frame.is_still) == ("7", 2, 30, False)
    capture.script.put(40)
    frame = next(camera)
    assert (frame.number, level(frame)) == (3, 40)


def test_a_camera_that_comes_back_continues_with_the_next_number(play, capsys):
    first, later = Played(10), Played(50)
    camera = play(first, None, later)
    assert next(camera).number == 0
    first.script.put(END)
    frame = next(camera)
    assert (frame.number, level(frame)) == (1, 50)
    assert first.released.is_set()
    assert capsys.readouterr().err.splitlines() == [
        "lettercast: camera 7 sends no more images; looking for it until it is back",
        "lettercast: camera 7 is back",
    ]


@pytest.mark.parametrize("going", [END, HANG, FAIL])
def test_a_camera_is_reconnected_however_it_fails(play, capsys, going):
    first = Played(10)
    camera = play(first, Played(50), timeouts=HASTY if going == HANG else PATIENT)
    next(camera)
    first.script.put(going)
    first.wait_until_asked(2)
    assert level(next(camera)) == 50
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("going", [END, HANG])
def test_idle_is_called_while_a_camera_sends_nothing_and_may_raise(play, capsys, going):
    class StopError(Exception):
        pass

    def stop():
        raise StopError

    # Nobody waits for these timeouts.
    camera = play(Played(10, going), timeouts=Timeouts(silence_s=LIMIT_S, retries=Backoff(LIMIT_S, LIMIT_S), release_s=0.1))
    next(camera)
    camera.idle = stop
    with pytest.raises(StopError):
        next(camera)
    # A camera that hangs may still continue by itself.
    assert ("sends no more images" in capsys.readouterr().err) == (going == END)


def test_a_camera_that_reopens_without_images_is_not_back(play, capsys):
    first = Played(10)
    camera = play(first, Played(HANG), Played(END), Played(50), timeouts=HASTY)
    next(camera)
    first.script.put(END)
    assert level(next(camera)) == 50
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("script", "message"),
    [([END], "camera 7 does not answer"), ([HANG], "camera 7 does not answer"), ([FAIL], "driver failed: the cable is out")],
)
def test_a_camera_that_opens_without_images_is_an_error_at_once(play, script, message):
    capture = Played(*script)
    with pytest.raises(LettercastError, match=message):
        play(capture, timeouts=HASTY if HANG in script else PATIENT)
    capture.unhang.set()
    assert capture.released.wait(LIMIT_S)


def test_a_camera_that_does_not_open_raises_the_error_of_its_driver(play):
    with pytest.raises(LettercastError, match="no camera here; plug it in"):
        play(None)


def test_closing_releases_the_camera(play):
    capture = Played(10)
    camera = play(capture)
    capture.script.put(20)
    camera.close()
    assert capture.released.is_set()


def test_an_image_that_came_before_the_end_is_returned(play):
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
try: Camera("7", Hung, Timeouts(silence_s=0.1, release_s=0.1))
except LettercastError as error: sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr) == (1, f"camera 7 does not answer: {NO_ANSWER_HINT}\n")


def test_a_missing_webcam_is_an_error():
    with pytest.raises(LettercastError, match="camera 99 does not answer: plug it in"):
        open_webcam(99)


def test_a_device_file_that_is_not_a_camera_is_an_error():
    with pytest.raises(LettercastError, match="camera /dev/null does not answer"):
        open_webcam("/dev/null")


def test_the_hint_names_the_cameras_that_there_are(tmp_path):
    for number in (10, 2):
        (tmp_path / f"video{number}").touch()
    assert webcam_hint(0, tmp_path) == "plug it in; the cameras here have the numbers 2, 10"


def test_without_any_camera_the_hint_mentions_the_ribbon_cable(tmp_path):
    assert "picamera" in webcam_hint(0, tmp_path)


def test_the_hint_for_a_camera_that_exists_is_that_it_may_be_busy(tmp_path):
    (tmp_path / "video0").touch()
    assert "another program uses it" in webcam_hint(0, tmp_path)


def test_the_hint_says_how_to_get_permission_for_a_camera(tmp_path, monkeypatch):
    (tmp_path / "video0").touch()
    # Root may open everything, so pretend.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "usermod -aG video" in webcam_hint(0, tmp_path)


class Webcam:
    """A stand-in for cv2.VideoCapture that records what is set."""

    gives, released = True, False

    def __init__(self, device, backend):
        self.asked, self.grabbed = {}, 0
        self.device = device

    def isOpened(self):  # noqa: N802
        return True

    def set(self, name, value):
        assert not self.grabbed
        self.asked[name] = value

    def grab(self):
        self.grabbed += 1
        return self.gives

    def release(self):
        self.released = True


def test_a_webcam_gets_mjpg_before_its_size_and_frames_to_settle(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    webcam = open_webcam(2, (640, 480))
    assert webcam.device == 2
    assert list(webcam.asked.items()) == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
    ]
    assert webcam.grabbed == WARM_UP_FRAMES


def test_a_webcam_that_opens_without_images_is_released(monkeypatch):
    webcam = Webcam(99, cv2.CAP_ANY)
    webcam.gives = False
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: webcam)
    with pytest.raises(LettercastError, match="camera 99 gives no image: plug it in"):
        open_webcam(99)
    assert (webcam.grabbed, webcam.released) == (1, True)


class Picamera2:
    """A stand-in with the documented interface of Picamera2: two cameras, of which the second can focus."""

    CRITICAL = 50
    done: ClassVar[list] = []

    @staticmethod
    def set_logging(level):
        Picamera2.done.append(("set_logging", level))

    @staticmethod
    def global_camera_info():
        return [{"Num": 0, "Model": "imx219"}, {"Num": 1, "Model": "imx708"}]

    def __init__(self, camera_num=0):
        self.number = camera_num
        self.camera_controls = {"AfMode": (0, 2, 0)} if camera_num == 1 else {}
        self.size, self.started = None, False

    def create_preview_configuration(self, main):
        return {"use_case": "preview", "main": main}

    def configure(self, config):
        assert not self.started
        assert config["main"]["format"] == "RGB888"
        self.size = config["main"]["size"]

    def start(self):
        assert self.size
        self.started = True

    def set_controls(self, controls):
        Picamera2.done.append(("set_controls", self.number, controls))

    def capture_array(self, name="main"):
        assert self.started
        assert name == "main"
        width, height = self.size
        # A red sheet; this format has the byte order blue, green, red.
        return np.full((height, width, 3), (0, 0, 200 + self.number), np.uint8)

    def stop(self):
        self.started = False
        Picamera2.done.append(("stop", self.number))

    def close(self):
        assert not self.started
        Picamera2.done.append(("close", self.number))


@pytest.fixture
def picamera2(monkeypatch):
    """A module named picamera2, while the test runs."""
    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2
    Picamera2.done = []
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return module


def test_picamera_images_have_the_requested_size_and_the_byte_order_of_opencv(picamera2):
    camera = PiCamera(0, (640, 480))
    answered, image = camera.read()
    assert (answered, image.shape, image.dtype) == (True, (480, 640, 3), np.uint8)
    assert image[0, 0].tolist() == [0, 0, 200]
    camera.release()
    assert Picamera2.done[-2:] == [("stop", 0), ("close", 0)]


def test_a_lens_that_can_focus_focuses_continuously(picamera2):
    PiCamera(1).release()
    PiCamera(0).release()
    assert [done for done in Picamera2.done if done[0] == "set_controls"] == [("set_controls", 1, {"AfMode": 2})]


def test_frames_of_a_picamera_are_named_like_the_source(picamera2):
    with open_frames(["picamera:1"], (640, 480)) as frames:
        frame = next(frames)
    assert frame.image.shape == (480, 640, 3)
    assert (frame.source, frame.is_still, int(frame.image[0, 0, 2])) == ("picamera:1", False, 201)
    assert ("close", 1) in Picamera2.done


def test_a_missing_picamera_is_an_error_that_counts_the_others(picamera2):
    with pytest.raises(LettercastError, match="picamera:2: 2 cameras found, numbered from 0; check the cable"):
        open_source("picamera:2")


def test_a_picamera_that_cannot_be_configured_is_closed(picamera2, monkeypatch):
    monkeypatch.setattr(Picamera2, "configure", lambda *_: (_ for _ in ()).throw(RuntimeError("size is odd")))
    with pytest.raises(LettercastError, match="the camera's driver failed: size is odd"):
        open_source("picamera")
    assert Picamera2.done[-1] == ("close", 0)


def test_the_log_of_picamera2_is_silenced(picamera2):
    import_picamera2()
    assert Picamera2.done == [("set_logging", Picamera2.CRITICAL)]


def test_the_error_says_how_to_install_picamera2(refused):
    message = refused("read", "picamera")
    assert "sudo apt install python3-picamera2" in message
    assert "--system-site-packages" in message


def test_a_numpy_that_does_not_fit_picamera2_is_named(tmp_path, monkeypatch):
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LettercastError, match="pip uninstall numpy"):
        import_picamera2()


@pytest.mark.parametrize(
    ("source", "number"),
    [("picamera", 0), ("picamera:0", 0), ("picamera:1", 1), ("./picamera", None), ("0", None), ("a:1", None)],
)
def test_picameras_are_numbered_from_0(source, number):
    assert picamera_number(source) == number


@pytest.mark.parametrize("source", ["picamera:", "picamera:x", "picamera:-1"])
def test_an_invalid_picamera_number_is_refused(source):
    with pytest.raises(LettercastError, match="picamera:1 the second"):
        picamera_number(source)


def test_picamera2_is_not_imported_unless_asked_for(tmp_path, page_file):
    (tmp_path / "picamera2.py").write_text("raise SystemExit('imported')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from lettercast.commands.cli import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", code, "read", str(page_file), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
