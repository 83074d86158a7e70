"""The camera on a Pi's ribbon cable, against a stand-in with the interface that Picamera2 documents."""

import subprocess
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.sources.camera import PiCamera, import_picamera2, picamera_number
from lettercast.runtime.sources.source import open_frames, open_source


class Picamera2:
    """What Picamera2 does, for a Pi with two cameras of which the second can focus."""

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
        # In this format a red sheet is blue, green, red in memory.
        return np.full((height, width, 3), (0, 0, 200 + self.number), np.uint8)

    def stop(self):
        self.started = False
        Picamera2.done.append(("stop", self.number))

    def close(self):
        assert not self.started
        Picamera2.done.append(("close", self.number))


@pytest.fixture
def picamera2(monkeypatch):
    """A module of the name picamera2, for as long as the test runs."""
    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2
    Picamera2.done = []
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return module


def test_pictures_are_of_the_size_that_is_asked_for_in_the_order_of_opencv(picamera2):
    camera = PiCamera(0, (640, 480))
    answered, image = camera.read()
    assert (answered, image.shape, image.dtype) == (True, (480, 640, 3), np.uint8)
    assert image[0, 0].tolist() == [0, 0, 200]
    camera.release()
    assert Picamera2.done[-2:] == [("stop", 0), ("close", 0)]


def test_a_lens_that_can_focus_does_so_all_the_time_and_another_is_left_alone(picamera2):
    PiCamera(1).release()
    PiCamera(0).release()
    assert [done for done in Picamera2.done if done[0] == "set_controls"] == [("set_controls", 1, {"AfMode": 2})]


def test_the_source_is_named_as_it_was_asked_for(picamera2):
    with open_frames(["picamera:1"], (640, 480)) as frames:
        frame = next(frames)
    assert frame.image.shape == (480, 640, 3)
    assert (frame.source, frame.is_still, int(frame.image[0, 0, 2])) == ("picamera:1", False, 201)
    assert ("close", 1) in Picamera2.done


def test_a_camera_that_is_not_plugged_in_is_told_from_those_that_are(picamera2):
    with pytest.raises(LettercastError, match="picamera:2: 2 cameras found, numbered from 0; check the cable"):
        open_source("picamera:2")


def test_a_camera_that_cannot_be_configured_is_closed(picamera2, monkeypatch):
    monkeypatch.setattr(Picamera2, "configure", lambda *_: (_ for _ in ()).throw(RuntimeError("size is odd")))
    with pytest.raises(LettercastError, match="the camera's driver failed: size is odd"):
        open_source("picamera")
    assert Picamera2.done[-1] == ("close", 0)


def test_its_talk_is_silenced(picamera2):
    import_picamera2()
    assert Picamera2.done == [("set_logging", Picamera2.CRITICAL)]


def test_where_picamera2_is_missing_the_line_says_how_to_install_it(refused):
    said = refused("read", "picamera")
    assert "sudo apt install python3-picamera2" in said
    assert "--system-site-packages" in said


def test_a_numpy_that_does_not_fit_is_named(tmp_path, monkeypatch):
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LettercastError, match="pip uninstall numpy"):
        import_picamera2()


@pytest.mark.parametrize(
    ("source", "number"),
    [("picamera", 0), ("picamera:0", 0), ("picamera:1", 1), ("./picamera", None), ("0", None), ("a:1", None)],
)
def test_cameras_are_numbered_from_0(source, number):
    assert picamera_number(source) == number


@pytest.mark.parametrize("source", ["picamera:", "picamera:x", "picamera:-1"])
def test_a_number_that_is_none_is_refused(source):
    with pytest.raises(LettercastError, match="picamera:1 the second"):
        picamera_number(source)


def test_picamera2_is_not_imported_unless_asked_for(tmp_path, page_file):
    (tmp_path / "picamera2.py").write_text("raise SystemExit('imported')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from lettercast.commands.cli import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", code, "read", str(page_file), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
