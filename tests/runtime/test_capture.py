"""Cameras that do not open, and why."""

import os

import pytest

from lettercast import LettercastError
from lettercast.runtime.capture import open_webcam, webcam_hint


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
