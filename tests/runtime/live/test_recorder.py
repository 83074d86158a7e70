"""Films that play, however the recording ends."""

import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.live.recorder import FPS, MAX_GAP_S, STILL_S, Recorder, plays
from lettercast.runtime.pixels import Frame

GREY = np.full((48, 64, 3), 128, np.uint8)
FILM, LIVE, STILL = Frame("f.mp4", 0, GREY), Frame("0", 0, GREY, is_live=True), Frame("p.png", 0, GREY, is_still=True)


def frames_of(path) -> list[int]:
    """Return the mean brightness of each frame of a film."""
    capture, found = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        found.append(round(answer[1].mean()))
    capture.release()
    return found


class Clock:
    """A clock that stands where it is put."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".MP4"])
def test_every_frame_of_a_film_is_one_frame(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    with Recorder(path) as recorder:
        for level in (40, 120, 200):
            recorder.write(np.full_like(GREY, level), FILM)
    assert frames_of(path) == pytest.approx([40, 120, 200], abs=6)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_that_was_cut_off_does_not_play(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    with Recorder(path) as recorder:
        for level in range(0, 240, 2):
            recorder.write(np.full_like(GREY, level), FILM)
    assert plays(path, 120)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not plays(path, 120)


def test_a_recording_ends_and_plays_where_the_disk_is_nearly_full(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "film.mkv")
    for _ in range(40):
        recorder.write(GREY, FILM)
    monkeypatch.setattr("lettercast.runtime.live.recorder.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(LettercastError, match=r"film.mkv: the disk is full, so the recording ends"):
        for _ in range(40):
            recorder.write(GREY, FILM)
    recorder.close()
    assert len(frames_of(tmp_path / "film.mkv")) == 60
    with pytest.raises(LettercastError, match="the disk is full"), Recorder(tmp_path / "other.mkv") as other:
        other.write(GREY, FILM)
    assert [one.name for one in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize("rate", [5, 30, 90])
def test_a_cameras_film_lasts_as_long_as_it_was_taken(tmp_path, rate):
    clock = Clock()
    with Recorder(tmp_path / "film.avi", clock=clock) as recorder:
        for i in range(3 * rate):
            clock.now = 100 + i / rate
            recorder.write(GREY, LIVE)
    assert len(frames_of(tmp_path / "film.avi")) == pytest.approx(3 * FPS, abs=FPS / rate + 1)


def test_a_camera_that_hung_is_not_made_up_for(tmp_path):
    clock = Clock()
    with Recorder(tmp_path / "film.avi", clock=clock) as recorder:
        recorder.write(GREY, LIVE)
        clock.now += 600
        for _ in range(30):
            recorder.write(GREY, LIVE)
            clock.now += 1 / 30
    assert recorder.seconds == pytest.approx(MAX_GAP_S + 1, abs=0.2)


def test_a_picture_of_its_own_stays_for_a_while(tmp_path):
    with Recorder(tmp_path / "film.avi") as recorder:
        recorder.write(GREY, STILL)
    assert len(frames_of(tmp_path / "film.avi")) == STILL_S * FPS


def test_pictures_of_other_sizes_are_fitted(tmp_path):
    with Recorder(tmp_path / "film.avi") as recorder:
        recorder.write(GREY, FILM)
        recorder.write(np.full((99, 33, 3), 250, np.uint8), FILM)
    assert frames_of(tmp_path / "film.avi") == pytest.approx([128, 250], abs=4)


def test_odd_sizes_are_recorded(tmp_path):
    with Recorder(tmp_path / "film.mp4") as recorder:
        recorder.write(np.full((241, 319, 3), 99, np.uint8), FILM)
    assert len(frames_of(tmp_path / "film.mp4")) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (1, 90), (90, 1), (15, 17)])
def test_nothing_is_too_small_to_be_recorded_or_cut_off(tmp_path, suffix, size):
    """In a process of its own, as OpenCV may end it."""
    code = f"""
import cv2, numpy as np, sys
from pathlib import Path
from lettercast.runtime.live.recorder import Recorder
from lettercast.runtime.pixels import Frame
picture = np.full((*{size}, 3), 90, np.uint8)
with Recorder(Path(sys.argv[1])) as recorder:
    recorder.write(picture, Frame("p", 0, picture, is_still=True))
answered, shown = cv2.VideoCapture(sys.argv[1]).read()
print(answered, *shown.shape, round(shown.mean()))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / f"f{suffix}"], capture_output=True, text=True, check=True)
    answered, height, width, _, level = done.stdout.split()
    assert answered == "True"
    assert int(height) >= size[0] and int(width) >= size[1]
    assert int(level) == pytest.approx(90, abs=4)


def test_a_recording_that_fails_half_way_still_plays(tmp_path):
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path / "film.mp4") as recorder:
        recorder.write(GREY, FILM)
        raise KeyboardInterrupt
    assert len(frames_of(tmp_path / "film.mp4")) == 1


def test_without_a_frame_there_is_no_film(tmp_path):
    with Recorder(tmp_path / "film.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["film", "film.mov", "film.png"])
def test_an_unknown_kind_of_film_is_refused(tmp_path, name):
    with pytest.raises(LettercastError, match=r"a recording ends in \.mp4"):
        Recorder(tmp_path / name)


def test_a_film_is_replaced_only_where_asked(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(LettercastError, match="exists already"):
        Recorder(path)
    with Recorder(path, overwrite=True):
        pass
    assert path.read_bytes() == b"mine"
    with Recorder(path, overwrite=True) as recorder:
        recorder.write(GREY, FILM)
    assert plays(path)


def test_a_disk_that_is_full_is_said_in_one_line_and_leaves_no_film(tmp_path, page_file):
    line = [sys.executable, "-m", "lettercast", "read", page_file, "--no-window", "--record", tmp_path / "film.mp4"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(line, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "make room" in done.stderr
    assert not list(tmp_path.glob("*film*"))


def test_what_is_no_film_does_not_play(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    assert not plays(tmp_path / "film.mp4")
