"""Where frames come from."""

import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.sources.source import open_frames, open_source

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


def test_a_name_that_is_nearly_right_is_offered(tmp_path):
    write_picture(tmp_path / "page-one.jpg", 7)
    with pytest.raises(LettercastError, match=f"did you mean {tmp_path}/page-one.jpg?"):
        open_source(str(tmp_path / "pageone.jpg"))


@pytest.mark.parametrize("source", ["cam0", "1000", "webcam", "0.5", "٣", "picamera2"])
def test_a_source_typed_wrongly_is_told_what_sources_there_are(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LettercastError, match=r"no such file; give an image, .* a camera number such as 0, picamera or"):
        open_source(source)


def test_a_model_in_place_of_a_picture_is_told_where_to_stand(exported, refused, page_file, lettercast):
    for name in ("tflite-int8", "onnx-int8"):
        assert "put --model before it" in refused("read", exported[name])
    # What it is decides, and not what it is called.
    picture = page_file.rename(page_file.with_suffix(".onnx"))
    assert lettercast("read", picture, "--json")[0] == 0


def test_an_address_of_an_unknown_kind_is_refused():
    with pytest.raises(LettercastError, match="unknown kind of address; take one of http, https, rtsp"):
        open_source("ftp://example.org/page.jpg")


def test_a_number_is_a_camera_and_a_file_of_that_name_has_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png", 7).rename("99")
    with pytest.raises(LettercastError, match="camera 99 does not answer"):
        open_source("99")
    assert next(open_source("./99")).image.shape == (20, 30, 3)


def test_a_file_of_the_camera_is_a_camera():
    with pytest.raises(LettercastError, match="camera /dev/null does not answer"):
        open_source("/dev/null")


def test_a_picture_is_known_by_its_bytes_whatever_its_name(tmp_path):
    (frame,) = open_source(str(write_picture(tmp_path / "a.png", 7).rename(tmp_path / "scan")))
    assert frame.is_still


def test_the_images_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1, 100):
        write_picture(tmp_path / f"Page{number}.png", number)
    write_picture(tmp_path / "page2b.png", 2)
    assert [int(frame.image[0, 0, 0]) for frame in open_source(str(tmp_path))] == [1, 2, 9, 10, 100]


def test_hidden_files_and_folders_among_the_images_are_passed_over(tmp_path):
    write_picture(tmp_path / "a.png", 7)
    (tmp_path / "._a.png").write_bytes(b"notes of another system")
    (tmp_path / "b.png").mkdir()
    assert len(list(open_source(str(tmp_path)))) == 1


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(LettercastError, match="no images in this folder"):
        open_source(str(tmp_path))


def test_a_bad_picture_in_a_folder_is_said_and_the_rest_goes_on(tmp_path, capsys):
    for name in ("1.png", "3.png"):
        write_picture(tmp_path / name, 7)
    (tmp_path / "2.png").write_bytes(b"not a picture")
    (tmp_path / "4.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with open_frames([str(tmp_path)]) as frames:
        read = [Path(frame.source).name for frame in frames]
    assert read == ["1.png", "3.png"]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"lettercast: {tmp_path}/2.png: not a picture")
    assert second.startswith(f"lettercast: {tmp_path}/4.heic: HEIC is not read here; convert it")


def test_a_bad_picture_is_said_before_the_next_one_is_given(tmp_path, capsys):
    (tmp_path / "1.png").write_bytes(b"not a picture")
    write_picture(tmp_path / "2.png", 7)
    frames = open_frames([str(tmp_path)])
    next(frames)
    assert "1.png: not a picture" in capsys.readouterr().err


def test_where_no_picture_can_be_read_each_is_said_and_the_last_is_the_error(tmp_path, capsys):
    """At once: nobody opens a window for them."""
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(LettercastError, match=r"2.png: not a picture"):
        open_frames([str(tmp_path)])
    assert capsys.readouterr().err.count("\n") == 1


def test_of_many_images_one_at_a_time_is_in_memory(tmp_path):
    """The second is not even read before its turn comes."""
    paths = [write_picture(tmp_path / name, 7) for name in ("a.png", "b.png")]
    frames = open_frames(list(map(str, paths)))
    next(frames)
    write_picture(paths[1], 90)
    assert int(next(frames).image[0, 0, 0]) == 90


def test_a_camera_is_let_go_where_a_later_source_is_bad(picamera, tmp_path):
    with pytest.raises(LettercastError, match="no such file"):
        open_frames(["picamera", str(tmp_path / "gone.png")])
    assert picamera.closed == 1


def test_a_camera_whose_turn_never_came_is_let_go(picamera, tmp_path):
    with open_frames([str(write_picture(tmp_path / "a.png", 7)), "picamera"]) as frames:
        next(frames)
        assert picamera.closed == 0
    assert picamera.closed == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_camera_is_let_go_whatever_happens_to_its_reader(picamera, error):
    def read():
        with open_frames(["picamera"]) as frames:
            for _ in frames:
                raise error

    with pytest.raises(error):
        read()
    assert picamera.closed == 1


@pytest.fixture
def picamera(monkeypatch):
    """A camera with Picamera2's interface, as far as a reader goes that never looks at a picture."""

    class Picamera2:
        CRITICAL, closed, camera_controls = 50, 0, ()
        global_camera_info = staticmethod(lambda: [{}])
        set_logging = staticmethod(lambda level: None)
        create_preview_configuration = configure = start = stop = lambda *_, **__: None

        def __init__(self, number):
            pass

        def capture_array(self, name):
            return np.zeros((4, 6, 3), np.uint8)

        def close(self):
            Picamera2.closed += 1

    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Picamera2


def test_reading_a_folder_with_a_bad_picture_succeeds(lettercast, page_file, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    code, out, err = lettercast("read", tmp_path, "--json")
    assert (code, len(out.splitlines()), len(err.splitlines())) == (0, 1, 1)
    assert "bad.png: not a picture" in err


def test_reading_nothing_but_a_bad_picture_fails(refused, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    assert "bad.png: not a picture" in refused("read", tmp_path / "bad.png")
    assert "bad.png: not a picture" in refused("read", tmp_path, "--json")


@pytest.mark.parametrize("size", ["1280", "0x720", "1280x", "axb", "12800x720"])
def test_a_size_that_is_none_is_refused(refused, size):
    assert "is not a size in pixels such as 1280x720" in refused("read", "--camera-size", size)


@pytest.mark.parametrize("source", ["", " "])
def test_a_source_without_a_name_is_not_this_folder(refused, page_file, source):
    assert "names nothing to read" in refused("read", source, "--json")
