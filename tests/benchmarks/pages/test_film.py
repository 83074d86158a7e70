"""Videos of a page before a hand-held camera."""

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.film import FPS, Shake, card, hunting, main, shoot_video, sway, write_video
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime.sources.source import open_source

STEADY = Shake(drift=0, tremor=0, turn=0, zoom=0, blur=0, glow=0)
DRIFT_HZ = (0.2, 0.9)


@pytest.fixture(scope="module")
def shoot(pen):
    def one(shake=STEADY, frames=4, seed=1, text=(), fps=FPS, **changes):
        scene = card().change(**changes)
        words, stream = shoot_video(PenHand(pen), scene, shake, seed=seed, frames=frames, text=text, fps=fps)
        return words, list(stream)

    return one


def test_a_video_knows_the_text_and_boxes_of_its_letters(shoot):
    text, frames = shoot(frames=2)
    assert [len(line) for line in text.split("\n")] == [5, 5, 5]
    for frame in frames:
        assert frame.image.shape == (480, 640, 3)
        assert "".join(one.letter for one in frame.letters) == text.replace("\n", "")


def test_the_writing_stays_in_the_frame(shoot):
    for seed in range(4):
        for frame in shoot(Shake(), frames=6, seed=seed)[1]:
            boxes = np.array([one.box for one in frame.letters])
            assert (boxes[:, :2] > 0).all() and (boxes[:, :2] + boxes[:, 2:] < (640, 480)).all()


def test_ink_moves_with_the_boxes(shoot):
    for frame in shoot(Shake(drift=0.05, turn=3, blur=0), frames=4, fps=FPS / 13, noise=0.5)[1]:
        gray = frame.image.min(2)
        for one in frame.letters:
            x, y, w, h = (round(v) for v in one.box)
            own = gray[y : y + h, x : x + w]
            assert own.min() < 0.6 * np.median(gray)
            assert own[:, 1:-1].min(0).mean() < 0.9 * np.median(gray)


def test_a_steady_hand_without_noise_repeats_the_frame(shoot):
    _, frames = shoot(noise=0.0)
    assert all((frame.image == frames[0].image).all() for frame in frames)


def test_seed_and_text_decide_the_video(shoot):
    assert (shoot(Shake())[1][3].image == shoot(Shake())[1][3].image).all()
    assert shoot(seed=2)[0] != shoot(seed=1)[0]
    assert shoot(text=["HI", "YOU"])[0] == "HI\nYOU"


def test_sway_is_smooth_and_has_its_amplitude():
    seconds = np.arange(3000) / 30
    motion = sway(seconds, DRIFT_HZ, np.random.default_rng(0))
    assert motion.std() == pytest.approx(1, abs=0.25)
    assert np.abs(np.diff(motion)).max() < 0.35


def test_the_lens_searches_for_focus_now_and_then():
    blur = hunting(np.arange(300) / 30, 2.5, np.random.default_rng(0))
    assert blur.min() == 0 and blur.max() > 0.6
    assert (blur == 0).mean() > 0.6


def test_autofocus_blurs_and_exposure_drifts(shoot):
    def sharpness(frame):
        return cv2.Laplacian(frame.image[..., 1].astype(np.float32), cv2.CV_32F).std()

    frames = shoot(Shake(0, 0, 0, 0, blur=8, glow=0.2), frames=20, fps=FPS / 4, noise=0.5)[1]
    sharp = [sharpness(frame) for frame in frames]
    assert min(sharp) < 0.6 * max(sharp)
    assert np.ptp([frame.image.mean() for frame in frames]) > 8


@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_a_video_file_plays_all_frames(shoot, tmp_path, ending):
    _, frames = shoot(frames=5)
    path = tmp_path / f"page.{ending}"
    assert write_video(path, frames) == 5
    played = list(open_source(str(path)))
    assert len(played) == 5
    assert np.abs(played[4].image.astype(int) - frames[4].image).mean() < 8


@pytest.mark.parametrize(("name", "count"), [("page.gif", 1), ("page.avi", 0)])
def test_a_failed_write_leaves_no_file(shoot, tmp_path, name, count):
    with pytest.raises(LettercastError, match=name):
        write_video(tmp_path / name, shoot(frames=1)[1][:count])
    assert not list(tmp_path.iterdir())


def test_the_command_prints_frames_and_text(tmp_path, capsys):
    assert main([str(tmp_path / "a.avi"), "HI", "--seconds", "0.1"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.avi'}: 3 frames\nHI\n"
    assert main([str(tmp_path / "a.txt"), "HI"]) == 2
