"""Recordings that play, however they end."""

import resource
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.live.recorder import FPS, MAX_GAP_S, STILL_S, Recorder, plays
from lettercast.runtime.pixels import Frame

GREY = np.full((48, 64, 3), 128, np.uint8)
VIDEO, LIVE, STILL = Frame("f.mp4", 0, GREY), Frame("0", 0, GREY, is_live=True), Frame("p.png", 0, GREY, is_still=True)


def frames_of(path) -> list[int]:
    """Return the mean brightness of each frame of a video."""
    capture, found = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        found.append(round(answer[1].mean()))
    capture.release()
    return found


def rate_of(path) -> float:
    """Return the frames per second of a video."""
    return cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".MP4"])
def test_every_frame_of_a_video_is_written_once(tmp_path, suffix):
    path = tmp_path / f"video{suffix}"
    with Recorder(path) as recorder:
        for level in (40, 120, 200):
            recorder.write(np.full_like(GREY, level), VIDEO)
    assert frames_of(path) == pytest.approx([40, 120, 200], abs=6)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_truncated_video_does_not_play(tmp_path, suffix):
    path = tmp_path / f"video{suffix}"
    with Recorder(path) as recorder:
        for level in range(0, 240, 2):
            recorder.write(np.full_like(GREY, level), VIDEO)
    assert plays(path, 120)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not plays(path, 120)


