"""Where frames come from."""

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.source import open_frames, open_source

LEVELS = (20, 90, 160, 230, 120)


@pytest.fixture
def video(tmp_path):
    """A film of five even frames, each of another grey."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def write_picture(path, level: int):
    cv2.imwrite(str(path), np.full((20, 30, 3), level, np.uint8))
    return path


def test_every_frame_of_a_video_is_read_in_order(video):
    frames = list(open_source(str(video)))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert not any(frame.is_still for frame in frames)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], LEVELS, atol=3)


def test_an_image_is_one_still_frame_under_its_own_name(tmp_path):
    path = write_picture(tmp_path / "a.png", 7)
    (frame,) = open_source(str(path))
    assert (frame.source, frame.number, frame.is_still, frame.image.shape) == (str(path), 0, True, (20, 30, 3))


def test_a_folder_gives_its_images_by_name_and_nothing_else(tmp_path):
    for name, level in (("b.png", 2), ("a.PNG", 1), ("c.bmp", 3)):
        write_picture(tmp_path / name, level)
    (tmp_path / "notes.txt").write_text("no image")
    assert [int(frame.image[0, 0, 0]) for frame in open_source(str(tmp_path))] == [1, 2, 3]


def test_several_sources_follow_each_other(tmp_path, video):
    path = write_picture(tmp_path / "a.png", 7)
    names = [frame.source for frame in open_frames([str(path), str(video)])]
    assert names == [str(path), *[str(video)] * 5]


def test_a_missing_source_is_known_before_the_first_frame_is_read(tmp_path):
    path = write_picture(tmp_path / "a.png", 7)
    with pytest.raises(LettercastError, match="no such file"):
        open_frames([str(path), str(tmp_path / "gone.png")])


def test_a_bad_picture_in_a_folder_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(LettercastError, match=r"a.png: not a picture"):
        list(open_source(str(tmp_path)))


def test_a_camera_that_does_not_answer_is_said_so():
    with pytest.raises(LettercastError, match="camera 9 does not answer"):
        open_source("9")


def test_a_stream_that_does_not_answer_is_said_so():
    with pytest.raises(LettercastError, match="does not answer: is it running"):
        open_source("http://127.0.0.1:9/none.mjpg")
