"""Cameras that do not open, and why."""

import os

import cv2
import pytest

from lettercast import LettercastError
from lettercast.runtime.sources.camera import WARM_UP_FRAMES, open_webcam, webcam_hint


def test_a_camera_that_is_not_there_is_said_so():
    with pytest.raises(LettercastError, match="camera 99 does not answer: plug it in"):
        open_webcam(99)


def test_a_file_that_is_no_camera_is_said_so():
    with pytest.raises(LettercastError, match="camera /dev/null does not answer"):
        open_webcam("/dev/null")


def test_the_cameras_that_are_there_are_named(tmp_path):
    for number in (10, 2):
        (tmp_path / f"video{number}").touch()
    assert webcam_hint(0, tmp_path) == "plug it in; here are the numbers 2, 10"


def test_where_there_is_none_at_all_the_ribbon_cable_is_remembered(tmp_path):
    assert "picamera" in webcam_hint(0, tmp_path)


def test_a_camera_that_is_there_may_be_busy(tmp_path):
    (tmp_path / "video0").touch()
    assert "another program has it" in webcam_hint(0, tmp_path)


def test_a_camera_that_may_not_be_opened_says_how_to_be_allowed(tmp_path, monkeypatch):
    (tmp_path / "video0").touch()
    # Root may open everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "usermod -aG video" in webcam_hint(0, tmp_path)


class Webcam:
    """Stands in for a camera that no test machine has: it notes what is asked of it."""

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


def test_a_webcam_is_asked_for_mjpg_before_its_size_and_settles_before_it_is_read(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    webcam = open_webcam(2, (640, 480))
    assert webcam.device == 2
    assert list(webcam.asked.items()) == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
    ]
    assert webcam.grabbed == WARM_UP_FRAMES


def test_a_webcam_that_opens_and_gives_no_picture_is_let_go(monkeypatch):
    webcam = Webcam(99, cv2.CAP_ANY)
    webcam.gives = False
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: webcam)
    with pytest.raises(LettercastError, match="camera 99 gives no picture: plug it in"):
        open_webcam(99)
    assert (webcam.grabbed, webcam.released) == (1, True)