def test_a_recording_ends_and_plays_if_the_disk_is_nearly_full(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "video.mkv")
    for _ in range(40):
        recorder.write(GREY, VIDEO)
    monkeypatch.setattr("lettercast.runtime.live.recorder.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(LettercastError, match=r"video.mkv: the disk is full, so the recording ends"):
        for _ in range(40):
            recorder.write(GREY, VIDEO)
    recorder.close()
    assert len(frames_of(tmp_path / "video.mkv")) == 60
    with pytest.raises(LettercastError, match="the disk is full"), Recorder(tmp_path / "other.mkv") as other:
        other.write(GREY, VIDEO)
    assert [one.name for one in tmp_path.iterdir()] == ["video.mkv"]


@pytest.mark.parametrize("rate", [5, 30, 90])
def test_a_recording_of_a_camera_keeps_time(tmp_path, rate):
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        for i in range(3 * rate):
            clock.now = 100 + i / rate
            recorder.write(GREY, LIVE)
    assert rate_of(tmp_path / "video.avi") == rate
    assert len(frames_of(tmp_path / "video.avi")) == pytest.approx(3 * rate, abs=1)


def test_a_camera_that_slows_down_keeps_time_at_the_measured_rate(tmp_path):
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        for i in range(30):
            recorder.write(GREY, LIVE)
            clock.now += 1 / 30 if i < 15 else 1 / 10
    assert rate_of(tmp_path / "video.avi") == 30
    assert recorder.seconds == pytest.approx(0.5 + 1.5, abs=0.15)


def test_a_short_recording_of_a_camera_has_its_frames(tmp_path):
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        for _ in range(3):
            recorder.write(GREY, LIVE)
            clock.now += 0.1
    assert (rate_of(tmp_path / "video.avi"), len(frames_of(tmp_path / "video.avi"))) == (10, 3)


def test_frames_of_a_camera_that_take_much_memory_are_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("lettercast.runtime.live.recorder.MAX_HELD_BYTES", 2 * GREY.nbytes - 1)
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        recorder.write(GREY, LIVE)
        clock.now += 0.05
        recorder.write(GREY, LIVE)
        assert recorder.seconds > 0
    assert rate_of(tmp_path / "video.avi") == 20


@pytest.mark.parametrize("fps", [1, 12.5, 23.976, 25, 29.97, 59.94, 60, 120])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_is_recorded_at_its_own_rate(tmp_path, suffix, fps):
    path = tmp_path / f"video{suffix}"
    with Recorder(path) as recorder:
        for _ in range(4):
            recorder.write(GREY, replace(VIDEO, fps=fps))
    assert rate_of(path) == pytest.approx(fps, rel=1e-3)
    assert len(frames_of(path)) == 4


def test_a_film_of_another_rate_keeps_time(tmp_path):
    with Recorder(tmp_path / "video.avi") as recorder:
        for fps, count in ((20, 20), (10, 10), (50, 50)):
            for _ in range(count):
                recorder.write(GREY, replace(VIDEO, fps=fps))
        recorder.write(GREY, STILL)
    assert recorder.seconds == pytest.approx(3 + STILL_S, abs=0.06)


def test_a_camera_after_a_film_is_recorded_from_its_first_frame(tmp_path):
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        for _ in range(60):
            recorder.write(GREY, replace(VIDEO, fps=20))
        for _ in range(20):
            recorder.write(GREY, LIVE)
            clock.now += 1 / 20
    assert recorder.seconds == pytest.approx(4, abs=0.15)


def test_a_gap_of_the_camera_is_filled_only_in_part(tmp_path):
    clock = Clock()
    with Recorder(tmp_path / "video.avi", clock=clock) as recorder:
        recorder.write(GREY, LIVE)
        clock.now += 600
        for _ in range(30):
            recorder.write(GREY, LIVE)
            clock.now += 1 / 30
    assert recorder.seconds == pytest.approx(MAX_GAP_S + 1, abs=0.2)


def test_a_still_image_is_shown_for_a_while(tmp_path):
    with Recorder(tmp_path / "video.avi") as recorder:
        recorder.write(GREY, STILL)
    assert len(frames_of(tmp_path / "video.avi")) == STILL_S * FPS


def test_images_of_other_sizes_are_resized(tmp_path):
    with Recorder(tmp_path / "video.avi") as recorder:
        recorder.write(GREY, VIDEO)
        recorder.write(np.full((99, 33, 3), 250, np.uint8), VIDEO)
    assert frames_of(tmp_path / "video.avi") == pytest.approx([128, 250], abs=4)


def test_odd_sizes_are_recorded(tmp_path):
    with Recorder(tmp_path / "video.mp4") as recorder:
        recorder.write(np.full((241, 319, 3), 99, np.uint8), VIDEO)
    assert len(frames_of(tmp_path / "video.mp4")) == 1


SIZES = ((1, 1), (4, 4), (1, 90), (90, 1), (15, 17))
RECORD_SIZES = f"""
import cv2, numpy as np, sys
from pathlib import Path
from lettercast.runtime.live.recorder import Recorder
from lettercast.runtime.pixels import Frame
for size in {SIZES}:
    path = Path(sys.argv[1], f"{{size[0]}}x{{size[1]}}{{sys.argv[2]}}")
    image = np.full((*size, 3), 90, np.uint8)
    with Recorder(path) as recorder:
        recorder.write(image, Frame("p", 0, image, is_still=True))
"""


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_no_image_is_too_small_to_be_recorded(tmp_path, suffix):
    """OpenCV may crash over small images, so another process records them."""
    subprocess.run([sys.executable, "-c", RECORD_SIZES, tmp_path, suffix], check=True)
    for height, width in SIZES:
        is_read, shown = cv2.VideoCapture(str(tmp_path / f"{height}x{width}{suffix}")).read()
        assert is_read
        assert shown.shape[0] >= height and shown.shape[1] >= width
        assert round(shown.mean()) == pytest.approx(90, abs=4)


def test_an_interrupted_recording_plays(tmp_path):
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path / "video.mp4") as recorder:
        recorder.write(GREY, VIDEO)
        raise KeyboardInterrupt
    assert len(frames_of(tmp_path / "video.mp4")) == 1


def test_without_a_frame_there_is_no_file(tmp_path):
    with Recorder(tmp_path / "video.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["video", "video.mov", "video.png"])
def test_an_unknown_video_format_is_refused(tmp_path, name):
    with pytest.raises(LettercastError, match=r"the name of a recording must end in \.mp4"):
        Recorder(tmp_path / name)


def test_a_recording_replaces_a_file_only_with_overwrite(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(LettercastError, match="exists already"):
        Recorder(path)
    with Recorder(path, overwrite=True):
        pass
    assert path.read_bytes() == b"mine"
    with Recorder(path, overwrite=True) as recorder:
        recorder.write(GREY, VIDEO)
    assert plays(path)


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path, page_file):
    line = [sys.executable, "-m", "lettercast", "read", page_file, "--no-window", "--record", tmp_path / "video.mp4"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(line, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "make room" in done.stderr
    assert not list(tmp_path.glob("*video*"))


def test_another_file_does_not_play(tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"nothing")
    assert not plays(tmp_path / "video.mp4")
